"""Cuts the built-in base map: Natural Earth's 1:10m land, lakes and borders of Europe (public domain) into vector tiles.

The tiles are kept in the project (src/ocpi_nap/web/map/outlines.zip), so this is only run to change them:

    pip install pyshp mapbox-vector-tile
    python tools/outlines.py FOLDER_WITH_NE_10M_SHAPEFILES src/ocpi_nap/web/map/outlines.zip

FOLDER holds ne_10m_land.shp, ne_10m_lakes.shp, ne_10m_admin_0_boundary_lines_land.shp and ne_10m_admin_1_states_provinces_lines.shp.
"""

from __future__ import annotations

import gzip
import math
import sys
import zipfile
from pathlib import Path
from typing import Any

import shapefile  # type: ignore[import-not-found]
import shapely
from mapbox_vector_tile import encode
from shapely.geometry import shape
from shapely.strtree import STRtree

EXTENT, BUFFER = 4096, 80
WORLD_ZOOM, ZOOM = 2, 6
EUROPE = (-26.0, 33.0, 46.0, 72.5)
LAYERS = {
    "land": ("ne_10m_land", 0, 8),
    "lakes": ("ne_10m_lakes", 3, 6),
    "regions": ("ne_10m_admin_1_states_provinces_lines", 5, 6),
    "borders": ("ne_10m_admin_0_boundary_lines_land", 0, 6),
}
"""Layer: file, first zoom, simplification in tile units."""


def project(points: Any) -> Any:
    """Degrees to web mercator from 0 to 1, y downwards."""
    points = points.copy()
    latitude = points[:, 1].clip(-85.05, 85.05)
    points[:, 0] = points[:, 0] / 360 + 0.5
    points[:, 1] = [0.5 - math.log(math.tan(math.pi / 4 + math.radians(v) / 2)) / (2 * math.pi) for v in latitude]
    return points


def read(folder: Path, name: str) -> list[Any]:
    """Single geometries of a file, projected."""
    found = []
    with shapefile.Reader(str(folder / f"{name}.shp")) as reader:
        for one in (drawn for drawn in reader.shapes() if drawn.shapeType != shapefile.NULL):
            geometry = shapely.make_valid(shapely.transform(shape(one.__geo_interface__), project))
            found += [part for part in getattr(geometry, "geoms", [geometry]) if not part.is_empty]
    return found


def wanted(z: int) -> list[tuple[int, int]]:
    """The tiles of a zoom: all for the first ones, Europe's after."""
    if z <= WORLD_ZOOM:
        return [(x, y) for x in range(1 << z) for y in range(1 << z)]
    corners = project(shapely.get_coordinates(shapely.box(*EUROPE))) * (1 << z)
    west, north = corners.min(axis=0).astype(int)
    east, south = corners.max(axis=0).astype(int)
    return [(x, y) for x in range(west, east + 1) for y in range(north, south + 1)]


def cut(geometry: Any, z: int, x: int, y: int, tolerance: float) -> Any:
    """The part in a tile, in tile units."""
    scale, margin = 1 << z, BUFFER / EXTENT
    part = shapely.clip_by_rect(geometry, (x - margin) / scale, (y - margin) / scale, (x + 1 + margin) / scale, (y + 1 + margin) / scale)
    part = shapely.transform(part, lambda points: (points * scale - (x, y)) * EXTENT)
    return shapely.simplify(part, tolerance, preserve_topology=True)


def visible(part: Any) -> bool:
    """Not too small to be seen."""
    return not part.is_empty and (part.area > 60 if "Polygon" in part.geom_type else part.length > 12)


def main(folder: Path, target: Path) -> None:
    """Write every tile that has something in it, as z/x/y, each compressed by gzip."""
    sources = {layer: read(folder, name) for layer, (name, _, _) in LAYERS.items()}
    trees = {layer: STRtree(geometries) for layer, geometries in sources.items()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for z in range(ZOOM + 1):
            for x, y in wanted(z):
                layers = []
                for layer, (_, first, tolerance) in LAYERS.items():
                    if z < first:
                        continue
                    box = shapely.box(x / (1 << z), y / (1 << z), (x + 1) / (1 << z), (y + 1) / (1 << z))
                    parts = [cut(sources[layer][i], z, x, y, tolerance / 3 if z == ZOOM else tolerance) for i in trees[layer].query(box)]
                    features = [{"geometry": part, "properties": {}} for part in parts if visible(part)]
                    if features:
                        layers.append({"name": layer, "features": features})
                if layers:
                    options = {"y_coord_down": True, "extents": EXTENT}
                    entry = zipfile.ZipInfo(f"{z}/{x}/{y}", (2000, 1, 1, 0, 0, 0))
                    archive.writestr(entry, gzip.compress(encode(layers, default_options=options), 9, mtime=0))
    print(target.stat().st_size, "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
