"""Editions over HTTP: content coding, conditional requests and ranges, streamed from their files a chunk at a time."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import zstandard
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from ocpi_nap.feed.dates import is_date_of
from ocpi_nap.feed.editions.blockindex import BlockIndex
from ocpi_nap.feed.editions.edition import Edition
from ocpi_nap.feed.editions.segments import BEGINS, CHUNK, ZSTD_FROM_HERE
from ocpi_nap.feed.http import listed, unchanged, validators, weights

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_PREFERRED = ("zstd", "gzip")
_LONG = 8 << 20
"""Bytes of a body from which on it is looked whether the client is still there: what is shorter is sent at once."""
_COMPRESSED = 1 << 16
"""Bytes that are decompressed at once."""
_NOW = getattr(os, "RWF_NOWAIT", 0)


def choose_coding(header: str, offered: dict[str, tuple[str, int]]) -> str:
    """The coding to send: the best that the client takes, identity otherwise (RFC 9110, 12.5.3)."""
    wanted = weights(header)
    taken = [coding for coding in _PREFERRED if coding in offered and wanted.get(coding, 0.0) > 0]
    return max(taken, key=lambda coding: wanted[coding], default="identity")


def _span(request: Request, edition: Edition, size: int) -> tuple[int, int] | str | None:
    """The bytes asked for, as (first, one past the last); None: all; a text: none that there are (416)."""
    match = _RANGE.fullmatch(request.headers.get("range", "").strip().replace(" ", ""))
    if match is None or request.method != "GET" or match.groups() == ("", ""):
        return None
    condition = request.headers.get("if-range")
    if condition is not None and condition != edition.etag and not is_date_of(condition, edition.dated):
        return None
    first, last = match.groups()
    begin, end = (int(first), int(last) + 1 if last else size) if first else (max(0, size - int(last)), size)
    if first and last and int(last) < int(first):
        return None
    if begin >= size or not size:
        return f"bytes */{size}"
    return begin, min(end, size)


class EditionResponse(Response):
    """200, 206, 304 or 416. Ranges are of the uncompressed body, for clients that take no compression: others get it whole."""

    def __init__(self, request: Request, folder: Path, edition: Edition) -> None:
        codings = edition.files
        coding = choose_coding(listed(request, "accept-encoding"), codings)
        headers = validators(edition.etag, edition.dated)
        self._body: AsyncGenerator[bytes, None] | None = None
        if unchanged(request, edition.etag, edition.dated):
            super().__init__(status_code=304, headers=headers)
            return
        headers["Content-Type"] = edition.media_type
        status, span = 200, None
        size = edition.length if coding == "identity" else codings[coding][1]
        if coding == "identity":
            headers["Accept-Ranges"] = "bytes"
            span = _span(request, edition, size)
        else:
            headers["Content-Encoding"] = coding
        if isinstance(span, str):
            super().__init__(status_code=416, headers={**headers, "Content-Range": span})
            return
        begin, end = span or (0, size)
        if span is not None:
            status, headers["Content-Range"] = 206, f"bytes {begin}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - begin)
        self._long = end - begin >= _LONG
        # Opened here: the files of this edition may be removed while it is sent.
        if request.method == "HEAD":
            self._body = _nothing()
        elif coding in codings:
            self._body = _raw((folder / codings[coding][0]).open("rb", buffering=0), begin, end)
        else:
            self._body = _decompressed((folder / codings["zstd"][0]).open("rb", buffering=0), begin, end, folder, edition)
        super().__init__(status_code=status, headers=headers)
        self.raw_headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        self.raw_headers.append((b"content-length", headers["Content-Length"].encode()))

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if self._body is None:
            await super().__call__(scope, receive, send)
            return
        gone = asyncio.create_task(_gone(receive)) if self._long else None
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for part in self._body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if gone is not None:
                    await asyncio.sleep(0)
                    if gone.done() and gone.result():
                        return  # what is left is for nobody, and the server takes it without a word
            await send({"type": "http.response.body", "body": b""})
        finally:
            if gone is not None:
                gone.cancel()
            await self._body.aclose()


async def _gone(receive: Receive) -> bool:
    """Return when the client has closed the connection."""
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
    if message["type"] == "http.request":
        message = await receive()
    return bool(message["type"] == "http.disconnect")


async def _nothing() -> AsyncGenerator[bytes, None]:
    none: tuple[bytes, ...] = ()
    for part in none:
        yield part


async def _raw(file: Any, begin: int, end: int) -> AsyncGenerator[bytes, None]:
    """Part of a file; a thread is only needed for what is not in the system's cache."""
    with file:
        while begin < end:
            part = _cached(file.fileno(), begin, min(CHUNK, end - begin))
            if not part:
                part = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, end - begin), begin)
            if not part:
                raise OSError("the file is shorter than its description")
            begin += len(part)
            yield part


def _cached(descriptor: int, begin: int, size: int) -> bytes:
    if not _NOW:
        return b""
    buffer = bytearray(size)
    try:
        found = os.preadv(descriptor, [buffer], begin, _NOW)
    except OSError:  # it would wait, or the file system cannot tell
        return b""
    return bytes(buffer) if found == size else bytes(buffer[:found])


async def _decompressed(file: Any, begin: int, end: int, folder: Path, edition: Edition) -> AsyncGenerator[bytes, None]:
    """Part of a body that is kept compressed only: from the segment on in which it begins, so that it costs what it is long."""
    with file:
        place, start = await asyncio.to_thread(_segment, begin, folder, edition)
        decompress = zstandard.ZstdDecompressor().decompressobj().decompress
        decompress(ZSTD_FROM_HERE)
        file.seek(start)

        def following() -> bytes:
            while data := file.read(_COMPRESSED):
                if found := decompress(data):
                    return bytes(found)
            raise OSError("the file is shorter than its description")

        while place < end:
            part = await asyncio.to_thread(following)
            wanted = part[max(0, begin - place) : end - place]
            place += len(part)
            if wanted:
                yield wanted


def _segment(begin: int, folder: Path, edition: Edition) -> tuple[int, int]:
    """Where to begin, in the content and in its zstd file; at the first segment where the index is lost."""
    sizes = {coding: size for coding, (_, size) in edition.files.items()}
    index = BlockIndex.open(folder / edition.index, sizes) if begin and edition.index else None
    return (0, BEGINS["zstd"]) if index is None else index.place(begin)
