"""HTTP rules of the public API in one place: gzip, CORS, conditional requests, error bodies (contract section 0)."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1

from isal import igzip
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocpi_nap.feed.dates import date_of, last_modified, unchanged_since

log = logging.getLogger(__name__)

_HEADERS = (
    b"DNT,X-CustomHeader,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Content-Range,"
    b"Range,Digitraffic-User"
)
CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", _HEADERS),
    (b"access-control-expose-headers", _HEADERS),
]
NEEDS_GZIP = b"Use of gzip compression is required with Accept-Encoding: gzip header."
METHODS = "GET, HEAD, OPTIONS"
"""Of every path there is."""


def plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the contract writes it."""
    return Response(text, status, {"Content-Type": "text/plain", **(headers or {})})


@dataclass(slots=True)
class Body:
    """One answer, ready to send."""

    gzipped: bytes
    length: int
    etag: str
    dated: int
    """What Last-Modified says, in seconds since 1970."""
    media_type: str

    @property
    def plain(self) -> bytes:
        """The body for clients without gzip."""
        return bytes(igzip.decompress(self.gzipped))  # type: ignore[no-untyped-call]


def etag(length: int, digest: bytes) -> str:
    """npm's `etag` of a body with this length and SHA-1 (contract section 0)."""
    return f'"{length:x}-{base64.b64encode(digest).decode()[:27]}"'


def make_body(content: bytes, modified_at: datetime, media_type: str, before: Body | None = None) -> Body:
    """Compress and sign the uncompressed body, which last changed at that moment and takes the place of the one before."""
    tag = etag(len(content), sha1(content, usedforsecurity=False).digest())
    return Body(igzip.compress(content, 2), len(content), tag, date_of(tag, modified_at, before), media_type)


def with_headers(send: Send, headers: Iterable[tuple[bytes, bytes]]) -> Send:
    """``send`` for an application whose answers get further headers, except those that the contract has bare (`NotAcceptable`)."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and not message.get("bare"):
            message["headers"] = [*message.get("headers", []), *headers]
        await send(message)

    return sending


class PublicRules:
    """Pure ASGI middleware: CORS on every answer, OPTIONS answered with 204, a trailing slash taken off.

    ``further``: by path, request headers that scripts on other sites may send beside those of the contract.
    """

    def __init__(self, app: ASGIApp, further: Mapping[str, bytes] | None = None) -> None:
        self._app = app
        self._further = further or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            further = self._further.get(scope["path"], b"")
            headers = [(name, value + further if name == b"access-control-allow-headers" else value) for name, value in CORS]
            headers.append((b"access-control-max-age", b"86400"))
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        path: str = scope["path"]
        if path.startswith("/api/") and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/")}

        await self._app(scope, receive, with_headers(send, CORS))


class Failures:
    """Pure ASGI middleware, the innermost: what fails is logged, and answered with the headers of every other answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if begun or scope["type"] != "http":
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            await plain("Internal server error", 500)(scope, receive, send)


class NotAcceptable(Response):
    """406 of the edge: text only, none of our headers (contract section 0)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(len(NEEDS_GZIP)).encode())]
        await send({"type": "http.response.start", "status": 406, "headers": headers, "bare": True})
        await send({"type": "http.response.body", "body": NEEDS_GZIP})


def listed(request: Request, name: str) -> str:
    """A header that is a list, also when it comes in several lines (RFC 9110, 5.3)."""
    return ",".join(request.headers.getlist(name))


def weights(header: str) -> dict[str, float]:
    """What a header of preferences names, in lower case, with its weight; 0 where that cannot be read (RFC 9110, 12.4.2)."""
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            found[name] = float(weight)
        except ValueError:
            found[name] = 0.0
    return found


def accepts_gzip(request: Request) -> bool:
    """Whether the client names gzip, as the contract has it: whatever the weight (section 0)."""
    return "gzip" in listed(request, "accept-encoding")


def refuses_gzip(request: Request) -> bool:
    """A GET that must be answered 406 (contract section 0)."""
    return request.method == "GET" and not accepts_gzip(request)


def validators(etag: str, dated: int) -> dict[str, str]:
    """Headers of what may be kept. Without a word browsers would show it again unasked, the longer the older it is (RFC 9111, 4.2.2)."""
    return {"ETag": etag, "Last-Modified": last_modified(dated), "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}


def respond(request: Request, body: Body) -> Response:
    """200 or 304."""
    zipped = accepts_gzip(request)
    headers = validators(body.etag, body.dated)
    if unchanged(request, body.etag, body.dated):
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = body.media_type
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(body.gzipped if zipped else body.plain, headers=headers)


def unchanged(request: Request, etag: str, dated: int | None = None) -> bool:
    """Whether the client has this already (RFC 9110, 13.1); ``dated``: what Last-Modified says, in seconds since 1970."""
    match = request.headers.get("if-none-match")
    if match is not None:
        tags = [tag.strip().removeprefix("W/") for tag in match.split(",")]
        return etag in tags or "*" in tags
    since = request.headers.get("if-modified-since")
    return since is not None and dated is not None and unchanged_since(since, dated)
