"""The ASGI side of the OCPI interface: reading a bounded body, sending an enveloped answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope, Send

from ocpi_nap.model import jsontext
from ocpi_nap.ocpi.errors import BodyTooLarge, NotFound, NotJsonBody
from ocpi_nap.ocpi.headers import Header

_JSON = (b"content-type", b"application/json")


class Disconnected(Exception):
    """The caller went away before its request was complete: there is nobody to answer."""


def segments(scope: Scope, root: str) -> list[str]:
    """The path below ``root``, split before decoding (R138), a trailing slash ignored (D21)."""
    raw = scope.get("raw_path") or scope["path"].encode()
    path = raw.split(b"?", 1)[0].decode("latin-1")
    rest = path[len(root) :].removeprefix("/")
    if rest.endswith("/"):
        rest = rest[:-1]
    if not rest:
        return []
    try:
        return [unquote_to_bytes(part).decode() for part in rest.split("/")]
    except UnicodeDecodeError:
        raise NotFound("the path is not UTF-8") from None


def object_segments(path: list[str]) -> list[str]:
    """The segments that name an object: a doubled slash before them is one too many, inside them it is part of an id (field lessons 8)."""
    while path and not path[0]:
        path = path[1:]
    named, glued = path[:2], ""
    for segment in path[2:]:
        if not segment and len(named) > 2:
            glued += "/"
        elif glued:
            named[-1] += f"{glued}/{segment}"
            glued = ""
        else:
            named.append(segment)
    return named


_SMALL = 1 << 16


async def read_json(receive: Receive, largest: int, take: Callable[[int], None]) -> Any:
    """The request body as JSON; raises BodyTooLarge (R38) or NotJsonBody (R32). ``take`` is told of the bytes of larger bodies as they
    arrive, and may refuse them."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body = message.get("body", b"")
        size += len(body)
        if size > largest:
            raise BodyTooLarge(f"the body is larger than {largest} bytes")
        more = message.get("more_body", False)
        if more or len(body) > _SMALL:
            take(len(body))
        chunks.append(body)
        if not more:
            break
    try:
        return jsontext.parse(chunks[0] if len(chunks) == 1 else b"".join(chunks))
    except jsontext.NotJson as error:
        raise NotJsonBody(f"the body is not valid JSON: {error}"[:255]) from None


async def answer(send: Send, status: int, body: bytes, headers: Iterable[Header] = ()) -> None:
    """Send one JSON body."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})
