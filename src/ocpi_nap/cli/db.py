"""`ocpi-nap db …`: schema, dump and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ocpi_nap.cli.context import database_dsn, load_settings
from ocpi_nap.cli.errors import CliError
from ocpi_nap.store import dump as files
from ocpi_nap.store.migrate import migrate

db_app = typer.Typer(help="The database.", no_args_is_help=True)


@db_app.command()
def upgrade() -> None:
    """Bring the database's schema up to this release."""
    with database_dsn(load_settings()):
        print("The database is up to date.")


@db_app.command()
def dump(file: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Write the whole database to a file that only its owner may read, while the service runs or not."""
    if file.is_dir():
        raise CliError(f"{file} is a folder: name the file in it.")
    with database_dsn(load_settings()) as dsn:
        try:
            files.dump(dsn, file)
        except files.DumpError as error:
            raise CliError("The database was not dumped.", *str(error).splitlines()) from None
    print(f"The database is in {file}. Keep a copy of token.key of the data folder, too, and not beside it.")


@db_app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file of `ocpi-nap db dump`.")]) -> None:
    """Replace the database's content by a dump; stop the service first."""
    if not file.is_file():
        raise CliError(f"There is no file {file}.")
    with database_dsn(load_settings(), as_it_is=True) as dsn:  # it may be of a newer release
        if files.others_connected(dsn):
            raise CliError("The database is in use: stop the service first, on all nodes.", "Nothing was changed.")
        try:
            files.restore(dsn, file)
            migrate(dsn)
        except files.DumpError as error:
            raise CliError(f"{file} was not restored: nothing was changed.", *str(error).splitlines()) from None
    print(f"The database is as it was in {file}.")
