"""MQTT over WebSocket on our own port: the bytes are passed on to the broker and back (contract section 7)."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import Receive, Scope, Send

from ocpi_nap.feed.events.broker import address
from ocpi_nap.feed.limits import Counts, Limits, client_key
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)

_PROTOCOLS = ("mqtt", "mqttv3.1")
_CHUNK = 65536


class MqttRelay:
    """ASGI application for websocket connections to ``/mqtt``; the broker is at a URL, ``mqtt[s]://host:port``."""

    def __init__(self, url: str) -> None:
        self._host, self._port, self._tls = address(url)
        self._counts: Counts | None = None
        self._limits = Limits()
        self._most = 0

    def limit(self, db: Database, limits: Limits, connections_per_minute: int) -> None:
        """Refuse an address's further connections in a minute (contract section 0); 0 is no limit."""
        self._most, self._limits = connections_per_minute, limits
        self._counts = Counts(db, "mqtt", 60) if connections_per_minute else None

    def _too_many(self, scope: Scope) -> bool:
        client = client_key(scope, self._limits) if self._counts is not None else None
        return self._counts is not None and client is not None and self._counts.add(client) > self._most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one connection until either side ends it."""
        await receive()
        if scope["path"].rstrip("/") != "/mqtt":
            await send({"type": "websocket.close", "code": 4404})
            return
        if self._too_many(scope):
            await send({"type": "websocket.http.response.start", "status": 429, "headers": [(b"retry-after", b"60")]})
            await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
            return
        chosen = next((p for p in _PROTOCOLS if p in scope.get("subprotocols", [])), None)
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None)
        except OSError as error:
            log.warning("the MQTT broker does not answer: %s", error)
            await send({"type": "websocket.accept", "subprotocol": chosen})
            await send({"type": "websocket.close", "code": 1013, "reason": "the broker does not answer"})
            return
        await send({"type": "websocket.accept", "subprotocol": chosen})
        upward = asyncio.create_task(_up(receive, writer))
        downward = asyncio.create_task(_down(reader, send))
        try:
            await asyncio.wait({upward, downward}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            client_left = upward.done() and not upward.cancelled() and upward.exception() is None and upward.result()
            for task in (upward, downward):
                task.cancel()
            await asyncio.gather(upward, downward, return_exceptions=True)
            writer.close()
            if not client_left:
                await send({"type": "websocket.close", "code": 1000})


async def _up(receive: Receive, writer: asyncio.StreamWriter) -> bool:
    """Client to broker; True when the client left, False when it sent text, which MQTT does not know."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return True
        data = message.get("bytes")
        if data is None:
            return False
        writer.write(data)
        await writer.drain()


async def _down(reader: asyncio.StreamReader, send: Send) -> None:
    """Broker to client."""
    while data := await reader.read(_CHUNK):
        await send({"type": "websocket.send", "bytes": data})
