"""Writes to tariffs (requirements section 6): replaced as a whole, deleted into a tombstone."""

from __future__ import annotations

import msgspec

from ocpi_nap.intake.operations import Operation
from ocpi_nap.intake.patch import late_for, stale
from ocpi_nap.intake.results import Merged
from ocpi_nap.intake.times import modified, ordering_time
from ocpi_nap.model import objects
from ocpi_nap.ocpi.errors import NotFound
from ocpi_nap.store.rows import Change, TariffRow

DELETED = "deleted"
"""Withdrawal reason: the CPO sent DELETE (R184)."""


def merge_tariff(operation: Operation, row: TariffRow | None) -> Merged:
    """Apply a PUT or DELETE to a tariff; raises OcpiError when it is refused."""
    return _delete(operation, row) if operation.method == "delete" else _put(operation, row)


def _put(operation: Operation, row: TariffRow | None) -> Merged:
    context, node = operation.context, operation.tariff
    assert node is not None
    stated = node.last_updated is not None
    moment = ordering_time(node.last_updated, context.received_at, operation.issues)
    node = msgspec.structs.replace(node, last_updated=None)
    doc = objects.encode(node)
    if row is None:
        platform_id, country_code, party_id, key = operation.key
        row = TariffRow(
            platform_id, country_code, party_id, key, operation.address.id, context.version.number, context.via,
            operation.raw_bytes, doc, moment, context.received_at, context.received_at, moment,
            pulled_hash=operation.pulled_hash, dirty=True,
        )  # fmt: skip
        return Merged(row, created=True, changed=True, changes=[Change("tariff", row)])
    gone_at = row.withdrawn_at
    created = gone_at is not None
    if gone_at and row.withdrawn_reason == DELETED and context.crawl_started and gone_at >= context.crawl_started:
        return Merged(row)  # the page may be older than the DELETE (R125)
    if not created and late_for(row, context, moment, stated):
        if context.via == "push":
            raise stale()
        return Merged(row)
    # A push that only says a newer time says so on purpose; a pull may say it of everything each time (I-59).
    restated = context.via == "push" and row.source_last_updated is not None and moment > row.source_last_updated
    changed = created or doc != row.doc or restated
    if changed:
        row.modified_at = modified(row.modified_at, moment, context.received_at)
    row.doc, row.raw, row.source_version, row.via = doc, operation.raw_bytes, context.version.number, context.via
    row.source_last_updated, row.received_at, row.pulled_hash = moment, context.received_at, operation.pulled_hash
    row.withdrawn_at = row.withdrawn_reason = None
    row.dirty = True
    return Merged(row, created=created, changed=changed, changes=[Change("tariff", row)] if changed else [])


def _delete(operation: Operation, row: TariffRow | None) -> Merged:
    if row is None or row.withdrawn_at is not None:
        raise NotFound(f"unknown tariff {operation.address.id}"[:255])
    row.withdrawn_at, row.withdrawn_reason = operation.context.received_at, DELETED
    row.pulled_hash, row.dirty = None, True
    return Merged(row, changed=True, changes=[Change("tariff", row)])
