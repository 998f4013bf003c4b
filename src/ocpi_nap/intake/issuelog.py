"""Every tolerated or refused deviation becomes a record with first and last time and a count (R198), a second later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ocpi_nap.model.issues import Issue
from ocpi_nap.store.database import Database
from ocpi_nap.store.issues import add_issues
from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)

_MOST = 20_000
"""Different records held before they are written; a flood beyond that is counted in the log only."""

_UPSERT = """
INSERT INTO issue AS i (platform_id, object, path, rule, message, sample, refused, first_seen, last_seen, count)
SELECT t.* FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[],
                     %s::timestamptz[], %s::timestamptz[], %s::bigint[])
    AS t(platform_id, object, path, rule, message, sample, refused, first_seen, last_seen, count)
  JOIN platform p ON p.id = t.platform_id
 ORDER BY t.platform_id, t.object, t.path, t.rule
ON CONFLICT (platform_id, object, path, rule) DO UPDATE
   SET message = excluded.message, sample = excluded.sample, refused = excluded.refused, last_seen = excluded.last_seen,
       count = i.count + excluded.count
"""


@dataclass(slots=True)
class _Record:
    issue: Issue
    refused: bool
    first_seen: datetime
    last_seen: datetime
    count: int = 1


def _clean(text: str, longest: int) -> str:
    return "".join(c for c in text if c.isprintable()).encode("utf-8", "replace").decode()[:longest]


class IssueLog:
    """Collects issues in memory and writes them aggregated, so that a flood of them costs no write of its own each."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._records: dict[tuple[int, str, str, str], _Record] = {}

    def add(self, platform_id: int, object_path: str, issues: Iterable[Issue], *, refused: bool = False) -> None:
        """Count the issues of one object."""
        now = datetime.now(UTC)
        for issue in issues:
            key = (platform_id, _clean(object_path, 300), _clean(issue.path, 200), issue.rule)
            record = self._records.get(key)
            if record is not None:
                record.count, record.last_seen, record.issue, record.refused = record.count + 1, now, issue, refused
            elif len(self._records) < _MOST:
                self._records[key] = _Record(issue, refused, now, now)

    async def flush(self) -> None:
        """Write what has come together; on a database failure it is kept for the next time."""
        if not self._records:
            return
        records, self._records = self._records, {}
        values = [
            (*key, _clean(r.issue.message, 300), _clean(r.issue.sample, 120), r.refused, r.first_seen, r.last_seen, r.count)
            for key, r in records.items()
        ]
        try:
            await self._db.execute(_UPSERT, tuple(list(column) for column in zip(*values, strict=True)))
        except Exception:
            log.exception("%d issue records could not be written", len(records))
            if len(self._records) < _MOST:
                self._records = records | self._records

    async def run(self, stop: asyncio.Event) -> None:
        """Flush every second until told to stop, and once more then."""
        while not await happens(stop, within=1):
            await self.flush()
        await self.flush()
