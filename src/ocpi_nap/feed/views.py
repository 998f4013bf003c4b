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
from ocpi_nap.store.feed import FeedEvse, FeedLocation, FeedTariff

T = TypeVar("T")


class _RawLocation(msgspec.Struct):
    operator: Any = None


_raw_location = msgspec.json.Decoder(_RawLocation, float_hook=Decimal).decode


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
        sent = _raw_location(self.row.raw).operator
        if isinstance(sent, dict) and isinstance(sent.get("name"), str) and sent["name"]:
            return sent
        return self.row.operator_details or {"name": self.row.operator_name, "website": self.row.operator_url}


def once(view: LocationView | TariffView, make: Callable[[Any], T]) -> T:
    """``make(view)``, called only the first time."""
    if make not in view.memo:
        view.memo[make] = make(view)
    return view.memo[make]  # type: ignore[no-any-return]


def location_view(
    row: FeedLocation, tariffs: Mapping[str, TariffView] | None = None, facts: Mapping[str, Any] | None = None
) -> LocationView:
    """Decode a location. Of EVSEs those are kept that are public and have a connector."""
    latest = max(row.modified_at, row.withdrawn_at or row.modified_at)
    evses = []
    for evse in row.evses:
        doc = objects.decode_evse(evse.doc)
        modified_at = max(evse.modified_at, evse.status_at)  # the real service's connectors may be newer than their EVSE
        latest = max(latest, modified_at, evse.withdrawn_at or modified_at, *(c.modified_at for c in doc.connectors if c.modified_at))
        if evse.visible and doc.connectors:
            evses.append(EvseView(evse, doc, modified_at))
    return LocationView(row, objects.decode_location(row.doc), evses, latest, tariffs or {}, facts or {})


def tariff_view(row: FeedTariff, facts: Mapping[str, Any] | None = None) -> TariffView:
    """Decode a tariff."""
    return TariffView(row, objects.decode_tariff(row.doc), facts or {})
