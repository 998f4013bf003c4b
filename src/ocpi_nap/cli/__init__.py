"""The command line: every command ends with exit status 0 only when it worked, errors as one plain sentence on stderr."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from ocpi_nap import __version__
from ocpi_nap.app import collect_garbage_rarely
from ocpi_nap.cli.check import check
from ocpi_nap.cli.db import db_app
from ocpi_nap.cli.demo import demo
from ocpi_nap.cli.errors import CliError
from ocpi_nap.cli.platform import platform_app
from ocpi_nap.cli.register import register_app
from ocpi_nap.cli.simulate import simulate
from ocpi_nap.cli.snapshots import snapshots_app
from ocpi_nap.cli.user import user_app
from ocpi_nap.registry import RegistryError
from ocpi_nap.registry.outcomes import FieldsWrong
from ocpi_nap.store.database import OUTAGES

app = typer.Typer(name="ocpi-nap", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(platform_app, name="platform")
app.add_typer(db_app, name="db")
app.add_typer(register_app, name="register")
app.add_typer(snapshots_app, name="snapshots")
app.add_typer(user_app, name="user")


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"ocpi-nap {__version__}")
        raise typer.Exit


@app.callback()
def _before(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and end.")] = False,
) -> None:
    """A National Access Point for electric-vehicle charging data."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Web worker processes.")] = 2,
) -> None:
    """Serve OCPI, the open API and MQTT, and run the pulls."""
    from ocpi_nap.cli.serve import run

    run(host, port, workers)


app.command()(check)
app.command()(simulate)
app.command()(demo)


@app.command(hidden=True)
def jobs() -> None:
    """The background process of `serve`."""
    from ocpi_nap.cli.serve import run_background

    run_background()


@app.command(hidden=True)
def feed() -> None:
    """The rendering process of `serve`."""
    from ocpi_nap.cli.rendering import run_feed

    run_feed()


def main() -> None:
    """Entry point of `ocpi-nap`."""
    collect_garbage_rarely()
    try:
        app(standalone_mode=False)
    except CliError as error:
        _end(error.sentence, *error.details)
    except RegistryError as error:
        details = error.problems[1:] if isinstance(error, FieldsWrong) else []
        details += [f"Step: {error.step}"] if error.step else []
        details += [f"Their answer: {error.answer}"] if error.answer and error.answer not in error.message else []
        _end(error.message, *details, *([error.advice] if error.advice else []))
    except OUTAGES as error:
        _end("The database does not answer.", *str(error).strip().splitlines()[:1])
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except TyperException as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)


def _end(sentence: str, *details: str) -> None:
    print(sentence, file=sys.stderr)
    for line in details:
        print(line, file=sys.stderr)
    sys.exit(1)
