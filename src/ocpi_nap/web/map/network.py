"""All published locations as the map needs them, in arrays: a few dozen bytes a location and connector instead of objects.

A location has a slot; its connectors are rows that follow one another. A changed location gets new rows at the end, and the old ones
are dropped when they are as many as those in use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocpi_nap.store.map import MapPlace
from ocpi_nap.web.map import grid, offers
from ocpi_nap.web.map.search import Words

Slots = NDArray[np.int64]
_LEAST = 1024


class Table:
    """Columns of equal length that grow together."""

    def __init__(self, **columns: Any) -> None:
        self._columns = columns
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self.length = 0
        for name, kind in self._columns.items():
            setattr(self, name, np.zeros(_LEAST, kind))

    def grow(self, length: int) -> None:
        """Make room."""
        self.length = max(self.length, length)
        for name in self._columns:
            column = getattr(self, name)
            if len(column) < length:
                setattr(self, name, np.concatenate([column, np.zeros(max(length, 2 * len(column)) - len(column), column.dtype)]))


class Locations(Table):
    """Where locations are, whose they are, and which rows are theirs; `pk` 0: the slot is free."""

    pk: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    cell: NDArray[np.int64]
    operator: NDArray[np.int16]
    town: NDArray[np.int32]
    first: NDArray[np.int64]
    count: NDArray[np.int64]

    def __init__(self) -> None:
        super().__init__(
            pk=np.int64, x=np.float64, y=np.float64, cell=np.int64, operator=np.int16, town=np.int32, first=np.int64, count=np.int64
        )


class Connectors(Table):
    """Which EVSE of its location a connector belongs to, its kind, kilowatts, and the EVSE's state."""

    evse: NDArray[np.uint16]
    kind: NDArray[np.uint8]
    power: NDArray[np.uint16]
    state: NDArray[np.uint8]

    def __init__(self) -> None:
        super().__init__(evse=np.uint16, kind=np.uint8, power=np.uint16, state=np.uint8)


class Network:
    """Every published location, ordered by place."""

    def __init__(self) -> None:
        self.locations = Locations()
        self.connectors = Connectors()
        self.words = Words()
        self.operators: list[tuple[str, str]] = []
        """(id, name); numbers in `locations.operator` count in here."""
        self._operator_numbers: dict[str, int] = {}
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._in_use = 0
        self._order: Slots | None = None
        self._cells = np.zeros(0, np.int64)
        self._towns: dict[int, dict[int, str]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, pk: int) -> int | None:
        """Where a location is kept."""
        return self._slots.get(pk)

    def operator_number(self, identity: str) -> int | None:
        """Number of an operator, None when no location is theirs."""
        return self._operator_numbers.get(identity)

    def put(self, place: MapPlace) -> int | None:
        """Add or replace a location; returns its slot. One without usable coordinates is not on the map."""
        said = offers.decode_place(place.doc)
        point = said.coordinates
        if point is None or point.longitude is None or point.latitude is None or not abs(point.latitude) <= 90:
            return self.remove(place.pk)
        slot = self._slots.get(place.pk)
        if slot is None:
            slot = self._slots[place.pk] = self._free.pop() if self._free else self.locations.length
            self.locations.grow(slot + 1)
        at = self.locations
        self._in_use -= int(at.count[slot])
        x, y = grid.project(point.longitude, point.latitude)
        at.pk[slot], at.x[slot], at.y[slot], at.cell[slot] = place.pk, x, y, grid.cells(x, y)
        at.operator[slot] = self._operator(f"{place.country_code}*{place.party_id}", place.operator_name)
        rows = [
            (number, offers.kind(connector.standard), min(round(offers.kilowatts(connector)), 65535), offers.state(status))
            for number, (doc, status) in enumerate(place.evses[:65535])
            for connector in offers.decode_evse(doc).connectors
        ]
        first, end = self.connectors.length, self.connectors.length + len(rows)
        self.connectors.grow(end)
        if rows:
            columns = np.array(rows)
            own = slice(first, end)
            self.connectors.evse[own], self.connectors.kind[own] = columns[:, 0], columns[:, 1]
            self.connectors.power[own], self.connectors.state[own] = columns[:, 2], columns[:, 3]
        at.first[slot], at.count[slot] = first, len(rows)
        self._in_use += len(rows)
        at.town[slot] = self.words.put(slot, said, float(x), float(y))
        self._order = None
        return slot

    def remove(self, pk: int) -> int | None:
        """Forget a location; returns the slot that it had."""
        slot = self._slots.pop(pk, None)
        if slot is not None:
            self._in_use -= int(self.locations.count[slot])
            self.locations.pk[slot] = self.locations.count[slot] = 0
            self._free.append(slot)
            self.words.remove(slot)
            self._order = None
        return slot

    def set_statuses(self, pk: int, statuses: list[str]) -> int | None:
        """New statuses of a location's EVSEs; returns its slot, None when they do not fit: it has to be put anew."""
        slot = self._slots.get(pk)
        if slot is None:
            return None
        own = slice(int(self.locations.first[slot]), int(self.locations.first[slot] + self.locations.count[slot]))
        numbers = self.connectors.evse[own]
        if len(numbers) and int(numbers[-1]) >= len(statuses):
            return None
        self.connectors.state[own] = np.array([offers.state(status) for status in statuses], np.uint8)[numbers]
        return slot

    def _operator(self, identity: str, name: str) -> int:
        number = self._operator_numbers.get(identity)
        if number is None:
            number = self._operator_numbers[identity] = len(self.operators)
            self.operators.append((identity, name))
        elif self.operators[number][1] != name:
            self.operators[number] = (identity, name)
        return number

    def ordered(self) -> tuple[Slots, grid.Cells]:
        """Slots by place, and their cells."""
        if self._order is None:
            if self.connectors.length > 2 * self._in_use + _LEAST:
                self._drop_old_rows()
            used = np.flatnonzero(self.locations.pk[: self.locations.length])
            cells = self.locations.cell[used]
            order = np.argsort(cells, kind="stable")
            self._order, self._cells = used[order], cells[order]
            self._towns.clear()
        return self._order, self._cells

    def towns(self, depth: int) -> dict[int, str]:
        """The town with most locations in each cell of a level."""
        order, cells = self.ordered()
        found = self._towns.get(depth)
        if found is None:
            codes, towns = cells >> (2 * (grid.DEPTH - depth)), self.locations.town[order]
            pairs, counts = np.unique(np.stack([codes, towns]), axis=1, return_counts=True)
            rising = np.argsort(counts, kind="stable")
            names = self.words.town_names
            found = {code: names[town] for code, town in zip(pairs[0][rising].tolist(), pairs[1][rising].tolist(), strict=True)}
            self._towns[depth] = found
        return found

    def slots_between(self, first_cell: int, end_cell: int) -> tuple[Slots, grid.Cells]:
        """Slots and cells of the locations in a range of finest cells."""
        order, cells = self.ordered()
        start, end = np.searchsorted(cells, [first_cell, end_cell])
        return order[start:end], cells[start:end]

    def rows_of(self, slots: Slots) -> tuple[Slots, Slots]:
        """Rows of the connectors of some locations, and for each the position of its location in ``slots``."""
        counts = self.locations.count[slots]
        positions = np.repeat(np.arange(len(slots)), counts)
        before = np.cumsum(counts) - counts
        return np.arange(len(positions)) + (self.locations.first[slots] - before)[positions], positions

    def _drop_old_rows(self) -> None:
        used = np.flatnonzero(self.locations.pk[: self.locations.length])
        rows, _ = self.rows_of(used)
        kept = Connectors()
        kept.grow(len(rows))
        for name in ("evse", "kind", "power", "state"):
            getattr(kept, name)[: len(rows)] = getattr(self.connectors, name)[rows]
        counts = self.locations.count[used]
        self.locations.first[used] = np.cumsum(counts) - counts
        self.connectors = kept
