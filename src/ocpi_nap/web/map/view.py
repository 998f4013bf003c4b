"""What the map shows under one filter: for each location its EVSEs that match, by state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocpi_nap.web.map import grid, offers
from ocpi_nap.web.map.network import Network, Slots

Counts = NDArray[np.uint32]
"""A row for each location or cell: EVSEs free, busy, broken, unknown."""
_MOST_VIEWS = 24
_MOST_OPERATORS = 50


class BadFilter(ValueError):
    """A filter that cannot be read; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which EVSEs count: any of the kinds of connector, at least so many kilowatts, of any of the operators; `free`: free now."""

    kinds: tuple[str, ...] = ()
    power: int = 0
    operators: tuple[str, ...] = ()
    free: bool = False

    @classmethod
    def read(cls, query: Mapping[str, Any]) -> Filter:
        """Of `?connector=ccs&connector=type2&power=50&operator=FI*ABC&free=1`; raises BadFilter."""
        many = query.getlist if hasattr(query, "getlist") else lambda name: [query[name]] if name in query else []
        kinds = sorted({kind for kind in many("connector") if kind})
        if not set(kinds) <= set(offers.KINDS):
            raise BadFilter(f"connector: one of {', '.join(offers.KINDS)}")
        power = query.get("power") or "0"
        if not (power.isascii() and power.isdecimal() and len(power) <= 4):
            raise BadFilter("power: whole kilowatts")
        operators = sorted({operator for operator in many("operator") if operator})
        if len(operators) > _MOST_OPERATORS or any(len(operator) > 40 for operator in operators):
            raise BadFilter(f"operator: at most {_MOST_OPERATORS} ids such as FI*ABC")
        free = query.get("free") or "0"
        if free not in ("0", "1"):
            raise BadFilter("free: 0 or 1")
        return cls(tuple(kinds), int(power), tuple(operators), free == "1")

    def query(self) -> list[tuple[str, str]]:
        """The same as parameters."""
        pairs = [("connector", kind) for kind in self.kinds]
        if self.power:
            pairs.append(("power", str(self.power)))
        pairs += [("operator", operator) for operator in self.operators]
        return [*pairs, ("free", "1")] if self.free else pairs


class View:
    """Counts of all locations under a filter, brought up to date slot by slot."""

    def __init__(self, network: Network, chosen: Filter) -> None:
        self.filter = chosen
        self._network = network
        self._kinds = np.array([kind in chosen.kinds or not chosen.kinds for kind in offers.KINDS])
        self.counts: Counts = np.zeros((0, 4), np.uint32)
        self.recount(np.arange(network.locations.length))

    def recount(self, slots: Slots) -> None:
        """Count the EVSEs of some locations anew."""
        network, chosen = self._network, self.filter
        if len(self.counts) < network.locations.length:
            more = len(network.locations.pk) - len(self.counts)
            self.counts = np.concatenate([self.counts, np.zeros((more, 4), np.uint32)])
        rows, positions = network.rows_of(slots)
        at = network.connectors
        fits = self._kinds[at.kind[rows]] & (at.state[rows] != offers.HIDDEN)
        if chosen.power:
            fits &= at.power[rows] >= chosen.power
        rows, positions = rows[fits], positions[fits]
        evses, states = at.evse[rows], at.state[rows]
        once = np.ones(len(rows), bool)  # an EVSE with two connectors that match is one EVSE
        once[1:] = (positions[1:] != positions[:-1]) | (evses[1:] != evses[:-1])
        found = np.bincount(positions[once] * 4 + states[once], minlength=4 * len(slots)).reshape(-1, 4)
        if chosen.operators:
            known = [network.operator_number(operator) for operator in chosen.operators]
            numbers = [number for number in known if number is not None]
            found[~np.isin(network.locations.operator[slots], numbers)] = 0
        if chosen.free:
            found[found[:, offers.FREE] == 0] = 0
        self.counts[slots] = found

    def visible(self, slots: Slots) -> Slots:
        """Those of some locations that have matching EVSEs."""
        return slots[self.counts[slots].any(axis=1)]

    def cell_counts(self, codes: grid.Cells, depth: int) -> Counts:
        """Counts of cells of a level."""
        shift = 2 * (grid.DEPTH - depth)
        found = np.zeros((len(codes), 4), np.uint32)
        order, cells = self._network.ordered()
        starts, ends = np.searchsorted(cells, codes << shift), np.searchsorted(cells, (codes + 1) << shift)
        for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
            found[position] = self.counts[order[start:end]].sum(axis=0)
        return found


class Views:
    """The views in use; the least used one is dropped when there are many."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._views: OrderedDict[Filter, View] = OrderedDict()

    def get(self, chosen: Filter) -> View:
        """The view of a filter, counted when it is new."""
        view = self._views.get(chosen)
        if view is None:
            view = self._views[chosen] = View(self._network, chosen)
            while len(self._views) > _MOST_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(chosen)
        return view

    def changed(self, slots: Slots) -> None:
        """Count some locations anew in every view."""
        for view in self._views.values():
            view.recount(slots)


def availability(counts: Any) -> int:
    """One state for several EVSEs: free if any is, else busy if any is, else broken, else unknown; numbers of `offers.STATES`."""
    return int(np.argmax(counts > 0)) if counts.any() else offers.UNKNOWN
