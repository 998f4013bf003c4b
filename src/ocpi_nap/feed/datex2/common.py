"""What both models share: texts, times, ids, links, and what OCPI's values are called in DATEX II."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any

import msgspec

from ocpi_nap.feed.views import EvseView, LocationView
from ocpi_nap.model.countries import ALPHA2
from ocpi_nap.model.objects import Connector, DisplayText

Json = dict[str, Any]
LONGEST = 1024
"""Of a DATEX II String."""
_PATH = r"[A-Za-z0-9._~:/?@!$&'()*+,;=-]*"
_URL = re.compile(rf"https?://[A-Za-z0-9.-]+(:\d{{1,5}})?([/?]{_PATH}(%[0-9A-Fa-f]{{2}}{_PATH})*)?", re.ASCII)


class DatexOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who publishes, and in which languages."""

    country: str = "FI"
    national_identifier: str = "NAP"
    language: str = "en"
    """Of the publication and of the operators' names."""
    text_language: str = "fi"
    """Of texts to which OCPI gives no language: names and addresses."""
    sandbox: bool = False
    """Only test platforms are shown."""


def clean(value: Any, longest: int = LONGEST) -> str:
    """A text without what XML cannot carry or a String cannot hold; "" when nothing is left."""
    if not isinstance(value, str):
        value = "" if value is None else str(value)
    if not value.isprintable():
        value = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in value)
    return value if len(value) <= longest else value[:longest]  # type: ignore[no-any-return]


def texts(value: Any, language: str) -> Json | None:
    """A MultilingualString in one language; None without text."""
    shown = clean(value)
    return {"values": [{"lang": language, "value": shown}]} if shown.strip() else None


def display_texts(given: list[DisplayText], language: str) -> Json | None:
    """A MultilingualString of OCPI DisplayTexts: the first one in each language."""
    found: dict[str, str] = {}
    for one in given:
        code = (one.language or "")[:2].lower()
        shown = clean(one.text)
        if shown.strip():
            found.setdefault(code if len(code) == 2 and code.isascii() and code.isalpha() else language, shown)
    return {"values": [{"lang": code, "value": shown} for code, shown in found.items()]} if found else None


def literal(value: str) -> Json:
    """An enumeration's value."""
    return {"value": value}


def moment(value: datetime) -> str:
    """``2026-06-18T10:42:38.301Z``."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    shown = value.isoformat(timespec="milliseconds")
    return shown[:-6] + "Z"


version_of = lru_cache(maxsize=4096)(moment)
"""For descriptions: those of a place often changed together."""


def url(value: Any) -> str | None:
    """An absolute http(s) URL that every reader of xs:anyURI takes, else None."""
    return value if isinstance(value, str) and len(value) <= LONGEST and _URL.fullmatch(value) else None


def country_code(country: str | None) -> str:
    """Two letters of what OCPI calls a country; "" for what is none that we know."""
    if country in ALPHA2:
        return ALPHA2[country]
    return country if country and len(country) == 2 and country.isascii() and country.isalpha() else ""


def kept(members: Json) -> Json:
    """Without what is not known: None and empty lists."""
    return {key: value for key, value in members.items() if value is not None and value != []}


@lru_cache(maxsize=4096)
def organisation_id(operator_id: str, name: str) -> str:
    """``ORG*FI*911*33afae99d8bb``: twelve hexadecimal digits of the name's SHA-256 (contract section 5)."""
    return f"ORG*{operator_id}*{sha256(name.encode()).hexdigest()[:12]}"


def operator_name(view: LocationView) -> str:
    """What the operator calls itself; its id when nothing is known."""
    return clean(view.operator.get("name")) or view.operator_id


def location_id(view: LocationView) -> str:
    """``FI*ABC*LOC1``; never shorter than the operator's id and something behind it."""
    return f"{view.operator_id}*{clean(view.row.id)}"


def ordered(view: LocationView) -> list[tuple[str, EvseView]]:
    """(id, EVSE) by id, as the real service has them; of two with the same id the first received one."""
    found: dict[str, EvseView] = {}
    for evse in view.evses:
        found.setdefault(clean(evse.row.public_id), evse)
    found.pop("", None)
    return sorted(found.items(), key=itemgetter(0))


def whole(value: Any) -> int | None:
    """Watts, volts and amperes as JSON integers; None for what cannot be one."""
    return None if value is None else round(value)


def power(connector: Connector) -> int:
    """``maxPowerAtSocket``, which every connector must have: watts, 0 where nothing is known."""
    return max(round(connector.power or 0), 0)


_DC = frozenset(
    ("CHADEMO", "CHAOJI", "GBT_DC", "IEC_62196_T1_COMBO", "IEC_62196_T2_COMBO", "MCS", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN")
)


def is_dc(connector: Connector) -> bool:
    """By its power type, else by its plug."""
    return connector.power_type == "DC" if connector.power_type else connector.standard in _DC


def charging_mode(connector: Connector) -> str:
    """IEC 61851 mode; there is no literal for single-phase AC in mode 3 (contract section 5)."""
    if is_dc(connector):
        return "mode4DC"
    if (connector.standard or "").startswith("DOMESTIC_"):
        return "mode2AC1p"
    return "mode3AC3p" if connector.power_type == "AC_3_PHASE" else "other"


def connector_format(connector: Connector) -> str | None:
    """Socket, or the kind of cable."""
    if connector.format == "SOCKET":
        return "socket"
    if connector.format == "CABLE":
        return "otherCable" if is_dc(connector) else "cableMode3"
    return None


_SAME = "CHADEMO:chademo SAE_J3400:teslaConnectorAmerica TESLA_R:teslaR TESLA_S:teslaS PANTOGRAPH_BOTTOM_UP:pantographBottomUp"
CONNECTORS = {
    **dict(pair.split(":") for pair in _SAME.split()), "PANTOGRAPH_TOP_DOWN": "pantographTopDown",
    **{f"IEC_62196_{kind}": f"iec62196{kind.replace('_', '')}" for kind in ("T1", "T1_COMBO", "T2", "T2_COMBO", "T3A", "T3C")},
    **{f"IEC_60309_2_{kind}": f"iec60309x2{kind.replace('_', '')}" for kind in ("single_16", "three_16", "three_32", "three_64")},
}  # fmt: skip
"""OCPI ConnectorType to the literals that both models have; DOMESTIC_A to DOMESTIC_O differ, everything else is `other`."""
DOMESTIC = tuple("ABCDEFGHIJKLMNO")

STATUSES = {
    "AVAILABLE": "available", "BLOCKED": "blocked", "CHARGING": "charging", "INOPERATIVE": "inoperative", "OUTOFORDER": "outOfOrder",
    "PLANNED": "planned", "REMOVED": "removed", "RESERVED": "reserved", "UNKNOWN": "unknown",
}  # fmt: skip


def degrees(value: float | Decimal | None) -> float:
    """A coordinate as a number."""
    return float(value or 0.0)
