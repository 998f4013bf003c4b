"""The OCPI interface in this process, over a real database, with a registered platform of each version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.intake.jobs import next_due
from ocpi_nap.intake.receiver import ReceiverService
from ocpi_nap.intake.writer import PushWriter
from ocpi_nap.model.areas import COUNTRIES
from ocpi_nap.model.platform import Operator
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.routes import OcpiApp, OcpiOptions
from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.registry import Registry
from ocpi_nap.registry.auth import TokenAuthenticator
from ocpi_nap.registry.hints import Hints
from ocpi_nap.registry.receiving import CredentialsService
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store import registry as sql
from ocpi_nap.store.crawls import take_due
from ocpi_nap.store.database import OUTAGES, Database
from tests.asgi import Reply, call

LARGEST = 100_000
"""A small limit, so that a body over it is quick to make."""
TABLES = ("location", "evse", "evse_state", "tariff", "change")


@dataclass
class Ocpi:
    """The interface, and what it stores."""

    app: Any
    db: Database
    registry: Registry
    issues: IssueLog
    receiver: ReceiverService
    repairs: list[NodeKey] = field(default_factory=list)

    def served_at(self, url: str, largest: int = 1 << 20) -> OcpiApp:
        """The interface for callers who reach it at this URL, with a limit of bodies nearer to the usual one."""
        return _app(self.registry, self.receiver, OcpiOptions("/ocpi", url, "FI", "NAP", largest, OUTAGES))

    async def platform(self, version: str, *parties: str, **settings: Any) -> str:
        """Register a platform for FI parties (ABC if none are named); returns its token B."""
        name = f"p{version}{''.join(parties)}"
        token = f"token.{name}"
        values = {
            "name": name, "environment": "production", "versions_url": "https://cpo.example/versions", "country_code": "FI",
            "party_id": "PLT", "token_encoding": "raw", "version": version, "state": "registered",
        }  # fmt: skip
        async with self.db.transaction() as conn:
            platform = await sql.insert_platform(conn, values)
            operators = [Operator(country_code="FI", party_id=party, name=party) for party in parties or ("ABC",)]
            await sql.insert_operators(conn, platform, "production", operators)
            await sql.update_platform(conn, platform, {"settings": settings})
            await sql.add_token(conn, platform, "B", "active", hash_token(token))
        return token

    async def send(self, method: str, path: str, body: Any = b"", *, token: str, headers: dict[str, str] | None = None) -> Reply:
        """One request below /ocpi; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"authorization": f"Token {token}", "content-type": "application/json", **(headers or {})}
        return await call(self.app, f"/ocpi/{path}", method=method, headers=sent, body=data)

    async def stored(self) -> dict[str, list[Any]]:
        """Everything that is stored, to compare."""
        return {table: await self.db.fetch_all(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}


async def due_now(db: Database) -> list[tuple[int, bool]]:
    """The crawls that are due, taken."""
    async with db.transaction() as conn:
        return await take_due(conn, next_due)


def _app(registry: Registry, receiver: ReceiverService, options: OcpiOptions) -> OcpiApp:
    authenticator = TokenAuthenticator(registry.db, Hints(registry.db, registry.vault, pause=0))
    return OcpiApp(authenticator, CredentialsService(registry), receiver, options)


@asynccontextmanager
async def interface(database: Database, tmp_path: Path) -> AsyncIterator[Ocpi]:
    """The interface over a database."""
    client = await OcpiClient.open()
    identity = OwnIdentity("https://nap.example/ocpi/versions", "FI", "NAP", {"name": "Nap"})
    registry = Registry(database, Vault.open(tmp_path), client, identity, allow_private=True, area=COUNTRIES["FI"])
    issues, writer, repairs = IssueLog(database), PushWriter(database), []

    async def repair(platform_id: int, address: NodeKey) -> None:
        repairs.append(address)

    receiver = ReceiverService(database, writer, issues, repair, registry.area)
    options = OcpiOptions("/ocpi", "https://nap.example/ocpi", "FI", "NAP", LARGEST, OUTAGES)
    app = _app(registry, receiver, options)
    running = asyncio.create_task(writer.run())
    yield Ocpi(app, database, registry, issues, receiver, repairs)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.close()
