"""Which part of the network a reader follows: `operator=` and `bbox=` of the change feed and the streams."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import QueryParams

from ocpi_nap.feed.parameters import Box, read_box, read_operators
from ocpi_nap.model.platform import Party
from ocpi_nap.store.events import Event


@dataclass(frozen=True)
class Filter:
    """None: everything."""

    operators: frozenset[Party] | None = None
    box: Box | None = None

    @property
    def operator_ids(self) -> list[str]:
        """``CC*PPP`` of each; empty: all."""
        return sorted(f"{country}*{party}" for country, party in self.operators or ())

    def matches(self, event: Event) -> bool:
        """Whether the event is about what the reader follows; tariffs have no place, so an area leaves none of them out."""
        if self.operators is not None and (event.country_code, event.party_id) not in self.operators:
            return False
        if self.box is None or event.kind == "tariff":
            return True
        west, south, east, north = self.box
        return event.lon is not None and event.lat is not None and west <= event.lon <= east and south <= event.lat <= north


def read_filter(query: QueryParams) -> Filter:
    """The filter of a request; raises BadParameter."""
    return Filter(read_operators(query), read_box(query))
