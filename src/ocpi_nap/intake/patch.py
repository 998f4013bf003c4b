"""PATCH semantics: what a merge may touch, and when it comes too late (D8, D9, D13, D14)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ocpi_nap.intake.operations import Context, Operation
from ocpi_nap.intake.times import inferred, ordering_time, outdated, overtaken
from ocpi_nap.model import jsontext, timestamps
from ocpi_nap.model.issues import Issue
from ocpi_nap.ocpi.errors import Invalid, UnknownLocation
from ocpi_nap.ocpi.versions import Version
from ocpi_nap.ocpi.versions.tables import SPELLINGS
from ocpi_nap.store.rows import LocationRow, TariffRow

CHILDREN = {"location": "evses", "evse": "connectors"}


def stale() -> Invalid:
    """A write older than what the same source sent before (D8, I-76)."""
    message = "older than stored value"
    return Invalid(f"last_updated: {message}", errors=[Issue("last_updated", "stale", message)])


def unknown(what: str, name: str) -> UnknownLocation:
    """The addressed object, or its parent, is not held (D6)."""
    return UnknownLocation(f"unknown {what} {name}"[:255])


def patch_time(operation: Operation, said: Any, known: datetime | None) -> datetime:
    """The time that orders this PATCH; refuses a stale one, and one without time where the platform is set to strict (R153).

    ``said`` and ``known``: what its source last stated of the node, and what orders the node (`times.overtaken`).
    """
    context, raw = operation.context, operation.raw
    zone = timestamps.zone(context.settings.naive_timezone)
    moment, _ = timestamps.parse(raw.get("last_updated"), zone)
    if moment is None:
        if context.version.patch_needs_time and (context.settings.strict_patch or not raw):
            message = "required in PATCH"
            raise Invalid(f"last_updated: {message}", errors=[Issue("last_updated", "required_missing", message)])
        if raw:
            operation.issues.append(Issue("last_updated", "required_missing", "missing in PATCH: the time of receipt counts"))
    ordering = ordering_time(moment, context.received_at, operation.issues)
    if overtaken(ordering, context.received_at, said, known, zone):
        raise stale()
    return ordering


def late_for(row: LocationRow | TariffRow, context: Context, moment: datetime, stated: bool) -> bool:
    """Whether what a PUT brings is older than the node that is stored: by what its source said last (D8); for a crawl, also by what was
    pushed since it began (R125), and never when the node was ordered by a receipt before that (D9)."""
    known, started = row.source_last_updated, context.crawl_started
    pushed_at = row.received_at if row.via == "push" else None
    if not outdated(moment, stated, known, pushed_at, started):
        return False
    if context.via == "pull" and (started is None or row.received_at >= started):
        return True
    said, zone = jsontext.load(row.raw).get("last_updated"), timestamps.zone(context.settings.naive_timezone)
    if context.via == "push":
        return overtaken(moment, context.received_at, said, known, zone)
    return not inferred(said, known, zone)


def merge_patch(
    stored: dict[str, Any], patch: dict[str, Any], version: Version, level: str, *, nested: bool = False
) -> dict[str, Any]:  # fmt: skip
    """The stored raw object with the patch's members, each in the place of its other spelling too; a null clears what is optional and is
    refused otherwise (D14), or says nothing in a ``nested`` object.

    Lists of values are replaced as a whole; lists of children are left to the caller (D13).
    """
    merged, required = dict(stored), version.required[level]
    for name, value in patch.items():
        if name == CHILDREN.get(level) and (value is not None or name not in required):
            continue
        other = SPELLINGS[level].get(name, name)
        if value is not None:
            merged[name] = value
            if other not in patch:
                merged.pop(other, None)
        elif name in required and name != "last_updated" and not nested:
            message = "null for a required field"
            raise Invalid(f"{name}: {message}", errors=[Issue(name, "required_null", message)])
        elif name not in required:
            merged.pop(name, None)
            if other not in patch and other not in required:
                merged.pop(other, None)
    return merged
