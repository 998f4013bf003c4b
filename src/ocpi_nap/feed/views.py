"""Rows of the feed decoded once for all forms that render them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ocpi_nap.model import objects
from ocpi_nap.model.objects import Evse, Location, Tariff
from ocpi_nap.store.feed import HIDDEN_STATUSES, FeedEvse, FeedLocation, FeedTariff

T = TypeVar("T")


class _RawLocation(msgspec.Struct):
    operator: Any = None


_raw_location = msgspec.json.Decoder(_RawLocation, float_hook=Decimal).decode
_MOST_PIXELS = 1 << 31


def business_details(sent: Any) -> dict[str, Any]:
    """Of BusinessDetails as they were sent, what has the name and type that OCPI gives it: readers rely on them, and one wrong member would
    make a whole page unreadable to those with typed clients. Empty where there are none."""
    if not isinstance(sent, dict):
        return {}
    found: dict[str, Any] = _texts(sent, "name", "website")
    logo = sent.get("logo")
    if isinstance(logo, dict) and isinstance(logo.get("url"), str):
        pixels = {name: _pixels(logo.get(name)) for name in ("width", "height")}
        found["logo"] = _texts(logo, "url", "thumbnail", "category", "type") | {k: v for k, v in pixels.items() if v is not None}
    return found


def registered_details(name: str | None, website: str | None, details: dict[str, Any] | None) -> dict[str, Any]:
    """BusinessDetails of an operator of the register: as announced, else its name and website."""
    return {"name": name, "website": website} | {member: value for member, value in business_details(details).items() if value}


def _texts(sent: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: sent[name] for name in names if isinstance(sent.get(name), str)}


def _pixels(value: Any) -> int | None:
    usable = isinstance(value, int | float | Decimal) and not isinstance(value, bool) and 0 <= value < _MOST_PIXELS
    return int(value) if usable else None


@dataclass(slots=True)
class TariffView:
    """A tariff with its document; `facts` are what the operator register says of its operator."""

    row: FeedTariff
    doc: Tariff
    facts: Mapping[str, Any] = field(default_factory=dict)
    left_out: bool = False
    """No connector names it, and only those are published that one does."""
    memo: dict[Any, Any] = field(default_factory=dict)

    @property
    def operator_id(self) -> str:
        """``FI*ABC``"""
        return f"{self.row.country_code}*{self.row.party_id}"


@dataclass(slots=True)
class EvseView:
    """A public EVSE with its document; `modified_at` moves with its status too (contract section 2)."""

    row: FeedEvse
    doc: Evse
    modified_at: datetime


@dataclass(slots=True)
class LocationView:
    """A location, its public EVSEs, the tariffs that its connectors name by id, and what the operator register says of it."""

    row: FeedLocation
    doc: Location
    evses: list[EvseView]
    modified_at: datetime
    described_at: datetime
    """When its description last changed, and which EVSEs it has: statuses that show or hide none do not count."""
    tariffs: Mapping[str, TariffView] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    facts_at: datetime | None = None
    """When these last changed."""
    memo: dict[Any, Any] = field(default_factory=dict)
    """What several forms share is made once: see `once`."""

    @property
    def operator_id(self) -> str:
        """``FI*ABC``"""
        return f"{self.row.country_code}*{self.row.party_id}"

    @property
    def public(self) -> bool:
        """Nothing is published of a location without a public EVSE or coordinates (contract section 2)."""
        point = self.doc.coordinates
        return self.row.visible and bool(self.evses) and point is not None and None not in (point.latitude, point.longitude)

    def dated(self, moment: datetime) -> datetime:
        """When something last changed that shows facts of the register too."""
        return moment if self.facts_at is None or moment > self.facts_at else self.facts_at

    @property
    def operator(self) -> dict[str, Any]:
        """BusinessDetails: the location's own operator as sent, else the register's (contract section 2)."""
        sent = business_details(_raw_location(self.row.raw).operator)
        if sent.get("name"):
            return sent
        return registered_details(self.row.operator_name, self.row.operator_url, self.row.operator_details)


def once(view: LocationView | TariffView, make: Callable[[Any], T]) -> T:
    """``make(view)``, called only the first time."""
    if make not in view.memo:
        view.memo[make] = make(view)
    return view.memo[make]  # type: ignore[no-any-return]


def location_view(
    row: FeedLocation, tariffs: Mapping[str, TariffView] | None = None, facts: Mapping[str, Any] | None = None
) -> LocationView:
    """Decode a location. Of EVSEs those are kept that are public and have a connector."""
    described = latest = max(row.modified_at, row.withdrawn_at or row.modified_at)
    evses = []
    for evse in row.evses:
        doc = objects.decode_evse(evse.doc)
        described = max(described, evse.modified_at, evse.withdrawn_at or evse.modified_at,
                        *(c.modified_at for c in doc.connectors if c.modified_at))  # fmt: skip
        if evse.status in HIDDEN_STATUSES:
            described = max(described, evse.status_at)
        modified_at = max(evse.modified_at, evse.status_at)  # the real service's connectors may be newer than their EVSE
        latest = max(latest, evse.status_at)
        if evse.visible and doc.connectors:
            evses.append(EvseView(evse, doc, modified_at))
    return LocationView(row, objects.decode_location(row.doc), evses, max(latest, described), described, tariffs or {}, facts or {})


def tariff_view(row: FeedTariff, facts: Mapping[str, Any] | None = None) -> TariffView:
    """Decode a tariff."""
    return TariffView(row, objects.decode_tariff(row.doc), facts or {})
