"""Stored objects as a Receiver GET gives them back to their owner (D24, R141, R150)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ocpi_nap.intake.patch import unknown
from ocpi_nap.intake.raws import current_raw, position
from ocpi_nap.model import jsontext, objects, timestamps
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import Version, lower_evse, lower_location, lower_tariff
from ocpi_nap.store.rows import EvseRow, LocationRow, TariffRow


def _latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def evse_time(evse: EvseRow) -> datetime | None:
    """The EVSE's propagated ``last_updated``: its own or a connector's, whichever is later."""
    doc = objects.decode_evse(evse.doc)
    return _latest(evse.source_last_updated, *(c.source_last_updated for c in doc.connectors))


_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", re.ASCII)


def _stamp(raw: dict[str, Any], time: datetime | None) -> None:
    """Set ``last_updated`` to the propagated value; the sender's own stays where it says so already, or a time to come (D8), in our
    form (R28)."""
    said, _ = timestamps.parse(raw.get("last_updated"))
    if time is not None and (said is None or said < time):
        said = time
    elif said is None or _OURS.fullmatch(raw["last_updated"]):
        return
    raw["last_updated"] = timestamps.format_z(said)


def _name(raw: dict[str, Any], member: str, first: str) -> None:
    """An id in its first spelling (R45), also where the object was sent without it."""
    if raw.get(member) is None or isinstance(raw[member], str):
        raw[member] = first


def _evse_raw(evse: EvseRow, version: Version) -> dict[str, Any]:
    doc = objects.decode_evse(evse.doc)
    time = _latest(evse.source_last_updated, *(c.source_last_updated for c in doc.connectors))
    if evse.source_version == version.number:
        raw = current_raw(evse)
        _name(raw, "uid", evse.uid)
        _stamp(raw, time)
        for connector in doc.connectors:
            at = position(raw, connector.id, version)
            if at is not None:
                if not connector.id_inferred:
                    _name(raw["connectors"][at], "id", connector.id)
                _stamp(raw["connectors"][at], connector.source_last_updated)
        return raw
    doc.uid, doc.status, doc.last_updated = evse.uid, evse.status, time
    for connector in doc.connectors:
        connector.last_updated = connector.source_last_updated
    return lower_evse(doc, version)


def _held(location: LocationRow) -> list[EvseRow]:
    evses: Iterable[EvseRow] = (evse for evse in location.evses.values() if evse.withdrawn_at is None)
    return sorted(evses, key=lambda evse: evse.ordinal)


def present_location(location: LocationRow, version: Version) -> bytes:
    """The Location with its EVSEs, as JSON."""
    evses = _held(location)
    time = _latest(location.source_last_updated, *(evse_time(evse) for evse in evses))
    if location.source_version == version.number:
        raw: dict[str, Any] = jsontext.load(location.raw)
        _name(raw, "id", location.id)
        if version.party_in_object:
            raw.setdefault("country_code", location.country_code)
            raw.setdefault("party_id", location.party_id)
        _stamp(raw, time)
    else:
        doc = objects.decode_location(location.doc)
        doc.id, doc.country_code, doc.party_id, doc.last_updated = location.id, location.country_code, location.party_id, time
        raw = lower_location(doc, [], version)
    raw["evses"] = [_evse_raw(evse, version) for evse in evses]
    return jsontext.dump(raw)


def present_node(location: LocationRow, key: NodeKey, version: Version) -> bytes:
    """The EVSE or Connector that the key names, as JSON."""
    evse = location.evses.get(version.id_key(key.evse_uid or ""))
    if evse is None or evse.withdrawn_at is not None:
        raise unknown("EVSE", key.evse_uid or "")
    raw = _evse_raw(evse, version)
    if key.connector_id is None:
        return jsontext.dump(raw)
    at = position(raw, key.connector_id, version)
    if at is None:
        raise unknown("connector", key.connector_id)
    return jsontext.dump(raw["connectors"][at])


def present_tariff(tariff: TariffRow, version: Version) -> bytes:
    """The tariff as JSON."""
    if tariff.source_version == version.number:
        raw: dict[str, Any] = jsontext.load(tariff.raw)
        _name(raw, "id", tariff.id)
        raw.setdefault("country_code", tariff.country_code)
        raw.setdefault("party_id", tariff.party_id)
        _stamp(raw, tariff.source_last_updated)
        return jsontext.dump(raw)
    doc = objects.decode_tariff(tariff.doc)
    doc.id, doc.country_code, doc.party_id = tariff.id, tariff.country_code, tariff.party_id
    doc.last_updated = tariff.source_last_updated
    return jsontext.dump(lower_tariff(doc, version))
