"""OCPI tariffs as AFIR EnergyRate and EnergyProduct (AFIR item F3).

OCPI takes for each dimension the first element that fits; DATEX II has no such order. Each price group is therefore one full
set of prices: the alternatives of a dimension go into groups of their own, what has no alternative is repeated in all.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from typing import Any

from ocpi_nap.feed.datex2.common import Json, clean, display_texts, kept, literal, moment, texts
from ocpi_nap.feed.datex2.hours import ALWAYS, days, time_ranges
from ocpi_nap.feed.views import TariffView
from ocpi_nap.model.objects import EnergyMix, Price, PriceComponent, Tariff, TariffElement, TariffRestrictions

_CENT = Decimal("0.01")
_MOST = Decimal(10) ** 6
"""AmountOfMoney has eight digits, two of them decimals."""
_GROUPS = 24
"""Price groups of a tariff at most; nobody reads more of them."""
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAYS = {name: number for number, name in enumerate(("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"))}
_UNITS = {"ENERGY": "kWh", "TIME": "minute", "PARKING_TIME": "minute of occupancy without charging", "FLAT": "session"}
_PER_HOUR = ("TIME", "PARKING_TIME")
AD_HOC = ("AD_HOC_PAYMENT", None)
"""Tariff types that an ad hoc customer pays; no type means valid for every session (objects.md section 5)."""


def rate_id(view: TariffView, *place: str) -> str:
    """``RATE*FI*ABC*T1``; where a tariff is written at a place, with a digest of the place, because ids must differ in a publication."""
    shown = clean(view.row.id, 200)
    identity = f"RATE*{view.operator_id}*{shown}"
    if not place and shown == view.row.id:
        return identity
    digest = sha256("\0".join((view.row.id, *place)).encode("utf-8", "replace")).hexdigest()
    return f"{identity}*{digest[:12]}"


def money(value: Decimal) -> Decimal:
    """Rounded half up to cents; ValueError for what AmountOfMoney cannot hold."""
    if not value.is_finite() or abs(value) >= _MOST:
        raise ValueError(f"the amount {value} cannot be written")
    return value.quantize(_CENT, ROUND_HALF_UP)


def _amount(price: Price | None) -> Decimal | None:
    """What the driver pays: after taxes where known."""
    if price is None:
        return None
    found = price.after_taxes if price.after_taxes is not None else price.before_taxes
    return None if found is None else money(found)


def energy_rate(view: TariffView, language: str) -> Json | None:
    """The EnergyRate of a tariff with the id it has in the tariff publication; None when its currency is none."""
    doc = view.doc
    if not _CURRENCY.fullmatch(doc.currency or ""):
        return None
    text = display_texts(doc.tariff_alt_text, language)
    rate: Json = {
        "idG": rate_id(view), "ratePolicy": literal("adHoc" if doc.type in AD_HOC else "contract"),
        "lastUpdated": moment(view.row.last_updated), "applicableCurrency": [doc.currency],
        "rateName": texts(view.row.id, language),
        "maximumDeliveryFee": _amount(doc.max_price), "minimumDeliveryFee": _amount(doc.min_price),
        "additionalInformation": text, "energyPrice": energy_prices(doc, language), "overallPeriod": _validity(doc),
    }  # fmt: skip
    return kept(rate)


def _validity(doc: Tariff) -> Json | None:
    if doc.start_date_time is None and doc.end_date_time is None:
        return None
    return kept({
        "overallStartTime": moment(doc.start_date_time) if doc.start_date_time else ALWAYS,
        "overallEndTime": moment(doc.end_date_time) if doc.end_date_time else None,
    })  # fmt: skip


def energy_prices(doc: Tariff, language: str) -> list[Json]:
    """The prices of a tariff in groups; those of reservations are no recharging prices and are left out."""
    alternatives: dict[str, list[tuple[TariffElement, PriceComponent]]] = {}
    for element in doc.elements:
        if element.restrictions is not None and element.restrictions.reservation:
            continue
        for component in element.price_components:
            if component.type in _UNITS and component.price is not None:
                alternatives.setdefault(component.type, []).append((element, component))
    costly = {kind: found for kind, found in alternatives.items() if any(component.price for _, component in found)}
    if alternatives and not costly and not any(element.restrictions for found in alternatives.values() for element, _ in found):
        return [_free(doc)]
    alternatives = costly or alternatives  # beside others, what costs nothing whatever applies is no price
    groups = min(max((len(found) for found in alternatives.values()), default=0), _GROUPS)
    alone = set(alternatives) == {"FLAT"}
    return [
        _price(index + 1, element, component, doc, language, alone=alone, other=index > 0 and len(found) > 1)
        for index in range(groups)
        for found in alternatives.values()
        for element, component in [found[min(index, len(found) - 1)]]
    ]


def _free(doc: Tariff) -> Json:
    said = f"{_exact(Decimal(0))} {doc.currency}: free of charge"
    return {
        "priceGroupIndex": 1, "priceType": literal("free"), "value": money(Decimal(0)), "additionalInformation": texts(said, "en"),
    }  # fmt: skip


def _price(
    group: int, element: TariffElement, component: PriceComponent, doc: Tariff, language: str, *, alone: bool, other: bool
) -> Json:
    """One EnergyPrice: what the driver pays, so with tax where the tax is known (AFIR Art. 5)."""
    assert component.price is not None and component.type is not None
    exact, included = component.price, {"YES": True, "NO": False}.get(doc.tax_included or "")
    if included is False and component.vat is not None:
        exact, included = exact * (1 + component.vat / 100), True
    if component.type in _PER_HOUR:
        exact = exact / 60
    kinds = {"ENERGY": "pricePerKWh", "TIME": "pricePerMinute", "PARKING_TIME": "other", "FLAT": "flatRate" if alone else "basePrice"}
    said = [f"{_exact(exact)} {doc.currency} per {_UNITS[component.type]}"]
    said += _step(component) + (_inexpressible(element.restrictions) if element.restrictions else [])
    if other and element.restrictions is None:
        said.append("when no earlier group applies")
    price: Json = {
        "priceGroupIndex": group, "priceType": literal(kinds[component.type]), "value": money(exact), "taxIncluded": included,
        "taxRate": None if component.vat is None else float(component.vat), "additionalInformation": texts("; ".join(said), "en"),
    }  # fmt: skip
    if element.restrictions is not None:
        price |= _applicability(element.restrictions)
    return kept(price)


def _exact(value: Decimal) -> str:
    shown = format(value.quantize(Decimal("0.000001"), ROUND_HALF_UP).normalize(), "f")
    return shown if len(shown.partition(".")[2]) >= 2 else format(value.quantize(_CENT, ROUND_HALF_UP), "f")


def _step(component: PriceComponent) -> list[str]:
    size = component.step_size
    if size is None or size <= 1 or component.type == "FLAT":
        return []
    return [f"billed in steps of {clean(size, 20)} {'Wh' if component.type == 'ENERGY' else 's'}"]


def _applicability(given: TariffRestrictions) -> Json:
    """What DATEX II can say of restrictions: times, days, dates, minutes and kilowatt-hours (whole ones)."""
    found: Json = {}
    valid: Json = {}
    ranges = time_ranges(given.start_time or "00:00", given.end_time or "24:00") if given.start_time or given.end_time else []
    if ranges:
        valid["recurringTimePeriodOfDay"] = [{"startTimeOfPeriod": begin, "endTimeOfPeriod": end} for _, begin, end in ranges]
    weekdays = [_DAYS[day] for day in given.day_of_week if day in _DAYS]
    if weekdays:
        valid["recurringDayWeekMonthPeriod"] = days(weekdays)
    starts, ends = (f"{day}T00:00:00Z" if day and _DATE.fullmatch(day) else None for day in (given.start_date, given.end_date))
    if valid or starts or ends:
        overall = kept({"overallStartTime": starts or ALWAYS, "overallEndTime": ends})
        found["overallPeriod"] = overall | ({"validPeriod": [valid]} if valid else {})
    minutes = {"fromMinute": _units(given.min_duration, 60), "toMinute": _units(given.max_duration, 60)}
    if kept(minutes):
        found["timeBasedApplicability"] = kept(minutes)
    energy = {"fromKWh": _units(given.min_kwh, 1), "toKWh": _units(given.max_kwh, 1)}
    if kept(energy):
        found["energyBasedApplicability"] = kept(energy)
    return found


def _units(value: Any, size: int) -> int | None:
    """Whole units, or None: DATEX II has integers here."""
    return None if value is None or value < 0 or value % size else int(value // size)


def _inexpressible(given: TariffRestrictions) -> list[str]:
    """In words what has no element: power, current, and limits that are not whole."""
    said = []
    for name, least, most, unit, size in (
        ("power", given.min_power, given.max_power, "kW", 0), ("current", given.min_current, given.max_current, "A", 0),
        ("duration", given.min_duration, given.max_duration, "s", 60), ("energy", given.min_kwh, given.max_kwh, "kWh", 1),
    ):  # fmt: skip
        for word, value in (("from", least), ("below", most)):
            if value is not None and (size == 0 or _units(value, size) is None):
                said.append(f"{name} {word} {clean(value, 20)} {unit}")
    if given.day_of_week and (given.start_time or given.end_time) and len(time_ranges(given.start_time, given.end_time)) == 2:
        said.append("a period past midnight belongs to the day on which it begins")
    return said


_SOURCES = {
    "NUCLEAR": "nuclear", "GENERAL_FOSSIL": "generalFossil", "COAL": "coal", "GAS": "gas", "GENERAL_GREEN": "generalGreen",
    "SOLAR": "solar", "WIND": "wind", "WATER": "water",
}  # fmt: skip


def electric_energy(mix: EnergyMix | None, language: str) -> Json:
    """The members of ElectricEnergy that an energy mix gives (AFIR item B10)."""
    if mix is None:
        return {}
    impact = {one.category: float(one.amount) for one in mix.environ_impact if one.amount is not None and one.category}
    shares = [
        {"energySource": literal(_SOURCES[one.source]), "sourceRatioValue": {"percentage": float(one.percentage)}}
        for one in mix.energy_sources
        if one.source in _SOURCES and one.percentage is not None
    ]
    return kept({
        "energyProductName": texts(mix.energy_product_name or mix.supplier_name, language), "isGreenEnergy": mix.is_green_energy,
        "carbonDioxideImpact": impact.get("CARBON_DIOXIDE"), "nuclearWasteImpact": impact.get("NUCLEAR_WASTE"),
        "electricEnergySourceRatio": shares,
    })  # fmt: skip
