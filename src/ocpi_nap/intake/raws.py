"""What a sender said of a node, as it is stored, and the same in the names of another version (objects.md section 6; D22)."""

from __future__ import annotations

from typing import Any

from ocpi_nap.model import jsontext, objects
from ocpi_nap.ocpi.versions import Version, lower_evse, lower_location
from ocpi_nap.store.rows import EvseRow, LocationRow


def whole(raw: dict[str, Any]) -> dict[str, Any]:
    """With its connectors as a list, also where one stood there by itself (I-109)."""
    if isinstance(raw.get("connectors"), dict):
        raw["connectors"] = [raw["connectors"]]
    return raw


def current_raw(evse: EvseRow) -> dict[str, Any]:
    """The EVSE in the sender's own shape, with the status and time of later status PATCHes."""
    raw = whole(jsontext.load(evse.raw))
    raw["status"] = evse.status_raw or evse.status
    if evse.last_updated_raw is not None:
        raw["last_updated"] = evse.last_updated_raw
    return raw


def evse_in(evse: EvseRow, version: Version) -> dict[str, Any]:
    """The EVSE in the names of this version, for what is said in them now: one object must not say the same thing twice."""
    stored = current_raw(evse)
    if evse.source_version == version.number:
        return stored
    node = objects.decode_evse(evse.doc)
    node.uid = evse.uid
    raw = lower_evse(node, version, whole=True)
    _keep_times(raw, stored)
    raw["status"] = stored["status"]
    for connector, lowered in zip(node.connectors, raw["connectors"], strict=True):
        at = position(stored, connector.id, version)
        _keep_times(lowered, stored["connectors"][at] if at is not None else {})
    return raw


def location_in(row: LocationRow, version: Version) -> dict[str, Any]:
    """The location level in the names of this version."""
    stored: dict[str, Any] = jsontext.load(row.raw)
    if row.source_version == version.number:
        return stored
    raw = lower_location(objects.decode_location(row.doc), [], version, whole=True)
    del raw["evses"]
    _keep_times(raw, stored)
    raw.setdefault("publish", row.publish)  # a version without it means that the Location is public
    return raw


def _keep_times(raw: dict[str, Any], stored: dict[str, Any]) -> None:
    """The time that the source stated, or none: what a node is ordered by may be that of a receipt."""
    if "last_updated" in stored:
        raw["last_updated"] = stored["last_updated"]


def position(raw: dict[str, Any], connector_id: str, version: Version) -> int | None:
    """Where the connector stands in the raw list, the last one of several (R167); those without id count by position (`~1`, `~2` …)."""
    key = version.id_key(connector_id)
    connectors = raw.get("connectors")
    items: list[Any] = connectors if isinstance(connectors, list) else []
    for place, item in reversed(list(enumerate(items))):
        sent = item.get("id") if isinstance(item, dict) else None
        if isinstance(item, dict) and version.id_key(f"~{place + 1}" if sent in (None, "") else str(sent)) == key:
            return int(place)
    return None
