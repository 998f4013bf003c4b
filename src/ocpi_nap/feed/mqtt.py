"""Statuses to the MQTT broker: the change feed read in order from a durable position (contract section 7)."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311
from prometheus_client import Counter

from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store.changes import READER, ensure_position, next_statuses, store_position
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)

_PUBLISHED = Counter("ocpi_nap_mqtt_published_total", "Status messages published")
_SKIPPED = Counter("ocpi_nap_mqtt_skipped_total", "Status messages whose ids cannot stand in a topic")
_GATHER = 0.015
"""Seconds between two looks at the change feed under load: pushes come in many small commits."""
_LEADER = 8416
_FORBIDDEN = frozenset("/+# \t\r\n\0")


def topic(country_code: str, party_id: str, location_id: str, evse_id: str) -> str | None:
    """``status-v1/<cc>/<party>/<location>/<evse>``, or None when an id cannot be a topic level of the broker."""
    for level in (country_code, party_id, location_id, evse_id):
        if not level or level in ("*", ">") or not _FORBIDDEN.isdisjoint(level) or not level.isprintable():
            return None
    return f"status-v1/{country_code}/{party_id}/{location_id}/{evse_id}"


class StatusPublisher:
    """Publishes every visible status change, from one node at a time."""

    def __init__(
        self, db: Database, mqtt_url: str, *, retain: bool = False, publish_environments: tuple[str, ...] = ("production", "test")
    ) -> None:
        self._db = db
        self._url = urlsplit(mqtt_url)
        self._retain = retain
        self._environments = list(publish_environments)
        self._changed = asyncio.Event()
        self._client: Any = None
        self._connected = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop; without the broker or the database it waits for them."""
        watcher = asyncio.create_task(self._watch())
        try:
            while not stop.is_set():
                try:
                    await self._lead(stop)
                except (psycopg.Error, OSError) as error:
                    log.warning("publishing statuses was interrupted: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            if self._client is not None:
                with suppress(Exception):
                    await self._client.disconnect()

    async def _watch(self) -> None:
        async for _ in self._db.listen("feed"):
            self._changed.set()

    async def _lead(self, stop: asyncio.Event) -> None:
        async with self._db.connection() as conn:
            row = await (await conn.execute("SELECT pg_try_advisory_lock(%s)", (_LEADER,))).fetchone()
            if not row or not row[0]:
                return
            try:
                await self._connect()
                position = await ensure_position(conn, READER)
                while not stop.is_set():
                    self._changed.clear()
                    await asyncio.wait_for(self._connected.wait(), 30)
                    statuses, reached = await next_statuses(conn, position, self._environments)
                    if reached == position:
                        with suppress(TimeoutError):
                            await asyncio.wait_for(self._changed.wait(), 1)
                        continue
                    for status in statuses:
                        self._publish(*status)
                    if not self._connected.is_set():
                        continue  # the connection broke meanwhile: the same again, rather than not at all
                    await store_position(conn, READER, reached)
                    position = reached
                    await asyncio.sleep(_GATHER)
            except TimeoutError:
                log.warning("the MQTT broker does not answer")
            finally:
                await conn.execute("SELECT pg_advisory_unlock(%s)", (_LEADER,))

    def _publish(self, country: str, party: str, location_id: str, evse_id: str, status: str, moment: Any) -> None:
        name = topic(country, party, location_id, evse_id)
        if name is None:
            _SKIPPED.inc()
            return
        payload = f'{{"status":"{status}","time":"{format_ms(moment)}"}}'
        self._client.publish(name, payload, qos=0, retain=self._retain)
        _PUBLISHED.inc()

    async def _connect(self) -> None:
        if self._client is not None:
            return
        client = Client(f"ocpi-nap-{uuid.uuid4().hex[:12]}")
        if self._url.username:
            client.set_auth_credentials(unquote(self._url.username), unquote(self._url.password or ""))
        client.set_config({"reconnect_retries": -1, "reconnect_delay": 1})
        client.on_connect = lambda *_: self._connected.set()
        client.on_disconnect = lambda *_, **__: self._connected.clear()
        tls = self._url.scheme == "mqtts"
        await client.connect(self._url.hostname, self._url.port or (8883 if tls else 1883), ssl=tls, version=MQTTv311, keepalive=30)
        self._client = client
