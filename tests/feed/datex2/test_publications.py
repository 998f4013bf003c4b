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
from tests.feed.datex2.samples import EVSE, FACTS, RICH, TARIFF, rich
from tests.feed.datex2.support import NAMES, Schemas, forms, location, official, publication, tariff
from tests.feed.test_api import to_ocpi
from tests.intake.test_fuzz import mutate
from tests.ocpi.test_versions import members
from tests.versions import each

OPERATORS = (
    SimulatedOperator("TUN", "Tunturi <Lataus> & Co", "https://tunturi.example"),
    SimulatedOperator("KAL", "Kaleva", "https://k.example"),
)
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
    return {name: publication(form, locations if form.rows == "location" else tariffs) for name, form in forms(rejected).items()}


@each
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
    rates = [
        rate["idG"]
        for p in points
        for product in p.get("energyProduct", [])
        for rate in product["aegiElectricEnergy"].get("energyRate", [])
    ]
    assert len(rates) == len(set(rates)) == (0 if version == "2.1.1" else 200)
    for ids in ([s["idG"] for s in sites], [p["idG"] for p in points], [t["idG"] for s in sites for t in s["energyInfrastructureStation"]]):
        assert len(ids) == len(set(ids))


def references(publication: dict[str, Any], package: str) -> set[tuple[str, str]]:
    """(id, version) of every site, station and point of a table, or of every reference of a status publication."""
    found = set()
    table = publication.get(f"{package}EnergyInfrastructureTablePublication")
    if table is not None:
        for site in (site for one in table["energyInfrastructureTable"] for site in one["energyInfrastructureSite"]):
            stations = site["energyInfrastructureStation"]
            points = [point[f"{package}ElectricChargingPoint"] for station in stations for point in station["refillPoint"]]
            found |= {(node["idG"], node["versionG"]) for node in (site, *stations, *points)}
        return found
    for site in publication[f"{package}EnergyInfrastructureStatusPublication"]["energyInfrastructureSiteStatus"]:
        nodes = [site, *site["energyInfrastructureStationStatus"]]
        nodes += [
            p[f"{package}ElectricChargingPointStatus"] for s in site["energyInfrastructureStationStatus"] for p in s["refillPointStatus"]
        ]
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
    at, made = (
        parse(text)[0] for text in (table["versionG"], expected["exchangeInformation"]["dynamicInformation"]["messageGenerationTimestamp"])
    )
    assert at and made
    form = forms()["datex2-3.6.json"]
    fragment = form.fragment(view)
    assert fragment is not None
    from ocpi_nap.feed.forms import Envelope

    envelope = Envelope(modified_at=at, published_at=at, generated_at=made, groups=(view.operator_id,))
    published = b"".join(form.join(envelope, [(view.operator_id, [fragment])]))
    assert published.decode() == json.dumps(expected, separators=(",", ":"), ensure_ascii=False)


@each
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
    assert (
        vehicle["comVehicleCharacteristicsExtensionG"] and vehicle["grossWeightCharacteristic"][0]["grossVehicleWeight"] == 3.5
    )  # A16, A17
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


def test_the_address_has_what_readers_take_for_granted(schemas: Schemas) -> None:
    """City, lines and country are there in 3.7, whatever the country is called."""
    for country, code in (("FIN", "FI"), ("XK", "XK"), ("Suomi", ""), ("ZZZ", "")):
        found = everything([location({**RICH, "country": country, "city": "\u0085", "address": "\u0085"})], [])
        check(schemas, found, "datex2-3.7")
        check(schemas, found, "datex2-3.6")
        (table,) = json.loads(found["datex2-3.7.json"])["payload"]["aegiEnergyInfrastructureTablePublication"]["energyInfrastructureTable"]
        place = table["energyInfrastructureSite"][0]["locationReference"]["locPointLocation"]
        address = place["locLocationExtensionG"]["AfirFacilityLocation"]["address"]
        assert address["countryCode"] == code and address["city"] and address["addressLine"]


def test_a_sandbox_says_so(schemas: Schemas) -> None:
    """Where only test platforms are shown the information is not real."""
    view, price = rich()
    for sandbox, status in ((False, "real"), (True, "test")):
        for name, form in forms(sandbox=sandbox).items():
            if "3.7" in name:
                content = publication(form, [view if form.rows == "location" else price])
                shown = f'"informationStatus":{{"value":"{status}"}}' if form.encoding == "json" else f"informationStatus>{status}<"
                assert shown in content.decode(), name


def test_the_logo_of_the_operator() -> None:
    """Its own, else the picture of the location that is one."""
    picture = {"url": "https://lataus.example/picture.png", "category": "OPERATOR", "type": "png"}
    for operator, logo in ((RICH["operator"], "l.png"), ({"name": "Lataus Oy"}, "picture.png")):
        view = location({**RICH, "operator": operator, "images": [picture]})
        site = json.loads(forms()["datex2-3.7.json"].fragment(view) or b"")
        assert site["operator"]["afacAnOrganisation"]["linkToLogo"] == f"https://lataus.example/{logo}" and "photoUrl" not in site


def test_hidden_objects_are_in_no_publication() -> None:
    hidden = location({**RICH, "publish": False})
    empty = location({**RICH, "evses": []})
    removed = location({**RICH, "evses": [{**EVSE, "status": "REMOVED"}]})
    bare = location({**RICH, "evses": [{**EVSE, "connectors": []}]})
    for form in forms().values():
        if form.rows == "location":
            assert [form.fragment(view) for view in (hidden, empty, removed, bare)] == [None] * 4


@pytest.mark.parametrize(
    ("current", "watts"),
    [
        ({"power_type": "AC_3_PHASE", "max_voltage": 230, "max_amperage": 32}, 22080),
        ({"power_type": "AC_3_PHASE", "max_voltage": 400, "max_amperage": 32}, 22170),
        ({"power_type": "AC_2_PHASE_SPLIT", "max_voltage": 120, "max_amperage": 32}, 7680),
        ({"power_type": "AC_2_PHASE_SPLIT", "max_voltage": 240, "max_amperage": 32}, 7680),
        ({"power_type": "DC", "max_voltage": 400, "max_amperage": 125}, 50000),
        ({"power_type": "DC", "max_voltage": None, "max_amperage": None}, 0),
    ],
)
def test_power_that_is_not_sent_is_derived(current: dict[str, Any], watts: int) -> None:
    connector = {**EVSE["connectors"][0], "max_electric_power": None, **current}
    found = everything([location({**RICH, "evses": [{**EVSE, "connectors": [connector]}]})], [])
    for name in ("datex2-3.6", "datex2-3.7"):
        assert f'"maxPowerAtSocket":{watts}'.encode() in found[f"{name}.json"]


def test_same_evse_id_twice_is_published_once(schemas: Schemas) -> None:
    view = location({**RICH, "evses": [EVSE, {**EVSE, "uid": "U2"}]}, tariffs={"T1": tariff(TARIFF)})
    found = everything([view], [])
    for name in NAMES[:4]:
        check(schemas, found, name)
        assert found[f"{name}.json"].count(b'"idG":"FI*ABC*E1*1"') == (
            2 if "3.6" in name and not name.startswith("s") else 1 + ("3.6" in name)
        )


@each
@given(chance=st.integers(0, 2**32), raw=members(RICH), evse=members(EVSE), price=members(TARIFF))
@settings(
    max_examples=50, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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
