"""How often one address may ask (contract section 0): counted in memory, added up over all workers and nodes every second."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import psycopg
from starlette.types import ASGIApp, Receive, Scope, Send

from ocpi_nap.feed.http import with_headers
from ocpi_nap.store import limits as sql
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)

WINDOW = 300
"""Seconds of the window of the public API."""
_MOST_CLIENTS = 100_000
"""Addresses that are counted in one window; a flood from more of them is for the network to stop."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Limits:
    """Requests in 5 minutes; ``named`` counts for those with a ``Digitraffic-User`` header."""

    whose: Literal["public", "all", "off"] = "off"
    anonymous: int = 300
    named: int = 3000
    trusted: tuple[Network, ...] = ()


def read_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks separated by commas; raises ValueError naming the wrong one."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


@lru_cache(10_000)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def client_address(scope: Scope, trusted: Iterable[Network]) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Who asks: the other end of the connection, or behind trusted proxies the last address in X-Forwarded-For that is none of them."""
    peer = scope.get("client")
    found = _parsed(peer[0]) if peer else None
    if found is None or not any(found in network for network in trusted):
        return found
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
    for text in reversed(forwarded.split(",")):
        hop = _parsed(text)
        if hop is None:
            return found  # not readable: what stands before it could be anything
        found = hop
        if not any(hop in network for network in trusted):
            return found
    return found


def client_key(scope: Scope, limits: Limits) -> str | None:
    """What is counted: an IPv4 address or an IPv6 /64; None for those who are not limited."""
    if limits.whose == "off":
        return None
    found = client_address(scope, limits.trusted)
    if found is None or (limits.whose == "public" and not found.is_global):
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class Counts:
    """Requests of each client in the current window: ours at once, those of other workers within about a second."""

    def __init__(self, db: Database, bucket: str, window: int) -> None:
        self._db = db
        self._bucket = bucket
        self.window = window
        self._start = 0
        self._new: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._flush: asyncio.Task[None] | None = None

    def add(self, client: str) -> int:
        """Count one more; returns how many there were in this window."""
        start = int(time.time()) // self.window * self.window
        if start != self._start:
            self._start, self._new, self._known = start, {}, {}
        if client not in self._known and client not in self._new and len(self._known) + len(self._new) >= _MOST_CLIENTS:
            return 0
        mine = self._new[client] = self._new.get(client, 0) + 1
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._share())
        return mine + self._known.get(client, 0)

    def left(self) -> int:
        """Seconds until the next window."""
        return max(1, self._start + self.window - int(time.time()))

    async def _share(self) -> None:
        await asyncio.sleep(1)
        await self.share()

    async def share(self) -> None:
        """Add ours to the common counts and learn the others'."""
        start, new = self._start, self._new
        self._new = {}
        for client, count in new.items():
            self._known[client] = self._known.get(client, 0) + count
        try:
            totals = await sql.add_requests(self._db, self._bucket, start, self.window, new)
        except psycopg.Error as error:
            log.warning("request counts could not be shared: %s", error)
            return
        if start == self._start:
            self._known |= totals


class RateLimit:
    """ASGI middleware: counts GETs of the public API and answers 429 beyond the limit; HEAD and OPTIONS are free."""

    def __init__(self, app: ASGIApp, db: Database, limits: Limits, base: str) -> None:
        self._app = app
        self._limits = limits
        self._base = base
        self._counts = Counts(db, "api", WINDOW)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = None
        if scope["type"] == "http" and scope["method"] not in ("HEAD", "OPTIONS") and scope["path"].startswith(self._base):
            client = client_key(scope, self._limits)
        if client is None:
            await self._app(scope, receive, send)
            return
        named = any(name == b"digitraffic-user" and value for name, value in scope["headers"])
        policy, most = ("named", self._limits.named) if named else ("anonymous", self._limits.anonymous)
        used, left = self._counts.add(client), self._counts.left()
        headers = [
            (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (policy.encode(), most, WINDOW)),
            (b"ratelimit", b'"%s";r=%d;t=%d' % (policy.encode(), max(0, most - used), left)),
        ]
        if used > most:
            await _refuse(send, most, [*headers, (b"retry-after", b"%d" % left)])
            return

        await self._app(scope, receive, with_headers(send, headers))


async def _refuse(send: Send, most: int, headers: list[tuple[bytes, bytes]]) -> None:
    text = b"Request rate is limited to %d requests in a 5 minute window." % most
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), *headers]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": text})
