"""Compressed files put together from segments: each is compressed by itself, so that the next file can copy those that are as before.

The gzip file is one member (RFC 1952), the zstd file one frame (RFC 8878): many clients read no further. In both, segments end at byte
boundaries and refer to nothing before them. In gzip a full flush does that; the CRC at the end is computed from theirs. In zstd a segment
is a run of blocks that a compressor made as a job of its own.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from isal import isal_zlib

from ocpi_nap.feed.editions import crc
from ocpi_nap.feed.http import etag

CHUNK = 1 << 20
"""Bytes that are compressed, copied, read and sent at once."""
CODINGS = ("gzip", "zstd")
_GZIP_LEVEL = 2
_GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_LAST_GZIP = b"\x03\x00"
_GZIP_TAIL = struct.Struct("<II")
_ZSTD_LEVEL = 3
_ZSTD_WINDOW = 17
"""Logarithm of the bytes that blocks refer back to, and so of the memory that a reader needs."""
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_HEAD = struct.Struct("<IBBQ")
_LAST_ZSTD = b"\x01\x00\x00"
BEGINS = {"gzip": len(_GZIP_HEAD), "zstd": _ZSTD_HEAD.size}
"""Where the first segment is in each file."""
AROUND = {"gzip": len(_GZIP_HEAD) + len(_LAST_GZIP) + _GZIP_TAIL.size, "zstd": _ZSTD_HEAD.size + len(_LAST_ZSTD)}
"""Bytes of each file that are not of segments."""


def _zstd_head(length: int) -> bytes:
    return _ZSTD_HEAD.pack(_ZSTD_MAGIC, 0xC0, (_ZSTD_WINDOW - 10) << 3, length)


ZSTD_FROM_HERE = struct.pack("<IBB", _ZSTD_MAGIC, 0, (_ZSTD_WINDOW - 10) << 3)
"""The head of a frame of unknown length: a reader who begins with a later segment takes it first."""


class Spoilt(Exception):
    """What should be copied is not what was written there."""


class Segment(NamedTuple):
    """A part of the content in both files."""

    length: int
    """Bytes, uncompressed."""
    crc: int
    """CRC-32 of these."""
    shift: int
    """What the CRC of something before it is multiplied with: `crc.shift`."""
    digest: bytes
    """SHA-1 of these."""
    gzip: int
    """Bytes in the gzip file, and the CRC-32 of those."""
    gzip_crc: int
    zstd: int
    zstd_crc: int


NOTHING = Segment(0, 0, crc.ONE, bytes(20), 0, 0, 0, 0)


class _File:
    """One compressed file: new bytes, and runs of the file before."""

    def __init__(self, path: Path, before: Path | None) -> None:
        self._file = path.open("wb", buffering=CHUNK)
        self._before = None
        if before is not None:
            try:
                self._before = before.open("rb", buffering=0)
            except OSError as error:
                self._file.close()
                raise Spoilt(str(error)) from error
        self._begin = self._end = 0
        self._checks: list[tuple[int, int]] = []

    def close(self) -> None:
        for file in (self._file, self._before):
            if file is not None:
                file.close()

    def write(self, data: bytes) -> None:
        self._settle()
        self._file.write(data)

    def copy(self, place: int, size: int, check: int) -> None:
        """The bytes at a place of the file before, with their CRC-32; neighbours are copied together."""
        if place != self._end or place - self._begin >= CHUNK:
            self._settle()
            self._begin = place
        self._end = place + size
        self._checks.append((size, check))

    def _settle(self) -> None:
        if not self._checks:
            return
        assert self._before is not None
        try:
            data = os.pread(self._before.fileno(), self._end - self._begin, self._begin)
        except OSError as error:
            raise Spoilt(str(error)) from error
        view, place = memoryview(data), 0
        for size, check in self._checks:
            if isal_zlib.crc32(view[place : place + size]) != check:
                raise Spoilt(f"{size} bytes at {self._begin + place} of {self._before.name} are not as they were written")
            place += size
        self._file.write(data)
        self._checks.clear()

    def rewrite(self, head: bytes) -> None:
        """Put other bytes in place of the first ones."""
        self._settle()
        self._file.flush()
        os.pwrite(self._file.fileno(), head, 0)

    def finish(self) -> int:
        """Bring it to the disk; returns its size."""
        self._settle()
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()


class _ZstdBlocks:
    """Compresses each segment to blocks that can stand in any frame with our window, wherever.

    That is what the jobs of a multi-threaded compressor are: made side by side, they know nothing of each other, not even which offsets
    the one before used last (``overlapLog`` 1 in zstd.h: "no overlap"). A flush ends a job. The first one of a frame begins with its head
    and may rely on how a frame begins, so that it is spent on nothing.
    """

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _ZSTD_LEVEL, source_size=1 << _ZSTD_WINDOW, window_log=_ZSTD_WINDOW, threads=1, overlap_log=1, write_content_size=False
        )
        self._frame: Any = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        self.seconds = 0.0
        """How long its thread was waited for."""
        self.compress(b"\0")

    def compress(self, data: bytes) -> bytes:
        began = time.perf_counter()
        made: bytes = self._frame.compress(data) + self._frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        self.seconds += time.perf_counter() - began
        return made


class EditionWriter:
    """Makes the compressed files of an edition; ``before`` are those from which segments are copied. Use it as a context: what is not
    finished leaves nothing behind."""

    def __init__(self, folder: Path, name: str, before: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._name = name
        self._before = before or {}
        self._aside = {coding: folder / f".{name}.{coding}" for coding in CODINGS}
        self._files: dict[str, _File] = {}
        self._zstd = _ZstdBlocks()
        self._digest = sha1(usedforsecurity=False)
        self._crc = 0
        self.length = 0
        """Bytes of the content up to here …"""
        self.copied = 0
        """… and how many of them were copied."""

    def __enter__(self) -> EditionWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for coding, path in self._aside.items():
                before = self._before.get(coding)
                self._files[coding] = _File(path, None if before is None else self._folder / before)
        except BaseException:
            self.__exit__()
            raise
        self._files["gzip"].write(_GZIP_HEAD)
        self._files["zstd"].write(_zstd_head(0))
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            with suppress(OSError):  # of what could not be written: it is removed
                file.close()
        for path in self._aside.values():
            path.unlink(missing_ok=True)

    def write(self, pieces: Iterable[bytes]) -> Iterator[Segment]:
        """Append the pieces, a chunk at a time, as the segments are taken."""
        waiting: list[bytes] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= CHUNK:
                yield self.add(b"".join(waiting))
                waiting, size = [], 0
        yield self.add(b"".join(waiting))

    def add(self, data: bytes) -> Segment:
        """Append a part of the content, compressed by itself."""
        if not data:
            return NOTHING
        deflate = isal_zlib.compressobj(_GZIP_LEVEL, wbits=-15)
        gzip = deflate.compress(data) + deflate.flush(isal_zlib.Z_FULL_FLUSH)
        zstd = self._zstd.compress(data)
        self._files["gzip"].write(gzip)
        self._files["zstd"].write(zstd)
        digest = sha1(data, usedforsecurity=False).digest()
        made = Segment(len(data), isal_zlib.crc32(data), crc.shift(len(data)), digest,
                       len(gzip), isal_zlib.crc32(gzip), len(zstd), isal_zlib.crc32(zstd))  # fmt: skip
        self._count(made)
        return made

    def copy(self, segment: Segment, gzip: int, zstd: int) -> None:
        """Append a segment that is at these places of the files before; raises Spoilt, perhaps later."""
        self._files["gzip"].copy(gzip, segment.gzip, segment.gzip_crc)
        self._files["zstd"].copy(zstd, segment.zstd, segment.zstd_crc)
        self.copied += segment.length
        self._count(segment)

    def _count(self, segment: Segment) -> None:
        self.length += segment.length
        self._crc = crc.multiply(self._crc, segment.shift) ^ segment.crc
        self._digest.update(segment.digest)

    def finish(self) -> tuple[str, dict[str, tuple[str, int]]]:
        """(ETag, files by coding), on the disk."""
        self._files["gzip"].write(_LAST_GZIP + _GZIP_TAIL.pack(self._crc, self.length & 0xFFFFFFFF))
        self._files["zstd"].write(_LAST_ZSTD)
        self._files["zstd"].rewrite(_zstd_head(self.length))
        files: dict[str, tuple[str, int]] = {}
        for coding, path in self._aside.items():
            size = self._files[coding].finish()
            files[coding] = (f"{self._name}~{self.mark}.{coding}", size)
            path.replace(self._folder / files[coding][0])
        return etag(self.length, self._digest.digest()), files

    @property
    def waited(self) -> float:
        """Seconds of work that another thread did."""
        return self._zstd.seconds

    @property
    def mark(self) -> str:
        """What its files are named by."""
        return self._digest.hexdigest()[:16]
