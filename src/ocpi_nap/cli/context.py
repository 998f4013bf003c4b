"""What commands work with: settings, the database (embedded or by DSN), the OCPI client and the registry."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

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


@asynccontextmanager
async def database_dsn(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the database, started if it is the embedded one, migrated."""
    with ExitStack() as stack:
        dsn = settings.database_url
        if dsn is None:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            dsn = stack.enter_context(EmbeddedPostgres(settings.data_dir)).dsn
        try:
            migrate(dsn)
        except Exception as error:
            raise CliError(f"The database could not be opened: {str(error).strip().splitlines()[0]}.") from error
        yield dsn


@asynccontextmanager
async def open_context(settings: Settings | None = None) -> AsyncIterator[Context]:
    """Open everything for one command and close it in order."""
    settings = settings or load_settings()
    logging.basicConfig(level=os.environ.get("OCPI_NAP_LOG_LEVEL", "WARNING"))
    async with database_dsn(settings) as dsn:
        db = await Database.open(dsn)
        client, registry = await build_registry(db, settings)
        try:
            yield Context(settings, dsn, db, client, registry)
        finally:
            await client.close()
            await db.close()
