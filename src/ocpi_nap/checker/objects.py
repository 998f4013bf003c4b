"""Locations, EVSEs and connectors as they came: against OCPI, and against what the regulation asks for."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any

from ocpi_nap.checker import wire
from ocpi_nap.checker.checks import CHECKS, Severity
from ocpi_nap.checker.inventory import Inventory
from ocpi_nap.checker.power import check_power
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.rules import tell
from ocpi_nap.checker.state import Run
from ocpi_nap.checker.tariffs import TariffCheck
from ocpi_nap.model import jsontext
from ocpi_nap.model.ids import fold
from ocpi_nap.model.objects import Connector, Evse, Location
from ocpi_nap.model.timestamps import format_z
from ocpi_nap.ocpi.versions import lift_evse, lift_location
from ocpi_nap.ocpi.versions.engine import usable_coordinates
from ocpi_nap.ocpi.versions.enums import CONNECTOR_TYPE
from ocpi_nap.ocpi.versions.tables import CONNECTOR

_EVSE_ID = re.compile(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E\*?[A-Z0-9][A-Z0-9*]{0,30}", re.ASCII)
_STANDARDS = {standard.upper() for standard in CONNECTOR_TYPE}
_UNKNOWN_SHARE = 0.1


class LocationCheck:
    """Takes each Location; `finish` tells what shows only when all are known."""

    def __init__(self, run: Run, tariffs: TariffCheck) -> None:
        assert run.version is not None
        self._run, self._tariffs, self._version = run, tariffs, run.version
        self._other_names = {
            field.name for field in CONNECTOR.fields
            if self._version.number not in field.versions
            and any(rival.attribute == field.attribute and self._version.number in rival.versions for rival in CONNECTOR.fields)
        }  # fmt: skip
        self.inventory = Inventory(run)
        self._uids: dict[str, str] = {}
        self._evse_ids: dict[str, str] = {}
        self._statuses: Counter[str] = Counter()
        self._published: Counter[bool] = Counter()
        self._power_sent = "max_electric_power" in {f.name for f in CONNECTOR.fields if self._version.number in f.versions}
        self.times: dict[str, dict[str, datetime]] = {}
        """Per folded Location id, last_updated by folded EVSE uid ("" for the Location)."""
        self.spelling: dict[str, str] = {}
        """Location ids as they came, by their folded form."""
        self._at: Seen | None = None
        self._part: dict[str, Any] | None = None
        """What is being looked at: a Location, an EVSE or a connector."""

    def take(self, item: bytes, seen: Seen) -> None:
        """One entry of the list."""
        self._at, self._part = seen, None
        try:
            raw = jsontext.parse(item)
        except jsontext.NotJson as error:
            self._add("not-json", f"an object of {seen.url}: {error}")
            return
        if not isinstance(raw, dict) or isinstance(raw.get("id"), bool) or not isinstance(raw.get("id"), str | int) or raw["id"] == "":
            return  # told with the page
        self._part = raw
        self._run.counts["locations"] = self._run.counts.get("locations", 0) + 1
        label = str(raw["id"])[:60]
        self.inventory.add(raw)
        for check, example in wire.odd_forms(item, raw):
            self._add(check, f"{label}: {example}")
        lifted = lift_location(raw, self._version, self._run.options.settings, self._run.options.area)
        tell(self._run.findings, [*lifted.issues, *lifted.errors], raw, label, "location", self._version, seen)
        self._location(lifted.node, raw, label)
        self.spelling[fold(lifted.node.id)] = lifted.node.id
        times = self.times.setdefault(fold(lifted.node.id), {})
        if lifted.node.last_updated is not None:
            times[""] = lifted.node.last_updated
        evses = wire.dicts(raw.get("evses"))
        if not evses:
            given = jsontext.dump(raw["evses"]).decode()[:30] if "evses" in raw else "not there"
            self._add("evses-missing", f"{label}: evses is {given}")
        newest = max((moment for evse in evses if (moment := self._evse(evse, lifted.node, label)) is not None), default=None)
        if newest is not None and lifted.node.last_updated is not None and newest > lifted.node.last_updated:
            self._part = raw
            self._add("location-time-not-raised", f"{label}: {raw.get('last_updated')}, of its newest EVSE {format_z(newest)}"[:200])

    def _add(self, check: str, example: str, severity: Severity | None = None) -> None:
        self._run.findings.add(check, example, self._at, severity=severity, part=self._part)

    def _location(self, node: Location, raw: dict[str, Any], label: str) -> None:
        add = self._add
        if self._version.party_in_object:
            self._owner(raw, label)
            if "publish" not in raw:
                add("publish-missing", label)
            self._published[node.publish is not False] += 1
        given = raw.get("coordinates")
        for check, example in (*wire.odd_coordinates(given), *wire.odd_hours(raw.get("opening_times"))):
            add(check, f"{label}: {example}")
        if isinstance(given, dict) and not usable_coordinates(node.coordinates) and "coordinates-with-comma" not in self._run.findings:
            add("coordinates-unusable", f"{label}: {given.get('latitude')} / {given.get('longitude')}"[:120])
        if not isinstance(raw.get("operator"), dict) or node.operator is None or not node.operator.name:
            add("operator-missing", label)
        if raw.get("opening_times") is None:
            add("hours-missing", label)
        if node.postal_code is None and "postal_code" not in self._version.required["location"]:
            add("postal-code-missing", label)
        if node.name is None and raw.get("name") != "#NA":
            add("name-missing", label)
        if node.help_phone is None and self._version.number in CHECKS["helpdesk-missing"].versions:
            add("helpdesk-missing", label)
        if node.energy_mix is None or node.energy_mix.is_green_energy is None:
            add("green-energy-missing", label)
        for name in set(node.extra) & set(raw):
            add("unknown-members", f"{label}: {name}"[:120])

    def _owner(self, raw: dict[str, Any], label: str) -> None:
        party = (str(raw.get("country_code", "")).upper(), str(raw.get("party_id", "")).upper())
        if party[0] == "" or party[1] == "":
            self._add("core-missing", f"{label}: country_code and party_id")
        known = {operator.party for operator in self._run.options.operators}
        if known and party not in known:
            self._add("foreign-objects", f"{label} of {party[0]}*{party[1]}")

    def _evse(self, raw: dict[str, Any], location: Location, place: str) -> datetime | None:
        """Judge an EVSE; gives its last_updated."""
        self._part = raw
        self._run.counts["evses"] = self._run.counts.get("evses", 0) + 1
        lifted = lift_evse(raw, self._version, self._run.options.settings)
        node, label = lifted.node, f"{place}/{str(raw.get('uid', '?'))[:60]}"
        tell(self._run.findings, [*lifted.issues, *lifted.errors], raw, label, "evse", self._version, self._at)  # type: ignore[arg-type]
        for name in set(node.extra) & set(raw):
            self._add("unknown-members", f"{label}: {name}"[:120])
        parking = raw.get("parking")
        if isinstance(parking, list) and any(isinstance(item, str) for item in parking):
            self._add("parking-as-ids", f"{label}: parking {parking}"[:120])
        if node.last_updated is not None:
            self.times[fold(location.id)][fold(node.uid)] = node.last_updated
        if node.status in ("REMOVED", "PLANNED"):
            if node.status == "REMOVED":
                self._add("removed", label)
            return node.last_updated
        self._statuses[node.status or "UNKNOWN"] += 1
        self._identity(node, raw, location, label)
        if not node.capabilities and "capabilities" not in node.raw_enums:
            self._add("capabilities-missing", label)
        connectors = wire.dicts(raw.get("connectors"))
        for wired, connector in zip(connectors, node.connectors, strict=False):
            self._connector(connector, wired, label)
        return node.last_updated

    def _identity(self, node: Evse, raw: dict[str, Any], location: Location, label: str) -> None:
        if not node.uid:
            self._add("uid-missing", label)
        else:
            key = f"{location.country_code}*{location.party_id}/{self._version.id_key(node.uid)}"
            where = self._uids.setdefault(key, location.id)
            if where != location.id:
                self._add("uid-twice", f"{node.uid} in {where} and in {location.id}"[:200])
        if node.evse_id is None:
            self._add("evse-ids-missing", label)
            return
        upper = node.evse_id.strip().upper()
        if not _EVSE_ID.fullmatch(upper):
            self._add("evse-id-form", f"{label}: {node.evse_id}"[:160])
        elif upper != node.evse_id:
            self._add("evse-ids-lower-case", f"{label}: {node.evse_id}"[:160])
        plain = upper.replace("*", "")
        holder = self._evse_ids.setdefault(plain, label)
        if holder != label:
            self._add("evse-ids-twice", f"{node.evse_id}: {holder} and {label}"[:200])
        owner = f"{location.country_code or ''}{location.party_id or ''}".upper()
        if len(owner) == 5 and _EVSE_ID.fullmatch(upper) and not plain.startswith(owner):
            self._add("evse-id-party", f"{label}: {node.evse_id}, Location of {owner}"[:200])

    def _connector(self, node: Connector, raw: dict[str, Any], place: str) -> None:
        self._part = raw
        self._run.counts["connectors"] = self._run.counts.get("connectors", 0) + 1
        label = f"{place}/{node.id}"
        standard = raw.get("standard")
        if isinstance(standard, str) and standard and standard != "#NA" and standard.strip().upper() not in _STANDARDS:
            self._add("standard-unknown", f"{label}: {standard}"[:160])
        others = self._other_names & set(raw)
        if others:
            self._add("older-shape", f"{label}: {', '.join(sorted(others))}")
        if isinstance(raw.get("tariffs"), list):
            self._add("tariffs-inlined", label)
        for name in (set(node.extra) & set(raw)) - others - {"tariffs"}:
            self._add("unknown-members", f"{label}: {name}"[:120])
        for check, example, severity in check_power(node, power_sent=self._power_sent):
            self._add(check, f"{label}: {example}", severity)
        self._tariffs.use(label, node, self._at)

    def finish(self) -> None:
        """What needs all Locations."""
        self._part = None
        total = sum(self._statuses.values())
        if total and self._statuses["UNKNOWN"] > total * _UNKNOWN_SHARE and "enums-unknown" not in self._run.findings:
            self._add("status-unknown", f"{self._statuses['UNKNOWN']} of {total} EVSEs")
        if self._published[False] and not self._published[True]:
            self._add("nothing-published", f"all {self._published[False]} Locations have publish false")

