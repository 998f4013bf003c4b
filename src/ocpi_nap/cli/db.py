"""`ocpi-nap db …`: schema, dump and restore."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from ocpi_nap.cli.context import database_dsn, load_settings
from ocpi_nap.cli.errors import CliError
from ocpi_nap.store.embedded import tool

db_app = typer.Typer(help="The database.", no_args_is_help=True)


@db_app.command()
def upgrade() -> None:
    """Bring the database's schema up to this release."""
    with database_dsn(load_settings()):
        print("The database is up to date.")


@db_app.command()
def dump(file: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Write the whole database to a file that only its owner may read, while the service runs or not."""
    _with_database("pg_dump", "--format=custom", "--no-owner", f"--file={file}")
    print(f"The database is in {file}. Keep token.key of the data folder with it.")


@db_app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file of `ocpi-nap db dump`.")]) -> None:
    """Replace the database's content by a dump; stop the service first."""
    if not file.is_file():
        raise CliError(f"There is no file {file}.")
    _with_database("pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction", str(file), "--dbname")
    print(f"The database is as it was in {file}.")


def _with_database(program: str, *arguments: str) -> None:
    with database_dsn(load_settings()) as dsn:
        done = subprocess.run([tool(program), *arguments, dsn], capture_output=True, text=True, check=False, umask=0o077)
    if done.returncode:
        raise CliError(f"{program} failed.", *done.stderr.strip().splitlines()[:5])
