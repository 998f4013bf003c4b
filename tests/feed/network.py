"""Locations that a test puts, changes and withdraws in the database, as the intake does."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ocpi_nap.intake.batches import write_documents
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.model import jsontext
from ocpi_nap.model.platform import Operator, PlatformSettings
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.store import crawls, network, registry
from ocpi_nap.store.database import Database
from ocpi_nap.store.rows import StatusPatch
from tests.e2e.cpo import location, tariff

MOMENT = datetime(2026, 2, 1, 12, tzinfo=UTC)


class Network:
    """One platform with its operators; each change is newer than the one before."""

    def __init__(self, db: Database, platform: int, environment: str) -> None:
        self.db, self.platform, self.environment = db, platform, environment
        self._minutes = 0

    @classmethod
    async def create(cls, db: Database, *parties: str, environment: str = "production") -> Network:
        values = {
            "name": uuid.uuid4().hex, "environment": environment, "versions_url": "https://cpo.example", "country_code": "FI",
            "party_id": "PLT", "token_encoding": "raw",
        }  # fmt: skip
        async with db.transaction() as conn:
            platform = await registry.insert_platform(conn, values)
            operators = [Operator(country_code="FI", party_id=party, name=f"Operator {party}") for party in parties or ("ABC",)]
            await registry.insert_operators(conn, platform, environment, operators)
            await registry.visible_change(conn)
        return cls(db, platform, environment)

    async def connect(self) -> None:
        """As a registration leaves it."""
        async with self.db.transaction() as conn:
            await registry.update_platform(conn, self.platform, {"state": "registered", "version": "2.3.0"})
            await registry.visible_change(conn)

    def _moment(self) -> datetime:
        self._minutes += 1
        return MOMENT + timedelta(minutes=self._minutes)

    async def put(self, numbers: Iterable[int], party: str = "ABC", **changed: Any) -> None:
        """PUT the locations with these numbers."""
        moment = self._moment()
        await self._write(
            [location("2.3.0", n, party) | {"last_updated": f"{moment:%Y-%m-%dT%H:%M:%SZ}"} | changed for n in numbers], "location", party
        )

    async def put_tariff(self, party: str = "ABC", **changed: Any) -> None:
        """PUT the tariff that the connectors of all locations name."""
        await self._write([tariff("2.3.0", party) | {"last_updated": f"{self._moment():%Y-%m-%dT%H:%M:%SZ}"} | changed], "tariff", party)

    async def _write(self, documents: list[dict[str, Any]], level: Any, party: str) -> None:
        context = Context(self.platform, VERSIONS["2.3.0"], PlatformSettings(), "push", datetime.now(UTC))
        sent = [jsontext.parse(jsontext.dump(raw)) for raw in documents]
        operations = [
            prepare_put(Operation("put", level, NodeKey("FI", party, raw["id"]), self._key(raw["id"], party), context, raw))
            for raw in sent
        ]
        assert all(outcome.error is None for outcome in await write_documents(self.db, operations))
        await self.db.notify("feed")

    def _key(self, row_id: str, party: str) -> tuple[int, str, str, str]:
        return (self.platform, "FI", party, VERSIONS["2.3.0"].id_key(row_id))

    async def status(self, numbers: Iterable[int], status: str, party: str = "ABC") -> None:
        """PATCH the status of their EVSEs."""
        moment = self._moment()
        patches = [StatusPatch(self._key(f"L{n}", party), f"u{n}", status, None, moment, None, datetime.now(UTC)) for n in numbers]
        async with self.db.transaction() as conn:
            assert set((await network.patch_statuses(conn, patches)).values()) == {"applied"}
        await self.db.notify("feed")

    async def withdraw(self, numbers: Iterable[int]) -> None:
        """As a full pull that does not hold them."""
        rows = await self.db.fetch_all("SELECT pk FROM location WHERE id = ANY(%s)", ([f"L{n}" for n in numbers],))
        await crawls.withdraw(self.db, "locations", [pk for (pk,) in rows], "test", datetime.now(UTC) + timedelta(hours=1))
        await self.db.notify("feed")

    async def rename(self, party: str, name: str) -> None:
        """Give an operator another name."""
        async with self.db.transaction() as conn:
            await registry.put_operators(conn, self.platform, self.environment, [Operator(country_code="FI", party_id=party, name=name)])
            await registry.visible_change(conn)

    async def erase(self) -> None:
        """Remove the platform with all that came over it."""
        async with self.db.transaction() as conn:
            await registry.erase_platform(conn, self.platform)
            await registry.visible_change(conn)
