"""Whole publications as files: an edition is written aside and becomes the one that is served by the renaming of its description."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import msgspec


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
    """How far the change feed was read when it was last found to be good …"""
    read_at: float
    """… and the Unix time of that."""
    etag: str
    length: int
    """Bytes, uncompressed."""
    dated: int
    """What Last-Modified says, in seconds since 1970."""
    rows: int
    built_at: float
    """Unix time."""
    seconds: float
    """CPU time that its making took."""
    files: dict[str, tuple[str, int]]
    """By content coding (`identity`, `gzip`, `zstd`): file and its size."""
    held: Held | None = None
    index: str = ""
    """The file that says of which blocks it is made; empty: it is not made of blocks."""


_decode = msgspec.json.Decoder(Edition).decode


def describe(folder: Path, edition: Edition) -> None:
    """Serve this edition from now on; files of those before are removed."""
    aside = folder / f".{edition.name}.description"
    aside.write_bytes(msgspec.json.encode(edition))
    aside.replace(folder / f"{edition.name}.edition")
    kept = {edition.index, *(file for file, _ in edition.files.values())}
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
