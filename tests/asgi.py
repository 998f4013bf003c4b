"""Calls an ASGI application in the same process."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> bytes:
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    def json(self) -> Any:
        return json.loads(self.content)


async def call(app: Any, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"") -> Reply:
    """One request; gzip is accepted unless the headers say otherwise."""
    target, _, query = path.partition("?")
    sent = {"accept-encoding": "gzip", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": target,
        "raw_path": target.encode("utf-8", "surrogatepass"),
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in sent.items()],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start = messages[0]
    body = b"".join(m.get("body", b"") for m in messages[1:])
    return Reply(start["status"], {k.decode().lower(): v.decode() for k, v in start.get("headers", [])}, body)
