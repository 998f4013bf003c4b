"""Objects of any version to the canonical model and back (objects.md section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ocpi_nap.model import timestamps
from ocpi_nap.model.areas import Area
from ocpi_nap.model.ids import normal_evse_id
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Connector, Evse, GeoLocation, Location, Node, Tariff
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.versions import plausible
from ocpi_nap.ocpi.versions.engine import restore, usable_coordinates
from ocpi_nap.ocpi.versions.enums import LOCATION_TYPE, PARKING_TYPE
from ocpi_nap.ocpi.versions.readers import MOST_ISSUES, Reading, sample
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
    return Reading(version.number, timestamps.zone(settings.naive_timezone), version.open_enums)


def _check(
    node: Node, raw: dict[str, Any], level: str, version: Version, settings: PlatformSettings, lifted: Lifted[Any], reading: Reading
) -> None:
    """Core fields become errors, other required ones issues; with strict_validation all are errors (D10).

    A value of no known enumeration was recorded already, and is no reason to reject (D11).
    """
    core = version.core[level]
    for name, attribute in version.required_attributes[level]:
        value = getattr(node, attribute)
        if (value is not None and value != [] and value != "") or name in reading.unknown:
            continue
        known = raw.get(name)
        issue = Issue(name, "required_missing" if known is None else "required_invalid",
                      "required" if known is None else "not usable", "" if known is None else sample(known))  # fmt: skip
        (lifted.errors if attribute in core or settings.strict_validation else lifted.issues).append(issue)


def lift_location(
    raw: dict[str, Any], version: Version, settings: PlatformSettings, area: Area | None = None
) -> Lifted[Location]:  # fmt: skip
    """The location level; ``evses`` is left to the caller. ``area``: where it should be, None: anywhere."""
    reading = _reading(version, settings)
    node: Location = LOCATION.read({k: v for k, v in raw.items() if k != "evses"}, "", reading)
    node.raw_enums = reading.raw_enums
    lifted = Lifted(node, reading.issues)
    node.coordinates = _usable(node.coordinates, raw, reading)
    if node.parking_type is None and node.location_type_211 in PARKING_TYPE:
        node.parking_type = node.location_type_211
        reading.raw_enums.setdefault("parking_type", None)
    if node.location_type_211 is None and version.requires("location", "type"):
        reading.raw_enums.setdefault("type", None)
    if node.publish is None:
        node.publish_inferred = not version.requires("location", "publish")
        node.publish = True if node.publish_inferred or settings.assume_publish else None
        reading.raw_enums.setdefault("publish", None)
    hours = node.opening_times
    if hours is not None and hours.twentyfourseven is None and hours.regular_hours:
        hours.twentyfourseven = False
        reading.raw_enums.setdefault("opening_times.twentyfourseven", None)
        if not version.hours_are_a_choice:
            lifted.issues.append(Issue("opening_times.twentyfourseven", "required_missing", "required"))
    _check(node, raw, "location", version, settings, lifted, reading)
    plausible.location(node, lifted.issues, area)
    return lifted


def _usable(coordinates: GeoLocation | None, raw: dict[str, Any], reading: Reading) -> GeoLocation | None:
    """Coordinates of which both numbers are there and which are no empty form's; None otherwise (I-94)."""
    if coordinates is None or usable_coordinates(coordinates):
        return coordinates
    reading.raw_enums["coordinates"] = raw.get("coordinates")
    return None


def lift_evse(raw: dict[str, Any], version: Version, settings: PlatformSettings) -> Lifted[Evse]:
    """An EVSE with its connectors; of broken connectors the usable part is kept."""
    reading = _reading(version, settings)
    node: Evse = EVSE.read({k: v for k, v in raw.items() if k != "connectors"}, "", reading)
    lifted = Lifted(node, reading.issues)
    node.coordinates = _usable(node.coordinates, raw, reading)
    if not node.uid:
        _infer_uid(node, raw, lifted)
        reading.raw_enums.setdefault("uid", None)
    normal = normal_evse_id(node.evse_id) if node.evse_id is not None else None
    node.evse_id_normal = normal if normal != node.evse_id else None
    node.connectors = _connectors(raw.get("connectors"), version, settings, lifted)
    given = raw.get("connectors")
    if given is not None and not (isinstance(given, list) and len(given) == len(node.connectors)):
        reading.raw_enums["connectors"] = given
    node.raw_enums = reading.raw_enums
    if node.status in ("REMOVED", "PLANNED"):
        return lifted
    _check(node, raw, "evse", version, settings, lifted, reading)
    if node.status is None:
        node.status = "UNKNOWN"
        reading.raw_enums.setdefault("status", None)
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
        if len(lifted.issues) < MOST_ISSUES:
            lifted.issues += [Issue(f"{path}.{i.path}", i.rule, i.message, i.sample) for i in (*single.issues, *single.errors)]
        key = version.id_key(single.node.id)
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
        lifted.issues.append(Issue("id", "id_inferred", "missing: counted by position"))
    if not node.tariff_ids:
        _inlined_tariffs(node, lifted)
    _check(node, raw, "connector", version, settings, lifted, reading)
    plausible.connector(node, lifted.issues)
    return lifted


def _inlined_tariffs(node: Connector, lifted: Lifted[Connector]) -> None:
    """Tariffs inside the connector: their ids are taken, the objects stay in ``extra`` (I-90)."""
    given = node.extra.get("tariffs")
    inlined = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    found = [item["id"] for item in inlined if isinstance(item.get("id"), str)]
    if found:
        node.tariff_ids = found
        node.raw_enums.setdefault("tariff_ids", None)
        lifted.issues.append(Issue("tariffs", "tariffs_inlined", "tariffs instead of tariff_ids: their ids are taken"))


def lift_tariff(raw: dict[str, Any], version: Version, settings: PlatformSettings) -> Lifted[Tariff]:
    """A tariff; it needs one price component that can be used (I-115)."""
    reading = _reading(version, settings)
    node: Tariff = TARIFF.read(raw, "", reading)
    node.raw_enums = reading.raw_enums
    lifted = Lifted(node, reading.issues)
    if node.tax_included is None and not version.requires("tariff", "tax_included"):
        node.tax_included, node.tax_included_inferred = "NO", True
    _check(node, raw, "tariff", version, settings, lifted, reading)
    components = [component for element in node.elements for component in element.price_components]
    if node.elements and not any(c.type is not None and c.price is not None for c in components):
        lifted.errors.append(Issue("elements", "required_invalid", "no usable price component"))
    plausible.tariff(node, lifted.issues)
    return lifted


def lower_location(
    node: Location, evses: list[Evse], version: Version, *, exact: bool = False, whole: bool = False
) -> dict[str, Any]:  # fmt: skip
    """A Location in a version's shape, with its EVSEs (D24). ``exact``: it came in this version, and leaves with every value as it came.
    ``whole``: it came in another one, and nothing is left out that this one cannot say."""
    wire = LOCATION.write(node, version.number, whole=whole)
    if version.requires("location", "type"):
        known = node.parking_type if node.parking_type in LOCATION_TYPE else None
        wire["type"] = node.location_type_211 or known or ("OTHER" if node.parking_type else "UNKNOWN")
    elif node.parking_type is not None and wire.get("type") == node.parking_type:
        del wire["type"]
    wire["evses"] = [lower_evse(evse, version, exact=exact, whole=whole) for evse in evses]
    restore(wire, _as_came(node.raw_enums, exact, whole))
    return wire


def _as_came(kept: dict[str, Any], exact: bool, whole: bool) -> dict[str, Any]:
    """What is put back of `Reading.raw_enums`: everything, or what was sent, or nothing. Connectors are lowered one by one."""
    if exact:
        return kept
    return {path: value for path, value in kept.items() if value is not None and path != "connectors"} if whole else {}


def lower_evse(node: Evse, version: Version, *, exact: bool = False, whole: bool = False) -> dict[str, Any]:
    """An EVSE with its connectors in a version's shape."""
    wire = EVSE.write(node, version.number, whole=whole)
    wire["connectors"] = [lower_connector(connector, version, exact=exact, whole=whole) for connector in node.connectors]
    restore(wire, _as_came(node.raw_enums, exact, whole))
    return wire


def lower_connector(node: Connector, version: Version, *, exact: bool = False, whole: bool = False) -> dict[str, Any]:
    """A Connector in a version's shape."""
    wire = CONNECTOR.write(node, version.number, whole=whole)
    if node.id_inferred:
        wire.pop("id", None)
    restore(wire, _as_came(node.raw_enums, exact, whole))
    return wire


def lower_tariff(node: Tariff, version: Version, *, exact: bool = False) -> dict[str, Any]:
    """A Tariff in a version's shape."""
    wire = TARIFF.write(node, version.number)
    if exact:
        restore(wire, node.raw_enums)
    return wire
