"""A reader of an event stream, over an ASGI application in the same process or bytes from anywhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

from tests.feed.following import BASE


class Parser:
    """Server-sent events as the HTML standard reads them: what is dispatched, and the last id."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.last_id = ""
        self.blocks: list[bytes] = []
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            self.blocks.append(block)
            kind, content = "message", []
            for line in block.split(b"\n"):
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if name == b"data":
                    content.append(value)
                elif name == b"event":
                    kind = value.decode()
                elif name == b"id":
                    self.last_id = value.decode()
            if content:
                self.events.append((kind, json.loads(b"\n".join(content))))

    def statuses(self) -> list[tuple[str, str, str]]:
        return [(event["evseId"], event["status"], event["time"]) for kind, event in self.events if kind == "message"]


class Listener(Parser):
    """One open stream of an application in this process."""

    def __init__(self, app: Any, query: str = "", last_id: str = "") -> None:
        super().__init__()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self.blocked = asyncio.Event()
        self.blocked.set()
        self._leave = asyncio.Event()
        self._came = asyncio.Event()
        headers = [(b"last-event-id", last_id.encode())] if last_id else []
        scope = {
            "type": "http", "method": "GET", "path": f"{BASE}/stream/statuses", "raw_path": b"",
            "query_string": quote(query, safe="=&").encode(), "headers": headers,
            "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
            "root_path": "",
        }  # fmt: skip
        self._task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            await self.blocked.wait()
            self.feed(message["body"])
            self.ended = not message.get("more_body", False)
        self._came.set()

    async def until(self, true: Any) -> None:
        """Return once the condition holds."""
        async with asyncio.timeout(30):
            while not true():
                self._came.clear()
                await self._came.wait()

    async def opened(self) -> Listener:
        await self.until(lambda: self.blocks)
        return self

    async def leave(self) -> None:
        """Close the connection."""
        self._leave.set()
        await asyncio.wait([self._task], timeout=10)
        assert self._task.done()

    async def finished(self) -> None:
        """The server ended the stream."""
        await asyncio.wait_for(asyncio.shield(self._task), 30)
