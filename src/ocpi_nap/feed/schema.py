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
    limit: int


class Details(Shape):
    name: str
    website: str | None = None
    logo: dict[str, Any] | None = None


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
    directions: list[dict[str, Any]] | None
    createdAt: datetime
    modifiedAt: datetime
    connectors: list[Connector]


class Address(Shape):
    street: str | None = None
    city: str | None = None
    postalCode: str | None = None
    countryCode: str | None = Field(default=None, description="ISO 3166-1 alpha-3")


class Properties(Shape):
    id: str
    name: str | None = None
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
    modifiedAt: datetime
    pagination: Pagination
    features: list[Feature]


class EvseStatus(Shape):
    evseId: str
    modifiedAt: datetime = Field(description="When the status last changed.")
    status: Literal["AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "RESERVED", "UNKNOWN"]


class Statuses(Shape):
    modifiedAt: datetime
    pagination: Pagination
    statuses: list[EvseStatus]


class PriceComponent(Shape):
    type: str
    price: float | None
    vat: float | None = None
    stepSize: int | None


class Element(Shape):
    priceComponents: list[PriceComponent]
    restrictions: dict[str, Any] | None = None


class Tariff(Shape):
    id: str
    currency: str | None = None
    type: str | None = None
    taxIncluded: str | None = None
    elements: list[Element]
    lastUpdated: datetime


class Tariffs(Shape):
    modifiedAt: datetime
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
TOO_MANY: dict[str, Any] = {
    "description": "Too many requests from your address; a `Digitraffic-User` header that names you raises the limit.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
    "headers": {**_RATE, "Retry-After": _header("Seconds to wait.")},
}
