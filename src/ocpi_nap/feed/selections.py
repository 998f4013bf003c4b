"""Parts of the network by operator, area and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from ocpi_nap.feed import render
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.coordinates import to_e7
from ocpi_nap.feed.fragments.keys import party_prefix
from ocpi_nap.feed.fragments.tables import Entry, Reading
from ocpi_nap.feed.parameters import Box, read_box, read_operators, read_since
from ocpi_nap.model.platform import Party
from ocpi_nap.model.timestamps import format_ms, to_micros

_Rows = list[dict[str, Any]]
_decode_rows = msgspec.json.Decoder(_Rows).decode


@dataclass(frozen=True)
class Selection:
    """What is asked for; None: no limit."""

    operators: frozenset[Party] | None = None
    box: Box | None = None
    since: datetime | None = None

    def scan(self, reading: Reading, form: Form[Any], after: bytes) -> Iterator[Entry]:
        """The rows of a form that are asked for, in feed order, hidden ones included."""
        prefixes = [b""] if self.operators is None else sorted(party_prefix(*operator) for operator in self.operators)
        box = None if self.box is None else [to_e7(value) for value in self.box]
        since = None if self.since is None else to_micros(self.since)
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
    operators, box, since = read_operators(query), read_box(query), read_since(query)
    if operators is None and box is None and since is None:
        return None
    return Selection(operators, box, since)
