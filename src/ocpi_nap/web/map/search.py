"""Places and locations by their words: names, addresses, postal codes and towns of the locations themselves."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

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
        self._towns = None
        number = self._numbers.get(city)
        if number is None:
            number = self._numbers[city] = len(self.town_names)
            self.town_names.append(city)
        return number

    def remove(self, slot: int) -> None:
        """Forget a location."""
        self._lines[slot] = self._cities[slot] = ""
        self._towns = None

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

    def find_slots(self, question: str, most: int) -> list[int]:
        """Slots of locations that have all words of the question, those that begin with it first."""
        wanted = folded(question[:LONGEST])
        words = sorted(wanted.split(), key=len, reverse=True)
        if not words or len(wanted) < 2:
            return []
        longest, others = words[0], words[1:]
        found = [slot for slot, line in enumerate(self._lines) if longest in line and all(word in line for word in others)]

        def rank(slot: int) -> tuple[int, str]:
            line = self._lines[slot]
            return (0 if line.startswith(wanted) else 1 if all(f" {word}" in f" {line}" for word in words) else 2), line

        return sorted(found, key=rank)[:most]
