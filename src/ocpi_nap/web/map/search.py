"""Places and locations by their words: names, addresses, postal codes and towns of the locations themselves."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocpi_nap.web.map.offers import Place

LONGEST = 100
"""Characters of a question that are read."""


def folded(text: str) -> str:
    """Lower case without accents, blanks made one: "Äänekoski" is found by "aanekoski"."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


@dataclass(slots=True)
class Town:
    """A town with the part of the map that its locations span, in web mercator."""

    name: str
    count: int
    west: float
    north: float
    east: float
    south: float


class Words:
    """The words of each slot."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._cities: list[str] = []
        self._points: list[tuple[float, float]] = []
        self._text: tuple[str, Any] | None = None
        self._towns: dict[str, Town] | None = None
        self._names: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self.town_names: list[str] = []
        """Names by the numbers that `put` returns."""

    def put(self, slot: int, place: Place, x: float, y: float) -> int:
        """The words of a location; returns the number of its town."""
        while len(self._lines) <= slot:
            self._lines.append("")
            self._cities.append("")
            self._points.append((0.0, 0.0))
        city = " ".join((place.city or "").split())[:80]
        self._cities[slot] = self._names.setdefault(city, city)
        parts = (place.name, place.address, place.postal_code, place.city)
        self._lines[slot] = folded(" ".join(part for part in parts if part))[:300]
        self._points[slot] = (x, y)
        self._towns = self._text = None
        number = self._numbers.get(city)
        if number is None:
            number = self._numbers[city] = len(self.town_names)
            self.town_names.append(city)
        return number

    def remove(self, slot: int) -> None:
        """Forget a location."""
        self._lines[slot] = self._cities[slot] = ""
        self._towns = self._text = None

    def towns(self) -> dict[str, Town]:
        """Towns by folded name; those that differ only in case or accents are one."""
        if self._towns is None:
            towns: dict[str, Town] = {}
            keys = {name: folded(name) for name in self._names if name}
            for city, (x, y) in zip(self._cities, self._points, strict=True):
                if not city:
                    continue
                key = keys[city]
                town = towns.get(key)
                if town is None:
                    towns[key] = Town(city, 1, x, y, x, y)
                else:
                    town.count += 1
                    town.west, town.east = min(town.west, x), max(town.east, x)
                    town.north, town.south = min(town.north, y), max(town.south, y)
            self._towns = towns
        return self._towns

    def find_towns(self, question: str, most: int) -> list[Town]:
        """Towns whose name begins with the question, the ones with most locations first."""
        wanted = folded(question[:LONGEST])
        if not wanted:
            return []
        found = [(key != wanted, -town.count, key, town) for key, town in self.towns().items() if key.startswith(wanted)]
        return [town for *_, town in sorted(found, key=lambda entry: entry[:3])[:most]]

    def _all(self) -> tuple[str, Any]:
        """All lines as one text, searched at the speed of C, and where each slot's line begins."""
        if self._text is None:
            lengths = np.fromiter((len(line) + 1 for line in self._lines), np.int64, len(self._lines))
            self._text = "\n" + "\n".join(self._lines) + "\n", np.cumsum(lengths) - lengths
        return self._text

    def find_slots(self, question: str, most: int) -> list[int]:
        """Slots of locations that have all words of the question: first those that begin with it, then those with words that do."""
        wanted = folded(question[:LONGEST])
        words = sorted(wanted.split(), key=len, reverse=True)
        if not words or len(wanted) < 2:
            return []
        text, starts = self._all()
        found: dict[int, int] = {}
        for rank, pattern in enumerate(("\n" + wanted, " " + words[0], words[0])):
            position = text.find(pattern)
            while position >= 0 and len(found) < most:
                slot = int(np.searchsorted(starts, position if rank == 0 else position - 1, side="right")) - 1
                line = self._lines[slot]
                if slot not in found and all(word in line for word in words):
                    found[slot] = rank
                position = text.find("\n", position + 1) if rank == 0 else text.find("\n", position)
                position = -1 if position < 0 else text.find(pattern, position)
        return sorted(found, key=lambda slot: (found[slot], self._lines[slot]))
