"""Readers of the event stream and of /changes in a process of their own: cheap enough to leave the machine to the service.

python -m bench.listeners URL COUNT FILE: listens until stdin closes, then writes what was seen, and when, to the file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import uvloop

from bench.nap import API

_WATCHED = 10
"""Listeners that note the moment of each event; the others only count."""
Seen = dict[str, float]
"""`evse id|time` -> when it arrived."""


class _Listener(asyncio.Protocol):
    """One event stream over a bare connection."""

    def __init__(self, host: str, watched: bool) -> None:
        self.seen: Seen = {}
        self.count = 0
        self.opened = asyncio.Event()
        self._host = host
        self._watched = watched
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(f"GET {API}/stream/statuses HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self.opened.is_set() and b"retry:" in data:
            self.opened.set()
        if not self._watched:
            self.count += data.count(b'"evseId"')  # a name cut in two by a chunk is rare, and would be told as missing
            return
        moment = time.perf_counter()
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            start = block.find(b"data: ")
            if start >= 0:
                event = json.loads(block[start + 6 :])
                self.seen[f"{event['evseId']}|{event['time']}"] = moment
                self.count += 1


async def _follow(url: str, seen: Seen) -> None:
    """Ask for changes again and again, as a client in a hurry does."""
    async with aiohttp.ClientSession() as session:
        cursor = None
        while True:
            async with session.get(f"{url}{API}/changes" + (f"?since={cursor}" if cursor else "")) as answer:
                page = await answer.json()
            moment = time.perf_counter()
            for item in page["changes"]:
                if item["kind"] == "status":
                    seen.setdefault(f"{item['status']['evseId']}|{item['time']}", moment)
            cursor = page["cursor"]
            if not page["more"]:
                await asyncio.sleep(0.025)


async def _main(url: str, count: int) -> dict[str, Any]:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    listeners = [_Listener(parts.netloc, number < _WATCHED) for number in range(count)]
    for start in range(0, count, 50):
        part = listeners[start : start + 50]
        await asyncio.gather(*(loop.create_connection(lambda one=one: one, parts.hostname, parts.port) for one in part))
        await asyncio.gather(*(one.opened.wait() for one in part))
    changes: Seen = {}
    following = asyncio.create_task(_follow(url, changes))
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    following.cancel()
    return {"counts": [one.count for one in listeners], "seen": [one.seen for one in listeners[:_WATCHED]], "changes": changes}

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        Path(sys.argv[3]).write_text(json.dumps(runner.run(_main(sys.argv[1], int(sys.argv[2])))))
