"""How a write becomes the stored state: pure functions over rows (requirements section 5; D8–D14).

Each node keeps the time its source sent for that very node; what R150 propagates upwards is computed when an object is
read, so that a child's time can never make the parent's own next update look stale (I-77).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ocpi_nap.intake.evses import OMITTED, EvseDraft, patch_connector, patch_evse, put_connector, put_evse
from ocpi_nap.intake.operations import MOST_EVSES, Operation, SentEvse, require, sent_evse, too_many_evses
from ocpi_nap.intake.patch import late_for, merge_patch, patch_time, stale, unknown
from ocpi_nap.intake.present import present_node
from ocpi_nap.intake.raws import location_in
from ocpi_nap.intake.results import Merged
from ocpi_nap.intake.times import modified, ordering_time
from ocpi_nap.model import jsontext, objects
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Location
from ocpi_nap.ocpi.errors import Invalid
from ocpi_nap.ocpi.versions import lift_location
from ocpi_nap.ocpi.versions.readers import sample
from ocpi_nap.store.rows import Change, LocationRow

_LARGEST = 32 * 1024 * 1024
"""Bytes of a stored Location with its EVSEs."""


def merge(operation: Operation, row: LocationRow | None) -> Merged:
    """Apply one operation to a Location, its EVSE or Connector; raises OcpiError and then has changed nothing that is stored."""
    if operation.method == "patch" and not operation.raw and not operation.context.version.patch_needs_time:
        return _untouched(operation, _known(operation, row))
    if row is not None:
        _bounded(row)
    if operation.level == "location":
        if operation.method == "put":
            return _put_location(operation, row)
        return _patch_location(operation, _known(operation, row))
    held = _known(operation, row)
    draft = EvseDraft(held, operation)
    act = {
        ("evse", "put"): put_evse,
        ("evse", "patch"): patch_evse,
        ("connector", "put"): put_connector,
        ("connector", "patch"): patch_connector,
    }[operation.level, operation.method]
    created = act(draft)
    held.pulled_hash, held.dirty = None, held.dirty or held.pulled_hash is not None
    return _finish(operation, held, draft, created=created, new=False)


def _untouched(operation: Operation, row: LocationRow) -> Merged:
    """An empty PATCH changes nothing; what it addresses must be held (R157)."""
    if operation.address.evse_uid is not None:
        present_node(row, operation.address, operation.context.version)
    return Merged(row)


def _bounded(row: LocationRow) -> None:
    """Refuse what makes a Location larger that has grown, write by write, over what one could send (R200)."""
    if len(row.evses) > MOST_EVSES or len(row.raw) + sum(len(evse.raw) for evse in row.evses.values()) > _LARGEST:
        message = f"the Location has grown over {MOST_EVSES} EVSEs or {_LARGEST >> 20} MiB"
        raise Invalid(message, errors=[Issue("", "too_large", message)])


def _known(operation: Operation, row: LocationRow | None) -> LocationRow:
    if row is None or row.withdrawn_at is not None:
        raise unknown("location", operation.address.id)
    return row


def _finish(operation: Operation, row: LocationRow, draft: EvseDraft, *, created: bool, new: bool, description: bool = False) -> Merged:
    """Turn what changed into rows of the change feed; a new Location is one row, whatever it holds."""
    merged = Merged(row, created=created, changed=new or description or draft.changed or bool(draft.statuses))
    if new:
        merged.changes.append(Change("location-new", row))
        return merged
    if description or draft.changed:
        merged.changes.append(Change("location", row))
    merged.changes += [Change("status", row, evse.uid_key, evse.status, evse.status_at) for evse in draft.statuses]
    return merged


def _put_location(operation: Operation, row: LocationRow | None) -> Merged:
    """Create or replace (R143). A pulled Location that is older leaves this level alone; its EVSEs have their own times (R125)."""
    context, node = operation.context, operation.location
    assert node is not None
    stated = node.last_updated is not None
    moment = ordering_time(node.last_updated, context.received_at, operation.issues)
    node = msgspec.structs.replace(node, last_updated=None)
    new = row is None or row.withdrawn_at is not None
    description = late = False
    if row is None:
        row = _new_row(operation, node, moment)
    else:
        late = not new and late_for(row, context, moment, stated)
        if late and context.via == "push":
            raise stale()
        description = not late and _describe(row, operation, node, operation.raw_bytes, moment)
    if operation.pulled_hash is not None or row.pulled_hash is not None:
        row.pulled_hash, row.dirty = operation.pulled_hash, True
    draft = EvseDraft(row, operation)
    if operation.evses is not None:
        _replace_evses(draft, operation.evses, complete=not late and not context.partial_evses)
    if late or draft.skipped:
        row.pulled_hash = None  # not all of it was taken: the next pull looks again
    return _finish(operation, row, draft, created=new, new=new, description=description)


def _new_row(operation: Operation, node: Location, moment: datetime) -> LocationRow:
    context = operation.context
    platform_id, country_code, party_id, key = operation.key
    return LocationRow(
        platform_id, country_code, party_id, key, operation.address.id, context.version.number, context.via,
        operation.raw_bytes, objects.encode(node), moment, context.received_at, context.received_at, moment,
        bool(node.publish), dirty=True,
    )  # fmt: skip


def _describe(row: LocationRow, operation: Operation, node: Location, raw: bytes, moment: datetime) -> bool:
    """Replace the location level; True when the public description changed (I-59: a newer time alone is no change)."""
    context = operation.context
    doc = objects.encode(node)
    changed = doc != row.doc or row.withdrawn_at is not None
    if changed:
        row.modified_at = modified(row.modified_at, moment, context.received_at)
    row.doc, row.raw, row.publish = doc, raw, bool(node.publish)
    row.source_version, row.via = context.version.number, context.via
    row.source_last_updated, row.received_at = moment, context.received_at
    row.withdrawn_at = row.withdrawn_reason = None
    row.dirty = True
    return changed


def _replace_evses(draft: EvseDraft, sent: list[SentEvse], *, complete: bool) -> None:
    """The list is the complete set: others are withdrawn, not erased (D12, R122), but not what came by push since (R125).

    Not ``complete``: a delta with only what changed (I-62), or a Location that is older than what is stored.
    """
    context, row = draft.context, draft.row
    seen: set[str] = set()
    for ordinal, item in enumerate(sent):
        key = context.version.id_key(item.node.uid)
        if key in seen:
            issue = Issue(f"{item.path}.uid", "duplicate_id", "the same EVSE uid twice: the last one counts", item.node.uid[:50])
            draft.issues.append(issue)
        seen.add(key)
        draft.put_nested(key, item, ordinal)
    if not complete:
        return
    for key, evse in row.evses.items():
        if key in seen or evse.withdrawn_at is not None:
            continue
        if context.crawl_started is not None and evse.state_via == "push" and evse.state_received_at >= context.crawl_started:
            continue
        evse.withdrawn_at, evse.withdrawn_reason, evse.state_dirty = context.received_at, OMITTED, True
        draft.changed = True


def _patch_location(operation: Operation, row: LocationRow) -> Merged:
    """Change the fields that are present (R152); nested EVSEs are merged by uid, never removed (D13, I-72)."""
    context = operation.context
    patch = dict(operation.raw)
    evses = patch.pop("evses", None)
    stored = location_in(row, context.version)
    moment = patch_time(operation, stored.get("last_updated"), row.source_last_updated)
    raw = merge_patch(stored, patch, context.version, "location")
    lifted = lift_location(raw, context.version, context.settings, context.area)
    require(lifted.errors)
    operation.issues += lifted.issues
    lifted.node.last_updated = None
    draft = EvseDraft(row, operation)
    if isinstance(evses, dict):
        evses = [evses]
    elif evses is not None and not isinstance(evses, list):
        operation.issues.append(Issue("evses", "wrong_type", "not a list: dropped", sample(evses)))
        evses = None
    if evses and len(evses) > MOST_EVSES:
        raise too_many_evses(len(evses))
    for position, item in enumerate(evses or []):
        _patch_nested(draft, item, f"evses[{position}]")
    description = _describe(row, operation, lifted.node, jsontext.dump(raw), moment)
    row.pulled_hash = None
    return _finish(operation, row, draft, created=False, new=False, description=description)


def _patch_nested(draft: EvseDraft, item: Any, path: str) -> None:
    uid = str(item.get("uid") or "") if isinstance(item, dict) else ""
    key = draft.context.version.id_key(uid)
    if uid and key in draft.row.evses:
        draft.patch_nested(key, item, path)
        return
    sent = sent_evse(item, path, draft.operation)
    if sent is None:
        return
    if not sent.node.connectors or "status" not in item:
        draft.issues.append(Issue(path, "unknown_evse", "unknown EVSE with incomplete data: dropped", uid[:50]))
        return
    draft.put_nested(key, sent, len(draft.row.evses))
