"""The time that orders writes to a node (D8, D9)."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any

from ocpi_nap.model import timestamps
from ocpi_nap.model.issues import Issue

_FUTURE = timedelta(hours=24)


def ordering_time(last_updated: datetime | None, received_at: datetime, issues: list[Issue], path: str = "") -> datetime:
    """The source's ``last_updated``; the time of receipt where there is none or it lies more than 24 h ahead."""
    if last_updated is None:
        return received_at
    if last_updated - received_at > _FUTURE:
        where = f"{path}.last_updated" if path else "last_updated"
        issues.append(Issue(where, "last_updated_in_future", "more than 24 h ahead of our clock", last_updated.isoformat()[:32]))
        return received_at
    return last_updated


def outdated(
    moment: datetime, stated: bool, known: datetime | None, pushed_at: datetime | None, crawl_started: datetime | None
) -> bool:
    """Whether a write to a node comes too late: it is older than what is stored (D8).

    What was pushed at ``pushed_at``, since the crawl began that brings the write, yields only to a newer time that the source
    itself stated: the page may have been made before the push (R125).
    """
    if known is None:
        return False
    if crawl_started is not None and pushed_at is not None and pushed_at >= crawl_started:
        return not stated or moment <= known
    return moment < known


def overtaken(moment: datetime, received_at: datetime, said: Any, known: datetime | None, naive_tz: tzinfo) -> bool:
    """Whether a push is older than what its source said last of the same node (D8).

    ``said`` is the ``last_updated`` that the source last stated, as it came. ``known``, which orders the node, may be the time of a
    receipt instead: that says nothing of the source's clock (R201). A push without a usable time of its own is never too old (D9).
    """
    if known is None or moment >= known or moment == received_at:
        return False
    stated, _ = timestamps.parse(said, naive_tz)
    return stated is not None and moment < stated <= known


def inferred(said: Any, known: datetime | None, naive_tz: tzinfo) -> bool:
    """Whether the time that orders a stored node is that of a receipt, not one that its source stated: no pull is older than it (D9)."""
    moment, _ = timestamps.parse(said, naive_tz)
    return known is not None and (moment is None or moment < known)


def modified(previous: datetime, ordering: datetime, received_at: datetime) -> datetime:
    """When a changed node was modified: the source's time, ours where that did not move forward (I-60)."""
    return ordering if ordering > previous else received_at
