"""Web mercator and the grid of cells: one number a cell, so that a tile, and a cluster in it, is a range of numbers.

Cells are in Z-order: a cell of a coarser level is the common beginning of the cells in it. A tile of zoom z holds 8 × 8 cells up to
`CLUSTERED`, 64 × 64 beyond it, where locations are shown one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTH = 20
"""Levels of the grid: about 40 m a cell at the equator, 20 m in Helsinki."""
CLUSTERED = 11
"""The last zoom with clusters of 64 pixels."""
NAMED = 7
"""The last zoom whose clusters bear the name of their largest town."""
LAST = 14
"""The last zoom with tiles of its own; browsers enlarge them beyond it."""

Cells = NDArray[np.int64]


def level(zoom: int) -> int:
    """The level of the cells that are drawn at a zoom."""
    return zoom + 3 if zoom <= CLUSTERED else zoom + 6


def project(longitude: Any, latitude: Any) -> tuple[Any, Any]:
    """Degrees to web mercator from 0 to 1, y downwards."""
    radians = np.radians(np.clip(latitude, -85.0511, 85.0511))
    return np.asarray(longitude) / 360 + 0.5, 0.5 - np.log(np.tan(np.pi / 4 + radians / 2)) / (2 * np.pi)


def unproject(x: float, y: float) -> tuple[float, float]:
    """Web mercator to (longitude, latitude) in degrees."""
    return (x - 0.5) * 360, float(np.degrees(2 * np.arctan(np.exp((0.5 - y) * 2 * np.pi)) - np.pi / 2))


def _spread(values: Cells) -> Cells:
    """Twenty bits with a free bit after each."""
    for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
                        (1, 0x5555555555555555)):  # fmt: skip
        values = (values | (values << shift)) & mask
    return values


def cells(x: Any, y: Any) -> Cells:
    """The finest cells of points in web mercator."""
    last = (1 << DEPTH) - 1
    columns = np.clip(np.asarray(x) * (1 << DEPTH), 0, last).astype(np.int64)
    lines = np.clip(np.asarray(y) * (1 << DEPTH), 0, last).astype(np.int64)
    return _spread(columns) | (_spread(lines) << 1)


def tile_range(z: int, x: int, y: int) -> tuple[int, int]:
    """First finest cell of a tile, and the first one after it."""
    code = int(_spread(np.asarray(x, dtype=np.int64)) | (_spread(np.asarray(y, dtype=np.int64)) << 1))
    shift = 2 * (DEPTH - z)
    return code << shift, (code + 1) << shift


def identities(codes: Cells, depth: int) -> Cells:
    """Feature ids of cells of a level: no two levels share one."""
    return codes | (1 << (2 * depth))
