"""How a web worker sees the fragments: the renderer's store, waited for until it holds what was committed before a request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lmdb
import psycopg
from prometheus_client import Counter

from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.fragments.tables import Reading
from ocpi_nap.store import feed as sql
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)

_LATE = Counter("ocpi_nap_api_behind_total", "Answers given before the renderer had caught up with the database")
_FIRST_PATIENCE = 10.0
"""Seconds that a request waits for the renderer while there is nothing to show yet: a new service fills its store."""
_NAP = 0.002
_POKE = 0.02
"""Wait after which the renderer is woken, then twice as long each time: its own notification may have been missed, or an older transaction
has ended, which nobody tells."""
_RESIGNED = 5.0
"""Seconds in which requests wait for no older transaction after one did not end in time: it may last."""


class NotReady(Exception):
    """The store is being filled for the first time."""


class FeedReader:
    """Reads one store; ``store`` shares that of a renderer in this process, else it is opened when first read. ``patience`` is how long
    (s) a request waits for the renderer."""

    def __init__(self, db: Database, folder: Path, store: FragmentStore | None = None, *, patience: float = 0.5) -> None:
        self._db = db
        self._patience = patience
        self._folder = folder
        self._store = store
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._shown = False
        self._resigned_until = 0.0

    def close(self) -> None:
        """Close the store, if it was opened."""
        if self._store is not None:
            self._store.close()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A consistent look at the fragments."""
        assert self._store is not None
        with self._store.reading() as reading:
            yield reading

    async def ask(self, channel: str, payload: str) -> None:
        """Tell the processes that listen; a database that is away cannot."""
        try:
            await self._db.notify(channel, payload)
        except psycopg.Error as error:
            log.warning("nobody could be asked: %s", error)

    async def sync(self) -> None:
        """Return when everything that was committed before this call can be read, or after a while; raises NotReady.

        One look at the database serves all requests that wait; one that began before the call may have missed it.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._sync())
            await asyncio.shield(self._running)
            return
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._after(self._running))
        await asyncio.shield(self._next)

    async def _after(self, running: asyncio.Task[None]) -> None:
        await asyncio.wait([running])
        self._running, self._next = self._next, None
        await self._sync()

    async def _sync(self) -> None:
        began = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience if self._shown else _FIRST_PATIENCE):
                try:
                    await self._reach(await sql.newest(self._db, readable=began < self._resigned_until))
                except psycopg.Error as error:
                    log.warning("the database could not be asked for news: %s", error)
        self._shown = self._position() is not None
        if not self._shown:
            raise NotReady
        if time.monotonic() - began >= self._patience:
            _LATE.inc()
            self._resigned_until = time.monotonic() + _RESIGNED

    async def _reach(self, wanted: sql.Position) -> None:
        waited, poke = 0.0, _POKE
        while (reached := self._position()) is None or reached < wanted:
            if waited >= poke:
                await self._db.notify("feed", sql.WANTED)
                poke *= 2
            await asyncio.sleep(_NAP)
            waited += _NAP

    def _position(self) -> sql.Position | None:
        """How far the renderer is; None before there is anything."""
        if self._store is None:
            try:
                self._store = FragmentStore.open(self._folder)
            except lmdb.Error:
                return None
        with self._store.reading() as reading:
            return reading.state.position if reading.state.generation else None
