"""Tolerant readers of single values: each returns the canonical value, or None with an issue (interop section 6).

The raw JSON is kept beside the canonical form, so a reader may drop what it cannot use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from ocpi_nap.model import timestamps
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Node
from ocpi_nap.ocpi.versions.enums import OPEN_FROM_230

_NOT_AVAILABLE = "#NA"
MOST_ISSUES = 1000
"""Of one object: whoever sends more wrong values than that learns of them in turn."""


@dataclass(slots=True)
class Reading:
    """Where issues and what was mapped or dropped of one object come together."""

    version: str
    naive_tz: tzinfo
    open_enums: bool = False
    issues: list[Issue] = field(default_factory=list)
    raw_enums: dict[str, Any] = field(default_factory=dict)
    """By path, each value that the canonical form does not say as it came; None: it was not there, the canonical form infers it."""
    unknown: set[str] = field(default_factory=set)
    """Paths of unknown enum values: never a reason to reject (D11)."""

    def issue(self, path: str, rule: str, message: str, value: Any = "") -> None:
        """Note what is wrong at a JSON path, with a sample of the value; what is too much for one object is not noted."""
        if len(self.issues) < MOST_ISSUES:
            self.issues.append(Issue(path, rule, message, sample(value)))

    def keep_list(self, path: str, value: Any, before: int) -> None:
        """Keep a list whole; what was kept of its items, since there were ``before`` entries, goes."""
        while len(self.raw_enums) > before:
            self.raw_enums.popitem()
        self.raw_enums[path] = value


Reader = Callable[[Any, str, Reading], Any]
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)


def sample(value: Any) -> str:
    """A short text of a value for an issue; anything but text and numbers as JSON, of which no more is written than is kept."""
    if value is not None and not isinstance(value, dict | list | bool):
        return str(value)[:60]
    text = ""
    for part in _JSON.iterencode(value):
        text += part
        if len(text) >= 60:
            break
    return text[:60]


def _wrong(value: Any, path: str, reading: Reading) -> None:
    reading.issue(path, "wrong_type", "not of the expected type: dropped", value)


def text(limit: int = 255) -> Reader:
    """Text; numbers are taken as text (I-93), "" and #NA as absent (I-99, I-117); longer than ``limit`` is kept (D23)."""

    def read(value: Any, path: str, reading: Reading) -> str | None:
        if type(value) is not str:
            if isinstance(value, bool | dict | list):
                _wrong(value, path, reading)
                return None
            reading.issue(path, "number_as_text", "a number where text is required", value)
            value = str(value)
        if len(value) > limit:
            reading.issue(path, "too_long", f"longer than {limit} characters: kept whole", value)
        return None if not value or value == _NOT_AVAILABLE or value.isspace() else value

    return read


def boolean(value: Any, path: str, reading: Reading) -> bool | None:
    """true or false, also as text (I-113)."""
    if value is True or value is False:
        return value
    folded = value.strip().lower() if isinstance(value, str) else None
    if folded in ("true", "false"):
        reading.issue(path, "text_as_boolean", "text where a boolean is required", value)
        return folded == "true"
    _wrong(value, path, reading)
    return None


def number(value: Any, path: str, reading: Reading) -> Decimal | None:
    """A finite number as an exact decimal, also as text with a comma."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        _wrong(value, path, reading)
        return None
    if isinstance(value, str):
        reading.issue(path, "text_as_number", "text where a number is required", value)
    try:
        result = Decimal(value.strip().replace(",", ".")) if isinstance(value, str) else Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    if isinstance(value, str) and "_" in value:  # Python's own way to write a number
        return None
    if not result.is_finite() or abs(result.adjusted()) > 30:
        reading.issue(path, "out_of_range", "not a usable number: dropped", value)
        return None
    return result


def integer(value: Any, path: str, reading: Reading) -> int | Decimal | None:
    """A whole number; 230.0 is 230, 12.5 is kept as a decimal with an issue (I-93)."""
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    result = number(value, path, reading)
    if result is None:
        return None
    if result != result.to_integral_value():
        reading.issue(path, "not_integral", "a whole number is required: kept as it is", value)
        return result
    return int(result) if abs(result) < 2**63 else None


def moment(value: Any, path: str, reading: Reading) -> datetime | None:
    """A DateTime (R44); anything unreadable counts as missing."""
    result, rule = timestamps.parse(value, reading.naive_tz)
    if rule is not None and value != "":
        reading.issue(path, rule, timestamps.TOLERATED[result is not None], value)
    return result


def says(result: Any, value: Any) -> bool:
    """Whether a canonical value says what came: itself, the same number or text in the other type, or members read one by one."""
    if isinstance(result, Node):
        return type(value) is dict
    if type(result) is float and type(value) is str and len(value) < 16 and value[-1].isdigit():
        return "," not in value and value[0] in "-0123456789"
    if isinstance(value, bool | list | dict) or isinstance(result, bool | list) or value is None or result is None:
        return type(result) is type(value) and (isinstance(value, list) or result == value)
    if isinstance(result, datetime):
        return bool(timestamps.format_z(result) == value)
    if result == value or str(result) == str(value):
        return True
    try:
        return Decimal(str(result)) == Decimal(str(value))
    except InvalidOperation:
        return False


def clock(value: Any, path: str, reading: Reading) -> str | None:
    """HH:MM, also as 8:00 or 08:00:00 (I-107)."""
    parts = value.strip().split(":") if isinstance(value, str) else []
    if len(parts) in (2, 3) and all(part.isascii() and part.isdigit() and len(part) <= 2 for part in parts):
        hour, minute = int(parts[0]), int(parts[1])
        if (hour < 24 and minute < 60) or (hour, minute) == (24, 0):
            return f"{hour:02d}:{minute:02d}"
    _wrong(value, path, reading)
    return None


def coordinate(limit: int) -> Reader:
    """Degrees: text or number, any number of decimals, a comma too (I-94)."""

    def read(value: Any, path: str, reading: Reading) -> float | None:
        if isinstance(value, str):
            plain = value.strip()
            if "," in plain:
                reading.issue(path, "decimal_comma", "a comma as decimal point", value)
                plain = plain.replace(",", ".")
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            plain = str(value)
        else:
            plain = ""
        try:
            degrees = float(plain)
        except ValueError:
            degrees = float("nan")
        if not -limit <= degrees <= limit or "_" in plain:
            reading.issue(path, "coordinate_invalid", "not a coordinate: dropped", value)
            return None
        return degrees

    return read


def enum(values: frozenset[str], *, aliases: dict[str, str] | None = None, fallback: str | None = None) -> Reader:
    """One of ``values``; case is folded, unknown values are kept in raw_enums and never a reason to reject (D11, I-96)."""
    folded = {value.upper(): value for value in values} | (aliases or {})
    open_later = values in OPEN_FROM_230

    def read(value: Any, path: str, reading: Reading) -> str | None:
        if value in values if type(value) is str else False:
            return str(value)
        if not isinstance(value, str):
            _wrong(value, path, reading)
            return None
        if value in ("", _NOT_AVAILABLE):
            return None
        known = folded.get(value.strip().upper())
        if known is not None:
            reading.issue(path, "enum_spelling", "another spelling of a known value", value)
            return known
        if open_later and reading.open_enums:
            return value
        reading.issue(path, "unknown_enum", "not a value of this version: kept as raw text", value)
        reading.unknown.add(path)
        return fallback

    return read


def many(one: Reader) -> Reader:
    """A list; null members go, a single value counts as a list of one (I-98, I-109)."""

    def read(value: Any, path: str, reading: Reading) -> list[Any] | None:
        given = value
        if type(value) is not list:
            if value == "":
                return None
            reading.issue(path, "not_a_list", "a single value where a list is required", value)
            given = [value]
        result = []
        exact, before = given is value, len(reading.raw_enums)
        for position, item in enumerate(given):
            found = None if item is None else one(item, f"{path}[{position}]", reading)
            if found is not None:
                result.append(found)
            exact = exact and (found is item or says(found, item))
        if not exact:
            reading.keep_list(path, value, before)
        return result or None

    return read
