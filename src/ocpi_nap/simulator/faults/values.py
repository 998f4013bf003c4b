"""Faults of the objects' values (interoperability rows I-86 to I-120), and of pushes (I-69 to I-92)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ocpi_nap.simulator.faults.fault import FROM_221, Fault, Json, Push

Change = Callable[[Json], Any]
"""What it returns does not matter."""


def _evses(change: Change) -> Change:
    def applied(location: Json) -> None:
        for evse in location["evses"]:
            change(evse)

    return applied


def _connectors(change: Change) -> Change:
    return _evses(lambda evse: [change(connector) for connector in evse["connectors"]])


def _nodes(location: Json) -> Iterator[Json]:
    """The location, its EVSEs and their connectors."""
    yield location
    for evse in location["evses"]:
        yield evse
        yield from evse["connectors"]


def _times(rewrite: Callable[[str], Any]) -> Change:
    def applied(location: Json) -> None:
        for node in _nodes(location):
            node["last_updated"] = rewrite(node["last_updated"])

    return applied


def _drop(*names: str) -> Change:
    return lambda node: [node.pop(name, None) for name in names]


def _put(**values: Any) -> Change:
    return lambda node: node.update(values)


def _no_times(location: Json) -> None:
    for node in _nodes(location):
        del node["last_updated"]


def _coordinates(rewrite: Callable[[str], Any]) -> Change:
    return lambda location: location.update(coordinates={name: rewrite(text) for name, text in location["coordinates"].items()})


def _numbers_as_text(connector: Json) -> None:
    for name in ("voltage", "amperage", "max_voltage", "max_amperage", "max_electric_power"):
        if name in connector:
            connector[name] = str(connector[name])


def _lower(evse: Json) -> None:
    evse["status"] = evse["status"].lower()
    for connector in evse["connectors"]:
        connector["standard"] = connector["standard"].lower()


def _unknown(evse: Json) -> None:
    evse["status"] = "OCCUPIED" if evse["status"] == "CHARGING" else evse["status"]
    evse["capabilities"] = ["MAGIC", "RFID_READER"]
    for connector in evse["connectors"]:
        connector["power_type"] = "AC"


def _nulls(location: Json) -> None:
    location |= {"directions": None, "facilities": [None], "images": None, "energy_mix": None}
    for evse in location["evses"]:
        evse |= {"floor_level": None, "images": None, "capabilities": [None, "RFID_READER"]}


def _empty_texts(location: Json) -> None:
    location |= {"name": "", "operator": {"name": location["operator"]["name"], "website": ""}}
    for evse in location["evses"]:
        evse |= {"floor_level": "", "physical_reference": ""}


def _hours(location: Json) -> None:
    days = [{"weekday": str(day), "period_begin": "8:00", "period_end": "24:00"} for day in range(1, 6)]
    location["opening_times"] = {"regular_hours": [*days, {"weekday": 0, "period_begin": "8:00", "period_end": "9:00"}]}


def _no_evses(location: Json) -> None:
    location["evses"] = None if location["id"].endswith("1") else location["evses"]


def _older_shape(connector: Json) -> None:
    if "max_voltage" in connector:
        connector |= {"voltage": connector.pop("max_voltage"), "amperage": connector.pop("max_amperage")}
        tariffs = connector.pop("tariff_ids", None)
        if tariffs:
            connector["tariff_id"] = tariffs[0]


def _parking(location: Json) -> None:
    place = {"id": "P1", "vehicle_types": ["PERSONAL_VEHICLE"], "restricted_to_type": False, "reservation_required": False}
    location["parking_places"] = [place]
    for evse in location["evses"]:
        evse["parking"] = ["P1"]


def _no_core(location: Json) -> None:
    if location["id"].endswith("1"):
        del location["country"]


def _swap(location: Json) -> None:
    geo = location["coordinates"]
    location["coordinates"] = {"latitude": geo["longitude"], "longitude": geo["latitude"]}


def _zero(location: Json) -> None:
    if location["id"].endswith("1"):
        location["coordinates"] = {"latitude": "0.0", "longitude": "0.0"}


def _text_prices(tariff: Json) -> None:
    tariff["min_price"] = 5
    for element in tariff["elements"]:
        for component in element["price_components"]:
            component["price"] = str(component["price"]).replace(".", ",")


def _no_vat(tariff: Json) -> None:
    for element in tariff["elements"]:
        for component in element["price_components"]:
            del component["vat"]


def _restrictions(tariff: Json) -> None:
    for element in tariff["elements"]:
        element["restrictions"] = [None]


VALUES = [
    Fault("evses-missing", "I-100", "some locations have evses null", location=_no_evses),
    Fault("connectors-missing", "I-101", "EVSEs have no connectors", location=_evses(_put(connectors=[]))),
    Fault("connector-ids-missing", "I-102", "connectors have no id", location=_connectors(_drop("id"))),
    Fault("connector-ids-twice", "I-102", "connectors of an EVSE have the same id", location=_connectors(_put(id="1"))),
    Fault("uid-twice", "I-87", "the same uids in every location", location=_evses(lambda e: e.update(uid=f"E{e['physical_reference']}"))),
    Fault("evse-ids-twice", "I-87", "the same evse_id everywhere", location=_evses(_put(evse_id="FI*ABC*E1"))),
    Fault("removed-bare", "I-86", "removed EVSEs have neither connectors nor evse_id",
          location=_evses(lambda e: e.update(status="REMOVED", evse_id=None, connectors=None) if e["uid"].endswith("3") else None),
          told_as="removed"),
    Fault("tariffs-inlined", "I-90", "tariffs are inlined in connectors", versions=FROM_221,
          location=_connectors(lambda c: c.update(tariffs=[{"id": i, "currency": "EUR"} for i in c.get("tariff_ids", ())]))),
    Fault("older-shape", "I-92", "connectors in the shape of 2.1.1", location=_connectors(_older_shape), versions=FROM_221),
    Fault("numbers-as-text", "I-93", "numbers are text", location=_connectors(_numbers_as_text)),
    Fault("text-as-number", "I-93", "texts are numbers", location=_evses(_put(physical_reference=3))),
    Fault("floats", "I-93", "whole numbers have decimals", told_as="not-whole",
          location=_connectors(lambda c: c.update({n: c[n] + 0.5 for n in ("amperage", "max_amperage") if n in c}))),
    Fault("coordinates-as-numbers", "I-94", "coordinates are numbers", location=_coordinates(float)),
    Fault("coordinates-with-comma", "I-94", "coordinates have a decimal comma", location=_coordinates(lambda t: t.replace(".", ","))),
    Fault("coordinates-zero", "I-94", "some locations are at 0/0", location=_zero, tolerated=False, told_as="coordinates-unusable"),
    Fault("coordinates-swapped", "I-94", "latitude and longitude are exchanged", location=_swap),
    Fault("times-without-zone", "I-95", "timestamps without zone", location=_times(lambda t: t.removesuffix("Z"))),
    Fault("times-with-offset", "I-95", "timestamps with an offset", location=_times(lambda t: t.replace("Z", "+00:00"))),
    Fault("times-with-space", "I-95", "timestamps with a space", location=_times(lambda t: t.replace("T", " "))),
    Fault("times-as-numbers", "I-95", "timestamps are numbers", location=_times(lambda t: 1_700_000_000), told_as="times-unreadable"),
    Fault("times-in-future", "I-60", "timestamps in the future", location=_times(lambda t: f"2{int(t[1:4]) + 70:03d}{t[4:]}")),
    Fault("enums-lower-case", "I-96", "enum values in lower case", location=_evses(_lower)),
    Fault("enums-unknown", "I-96", "enum values that no version knows", location=_evses(_unknown)),
    Fault("standard-unknown", "I-97", "an unknown connector standard", location=_connectors(_put(standard="Type2"))),
    Fault("nulls", "I-98", "null for absent values, and inside lists", location=_nulls),
    Fault("empty-texts", "I-99", "empty texts for absent values", location=_empty_texts),
    Fault("last-updated-missing", "I-104", "no last_updated anywhere", location=_no_times),
    Fault("core-missing", "I-105", "some locations have no country", location=_no_core, tolerated=False),
    Fault("required-missing", "I-105", "no postal code and no time zone", location=_drop("postal_code", "time_zone")),
    Fault("country-alpha-2", "I-106", "country with two letters", location=_put(country="FI")),
    Fault("hours-odd", "I-107", "opening hours without twentyfourseven, weekday 0, 8:00 and 24:00", location=_hours),
    Fault("directions-as-text", "I-108", "directions are plain text", location=_put(directions="Behind the shop")),
    Fault("object-for-list", "I-109", "a single value where a list is required", location=_evses(_put(capabilities="RFID_READER")),
          told_as="list-form"),
    Fault("evse-ids-missing", "I-110", "EVSEs have no evse_id", location=_evses(_drop("evse_id"))),
    Fault("evse-ids-lower-case", "I-110", "evse_id in lower case", location=_evses(lambda e: e.update(evse_id=e["evse_id"].lower()))),
    Fault("power-missing", "I-111", "no max_electric_power", location=_connectors(_drop("max_electric_power")), versions=FROM_221),
    Fault("power-in-kilowatts", "I-111", "max_electric_power in kW", versions=FROM_221,
          location=_connectors(lambda c: c.update(max_electric_power=c["max_electric_power"] // 1000))),
    Fault("texts-too-long", "I-112", "floor_level and name longer than allowed",
          location=lambda loc: (loc.update(name="N" * 300), _evses(_put(floor_level="second floor"))(loc))[1]),
    Fault("publish-as-text", "I-113", "publish is text", location=_put(publish="true"), versions=FROM_221,
          told_as="booleans-as-text"),
    Fault("publish-missing", "I-113", "publish is missing", location=_drop("publish"), versions=FROM_221,
          settings={"assume_publish": True}),
    Fault("parking-as-ids", "I-114", "evse.parking is a list of ids", location=_parking, versions=("2.3.0",)),
    Fault("prices-as-text", "I-115", "prices are text with a comma, min_price is a number", tariff=_text_prices, versions=FROM_221),
    Fault("vat-missing", "I-115", "prices without vat", tariff=_no_vat, versions=FROM_221),
    Fault("restrictions-in-list", "I-109", "restrictions: [null]", tariff=_restrictions, versions=FROM_221, told_as="not-an-object"),
    Fault("tariffs-unknown", "I-116", "connectors name tariffs that do not exist", location=_connectors(_put(tariff_ids=["NONE"])),
          versions=FROM_221),
    Fault("texts-na", "I-117", "#NA for values that are not available", location=_put(name="#NA")),
    Fault("operator-missing", "I-118", "locations have no operator", location=_drop("operator")),
    Fault("control-characters", "I-120", "control characters and markup in texts", location=_put(name="Asema\u0007<b>1</b>")),
    Fault("members-unknown", "R40", "members that OCPI does not define", location=_put(sim_colour="green"), told_as="unknown-members"),
]  # fmt: skip


def _without_time(push: Push) -> None:
    if push.method == "PATCH":
        push.body.pop("last_updated")


def _nested(push: Push) -> None:
    if push.method == "PATCH":
        *push.ids, uid = push.ids
        push.body = {"evses": [{"uid": uid, **push.body}], "last_updated": push.body["last_updated"]}


def _lower_ids(push: Push) -> None:
    push.ids = [part.lower() for part in push.ids]


def _stale(push: Push) -> None:
    push.body = {**push.body, "last_updated": "2015-01-01T00:00:00Z"}


def _unknown_location(push: Push) -> None:
    push.ids[2] = "NOWHERE"


def _other_id(push: Push) -> None:
    push.body = {**push.body, "uid": "OTHER"}


def _null_id(push: Push) -> None:
    push.ids[2] = "null"


def _foreign(push: Push) -> None:
    push.ids[1] = "XXX"
    push.body = {**push.body}


def _as_text(push: Push) -> None:
    push.headers["Content-Type"] = "text/plain"


def _bare(push: Push) -> None:
    push.headers = {name: value for name, value in push.headers.items() if name in ("Authorization", "Content-Type")}


PUSHES = [
    Fault("push-without-headers", "I-14", "pushes carry neither message ids nor routing headers", push=_bare, needs="push"),
    Fault("push-as-text", "I-21", "pushes are text/plain", push=_as_text, needs="push"),
    Fault("push-without-time", "I-71", "status PATCH without last_updated", push=_without_time, needs="push"),
    Fault("push-nested", "I-72", "status PATCH of the Location with evses in it", push=_nested, needs="push"),
    Fault("push-wrapped", "I-89", "bodies wrapped in data", push=lambda p: setattr(p, "body", {"data": p.body}), needs="push"),
    Fault("push-lower-case", "I-81", "ids in lower case in URLs", push=_lower_ids, needs="push", versions=FROM_221),
    Fault("push-stale", "I-76", "last_updated older than what was sent before", push=_stale, needs="push", tolerated=False),
    Fault("push-unknown-location", "I-69", "pushes for a Location that was never sent", push=_unknown_location, needs="push",
          tolerated=False),
    Fault("push-foreign-party", "I-80", "pushes for a party that was not announced", push=_foreign, needs="push", tolerated=False),
    Fault("push-other-id", "I-78", "the body has another id than the URL", push=_other_id, needs="push", tolerated=False),
    Fault("push-null-id", "I-82", "`null` for the Location in URLs", push=_null_id, needs="push", tolerated=False,
          told_as="push-unknown-location"),
    Fault("push-delete", "I-85", "DELETE of an EVSE", push=lambda p: setattr(p, "method", "DELETE"), needs="push", tolerated=False,
          told_as="push-refused"),
    Fault("push-post", "I-88", "POST instead of PUT and PATCH", push=lambda p: setattr(p, "method", "POST"), needs="push",
          tolerated=False),
]  # fmt: skip
