"""Forms of values that the tolerant reader takes without a word: found by walking the object as it came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ocpi_nap.model import timestamps

_CONTROL = re.compile(rb"\\u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F]|7[fF])|\x7f")
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>")
_TIMES = ("last_updated", "start_date_time", "end_date_time")
_URLS = ("url", "website", "thumbnail", "tariff_alt_url", "terms_and_conditions")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_GOOD_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_OFFSET = re.compile(r".*\d\d:\d\d.*[+-]\d\d:?(\d\d)?")
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_AHEAD = timedelta(minutes=2)

Told = tuple[str, str]
"""(check, example)"""


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list that may be anything."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def odd_forms(raw: bytes, value: dict[str, Any]) -> Iterator[Told]:
    """Everything about an object and what is in it."""
    if _CONTROL.search(raw):
        yield "control-characters", "a control character"
    yield from _walk(value, "", datetime.now(UTC) + _AHEAD)


def _walk(value: Any, path: str, latest: datetime) -> Iterator[Told]:
    if isinstance(value, dict):
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            if item is None:
                yield "nulls", here
            elif name in _TIMES:
                yield from _time(item, here, latest)
            elif isinstance(item, str):
                yield from _text(name, item, here)
            else:
                yield from _walk(item, here, latest)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            here = f"{path}[{place}]"
            if item is None:
                yield "nulls", here
            elif isinstance(item, str):
                yield from _text("", item, here)
            else:
                yield from _walk(item, here, latest)


def _text(name: str, text: str, path: str) -> Iterator[Told]:
    if text == "" or text.isspace():
        yield "empty-texts", path
    elif text == "#NA":
        yield "texts-na", path
    elif _MARKUP.search(text):
        yield "control-characters", f"{path}: {text[:60]}"
    elif name in _URLS and not _URL.fullmatch(text):
        yield "url-form", f"{path}: {text[:80]}"


def _time(value: Any, path: str, latest: datetime) -> Iterator[Told]:
    """The form of a time; unreadable ones are told by the reader."""
    moment, rule = timestamps.parse(value)
    if moment is None or not isinstance(value, str):
        return
    shown = f"{path}: {value}"
    if moment > latest:
        yield "times-in-future", shown
    if " " in value.strip():
        yield "times-with-space", shown
    elif _OFFSET.fullmatch(value):
        yield "times-with-offset", shown
    elif not value.rstrip().endswith(("Z", "z")):
        yield "times-without-zone", shown
    elif rule == "timestamp_form" or not _GOOD_TIME.fullmatch(value) or len(value) > 25:
        yield "times-odd", shown


def odd_coordinates(value: Any) -> Iterator[Told]:
    """Numbers, and positions too rough to find."""
    geo = value if isinstance(value, dict) else {}
    for name in ("latitude", "longitude"):
        found = geo.get(name)
        if found is not None and not isinstance(found, str):
            yield "coordinates-as-numbers", f"coordinates.{name}: {found}"
        decimals = str(found).partition(".")[2]
        if found is not None and decimals.strip("0") and len(decimals) < 4:
            yield "coordinates-imprecise", f"coordinates.{name}: {found}"


def odd_hours(value: Any) -> Iterator[Told]:
    """Clock times that need a second look."""
    hours = value.get("regular_hours") if isinstance(value, dict) else None
    for place, entry in enumerate(hours if isinstance(hours, list) else []):
        for name in ("period_begin", "period_end"):
            text = entry.get(name) if isinstance(entry, dict) else None
            if isinstance(text, str) and not _CLOCK.fullmatch(text):
                yield "hours-odd", f"opening_times.regular_hours[{place}].{name}: {text[:20]}"
