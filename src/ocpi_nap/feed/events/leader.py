"""Work that one node does at a time: it follows a channel of PostgreSQL for as long as it holds an advisory lock."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod

import psycopg

from ocpi_nap.store import locks
from ocpi_nap.store.database import Conn, Database
from ocpi_nap.waiting import happens, meanwhile

log = logging.getLogger(__name__)

_AGAIN = 60.0
"""Seconds until the log says the same again: a broker may be away for days."""


class Leader(ABC):
    """`run` waits for its turn and works while it lasts; `changed` is set by each notification of the channel."""

    def __init__(self, db: Database, lock: int, channel: str, what: str) -> None:
        self.db = db
        self.changed = asyncio.Event()
        self._lock, self._channel, self._what = lock, channel, what
        self._said, self._said_at = "", 0.0

    @abstractmethod
    async def work(self, conn: Conn, stop: asyncio.Event) -> None:
        """Work on the connection that holds the lock until told to stop; an error ends the turn, and another one is sought."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; without the database, or what else is needed, wait for it."""
        async with meanwhile(self.db.wake(self.changed, self._channel)):
            while not stop.is_set():
                try:
                    await self._lead(stop)
                except (psycopg.Error, OSError) as error:
                    self._say(str(error))
                except Exception:
                    log.exception("%s failed", self._what)
                await happens(stop, within=1)

    def _say(self, reason: str) -> None:
        if reason != self._said or time.monotonic() - self._said_at >= _AGAIN:
            log.warning("%s was interrupted: %s", self._what, reason)
            self._said, self._said_at = reason, time.monotonic()

    async def _lead(self, stop: asyncio.Event) -> None:
        async with self.db.connection() as conn, locks.held(conn, self._lock, wait=False) as leading:
            if leading:
                await self.work(conn, stop)
