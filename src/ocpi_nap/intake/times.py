"""The time that orders writes to a node (D8, D9)."""

from __future__ import annotations

from datetime import datetime, timedelta

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


def modified(previous: datetime, ordering: datetime, received_at: datetime) -> datetime:
    """When a changed node was modified: the source's time, ours where that did not move forward (I-60)."""
    return ordering if ordering > previous else received_at
