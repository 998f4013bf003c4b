"""Editions over HTTP: content coding, conditional requests and ranges, streamed from their files a chunk at a time."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import zstandard
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from ocpi_nap.feed.editions.edition import Edition
from ocpi_nap.feed.editions.segments import CHUNK
from ocpi_nap.feed.http import http_date, listed, unchanged, weights
from ocpi_nap.model.timestamps import from_micros

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_PREFERRED = ("zstd", "gzip")
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
    if condition is not None and condition not in (edition.etag, http_date(from_micros(edition.modified))):
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
        self._edition = edition
        moment = from_micros(edition.modified)
        codings = edition.files
        coding = choose_coding(listed(request, "accept-encoding"), codings)
        headers = {"ETag": edition.etag, "Last-Modified": http_date(moment), "Vary": "Accept-Encoding"}
        self._body: AsyncIterator[bytes] | None = None
        if unchanged(request, edition.etag, moment):
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
        # Opened here: the files of this edition may be removed while it is sent.
        if request.method == "HEAD":
            self._body = _nothing()
        elif coding in codings:
            self._body = _raw((folder / codings[coding][0]).open("rb", buffering=0), begin, end)
        else:
            self._body = _decompressed((folder / codings["zstd"][0]).open("rb"), begin, end)
        super().__init__(status_code=status, headers=headers)
        self.raw_headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        self.raw_headers.append((b"content-length", headers["Content-Length"].encode()))

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if self._body is None:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for part in self._body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for part in none:
        yield part


async def _raw(file: Any, begin: int, end: int) -> AsyncIterator[bytes]:
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


async def _decompressed(file: Any, begin: int, end: int) -> AsyncIterator[bytes]:
    """Part of a body that is kept compressed only."""
    with file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
        place = 0
        while place < end:
            part = await asyncio.to_thread(stream.read, CHUNK)
            if not part:
                raise OSError("the file is shorter than its description")
            wanted = part[max(0, begin - place) : end - place]
            place += len(part)
            if wanted:
                yield wanted
