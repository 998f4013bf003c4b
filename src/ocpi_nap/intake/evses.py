"""EVSEs and connectors of one Location row: replaced, patched and compared, each with its own time (R144–R160)."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import msgspec

from ocpi_nap.intake.operations import Operation, SentEvse, require_unbroken
from ocpi_nap.intake.patch import merge_patch, patch_time, stale, unknown
from ocpi_nap.intake.raws import current_raw, evse_in, position, whole
from ocpi_nap.intake.times import inferred, modified, ordering_time, outdated, overtaken
from ocpi_nap.model import jsontext, objects, timestamps
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Connector, Evse
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.ocpi.versions import Version, lift_connector, lift_evse
from ocpi_nap.store.rows import EvseRow, GoneConnector, LocationRow

OMITTED = "omitted"
"""Withdrawal reason: a complete list no longer held it (D12, R122)."""
_LONGEST_KEY = 255
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
        self.skipped = False
        """Some EVSE was left as it was, because what is stored is newer."""
        self.statuses: list[EvseRow] = []
        """EVSEs whose status changed."""

    def put_nested(self, key: str, sent: SentEvse, ordinal: int) -> None:
        """An EVSE inside a Location: applied unless what is stored is newer (R125, I-77)."""
        moment = self._nested_time(sent.node.last_updated, sent.path)
        evse = self.row.evses.get(key)
        if evse is not None and self._late(evse, sent, moment):
            self.skipped = True
            return
        self.check_parking(sent.node, sent.path)
        self.store(key, sent.node.uid, sent.node, sent.raw, moment, ordinal)

    def _late(self, evse: EvseRow, sent: SentEvse, moment: datetime) -> bool:
        started, stated = self.context.crawl_started, sent.node.last_updated is not None
        if evse.withdrawn_at is not None:
            return started is not None and evse.state_via == "push" and evse.withdrawn_at >= started
        if self.context.via == "push":
            return self._overtaken(moment, evse.last_updated_raw, evse.source_last_updated)
        if started is not None and evse.state_received_at < started and inferred(
            evse.last_updated_raw, evse.source_last_updated, self._zone
        ):  # fmt: skip
            return False
        return outdated(moment, stated, evse.source_last_updated, evse.state_received_at if evse.state_via == "push" else None, started)

    @property
    def _zone(self) -> tzinfo:
        return timestamps.zone(self.context.settings.naive_timezone)

    def _overtaken(self, moment: datetime, said: Any, known: datetime | None) -> bool:
        return overtaken(moment, self.context.received_at, said, known, self._zone)

    def check_time(self, moment: datetime, said: Any, known: datetime | None) -> None:
        """Refuse a push that is older than what is stored (D8)."""
        if self._overtaken(moment, said, known):
            raise stale()

    def check_parking(self, node: Evse, path: str) -> None:
        """An EVSE may refer to parking places that the Location does not have: kept and recorded (R168)."""
        if not node.parking:
            return
        places = {place.id for place in objects.decode_location(self.row.doc).parking_places}
        where = f"{path}.parking" if path else "parking"
        for parking in node.parking:
            if parking.parking_id not in places:
                message = "no such parking place in the Location"
                self.issues.append(Issue(where, "parking_unknown", message, parking.parking_id or ""))

    def patch_nested(self, key: str, item: dict[str, Any], path: str) -> None:
        """An EVSE inside a PATCH of its Location: what would be refused there is dropped here with an issue (interop, nested)."""
        evse = self.row.evses[key]
        required = self.context.version.required["evse"]
        nulls = [name for name, value in item.items() if value is None and name in required and name != "last_updated"]
        self.issues += [Issue(f"{path}.{name}", "required_null", "null for a required field: left as it was") for name in nulls]
        inner = Operation("patch", "evse", self.operation.address, self.operation.key, self.context)
        inner.raw = {name: value for name, value in item.items() if name not in nulls}
        if "last_updated" not in item and "last_updated" in self.operation.raw:
            inner.raw["last_updated"] = self.operation.raw["last_updated"]
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
        moment = patch_time(operation, evse.last_updated_raw, evse.source_last_updated)
        stored = evse_in(evse, context.version)
        raw = merge_patch(stored, operation.raw, context.version, "evse")
        connectors = operation.raw.get("connectors")
        if isinstance(connectors, dict):
            connectors = [connectors]
        if isinstance(connectors, list):
            raw["connectors"] = self._merged_connectors(raw.get("connectors"), connectors, operation)
        lifted = lift_evse(raw, context.version, context.settings)
        require_unbroken(lifted.errors, lambda: lift_evse(stored, context.version, context.settings).errors)
        operation.issues += lifted.issues
        if "parking" in operation.raw:
            self.check_parking(lifted.node, "")
        if not lifted.node.evse_id and evse.public_id != evse.uid:
            lifted.node.evse_id = evse.public_id  # may vanish on REMOVED: the last one is kept
        self.store(evse.uid_key, evse.uid, lifted.node, raw, moment, evse.ordinal)

    def _merged_connectors(self, stored: Any, patches: list[Any], operation: Operation) -> list[Any]:
        """Connectors merged by id: known ones changed, complete unknown ones added, none removed (D13)."""
        version = self.context.version
        children = [child for child in stored or [] if isinstance(child, dict)]
        for number, patch in enumerate(patches):
            if not isinstance(patch, dict):
                continue
            at = position({"connectors": children}, str(patch.get("id", "")), version) if patch.get("id") is not None else None
            if at is not None:
                children[at] = merge_patch(children[at], patch, version, "connector", nested=True)
            elif patch.get("id") is None or lift_connector(patch, version, self.context.settings).errors:
                issue = Issue(f"connectors[{number}]", "unknown_connector", "unknown connector with incomplete data: dropped")
                operation.issues.append(issue)
            else:
                children.append(patch)
        return children

    def store(
        self, key: str, uid: str, node: Evse, raw: dict[str, Any], moment: datetime, ordinal: int,
        connector: tuple[str, datetime] | None = None,
    ) -> None:  # fmt: skip
        """Put the EVSE into the row and note what the public sees change; ``connector``: the one written by itself, and its time."""
        context, row = self.context, self.row
        evse = row.evses.get(key)
        status = node.status or "UNKNOWN"
        # A copy: where a batch fails, the operation is merged once more.
        node = msgspec.structs.replace(node, uid=uid if evse is None else evse.uid, last_updated=None, status=None)
        old = objects.decode_evse(evse.doc) if evse is not None else None
        node.connectors = self._connectors(node, raw, evse, old, moment, connector)
        if evse is not None and old is not None:
            self._note_gone(evse, old, node)
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
        if evse.withdrawn_at is not None or (doc != evse.doc and old is not None and _described(node) != _described(old)):
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

    def _note_gone(self, evse: EvseRow, old: Evse, node: Evse) -> None:
        """Connectors that the EVSE has no longer are withdrawn, not erased (R124, I-103)."""
        version = self.context.version
        left = {version.id_key(connector.id) for connector in node.connectors}
        gone = [connector for connector in old.connectors if version.id_key(connector.id) not in left]
        if not gone:
            return
        stored = current_raw(evse)
        for connector in gone:
            key = version.id_key(connector.id)
            at = position(stored, connector.id, version)
            sent = jsontext.dump(stored["connectors"][at] if at is not None else {})
            evse.gone.append(GoneConnector(
                evse.uid_key, key[:_LONGEST_KEY], connector.id, evse.source_version, evse.via, sent, objects.encode(connector),
                evse.received_at, self.context.received_at, OMITTED,
            ))  # fmt: skip

    def _connectors(
        self, node: Evse, raw: dict[str, Any], evse: EvseRow | None, old: Evse | None, moment: datetime,
        written: tuple[str, datetime] | None,
    ) -> list[Connector]:  # fmt: skip
        """Carry each connector's own times over; one that was patched later than this list says stays as it is (R151)."""
        version, context = self.context.version, self.context
        before = {version.id_key(c.id): c for c in old.connectors} if old is not None else {}
        result = []
        for connector in node.connectors:
            key = version.id_key(connector.id)
            known = before.get(key)
            sent_at = ordering_time(connector.last_updated, context.received_at, []) if connector.last_updated else moment
            if written is not None and written[0] == key:
                sent_at = written[1]
            connector = msgspec.structs.replace(connector, last_updated=None)
            if known is None:
                connector.created_at = context.received_at
                connector.modified_at = connector.source_last_updated = sent_at
            elif written is None and self._connector_late(sent_at, known, evse):
                connector = known
                _keep_raw(raw, evse, known.id, version)
            else:
                same = msgspec.structs.replace(known, **_BOOKKEEPING) == msgspec.structs.replace(connector, **_BOOKKEEPING)
                previous = known.modified_at or sent_at
                connector.created_at = known.created_at
                connector.modified_at = previous if same else modified(previous, sent_at, context.received_at)
                connector.source_last_updated = max(sent_at, known.source_last_updated or sent_at)
                connector.id = known.id  # the first spelling is kept (R45)
            result.append(connector)
        return result

    def _connector_late(self, sent_at: datetime, known: Connector, evse: EvseRow | None) -> bool:
        """Whether a connector inside an EVSE is older than what is stored of it: by its own time, where its source stated one."""
        if known.source_last_updated is None or sent_at >= known.source_last_updated or evse is None:
            return False
        started = self.context.crawl_started
        if started is not None and evse.state_received_at >= started:
            return True
        stored = whole(jsontext.load(evse.raw))
        at = position(stored, known.id, self.context.version)
        said = stored["connectors"][at].get("last_updated") if at is not None else None
        return self._overtaken(sent_at, said, known.source_last_updated)


def _described(node: Evse) -> Evse:
    """The description without the connectors' bookkeeping: a newer time alone is no change (I-59)."""
    return msgspec.structs.replace(node, connectors=[msgspec.structs.replace(c, **_BOOKKEEPING) for c in node.connectors])


def _keep_raw(raw: dict[str, Any], evse: EvseRow | None, connector_id: str, version: Version) -> None:
    """A connector that stays as it is stays so in the sender's own object too."""
    if evse is None:
        return
    stored = evse_in(evse, version)
    old, new = position(stored, connector_id, version), position(raw, connector_id, version)
    if old is not None and new is not None:
        raw["connectors"] = [*raw["connectors"]]
        raw["connectors"][new] = stored["connectors"][old]


def put_evse(draft: EvseDraft) -> bool:
    """PUT of an EVSE: created or replaced, its connectors become exactly those sent (R144). True when created."""
    operation = draft.operation
    assert operation.evse is not None and operation.address.evse_uid is not None
    key = draft.context.version.id_key(operation.address.evse_uid)
    evse = draft.row.evses.get(key)
    moment = ordering_time(operation.evse.last_updated, draft.context.received_at, draft.issues)
    created = evse is None or evse.withdrawn_at is not None
    if evse is not None and not created:
        draft.check_time(moment, evse.last_updated_raw, evse.source_last_updated)
    draft.check_parking(operation.evse, "")
    ordinal = evse.ordinal if evse is not None else len(draft.row.evses)
    draft.store(key, operation.address.evse_uid, operation.evse, operation.raw, moment, ordinal)
    return created


def _known_evse(draft: EvseDraft) -> EvseRow:
    uid = draft.operation.address.evse_uid or ""
    evse = draft.row.evses.get(draft.context.version.id_key(uid))
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
    known = _connector(evse, address_id, draft.context.version)
    assert operation.connector is not None
    moment = ordering_time(operation.connector.last_updated, draft.context.received_at, draft.issues)
    raw = evse_in(evse, draft.context.version)
    at = position(raw, address_id, draft.context.version)
    if known is not None:
        said = raw["connectors"][at].get("last_updated") if at is not None else None
        draft.check_time(moment, said, known.source_last_updated)
    sent = {**operation.raw, "id": operation.raw.get("id") or address_id}
    _store_connector(draft, evse, raw, address_id, sent, moment)
    return known is None


def patch_connector(draft: EvseDraft) -> bool:
    """PATCH of a Connector: merged into the sender's own object, then checked as a whole (R159)."""
    operation, context = draft.operation, draft.context
    evse = _known_evse(draft)
    address_id = operation.address.connector_id or ""
    known = _connector(evse, address_id, context.version)
    if known is None:
        raise unknown("connector", address_id)
    raw = evse_in(evse, context.version)
    at = position(raw, address_id, context.version)
    stored = raw["connectors"][at] if at is not None else {"id": known.id}
    moment = patch_time(operation, stored.get("last_updated"), known.source_last_updated)
    merged = merge_patch(stored, operation.raw, context.version, "connector")
    lifted = lift_connector(merged, context.version, context.settings)
    require_unbroken(lifted.errors, lambda: lift_connector(stored, context.version, context.settings).errors)
    operation.issues += lifted.issues
    _store_connector(draft, evse, raw, address_id, merged, moment)
    return False


def _connector(evse: EvseRow, connector_id: str, version: Version) -> Connector | None:
    key = version.id_key(connector_id)
    return next((c for c in objects.decode_evse(evse.doc).connectors if version.id_key(c.id) == key), None)


def _store_connector(
    draft: EvseDraft, evse: EvseRow, raw: dict[str, Any], connector_id: str, connector: dict[str, Any], moment: datetime
) -> None:
    """Replace one connector of the EVSE; the EVSE's own time stays what its source sent (R150 is computed on reading)."""
    version = draft.context.version
    connectors = list(raw["connectors"]) if isinstance(raw.get("connectors"), list) else []
    at = position(raw, connector_id, version)
    if at is None:
        connectors.append(connector)
    else:
        connectors[at] = connector
    raw["connectors"] = connectors
    lifted = lift_evse(raw, version, draft.context.settings)
    own = evse.source_last_updated or draft.context.received_at
    draft.store(evse.uid_key, evse.uid, lifted.node, raw, own, evse.ordinal, (version.id_key(connector_id), moment))
