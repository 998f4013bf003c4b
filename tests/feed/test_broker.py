"""The embedded broker: everybody reads, nobody outside publishes, sessions persist (contract section 7)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from ocpi_nap.cli.children import kept_alive
from ocpi_nap.feed.events.broker import READER, BrokerError, EmbeddedBroker
from tests.ports import free_port

TOPIC = "status-v1/FI/ABC/L1/FI*ABC*E1"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path, port=free_port()) as running:
        yield running


class Reader:
    """An MQTT client that keeps what it receives."""

    def __init__(self, name: str, login: tuple[str, str] | None = None, *, clean: bool = True) -> None:
        self.client = Client(name, clean_session=clean)
        if login:
            self.client.set_auth_credentials(*login)
        self.messages: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.subscribed = asyncio.Event()
        self.client.on_message = self._received
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    def _received(self, client: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        self.messages.put_nowait((topic, payload))
        return 0

    async def connect(self, broker: EmbeddedBroker, subscribe: str | None = None, qos: int = 0) -> Reader:
        await self.client.connect(broker.host, broker.port, version=MQTTv311)
        if subscribe:
            self.client.subscribe(subscribe, qos=qos)
            await asyncio.wait_for(self.subscribed.wait(), 10)
        return self

    async def next(self) -> tuple[str, bytes]:
        """The broker sends what went into a connection that was ending once more after 30 s."""
        return await asyncio.wait_for(self.messages.get(), 60)


@pytest.fixture
async def publisher(broker: EmbeddedBroker) -> AsyncIterator[Reader]:
    login = ("publisher", broker.publisher_url.split(":")[2].split("@")[0])
    found = await Reader("publisher", login).connect(broker)
    yield found
    await found.client.disconnect()


@pytest.mark.parametrize("login", [None, READER], ids=["anonymous", "digitraffic"])
@pytest.mark.parametrize("topic", ["status-v1/#", "#", "status-v1/FI/ABC/+/+"])
async def test_everybody_reads(broker: EmbeddedBroker, publisher: Reader, login: tuple[str, str] | None, topic: str) -> None:
    reader = await Reader("reader", login).connect(broker, topic)
    publisher.client.publish(TOPIC, b"{}")
    assert await reader.next() == (TOPIC, b"{}")
    await reader.client.disconnect()


@pytest.mark.parametrize("login", [None, READER], ids=["anonymous", "digitraffic"])
async def test_nobody_outside_publishes(broker: EmbeddedBroker, publisher: Reader, login: tuple[str, str] | None) -> None:
    reader = await Reader("reader").connect(broker, "status-v1/#")
    intruder = await Reader("intruder", login).connect(broker, "status-v1/#")
    intruder.client.publish(TOPIC, b"forged")
    await asyncio.wait_for(_round_trip(intruder), 10)
    publisher.client.publish(TOPIC, b"true")
    assert await reader.next() == (TOPIC, b"true")
    await reader.client.disconnect()


async def _round_trip(reader: Reader) -> None:
    """After the answer to one more subscription, what was sent before it has been handled (or the connection is closed)."""
    reader.subscribed.clear()
    reader.client.subscribe("status-v1/NONE/#")
    if reader.client.is_connected:
        _, pending = await asyncio.wait([asyncio.create_task(reader.subscribed.wait())], timeout=3)
        for task in pending:
            task.cancel()


@pytest.mark.parametrize("login", [None, READER], ids=["anonymous", "digitraffic"])
async def test_a_session_persists(broker: EmbeddedBroker, publisher: Reader, login: tuple[str, str] | None) -> None:
    first = await Reader("lasting", login, clean=False).connect(broker, "status-v1/#", qos=1)
    await first.client.disconnect()
    publisher.client.publish(TOPIC, b"missed", qos=1)
    second = await Reader("lasting", login, clean=False).connect(broker)
    assert await second.next() == (TOPIC, b"missed")
    await second.client.disconnect()


async def test_a_broker_that_dies_is_started_again(broker: EmbeddedBroker) -> None:
    """On the same port, with the same logins and with the sessions that it kept."""
    lasting = await Reader("lasting", clean=False).connect(broker, "status-v1/#", qos=1)
    await lasting.client.disconnect()
    os.kill(broker.pid, signal.SIGKILL)
    login = ("publisher", broker.publisher_url.split(":")[2].split("@")[0])
    with kept_alive(broker):
        async with asyncio.timeout(30):
            while True:
                with suppress(OSError):
                    publisher = await Reader("publisher", login).connect(broker)
                    break
        publisher.client.publish(TOPIC, b"{}", qos=1)
        again = await Reader("lasting", clean=False).connect(broker)
        assert await again.next() == (TOPIC, b"{}")
        await again.client.disconnect()
        await publisher.client.disconnect()


def test_a_taken_port_is_told(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=f"port {broker.port}"), EmbeddedBroker(tmp_path / "other", port=broker.port):
        pass


async def test_the_servers_own_subjects_stay_closed(broker: EmbeddedBroker, publisher: Reader) -> None:
    """A reader learns nothing of other clients' sessions."""
    spy = Reader("spy")
    await spy.client.connect(broker.host, broker.port, version=MQTTv311)
    for topic in ("$JS/#", "$SYS/#", "$MQTT/#", "$MQTT/JSA/#", "status-v1/#"):
        spy.client.subscribe(topic)
    await asyncio.wait_for(spy.subscribed.wait(), 10)
    lasting = await Reader("lasting", clean=False).connect(broker, "status-v1/#", qos=1)
    publisher.client.publish(TOPIC, b"{}", qos=1)
    assert await lasting.next() == (TOPIC, b"{}")
    seen = [await spy.next()]
    while not spy.messages.empty():
        seen.append(spy.messages.get_nowait())
    assert {topic for topic, _ in seen} == {TOPIC}
    await spy.client.disconnect()
    await lasting.client.disconnect()
