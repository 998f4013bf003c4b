"""Static files under URLs that hold a hash of their content, so that browsers may keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/static/"
_FOREVER = "public, max-age=31536000, immutable"
_TEXT = ("text/", "application/javascript", "application/json", "image/svg")
_TYPES = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".pbf": "application/x-protobuf",
}  # fmt: skip


@dataclass(frozen=True)
class Asset:
    """One file, read once and compressed once."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    url: str


class Assets:
    """Files by name; `url` gives the address for a page, `serve` answers it."""

    def __init__(self) -> None:
        self._by_name: dict[str, Asset] = {}
        self._by_url: dict[str, Asset] = {}

    def add(self, name: str, content: bytes) -> None:
        """Serve ``content`` as ``name`` ("map/map.js")."""
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        stem, dot, suffix = name.rpartition(".")
        media_type = _TYPES.get(dot + suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        zipped = gzip.compress(content, 9, mtime=0) if media_type.startswith(_TEXT) else None
        asset = Asset(content, zipped, media_type, f"{PREFIX}{stem}.{digest}{dot}{suffix}")
        self._by_name[name] = self._by_url[asset.url] = asset

    def add_package(self, package: str, folder: str = "static") -> None:
        """Serve every file of a package's folder under its path in there."""
        self._walk(files(package) / folder, "")

    def _walk(self, folder: Traversable, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                self._walk(item, f"{prefix}{item.name}/")
            else:
                self.add(prefix + item.name, item.read_bytes())

    def url(self, name: str) -> str:
        """The address of a file by name; KeyError when there is none."""
        return self._by_name[name].url

    def serve(self, request: Request) -> Response | None:
        """The file that the request's path names, or None."""
        asset = self._by_url.get(request.url.path)
        if asset is None:
            return None
        headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
        if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.gzipped, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
        return Response(asset.content, media_type=asset.media_type, headers=headers)
