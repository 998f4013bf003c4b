"""EVSEs and connectors of one Location row: replaced, patched and compared, each with its own time (R144–R160)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ocpi_nap.intake.operations import Operation, SentEvse, require
from ocpi_nap.intake.patch import merge_patch, patch_time, stale, unknown
from ocpi_nap.intake.times import modified, ordering_time
from ocpi_nap.model import jsontext, objects
from ocpi_nap.model.ids import id_key
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Connector, Evse
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.ocpi.versions import lift_connector, lift_evse
from ocpi_nap.store.rows import EvseRow, LocationRow

_BOOKKEEPING = {"created_at": None, "modified_at": None, "source_last_updated": None, "last_updated": None}


class EvseDraft:
    """The EVSEs of one Location while an operation is applied to them."""

    def __init__(self, row: LocationRow, operation: Operation) -> None:
        self.row = row
        self.operation = operation
        self.context = operation.context
        self.issues = operation.issues
        self.changed = False
        """The public description of some EVSE changed."""
        self.statuses: list[EvseRow] = []
        """EVSEs whose status changed."""

    def put_nested(self, key: str, sent: SentEvse, ordinal: int) -> None:
        """An EVSE inside a Location: applied unless what is stored is newer (R125, I-77)."""
        moment = self._nested_time(sent.node.last_updated, sent.path)
        evse = self.row.evses.get(key)
        if evse is not None and evse.withdrawn_at is None and evse.source_last_updated is not None and moment < evse.source_last_updated:
            return
        self.store(key, sent.node.uid, sent.node, sent.raw, moment, ordinal)

    def patch_nested(self, key: str, item: dict[str, Any], path: str) -> None:
        """An EVSE inside a PATCH of its Location: what would be refused there is dropped here with an issue (interop, nested)."""
        evse = self.row.evses[key]
        inner = Operation("patch", "evse", self.operation.address, self.operation.key, self.context, item)
        if "last_updated" not in item and "last_updated" in self.operation.raw:
            inner.raw = {**item, "last_updated": self.operation.raw["last_updated"]}
        try:
            self._patch(evse, inner)
        except OcpiError as error:
            self.issues.append(Issue(path, "nested_refused", f"left as it was: {error.message}"[:200]))
        self.issues += [Issue(f"{path}.{i.path}", i.rule, i.message, i.sample) for i in inner.issues]

    def _nested_time(self, last_updated: datetime | None, path: str) -> datetime:
        if last_updated is None and self.row.source_last_updated is not None:
            return self.row.source_last_updated  # D9: nested nodes take the parent's value
        return ordering_time(last_updated, self.context.received_at, self.issues, path)

    def _patch(self, evse: EvseRow, operation: Operation) -> None:
        context = self.context
        moment = patch_time(operation, evse.source_last_updated)
        stored = current_raw(evse)
        raw = merge_patch(stored, operation.raw, context.version, "evse")
        connectors = operation.raw.get("connectors")
        if connectors is None and "connectors" in operation.raw:
            operation.issues.append(Issue("connectors", "required_null", "null: the stored connectors are kept"))
        elif isinstance(connectors, list):
            raw["connectors"] = merged_children(raw.get("connectors"), connectors, context.version.number)
        lifted = lift_evse(raw, context.version, context.settings)
        require(lifted.errors)
        operation.issues += lifted.issues
        if not lifted.node.evse_id and evse.public_id != evse.uid:
            lifted.node.evse_id = evse.public_id  # may vanish on REMOVED: the last one is kept
        self.store(evse.uid_key, evse.uid, lifted.node, raw, moment, evse.ordinal)

    def store(self, key: str, uid: str, node: Evse, raw: dict[str, Any], moment: datetime, ordinal: int) -> None:
        """Put the EVSE into the row and note what the public sees change."""
        context, row = self.context, self.row
        evse = row.evses.get(key)
        node.uid = uid if evse is None else evse.uid
        node.last_updated = None
        status, node.status = node.status or "UNKNOWN", None
        old = objects.decode_evse(evse.doc) if evse is not None else None
        connectors = self._connectors(node, raw, old, moment)
        node.connectors = connectors
        doc, raw_bytes = objects.encode(node), jsontext.dump(raw)
        sent_status, sent_time = raw.get("status"), raw.get("last_updated")
        status_raw = sent_status if isinstance(sent_status, str) and sent_status != status else None
        time_raw = sent_time if isinstance(sent_time, str) else None
        if evse is None:
            received = context.received_at
            row.evses[key] = evse = EvseRow(
                key, node.uid, ordinal, node.evse_id or node.uid, context.version.number, context.via, raw_bytes, doc, received, received,
                moment, status, status_raw, moment, moment, time_raw, received, context.via, doc_dirty=True, state_dirty=True,
            )  # fmt: skip
            self.changed = True
            self.statuses.append(evse)
            return
        if doc != evse.doc or evse.withdrawn_at is not None:
            evse.modified_at = modified(evse.modified_at, moment, context.received_at)
            self.changed = True
        if status != evse.status:
            evse.status_at = modified(evse.status_at, moment, context.received_at)
            evse.status = status
            self.statuses.append(evse)
        if doc != evse.doc or raw_bytes != evse.raw or ordinal != evse.ordinal:
            evse.doc, evse.raw, evse.ordinal, evse.doc_dirty = doc, raw_bytes, ordinal, True
            evse.public_id = node.evse_id or evse.public_id
            evse.source_version, evse.via, evse.received_at = context.version.number, context.via, context.received_at
        evse.status_raw, evse.last_updated_raw, evse.source_last_updated = status_raw, time_raw, moment
        evse.state_received_at, evse.state_via, evse.state_dirty = context.received_at, context.via, True
        evse.withdrawn_at = evse.withdrawn_reason = None

    def _connectors(self, node: Evse, raw: dict[str, Any], old: Evse | None, moment: datetime) -> list[Connector]:
        """Carry each connector's own times over; one that was patched later than this list says stays as it is (R151)."""
        version = self.context.version.number
        before = {id_key(c.id, version): c for c in old.connectors} if old is not None else {}
        result = []
        for connector in node.connectors:
            sent_at = ordering_time(connector.last_updated, self.context.received_at, []) if connector.last_updated else moment
            known = before.get(id_key(connector.id, version))
            connector.last_updated = None
            if known is None:
                connector.created_at = self.context.received_at
                connector.modified_at = connector.source_last_updated = sent_at
            elif known.source_last_updated is not None and sent_at < known.source_last_updated and self.operation.level != "connector":
                connector = known
            else:
                same = msgspec.structs.replace(known, **_BOOKKEEPING) == msgspec.structs.replace(connector, **_BOOKKEEPING)
                previous = known.modified_at or sent_at
                connector.created_at = known.created_at
                connector.modified_at = previous if same else modified(previous, sent_at, self.context.received_at)
                connector.source_last_updated = known.source_last_updated if same else sent_at
            result.append(connector)
        return result


def current_raw(evse: EvseRow) -> dict[str, Any]:
    """The EVSE in the sender's own shape, with the status and time of later status PATCHes."""
    raw: dict[str, Any] = jsontext.parse(evse.raw)
    raw["status"] = evse.status_raw or evse.status
    if evse.last_updated_raw is not None:
        raw["last_updated"] = evse.last_updated_raw
    return raw


def merged_children(stored: Any, patches: list[Any], version: str) -> list[Any]:
    """Connectors merged by id: known ones changed, unknown ones added, none removed (D13)."""
    children = [child for child in stored or [] if isinstance(child, dict)]
    by_id = {id_key(str(child.get("id", "")), version): i for i, child in enumerate(children)}
    for patch in patches:
        if not isinstance(patch, dict):
            continue
        position = by_id.get(id_key(str(patch.get("id", "")), version))
        if position is None:
            children.append(patch)
        else:
            kept = {name: value for name, value in patch.items() if value is not None}
            children[position] = {**children[position], **kept}
    return children


def put_evse(draft: EvseDraft) -> bool:
    """PUT of an EVSE: created or replaced, its connectors become exactly those sent (R144). True when created."""
    operation = draft.operation
    assert operation.evse is not None and operation.address.evse_uid is not None
    key = id_key(operation.address.evse_uid, draft.context.version.number)
    evse = draft.row.evses.get(key)
    moment = ordering_time(operation.evse.last_updated, draft.context.received_at, draft.issues)
    created = evse is None or evse.withdrawn_at is not None
    if evse is not None and not created and evse.source_last_updated is not None and moment < evse.source_last_updated:
        raise stale()
    ordinal = evse.ordinal if evse is not None else len(draft.row.evses)
    draft.store(key, operation.address.evse_uid, operation.evse, operation.raw, moment, ordinal)
    return created


def _known_evse(draft: EvseDraft) -> EvseRow:
    uid = draft.operation.address.evse_uid or ""
    evse = draft.row.evses.get(id_key(uid, draft.context.version.number))
    if evse is None:
        raise unknown("EVSE", uid)
    return evse


def patch_evse(draft: EvseDraft) -> bool:
    """PATCH of an EVSE: only what is present changes (R152)."""
    draft._patch(_known_evse(draft), draft.operation)
    return False


def put_connector(draft: EvseDraft) -> bool:
    """PUT of a Connector under a known EVSE (R145, R146)."""
    operation = draft.operation
    evse = _known_evse(draft)
    address_id = operation.address.connector_id or ""
    known = _connector(evse, address_id, draft.context.version.number)
    assert operation.connector is not None
    moment = ordering_time(operation.connector.last_updated, draft.context.received_at, draft.issues)
    if known is not None and known.source_last_updated is not None and moment < known.source_last_updated:
        raise stale()
    raw = current_raw(evse)
    sent = {**operation.raw, "id": operation.raw.get("id") or address_id}
    _store_connector(draft, evse, raw, address_id, sent)
    return known is None


def patch_connector(draft: EvseDraft) -> bool:
    """PATCH of a Connector: merged into the sender's own object, then checked as a whole (R159)."""
    operation = draft.operation
    evse = _known_evse(draft)
    address_id = operation.address.connector_id or ""
    known = _connector(evse, address_id, draft.context.version.number)
    if known is None:
        raise unknown("connector", address_id)
    patch_time(operation, known.source_last_updated)
    raw = current_raw(evse)
    position = _position(raw, address_id, draft.context.version.number)
    stored = raw["connectors"][position] if position is not None else {"id": known.id}
    merged = merge_patch(stored, operation.raw, draft.context.version, "connector")
    _store_connector(draft, evse, raw, address_id, merged)
    return False


def _connector(evse: EvseRow, connector_id: str, version: str) -> Connector | None:
    key = id_key(connector_id, version)
    return next((c for c in objects.decode_evse(evse.doc).connectors if id_key(c.id, version) == key), None)


def _position(raw: dict[str, Any], connector_id: str, version: str) -> int | None:
    """Where the connector stands in the raw list; connectors without id count by position (`~1`, `~2` …)."""
    key = id_key(connector_id, version)
    for position, item in enumerate(raw.get("connectors") or []):
        if isinstance(item, dict) and id_key(str(item.get("id") or f"~{position + 1}"), version) == key:
            return position
    return None


def _store_connector(draft: EvseDraft, evse: EvseRow, raw: dict[str, Any], connector_id: str, connector: dict[str, Any]) -> None:
    """Replace one connector of the EVSE; the EVSE's own time stays what its source sent (R150 is computed on reading)."""
    connectors = [item for item in raw.get("connectors") or [] if isinstance(item, dict)]
    position = _position({"connectors": connectors}, connector_id, draft.context.version.number)
    if position is None:
        connectors.append(connector)
    else:
        connectors[position] = connector
    raw["connectors"] = connectors
    lifted = lift_evse(raw, draft.context.version, draft.context.settings)
    alone = lift_connector(connector, draft.context.version, draft.context.settings)
    require(alone.errors)
    moment = evse.source_last_updated or draft.context.received_at
    draft.store(evse.uid_key, evse.uid, lifted.node, raw, moment, evse.ordinal)
