"""Where a site is and what is there: addresses, points, parking spaces, vehicles, facilities (AFIR items A6 to A19)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ocpi_nap.feed.datex2 import common
from ocpi_nap.feed.datex2.common import Json, display_texts, kept, literal, texts
from ocpi_nap.feed.views import LocationView
from ocpi_nap.model.objects import Evse, GeoLocation, Image, Parking

_STREET = re.compile(r"(.*\D)\s+(\d+\s?[A-Za-z]?(?:\s?[-–]\s?\d+\s?[A-Za-z]?)?)")
_ASSOCIATED = {
    "AIRPORT": "airport", "TRAIN_STATION": "trainStation", "MALL": "shoppingCentre", "PARKING_LOT": "carPark", "CARPOOL_PARKING": "carPark",
    "BUS_STOP": "publicTransportHub", "TRAM_STOP": "publicTransportHub", "METRO_STATION": "publicTransportHub",
}  # fmt: skip
_SERVICES = {
    "HOTEL": "hotel", "RESTAURANT": "restaurant", "CAFE": "cafe", "SUPERMARKET": "foodShopping", "BIKE_SHARING": "bikeSharing",
    "FUEL_STATION": "petrolStation", "SPORT": "leisureActivities", "RECREATION_AREA": "leisureActivities", "MALL": "shop",
}  # fmt: skip
_EQUIPMENT = {"WIFI": "internetWireless"}
_SURROUNDINGS = {"NATURE": "Nature nearby.", "MUSEUM": "Museum nearby.", "TAXI_STAND": "Taxi stand nearby."}
_REGISTERED = (
    ("toilet", "SupplementalEquipment", "equipmentType", "toilet"),
    ("rest_area", "SupplementalEquipment", "equipmentType", "restingFacilities"),
    ("catering", "SupplementalServiceFacility", "serviceFacilityType", "cateringService"),
)  # fmt: skip
_VEHICLES = {
    "MOTORCYCLE": ("motorcycle", ("l3",)), "PERSONAL_VEHICLE": ("car", ("m1",)),
    "PERSONAL_VEHICLE_WITH_TRAILER": ("carWithTrailer", ("m1", "o1")),
    "VAN": ("van", ("n1",)), "SEMI_TRACTOR": ("articulatedVehicle", ("n3",)), "RIGID": ("lorry", ("n2", "n3")),
    "TRUCK_WITH_TRAILER": ("heavyGoodsVehicleWithTrailer", ("n3", "o4")), "BUS": ("bus", ("m2", "m3")), "DISABLED": ("car", ("m1",)),
}  # fmt: skip
_AT_MOST = literal("lessThanOrEqualTo")
_LIMITS = (
    ("max_vehicle_height", "heightCharacteristic", "vehicleHeight"), ("max_vehicle_length", "lengthCharacteristic", "vehicleLength"),
    ("max_vehicle_width", "widthCharacteristic", "vehicleWidth"),
)  # fmt: skip


def _coordinates(geo: GeoLocation) -> Json:
    return {"latitude": common.degrees(geo.latitude), "longitude": common.degrees(geo.longitude)}


def _known(geo: GeoLocation | None) -> bool:
    return geo is not None and geo.latitude is not None and geo.longitude is not None


def location_reference(view: LocationView, language: str) -> Json:
    """Point and address of a site."""
    assert view.doc.coordinates is not None
    point = _coordinates(view.doc.coordinates)
    facility = kept({"timeZone": offset(view.doc.time_zone), "address": _address(view, language), "nutsArea": _region(view)})
    return {"locPointLocation": {
        "coordinatesForDisplay": point, "locLocationExtensionG": {"AfirFacilityLocation": facility},
        "pointByCoordinates": {"pointCoordinates": point},
    }}  # fmt: skip


def offset(zone: str | None) -> str | None:
    """``+03:00``: what the clock of a time zone shows now against UTC; None for no such zone."""
    try:
        ahead = datetime.now(UTC).astimezone(ZoneInfo(zone or "")).utcoffset()
    except (KeyError, ValueError, OSError):
        return None
    minutes = int(ahead.total_seconds() // 60) if ahead is not None else 0
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def european_clocks() -> str:
    """What summer time makes of the offsets that are published: all of the EU changes at one moment."""
    return offset("Europe/Helsinki") or ""


def _address(view: LocationView, language: str) -> Json:
    """The house number stands apart where the street's text has it at its end. City, lines and country are always there, if empty:
    readers ask for them without looking."""
    doc = view.doc
    street = common.clean(doc.address).strip()
    split = _STREET.fullmatch(street) if len(street) <= 255 else None
    parts = [("street", split[1]), ("houseNumber", split[2])] if split else [("generalTextLine", street)]
    if doc.state:
        parts.append(("region", doc.state))
    nothing = {"values": [{"lang": language, "value": ""}]}
    lines = [(kind, text) for kind, text in ((kind, texts(part, language)) for kind, part in parts) if text]
    return kept({
        "postcode": common.clean(doc.postal_code) or None, "city": texts(doc.city, language) or nothing,
        "countryCode": common.country_code(doc.country),
        "addressLine": [
            {"order": order, "type": literal(kind), "text": text}
            for order, (kind, text) in enumerate(lines or [("generalTextLine", nothing)])
        ],
    })  # fmt: skip


def _region(view: LocationView) -> list[Json]:
    """NUTS 1 (item A10): the register's, else by the postal code in Finland, where Åland is a region of its own."""
    code = view.facts.get("nuts1")
    postcode = view.doc.postal_code or ""
    if code is None and view.doc.country in ("FIN", "ALA") and re.fullmatch(r"\d{5}", postcode, re.ASCII):
        code = "FI2" if postcode.startswith("22") else "FI1"
    return [{"nutsCodeType": literal("nuts1Code"), "nutsCode": code}] if code else []


def point_reference(doc: Evse, language: str) -> Json | None:
    """Floor and coordinates of an EVSE (item A8)."""
    floor = texts(f"floor {doc.floor_level}", "en") if doc.floor_level else None
    if doc.coordinates is None or not _known(doc.coordinates):
        return {"locPointLocation": {"supplementaryPositionalDescription": {"locationDescription": floor}}} if floor else None
    found: Json = {"pointByCoordinates": {"pointCoordinates": _coordinates(doc.coordinates)}}
    if floor:
        found = {"supplementaryPositionalDescription": {"locationDescription": floor}, **found}
    return {"locPointLocation": found}


def entrances(given: Iterable[GeoLocation], language: str) -> list[Json]:
    """Related locations."""
    found = []
    for geo in given:
        if not _known(geo):
            continue
        name = display_texts([geo.name], language) if geo.name else None
        described = {"supplementaryPositionalDescription": {"locationDescription": name}} if name else {}
        found.append({"locPointLocation": {**described, "pointByCoordinates": {"pointCoordinates": _coordinates(geo)}}})
    return found


def information(view: LocationView, language: str) -> list[Json]:
    """What has no element of its own, in words."""
    doc = view.doc
    said = ["No charging outside the opening hours."] if doc.charging_when_closed is False else []
    said += [_SURROUNDINGS[facility] for facility in dict.fromkeys(doc.facilities) if facility in _SURROUNDINGS]
    found = [display_texts(doc.directions, language), texts(" ".join(said), "en")]
    return [text for text in found if text]


def photos(images: Iterable[Image]) -> list[Json]:
    """Pictures of the place; logos belong to organisations."""
    kind = literal("image")
    return [
        kept({"urlLinkAddress": image.url, "urlLinkDescription": texts((image.category or "").lower(), "en"), "urlLinkType": kind})
        for image in images
        if common.url(image.url) and image.category not in ("OPERATOR", "OWNER", "NETWORK")
    ]


def associated(facilities: Iterable[str]) -> list[Json]:
    """What the place belongs to."""
    kinds = dict.fromkeys(_ASSOCIATED[facility] for facility in facilities if facility in _ASSOCIATED)
    return [{"afacAssociatedFacility": {"type": literal(kind)}} for kind in kinds]


def supplemental(view: LocationView, identity: str, version: str) -> list[Json]:
    """Services and equipment (item A6). Nothing is said to be absent because nobody said that it is there."""
    wanted: list[tuple[str, str, str, str, bool]] = []
    for facility in dict.fromkeys(view.doc.facilities):
        if facility in _SERVICES:
            wanted.append((facility, "SupplementalServiceFacility", "serviceFacilityType", _SERVICES[facility], True))
        elif facility in _EQUIPMENT:
            wanted.append((facility, "SupplementalEquipment", "equipmentType", _EQUIPMENT[facility], True))
    for fact, class_name, key, value in _REGISTERED:
        if view.facts.get(fact) is not None:
            wanted.append((fact.upper(), class_name, key, value, view.facts[fact]))
    available, missing = literal("available"), literal("notAvailable")
    return [
        {f"afac{class_name}": {
            "idG": f"{identity}*{name}", "versionG": version, "availability": available if there else missing, key: literal(value),
        }}
        for name, class_name, key, value, there in wanted
    ]  # fmt: skip


def amenities(view: LocationView) -> Json | None:
    """Light and roof: of the register, else of the parking places that say so."""
    found: Json = {}
    for key, fact, member in (("illuminated", "lighting", "lighting"), ("roofed", "roofed", "roofed")):
        said = [value for value in (getattr(place, member) for place in view.doc.parking_places) if value is not None]
        value = view.facts.get(fact, any(said) if said else None)
        if value is not None:
            found[key] = value
    return found or None


def _metres(centimetres: Decimal | None) -> float | None:
    return None if centimetres is None or centimetres < 0 else float(centimetres / 100)


def _vehicle(place: Parking) -> Json | None:
    """Which vehicles fit, with the categories of EU type approval (items A16, A17)."""
    kinds = [_VEHICLES[kind] for kind in place.vehicle_types if kind in _VEHICLES]
    found: Json = {"fuelType": [literal("battery")]}
    if kinds:
        found["vehicleType"] = [literal(name) for name in dict.fromkeys(name for name, _ in kinds)]
    if place.max_vehicle_weight is not None and place.max_vehicle_weight >= 0:
        weight = {"comparisonOperator": _AT_MOST, "grossVehicleWeight": float(place.max_vehicle_weight / 1000)}
        found["grossWeightCharacteristic"] = [weight | {"typeOfWeight": literal("actual")}]
    for member, key, name in _LIMITS:
        limit = _metres(getattr(place, member))
        if limit is not None:
            found[key] = [{"comparisonOperator": _AT_MOST, name: limit}]
    if kinds:
        categories = [literal(category) for category in dict.fromkeys(category for _, several in kinds for category in several)]
        found["comVehicleCharacteristicsExtensionG"] = {
            "VehicleCharacteristicsExtended": {"regulatedCharacteristics": [{"euVehicleCategory": categories}]}
        }
    return found if len(found) > 1 else None


def vehicles(parking: Iterable[Parking]) -> list[Json]:
    """The vehicles that some parking places are for, each description once."""
    found: list[Json] = []
    for place in parking:
        vehicle: Any = _vehicle(place)
        if vehicle is not None and vehicle not in found:
            found.append(vehicle)
    return found


def parking_spaces(given: Iterable[Parking], identity: str, version: str) -> list[Json]:
    """Parking spaces of a kind together (items A18, A19)."""
    kinds: list[tuple[Json, int]] = []
    for place in given:
        size = kept({"length": _metres(place.parking_space_length), "width": _metres(place.parking_space_width)})
        kind = kept({
            "applicableForVehicles": vehicles([place]), "dimension": size or None,
            "amenities": kept({"illuminated": place.lighting, "roofed": place.roofed}) or None,
            "userSpecific": [literal("personsWithDisabilities")] if "DISABLED" in place.vehicle_types else None,
        })  # fmt: skip
        known = next((number for number, (other, _) in enumerate(kinds) if other == kind), None)
        if known is None:
            kinds.append((kind, 1))
        else:
            kinds[known] = (kind, kinds[known][1] + 1)
    return [
        {"idG": f"{identity}*PARKING*{number + 1}", "versionG": version, **kind, "numberOfSpaces": count}
        for number, (kind, count) in enumerate(kinds)
    ]
