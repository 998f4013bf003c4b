"""What commands work with: settings, the database (embedded or by DSN), the OCPI client and the registry."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
import uvloop
from pydantic import ValidationError

from ocpi_nap.app import build_registry, start_log
from ocpi_nap.cli.errors import CliError
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.registry import Registry
from ocpi_nap.registry.vault import Vault, VaultError
from ocpi_nap.settings import Settings
from ocpi_nap.store.database import Database
from ocpi_nap.store.embedded import EmbeddedError, EmbeddedPostgres
from ocpi_nap.store.migrate import SchemaTooNew, migrate

T = TypeVar("T")


@dataclass
class Context:
    """Everything a command needs; opened by `open_context`."""

    settings: Settings
    dsn: str
    db: Database
    client: OcpiClient
    registry: Registry


def load_settings() -> Settings:
    """Settings from the environment; raises CliError that names the variable of a wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        name = "OCPI_NAP_" + "_".join(str(part) for part in problem["loc"]).upper()
        text = problem["msg"].removeprefix("Value error, ")
        raise CliError(f"{name} is not valid: {text}.", "docs/operators.md lists all settings.") from None


def _check_data_folder(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(f"OCPI_NAP_DATA_DIR cannot be used: {error.strerror} ({error.filename}).") from None
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise CliError(f"OCPI_NAP_DATA_DIR cannot be used: {settings.data_dir} is not ours to write in.")


@contextmanager
def database_server(settings: Settings, *, as_it_is: bool = False) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """The DSN of the database, and the embedded one, started, if it is that; migrated, unless it is wanted ``as_it_is``.

    Raises CliError that says why it cannot be used.
    """
    _check_data_folder(settings)
    with ExitStack() as stack:
        try:
            embedded = stack.enter_context(EmbeddedPostgres(settings.data_dir)) if settings.database_url is None else None
            dsn = settings.database_url or (embedded.dsn if embedded else "")
            if as_it_is:
                psycopg.connect(dsn).close()
            else:
                migrate(dsn)
        except SchemaTooNew as error:
            raise CliError(f"{error}.", "Install that release, or restore a dump that this one wrote.") from None
        except (EmbeddedError, psycopg.Error, OSError) as error:
            first, *more = str(error).strip().splitlines() or [type(error).__name__]
            raise CliError(f"The database could not be opened: {first.rstrip('.')}.", *more[:5]) from error
        yield dsn, embedded


@contextmanager
def database_dsn(settings: Settings, *, as_it_is: bool = False) -> Iterator[str]:
    """The DSN alone, as `database_server` gives it."""
    with database_server(settings, as_it_is=as_it_is) as (dsn, _):
        yield dsn


def check_vault(settings: Settings) -> None:
    """Make the token key where there is none yet; raises CliError when it cannot be read."""
    _check_data_folder(settings)
    try:
        Vault.open(settings.data_dir)
    except (VaultError, OSError) as error:
        raise CliError(f"The key of the stored tokens cannot be used: {error}.") from None


@asynccontextmanager
async def open_database(settings: Settings | None = None) -> AsyncIterator[Database]:
    """The database alone, for commands that speak to no platform."""
    with database_dsn(settings or load_settings()) as dsn:
        db = await Database.open(dsn)
        try:
            yield db
        finally:
            await db.close()


@asynccontextmanager
async def open_context(settings: Settings | None = None) -> AsyncIterator[Context]:
    """Open everything for one command and close it in order."""
    settings = settings or load_settings()
    start_log(settings, otherwise="WARNING")
    check_vault(settings)
    async with open_database(settings) as db:
        client, registry = await build_registry(db, settings)
        try:
            yield Context(settings, db.dsn, db, client, registry)
        finally:
            await client.close()


def run(act: Callable[[Context], Coroutine[Any, Any, T]]) -> T:
    """Do a command's work with everything open."""

    async def inside() -> T:
        async with open_context() as context:
            return await act(context)

    return uvloop.run(inside())


def run_with_database(act: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """Do a command's work with the database open."""

    async def inside() -> T:
        async with open_database() as db:
            return await act(db)

    return uvloop.run(inside())
