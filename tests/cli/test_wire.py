"""What the server answers before any application sees a request (R17, R27, R32, R38; field lessons 2 and 8)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from ocpi_nap.cli import wire
from tests.e2e.cpo import location
from tests.interface import Ocpi
from tests.simulator.conftest import Nap, on_http
from tests.versions import each


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


@pytest.mark.holds("R27")
@each
async def test_other_protocols(nap: Nap, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """Proxies' requests, HTTP/2 and absolute URLs: an envelope, or what they ask for; nothing is raised on our side."""
    token = await nap.ocpi.platform(version)
    for data, expected in [
        (head("CONNECT", "nap.example:443", token), 400), (head("CONNECT", "nap:1", token, Upgrade="h2c", Connection="Upgrade"), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400), (head("OPTIONS", "*", token), 404),
        (head("GET", "http://nap.example/ocpi/versions", token), 200), (head("GET", "/%6Fcpi/versions", token), 404),
        (head("GET", "/ocpi%2Fversions", token), 404), (head("GET", "/ocpi/versions?" + "a=b&" * 9000, token), 200),
        (head("GET", f"/ocpi/{version}/é", token, Upgrade="h2c", Connection="Upgrade"), 404),
    ]:  # fmt: skip
        status, headers, body = await exchange(nap, data)
        assert (status, headers["content-type"]) == (expected, "application/json"), data[:60]
        assert json.loads(body)["status_code"] in (1000, 2000)
    assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


async def answers(nap: Nap, *parts: bytes) -> list[int]:
    """The statuses of all answers on one connection, until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(nap.registry.identity.versions_url).port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    received = await reader.read()
    writer.close()
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


@pytest.mark.holds("R27", "R171")
@each
async def test_answers_in_their_order(nap: Nap, version: str) -> None:
    """Requests in one breath are answered one after another; what is no request behind them ends the connection, not their answers."""
    token = await nap.ocpi.platform(version)
    body = json.dumps(location(version, 1)).encode()
    put = head("PUT", f"/ocpi/{version}/locations/FI/ABC/L1", token, Content_Length=str(len(body))) + body
    get = head("GET", f"/ocpi/{version}/locations/FI/ABC/L1", token)
    assert await answers(nap, put + get + head("GET", "/ocpi/versions", "wrong", Connection="close")) == [201, 200, 401]
    assert await answers(nap, put + b"nonsense\r\n\r\n") in ([200], [200, 400])
    broken = head("PUT", f"/ocpi/{version}/locations/FI/ABC/L1", token, Transfer_Encoding="chunked") + b"zz\r\n"
    assert await answers(nap, get, broken) in ([200, 400], [200])
    assert await answers(nap, head("PUT", "/ocpi/x", "wrong", Transfer_Encoding="chunked"), b"1\r\na\r\nzz\r\n") in ([401], [400])


@pytest.mark.holds("R27")
@each
async def test_callers_who_go_away(nap: Nap, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """With several requests under way: each one is done or not, and nothing is raised on our side."""
    token = await nap.ocpi.platform(version)
    body = json.dumps(location(version, 1)).encode()
    put = head("PUT", f"/ocpi/{version}/locations/FI/ABC/L1", token, Content_Length=str(len(body))) + body
    for _ in range(10):
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(nap.registry.identity.versions_url).port)
        writer.write(put * 20)
        writer.transport.abort()
    assert (await exchange(nap, head("GET", "/ocpi/versions", token)))[0] == 200
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.holds("R200")
@each
@pytest.mark.parametrize("sent", ["nothing", "line", "head", "body", "chunks", "after the answer"])
async def test_requests_that_do_not_arrive(nap: Nap, version: str, sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up after a while, with 408 where something had begun, and nothing is stored."""
    monkeypatch.setattr(wire, "TICK", 0.02)
    token = await nap.ocpi.platform(version)
    path = f"/ocpi/{version}/locations/FI/ABC/L1"
    parts = {
        "nothing": b"", "line": b"PUT /ocpi", "head": head("PUT", path, token, Content_Length="9")[:-2],
        "body": head("PUT", path, token, Content_Length="9") + b'{"a',
        "chunks": head("PUT", path, token, Transfer_Encoding="chunked") + b"3\r\n{\"a\r\n",
        "after the answer": head("PUT", path, "wrong", Content_Length="9") + b'{"a',
    }  # fmt: skip
    expected = {"nothing": [], "after the answer": [401]}.get(sent, [408])
    assert await answers(nap, parts[sent]) == expected
    assert (await nap.ocpi.stored())["location"] == []


@pytest.mark.holds("R200")
@each
async def test_a_head_in_drops(nap: Nap, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not keep a connection open for ever."""
    monkeypatch.setattr(wire, "TICK", 0.02)
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(nap.registry.identity.versions_url).port)
    writer.write(b"GET /ocpi/versions HTTP/1.1\r\nX: ")

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.005)

    dripping = asyncio.create_task(drip())
    with suppress(ConnectionError):  # while it is still writing
        assert (await reader.read())[:12] in (b"HTTP/1.1 408", b"")
    dripping.cancel()
    writer.close()


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
