"""What data users read of a running service: answers of the API, and MQTT over WebSocket."""

from __future__ import annotations

import json
import struct

import aiohttp

from tests.e2e.conftest import Nap

API = "/api/charging-network/v1"


async def read(nap: Nap, path: str, **headers: str) -> tuple[int, str, bytes]:
    """(status, content type, body)."""
    async with aiohttp.ClientSession() as session, session.get(nap.url + path, headers=headers) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


async def count(nap: Nap, path: str, member: str) -> int:
    """How many of something a whole publication has."""
    return len(json.loads((await read(nap, f"{API}/{path}/all"))[2])[member])


async def first_over_websocket(nap: Nap) -> tuple[str, dict[str, str]]:
    """CONNECT and SUBSCRIBE by hand (MQTT 3.1.1), then the first PUBLISH."""
    url = nap.url.replace("http", "ws") + "/mqtt"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=["mqtt"]) as socket:
        assert socket.protocol == "mqtt"
        await socket.send_bytes(_packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ws"))
        assert (await socket.receive_bytes())[:2] == b"\x20\x02"
        await socket.send_bytes(_packet(0x82, b"\x00\x01\x00\x0bstatus-v1/#\x00"))
        data = b""
        while True:
            data += await socket.receive_bytes()
            kind, length, rest = data[0], data[1], data[2:]
            assert length < 128
            if len(rest) < length:
                continue
            if kind & 0xF0 == 0x30:
                (size,) = struct.unpack(">H", rest[:2])
                return rest[2 : 2 + size].decode(), json.loads(rest[2 + size : length])
            data = rest[length:]


def _packet(kind: int, content: bytes) -> bytes:
    return bytes([kind, len(content)]) + content
