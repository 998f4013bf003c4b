"""What the server answers before any application sees a request (R17, R27, R32, R38; field lessons 2 and 8)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.e2e.cpo import location
from tests.interface import Ocpi
from tests.simulator.conftest import Nap, on_http

VERSIONS = ["2.1.1", "2.2.1", "2.3.0"]
each = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
async def nap(ocpi: Ocpi) -> AsyncIterator[Nap]:
    async with on_http(ocpi) as made:
        yield made


async def exchange(nap: Nap, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are and read one answer."""
    port = urlsplit(nap.registry.identity.versions_url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return int(head[0].split()[1]), headers, body


def head(method: str, path: str, token: str, **headers: str) -> bytes:
    sent = {"Host": "nap", "Authorization": f"Token {token}", "X-Request-ID": "r-1", "X-Correlation-ID": "c-1"}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {**sent, **headers}.items()]
    return "\r\n".join((f"{method} {path} HTTP/1.1", *lines, "", "")).encode()


@pytest.mark.holds("R17", "R18", "R27")
@each
async def test_not_http(nap: Nap, version: str) -> None:
    """400 or 431 in an envelope, with the message ids that were read."""
    token = await nap.ocpi.platform(version)
    base = f"/ocpi/{version}/locations/FI/ABC/L1"
    broken = [
        (b"nonsense\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00\x01\x00", 400), (head("BREW", base, token), 400),
        (head("GET", base, token).replace(b"HTTP/1.1", b"HTTP/9.9"), 400), (head("GET", base + "/" + "x" * 70_000, token), 431),
        (head("GET", base, token, X="y" * 70_000), 431), (head("PUT", base, token, Content_Length="many"), 400),
        (head("PUT", base, token, Transfer_Encoding="chunked") + b"zz\r\n", 400),
    ]  # fmt: skip
    for data, expected in broken:
        status, headers, body = await exchange(nap, data)
        assert (status, headers["content-type"]) == (expected, "application/json"), data[:60]
        assert json.loads(body)["status_code"] == 2000 and headers["x-request-id"] and headers["x-correlation-id"]
    assert headers["x-request-id"] == "r-1"


@pytest.mark.holds("R38", "R17")
@each
async def test_a_body_over_the_limit(nap: Nap, version: str) -> None:
    """Answered before it has arrived, and the connection ends."""
    token, size = await nap.ocpi.platform(version), 1 << 24
    for coding in ({"Content_Length": str(size)}, {"Transfer_Encoding": "chunked"}):
        start = head("PUT", f"/ocpi/{version}/locations/FI/ABC/L1", token, **coding)
        chunk = b"200000\r\n" + b" " * 0x200000 + b"\r\n" if "Transfer_Encoding" in coding else b" " * 0x200000
        status, headers, body = await exchange(nap, start, chunk)
        assert (status, json.loads(body)["status_code"], headers["x-request-id"]) == (413, 2001, "r-1")
        assert headers["connection"] == "close"


@pytest.mark.holds("R26", "R35")
@each
async def test_an_offer_of_http_2(nap: Nap, version: str) -> None:
    """`Upgrade: h2c`, which Java sends with every first request, is passed over; the body is not."""
    token = await nap.ocpi.platform(version)
    body = json.dumps(location(version, 1)).encode()
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABk", "Content_Length": str(len(body))}
    start = head("PUT", f"/ocpi/{version}/locations/FI/ABC/L1", token, **offer)
    assert (await exchange(nap, start + body))[0] == 201
    assert (await exchange(nap, start, body[:50], body[50:]))[0] == 200
    assert (await exchange(nap, head("GET", f"/ocpi/{version}/nothing", token, **{**offer, "Content_Length": "0"})))[0] == 404


@pytest.mark.holds("I-83")
@each
async def test_paths_that_nobody_escaped(nap: Nap, version: str) -> None:
    """UTF-8 in a path as it is."""
    token = await nap.ocpi.platform(version)
    body = json.dumps({**location(version, 1), "id": "Ä::*"}).encode()
    start = head("PUT", f"/ocpi/{version}/locations/FI/ABC/Ä::*", token, Content_Length=str(len(body)))
    assert (await exchange(nap, start + body))[0] == 201
    status, _, read = await exchange(nap, head("GET", f"/ocpi/{version}/locations/FI/ABC/%C3%84::%2A", token))
    assert status == 200 and json.loads(read)["data"]["id"] == "Ä::*"
