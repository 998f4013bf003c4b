"""Parts of the network by operator, area and time: parameters beside the contract, read strictly."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from ocpi_nap.feed import render
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments import Entry, Reading, party_prefix
from ocpi_nap.feed.places import to_e7
from ocpi_nap.feed.renderer import micros
from ocpi_nap.model.timestamps import format_ms, parse

_OPERATOR = re.compile(r"([A-Z]{2})\*([A-Z0-9]{1,16})", re.ASCII)
_ZONED = re.compile(r".*(?:[Zz]|[+-]\d\d:?\d\d)\s*", re.ASCII)
_MOST_OPERATORS = 100
_Rows = list[dict[str, Any]]
_decode_rows = msgspec.json.Decoder(_Rows).decode


class BadParameter(ValueError):
    """A parameter that we cannot read; the text is for the reader."""


@dataclass(frozen=True)
class Selection:
    """What is asked for; None: no limit. The box is west, south, east, north in degrees."""

    operators: frozenset[tuple[str, str]] | None = None
    box: tuple[float, float, float, float] | None = None
    since: datetime | None = None

    def scan(self, reading: Reading, form: Form[Any], after: bytes) -> Iterator[Entry]:
        """The rows of a form that are asked for, in feed order, hidden ones included."""
        prefixes = [b""] if self.operators is None else sorted(party_prefix(*operator) for operator in self.operators)
        box = None if self.box is None else [to_e7(value) for value in self.box]
        since = None if self.since is None else micros(self.since)
        for prefix in prefixes:
            for entry in reading.scan(form.name, after=after, prefix=prefix):
                _, modified, lon, lat, _ = entry
                if box is not None and not (box[0] <= lon <= box[2] and box[1] <= lat <= box[3]):
                    continue
                if since is None or modified >= since:
                    yield entry

    def part(self, form: Form[Any], fragment: bytes) -> bytes:
        """What of a row's fragment is asked for: of statuses, those that changed since; empty when nothing is."""
        if self.since is None or form.path != render.STATUSES.path:
            return fragment
        moment = format_ms(self.since)
        rows = [row for row in _decode_rows(b"[" + fragment + b"]") if row["modifiedAt"] >= moment]
        return b",".join(render.encode(row) for row in rows)


def read_selection(query: QueryParams) -> Selection | None:
    """The selection of a request, None when it makes none; raises BadParameter."""
    operators, box, since = _operators(query), _box(query.get("bbox")), _since(query.get("modifiedSince"))
    if operators is None and box is None and since is None:
        return None
    return Selection(operators, box, since)


def read_operator(text: str) -> tuple[str, str]:
    """Country code and party of ``FI*ABC``; raises BadParameter."""
    match = _OPERATOR.fullmatch(text.strip().upper())
    if match is None:
        raise BadParameter("Operator must be an operator id such as FI*ABC, several separated by commas")
    return match[1], match[2]


def _operators(query: QueryParams) -> frozenset[tuple[str, str]] | None:
    if "operator" not in query:
        return None
    named = [part for value in query.getlist("operator") for part in value.split(",")]
    if len(named) > _MOST_OPERATORS:
        raise BadParameter(f"At most {_MOST_OPERATORS} operators can be named")
    return frozenset(read_operator(part) for part in named)


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    wrong = BadParameter("Bbox must be west,south,east,north in degrees")
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise wrong from None
    if not all(math.isfinite(value) for value in (west, south, east, north)):
        raise wrong
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise wrong
    return west, south, east, north


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment, _ = parse(text)
    if moment is None or not _ZONED.fullmatch(text):
        raise BadParameter("ModifiedSince must be a time such as 2026-06-18T10:42:38Z")
    return moment
