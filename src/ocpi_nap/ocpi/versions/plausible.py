"""What can be read but hardly be meant: recorded as issues, never altered (objects.md; D11)."""

from __future__ import annotations

from decimal import Decimal

from ocpi_nap.model.areas import Area
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Connector, EnergyMix, Location, Tariff

_LINE_TO_LINE = 380
"""From this voltage on, three phases were given line to line instead of line to neutral."""
_LEG_TO_LEG = 200
"""From this voltage on, the two legs of a split phase were given together instead of each for itself."""
_LARGEST_KILOWATTS = 1000
_ISO_4217 = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE
CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES
KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND
TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
_CURRENCIES = frozenset(_ISO_4217.split())


def location(node: Location, issues: list[Issue], area: Area | None) -> None:
    """Coordinates outside ``area`` (None: anywhere) or swapped, an energy mix that is not 100 %, contradicting opening hours."""
    geo = node.coordinates
    if area is not None and geo is not None and geo.latitude is not None and geo.longitude is not None:
        text = f"{geo.latitude}, {geo.longitude}"
        if not area.holds(geo.latitude, geo.longitude):
            if area.holds(geo.longitude, geo.latitude):
                issues.append(Issue("coordinates", "coordinates_swapped", "latitude and longitude seem to be swapped", text))
            else:
                issues.append(Issue("coordinates", "coordinates_abroad", f"not in {area.name}", text))
    _energy_mix(node.energy_mix, issues)
    hours = node.opening_times
    if hours is not None and hours.twentyfourseven and hours.regular_hours:
        issues.append(Issue("opening_times", "hours_contradict", "twentyfourseven and regular hours: the flag counts"))
    elif hours is not None and hours.twentyfourseven is False and not hours.regular_hours:
        issues.append(Issue("opening_times.regular_hours", "required_missing", "required when twentyfourseven is false"))


def _energy_mix(mix: EnergyMix | None, issues: list[Issue]) -> None:
    if mix is None or not mix.energy_sources:
        return
    total = sum((source.percentage or Decimal(0) for source in mix.energy_sources), Decimal(0))
    if total != 100:
        issues.append(Issue("energy_mix.energy_sources", "energy_mix_sum", "the percentages are not 100 together", str(total)))


def connector(node: Connector, issues: list[Issue]) -> None:
    """Line-to-line voltage, kilowatts for watts, power without its phases; the power that is missing is derived beside."""
    power = node.max_electric_power
    three = node.power_type == "AC_3_PHASE"
    if three and node.max_voltage is not None and _LINE_TO_LINE <= node.max_voltage <= 415:
        issues.append(Issue("max_voltage", "voltage_line_to_line", "line to neutral is required for AC_3_PHASE", str(node.max_voltage)))
    if power is None:
        node.derived_power = _derived_power(node)
    elif 0 < power < _LARGEST_KILOWATTS:
        issues.append(Issue("max_electric_power", "power_in_kilowatts", "watts are required; these seem to be kilowatts", str(power)))
    elif three and node.max_voltage and node.max_amperage and power == node.max_voltage * node.max_amperage:
        issues.append(Issue("max_electric_power", "power_of_one_phase", "volts by amperes without the three phases", str(power)))


def _derived_power(node: Connector) -> int | None:
    """Watts of voltage, amperage and the phases of the power type, a single one where the type is unknown; None where volts or amperes
    are missing (I-111, AFIR-PWR-03)."""
    volts, amperes = node.max_voltage, node.max_amperage
    if not volts or not amperes or not 0 < volts < 100_000 or not 0 < amperes < 100_000:
        return None
    if node.power_type == "AC_3_PHASE":
        factor = 3**0.5 if volts >= _LINE_TO_LINE else 3.0
    elif node.power_type == "AC_2_PHASE_SPLIT":
        factor = 1.0 if volts >= _LEG_TO_LEG else 2.0
    else:
        factor = 2.0 if node.power_type == "AC_2_PHASE" else 1.0
    return round(factor * float(volts) * float(amperes)) or None


def tariff(node: Tariff, issues: list[Issue]) -> None:
    """An unknown currency, negative prices (R190), an energy mix that is not 100 %."""
    if node.currency is not None and node.currency not in _CURRENCIES:
        issues.append(Issue("currency", "currency_unknown", "not an ISO 4217 code", node.currency[:10]))
    for number, element in enumerate(node.elements):
        for position, component in enumerate(element.price_components):
            if component.price is not None and component.price < 0:
                path = f"elements[{number}].price_components[{position}].price"
                issues.append(Issue(path, "negative_price", "a negative price", str(component.price)))
    _energy_mix(node.energy_mix, issues)
