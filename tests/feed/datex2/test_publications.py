"""Whole publications: valid by the official schemas, the same in both encodings, equal to what the real service publishes."""

from __future__ import annotations

import copy
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ocpi_nap.model.timestamps import parse
from ocpi_nap.simulator.network import Network, NetworkSpec, SimulatedOperator
from tests.e2e import cpo
from tests.feed.datex2.reading import Reader, plain
from tests.feed.datex2.support import NAMES, Schemas, forms, location, official, publication, tariff
from tests.feed.test_api import to_ocpi
from tests.intake.test_fuzz import mutate
from tests.ocpi.test_versions import members

OPERATORS = (SimulatedOperator("TUN", "Tunturi <Lataus> & Co", "https://tunturi.example"), SimulatedOperator("KAL", "Kaleva", "https://k.example"))
EPOCH = datetime(2026, 11, 24, 12, tzinfo=UTC)


def check(schemas: Schemas, found: dict[str, bytes], name: str) -> None:
    """Both encodings of a publication are valid and say the same."""
    version = name[-3:]
    document = json.loads(found[f"{name}.json"])
    if version == "3.6":
        assert list(document) == ["payload", "exchangeInformation"]
        document = official(document)
    schemas.check_json(document)
    schemas.check_xml(found[f"{name}.xml"], version)
    (published,) = (value for key, value in document["payload"].items() if key.endswith("Publication"))
    assert plain(reader(schemas, version).publication(found[f"{name}.xml"])) == plain(published)


READERS: dict[str, Reader] = {}


def reader(schemas: Schemas, version: str) -> Reader:
    return READERS.setdefault(version, Reader(schemas._folder / f"xsd-{version}"))


def everything(locations: list[Any], tariffs: list[Any], rejected: list[Any] | None = None) -> dict[str, bytes]:
    return {
        name: publication(form, locations if form.rows == "location" else tariffs) for name, form in forms(rejected).items()
    }


@pytest.mark.parametrize("version", ["2.1.1", "2.2.1", "2.3.0"])
def test_simulated_network(schemas: Schemas, version: str) -> None:
    network = Network(NetworkSpec(version, OPERATORS, locations=40, evses=200, connectors=220, tariffs=30), EPOCH)
    parties = [("FI", OPERATORS[number % 2].party_id) for number in range(40)]
    tariffs = [tariff(raw, version, pk=pk) for pk, raw in enumerate(network.tariffs)]
    by_party = {party: {view.row.id: view for view in tariffs if view.row.party_id == party} for _, party in parties}
    views = [
        location(raw, version, by_party[party[1]], party=party, pk=pk)
        for pk, (raw, party) in enumerate(zip(network.locations, parties, strict=True))
    ]
    found = everything(views, tariffs)
    for name in NAMES:
        check(schemas, found, name)
    table = json.loads(found["datex2-3.7.json"])["payload"]["aegiEnergyInfrastructureTablePublication"]["energyInfrastructureTable"]
    assert [one["idG"] for one in table] == ["FI*KAL", "FI*TUN"]
    sites = [site for one in table for site in one["energyInfrastructureSite"]]
    points = [p["aegiElectricChargingPoint"] for s in sites for station in s["energyInfrastructureStation"] for p in station["refillPoint"]]
    assert len(sites) == 40 and len(points) == 200
    rates = [rate["idG"] for p in points for product in p.get("energyProduct", []) for rate in product["aegiElectricEnergy"].get("energyRate", [])]
    assert len(rates) == len(set(rates)) == (0 if version == "2.1.1" else 200)
    for ids in ([s["idG"] for s in sites], [p["idG"] for p in points], [t["idG"] for s in sites for t in s["energyInfrastructureStation"]]):
        assert len(ids) == len(set(ids))


def references(publication: dict[str, Any], package: str) -> set[tuple[str, str]]:
    """(id, version) of every site, station and point of a table, or of every reference of a status publication."""
    found = set()
    body = publication[f"{package}EnergyInfrastructureTablePublication"] if f"{package}EnergyInfrastructureTablePublication" in publication else None
    if body is not None:
        for table in body["energyInfrastructureTable"]:
            for site in table["energyInfrastructureSite"]:
                found.add((site["idG"], site["versionG"]))
                for station in site["energyInfrastructureStation"]:
                    found.add((station["idG"], station["versionG"]))
                    found |= {(p[f"{package}ElectricChargingPoint"]["idG"], p[f"{package}ElectricChargingPoint"]["versionG"]) for p in station["refillPoint"]}
        return found
    for site in publication[f"{package}EnergyInfrastructureStatusPublication"]["energyInfrastructureSiteStatus"]:
        nodes = [site, *site["energyInfrastructureStationStatus"]]
        nodes += [p[f"{package}ElectricChargingPointStatus"] for s in site["energyInfrastructureStationStatus"] for p in s["refillPointStatus"]]
        found |= {(node["reference"]["idG"], node["reference"]["versionG"]) for node in nodes}
    return found


@pytest.mark.parametrize(("version", "package"), [("3.6", "egi"), ("3.7", "aegi")])
def test_status_refers_to_what_the_table_has(version: str, package: str) -> None:
    network = Network(NetworkSpec("2.3.0", OPERATORS, locations=20, evses=90, connectors=95, tariffs=4), EPOCH)
    found = everything([location(raw, pk=pk) for pk, raw in enumerate(network.locations)], [])
    payloads = [json.loads(found[f"{name}.json"])["payload"] for name in (f"datex2-{version}", f"statuses-datex2-{version}")]
    table, status = (payload[0] if isinstance(payload, list) else payload for payload in payloads)
    assert references(table, package) == references(status, package)


def test_sample_of_the_real_service(shared: Path) -> None:
    """The published site comes out byte for byte from its published location, given the times of the other day."""
    samples = shared / "fintraffic-api" / "samples"
    expected = json.loads((samples / "locations-datex2-3.6.excerpt.2026-07-24.json").read_bytes())
    (table,) = expected["payload"][0]["egiEnergyInfrastructureTablePublication"]["energyInfrastructureTable"]
    (site,) = table["energyInfrastructureSite"]
    identity = site["idG"].rpartition("*")[2]
    features = json.loads((samples / "locations-all.excerpt.2026-06-18.json").read_bytes())["features"]
    (feature,) = (one for one in features if one["properties"]["id"] == identity)
    raw = to_ocpi(feature, {evse["id"]: {"status": "AVAILABLE"} for evse in feature["properties"]["evses"]})
    for evse in raw["evses"]:
        evse["last_updated"] = site["energyInfrastructureStation"][0]["versionG"]
    view = location(raw | {"last_updated": site["versionG"]})
    at, made = (parse(text)[0] for text in (table["versionG"], expected["exchangeInformation"]["dynamicInformation"]["messageGenerationTimestamp"]))
    assert at and made
    form = forms()["datex2-3.6.json"]
    fragment = form.fragment(view)
    assert fragment is not None
    from ocpi_nap.feed.forms import Envelope

    envelope = Envelope(modified_at=at, published_at=at, generated_at=made, groups=(view.operator_id,))
    published = b"".join(form.join(envelope, [(view.operator_id, [fragment])]))
    assert published.decode() == json.dumps(expected, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("version", ["2.1.1", "2.2.1", "2.3.0"])
def test_examples_of_the_specification(shared: Path, schemas: Schemas, version: str) -> None:
    """Every location and tariff that the specification prints."""
    locations, tariffs = [], []
    for number, path in enumerate(sorted((shared / "ocpi" / "examples" / version).glob("*.json"))):
        try:
            raw = json.loads(path.read_bytes())
        except ValueError:
            continue
        if not isinstance(raw, dict):
            continue
        if "evses" in raw:
            locations.append(location(raw | {"publish": True, "id": f"{raw.get('id', 'x')}-{number}"}, version, pk=number))
        elif "elements" in raw:
            tariffs.append(tariff(raw | {"id": f"{raw.get('id', 'x')}-{number}"}, version, pk=number))
    assert tariffs and (locations or version == "2.1.1")
    found = everything(locations, tariffs)
    for name in NAMES:
        if locations or name.startswith("tariffs"):
            check(schemas, found, name)


RICH = {
    **cpo.location("2.3.0", 1), "parking_type": "PARKING_GARAGE", "directions": [{"language": "fi", "text": "Rampista alas"}],
    "facilities": ["WIFI", "CAFE", "TRAIN_STATION", "NATURE"], "owner": {"name": "Omistaja Oy"}, "help_phone": "09 123 456",
    "operator": {"name": "Lataus Oy", "website": "https://lataus.example/x?y=1&z=2", "logo": {"url": "https://lataus.example/l.png"}},
    "opening_times": {
        "twentyfourseven": False,
        "regular_hours": [{"weekday": day, "period_begin": "07:00", "period_end": "02:00"} for day in (1, 2, 3)],
        "exceptional_closings": [{"period_begin": "2026-12-24T10:00:00Z", "period_end": "2026-12-26T22:00:00Z"}],
    },
    "energy_mix": {"is_green_energy": True, "energy_sources": [{"source": "WIND", "percentage": 100}], "energy_product_name": "Tuuli"},
    "parking_places": [
        {"id": "P1", "vehicle_types": ["PERSONAL_VEHICLE", "VAN"], "max_vehicle_weight": 3500, "max_vehicle_height": 250, "roofed": True},
        {"id": "P2", "vehicle_types": ["DISABLED"], "lighting": True, "parking_space_length": 500},
    ],
    "images": [{"url": "https://lataus.example/a.jpg", "category": "ENTRANCE", "type": "jpeg"}], "charging_when_closed": False,
    "related_locations": [{"latitude": "60.1700", "longitude": "24.9400", "name": {"language": "fi", "text": "Portti"}}], "state": "Uusimaa",
}  # fmt: skip
EVSE = {
    **RICH["evses"][0], "evse_id": "FI*ABC*E1*1", "floor_level": "-2", "physical_reference": "2", "parking": [{"parking_id": "P1"}],
    "accepted_service_providers": ["Ampeeri", "Voltti"], "parking_restrictions": ["CUSTOMERS"],
    "capabilities": ["CHIP_CARD_SUPPORT", "CONTACTLESS_CARD_SUPPORT", "RESERVABLE", "REMOTE_START_STOP_CAPABLE"],
    "status_schedule": [{"period_begin": "2026-12-01T00:00:00Z", "status": "INOPERATIVE"}],
}  # fmt: skip
TARIFF = {
    **cpo.tariff("2.3.0"), "type": "AD_HOC_PAYMENT", "max_price": {"before_taxes": 40, "after_taxes": 50},
    "tariff_alt_text": [{"language": "fi", "text": "0,36 €/kWh"}],
    "elements": [
        {"price_components": [{"type": "ENERGY", "price": 0.2, "vat": 25.5, "step_size": 1}],
         "restrictions": {"start_time": "22:00", "end_time": "07:00", "day_of_week": ["SATURDAY"]}},
        {"price_components": [{"type": "ENERGY", "price": 0.2912, "vat": 25.5, "step_size": 100}, {"type": "FLAT", "price": 0.5, "vat": 25.5}]},
        {"price_components": [{"type": "PARKING_TIME", "price": 6, "vat": 25.5, "step_size": 60}], "restrictions": {"min_duration": 2700}},
    ],
}  # fmt: skip
FACTS = {
    "legal_name": "ABC Lataus Oyj", "helpdesk_phone": "+358 9123456", "helpdesk_email": "apu@abc.example", "organisation_number": "1234567-8",
    "service_type": "unattended", "payment_means": ["qrCode", "website"], "payment_brands": ["visa"], "payment_service_providers": ["Maksu"],
    "mobility_service_providers": ["Kulkija"], "roaming_platforms": ["Silta"], "station_power": 300000, "nuts1": "FI1", "toilet": True,
    "catering": False, "roofed": True, "lighting": False,
}  # fmt: skip


def rich(**facts: Any) -> tuple[Any, Any]:
    price = tariff(TARIFF)
    raw = {**RICH, "evses": [EVSE, {**EVSE, "uid": "U2", "evse_id": "FI*ABC*E1*2"}]}
    return location(raw, tariffs={"T1": price}, facts=facts), price


def test_every_afir_item(schemas: Schemas) -> None:
    """All that OCPI 2.3.0 and the operator register can say, where the AFIR annex wants it."""
    view, price = rich(**FACTS)
    found = everything([view], [price])
    for name in NAMES:
        check(schemas, found, name)
    table = json.loads(found["datex2-3.7.json"])["payload"]["aegiEnergyInfrastructureTablePublication"]["energyInfrastructureTable"]
    ((site,),) = [one["energyInfrastructureSite"] for one in table]
    (station,) = site["energyInfrastructureStation"]
    point = station["refillPoint"][0]["aegiElectricChargingPoint"]
    organisation = site["operator"]["afacAnOrganisation"]
    assert organisation["legalName"]["values"][0]["value"] == "ABC Lataus Oyj"  # A1
    assert organisation["name"]["values"][0]["value"] == "Lataus Oy"  # A2
    assert station["numberOfRefillPoints"] == 2  # A3
    assert site["serviceType"] == [{"serviceType": {"value": "unattended"}}]  # A4
    contact = site["helpdesk"]["afacAnOrganisation"]["organisationUnit"][0]["contactInformation"][0]["afacContactInformation"]
    assert contact["telephoneNumber"] == "+358 9123456"  # A5
    assert site["amenities"] == {"illuminated": False, "roofed": True}  # A6
    kinds = [next(iter(one.values())) for one in site["supplementalFacility"]]
    assert [(one["idG"].rpartition("*")[2], one["availability"]["value"]) for one in kinds] == [
        ("WIFI", "available"), ("CAFE", "available"), ("TOILET", "available"), ("CATERING", "notAvailable"),
    ]  # fmt: skip
    place = site["locationReference"]["locPointLocation"]
    assert place["pointByCoordinates"]["pointCoordinates"] == {"latitude": 60.1699, "longitude": 24.9384}  # A7
    assert point["locationReference"]["locPointLocation"]["supplementaryPositionalDescription"]  # A8
    address = place["locLocationExtensionG"]["AfirFacilityLocation"]
    assert address["address"]["countryCode"] == "FI" and address["nutsArea"][0]["nutsCode"] == "FI1"  # A9, A10
    assert address["address"]["city"] and address["address"]["postcode"] == "00100"  # A11, A12
    assert [line["type"]["value"] for line in address["address"]["addressLine"]] == ["street", "houseNumber", "region"]  # A13
    hours = site["operatingHours"]["afacOperatingHoursSpecification"]["overallPeriod"]
    assert [one["recurringTimePeriodOfDay"][0]["endTimeOfPeriod"] for one in hours["validPeriod"]] == ["24:00:00", "02:00:00"]  # A14
    assert address["timeZone"] in ("+02:00", "+03:00")  # A15
    (vehicle,) = point["applicableForVehicles"]
    assert vehicle["comVehicleCharacteristicsExtensionG"] and vehicle["grossWeightCharacteristic"][0]["grossVehicleWeight"] == 3.5  # A16, A17
    assert [one["numberOfSpaces"] for one in site["dedicatedParkingSpaces"]] == [1, 1]  # A18
    assert site["dedicatedParkingSpaces"][1]["userSpecific"] == [{"value": "personsWithDisabilities"}]  # A19
    (rate,) = point["energyProduct"][0]["aegiElectricEnergy"]["energyRate"]
    assert [one["value"] for one in rate["payment"]["paymentMeans"]] == ["emv", "nfc", "qrCode", "website"]  # A20 to A22
    assert rate["payment"]["brandsAccepted"] and rate["payment"]["otherBrandsAccepted"] == ["Maksu"]  # A23
    assert {"value": "apps"} in station["authenticationAndIdentificationMethods"]  # A24
    assert point["externalIdentifier"][0]["identifier"] == "FI*ABC*E1*1"  # B1
    assert point["numberOfConnectors"] == 1 and point["connector"][0]["connectorType"] == {"value": "iec62196T2"}  # B2, B3
    assert point["currentType"] == {"value": "ac"}  # B4
    assert station["totalMaximumPower"] == 300000 and point["availableChargingPower"] == [22000]  # B5, B6
    names = [one["afacAnOrganisation"]["name"]["values"][0]["value"] for one in station["mobilityServiceProvider"]]
    assert names == ["Ampeeri", "Voltti"]  # B7
    assert {"value": "remoteMonitoring"} in point["smartRechargingServices"]  # B9
    assert station["renewableSources"] is True and point["energyProduct"][0]["aegiElectricEnergy"]["isGreenEnergy"] is True  # B10
    status = json.loads(found["statuses-datex2-3.7.json"])["payload"]["aegiEnergyInfrastructureStatusPublication"]
    point_status = status["energyInfrastructureSiteStatus"][0]["energyInfrastructureStationStatus"][0]["refillPointStatus"][0]
    state = point_status["aegiElectricChargingPointStatus"]
    assert (state["operationStatus"]["value"], state["status"]["value"]) == ("inOperation", "available")  # F1, F2
    assert state["plannedRefillPointStatus"][0]["status"] == {"value": "inoperative"}


def test_prices() -> None:
    """What the driver pays, in groups that each are complete: 0.2912 € without tax are 0.37 € with it."""
    view, price = rich()
    (product,) = [json.loads(forms()["tariffs-datex2-3.7.json"].fragment(price) or b"")["aegiElectricEnergy"]["energyRate"][0]]
    assert product["idG"] == "RATE*FI*ABC*T1" and product["ratePolicy"] == {"value": "adHoc"} and product["maximumDeliveryFee"] == 50
    prices = [
        (one["priceGroupIndex"], one["priceType"]["value"], one["value"], one.get("taxIncluded"), one["additionalInformation"]["values"][0]["value"])
        for one in product["energyPrice"]
    ]
    assert prices == [
        (1, "pricePerKWh", 0.25, True, "0.251 EUR per kWh; a period past midnight belongs to the day on which it begins"),
        (1, "basePrice", 0.63, True, "0.6275 EUR per session"),
        (1, "other", 0.13, True, "0.1255 EUR per minute of occupancy without charging; billed in steps of 60 s"),
        (2, "pricePerKWh", 0.37, True, "0.365456 EUR per kWh; billed in steps of 100 Wh; when no earlier group applies"),
        (2, "basePrice", 0.63, True, "0.6275 EUR per session"),
        (2, "other", 0.13, True, "0.1255 EUR per minute of occupancy without charging; billed in steps of 60 s"),
    ]
    assert product["energyPrice"][2]["timeBasedApplicability"] == {"fromMinute": 45}


def test_price_changes_go_into_the_status() -> None:
    """A tariff that changed after the point's description is an update that refers to the rate of the table."""
    changed = tariff({**TARIFF, "last_updated": "2026-05-01T00:00:00Z"})
    view = location({**RICH, "evses": [EVSE]}, tariffs={"T1": changed})
    known = forms()
    site = json.loads(known["datex2-3.7.json"].fragment(view) or b"")
    point = site["energyInfrastructureStation"][0]["refillPoint"][0]["aegiElectricChargingPoint"]
    (rate,) = point["energyProduct"][0]["aegiElectricEnergy"]["energyRate"]
    status = json.loads(known["statuses-datex2-3.7.json"].fragment(view) or b"")
    state = status["energyInfrastructureStationStatus"][0]["refillPointStatus"][0]["aegiElectricChargingPointStatus"]
    (update,) = state["energyRateUpdate"]
    assert update["energyRateReference"] == {"targetClass": "EnergyRate", "idG": rate["idG"]}
    assert update["energyPrice"] == rate["energyPrice"] and update["lastUpdated"] == "2026-05-01T00:00:00.000Z"
    unchanged = location({**RICH, "evses": [EVSE]}, tariffs={"T1": tariff(TARIFF)})
    assert b"energyRateUpdate" not in (known["statuses-datex2-3.7.json"].fragment(unchanged) or b"")


def test_only_ad_hoc_prices_in_the_table() -> None:
    """A contract's tariff is in the tariff publication, not at the point; one without type gives way to an ad hoc one."""
    regular, untyped, typed = (tariff({**TARIFF, "id": name, "type": kind}) for name, kind in (("R", "REGULAR"), ("U", None), ("A", "AD_HOC_PAYMENT")))
    connector = {**EVSE["connectors"][0], "tariff_ids": ["R", "U", "A", "missing"]}
    views = {"R": regular, "U": untyped, "A": typed}
    for names, expected in ((["R", "U", "A"], ["A"]), (["R", "U"], ["U"]), (["R"], [])):
        view = location({**RICH, "evses": [{**EVSE, "connectors": [connector]}]}, tariffs={name: views[name] for name in names})
        site = json.loads(forms()["datex2-3.7.json"].fragment(view) or b"")
        point = site["energyInfrastructureStation"][0]["refillPoint"][0]["aegiElectricChargingPoint"]
        rates = [one for product in point["energyProduct"] for one in product["aegiElectricEnergy"].get("energyRate", [])]
        assert [one["idG"].split("*")[3] for one in rates] == expected
        assert ("rates" in point) is (not expected), "payment means stand at the point when there is no price to carry them"
    assert b'"contract"' in (forms()["tariffs-datex2-3.7.json"].fragment(regular) or b"")


def test_hidden_objects_are_in_no_publication() -> None:
    hidden = location({**RICH, "publish": False})
    empty = location({**RICH, "evses": []})
    removed = location({**RICH, "evses": [{**EVSE, "status": "REMOVED"}]})
    bare = location({**RICH, "evses": [{**EVSE, "connectors": []}]})
    for form in forms().values():
        if form.rows == "location":
            assert [form.fragment(view) for view in (hidden, empty, removed, bare)] == [None] * 4


def test_same_evse_id_twice_is_published_once(schemas: Schemas) -> None:
    view = location({**RICH, "evses": [EVSE, {**EVSE, "uid": "U2"}]}, tariffs={"T1": tariff(TARIFF)})
    found = everything([view], [])
    for name in NAMES[:4]:
        check(schemas, found, name)
        assert found[f"{name}.json"].count(b'"idG":"FI*ABC*E1*1"') == (2 if "3.6" in name and not name.startswith("s") else 1 + ("3.6" in name))


def test_a_tariff_that_cannot_be_written_is_kept_out_and_told_of() -> None:
    """The location that names it stays, without the price."""
    rejected: list[Any] = []
    known = forms(rejected)
    for broken, message in (({"currency": "€"}, "currency"), ({"max_price": {"before_taxes": 10**9}}, "amount")):
        price = tariff({**TARIFF, **broken})
        assert known["tariffs-datex2-3.7.json"].fragment(price) is None and known["tariffs-datex2-3.7.xml"].fragment(price) is None
        assert [(name, message in text) for _, name, text in rejected] == [("tariffs-datex2-3.7", True)]
        rejected.clear()
        view = location({**RICH, "evses": [EVSE]}, tariffs={"T1": price})
        assert b"energyRate" not in (known["datex2-3.7.json"].fragment(view) or b"energyRate")
    assert rejected == []


@pytest.mark.parametrize("version", ["2.1.1", "2.2.1", "2.3.0"])
@given(chance=st.integers(0, 2**32), raw=members(RICH), evse=members(EVSE), price=members(TARIFF))
@settings(max_examples=50, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_objects(schemas: Schemas, version: str, chance: int, raw: Any, evse: Any, price: Any) -> None:
    """Whatever a platform delivers, what is published is valid, and the same in both encodings."""
    random_ = random.Random(chance)
    base = {**RICH, **cpo.location(version, 1), "evses": [EVSE | cpo.location(version, 1)["evses"][0]]}
    mutated = mutate(random_, mutate(random_, base))
    spoiled = {**copy.deepcopy(base), **raw, "evses": [{**EVSE, **evse}, EVSE]}
    tariffs = [
        tariff({**one, "id": f"T{pk}", "country_code": "FI", "party_id": "ABC"}, version, pk=pk)
        for pk, one in enumerate(({**TARIFF, **price}, mutate(random_, TARIFF)), start=1)
    ]
    named = {view.row.id: view for view in tariffs}
    views = [
        location({"publish": True, **one, "coordinates": RICH["coordinates"], "id": f"L{pk}"}, version, named, pk=pk)
        for pk, one in enumerate((mutated, spoiled))
        if isinstance(one, dict)
    ]
    rejected: list[Any] = []
    found = everything(views, tariffs, rejected)
    for name in NAMES:
        if b'"idG"' in found[f"{name}.json"]:
            check(schemas, found, name)
