"""What lies under the locations: the outlines that come with the program, or raster tiles of a server by setting; and MapLibre.

The library comes from the package `maplibre`, which holds the files of MapLibre GL JS. Its worker's code is part of the main file,
which would start it from a blob; a strict policy allows no blobs, so the worker's part is served as a file of its own.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import zipfile
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from ocpi_nap.web.assets import Assets

log = logging.getLogger(__name__)

OSM = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
OUTLINES_LAST = 6
MUNICIPALITIES_ZOOM = 7
"""The only zoom of the municipalities' borders."""
MUNICIPALITIES = ("Fintraffic / digitraffic.fi, CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/")
"""Whom their licence wants named, and where it is."""
_PLACEHOLDERS = ("{z}", "{x}", "{y}")


class BadBaseMap(ValueError):
    """A base map that cannot be used; the text says why."""


@dataclass(frozen=True)
class BaseMap:
    """Raster tiles by URL template, or the outlines when it is empty."""

    tiles: str = ""
    attribution: str = ""
    attribution_url: str = ""
    csp: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tiles: str, attribution: str) -> BaseMap:
        """Of the settings `map_tiles` ("", "osm" or a template) and `map_attribution`; raises BadBaseMap."""
        if not tiles:
            return cls(attribution=attribution or "Natural Earth", attribution_url="" if attribution else "https://www.naturalearthdata.com")
        if tiles == "osm":
            tiles, attribution = OSM, attribution or "© OpenStreetMap contributors"
        parts = urlsplit(tiles)
        local = tiles.startswith("/") and not tiles.startswith("//")
        if not all(name in tiles for name in _PLACEHOLDERS) or not (local or (parts.scheme in ("http", "https") and parts.hostname)):
            raise BadBaseMap(f"map tiles: `osm`, or a URL with {{z}}, {{x}} and {{y}} is required (got {tiles[:80]!r})")
        if any(c in tiles for c in " ;,\"'"):
            raise BadBaseMap("map tiles: the URL must not have blanks, quotes, commas or semicolons")
        origin = "" if local else f"{parts.scheme}://{parts.netloc}"
        link = "https://www.openstreetmap.org/copyright" if "OpenStreetMap" in attribution else ""
        return cls(tiles, attribution, link, {"img-src": origin, "connect-src": origin} if origin else {})


class Outlines:
    """The tiles that come with the program: `outlines` (tools/outlines.py) and `municipalities` (tools/municipalities.py)."""

    def __init__(self, name: str) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO((files("ocpi_nap.web.map") / f"{name}.zip").read_bytes()))

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """A compressed vector tile, None where there is nothing but sea."""
        try:
            return self._archive.read(f"{z}/{x}/{y}")
        except KeyError:
            return None


def add_library(assets: Assets) -> bool:
    """Serve MapLibre GL JS; False when the package is not there or not as we know it: pages then show the list alone."""
    spec = importlib.util.find_spec("maplibre")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    try:
        folder = Path(folders[0]) / "srcjs"
        script = (folder / "maplibre-gl.js").read_text(encoding="utf-8")
        style = (folder / "maplibre-gl.css").read_bytes()
        worker = worker_script(script)
    except (IndexError, OSError, ValueError) as error:
        log.warning("MapLibre GL JS is not there, so the map is shown as a list: %s", error)
        return False
    assets.add("map/maplibre-gl.js", script.replace("//# sourceMappingURL=maplibre-gl.js.map", "").encode())
    assets.add("map/maplibre-gl.css", style)
    assets.add("map/maplibre-worker.js", worker.encode())
    return True


def worker_script(library: str) -> str:
    """The worker's part of MapLibre GL JS 4 and 5: the modules `shared` and `worker`; ValueError when they are not found."""
    start, end = library.index('define("shared",'), library.index('define("index",')
    return (
        '"use strict";\nvar modules = {};\nfunction define(name, needed, factory) { modules[name] = factory; }\n'
        + library[start:end]
        + "\nvar shared = {};\nmodules.shared(shared);\nmodules.worker(shared);\n"
    )
