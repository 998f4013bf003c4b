"""Of which blocks an edition is made, kept beside it: the next edition copies those that are still as they were.

Records of one size in the order of the edition, and their CRC-32 at the end. It is no loss when it is lost.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from isal import isal_zlib

from ocpi_nap.feed.editions.segments import AROUND, BEGINS, Segment

_LAYOUT = b"ocpi-nap blocks 2\n"
_RECORD = struct.Struct(">Q?IqIII20sIIII")
_CHECK = struct.Struct(">I")
_AT_ONCE = 1000


class Kept(NamedTuple):
    """One block, or what stands between blocks."""

    serial: int
    """Of the block; 0: it is none."""
    lead: bool
    """Whether it begins with a separator."""
    rows: int
    """Rows in it that are published."""
    latest: int
    """When any row of it, published or not, last changed (µs)."""
    segment: Segment
    gzip: int = 0
    """Where it is in the gzip file and in the zstd file."""
    zstd: int = 0


class IndexWriter:
    """Writes an index aside; use it as a context."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._aside = folder / f".{name}.index"
        self._check = 0

    def __enter__(self) -> IndexWriter:
        self._file = self._aside.open("wb", buffering=1 << 18)
        self._write(_LAYOUT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._file.close()
        self._aside.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        self._check = isal_zlib.crc32(data, self._check)
        self._file.write(data)

    def add(self, kept: Kept) -> None:
        """Append what stands next in the edition; its places follow from the order."""
        serial, lead, rows, latest, segment = kept[:5]
        self._write(_RECORD.pack(serial, lead, rows, latest, *segment))

    def finish(self, mark: str) -> str:
        """Put it in place; returns its name."""
        self._file.write(_CHECK.pack(self._check))
        self._file.flush()
        os.fsync(self._file.fileno())
        name = f"{self._name}~{mark}.index"
        self._aside.replace(self._folder / name)
        return name


class BlockIndex:
    """An index that was found to be whole and to belong to its files."""

    def __init__(self, path: Path, newest: int) -> None:
        self._path = path
        self.newest = newest
        """The greatest serial in it: blocks with greater ones were changed since."""

    @classmethod
    def open(cls, path: Path, sizes: dict[str, int]) -> BlockIndex | None:
        """None when it is lost, spoilt, of another layout or of other files than those of these sizes (by content coding)."""
        found, newest, gzip, zstd = cls(path, 0), 0, AROUND["gzip"], AROUND["zstd"]
        try:
            data_size = path.stat().st_size - len(_LAYOUT) - _CHECK.size
            if data_size < 0 or data_size % _RECORD.size or not _whole(path):
                return None
            for record in found.records():
                newest = max(newest, record[0])
                gzip += record[8]
                zstd += record[10]
        except OSError:
            return None
        found.newest = newest
        return found if sizes == {"gzip": gzip, "zstd": zstd} else None

    def records(self) -> Iterator[tuple[int, ...]]:
        """Everything as it is kept: (serial, lead, rows, latest, and the members of the segment); cheaper than the blocks with places."""
        with self._path.open("rb", buffering=0) as file:
            file.seek(len(_LAYOUT))
            while len(part := file.read(_RECORD.size * _AT_ONCE)) >= _RECORD.size:
                yield from _RECORD.iter_unpack(part[: len(part) // _RECORD.size * _RECORD.size])

    def __iter__(self) -> Iterator[Kept]:
        """The blocks in order, each with its places."""
        gzip, zstd = BEGINS["gzip"], BEGINS["zstd"]
        for serial, lead, rows, latest, *segment in self.records():
            made = Segment._make(segment)
            if serial:
                yield Kept(serial, bool(lead), rows, latest, made, gzip, zstd)
            gzip += made.gzip
            zstd += made.zstd


    def place(self, begin: int) -> tuple[int, int]:
        """The segment that holds a byte of the content: where it begins in the content, and where in the zstd file."""
        length, zstd = 0, BEGINS["zstd"]
        for record in self.records():
            if length + record[4] > begin:
                break
            length += record[4]
            zstd += record[10]
        return length, zstd


def _whole(path: Path) -> bool:
    check = left = 0
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - _CHECK.size
        if file.read(len(_LAYOUT)) != _LAYOUT:
            return False
        file.seek(0)
        while left and (part := file.read(min(left, 1 << 20))):
            check = isal_zlib.crc32(part, check)
            left -= len(part)
        return file.read() == _CHECK.pack(check)
