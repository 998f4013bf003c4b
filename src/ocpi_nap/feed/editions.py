"""Whole publications as files: an edition is written aside and becomes the one that is served by the renaming of its description."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from hashlib import sha1
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from isal import isal_zlib

from ocpi_nap.feed.pages import etag

CHUNK = 1 << 20
"""Bytes that are compressed, read and sent at once."""
_GZIP_LEVEL = 2
_ZSTD_LEVEL = 3


class Held(msgspec.Struct):
    """A newer edition is held back because it would lose too much."""

    since: float
    rows: int
    """How many it would have."""
    releases: int
    """The releases that there had been before."""


class Edition(msgspec.Struct):
    """What is served of a publication, and what a reader must know of it."""

    name: str
    media_type: str
    filling: str
    """The filling of the store that it was made from …"""
    revision: int
    """… and the form's revision in it."""
    position: tuple[int, int]
    """How far the change feed was read when it was last found to be good."""
    etag: str
    length: int
    """Bytes, uncompressed."""
    modified: int
    """When anything in it last changed, µs since 1970."""
    rows: int
    built_at: float
    """Unix time."""
    seconds: float
    """CPU time that its making took."""
    files: dict[str, tuple[str, int]]
    """By content coding (`identity`, `gzip`, `zstd`): file and its size."""
    held: Held | None = None


_decode = msgspec.json.Decoder(Edition).decode


def describe(folder: Path, edition: Edition) -> None:
    """Serve this edition from now on; files of those before are removed."""
    aside = folder / f".{edition.name}.description"
    aside.write_bytes(msgspec.json.encode(edition))
    aside.replace(folder / f"{edition.name}.edition")
    kept = {file for file, _ in edition.files.values()}
    for path in folder.glob(f"{edition.name}~*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def described(folder: Path, name: str) -> Edition | None:
    """The edition that is served; None when there is none or its files are not whole."""
    try:
        edition = _decode((folder / f"{name}.edition").read_bytes())
        whole = all((folder / file).stat().st_size == size for file, size in edition.files.values())
    except (OSError, msgspec.MsgspecError):
        return None
    return edition if whole else None


def forget(folder: Path, known: Container[str]) -> None:
    """Remove the editions of publications that are no more."""
    for path in folder.glob("*.edition"):
        if path.stem not in known:
            for file in folder.glob(f"{path.stem}~*"):
                file.unlink(missing_ok=True)
            path.unlink(missing_ok=True)


class EditionWriter:
    """Streams a body into compressed files; use as a context: what is not finished leaves nothing behind."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._digest = sha1(usedforsecurity=False)
        self.length = 0
        self._aside = {coding: folder / f".{name}.{coding}" for coding in ("gzip", "zstd")}
        self._open: dict[str, Any] = {}
        self._coders: dict[str, Any] = {
            "gzip": isal_zlib.compressobj(_GZIP_LEVEL, wbits=31), "zstd": zstandard.ZstdCompressor(_ZSTD_LEVEL).compressobj(),
        }  # fmt: skip

    def __enter__(self) -> EditionWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open = {coding: path.open("wb", buffering=0) for coding, path in self._aside.items()}
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._open.values():
            file.close()
        for path in self._aside.values():
            path.unlink(missing_ok=True)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Append the pieces, a chunk at a time."""
        waiting: list[bytes] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= CHUNK:
                self._chunk(b"".join(waiting))
                waiting, size = [], 0
        self._chunk(b"".join(waiting))

    def _chunk(self, data: bytes) -> None:
        self._digest.update(data)
        self.length += len(data)
        for coding, coder in self._coders.items():
            self._open[coding].write(coder.compress(data))

    def finish(self) -> tuple[str, dict[str, tuple[str, int]]]:
        """(ETag, files by coding), on the disk."""
        files: dict[str, tuple[str, int]] = {}
        mark = self._digest.hexdigest()[:16]
        for coding, path in self._aside.items():
            file = self._open[coding]
            file.write(self._coders[coding].flush())
            os.fsync(file.fileno())
            files[coding] = (f"{self._name}~{mark}.{coding}", file.tell())
            path.replace(self._folder / files[coding][0])
        return etag(self.length, self._digest.digest()), files
