"""The answers of the public API as the OpenAPI document describes them (contract sections 1 to 4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Documentation only: answers are rendered elsewhere and not validated on the way out."""

    model_config = ConfigDict(extra="allow")


class Pagination(Shape):
    nextCursor: str | None = Field(default=None, description="Give it as `cursor` for the next page; missing on the last one.")
    limit: int = Field(description="Of a page 500; of `/all` the number of locations or tariffs.")


_LATEST = Field(description="When anything in it last changed.")


class DisplayText(Shape):
    language: str | None
    text: str | None


class Logo(Shape):
    url: str
    type: str | None = None
    width: int | None = None
    height: int | None = None
    category: str | None = None
    thumbnail: str | None = None


class Details(Shape):
    """As the operator sent them over OCPI."""

    name: str
    website: str | None = None
    logo: Logo | None = None


class Operator(Shape):
    id: str = Field(examples=["FI*ABC"])
    partyId: str
    countryCode: str
    details: Details


class Point(Shape):
    type: Literal["Point"]
    coordinates: list[float] = Field(description="Longitude, latitude (WGS 84).", min_length=2, max_length=2)


class Connector(Shape):
    powerType: str | None
    standard: str | None
    format: str | None
    capabilities: list[str] | None
    maxVoltage: int | None = Field(description="V")
    maxAmperage: int | None = Field(description="A")
    maxElectricPower: int | None = Field(description="W")
    tariffIds: list[str] | None
    createdAt: datetime
    modifiedAt: datetime


class Evse(Shape):
    id: str = Field(examples=["FI*ABC*E12345"])
    capabilities: list[str] | None
    acceptedServiceProviders: list[str] | None
    floorLevel: str | None
    geometry: Point | None
    physicalReference: str | None
    directions: list[DisplayText] | None
    createdAt: datetime
    modifiedAt: datetime
    connectors: list[Connector]


class Address(Shape):
    street: str | None = None
    city: str | None = None
    postalCode: str | None = None
    countryCode: str | None = Field(default=None, description="ISO 3166-1 alpha-3")


class RegularHours(Shape):
    weekday: int = Field(description="1 is Monday.")
    periodBegin: str = Field(examples=["07:00"])
    periodEnd: str = Field(description="`00:00` is the end of the day.", examples=["23:00"])


class Period(Shape):
    periodBegin: datetime | None
    periodEnd: datetime | None


class OpeningTimes(Shape):
    twentyFourSeven: bool
    regularHours: list[RegularHours]
    exceptionalOpenings: list[Period] | None = None
    exceptionalClosings: list[Period] | None = None


class Properties(Shape):
    """Of what is not known the member is missing."""

    id: str = Field(description="The operator's own; other operators may have the same.")
    name: str | None = None
    parkingType: str | None = None
    chargingWhenClosed: bool | None = None
    openingTimes: OpeningTimes | None = None
    operator: Operator
    address: Address
    createdAt: datetime
    modifiedAt: datetime
    evses: list[Evse]


class Feature(Shape):
    type: Literal["Feature"]
    geometry: Point
    properties: Properties


class Locations(Shape):
    type: Literal["FeatureCollection"]
    modifiedAt: datetime = _LATEST
    pagination: Pagination
    features: list[Feature]


class EvseStatus(Shape):
    evseId: str
    modifiedAt: datetime = Field(description="When the status last changed.")
    status: Literal["AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "RESERVED", "UNKNOWN"]


class Statuses(Shape):
    modifiedAt: datetime = _LATEST
    pagination: Pagination
    statuses: list[EvseStatus]


class PriceComponent(Shape):
    type: str = Field(examples=["ENERGY", "TIME", "PARKING_TIME", "FLAT"])
    price: float | None = Field(description="Per kWh, hour or session.")
    vat: float | None = Field(description="Percent.")
    stepSize: int | None = Field(description="Wh or seconds.")


class Restrictions(Shape):
    startTime: str | None = Field(default=None, examples=["07:00"])
    endTime: str | None = Field(default=None, examples=["23:00"])
    startDate: str | None = Field(default=None, examples=["2026-06-18"])
    endDate: str | None = None
    minKwh: float | None = None
    maxKwh: float | None = None
    minCurrent: float | None = Field(default=None, description="A")
    maxCurrent: float | None = None
    minPower: float | None = Field(default=None, description="kW")
    maxPower: float | None = None
    minDuration: int | None = Field(default=None, description="Seconds.")
    maxDuration: int | None = None
    dayOfWeek: list[str] | None = None
    reservation: str | None = None


class Element(Shape):
    priceComponents: list[PriceComponent]
    restrictions: Restrictions | None = Field(description="null: it always holds.")


class Price(Shape):
    beforeTaxes: float | None
    afterTaxes: float | None


class EnergySource(Shape):
    source: str | None
    percentage: float | None


class EnvironmentalImpact(Shape):
    category: str | None
    amount: float | None = Field(description="g/kWh")


class EnergyMix(Shape):
    isGreenEnergy: bool | None = None
    energySources: list[EnergySource] | None = None
    environImpact: list[EnvironmentalImpact] | None = None
    supplierName: str | None = None
    energyProductName: str | None = None


class Tariff(Shape):
    """Of what is not known the member is missing."""

    id: str = Field(description="What `tariffIds` of connectors name.")
    countryCode: str
    partyId: str
    currency: str | None = None
    type: str | None = None
    taxIncluded: str | None = Field(default=None, description="`YES`, `NO` or `N/A`: whether prices include taxes.")
    tariffAltUrl: str | None = None
    tariffAltText: list[DisplayText] | None = None
    minPrice: Price | None = None
    maxPrice: Price | None = None
    elements: list[Element]
    startDateTime: datetime | None = None
    endDateTime: datetime | None = None
    energyMix: EnergyMix | None = None
    lastUpdated: datetime


class Tariffs(Shape):
    modifiedAt: datetime = _LATEST
    pagination: Pagination
    tariffs: list[Tariff]


PUBLICATIONS: dict[str, tuple[str, type[Shape] | None]] = {
    "/locations": ("Locations with EVSEs and connectors, as GeoJSON", Locations),
    "/locations/statuses": ("Status of every EVSE", Statuses),
    "/tariffs": ("Tariffs", Tariffs),
    "/locations/datex2-3.6": ("Locations in DATEX II 3.6", None),
    "/locations/statuses/datex2-3.6": ("Statuses in DATEX II 3.6", None),
    "/locations/datex2-3.7": ("Locations in DATEX II 3.7, AFIR packages", None),
    "/locations/statuses/datex2-3.7": ("Statuses and price changes in DATEX II 3.7, AFIR packages", None),
    "/tariffs/datex2-3.7": ("Tariffs in DATEX II 3.7, AFIR packages", None),
}
"""By path: what it is called, and its shape where it is described here."""


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


_RATE = {
    "RateLimit-Policy": _header("Requests (`q`) in a window of so many seconds (`w`); absent where requests are not limited."),
    "RateLimit": _header("Requests that remain (`r`) in this window, which ends in `t` seconds."),
}
HEADERS = {
    "Link": _header('Licence (`rel="license"`) and source (`rel="via"`) of the data.'),
    "Deprecation": _header("`true` where this path will end."),
    "Sunset": _header("When it ends."),
    **_RATE,
}
"""Headers of every answer with data."""
TEXT = {"text/plain": {"schema": {"type": "string"}}}
Answers = dict[int | str, dict[str, Any]]
_WAIT = {"Retry-After": _header("Seconds to wait.")}
_AWAY = {"description": "Nothing to show yet, or the database does not answer: try again later.", "content": TEXT, "headers": _WAIT}
_RATE_LIMIT = {
    "description": "Too many requests from your address; a `Digitraffic-User` header that names you raises the limit.",
    "content": TEXT, "headers": {**_RATE, **_WAIT},
}  # fmt: skip
ALWAYS: Answers = {429: _RATE_LIMIT, 503: _AWAY}
"""What any request may be answered."""
WRONG: Answers = {400: {"description": "A parameter is wrong: the text says how.", "content": TEXT}}
NO_GZIP: Answers = {406: {"description": "The request does not accept gzip.", "content": TEXT}}
MOVED: Answers = {302: {"description": "`limit=ALL` leads to `/all`.", "headers": {"Location": _header("Where it is.")}}}
MISSING: Answers = {
    404: {"description": "There is none.", "content": {"application/json": {"schema": {
        "type": "object", "properties": {"message": {"const": "Not Found"}}, "required": ["message"],
    }}}}
}  # fmt: skip
PARTS: Answers = {
    206: {
        "description": "The part that `Range` asks for, of the uncompressed body.",
        "headers": {"Content-Range": _header("Which bytes, of how many.")},
    },
    416: {"description": "There are no such bytes.", "headers": {"Content-Range": _header("How many there are.")}},
}


def data(model: Any, *media_types: str) -> Answers:
    """200 and 304 of a resource with these forms; ``model`` is the shape of the JSON."""
    validators = {"ETag": _header("Send it as `If-None-Match`."), "Last-Modified": _header("When it last changed.")}
    found: dict[str, Any] = {"headers": HEADERS | validators} | ({} if model is None else {"model": model})
    found["content"] = {media_type.split(";")[0]: {} for media_type in media_types}
    return {200: found, 304: {"description": "Unchanged since the ETag or time you gave.", "headers": validators}, **ALWAYS}
