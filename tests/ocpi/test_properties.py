"""Properties that hold for whatever is generated: lift and lower, merge-patch, and the order of sibling patches.

The objects come from the field tables themselves, so that a new member or version is tested without a word here.
"""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocpi_nap.intake.merge import merge
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.intake.patch import CHILDREN, merge_patch
from ocpi_nap.intake.present import present_location
from ocpi_nap.model import jsontext
from ocpi_nap.model.objects import (
    BusinessDetails,
    DisplayText,
    EvseParking,
    Image,
    Node,
    Price,
    PriceComponent,
    RegularHours,
    TariffRestrictions,
    encode,
)
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.model.timestamps import format_z
from ocpi_nap.ocpi.errors import Invalid
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS, lift_evse, lift_location, lift_tariff, lower_evse, lower_location, readers, tables
from ocpi_nap.ocpi.versions.engine import TABLES, Field, Table
from ocpi_nap.store.rows import LocationRow
from tests.e2e.cpo import location
from tests.ocpi.test_lossless import plain, through
from tests.versions import each

PLAIN = PlatformSettings()
slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
seeded = settings(max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=slow)

characters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"])
words = st.text(characters, min_size=1, max_size=4).filter(lambda text: text != "#NA")
amounts = st.decimals(min_value=0, max_value=10**6, places=4)
times = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda t: format_z(t.replace(microsecond=0, tzinfo=UTC)))
clocks = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(1, 59))
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    readers.boolean: st.booleans(),
    readers.number: amounts,
    readers.integer: st.integers(1, 10**6),
    readers.moment: times,
    readers.clock: clocks,
    tables.closing: clocks,
    tables.tariff_clock: clocks,
    tables.weekday: st.integers(1, 7),
    tables.country: st.sampled_from(["FIN", "SWE", "EST"]),
    tables.currency: st.sampled_from(["EUR", "SEK"]),
    tables.tariff_ids: words,
    tables.dropped_size: st.integers(1, 99999),
    tables.image_type: st.sampled_from(["png", "SVG"]),
    tables.time_zone: st.sampled_from(["Europe/Helsinki", "Europe/Mariehamn"]),
    tables.step_size: st.integers(1, 3600),
    tables.location_type: st.sampled_from(["ON_STREET", "OTHER", "UNKNOWN", "PARKING_LOT"]),
}
CLASSES: dict[Any, type[Any]] = {
    tables.display_text: DisplayText,
    tables.image: Image,
    tables.business_details: BusinessDetails,
    tables.regular_hours: RegularHours,
    tables.price: Price,
    tables.price_component: PriceComponent,
    tables.restrictions: TariffRestrictions,
    tables.parking_reference: EvseParking,
}
ALWAYS = {"id", "uid", "url", "name", "weekday", "period_begin", "period_end", "step_size", "latitude", "longitude", "type", "text"}
"""Members without which an object, or a value, is dropped."""


def values(field: Field, version: str) -> st.SearchStrategy[Any]:
    """Wire values of a member that are right in the version."""
    read: Any = field.read
    if field.name == "tariff_ids":
        return st.lists(words, max_size=3)
    if read in SCALARS:
        return SCALARS[read]
    if read in CLASSES:
        return members(TABLES[CLASSES[read]], version)
    if isinstance(getattr(read, "__self__", None), Table):
        return members(read.__self__, version)
    inside = inspect.getclosurevars(read).nonlocals
    maker = read.__qualname__.partition(".")[0]
    if maker == "text":
        return words.map(lambda text: text[: inside["limit"]])
    if maker == "enum":
        return st.sampled_from(sorted(inside["values"]))
    if maker == "coordinate":
        return st.integers(-inside["limit"] * 10**6 + 1, inside["limit"] * 10**6 - 1).map(lambda n: f"{n / 10**6:.6f}")
    assert maker == "many", read
    return st.lists(values(field._replace(read=inside["one"]), version), max_size=2)


@cache
def members(table: Table, version: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a class with the version's own members."""
    own = {field.name: values(field, version) for field in table.fields if version in field.versions}
    needed = {name: value for name, value in own.items() if name in ALWAYS}
    return st.fixed_dictionaries(needed, optional={name: value for name, value in own.items() if name not in needed})


def as_sent(value: Any) -> Any:
    """As it arrives: through JSON, numbers with their exact text."""
    return jsontext.parse(jsontext.dump(value))


@st.composite
def whole(draw: st.DrawFn, version: str) -> dict[str, Any]:
    """A Location with EVSEs and connectors."""
    found = draw(members(tables.LOCATION, version))
    evses = draw(st.lists(members(tables.EVSE, version), max_size=2, unique_by=lambda evse: evse["uid"].lower()))
    for evse in evses:
        evse["status"] = draw(st.sampled_from(["AVAILABLE", "REMOVED"]))
        connectors = members(tables.CONNECTOR, version)
        evse["connectors"] = draw(st.lists(connectors, max_size=2, unique_by=lambda connector: connector["id"].lower()))
    return {**found, "evses": evses}


@each
@given(data=st.data(), other=st.sampled_from(sorted(VERSIONS)))
@seeded
def test_whole_in_another_version(version: str, other: str, data: st.DataObject) -> None:
    """An object in the names of another version says what it said: read there, and written in its own version, it is the same."""
    raw = {"publish": True} | as_sent(data.draw(whole(version)))
    first = lift_location(raw, VERSIONS[version], PLAIN).node
    sent = as_sent(lower_location(first, [], VERSIONS[other], whole=True))
    again = lift_location(sent, VERSIONS[other], PLAIN).node
    for node in (first, again):
        node.raw_enums, node.publish_inferred = {}, False
        node.location_type_211 = node.location_type_211 if node.location_type_211 not in (node.parking_type, "OTHER", "UNKNOWN") else None
    assert said(again) == said(first)
    for evse in raw["evses"]:
        point = lift_evse(evse, VERSIONS[version], PLAIN).node
        moved = lift_evse(as_sent(lower_evse(point, VERSIONS[other], whole=True)), VERSIONS[other], PLAIN).node
        for plug in (*point.connectors, *moved.connectors):
            plug.raw_enums = {}
        point.raw_enums = moved.raw_enums = {}
        assert said(moved) == said(point)


def said(value: Any) -> Any:
    """A canonical object as JSON has it, without what says nothing."""
    if isinstance(value, dict):
        found = {name: said(item) for name, item in value.items()}
        return {name: item for name, item in found.items() if item not in (None, [], {})}
    if isinstance(value, list):
        return [said(item) for item in value]
    return said(json.loads(encode(value))) if isinstance(value, Node) else value


@each
@given(data=st.data())
@seeded
def test_right_objects_come_back(version: str, data: st.DataObject) -> None:
    """What is right in a version is lifted without a word about its form, and lowered to the same again."""
    for raw in (as_sent(data.draw(whole(version))), as_sent(data.draw(members(tables.TARIFF, version)) | {"elements": []})):
        lifted = lift_tariff(raw, VERSIONS[version], PLAIN) if "elements" in raw else lift_location(raw, VERSIONS[version], PLAIN)
        plausible = ("coordinates_", "energy_mix_sum", "hours_contradict", "required_")
        assert [issue for issue in lifted.issues if not issue.rule.startswith(plausible)] == []
        assert plain(through(raw, version)) == plain(raw)


KNOWN = {field.name for table in TABLES.values() for field in table.fields} - {"last_updated", "evses"}
names = st.sampled_from([*sorted(KNOWN), "x_own"])
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(-100, 100, places=3)
    | times
    | clocks
    | st.sampled_from(["", " ", "#NA", "available", "AC_3_PHASE", "24:00", "00:00", "1,5", "true", "fi", "60.17", "image/png", "EUR", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, anything, max_size=8)


@each
@given(raw=objects, evses=st.lists(st.dictionaries(names, anything, max_size=6), max_size=2), price=objects)
@settings(seeded, max_examples=150)
def test_any_object_comes_back(version: str, raw: dict[str, Any], evses: list[Any], price: dict[str, Any]) -> None:
    """Members of any version with any JSON in them: whatever the lift makes of it, the same comes back in the version it came in."""

    def without(value: dict[str, Any], *marks: str) -> dict[str, Any]:
        return {name: item for name, item in value.items() if name not in marks}

    price = without(price, "standard", "uid", "connectors") | {"elements": price.get("elements")}
    plug = without(raw, "uid", "elements") | {"standard": price.get("type")}
    place = without(raw, "standard", "uid", "connectors", "elements")
    points = [without(evse, "elements", "standard") | {"uid": "U"} for evse in evses]
    for sent in (as_sent({**place, "evses": points}), as_sent(price), as_sent(plug), *map(as_sent, points)):
        assert plain(through(sent, version)) == plain(sent)


@each
@given(stored=objects, patch=objects, beside=objects, level=st.sampled_from(["location", "evse", "connector"]))
@settings(seeded, max_examples=150)
def test_merge_patch(version: str, stored: dict[str, Any], patch: dict[str, Any], beside: dict[str, Any], level: str) -> None:
    """Idempotent; only what is named, in whatever spelling, changes; null takes away or is refused; disjoint patches in any order give the
    same."""
    known, child, alike = VERSIONS[version], CHILDREN.get(level), tables.SPELLINGS[level]
    before = json.loads(jsontext.dump(stored))
    if any(value is None and name in known.required[level] for name, value in patch.items()):
        with pytest.raises(Invalid):
            merge_patch(stored, patch, known, level)
        patch = {name: value for name, value in patch.items() if value is not None or name not in known.required[level]}
    once = merge_patch(stored, patch, known, level)
    assert json.loads(jsontext.dump(stored)) == before, "what is stored is left alone"
    assert merge_patch(once, patch, known, level) == once
    for name in stored.keys() | patch.keys():
        other = alike.get(name)
        if name == child or (name not in patch and (other not in patch or (patch[other] is None and name in known.required[level]))):
            assert once.get(name) == stored.get(name) and (name in once) == (name in stored)
        elif name not in patch or patch[name] is None:
            assert name not in once
        else:
            assert once[name] == patch[name]
    apart = {name: value for name, value in beside.items() if name not in patch and alike.get(name) not in patch and value is not None}
    assert merge_patch(once, apart, known, level) == merge_patch(merge_patch(stored, apart, known, level), patch, known, level)


UIDS = ["A", "B", "C"]
START = datetime(2026, 1, 2, tzinfo=UTC)
changes = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["BLOCKED", "CHARGING", "AVAILABLE"]),
        "floor_level": words,
        "capabilities": st.just(["RESERVABLE"]),
    },
).filter(bool)
sibling_patches = st.lists(st.tuples(st.sampled_from(UIDS), st.booleans(), changes), min_size=2, max_size=8)


@each
@given(patches=sibling_patches, chance=st.randoms(use_true_random=False))
@settings(seeded, max_examples=80)
def test_sibling_patches_in_any_order(version: str, patches: list[Any], chance: Any) -> None:
    """PATCHes of EVSEs and their connectors give the same Location in every order that keeps each node's own."""

    def operation(method: Any, level: Any, *ids: str, raw: dict[str, Any], time: datetime) -> Operation:
        context = Context(1, VERSIONS[version], PLAIN, "push", time)
        key = (1, "FI", "ABC", VERSIONS[version].id_key("L1"))
        return Operation(method, level, NodeKey("FI", "ABC", "L1", *ids), key, context, json.loads(json.dumps(raw)))

    def apply(order: list[tuple[int, Any]]) -> Any:
        body = location(version, 1)
        body["evses"] = [{**body["evses"][0], "uid": uid} for uid in UIDS]
        row = merge(prepare_put(operation("put", "location", raw=body, time=START)), None).row
        assert isinstance(row, LocationRow)
        for n, (uid, connector, change) in order:
            time = START + timedelta(minutes=n + 1)
            raw = {**({"terms_and_conditions": f"https://t/{n}"} if connector else change), "last_updated": format_z(time)}
            ids, level = ([uid, "1"], "connector") if connector else ([uid], "evse")
            merged = merge(operation("patch", level, *ids, raw=raw, time=time), row)
            assert not merged.created and merged.row is row
        return json.loads(present_location(row, VERSIONS[version]))

    numbered = list(enumerate(patches))
    nodes = [(uid, connector) for uid in UIDS for connector in (True, False)]
    lanes = {node: [entry for entry in numbered if entry[1][:2] == node] for node in nodes}
    shuffled = []
    while any(lanes.values()):
        shuffled.append(lanes[chance.choice([lane for lane, left in lanes.items() if left])].pop(0))
    expected = apply(numbered)
    assert apply(shuffled) == expected
    touched = {uid for uid, *_ in patches}
    for evse in expected["evses"]:
        if evse["uid"] not in touched:
            assert evse == {**location(version, 1)["evses"][0], "uid": evse["uid"]}


@each
@given(raw=st.dictionaries(names, anything, max_size=6))
@settings(seeded, max_examples=100)
def test_status_is_never_lost(version: str, raw: dict[str, Any]) -> None:
    """Whatever an EVSE is sent with, it has one of the statuses or is refused, and no error is without its path."""
    lifted = lift_evse(as_sent(raw), VERSIONS[version], PLAIN)
    assert lifted.node.status is not None
    assert all(issue.rule and (issue.path or issue.rule == "wrong_type") for issue in (*lifted.issues, *lifted.errors))
