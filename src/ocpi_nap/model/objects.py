"""The canonical objects: OCPI 2.3.0 names plus what only older versions or we ourselves can say (marked †).

Lists are empty rather than null (R42). Times are aware and in UTC, prices exact decimals, coordinates degrees (WGS 84),
power watts, voltage volts, current amperes. ``extra`` holds every member we do not know, ``raw_enums`` the original text of
values that were mapped or dropped, by path (null: the value was not there, it is inferred).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class Node(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of every canonical class; unknown members of value classes are in their ``extra`` too."""

    extra: dict[str, Any] = {}


class DisplayText(Node):
    """OCPI DisplayText: a text, and its language (ISO 639-1)."""

    language: str | None = None
    text: str | None = None


class GeoLocation(Node):
    """OCPI GeoLocation, and AdditionalGeoLocation with its name: degrees (WGS 84)."""

    latitude: float | None = None
    longitude: float | None = None
    name: DisplayText | None = None


class Image(Node):
    """OCPI Image; width and height in pixels."""

    url: str | None = None
    thumbnail: str | None = None
    category: str | None = None
    type: str | None = None
    width: int | None = None
    height: int | None = None


class BusinessDetails(Node):
    """OCPI BusinessDetails."""

    name: str | None = None
    website: str | None = None
    logo: Image | None = None


class EnergySource(Node):
    """OCPI EnergySource: a share of the mix, in percent."""

    source: str | None = None
    percentage: Decimal | None = None


class EnvironmentalImpact(Node):
    """OCPI EnvironmentalImpact; the amount in grams a kWh."""

    category: str | None = None
    amount: Decimal | None = None


class EnergyMix(Node):
    """OCPI EnergyMix."""

    is_green_energy: bool | None = None
    energy_sources: list[EnergySource] = []
    environ_impact: list[EnvironmentalImpact] = []
    supplier_name: str | None = None
    energy_product_name: str | None = None


class RegularHours(Node):
    """OCPI RegularHours: weekday from 1 (Monday) to 7, times ``HH:MM`` of the location's own clock."""

    weekday: int | None = None
    period_begin: str | None = None
    period_end: str | None = None


class ExceptionalPeriod(Node):
    """OCPI ExceptionalPeriod."""

    period_begin: datetime | None = None
    period_end: datetime | None = None


class Hours(Node):
    """OCPI Hours: round the clock, or the regular hours, each with its exceptions."""

    twentyfourseven: bool | None = None
    regular_hours: list[RegularHours] = []
    exceptional_openings: list[ExceptionalPeriod] = []
    exceptional_closings: list[ExceptionalPeriod] = []


class StatusSchedule(Node):
    """OCPI StatusSchedule: a status that is planned; without an end, until further notice."""

    period_begin: datetime | None = None
    period_end: datetime | None = None
    status: str | None = None


class PublishTokenType(Node):
    """OCPI PublishTokenType: who may be shown a Location that is not public."""

    uid: str | None = None
    type: str | None = None
    visual_number: str | None = None
    issuer: str | None = None
    group_id: str | None = None


class Parking(Node):
    """OCPI 2.3.0 Parking: weight in kilograms, lengths, heights and widths in centimetres, time limit in minutes."""

    id: str | None = None
    physical_reference: str | None = None
    vehicle_types: list[str] = []
    max_vehicle_weight: Decimal | None = None
    max_vehicle_height: Decimal | None = None
    max_vehicle_length: Decimal | None = None
    max_vehicle_width: Decimal | None = None
    parking_space_length: Decimal | None = None
    parking_space_width: Decimal | None = None
    dangerous_goods_allowed: bool | None = None
    direction: str | None = None
    drive_through: bool | None = None
    restricted_to_type: bool | None = None
    reservation_required: bool | None = None
    time_limit: Decimal | None = None
    roofed: bool | None = None
    lighting: bool | None = None
    images: list[Image] = []
    refrigeration_outlet: bool | None = None
    standards: list[str] = []
    apds_reference: str | None = None


class EvseParking(Node):
    """OCPI 2.3.0 EVSEParking: which of the Location's parking places an EVSE serves."""

    parking_id: str | None = None
    evse_position: str | None = None


class Connector(Node):
    """OCPI Connector: volts, amperes, watts."""

    id: str = ""
    standard: str | None = None
    format: str | None = None
    power_type: str | None = None
    max_voltage: int | Decimal | None = None
    max_amperage: int | Decimal | None = None
    max_electric_power: int | Decimal | None = None
    tariff_ids: list[str] = []
    terms_and_conditions: str | None = None
    capabilities: list[str] = []
    last_updated: datetime | None = None
    id_inferred: bool = False  # †
    derived_power: int | None = None  # † watts, from voltage, amperage and phases where max_electric_power is missing
    raw_enums: dict[str, Any] = {}  # †
    created_at: datetime | None = None  # † ours
    modified_at: datetime | None = None  # † ours
    source_last_updated: datetime | None = None  # † what the source sent for this connector

    @property
    def power(self) -> int | Decimal | None:
        """Watts as sent, else derived."""
        return self.derived_power if self.max_electric_power is None else self.max_electric_power


class Evse(Node):
    """OCPI EVSE. In the database the status, and the times of its source, stand apart from the document."""

    uid: str = ""
    evse_id: str | None = None
    evse_id_normal: str | None = None  # † CC*PPP*E…, where evse_id spells it otherwise
    status: str | None = None
    status_schedule: list[StatusSchedule] = []
    capabilities: list[str] = []
    connectors: list[Connector] = []
    floor_level: str | None = None
    coordinates: GeoLocation | None = None
    physical_reference: str | None = None
    directions: list[DisplayText] = []
    parking_restrictions: list[str] = []
    parking: list[EvseParking] = []
    images: list[Image] = []
    accepted_service_providers: list[str] = []
    last_updated: datetime | None = None
    raw_enums: dict[str, Any] = {}  # †


class Location(Node):
    """OCPI Location; ``location_type_211`` is the type as 2.1.1 has it, where ``parking_type`` cannot say the same."""

    country_code: str | None = None
    party_id: str | None = None
    id: str = ""
    publish: bool | None = None
    publish_inferred: bool = False  # †
    publish_allowed_to: list[PublishTokenType] = []
    location_type_211: str | None = None  # †
    name: str | None = None
    address: str | None = None
    city: str | None = None
    postal_code: str | None = None
    state: str | None = None
    country: str | None = None
    coordinates: GeoLocation | None = None
    related_locations: list[GeoLocation] = []
    parking_type: str | None = None
    evses: list[Evse] = []
    parking_places: list[Parking] = []
    directions: list[DisplayText] = []
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: list[str] = []
    time_zone: str | None = None
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: list[Image] = []
    energy_mix: EnergyMix | None = None
    help_phone: str | None = None
    last_updated: datetime | None = None
    raw_enums: dict[str, Any] = {}  # †


class Price(Node):
    """OCPI Price, in the tariff's currency."""

    before_taxes: Decimal | None = None
    after_taxes: Decimal | None = None


class PriceComponent(Node):
    """OCPI PriceComponent: price a kWh, hour or session, VAT in percent, step size in Wh or seconds."""

    type: str | None = None
    price: Decimal | None = None
    vat: Decimal | None = None
    step_size: int | Decimal | None = None


class TariffRestrictions(Node):
    """OCPI TariffRestrictions: dates and times of the location's own clock; kWh, amperes of all phases together, kilowatts, seconds."""

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | Decimal | None = None
    max_duration: int | Decimal | None = None
    day_of_week: list[str] = []
    reservation: str | None = None


class TariffElement(Node):
    """OCPI TariffElement."""

    price_components: list[PriceComponent] = []
    restrictions: TariffRestrictions | None = None


class Tariff(Node):
    """OCPI Tariff; its times are those between which it is valid."""

    country_code: str | None = None
    party_id: str | None = None
    id: str = ""
    currency: str | None = None
    type: str | None = None
    tariff_alt_text: list[DisplayText] = []
    tariff_alt_url: str | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: list[TariffElement] = []
    tax_included: str | None = None
    tax_included_inferred: bool = False  # †
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None
    energy_mix: EnergyMix | None = None
    last_updated: datetime | None = None
    raw_enums: dict[str, Any] = {}  # †


_encoder = msgspec.json.Encoder(decimal_format="number")
encode = _encoder.encode
"""A canonical object as JSON, decimals as numbers with their exact text."""
decode_location = msgspec.json.Decoder(Location, float_hook=Decimal).decode
"""Numbers in ``extra`` and ``raw_enums`` are decimals: they may be larger than any float."""
decode_evse = msgspec.json.Decoder(Evse, float_hook=Decimal).decode
decode_tariff = msgspec.json.Decoder(Tariff, float_hook=Decimal).decode
