"""Every tolerated or refused deviation becomes a record with first and last time and a count (R198), a moment later
(see `intake.flushing`)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ocpi_nap.model.issues import Issue
from ocpi_nap.store.database import Database
from ocpi_nap.store.issues import OTHERS, add_issues

log = logging.getLogger(__name__)

_MOST = 20_000
"""Different records held before they are written; of a flood beyond that only the number is told, by platform and rule."""


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
            self._count((platform_id, _clean(object_path, 300), _clean(issue.path, 200), issue.rule), _Record(issue, refused, now, now))

    def _count(self, key: tuple[int, str, str, str], met: _Record) -> None:
        if key not in self._records and len(self._records) >= _MOST:
            key = (key[0], OTHERS[met.refused], "", key[3])
        record = self._records.setdefault(key, met)
        if record is not met:
            record.count, record.last_seen, record.issue, record.refused = record.count + met.count, met.last_seen, met.issue, met.refused

    async def flush(self, *, least: int = 0) -> None:
        """Write what has come together, if it is so much; on a database failure it is kept for the next time."""
        if len(self._records) < least:
            return
        if not self._records:
            return
        records, self._records = self._records, {}
        values = [
            (*key, _clean(r.issue.message, 300), _clean(r.issue.sample, 120), r.refused, r.first_seen, r.last_seen, r.count)
            for key, r in records.items()
        ]
        try:
            await add_issues(self._db, values)
        except Exception:
            log.exception("%d issue records could not be written", len(records))
            later, self._records = self._records, records
            for key, record in later.items():
                self._count(key, record)
