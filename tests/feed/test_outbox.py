"""MQTT as an outbox: nothing is lost when a process or the broker dies, order per EVSE is kept, with either broker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from ocpi_nap.feed.events.broker import EmbeddedBroker
from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.feed.events.mqtt import Publisher
from ocpi_nap.store import events
from ocpi_nap.store.database import Database
from tests.asgi import call
from tests.e2e.cpo import location, tariff
from tests.feed.conftest import Api
from tests.feed.following import BASE, tell
from tests.feed.listener import Listener
from tests.feed.test_stream import Pusher, streaming
from tests.interface import Ocpi
from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Nats:
    """The embedded broker, which can be away for a while."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        with EmbeddedBroker(self._folder, port=self.port) as broker:
            self.url = broker.publisher_url
            yield


class Mosquitto:
    """Mosquitto with its default limits."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        assert MOSQUITTO is not None
        config = self._folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.PIPE)
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if b"running" in line:
                    break
            yield
        finally:
            process.terminate()
            process.wait(10)
            process.stderr.close()


@pytest.fixture(params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Nats | Mosquitto:
    if request.param == "nats":
        return Nats(tmp_path)
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian package mosquitto)")
    return Mosquitto(tmp_path)


class Subscriber:
    """Remembers all messages, over restarts of the broker too."""

    def __init__(self, port: int, topic: str = "#", qos: int = 0) -> None:
        self._port, self._topic, self._qos = port, topic, qos
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.last = ("", "", "")
        self._came = asyncio.Event()

    async def connect(self) -> Subscriber:
        subscribed = asyncio.Event()
        self.client = Client("subscriber")
        self.client.on_message = self._message
        self.client.on_subscribe = lambda *_: subscribed.set()
        await self.client.connect("127.0.0.1", self._port, version=MQTTv311)
        self.client.subscribe(self._topic, qos=self._qos)
        await asyncio.wait_for(subscribed.wait(), 10)
        return self

    def _message(self, client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        self.messages.append((topic, json.loads(payload)))
        self.last = (topic.rsplit("/", 1)[1], self.messages[-1][1].get("status", ""), self.messages[-1][1].get("time", ""))
        self._came.set()
        return 0

    def statuses(self) -> list[tuple[str, str, str]]:
        return [(topic.rsplit("/", 1)[1], message["status"], message["time"]) for topic, message in self.messages if "status" in message]

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(60):
            while not true():
                self._came.clear()
                await self._came.wait()

    async def close(self) -> None:
        await self.client.disconnect()


@asynccontextmanager
async def publishing(db: Database, url: str, **options: Any) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in (EventLogWriter(db), Publisher(db, url, **options))]
    yield
    stop.set()
    await asyncio.gather(*tasks)


async def pusher(ocpi: Ocpi, locations: int) -> Pusher:
    made = Pusher(ocpi, await ocpi.platform("2.2.1"))
    for number in range(locations):
        await made.put(number)
    return made


def in_order(seen: list[tuple[str, str, str]], sent: list[tuple[str, str, str]]) -> None:
    """Every change arrived, and per EVSE each for the first time in the order in which it was sent."""
    first = list(dict.fromkeys(row for row in seen if row in set(sent)))
    for evse in {row[0] for row in sent}:
        assert [row for row in first if row[0] == evse] == [row for row in sent if row[0] == evse]


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_broker_that_is_away(ocpi: Ocpi, broker: Nats | Mosquitto, qos: int) -> None:
    """Pushes go on meanwhile; afterwards everything comes, in order, whatever was in the dying connection."""
    with broker.running():
        made = await pusher(ocpi, 5)
        reader = await Subscriber(broker.port).connect()
        publishing_ = publishing(ocpi.db, broker.url, qos=qos)
        await publishing_.__aenter__()
        await reader.until(lambda: len(reader.messages) == 5)
        going_on = asyncio.create_task(_changes(made, 200))
        await reader.until(lambda: len(reader.messages) > 30)
    await going_on  # nothing waits for the broker
    await reader.close()
    with broker.running():
        again = await Subscriber(broker.port).connect()
        missing = set(made.sent) - set(reader.statuses())
        await again.until(lambda: missing <= set(again.statuses()))
        await publishing_.__aexit__(None, None, None)
        in_order(reader.statuses() + again.statuses(), made.sent)
        await again.close()


async def test_thousands_of_changes_while_the_broker_is_away(ocpi: Ocpi, api: Api, broker: Nats | Mosquitto) -> None:
    """Pushes, /changes and event streams go on meanwhile as if nothing were; then all of it comes, in order."""
    async with streaming(ocpi, api, 20) as (app, made):
        stop = asyncio.Event()
        with broker.running():
            reader = await Subscriber(broker.port).connect()
            publisher = asyncio.create_task(Publisher(ocpi.db, broker.url).run(stop))
            await reader.until(lambda: len(reader.messages) == 20)
            await reader.close()
        listener = await Listener(app).opened()
        cursor = (await call(app, f"{BASE}/changes")).json()["cursor"]
        await asyncio.gather(*(_changes_of(made, number, 150) for number in range(20)))
        await listener.until(lambda: len(listener.events) >= 3000)
        assert len(listener.statuses()) == len(made.sent) == 3000
        told: list[tuple[str, str, str]] = []
        more = True
        while more:
            page = (await call(app, f"{BASE}/changes?since={cursor}")).json()
            rows = [item["status"] for item in page["changes"] if item["kind"] == "status"]
            told += [(row["evseId"], row["status"], row["modifiedAt"]) for row in rows]
            cursor, more = page["cursor"], page["more"]
        in_order(listener.statuses(), made.sent)
        in_order(told, made.sent)
        with broker.running():
            again = await Subscriber(broker.port).connect()
            await again.until(lambda: len(again.messages) >= 3000 and set(made.sent) <= set(again.statuses()))
            stop.set()
            await publisher
        in_order(again.statuses(), made.sent)
        await again.close()
        await listener.leave()


async def _changes_of(made: Pusher, number: int, count: int) -> None:
    for _ in range(count):
        await made.change(number)


async def test_a_broker_that_was_away_for_too_long(ocpi: Ocpi, broker: Nats | Mosquitto) -> None:
    """What events of that time would have said is kept no more: what there is now is told instead, then what changes."""
    with broker.running():
        made = await pusher(ocpi, 3)
        await ocpi.send("PUT", "2.2.1/tariffs/FI/ABC/T1", tariff("2.2.1"), token=made.token)
        reader = await Subscriber(broker.port).connect()
        async with publishing(ocpi.db, broker.url, objects=True):
            await reader.until(lambda: len(reader.messages) == 7)
        await reader.close()
        for status in ("CHARGING", "BLOCKED"):
            for number in range(3):
                await made.change(number, status)
        body = location("2.2.1", 2) | {"publish": False, "last_updated": "2026-03-01T10:00:00Z"}
        await ocpi.send("PUT", "2.2.1/locations/FI/ABC/L2", body, token=made.token)
        await tell(EventLogWriter(ocpi.db))
        await events.clear(ocpi.db, 0)
        again = await Subscriber(broker.port).connect()
        async with publishing(ocpi.db, broker.url, objects=True):
            await again.until(lambda: len(again.messages) == 5)
            await made.change(0, "AVAILABLE")
            await again.until(lambda: len(again.messages) == 6)
        assert again.statuses() == [("FI*ABC*E0", *made.sent[3][1:]), ("FI*ABC*E1", *made.sent[4][1:]), made.sent[-1]]
        assert [topic for topic, _ in again.messages if "status" not in topic] == [
            "location-v1/FI/ABC/L0", "location-v1/FI/ABC/L1", "tariff-v1/FI/ABC/T1",
        ]  # fmt: skip
        once_more = await Subscriber(broker.port).connect()
        async with publishing(ocpi.db, broker.url, objects=True):
            await made.change(1, "AVAILABLE")
            await once_more.until(lambda: once_more.messages)
        assert once_more.statuses() == [made.sent[-1]]  # it was done once
        await again.close()
        await once_more.close()


async def _changes(made: Pusher, count: int) -> None:
    for n in range(count):
        await made.change(n % 5)


async def _changes_until(made: Pusher, enough: asyncio.Event) -> None:
    while not enough.is_set():
        await made.change(made.count % 5)


async def test_a_killed_publisher(ocpi: Ocpi, broker: Nats | Mosquitto, tmp_path: Path) -> None:
    """kill -9 between commits and messages, again and again under load: every change arrives, the first time in order."""
    with broker.running():
        made = await pusher(ocpi, 5)
        reader = await Subscriber(broker.port, qos=1).connect()
        environment = {
            **os.environ, "OCPI_NAP_DATA_DIR": str(tmp_path / "data"), "_OCPI_NAP_WORKER_DSN": ocpi.db.dsn,
            "_OCPI_NAP_PUBLISHER_URL": broker.url, "OCPI_NAP_LOG_LEVEL": "WARNING",
        }  # fmt: skip
        enough = asyncio.Event()
        going_on: asyncio.Task[None] | None = None
        for last in (False, False, False, True):
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "ocpi_nap", "jobs", env=environment)
            try:
                await reader.until(lambda: len(reader.messages) >= 5)  # the log begins with what is there
                going_on = going_on or asyncio.create_task(_changes_until(made, enough))
                had = len(reader.messages)
                await reader.until(lambda had=had: len(reader.messages) > had + 20)
                if last:
                    enough.set()
                    await going_on
                    await reader.until(lambda: made.sent[-1] == reader.last)
            finally:
                process.send_signal(signal.SIGTERM if last else signal.SIGKILL)
                code = await asyncio.wait_for(process.wait(), 30)
        assert code == 0
        in_order(reader.statuses(), made.sent)
        await reader.close()


async def test_a_persistent_session(ocpi: Ocpi, broker: Nats | Mosquitto) -> None:
    """With QoS 1 as the setting, who was away gets what came meanwhile."""
    with broker.running():
        made = await pusher(ocpi, 1)
        async with publishing(ocpi.db, broker.url, qos=1):
            witness = await Subscriber(broker.port).connect()
            await made.change(0)
            await witness.until(lambda: witness.messages)
            for missed in (False, True):
                client, came = Client("lasting", clean_session=False), asyncio.Event()
                client.on_message = lambda *_, came=came: came.set() or 0
                client.on_subscribe = lambda *_, came=came: came.set()
                await client.connect("127.0.0.1", broker.port, version=MQTTv311)
                if not missed:
                    client.subscribe("status-v1/#", qos=1)
                await asyncio.wait_for(came.wait(), 10)
                await client.disconnect()
                if not missed:
                    had = len(witness.messages)
                    await made.change(0)
                    await witness.until(lambda had=had: len(witness.messages) > had)
            await witness.close()


async def test_locations_and_tariffs(ocpi: Ocpi, broker: Nats | Mosquitto) -> None:
    """Opt-in topics: the GeoJSON feature and the tariff as the REST API shows them, tombstones, kept for later subscribers on demand."""
    with broker.running():
        made = await pusher(ocpi, 1)
        reader = await Subscriber(broker.port).connect()
        async with publishing(ocpi.db, broker.url, objects=True, retain=True):
            await reader.until(lambda: len(reader.messages) == 2)
            (topic, feature), (status_topic, _) = reader.messages
            assert topic == "location-v1/FI/ABC/L0" and feature["properties"]["evses"][0]["id"] == "FI*ABC*E0"
            assert status_topic == "status-v1/FI/ABC/L0/FI*ABC*E0"
            body = location("2.2.1", 0) | {"publish": False, "last_updated": "2026-03-01T10:00:00Z"}
            await ocpi.send("PUT", "2.2.1/locations/FI/ABC/L0", body, token=made.token)
            await reader.until(lambda: len(reader.messages) == 3)
            topic, gone = reader.messages[2]
            assert topic == "location-v1/FI/ABC/L0" and (gone["deleted"], gone["reason"]) == (True, "unpublished") and gone["time"]
            await ocpi.send("PUT", "2.2.1/tariffs/FI/ABC/T1", tariff("2.2.1"), token=made.token)
            await reader.until(lambda: len(reader.messages) == 4)
            assert reader.messages[3][0] == "tariff-v1/FI/ABC/T1" and reader.messages[3][1]["currency"] == "EUR"
            await ocpi.send("DELETE", "2.2.1/tariffs/FI/ABC/T1", token=made.token)
            await reader.until(lambda: len(reader.messages) == 5)
            assert reader.messages[4][1]["reason"] == "deleted"
            late = await Subscriber(broker.port, "location-v1/#").connect()
            await late.until(lambda: late.messages)
            assert late.messages == [("location-v1/FI/ABC/L0", gone)]
        await reader.close()
        await late.close()


async def test_what_cannot_be_published(ocpi: Ocpi, broker: Nats | Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """Ids that no topic can hold are left out, which is logged; what follows comes."""
    with broker.running():
        made = await pusher(ocpi, 1)
        body = location("2.2.1", 8)
        evse = body["evses"][0]
        body["evses"] = [evse | {"uid": "u", "evse_id": "FI*ABC*E+1"}, evse | {"uid": "v", "evse_id": "FI*ABC*E 2"}]
        await ocpi.send("PUT", "2.2.1/locations/FI/ABC/L8", body, token=made.token)
        reader = await Subscriber(broker.port).connect()
        async with publishing(ocpi.db, broker.url, objects=True):
            await made.change(0)
            await reader.until(lambda: made.sent[-1] in reader.statuses())
        topics = {topic for topic, _ in reader.messages}
        assert not any("+" in topic or " " in topic for topic in topics)
        assert [record.getMessage()[:30] for record in caplog.records if "left out" in record.message] == ["FI*ABC L8 is left out of MQTT:"]
        await reader.close()
