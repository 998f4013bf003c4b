"""Objects of any version to the canonical model and back (objects.md section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ocpi_nap.model import timestamps
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Connector, Evse, Location, Node, Tariff
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.versions.engine import usable_coordinates
from ocpi_nap.ocpi.versions.enums import PARKING_TYPE
from ocpi_nap.ocpi.versions.readers import Reading, sample
from ocpi_nap.ocpi.versions.tables import CONNECTOR, EVSE, LOCATION, TARIFF
from ocpi_nap.ocpi.versions.version import Version

N = TypeVar("N", bound=Node)


@dataclass(slots=True)
class Lifted(Generic[N]):
    """A canonical node, what was tolerated, and what of its own core data is unusable (D10)."""

    node: N
    issues: list[Issue] = field(default_factory=list)
    errors: list[Issue] = field(default_factory=list)


def _reading(version: Version, settings: PlatformSettings) -> Reading:
    return Reading(version.number, timestamps.zone(settings.naive_timezone))


def _check(node: Node, raw: dict[str, Any], level: str, version: Version, settings: PlatformSettings, lifted: Lifted[Any]) -> None:
    """Core fields become errors, other required ones issues; with strict_validation all are errors (D10)."""
    core = version.core[level]
    for name, attribute in version.required_attributes[level]:
        value = getattr(node, attribute)
        if value is not None and value != [] and value != "":
            continue
        known = raw.get(name)
        issue = Issue(name, "required_missing" if known is None else "required_invalid",
                      "required" if known is None else "not usable", "" if known is None else sample(known))  # fmt: skip
        (lifted.errors if attribute in core or settings.strict_validation else lifted.issues).append(issue)


def lift_location(raw: dict[str, Any], version: Version, settings: PlatformSettings) -> Lifted[Location]:
    """The location level; ``evses`` is left to the caller."""
    reading = _reading(version, settings)
    node: Location = LOCATION.read({k: v for k, v in raw.items() if k != "evses"}, "", reading)
    node.raw_enums = reading.raw_enums
    lifted = Lifted(node, reading.issues)
    if node.coordinates is not None and not usable_coordinates(node.coordinates):
        node.coordinates = None
    if node.location_type_211 is not None and node.parking_type is None and node.location_type_211.upper() in PARKING_TYPE:
        node.parking_type = node.location_type_211.upper()
    if node.publish is None:
        node.publish_inferred = version.number == "2.1.1"
        node.publish = True if node.publish_inferred or settings.assume_publish else None
    hours = node.opening_times
    if hours is not None and hours.twentyfourseven is None and hours.regular_hours:
        hours.twentyfourseven = False
        if version.number != "2.1.1":
            lifted.issues.append(Issue("opening_times.twentyfourseven", "required_missing", "required"))
    _check(node, raw, "location", version, settings, lifted)
    return lifted


def lift_evse(raw: dict[str, Any], version: Version, settings: PlatformSettings) -> Lifted[Evse]:
    """An EVSE with its connectors; of broken connectors the usable part is kept."""
    reading = _reading(version, settings)
    node: Evse = EVSE.read({k: v for k, v in raw.items() if k != "connectors"}, "", reading)
    lifted = Lifted(node, reading.issues)
    if node.coordinates is not None and not usable_coordinates(node.coordinates):
        node.coordinates = None
    if not node.uid:
        _infer_uid(node, raw, lifted)
    node.connectors = _connectors(raw.get("connectors"), version, settings, lifted)
    node.raw_enums = reading.raw_enums
    if node.status in ("REMOVED", "PLANNED"):
        return lifted
    _check(node, raw, "evse", version, settings, lifted)
    if node.status is None:
        node.status = "UNKNOWN"
    return lifted


def _infer_uid(node: Evse, raw: dict[str, Any], lifted: Lifted[Evse]) -> None:
    """Some send the EVSE's id only as evse_id or id (objects.md 2.1)."""
    other = node.evse_id or raw.get("id")
    if isinstance(other, str | int) and not isinstance(other, bool) and str(other):
        node.uid = str(other)
        lifted.issues.append(Issue("uid", "uid_inferred", "missing: taken from evse_id or id", node.uid[:60]))


def _connectors(given: Any, version: Version, settings: PlatformSettings, lifted: Lifted[Evse]) -> list[Connector]:
    if given is None:
        return []
    if not isinstance(given, list):
        lifted.issues.append(Issue("connectors", "not_a_list", "a single value where a list is required", sample(given)))
        given = [given]
    found: dict[str, Connector] = {}
    for position, item in enumerate(given):
        if item is None:
            continue
        path = f"connectors[{position}]"
        if not isinstance(item, dict):
            lifted.issues.append(Issue(path, "wrong_type", "not an object: dropped", sample(item)))
            continue
        single = lift_connector(item, version, settings, position)
        lifted.issues += [Issue(f"{path}.{i.path}", i.rule, i.message, i.sample) for i in (*single.issues, *single.errors)]
        key = single.node.id if version.number == "2.1.1" else single.node.id.lower()
        if found.pop(key, None) is not None:
            lifted.issues.append(Issue(f"{path}.id", "duplicate_id", "the same connector id twice: the last one counts", key[:60]))
        found[key] = single.node
    return list(found.values())


def lift_connector(raw: dict[str, Any], version: Version, settings: PlatformSettings, position: int = 0) -> Lifted[Connector]:
    """A connector; without id it counts by its position in the list (I-102)."""
    reading = _reading(version, settings)
    node: Connector = CONNECTOR.read(raw, "", reading)
    node.raw_enums = reading.raw_enums
    lifted = Lifted(node, reading.issues)
    if not node.id:
        node.id, node.id_inferred = f"~{position + 1}", True
        lifted.issues.append(Issue("id", "required_missing", "missing: counted by position"))
    _check(node, raw, "connector", version, settings, lifted)
    return lifted


def lift_tariff(raw: dict[str, Any], version: Version, settings: PlatformSettings) -> Lifted[Tariff]:
    """A tariff; it needs one price component that can be used (I-115)."""
    reading = _reading(version, settings)
    node: Tariff = TARIFF.read(raw, "", reading)
    node.raw_enums = reading.raw_enums
    lifted = Lifted(node, reading.issues)
    if node.tax_included is None and version.number != "2.3.0":
        node.tax_included, node.tax_included_inferred = "NO", True
    _check(node, raw, "tariff", version, settings, lifted)
    components = [component for element in node.elements for component in element.price_components]
    if node.elements and not any(c.type is not None and c.price is not None for c in components):
        lifted.errors.append(Issue("elements", "required_invalid", "no usable price component"))
    for component in components:
        if component.price is not None and component.price < 0:
            lifted.issues.append(Issue("elements", "negative_price", "a negative price", str(component.price)))
    return lifted


def lower_location(node: Location, evses: list[Evse], version: Version) -> dict[str, Any]:
    """A Location in a version's shape, with its EVSEs (D24)."""
    wire = LOCATION.write(node, version.number)
    if version.number == "2.1.1":
        wire["type"] = node.location_type_211 or node.parking_type or "UNKNOWN"
        if wire["type"] not in ("ON_STREET", "PARKING_GARAGE", "UNDERGROUND_GARAGE", "PARKING_LOT", "OTHER", "UNKNOWN"):
            wire["type"] = "OTHER"
    wire["evses"] = [lower_evse(evse, version) for evse in evses]
    return wire


def lower_evse(node: Evse, version: Version) -> dict[str, Any]:
    """An EVSE with its connectors in a version's shape."""
    wire = EVSE.write(node, version.number)
    wire["connectors"] = [lower_connector(connector, version) for connector in node.connectors]
    return wire


def lower_connector(node: Connector, version: Version) -> dict[str, Any]:
    """A Connector in a version's shape; 2.1.1 has room for one tariff id."""
    wire = CONNECTOR.write(node, version.number)
    if version.number == "2.1.1" and node.tariff_ids:
        wire["tariff_id"] = node.tariff_ids[0]
    if node.id_inferred:
        wire.pop("id", None)
    return wire


def lower_tariff(node: Tariff, version: Version) -> dict[str, Any]:
    """A Tariff in a version's shape."""
    return TARIFF.write(node, version.number)
