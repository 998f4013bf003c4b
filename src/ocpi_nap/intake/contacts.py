"""When each platform last asked something of us, and how many pushes it sends, written down every second."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg

from ocpi_nap.ocpi.ports import Authenticator, Caller
from ocpi_nap.store.activity import note_requests
from ocpi_nap.store.database import Database
from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)


class CountingAuthenticator:
    """Implements ocpi.ports.Authenticator around another one: every request of a platform passes here."""

    def __init__(self, inner: Authenticator, db: Database) -> None:
        self._inner, self._db = inner, db
        self._requests: dict[int, datetime] = {}
        self._pushed: dict[int, datetime] = {}
        self._minutes: Counter[tuple[int, datetime]] = Counter()

    async def authenticate(self, readings: Sequence[str], *, cached: bool) -> Caller | None:
        """As the inner one answers; ``cached`` marks a push."""
        caller = await self._inner.authenticate(readings, cached=cached)
        if caller is not None:
            now = datetime.now(UTC)
            self._requests[caller.platform_id] = now
            if cached:
                self._pushed[caller.platform_id] = now
                self._minutes[caller.platform_id, now.replace(second=0, microsecond=0)] += 1
        return caller

    async def flush(self) -> None:
        """Write what came together; what cannot be written is only a count."""
        if not self._requests:
            return
        requests, pushed, minutes = self._requests, self._pushed, self._minutes
        self._requests, self._pushed, self._minutes = {}, {}, Counter()
        try:
            await note_requests(self._db, requests, pushed, dict(minutes))
        except psycopg.Error as error:
            log.warning("requests of platforms could not be counted: %s", error)

    async def run(self, stop: asyncio.Event) -> None:
        """Flush every second until told to stop, and once more then."""
        while not await happens(stop, within=1):
            await self.flush()
        await self.flush()
