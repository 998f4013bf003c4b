"""Tariffs as EnergyRate: what the driver pays, where it stands, and how its changes are told (AFIR item F3)."""

from __future__ import annotations

import json
from typing import Any

from tests.feed.datex2.samples import EVSE, RICH, TARIFF, rich
from tests.feed.datex2.support import forms, location, tariff


def test_prices() -> None:
    """What the driver pays, in groups that each are complete: 0.2912 € without tax are 0.37 € with it."""
    _, price = rich()
    (product,) = [json.loads(forms()["tariffs-datex2-3.7.json"].fragment(price) or b"")["aegiElectricEnergy"]["energyRate"][0]]
    assert product["idG"] == "RATE*FI*ABC*T1" and product["ratePolicy"] == {"value": "adHoc"} and product["maximumDeliveryFee"] == 50
    prices = [
        (
            one["priceGroupIndex"],
            one["priceType"]["value"],
            one["value"],
            one.get("taxIncluded"),
            one["additionalInformation"]["values"][0]["value"],
        )
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
    regular, untyped, typed = (
        tariff({**TARIFF, "id": name, "type": kind}) for name, kind in (("R", "REGULAR"), ("U", None), ("A", "AD_HOC_PAYMENT"))
    )
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


def _priced(elements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = json.loads(forms()["tariffs-datex2-3.7.json"].fragment(tariff({**TARIFF, "elements": elements})) or b"")
    (rate,) = body["aegiElectricEnergy"]["energyRate"]
    return rate["energyPrice"]  # type: ignore[no-any-return]


def test_what_costs_nothing() -> None:
    """A component of nothing beside others is left out; nothing but such ones is free of charge; for some hours free is a price."""
    energy, nothing = {"type": "ENERGY", "price": 0.3, "vat": 0, "step_size": 1}, {"type": "FLAT", "price": 0, "vat": 0, "step_size": 1}
    (price,) = _priced([{"price_components": [energy, nothing]}])
    assert (price["priceType"]["value"], price["value"]) == ("pricePerKWh", 0.3)
    (price,) = _priced([{"price_components": [{**energy, "price": 0}, nothing]}])
    assert (price["priceGroupIndex"], price["priceType"]["value"], price["value"]) == (1, "free", 0)
    assert "free of charge" in price["additionalInformation"]["values"][0]["value"]
    night = {"price_components": [{**energy, "price": 0}], "restrictions": {"start_time": "22:00", "end_time": "06:00"}}
    found = _priced([night, {"price_components": [energy]}])
    assert [(one["priceGroupIndex"], one["priceType"]["value"], one["value"]) for one in found] == [
        (1, "pricePerKWh", 0), (2, "pricePerKWh", 0.3),
    ]  # fmt: skip
    (price,) = _priced([night])
    assert (price["priceType"]["value"], price["value"]) == ("pricePerKWh", 0) and price["overallPeriod"]
