"""Field tables of every class (objects.md sections 1, 2, 3 and 5): one row a member, with the versions that know it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ocpi_nap.model import timestamps
from ocpi_nap.model.countries import ALPHA3
from ocpi_nap.model.objects import (
    BusinessDetails,
    Connector,
    DisplayText,
    EnergyMix,
    EnergySource,
    EnvironmentalImpact,
    Evse,
    EvseParking,
    ExceptionalPeriod,
    GeoLocation,
    Hours,
    Image,
    Location,
    Parking,
    Price,
    PriceComponent,
    PublishTokenType,
    RegularHours,
    StatusSchedule,
    Tariff,
    TariffElement,
    TariffRestrictions,
)  # fmt: skip
from ocpi_nap.ocpi.versions import enums
from ocpi_nap.ocpi.versions.engine import FROM_221, ONLY_211, ONLY_221, ONLY_230, Field, same, table
from ocpi_nap.ocpi.versions.readers import (
    Reader,
    Reading,
    boolean,
    clock,
    coordinate,
    enum,
    integer,
    many,
    moment,
    number,
    sample,
    text,
)

_SHORT = text(45)
_ID = text(39)
_LONG = text(255)

_display_text = table(DisplayText, same(text(8), "language"), same(text(512), "text"))


def display_text(value: Any, path: str, reading: Reading) -> DisplayText | None:
    """A DisplayText; plain text is one without language (I-108)."""
    if isinstance(value, str):
        if not value:
            return None
        reading.issue(path, "plain_text", "plain text where a DisplayText is required", value)
        return DisplayText(text=value)
    found: DisplayText | None = _display_text.nested(value, path, reading)
    return found


def image_type(value: Any, path: str, reading: Reading) -> str | None:
    """A file type; image/png is png."""
    found: str | None = text(10)(value, path, reading)
    return found.rsplit("/", 1)[-1] if found else None


def location_type(value: Any, path: str, reading: Reading) -> str | None:
    """The LocationType of 2.1.1 in its own spelling; unknown ones stay as they are (objects.md 4.1)."""
    found: str | None = text(40)(value, path, reading)
    if found is None or found in enums.LOCATION_TYPE:
        return found
    folded = found.strip().upper()
    rule = "enum_spelling" if folded in enums.LOCATION_TYPE else "unknown_enum"
    reading.issue(path, rule, "not a LocationType as the specification spells it", value)
    return folded if folded in enums.LOCATION_TYPE else found


def weekday(value: Any, path: str, reading: Reading) -> int | None:
    """1 (Monday) to 7; 0 is ambiguous and dropped."""
    found = integer(value, path, reading)
    if found is None or not 1 <= found <= 7:
        reading.issue(path, "weekday_invalid", "not 1 to 7: dropped", value)
        return None
    return int(found)


def country(value: Any, path: str, reading: Reading) -> str | None:
    """ISO 3166-1 alpha-3; alpha-2 is converted for the countries we know, anything else kept (I-106)."""
    found: str | None = text(60)(value, path, reading)
    if found is None or (len(found) == 3 and found.isupper()):
        return found
    folded = found.strip().upper()
    if len(folded) == 2:
        reading.issue(path, "country_alpha2", "two letters where three are required", value)
        return ALPHA3.get(folded, folded)
    reading.issue(path, "country_form", "not an ISO 3166-1 alpha-3 code", value)
    return folded if len(folded) == 3 else found


def price(value: Any, path: str, reading: Reading) -> Price | None:
    """A Price or PriceLimit; a bare number is the price before taxes (R188)."""
    if isinstance(value, int | Decimal | str) and not isinstance(value, bool):
        amount = number(value, path, reading)
        reading.issue(path, "bare_price", "a number where a price object is required", value)
        return Price(before_taxes=amount) if amount is not None else None
    found: Price | None = _price.nested(value, path, reading)
    return found


def restrictions(value: Any, path: str, reading: Reading) -> TariffRestrictions | None:
    """Restrictions; a list of one is unwrapped, of several the disjoint ones are merged (I-109)."""
    if not isinstance(value, list):
        single: TariffRestrictions | None = _restrictions.nested(value, path, reading)
        return single
    given = [item for item in value if isinstance(item, dict) and item]
    names = [name for item in given for name in item]
    if not given:
        return None
    reading.issue(path, "not_an_object", "a list where an object is required", value)
    if len(set(names)) != len(names):
        return None
    merged: TariffRestrictions = _restrictions.read({k: v for item in given for k, v in item.items()}, path, reading)
    return merged


def parking_reference(value: Any, path: str, reading: Reading) -> EvseParking | None:
    """An EVSEParking; plain text is the id (I-114)."""
    if isinstance(value, str):
        return EvseParking(parking_id=value) if value else None
    found: EvseParking | None = _evse_parking.nested(value, path, reading)
    return found


def tariff_ids(value: Any, path: str, reading: Reading) -> list[str] | None:
    """Tariff ids; one bare id is a list of one, nulls go (R165)."""
    if isinstance(value, str):
        return [value] if value else None
    found: list[str] | None = many(_ID)(value, path, reading)
    return found


def currency(value: Any, path: str, reading: Reading) -> str | None:
    found: str | None = text(3)(value, path, reading)
    return found.upper() if found else None


def dropped_size(value: Any, path: str, reading: Reading) -> int | None:
    """Pixels; 0 means unknown."""
    found = integer(value, path, reading)
    return int(found) if found else None


def time_zone(value: Any, path: str, reading: Reading) -> str | None:
    """An IANA name; others are dropped."""
    found: str | None = _LONG(value, path, reading)
    if found is not None and not timestamps.known_zone(found):
        reading.issue(path, "time_zone_invalid", "not the name of a time zone: dropped", value)
        return None
    return found


def closing(value: Any, path: str, reading: Reading) -> str | None:
    """The end of opening hours; 00:00 is the end of the day, 24:00 (I-107)."""
    found = clock(value, path, reading)
    return "24:00" if found == "00:00" else found


def tariff_clock(value: Any, path: str, reading: Reading) -> str | None:
    """A time of day in a tariff; the end of the day is 00:00."""
    found = clock(value, path, reading)
    return "00:00" if found == "24:00" else found


def step_size(value: Any, path: str, reading: Reading) -> int | Decimal | None:
    """Wh or seconds; 0 is kept and counts as 1."""
    found: int | Decimal | None = integer(value, path, reading)
    if found is not None and found < 1:
        reading.issue(path, "step_size", "less than 1: counts as 1", value)
    return found


def regular_hours(value: Any, path: str, reading: Reading) -> RegularHours | None:
    """One day's opening; without its day or a time it says nothing: dropped (I-107)."""
    found: RegularHours | None = _regular.nested(value, path, reading)
    if found is not None and None in (found.weekday, found.period_begin, found.period_end):
        reading.issue(path, "hours_incomplete", "without a usable day, begin and end: dropped", value)
        return None
    return found


def image(value: Any, path: str, reading: Reading) -> Image | None:
    """An image; without URL there is none."""
    found: Image | None = _image.nested(value, path, reading)
    if found is not None and found.url is None:
        reading.issue(f"{path}.url", "required_missing", "an image without URL: dropped")
        return None
    return found


def business_details(value: Any, path: str, reading: Reading) -> BusinessDetails | None:
    """A company; without a name it is kept."""
    found: BusinessDetails | None = _business.nested(value, path, reading)
    if found is not None and found.name is None:
        reading.issue(f"{path}.name", "required_missing", "required")
    return found


def price_component(value: Any, path: str, reading: Reading) -> PriceComponent | None:
    """A price component; without step size it counts as 1."""
    found: PriceComponent | None = _component.nested(value, path, reading)
    if found is not None and found.step_size is None:
        reading.issue(f"{path}.step_size", "required_missing", "required: counts as 1")
    return found


_image = table(
    Image, same(_LONG, "url", "thumbnail"), same(enum(enums.IMAGE_CATEGORY), "category"), same(image_type, "type"),
    same(dropped_size, "width", "height"),
)  # fmt: skip
_business = table(BusinessDetails, same(text(100), "name"), same(_LONG, "website"), same(image, "logo"))
_geo = table(GeoLocation, same(coordinate(90), "latitude"), same(coordinate(180), "longitude"), same(display_text, "name"))
_source = table(EnergySource, same(enum(enums.ENERGY_SOURCE), "source"), same(number, "percentage"))
_IMPACT: Reader = enum(enums.ENVIRONMENTAL_IMPACT)
_impact = table(
    EnvironmentalImpact,
    [Field("category", "category", _IMPACT, FROM_221), Field("source", "category", _IMPACT, ONLY_211)],
    same(number, "amount"),
)
_energy_mix = table(
    EnergyMix, same(boolean, "is_green_energy"), same(many(_source.nested), "energy_sources"),
    same(many(_impact.nested), "environ_impact"), same(text(64), "supplier_name", "energy_product_name"),
)  # fmt: skip
_regular = table(RegularHours, same(weekday, "weekday"), same(clock, "period_begin"), same(closing, "period_end"))
_exceptional = table(ExceptionalPeriod, same(moment, "period_begin", "period_end"))
_hours = table(
    Hours, same(boolean, "twentyfourseven"), same(many(regular_hours), "regular_hours"),
    same(many(_exceptional.nested), "exceptional_openings", "exceptional_closings"),
)  # fmt: skip
STATUS: Reader = enum(enums.STATUS, aliases={"OUT_OF_ORDER": "OUTOFORDER"}, fallback="UNKNOWN")
_schedule = table(StatusSchedule, same(moment, "period_begin", "period_end"), same(STATUS, "status"))
_publish_to = table(
    PublishTokenType, same(_ID, "uid", "group_id"), same(enum(enums.TOKEN_TYPE), "type"), same(text(64), "visual_number", "issuer")
)
_parking = table(
    Parking, same(_ID, "id"), same(text(12), "physical_reference"), same(many(enum(enums.VEHICLE_TYPE)), "vehicle_types"),
    same(number, "max_vehicle_weight", "max_vehicle_height", "max_vehicle_length", "max_vehicle_width", "parking_space_length",
         "parking_space_width", "time_limit"),
    same(boolean, "dangerous_goods_allowed", "drive_through", "restricted_to_type", "reservation_required", "roofed", "lighting",
         "refrigeration_outlet"),
    same(enum(enums.PARKING_DIRECTION), "direction"), same(many(image), "images"), same(many(_ID), "standards"),
    same(_LONG, "apds_reference"),
)  # fmt: skip
_evse_parking = table(EvseParking, same(_ID, "parking_id"), same(enum(enums.EVSE_POSITION), "evse_position"))

CONNECTOR = table(
    Connector,
    same(_ID, "id"), same(enum(enums.CONNECTOR_TYPE), "standard"), same(enum(enums.CONNECTOR_FORMAT), "format"),
    same(enum(enums.POWER_TYPE), "power_type"),
    [
        Field("max_voltage", "max_voltage", integer, FROM_221), Field("voltage", "max_voltage", integer, ONLY_211),
        Field("max_amperage", "max_amperage", integer, FROM_221), Field("amperage", "max_amperage", integer, ONLY_211),
        Field("max_electric_power", "max_electric_power", integer, FROM_221),
        Field("tariff_ids", "tariff_ids", tariff_ids, FROM_221), Field("tariff_id", "tariff_ids", tariff_ids, ONLY_211, single=True),
        Field("capabilities", "capabilities", many(enum(enums.CONNECTOR_CAPABILITY)), ONLY_230),
    ],
    same(_LONG, "terms_and_conditions"), same(moment, "last_updated"),
)  # fmt: skip
EVSE = table(
    Evse,
    same(_ID, "uid"), same(text(48), "evse_id"), same(STATUS, "status"), same(many(_schedule.nested), "status_schedule"),
    same(many(enum(enums.CAPABILITY)), "capabilities"), same(text(4), "floor_level"), same(_geo.nested, "coordinates"),
    same(text(16), "physical_reference"), same(many(display_text), "directions"),
    same(many(enum(enums.PARKING_RESTRICTION)), "parking_restrictions"),
    same(many(parking_reference), "parking", versions=ONLY_230), same(many(image), "images"),
    same(many(text(50)), "accepted_service_providers", versions=ONLY_230), same(moment, "last_updated"),
)  # fmt: skip
LOCATION = table(
    Location,
    same(text(2), "country_code", versions=FROM_221), same(text(3), "party_id", versions=FROM_221), same(_ID, "id"),
    same(boolean, "publish", versions=FROM_221), same(many(_publish_to.nested), "publish_allowed_to", versions=FROM_221),
    [Field("type", "location_type_211", location_type, ONLY_211)],
    same(_LONG, "name", "address"), same(_SHORT, "city"), same(text(10), "postal_code"), same(_SHORT, "state", versions=FROM_221),
    same(country, "country"), same(_geo.nested, "coordinates"), same(many(_geo.nested), "related_locations"),
    same(enum(enums.PARKING_TYPE), "parking_type", versions=FROM_221),
    same(many(_parking.nested), "parking_places", versions=ONLY_230), same(many(display_text), "directions"),
    same(business_details, "operator", "suboperator", "owner"), same(many(enum(enums.FACILITY)), "facilities"),
    same(time_zone, "time_zone"), same(_hours.nested, "opening_times"), same(boolean, "charging_when_closed"),
    same(many(image), "images"), same(_energy_mix.nested, "energy_mix"), same(text(25), "help_phone", versions=ONLY_230),
    same(moment, "last_updated"), alike=("type", "parking_type"),
)  # fmt: skip

_price = table(
    Price,
    [
        Field("before_taxes", "before_taxes", number, ONLY_230), Field("excl_vat", "before_taxes", number, ONLY_221),
        Field("after_taxes", "after_taxes", number, ONLY_230), Field("incl_vat", "after_taxes", number, ONLY_221),
    ],
)  # fmt: skip
_component = table(
    PriceComponent, same(enum(enums.TARIFF_DIMENSION), "type"), same(number, "price"), same(number, "vat", versions=FROM_221),
    same(step_size, "step_size"),
)  # fmt: skip
_restrictions = table(
    TariffRestrictions, same(tariff_clock, "start_time", "end_time"), same(text(10), "start_date", "end_date"),
    same(number, "min_kwh", "max_kwh"), same(number, "min_current", "max_current", versions=FROM_221),
    same(number, "min_power", "max_power"), same(integer, "min_duration", "max_duration"),
    same(many(enum(enums.DAY_OF_WEEK)), "day_of_week"), same(enum(enums.RESERVATION), "reservation", versions=FROM_221),
)  # fmt: skip
_element = table(TariffElement, same(many(price_component), "price_components"), same(restrictions, "restrictions"))
TARIFF = table(
    Tariff,
    same(text(2), "country_code", versions=FROM_221), same(text(3), "party_id", versions=FROM_221), same(_ID, "id"),
    same(currency, "currency"), same(enum(enums.TARIFF_TYPE), "type", versions=FROM_221),
    same(many(display_text), "tariff_alt_text"), same(_LONG, "tariff_alt_url"),
    same(price, "min_price", "max_price", versions=FROM_221), same(many(_element.nested), "elements"),
    same(enum(enums.TAX_INCLUDED), "tax_included", versions=ONLY_230),
    same(moment, "start_date_time", "end_date_time", versions=FROM_221), same(_energy_mix.nested, "energy_mix"),
    same(moment, "last_updated"),
)  # fmt: skip

SPELLINGS = {"location": LOCATION.spellings, "evse": EVSE.spellings, "connector": CONNECTOR.spellings}
"""Per level that can be patched, by wire name the name that another version has for the same."""

__all__ = ["CONNECTOR", "EVSE", "LOCATION", "SPELLINGS", "STATUS", "TARIFF", "sample"]
