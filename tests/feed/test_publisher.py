"""Status changes on MQTT: once each, in order, and again after the broker was away (contract section 7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ocpi_nap.feed.events.broker import EmbeddedBroker
from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.feed.events.mqtt import Publisher
from ocpi_nap.store.database import Database
from tests.feed.network import Network
from tests.feed.test_broker import Reader
from tests.ports import free_port


async def one_location(db: Database, environment: str = "production") -> Network:
    """One Location with one EVSE, whose status a test changes."""
    made = await Network.create(db, environment=environment)
    await made.put([1])
    return made


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
        made = await one_location(database)
        async with publishing(database, broker.publisher_url, 2):
            assert await statuses(reader, 1) == ["AVAILABLE"]
            wanted = ["CHARGING", "AVAILABLE", "BLOCKED", "OUTOFORDER"]
            for status in wanted:
                await made.status([1], status)
            assert await statuses(reader, 4) == wanted
            await made.status([1], "OUTOFORDER")  # no change of status: no message
            await made.status([1], "RESERVED")
            topic, payload = await reader.next()
        assert (topic, payload) == ("status-v1/FI/ABC/L1/FI*ABC*E1", b'{"status":"RESERVED","time":"2026-02-01T12:07:00.000Z"}')
        assert reader.messages.empty()
        await reader.client.disconnect()


async def test_what_changed_while_the_broker_was_away(database: Database, tmp_path: Path) -> None:
    """The broker restarts: the publisher finds it again and goes on where it was."""
    with EmbeddedBroker(tmp_path, port=free_port()) as broker:
        port = broker.port
        reader = await Reader("first").connect(broker, "status-v1/#")
        made = await one_location(database)
        publisher = publishing(database, broker.publisher_url)
        await publisher.__aenter__()
        assert await statuses(reader, 1) == ["AVAILABLE"]
        await reader.client.disconnect()
        await made.db.fetch_all("SELECT 1")
    await made.status([1], "CHARGING")
    with EmbeddedBroker(tmp_path, port=port) as broker:
        again = await Reader("second").connect(broker, "status-v1/#")
        await made.status([1], "BLOCKED")
        seen: list[str] = []
        while "BLOCKED" not in seen:
            seen += await statuses(again, 1)
        assert seen[-2:] == ["CHARGING", "BLOCKED"] or seen == ["BLOCKED"]
        await publisher.__aexit__(None, None, None)
        await again.client.disconnect()


async def test_only_published_environments(database: Database, tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path, port=free_port()) as broker:
        reader = await Reader("reader").connect(broker, "status-v1/#")
        hidden, shown = await one_location(database, "test"), await one_location(database)
        async with publishing(database, broker.publisher_url):
            assert await statuses(reader, 1) == ["AVAILABLE"]
            await hidden.status([1], "BLOCKED")
            await shown.status([1], "CHARGING")
            assert await statuses(reader, 1) == ["CHARGING"]
        await reader.client.disconnect()
