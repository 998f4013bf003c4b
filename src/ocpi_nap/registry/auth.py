"""Who presents a token (R5–R9, R76, R101)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.ports import Access, Caller
from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.registry.hints import Hints
from ocpi_nap.store.database import Database
from ocpi_nap.store.registry import FIND_CALLER

_FRESH = 1.0
"""Seconds that a push may rely on what was looked up before, unless NOTIFY voids it sooner: whether the token still holds, its write asks
itself, in the transaction that stores it (`tokens_that_hold`, R106)."""
_MOST = 4096


class TokenAuthenticator:
    """Implements ocpi.ports.Authenticator on the token hashes."""

    def __init__(self, db: Database, hints: Hints | None = None) -> None:
        self._db = db
        self._hints = hints
        self._known: dict[str, tuple[float, Caller]] = {}
        self._running: dict[tuple[str, ...], asyncio.Task[Caller | None]] = {}

    async def authenticate(self, readings: Sequence[str], *, cached: bool) -> Caller | None:
        """The caller for the first known reading (D2), or None."""
        if not cached:
            return await self._look_up(readings)
        for reading in readings:
            found = self._known.get(reading)
            if found is not None and time.monotonic() - found[0] < _FRESH:
                return found[1]
        key = tuple(readings)
        running = self._running.get(key)
        if running is None:  # pushes that come together share one look: each a look of its own would hold all up once a second
            running = self._running[key] = asyncio.create_task(self._look_up(readings))
            running.add_done_callback(partial(_forget, self._running, key))
        return await asyncio.shield(running)

    async def _look_up(self, readings: Sequence[str]) -> Caller | None:
        known = self._known  # a look-up that is under way when it is voided is remembered in the one that is gone
        for reading in readings:
            row = await self._db.fetch_one(FIND_CALLER, (hash_token(reading),))
            if row is None:
                continue
            caller = _caller(row)
            if row[3]:
                await self._first_use(caller, row[1], row[2])
            if caller.access == "full":  # what a token opens only grows: less is never remembered
                if len(known) >= _MOST:
                    known.clear()
                known[reading] = (time.monotonic(), caller)
            return caller
        if self._hints is not None:
            await self._hints.tell(readings)
        return None

    async def _first_use(self, caller: Caller, kind: str, state: str) -> None:
        """A token proven by its first use retires the one before it (D18)."""
        retires = kind == "B" and state == "active"
        async with self._db.transaction() as conn:
            await conn.execute("UPDATE token SET first_used_at = now() WHERE id = %s", (caller.token_id,))
            if retires:
                await conn.execute(
                    "UPDATE token SET expires_at = now() WHERE platform_id = %s AND state = 'retiring'", (caller.platform_id,)
                )  # fmt: skip
                await conn.execute("SELECT pg_notify('registry', '')")

    async def run(self) -> None:
        """Forget what was looked up whenever the registry changes, on any node."""
        async for _ in self._db.listen("registry"):
            self._known, self._running = {}, {}
            await asyncio.sleep(0)


def _forget(running: dict[tuple[str, ...], asyncio.Task[Caller | None]], key: tuple[str, ...], ended: asyncio.Task[Caller | None]) -> None:
    """A look that has ended; nobody may be left to take its error."""
    running.pop(key, None)
    if not ended.cancelled():
        ended.exception()


def _caller(row: tuple[Any, ...]) -> Caller:
    token_id, kind, state, _, platform_id, name, country, party, version, settings, platform_state, parties = row
    access: Access = "full"
    if kind == "A":
        access = "token-a"
    elif state == "pending" and platform_state != "unknown":
        access = "pending"
    return Caller(
        platform_id=platform_id, platform_name=name, token_id=token_id, access=access, party=(country, party),
        parties=frozenset((p[:2], p[3:]) for p in parties), version=version, settings=msgspec.convert(settings, PlatformSettings),
    )  # fmt: skip
