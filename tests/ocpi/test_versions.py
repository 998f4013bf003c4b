"""Lifting to the canonical model and back: nothing sent is lost, and no JSON whatever makes it fail (objects.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi_nap.model import jsontext, objects
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.versions import (
    VERSIONS,
    lift_connector,
    lift_evse,
    lift_location,
    lift_tariff,
    lower_evse,
    lower_location,
)
from tests.e2e.cpo import location, tariff

NUMBERS = sorted(VERSIONS)
PLAIN = PlatformSettings()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=8,
)


def members(sample: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the names of a real one and any JSON as values."""
    return st.dictionaries(
        st.sampled_from([*sample, "images", "directions", "operator", "opening_times", "parking", "floor_level"]), json_values
    )


SAMPLE = location("2.3.0", 1)
EVSE = SAMPLE["evses"][0]


@pytest.mark.parametrize("number", NUMBERS)
@given(
    raw=members(SAMPLE),
    evse=members(SAMPLE["evses"][0]),
    connector=members(SAMPLE["evses"][0]["connectors"][0]),
    price=members(tariff("2.3.0")),
)
@settings(max_examples=150, deadline=None)
def test_any_json_is_read(number: str, raw: Any, evse: Any, connector: Any, price: Any) -> None:
    """Whatever the values are: issues and errors, never an exception, and the result can be stored."""
    version = VERSIONS[number]
    for lift, value in ((lift_location, raw), (lift_evse, evse), (lift_connector, connector), (lift_tariff, price)):
        lifted = lift(jsontext.parse(json.dumps(value).encode()), version, PLAIN)
        objects.encode(lifted.node)
        for issue in (*lifted.issues, *lifted.errors):
            assert issue.rule and len(issue.sample) <= 200


LOGO = {"url": "https://x.example/l.png", "category": "OPERATOR", "type": "png"}
FULL_EVSE = {
    "uid": "U1", "evse_id": "FI*ABC*E1", "status": "AVAILABLE",
    "status_schedule": [{"period_begin": "2026-01-01T00:00:00Z", "period_end": "2026-02-01T00:00:00Z", "status": "INOPERATIVE"}],
    "capabilities": ["RFID_READER", "RESERVABLE"], "floor_level": "-1", "coordinates": {"latitude": "60.100000", "longitude": "24.900000"},
    "physical_reference": "7", "directions": [{"language": "fi", "text": "Vasemmalle"}], "parking_restrictions": ["EV_ONLY"],
    "images": [{"url": "https://x.example/a.png", "category": "CHARGER", "type": "png", "width": 10, "height": 20}],
    "last_updated": "2026-01-01T10:00:00Z",
}  # fmt: skip
FULL_LOCATION: dict[str, Any] = {
    "id": "L1", "name": "Asema", "address": "Katu 1", "city": "Helsinki", "postal_code": "00100", "country": "FIN",
    "coordinates": {"latitude": "60.169900", "longitude": "24.938400"}, "directions": [{"language": "fi", "text": "Oikealle"}],
    "related_locations": [{"latitude": "60.100000", "longitude": "24.900000", "name": {"language": "fi", "text": "Ovi"}}],
    "operator": {"name": "Abc", "website": "https://abc.example", "logo": LOGO},
    "suboperator": {"name": "Sub"}, "owner": {"name": "Own"}, "facilities": ["HOTEL", "MALL"], "time_zone": "Europe/Helsinki",
    "opening_times": {
        "twentyfourseven": False, "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}],
        "exceptional_openings": [{"period_begin": "2026-06-21T09:00:00Z", "period_end": "2026-06-21T12:00:00Z"}],
        "exceptional_closings": [{"period_begin": "2026-06-24T00:00:00Z", "period_end": "2026-06-25T00:00:00Z"}],
    },
    "charging_when_closed": True, "images": [{"url": "https://x.example/a.png", "category": "LOCATION", "type": "png"}],
    "energy_mix": {
        "is_green_energy": True, "energy_sources": [{"source": "WIND", "percentage": 60.5}, {"source": "NUCLEAR", "percentage": 39.5}],
        "environ_impact": [{"category": "CARBON_DIOXIDE", "amount": 372.0}], "supplier_name": "Voima", "energy_product_name": "Tuuli",
    },
    "last_updated": "2026-01-01T10:00:00Z", "x_vendor": {"kept": [1, 2, {"a": None}]},
}  # fmt: skip


def full(number: str) -> dict[str, Any]:
    connector: dict[str, Any] = {
        "id": "1", "standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC", "terms_and_conditions": "https://x.example/terms",
        "last_updated": "2026-01-01T10:00:00Z",
    }  # fmt: skip
    if number == "2.1.1":
        connector |= {"voltage": 400, "amperage": 125, "tariff_id": "T1"}
        mix = {**FULL_LOCATION["energy_mix"], "environ_impact": [{"source": "CARBON_DIOXIDE", "amount": 372.0}]}
        return {**FULL_LOCATION, "energy_mix": mix, "type": "PARKING_GARAGE", "evses": [{**FULL_EVSE, "connectors": [connector]}]}
    connector |= {"max_voltage": 400, "max_amperage": 125, "max_electric_power": 50000, "tariff_ids": ["T1", "T2"]}
    more = {"country_code": "FI", "party_id": "ABC", "publish": True, "parking_type": "PARKING_GARAGE", "state": "Uusimaa"}
    return {**FULL_LOCATION, **more, "evses": [{**FULL_EVSE, "connectors": [connector]}]}


def same(left: Any, right: Any) -> bool:
    """Equal as JSON, numbers by value."""
    return bool(_shown(json.loads(jsontext.dump(left))) == _shown(json.loads(jsontext.dump(right))))


def _shown(value: Any) -> Any:
    """An empty list says nothing."""
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items() if item != []}
    return [_shown(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("number", NUMBERS)
def test_a_full_location_comes_back_whole(number: str) -> None:
    """The lossless test with every member filled, a vendor's own included, through the stored form."""
    version, raw = VERSIONS[number], full(number)
    parsed = jsontext.parse(json.dumps(raw).encode())
    lifted, evse = lift_location(parsed, version, PLAIN), lift_evse(parsed["evses"][0], version, PLAIN)
    assert not lifted.errors and not evse.errors
    node, evse_node = objects.decode_location(objects.encode(lifted.node)), objects.decode_evse(objects.encode(evse.node))
    back = lower_location(node, [evse_node], version)
    assert same(back, raw), {k: (back.get(k), raw.get(k)) for k in raw.keys() | back.keys() if not same(back.get(k), raw.get(k))}


@pytest.mark.parametrize("written", NUMBERS)
@pytest.mark.parametrize("read", NUMBERS)
def test_between_versions(written: str, read: str) -> None:
    """D24: what one version wrote, another reads in its own shape, with its required members."""
    raw = jsontext.parse(json.dumps(full(written)).encode())
    node = lift_location(raw, VERSIONS[written], PLAIN).node
    node.country_code, node.party_id = "FI", "ABC"
    evse = lift_evse(raw["evses"][0], VERSIONS[written], PLAIN).node
    back = lower_location(node, [evse], VERSIONS[read])
    assert ("type" in back, "publish" in back) == (read == "2.1.1", read != "2.1.1")
    lowered = lower_evse(evse, VERSIONS[read])["connectors"][0]
    assert (lowered["voltage"] if read == "2.1.1" else lowered["max_voltage"]) == 400
    again = lift_location(jsontext.parse(jsontext.dump(back)), VERSIONS[read], PLAIN)
    assert not again.errors and again.node.coordinates is not None
