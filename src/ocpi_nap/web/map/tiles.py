"""Vector tiles (MVT 2.1) of the locations: one feature a cell, a single location or a cluster of them.

Layer `locations`; a feature's id is its cell's (`grid.identities`). Properties: `n` locations, `free` and `total` EVSEs that match the
filter, `state` (`view.availability`), `pk` of a single location, and `town` of a cluster at low zooms.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import shapely
from mapbox_vector_tile import encode

from ocpi_nap.web.map import grid
from ocpi_nap.web.map.network import Network, Slots
from ocpi_nap.web.map.view import Counts, Filter, View, availability

EXTENT = 4096
_MOST_TILES = 4000
_MOST_BYTES = 32 << 20
_INSET = 0.25
"""Clusters keep this part of a cell away from its border, so that neighbours do not cover each other."""

Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile, compressed, with its ETag."""

    content: bytes
    etag: str


@dataclass(slots=True)
class Drawn:
    """The cells of a tile: ids, numbers of locations, counts of EVSEs, the first location, mean positions in web mercator."""

    ids: grid.Cells
    n: Slots
    counts: Counts
    first: Slots
    x: np.ndarray
    y: np.ndarray


def draw(network: Network, view: View, key: Key) -> Drawn | None:
    """What is in a tile; None when nothing is."""
    z = key[0]
    slots, cells = network.slots_between(*grid.tile_range(*key))
    counts = view.counts[slots]
    shown = counts.any(axis=1)
    if not shown.any():
        return None
    slots, cells, counts = slots[shown], cells[shown], counts[shown]
    depth = grid.level(z)
    codes = cells >> (2 * (grid.DEPTH - depth))
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    n = np.diff(np.concatenate([starts, [len(codes)]]))
    x = np.add.reduceat(network.locations.x[slots], starts) / n
    y = np.add.reduceat(network.locations.y[slots], starts) / n
    if z <= grid.CLUSTERED:
        many, size = n > 1, 1 << depth
        for axis in (x, y):
            inside = axis * size
            corner = np.floor(inside)
            axis[many] = ((corner + np.clip(inside - corner, _INSET, 1 - _INSET)) / size)[many]
    return Drawn(grid.identities(codes[starts], depth), n, np.add.reduceat(counts, starts, axis=0), slots[starts], x, y)


def build(network: Network, view: View, key: Key) -> Tile:
    """Draw and encode a tile."""
    z, column, line = key
    drawn = draw(network, view, key)
    if drawn is None:
        return Tile(b"", '"empty"')
    points = shapely.points(
        np.round((drawn.x * (1 << z) - column) * EXTENT), np.round((drawn.y * (1 << z) - line) * EXTENT)
    )
    totals = drawn.counts.sum(axis=1)
    depth = grid.level(z)
    towns = network.towns(depth) if z <= grid.NAMED else {}
    features = []
    for position, point in enumerate(points):
        n = int(drawn.n[position])
        properties: dict[str, int | str] = {
            "n": n, "free": int(drawn.counts[position][0]), "total": int(totals[position]), "state": availability(drawn.counts[position]),
        }  # fmt: skip
        if n == 1:
            properties["pk"] = int(network.locations.pk[drawn.first[position]])
        elif z <= grid.NAMED:
            properties["town"] = towns.get(int(drawn.ids[position]) ^ (1 << (2 * depth)), "")
        features.append({"geometry": point, "id": int(drawn.ids[position]), "properties": properties})
    layer = {"name": "locations", "features": features}
    content = encode([layer], default_options={"y_coord_down": True, "extents": EXTENT})
    return Tile(gzip.compress(content, 6, mtime=0), f'"{hashlib.blake2b(content, digest_size=10).hexdigest()}"')


class TileCache:
    """Tiles by filter and place; a changed location drops the tiles it is in."""

    def __init__(self) -> None:
        self._tiles: OrderedDict[tuple[Filter, Key], Tile] = OrderedDict()
        self._at: dict[Key, set[Filter]] = {}
        self._size = 0

    def get(self, chosen: Filter, key: Key) -> Tile | None:
        """A kept tile."""
        tile = self._tiles.get((chosen, key))
        if tile is not None:
            self._tiles.move_to_end((chosen, key))
        return tile

    def put(self, chosen: Filter, key: Key, tile: Tile) -> None:
        """Keep a tile, and drop the least used ones when they are many."""
        self._drop(chosen, key)
        self._tiles[chosen, key] = tile
        self._at.setdefault(key, set()).add(chosen)
        self._size += len(tile.content)
        while len(self._tiles) > _MOST_TILES or self._size > _MOST_BYTES:
            self._drop(*next(iter(self._tiles)))

    def _drop(self, chosen: Filter, key: Key) -> None:
        tile = self._tiles.pop((chosen, key), None)
        if tile is not None:
            self._size -= len(tile.content)
            filters = self._at[key]
            filters.discard(chosen)
            if not filters:
                del self._at[key]

    def changed(self, network: Network, slots: Slots) -> None:
        """Locations are or were at these slots: their tiles are drawn anew when they are next asked for."""
        places = set()
        for x, y in zip(network.locations.x[slots].tolist(), network.locations.y[slots].tolist(), strict=True):
            for z in range(grid.LAST + 1):
                last = (1 << z) - 1
                places.add((z, min(int(x * (1 << z)), last), min(int(y * (1 << z)), last)))
        for key in places & self._at.keys():
            for chosen in list(self._at[key]):
                self._drop(chosen, key)
