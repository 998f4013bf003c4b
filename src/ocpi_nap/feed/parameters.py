"""Parameters beside the contract: operators, an area, a time, a place in the log of changes. Read strictly: whoever asks for a part must
not be given another."""

from __future__ import annotations

import math
import re
from datetime import datetime

from starlette.datastructures import QueryParams

from ocpi_nap.model.platform import Party
from ocpi_nap.model.timestamps import parse

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
_OPERATOR = re.compile(r"([A-Z]{2})\*([A-Z0-9]{1,16})", re.ASCII)
_ZONED = re.compile(r".*(?:[Zz]|[+-]\d\d:?\d\d)\s*", re.ASCII)
_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)
_MOST_OPERATORS = 100


class BadParameter(ValueError):
    """A parameter that we cannot read; the text is for the reader."""


def read_operator(text: str) -> Party:
    """Country code and party of ``FI*ABC``; raises BadParameter."""
    match = _OPERATOR.fullmatch(text.strip().upper())
    if match is None:
        raise BadParameter("Operator must be an operator id such as FI*ABC, several separated by commas")
    return match[1], match[2]


def read_operators(query: QueryParams) -> frozenset[Party] | None:
    """All that `operator` names, None when it is not there; raises BadParameter."""
    if "operator" not in query:
        return None
    named = [part for value in query.getlist("operator") for part in value.split(",")]
    if len(named) > _MOST_OPERATORS:
        raise BadParameter(f"At most {_MOST_OPERATORS} operators can be named")
    return frozenset(read_operator(part) for part in named)


def read_box(query: QueryParams) -> Box | None:
    """The area of `bbox`; raises BadParameter."""
    text = query.get("bbox")
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


def read_since(query: QueryParams) -> datetime | None:
    """The moment of `modifiedSince`; raises BadParameter."""
    text = query.get("modifiedSince")
    if text is None:
        return None
    moment, _ = parse(text)
    if moment is None or not _ZONED.fullmatch(text):
        raise BadParameter("ModifiedSince must be a time such as 2026-06-18T10:42:38Z")
    return moment


def read_cursor(text: str) -> int:
    """The number in a cursor of the change feed; raises BadParameter."""
    if not _CURSOR.fullmatch(text):
        raise BadParameter("Invalid cursor")
    return int(text)
