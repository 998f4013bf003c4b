"""Cuts the borders between Finland's municipalities into vector tiles for the built-in base map.

They come from Fintraffic's metadata of Digitraffic (https://github.com/tmfg/metadata, CC BY 4.0): a JSON file with a polygon for each
municipality. The tiles are kept in the project, so this is only run to change them:

    git clone https://github.com/tmfg/metadata
    python tools/municipalities.py metadata/geometry/regions src/ocpi_nap/web/map/municipalities.zip --without Honkajoki Valtimo

`--without` names municipalities that have become part of others which the files have already with their new borders.
Only borders between two municipalities are kept: coasts and the country's border are drawn from `tools/outlines.py`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely
from mapbox_vector_tile import encode
from outlines import BUFFER, EXTENT, cut, project
from shapely.geometry import shape
from shapely.strtree import STRtree

ZOOM = 7
"""The only zoom with tiles; browsers enlarge them beyond it. A unit of a tile is about 35 m in the middle of Finland."""
TOLERANCE = 2
_GRID = 2.0**-26
"""Corners are snapped to this part of the world, half a metre, so that neighbours share them."""
_LEAST = 12
"""Units: shorter lines are left out."""


def municipalities(folder: Path, without: set[str]) -> Iterator[Any]:
    """Polygons in web mercator from 0 to 1."""
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("type") == "municipality" and found["name"] not in without:
            yield shapely.make_valid(shapely.set_precision(shapely.transform(shape(found["geometry"]), project), _GRID))


def borders(areas: list[Any]) -> list[Any]:
    """The lines between two areas, simplified between the points where three meet."""
    tree, lines = STRtree(areas), []
    for number, area in enumerate(areas):
        for other in tree.query(area, predicate="intersects"):
            if other > number:
                shared = shapely.intersection(area.boundary, areas[other].boundary)
                parts = shapely.get_parts(shared)
                lines += list(parts[shapely.length(parts) > 0])
    return list(shapely.get_parts(shapely.line_merge(shapely.union_all(lines))))


def main() -> None:
    """Write every tile that has a border in it, as z/x/y, each compressed by gzip."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("target", type=Path)
    arguments.add_argument("--without", nargs="*", default=[])
    given = arguments.parse_args()
    areas = list(municipalities(given.folder, set(given.without)))
    lines = borders(areas)
    tree, scale = STRtree(lines), 1 << ZOOM
    west, north, east, south = (int(value * scale) for value in shapely.total_bounds(areas))
    with zipfile.ZipFile(given.target, "w", zipfile.ZIP_STORED) as archive:
        for x in range(west, east + 1):
            for y in range(north, south + 1):
                margin = BUFFER / EXTENT
                box = shapely.box((x - margin) / scale, (y - margin) / scale, (x + 1 + margin) / scale, (y + 1 + margin) / scale)
                parts = [cut(lines[i], ZOOM, x, y, TOLERANCE) for i in tree.query(box, predicate="intersects")]
                features = [{"geometry": part, "properties": {}} for part in parts if part.length > _LEAST]
                if features:
                    layer = {"name": "municipalities", "features": features}
                    content = encode([layer], default_options={"y_coord_down": True, "extents": EXTENT})
                    archive.writestr(zipfile.ZipInfo(f"{ZOOM}/{x}/{y}", (2000, 1, 1, 0, 0, 0)), gzip.compress(content, 9, mtime=0))
    print(len(areas), "municipalities,", len(lines), "lines,", given.target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
