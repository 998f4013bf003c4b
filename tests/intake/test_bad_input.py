"""What is wrong is refused in an envelope with the status the requirements name, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.asgi import Reply
from tests.e2e.cpo import location
from tests.interface import LARGEST, Ocpi
from tests.versions import each

LATER = "2026-03-01T00:00:00Z"


def envelope(reply: Reply) -> dict[str, Any]:
    """The envelope of a reply, checked for its form (R27, R28)."""
    body: dict[str, Any] = json.loads(reply.body)
    assert isinstance(body["status_code"], int) and body["timestamp"].endswith("Z") and len(body["timestamp"]) <= 25
    assert len(body.get("status_message") or "") <= 255
    return body


def nested(depth: int) -> bytes:
    return b'{"id":"L1","x":' + b"[" * depth + b"]" * depth + b"}"


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


@pytest.mark.holds("R7")
@each
async def test_tokens(ocpi: Ocpi, version: str) -> None:
    """R7, R9, I-1 to I-5, I-9: no known token, no entry, and the answer does not echo what was sent."""
    token = await ocpi.platform(version)
    body = location(version, 1)
    for header in (
        "",
        "Token",
        "Token ",
        f"Bearer {token}",
        f"Basic {token}",
        "Token wrong",
        f"Token {token}x",
        f"Token {'x' * 5000}",
        "Token é",
    ):
        reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", body, token=token, headers={"authorization": header})
        assert (reply.status, envelope(reply)["status_code"]) == (401, 2000), header
        assert b"wrong" not in reply.body
    assert (await ocpi.stored())["location"] == []


@pytest.mark.holds("R32", "I-22")
@each
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"id":"L1",}',
        b'{"id":NaN}',
        b'{"id":Infinity}',
        b"\xff\xfe",
        b'{"id":"\xff"}',
        nested(5000),
        nested(100),
        b"<html>",
    ],
    ids=["empty", "cut", "text", "comma", "nan", "infinity", "utf16", "not utf-8", "deep", "deeper than 64", "html"],
)
async def test_not_json(ocpi: Ocpi, version: str, body: bytes) -> None:
    """R32, I-22, trap 1: HTTP 400 with 2001."""
    token = await ocpi.platform(version)
    reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", body, token=token)
    assert (reply.status, envelope(reply)["status_code"]) == (400, 2001)
    assert (await ocpi.stored())["location"] == []


@pytest.mark.holds("R38")
@each
async def test_too_large(ocpi: Ocpi, version: str) -> None:
    """R38: HTTP 413 with 2001, and the connection ends."""
    token = await ocpi.platform(version)
    reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", b" " * (LARGEST + 1), token=token)
    assert (reply.status, envelope(reply)["status_code"], reply.headers["connection"]) == (413, 2001, "close")


REFUSED: list[tuple[str, Any]] = [
    ("null", None), ("number", 7), ("text", "L1"), ("list", []), ("two", [{}, {}]), ("nothing in it", {}),
    ("other id", {"id": "L2"}), ("coordinates out of range", {"coordinates": {"latitude": "95", "longitude": "24"}}),
    ("coordinates 0/0", {"coordinates": {"latitude": "0", "longitude": "0"}}), ("no coordinates", {"coordinates": None}),
    ("coordinates #NA", {"coordinates": "#NA"}), ("huge number", {"coordinates": {"latitude": 1e300, "longitude": 10**30}}),
    ("no city", {"city": None}), ("blank address", {"address": "  "}), ("country a list", {"country": []}),
]  # fmt: skip


@pytest.mark.holds("R33")
@each
@pytest.mark.parametrize("change", [change for _, change in REFUSED], ids=[name for name, _ in REFUSED])
@pytest.mark.holds("R147", "R148", "I-78", "I-94", "I-105")
async def test_unusable_location(ocpi: Ocpi, version: str, change: Any) -> None:
    """R33, R147, R148, D10, I-78, I-94, I-105, I-117: HTTP 200 with 2001 and the path of what is wrong."""
    token = await ocpi.platform(version)
    body = {**location(version, 1), **change} if isinstance(change, dict) and change else change
    reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", body, token=token)
    assert (reply.status, envelope(reply)["status_code"]) == (200, 2001)
    assert envelope(reply)["data"]["errors"]
    stored = await ocpi.stored()
    assert stored["location"] == [] and stored["change"] == []


@pytest.mark.parametrize("version", ["2.2.1", "2.3.0"])
@pytest.mark.holds("R149", "I-79")
async def test_party_in_the_body(ocpi: Ocpi, version: str) -> None:
    """R149, I-79: another party in the body is refused where the version has parties in objects."""
    token = await ocpi.platform(version)
    for member in ({"party_id": "XYZ"}, {"country_code": "SE"}):
        reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", {**location(version, 1), **member}, token=token)
        assert (reply.status, envelope(reply)["status_code"]) == (200, 2001)
    assert (await ocpi.stored())["location"] == []


@pytest.mark.holds("R34", "R35", "R37", "R64")
@each
@pytest.mark.holds("R142", "R161", "R162", "I-82", "I-85", "I-88")
async def test_paths(ocpi: Ocpi, version: str) -> None:
    """R34–R37, R139, R142, I-82, I-85, I-88: nothing here, or not with this method, always in an envelope."""
    token = await ocpi.platform(version)
    body, base = location(version, 1), f"{version}/locations"
    objects = ["sessions", "cdrs/1", "tokens/FI/ABC/1"]
    nowhere = [
        ("PUT", base), ("PUT", f"{base}/FI"), ("PUT", f"{base}/FI/ABC"), ("PUT", f"{base}/FI/ABC/L1/U1/1/2"), ("PUT", f"{base}/SE/ABC/L1"),
        ("PUT", f"{base}/FI/XYZ/L1"), ("PUT", f"{base}/FI/ABC/null"), ("PUT", f"{base}/FI/ABC/undefined"), ("GET", base),
        *(("GET", f"{version}/{path}") for path in objects), ("GET", "nothing"), ("GET", ""),
        ("PUT", f"{base}/FI/ABC//U1"), ("PUT", f"{base}/FI/ABC/%FF"), ("PUT", f"{base}/FI/ABC/L%00"), ("POST", f"{base}/FI/ABC"),
    ]  # fmt: skip
    for method, path in nowhere:
        reply = await ocpi.send(method, path, body, token=token)
        assert reply.status == 404, (method, path, reply.body)
        assert envelope(reply)["status_code"] in (2000, 2003)
    for method in ("DELETE", "POST", "OPTIONS", "TRACE", "BREW"):
        reply = await ocpi.send(method, f"{base}/FI/ABC/L1", body, token=token)
        assert (reply.status, envelope(reply)["status_code"]) == (405, 2000)
        assert reply.headers["allow"] == "GET, PUT, PATCH"
    for method, path in (("GET", "2.0/locations"), ("PUT", "2.2/locations/FI/ABC/L1"), ("PATCH", "9.9.9/locations/FI/ABC/L1/U1")):
        reply = await ocpi.send(method, path, body, token=token)
        assert (reply.status, envelope(reply)["status_code"]) == (404, 3002), path
    assert (await ocpi.stored())["location"] == []


@each
@pytest.mark.holds("R146", "R151", "R154", "R158", "I-69", "I-70", "I-76")
async def test_stale_and_unknown(ocpi: Ocpi, version: str) -> None:
    """D6, D8, R34, R150, I-69, I-70, I-76: refused, stored state untouched, the unknown Location fetched later."""
    token = await ocpi.platform(version)
    base = f"{version}/locations/FI/ABC"
    assert (await ocpi.send("PUT", f"{base}/L1", location(version, 1), token=token)).status == 201
    before = await ocpi.stored()
    old = {"status": "BLOCKED", "last_updated": "2020-01-01T00:00:00Z"}
    stale = [
        ("PATCH", "L1/U1", old), ("PATCH", "L1/U1", {**old, "floor_level": "2"}),
        ("PATCH", "L1/U1/1", {"voltage": 400, **without(old, "status")}),
        ("PUT", "L1", {**location(version, 1), "name": "x", **without(old, "status")}),
        ("PATCH", "L1", {"name": "x", **without(old, "status")}),
    ]  # fmt: skip
    for method, path, body in stale:
        reply = await ocpi.send(method, f"{base}/{path}", body, token=token)
        assert (reply.status, envelope(reply)["status_code"]) == (200, 2001), path
        assert "last_updated" in envelope(reply)["status_message"]
    evse = location(version, 9)["evses"][0]
    for method, path, body in [
        ("PATCH", "L9/U9", {"status": "BLOCKED", "last_updated": LATER}), ("PUT", "L9/U9", evse), ("PUT", "L9/U9/1", evse["connectors"][0]),
        ("PATCH", "L1/U9", {"status": "BLOCKED", "last_updated": LATER}), ("PATCH", "L1/U1/9", {"format": "CABLE", "last_updated": LATER}),
        ("PATCH", "L9", {"name": "x", "last_updated": LATER}),
    ]:  # fmt: skip
        reply = await ocpi.send(method, f"{base}/{path}", body, token=token)
        assert (reply.status, envelope(reply)["status_code"]) == (404, 2003), path
    assert await ocpi.stored() == before
    assert {address.id for address in ocpi.repairs} == {"L1", "L9"}


@pytest.mark.parametrize("version", ["2.2.1", "2.3.0"])
@pytest.mark.holds("R153", "I-71", "I-104")
async def test_strict_patch(ocpi: Ocpi, version: str) -> None:
    """R153, I-71, I-104: without last_updated only where the platform is not set to strict."""
    strict, lenient = await ocpi.platform(version, "STR", strict_patch=True), await ocpi.platform(version, "LEN")
    for token, party, code in ((strict, "STR", 2001), (lenient, "LEN", 1000)):
        assert (await ocpi.send("PUT", f"{version}/locations/FI/{party}/L1", location(version, 1, party), token=token)).status == 201
        reply = await ocpi.send("PATCH", f"{version}/locations/FI/{party}/L1/U1", {"status": "BLOCKED"}, token=token)
        assert (reply.status, envelope(reply)["status_code"]) == (200, code)


@each
@pytest.mark.holds("R139", "R140", "R196")
async def test_nobody_sees_anothers(ocpi: Ocpi, version: str) -> None:
    """R139, R140, R196: another platform's objects do not exist for a caller, and it cannot write them."""
    mine, theirs = await ocpi.platform(version), await ocpi.platform(version, "XYZ")
    assert (await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", location(version, 1), token=mine)).status == 201
    before = await ocpi.stored()
    for method in ("GET", "PUT", "PATCH"):
        reply = await ocpi.send(method, f"{version}/locations/FI/ABC/L1", location(version, 1), token=theirs)
        assert (reply.status, envelope(reply)["status_code"]) == (404, 2000)
    assert (await ocpi.send("GET", f"{version}/locations/FI/XYZ/L1", token=theirs)).status == 404
    assert await ocpi.stored() == before
