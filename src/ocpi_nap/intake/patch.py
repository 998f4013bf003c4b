"""PATCH semantics: what a merge may touch, and when it comes too late (D8, D9, D13, D14)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ocpi_nap.intake.operations import Context, Operation
from ocpi_nap.intake.times import inferred, ordering_time
from ocpi_nap.model import jsontext, timestamps
from ocpi_nap.model.issues import Issue
from ocpi_nap.ocpi.errors import Invalid, UnknownLocation
from ocpi_nap.ocpi.versions import Version
from ocpi_nap.store.rows import LocationRow, TariffRow

CHILDREN = {"location": "evses", "evse": "connectors"}


def stale() -> Invalid:
    """A write older than what the same source sent before (D8, I-76)."""
    message = "older than stored value"
    return Invalid(f"last_updated: {message}", errors=[Issue("last_updated", "stale", message)])


def unknown(what: str, name: str) -> UnknownLocation:
    """The addressed object, or its parent, is not held (D6)."""
    return UnknownLocation(f"unknown {what} {name}"[:255])


def patch_time(operation: Operation, known: datetime | None) -> datetime:
    """The time that orders this PATCH; refuses a stale one, and one without time where the platform is set to strict (R153)."""
    context, raw = operation.context, operation.raw
    moment, _ = timestamps.parse(raw.get("last_updated"), timestamps.zone(context.settings.naive_timezone))
    if moment is None:
        if context.version.patch_needs_time and (context.settings.strict_patch or not raw):
            message = "required in PATCH"
            raise Invalid(f"last_updated: {message}", errors=[Issue("last_updated", "required_missing", message)])
        if raw:
            operation.issues.append(Issue("last_updated", "required_missing", "missing in PATCH: the time of receipt counts"))
    ordering = ordering_time(moment, context.received_at, operation.issues)
    if known is not None and ordering < known:
        raise stale()
    return ordering


def inferred_before(row: LocationRow | TariffRow, context: Context) -> bool:
    """Whether a crawl meets a node that was ordered by its receipt before the crawl began."""
    if context.crawl_started is None or row.received_at >= context.crawl_started:
        return False
    said = jsontext.parse(row.raw).get("last_updated")
    return inferred(said, row.source_last_updated, timestamps.zone(context.settings.naive_timezone))


def merge_patch(stored: dict[str, Any], patch: dict[str, Any], version: Version, level: str) -> dict[str, Any]:
    """The stored raw object with the patch's members; a null clears what is optional and is refused otherwise (D14).

    Lists of values are replaced as a whole; lists of children are left to the caller (D13).
    """
    merged = dict(stored)
    for name, value in patch.items():
        if name == CHILDREN.get(level) and (value is not None or name not in version.required[level]):
            continue
        if value is None and name != "last_updated":
            if name in version.required[level]:
                message = "null for a required field"
                raise Invalid(f"{name}: {message}", errors=[Issue(name, "required_null", message)])
            merged.pop(name, None)
        elif value is not None:
            merged[name] = value
    return merged
