"""Whether the connection over which a pull works is still the one it began with."""

from __future__ import annotations

from ocpi_nap.model.platform import CONNECTED
from ocpi_nap.ocpi.paging import CrawlFailed
from ocpi_nap.store import crawls
from ocpi_nap.store.database import Database


class Connection:
    """A platform's connection at the beginning of a pull."""

    def __init__(self, db: Database, platform_id: int, began: tuple[str, bool, bytes | None] | None) -> None:
        self._db, self._platform_id, self._began = db, platform_id, began

    @classmethod
    async def of(cls, db: Database, platform_id: int) -> Connection:
        """As it is now."""
        return cls(db, platform_id, await crawls.connection(db, platform_id))

    async def ended(self) -> str:
        """Why nothing more may be asked over it: it was ended (R106), renewed or paused since; "" while it goes on."""
        now = await crawls.connection(self._db, self._platform_id)
        if now == self._began or self._began is None:
            return ""
        if now is None:
            return "the platform was removed"
        if now[0] not in CONNECTED:
            return "the registration ended"
        if now[2] != self._began[2]:
            return "the tokens were renewed: the next pull uses the new ones"
        return "the platform was paused" if now[1] and not self._began[1] else ""

    async def check(self) -> None:
        """Raise CrawlFailed when nothing more may be asked."""
        reason = await self.ended()
        if reason:
            raise CrawlFailed(f"stopped: {reason}")
