"""Which part of the network a reader follows: `operator=` and `bbox=` of the change feed and the streams."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from ocpi_nap.store.events import Box, Event

_OPERATOR = re.compile(r"[A-Z]{2}\*[A-Z0-9]{1,16}", re.ASCII)
_MOST = 100


class BadParameter(ValueError):
    """A parameter that we cannot read; the text is for the reader."""


@dataclass(frozen=True)
class Filter:
    """None: everything. Operators are ``CC*PPP``."""

    operators: frozenset[str] | None = None
    box: Box | None = None

    def matches(self, event: Event) -> bool:
        """Whether the event is about what the reader follows; tariffs have no place, so an area leaves none of them out."""
        if self.operators is not None and f"{event.country_code}*{event.party_id}" not in self.operators:
            return False
        if self.box is None or event.kind == "tariff":
            return True
        west, south, east, north = self.box
        return event.lon is not None and event.lat is not None and west <= event.lon <= east and south <= event.lat <= north


def read_filter(query: QueryParams) -> Filter:
    """The filter of a request; raises BadParameter."""
    named = [part.strip().upper() for value in query.getlist("operator") for part in value.split(",") if part.strip()]
    if len(named) > _MOST:
        raise BadParameter(f"At most {_MOST} operators can be named")
    for name in named:
        if not _OPERATOR.fullmatch(name):
            raise BadParameter("Operator must be an operator id such as FI*ABC, several separated by commas")
    return Filter(frozenset(named) or None, _box(query))


def _box(query: Mapping[str, str]) -> Box | None:
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


_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)


def read_cursor(text: str) -> int:
    """The number in a cursor; raises BadParameter."""
    if not _CURSOR.fullmatch(text):
        raise BadParameter("Invalid cursor")
    return int(text)
