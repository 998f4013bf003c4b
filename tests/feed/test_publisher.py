"""Status changes on MQTT: once each, in order, and again after the broker was away (contract section 7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from ocpi_nap.feed.events.broker import EmbeddedBroker
from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.feed.events.mqtt import Publisher
from ocpi_nap.intake.batches import write_documents
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.model.platform import Operator, PlatformSettings
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.store import network, registry
from ocpi_nap.store.database import Database
from ocpi_nap.store.rows import StatusPatch
from tests.e2e.cpo import location
from tests.feed.test_broker import Reader
from tests.ports import free_port


class Network:
    """One Location with one EVSE, whose status a test changes."""

    def __init__(self, db: Database, platform: int) -> None:
        self.db, self.platform = db, platform
        self.key = (platform, "FI", "ABC", "l1")

    @classmethod
    async def create(cls, db: Database, environment: str = "production") -> Network:
        values = {
            "name": f"p-{environment}", "environment": environment, "versions_url": "https://cpo.example", "country_code": "FI",
            "party_id": "PLT", "token_encoding": "raw",
        }  # fmt: skip
        async with db.transaction() as conn:
            platform = await registry.insert_platform(conn, values)
            await registry.insert_operators(conn, platform, environment, [Operator(country_code="FI", party_id="ABC", name="Abc")])
        made = cls(db, platform)
        context = Context(platform, VERSIONS["2.2.1"], PlatformSettings(), "push", datetime.now(UTC))
        operation = Operation("put", "location", NodeKey("FI", "ABC", "L1"), made.key, context, location("2.2.1", 1))
        await write_documents(db, [prepare_put(operation)])
        await db.notify("feed")
        return made

    async def change(self, status: str, minute: int) -> None:
        moment = datetime(2026, 2, 1, 12, minute, tzinfo=UTC)
        patch = StatusPatch(self.key, "u1", status, None, moment, None, datetime.now(UTC))
        async with self.db.transaction() as conn:
            assert await network.patch_statuses(conn, [patch]) == {0: "applied"}
        await self.db.notify("feed")


@asynccontextmanager
async def publishing(db: Database, url: str, count: int = 1, *, environments: tuple[str, ...] = ("production",)) -> AsyncIterator[None]:
    stop = asyncio.Event()
    parts = [part for _ in range(count) for part in (EventLogWriter(db, publish_environments=environments),
                                                     Publisher(db, url, publish_environments=environments))]  # fmt: skip
    tasks = [asyncio.create_task(part.run(stop)) for part in parts]
    yield
    stop.set()
    await asyncio.gather(*tasks)


async def statuses(reader: Reader, count: int) -> list[str]:
    return [json.loads((await asyncio.wait_for(reader.messages.get(), 30))[1])["status"] for _ in range(count)]


async def test_each_change_once_whatever_the_number_of_nodes(database: Database, tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path, port=free_port()) as broker:
        reader = await Reader("reader").connect(broker, "status-v1/#")
        made = await Network.create(database)
        async with publishing(database, broker.publisher_url, 2):
            assert await statuses(reader, 1) == ["AVAILABLE"]
            wanted = ["CHARGING", "AVAILABLE", "BLOCKED", "OUTOFORDER"]
            for minute, status in enumerate(wanted):
                await made.change(status, minute)
            assert await statuses(reader, 4) == wanted
            await made.change("OUTOFORDER", 30)  # no change of status: no message
            await made.change("RESERVED", 31)
            topic, payload = await reader.next()
        assert (topic, payload) == ("status-v1/FI/ABC/L1/FI*ABC*E1", b'{"status":"RESERVED","time":"2026-02-01T12:31:00.000Z"}')
        assert reader.messages.empty()
        await reader.client.disconnect()


async def test_what_changed_while_the_broker_was_away(database: Database, tmp_path: Path) -> None:
    """The broker restarts: the publisher finds it again and goes on where it was."""
    with EmbeddedBroker(tmp_path, port=free_port()) as broker:
        port = broker.port
        reader = await Reader("first").connect(broker, "status-v1/#")
        made = await Network.create(database)
        publisher = publishing(database, broker.publisher_url)
        await publisher.__aenter__()
        assert await statuses(reader, 1) == ["AVAILABLE"]
        await reader.client.disconnect()
        await made.db.fetch_all("SELECT 1")
    await made.change("CHARGING", 1)
    with EmbeddedBroker(tmp_path, port=port) as broker:
        again = await Reader("second").connect(broker, "status-v1/#")
        await made.change("BLOCKED", 2)
        seen: list[str] = []
        while "BLOCKED" not in seen:
            seen += await statuses(again, 1)
        assert seen[-2:] == ["CHARGING", "BLOCKED"] or seen == ["BLOCKED"]
        await publisher.__aexit__(None, None, None)
        await again.client.disconnect()


async def test_only_published_environments(database: Database, tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path, port=free_port()) as broker:
        reader = await Reader("reader").connect(broker, "status-v1/#")
        hidden, shown = await Network.create(database, "test"), await Network.create(database)
        async with publishing(database, broker.publisher_url):
            assert await statuses(reader, 1) == ["AVAILABLE"]
            await hidden.change("BLOCKED", 1)
            await shown.change("CHARGING", 2)
            assert await statuses(reader, 1) == ["CHARGING"]
        await reader.client.disconnect()
