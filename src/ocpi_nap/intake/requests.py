"""How often a platform was asked: some allow only so many requests a day (I-8)."""

from __future__ import annotations

from ocpi_nap.model.platform import Platform
from ocpi_nap.store import crawls
from ocpi_nap.store.database import Database


class Requests:
    """Counts what one pull or repair sends to a platform, retries and redirects too; `count` is a Peer's ``sent``."""

    def __init__(self, db: Database, platform: Platform) -> None:
        self._db, self._platform = db, platform
        self._number = 0

    def count(self) -> None:
        """One more went out."""
        self._number += 1

    async def note(self) -> None:
        """Add what was counted to the platform's hour."""
        number, self._number = self._number, 0
        if number:
            await crawls.note_requests_sent(self._db, self._platform.id, number)

    async def used_up(self) -> bool:
        """Whether the platform may not be asked again now."""
        allowed = self._platform.settings.max_requests_per_day
        return 0 < allowed <= await crawls.requests_sent(self._db, self._platform.id)
