"""What Last-Modified says: to the second, and never the same of two bodies that follow each other."""

from __future__ import annotations

import email.utils
import math
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Dated(Protocol):
    """A body that was served."""

    @property
    def etag(self) -> str: ...

    @property
    def dated(self) -> int:
        """Seconds since 1970."""


def date_of(etag: str, modified_at: datetime, before: Dated | None = None) -> int:
    """The date of a body with this ETag that takes the place of another.

    That of its newest change, which is by the clocks of operators: one second may see several changes, what was sent late is older than
    what was there, and a clock may be ahead of ours. Then it is the time when we saw the change, or the second after.
    """
    if before is not None and before.etag == etag:
        return before.dated
    moment, now = math.floor(modified_at.timestamp()), int(time.time())
    last = -1 if before is None else before.dated
    return moment if last < moment <= now else max(now, min(last, now) + 1)


def last_modified(dated: int) -> str:
    """The header. A date to come is held back; it is not confirmed before its time."""
    return _http_date(min(dated, int(time.time())))


@lru_cache(maxsize=256)
def _http_date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)


def is_date_of(value: str, dated: int) -> bool:
    """Whether a header names exactly this body (If-Range)."""
    return dated <= time.time() and value == last_modified(dated)


def unchanged_since(value: str, dated: int) -> bool:
    """Whether a body is no newer than the date in a header (If-Modified-Since); not where that cannot be read."""
    try:
        return datetime.fromtimestamp(dated, UTC) <= email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return False
