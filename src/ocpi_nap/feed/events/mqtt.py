"""The event log to the MQTT broker, in order from a durable position (contract section 7).

The position moves when the broker has read the messages, whatever their QoS: after each batch we send an UNSUBSCRIBE of nothing, and
brokers answer what comes over a connection in its order. So bytes written into a connection that is dying are told again.

QoS 1 is opt-in: the embedded broker keeps such messages on disk for every persistent session that subscribed with QoS 1, whoever
left it behind, and a full disk would end the publishing for all.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311
from gmqtt.storage import PersistentStorage
from prometheus_client import Counter, Gauge

from ocpi_nap.feed.events.broker import address
from ocpi_nap.feed.events.leader import Leader
from ocpi_nap.feed.events.objects import Shown, present, shown
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store import events, locks
from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.events import Event
from ocpi_nap.waiting import coalesce, happens

log = logging.getLogger(__name__)

_PUBLISHED = Counter("ocpi_nap_mqtt_published_total", "Messages published")
_PUBLISHED_AT = Gauge("ocpi_nap_mqtt_published_at", "Unix time when all events were published", multiprocess_mode="livemax")
_SKIPPED = Counter("ocpi_nap_mqtt_skipped_total", "Messages whose ids cannot stand in a topic, or that are too large")
READER = "mqtt-events"
_BATCH = 1000
"""Events that are read at once; about as many messages are under way at once."""
_ACKNOWLEDGED = 30.0
"""Seconds for the broker to acknowledge a batch."""
_TOLD = 1000
"""Places of which it was logged that they are left out: each once."""
_LARGEST = 1_000_000
"""Bytes of a message; brokers end the connection over larger ones."""
_NOTHING = "ocpi-nap/nothing"
_FORBIDDEN = frozenset("/+# \t\r\n\0")
_text = msgspec.json.encode
Message = tuple[str | None, bytes]


class BrokerAway(OSError):
    """The broker does not answer, or the connection broke."""


def topic(kind: str, *levels: str) -> str | None:
    """``<kind>/<cc>/<party>/…``, or None when an id cannot be a topic level of the broker."""
    for level in levels:
        if not level or level in ("*", ">") or not _FORBIDDEN.isdisjoint(level) or not level.isprintable():
            return None
    return "/".join((kind, *levels))


def status_messages(event: Event) -> list[Message]:
    """``status-v1/<cc>/<party>/<location>/<evse>``: the status of an event, or those of the EVSEs that appeared with it."""
    if event.kind == "status":
        assert event.status_at is not None
        rows = [(event.evse_id or "", event.status or "", format_ms(event.status_at))]
    else:
        rows = [(evse_id, status, moment) for evse_id, status, moment in (event.evses or {}).get("appeared", [])]
    return [
        (topic("status-v1", event.country_code, event.party_id, event.id, evse_id), f'{{"status":"{status}","time":"{moment}"}}'.encode())
        for evse_id, status, moment in rows
    ]


class _Client(Client):  # type: ignore[misc]
    """A client that stays down: only a new one, from the stored position on, keeps the order."""

    async def reconnect(self, delay: bool = False) -> None:
        """Nothing."""


class _Link:
    """One connection to the broker."""

    def __init__(self) -> None:
        self.unacknowledged = PersistentStorage()
        self.broken = asyncio.Event()
        self._answered = asyncio.Event()
        self.client = _Client(f"ocpi-nap-{uuid.uuid4().hex[:12]}", persistent_storage=self.unacknowledged)
        self.client.on_disconnect = lambda *_, **__: self.broken.set()
        self.client.on_unsubscribe = lambda *_: self._answered.set()

    async def acknowledged(self) -> None:
        """Return when the broker has everything; raises BrokerAway."""
        self._answered.clear()
        self.client.unsubscribe(_NOTHING)
        had, broke = asyncio.create_task(self._all_answered()), asyncio.create_task(self.broken.wait())
        try:
            await asyncio.wait((had, broke), timeout=_ACKNOWLEDGED, return_when=asyncio.FIRST_COMPLETED)
            if self.broken.is_set() or not had.done():
                raise BrokerAway("the MQTT broker did not acknowledge")
        finally:
            had.cancel()
            broke.cancel()

    async def _all_answered(self) -> None:
        await self._answered.wait()
        await self.unacknowledged.wait_empty()


class Publisher(Leader):
    """Publishes what the event log tells, from one node at a time; ``objects``: locations and tariffs too, not only statuses."""

    def __init__(
        self, db: Database, mqtt_url: str, *, qos: int = 0, retain: bool = False, objects: bool = False,
        publish_environments: tuple[str, ...] = ("production", "test"),
    ) -> None:  # fmt: skip
        super().__init__(db, locks.PUBLISH_MQTT, "event", "publishing on MQTT")
        self._url, self._address = urlsplit(mqtt_url), address(mqtt_url)
        self._qos = qos
        self._retain = retain
        self._objects = objects
        self._environments = list(publish_environments)
        self._left_out: set[tuple[str, str, str]] = set()

    async def work(self, conn: Conn, stop: asyncio.Event) -> None:
        """Publish over one connection to the broker."""
        async with self._connected() as link:
            await self._publish_all(conn, link, stop)

    async def _publish_all(self, conn: Conn, link: _Link, stop: asyncio.Event) -> None:
        position = await self._resume(conn, link)
        while not stop.is_set():
            self.changed.clear()
            began = time.monotonic()
            found = await events.after(self.db, position, _BATCH)
            if link.broken.is_set():
                raise BrokerAway("the connection to the MQTT broker broke")
            if not found:
                _PUBLISHED_AT.set(time.time())
                await happens(self.changed, link.broken, stop, within=1)
                continue
            await self._publish(link, found)
            await link.acknowledged()
            position = found[-1].seq
            await events.store_read(conn, READER, position)
            if len(found) < _BATCH:
                _PUBLISHED_AT.set(time.time())
            await coalesce(time.monotonic() - began)

    async def _resume(self, conn: Conn, link: _Link) -> int:
        """The event to go on after. In place of events that are kept no more, what there is now is published."""
        position = await events.read_until(conn, READER)
        cleared, last, _ = await events.bounds(self.db)
        if position >= cleared:
            return position
        log.warning("the MQTT broker was away for longer than events are kept: what there is now is published instead")
        async for found in present(self.db, self._environments):
            await self._publish(link, found)
            await link.acknowledged()
        await events.store_read(conn, READER, last)
        return last

    async def _publish(self, link: _Link, found: list[Event]) -> None:
        objects = await shown(self.db, self._environments, found) if self._objects else {}
        under_way = 0
        for event in found:
            messages = status_messages(event)
            if self._objects and event.kind != "status":
                messages.insert(0, (topic(f"{event.kind}-v1", event.country_code, event.party_id, event.id), self._object(event, objects)))
            for name, payload in messages:
                if name is None or len(payload) > _LARGEST:
                    self._leave_out(event)
                elif payload:
                    link.client.publish(name, payload, qos=self._qos, retain=self._retain)
                    _PUBLISHED.inc()
                    under_way += 1
            if under_way >= _BATCH:
                await link.acknowledged()
                under_way = 0

    def _leave_out(self, event: Event) -> None:
        _SKIPPED.inc()
        place = (event.country_code, event.party_id, event.id)
        if place not in self._left_out and len(self._left_out) < _TOLD:
            self._left_out.add(place)
            log.warning("%s*%s %s is left out of MQTT: an id cannot stand in a topic, or a message is too large", *place)

    @staticmethod
    def _object(event: Event, objects: Shown) -> bytes:
        """The feature or tariff (nothing where it is hidden by now: its withdrawal follows), or the tombstone."""
        if event.change != "removed":
            return objects.get((event.kind, event.row_pk), (b"", b""))[0]
        assert event.at is not None
        return _text({"deleted": True, "reason": event.reason, "time": format_ms(event.at)})

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Link]:
        link = _Link()
        client: Any = link.client
        if self._url.username:
            client.set_auth_credentials(unquote(self._url.username), unquote(self._url.password or ""))
        host, port, tls = self._address
        try:
            try:
                await asyncio.wait_for(client.connect(host, port, ssl=tls, version=MQTTv311, keepalive=30), 10)
            except (TimeoutError, Exception) as error:
                raise BrokerAway(f"the MQTT broker does not answer: {error or type(error).__name__}") from None
            yield link
        finally:
            with suppress(Exception):
                await client.disconnect()
