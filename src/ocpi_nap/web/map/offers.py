"""What a visitor of the map tells apart: kinds of connectors, powers, and states of an EVSE."""

from __future__ import annotations

from typing import Any

import msgspec

KINDS = ("type2", "ccs", "chademo", "domestic", "tesla", "other")
_KINDS = {"IEC_62196_T2": 0, "IEC_62196_T2_COMBO": 1, "CHADEMO": 2, "TESLA_R": 4, "TESLA_S": 4, "SAE_J3400": 4}

STATES = ("free", "busy", "broken", "unknown")
FREE, BUSY, BROKEN, UNKNOWN, HIDDEN = range(5)
_STATES = {
    "AVAILABLE": FREE, "CHARGING": BUSY, "BLOCKED": BUSY, "RESERVED": BUSY, "OUTOFORDER": BROKEN, "INOPERATIVE": BROKEN,
    "REMOVED": HIDDEN, "PLANNED": HIDDEN,
}  # fmt: skip

POWERS = (11, 22, 50, 100, 150, 300)
"""Kilowatts that can be asked for as the least."""


class Connector(msgspec.Struct):
    """The members of a canonical Connector that the map counts by."""

    standard: str | None = None
    max_electric_power: float | None = None
    derived_power: float | None = None


class _Evse(msgspec.Struct):
    connectors: list[Connector] = []


class Point(msgspec.Struct):
    latitude: float | None = None
    longitude: float | None = None


class Place(msgspec.Struct):
    """The members of a canonical Location that the map finds it by."""

    name: str | None = None
    address: str | None = None
    city: str | None = None
    postal_code: str | None = None
    coordinates: Point | None = None


decode_evse = msgspec.json.Decoder(_Evse, strict=False).decode
decode_place = msgspec.json.Decoder(Place, strict=False).decode


def kind(standard: str | None) -> int:
    """Number in `KINDS` of an OCPI ConnectorType."""
    if standard is None:
        return 5
    return _KINDS.get(standard, 3 if standard.startswith("DOMESTIC") else 5)


def state(status: str) -> int:
    """State of an OCPI Status."""
    return _STATES.get(status, UNKNOWN)


def kilowatts(connector: Any) -> float:
    """The most a connector gives, in kW, as sent or else as derived from voltage and current; 0 when it does not say."""
    return float(connector.max_electric_power or connector.derived_power or 0) / 1000
