"""Tariffs pushed to us (requirements section 6)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ocpi_nap.model import objects
from tests.e2e.cpo import location, tariff
from tests.intake.pusher import Pusher, at
from tests.interface import Ocpi
from tests.versions import FROM_221, from_2_2_1


async def canonical(cpo: Pusher, tariff_id: str = "T1") -> objects.Tariff:
    row = await cpo.ocpi.db.fetch_one("SELECT doc FROM tariff WHERE id = %s", (tariff_id,))
    assert row is not None
    return objects.decode_tariff(row[0])


async def put(cpo: Pusher, body: Any, **more: Any) -> Any:
    return await cpo.ok("PUT", "T1", body, module="tariffs", **more)


@pytest.mark.parametrize("version", ["2.1.1"])
@pytest.mark.holds("R173", "R185")
async def test_none_in_2_1_1(cpo: Pusher, version: str) -> None:
    """The module is neither listed nor served."""
    for method in ("GET", "PUT", "PATCH", "DELETE", "POST"):
        await cpo.refused(method, "T1", tariff(version), module="tariffs", status=404, code=2000)
    details = await cpo.ocpi.send("GET", version, token=cpo.token)
    assert {entry["identifier"] for entry in details.json()["data"]["endpoints"]} == {"credentials", "locations"}


@from_2_2_1
@pytest.mark.holds("R178", "R179", "R182", "R183", "R184", "R185", "R158", "I-91")
async def test_life_of_a_tariff(cpo: Pusher, version: str) -> None:
    """Created, read, replaced as a whole, refused when stale, deleted, unknown then; references to it stay."""
    await cpo.start()
    body = {**tariff(version), "tariff_alt_url": "https://t.example"}
    await cpo.refused("GET", "T1", module="tariffs", status=404, code=2000)
    await cpo.refused("DELETE", "T1", module="tariffs", status=404, code=2000)
    await put(cpo, body, status=201)
    assert await cpo.read("T1", module="tariffs") == body
    await put(cpo, body, status=200)
    later = {**tariff(version), "last_updated": at(2)}
    await put(cpo, later, status=200)
    assert await cpo.read("t1", module="tariffs") == later and (await canonical(cpo)).tariff_alt_url is None
    answer = await cpo.refused("PUT", "T1", {**body, "last_updated": at(1)}, module="tariffs")
    assert answer["status_message"] == "last_updated: older than stored value"
    for method in ("PATCH", "POST"):
        await cpo.refused(method, "T1", later, module="tariffs", status=405, code=2000)
    for path in ("", "T1/x", "T1/x/y"):
        await cpo.refused("PUT", path, later, module="tariffs", status=404, code=2000)
    await cpo.ok("DELETE", "T1", module="tariffs", status=200)
    await cpo.refused("GET", "T1", module="tariffs", status=404, code=2000)
    await cpo.refused("DELETE", "T1", module="tariffs", status=404, code=2000)
    found = (await cpo.canonical())[1][0].connectors[0]
    assert found.tariff_ids == ["T1"]
    await put(cpo, {**body, "last_updated": at(1)}, status=201)
    assert (await cpo.read("T1", module="tariffs"))["last_updated"] == at(1)


@from_2_2_1
@pytest.mark.holds("R180", "R181", "R158", "I-115", "I-84", "R147")
async def test_what_a_tariff_needs(cpo: Pusher, version: str) -> None:
    """Its own id and party, a currency and one usable price; the rest is tolerated and recorded."""
    body = tariff(version)
    moon = [{"price_components": [{"type": "MOON", "price": 1, "step_size": 1}]}]
    no_price = [{"price_components": [{"type": "ENERGY", "step_size": 1}]}]
    for wrong, path in (
        ({"id": "T2"}, "id"), ({"party_id": "XYZ"}, "party_id"), ({"country_code": "SE"}, "country_code"), ({"currency": None}, "currency"),
        ({"currency": ""}, "currency"), ({"elements": []}, "elements"), ({"elements": None}, "elements"), ({"elements": moon}, "elements"),
        ({"elements": no_price}, "elements"), ({"elements": "x"}, "elements"),
    ):  # fmt: skip
        answer = await cpo.refused("PUT", "T1", {**body, **wrong}, module="tariffs")
        assert answer["data"]["errors"][0]["path"] == path
    assert not await cpo.ocpi.db.fetch_all("SELECT 1 FROM tariff")
    bare = {name: value for name, value in body.items() if name in ("currency", "elements")}
    bare["elements"] = [{"price_components": [*body["elements"][0]["price_components"], *moon[0]["price_components"]]}]
    await put(cpo, bare, status=201)
    found = await canonical(cpo)
    assert [component.type for component in found.elements[0].price_components] == ["ENERGY", None]
    assert (found.tax_included, found.tax_included_inferred) == (("NO", True) if version == "2.2.1" else (None, False))
    recorded = await cpo.ocpi.db.fetch_all("SELECT path, rule FROM issue") if await cpo.rules() else []
    assert (("tax_included", "required_missing") in recorded) == (version == "2.3.0")
    assert ("last_updated", "required_missing") in recorded


@from_2_2_1
@pytest.mark.holds("R187", "R188", "R189", "R190", "I-115", "I-109", "I-93")
async def test_values_of_tariffs(cpo: Pusher, version: str) -> None:
    """Exact decimals, both shapes of prices, VAT absent or null or zero, dates that are over, restrictions in a list."""
    text = json.dumps({**tariff(version), "start_date_time": "2019-01-01T00:00:00Z", "end_date_time": "2020-01-01T00:00:00Z"})
    components = """[{"type":"ENERGY","price":0.10000000000000000001,"vat":25.50,"step_size":1},
        {"type":"TIME","price":"1,2345","step_size":60},
        {"type":"FLAT","price":-1.10,"vat":null,"step_size":0},{"type":"PARKING_TIME","price":3,"vat":0,"step_size":1}]"""
    elements = f'"elements":[{{"price_components":{components},"restrictions":[null,{{"min_kwh":0.30,"start_time":"24:00"}}]}}]'
    data = (text[:-1] + f',"min_price":1.50,"max_price":{{"excl_vat":2.10,"after_taxes":2.60}},{elements}}}').encode()
    reply = await cpo.ocpi.send("PUT", f"{version}/tariffs/FI/ABC/T1", data, token=cpo.token)
    assert reply.status == 201, reply.body
    found = await canonical(cpo)
    energy, time, flat, parking = found.elements[0].price_components
    assert (energy.price, energy.vat) == (Decimal("0.10000000000000000001"), Decimal("25.50"))
    assert (time.price, time.vat) == (Decimal("1.2345"), None) and (flat.price, flat.vat) == (Decimal("-1.10"), None)
    assert parking.vat == 0
    assert found.min_price is not None and found.min_price.before_taxes == Decimal("1.50")
    assert found.max_price is not None and (found.max_price.before_taxes, found.max_price.after_taxes) == (Decimal("2.10"), Decimal("2.60"))
    limits = found.elements[0].restrictions
    assert limits is not None and (limits.min_kwh, limits.start_time) == (Decimal("0.30"), "00:00")
    assert found.start_date_time is not None and found.start_date_time.year == 2019
    raw = (await cpo.ocpi.send("GET", f"{version}/tariffs/FI/ABC/T1", token=cpo.token)).content
    assert b'"price":0.10000000000000000001' in raw and b'"vat":25.50' in raw and b'"price":-1.10,"vat":null' in raw
    other = FROM_221[1 - FROM_221.index(version)]
    shaped = (await cpo.ocpi.send("GET", f"{other}/tariffs/FI/ABC/T1", token=cpo.token)).content
    assert b"0.10000000000000000001" in shaped and (b'"excl_vat":1.50' if other == "2.2.1" else b'"before_taxes":1.50') in shaped
    rules = await cpo.rules()
    assert {"negative_price", "bare_price", "step_size", "text_as_number", "not_an_object"} <= rules


@from_2_2_1
@pytest.mark.holds("R183", "R141")
async def test_in_another_version(ocpi: Ocpi, version: str) -> None:
    """An object reads in the shape of the URL's version, whatever version it came in (D24, D22)."""
    token = await ocpi.platform(version)
    await ocpi.send("PUT", f"{version}/tariffs/FI/ABC/T1", tariff(version), token=token)
    await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", location(version, 1), token=token)
    other = FROM_221[1 - FROM_221.index(version)]
    shaped = (await ocpi.send("GET", f"{other}/tariffs/FI/ABC/T1", token=token)).json()["data"]
    assert ("tax_included" in shaped) == (other == "2.3.0") and shaped["elements"] == tariff(version)["elements"]
    old = (await ocpi.send("GET", "2.1.1/locations/FI/ABC/l1", token=token)).json()
    assert old["status_code"] == 1000 and old["data"]["evses"][0]["connectors"][0]["voltage"] == 230 and "publish" not in old["data"]


@from_2_2_1
@pytest.mark.holds("R179", "I-59")
async def test_the_same_with_a_newer_time(cpo: Pusher, version: str) -> None:
    """A push that only says a newer time is a change that the public sees; the same push again is none."""
    await cpo.start()

    async def told() -> list[tuple[Any, ...]]:
        return await cpo.ocpi.db.fetch_all("SELECT t.modified_at FROM change c JOIN tariff t ON t.pk = c.tariff_pk")

    await put(cpo, tariff(version), status=201)
    for _ in range(2):
        await put(cpo, {**tariff(version), "last_updated": at(2)}, status=200)
        assert [f"{row[0]:%Y-%m-%dT%H:%M:%SZ}" for row in await told()] == [at(2)] * 2
