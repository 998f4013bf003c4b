"""A bounded, seeded fuzzer over the Receiver: no 5xx, no answer without envelope, nothing stored that was refused (R27, R39)."""

from __future__ import annotations

import copy
import json
import random
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.cpo import location, tariff
from tests.interface import Ocpi

REQUESTS = 7_000
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, -(10**30), 1e308, 1e-320, "1e400", "", " ", "x", "x" * 5000,
    "\u0000", "\ud800", "\u202e", "NaN", "null", "#NA", "é😀", "%00", "../../etc", "DROP TABLE location;",
    "2026-13-45T99:99:99Z", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00",
    [], {}, [[]], [None], [{}], {"a": None}, ["x", 1, None], {"id": "x"}, [{"language": "fi", "text": None}],
]  # fmt: skip
MEMBERS = ["id", "uid", "evses", "connectors", "status", "data", "x", "last_updated", "\u0000"]
SEGMENTS = [
    "FI", "fi", "SE", "ABC", "abc", "XYZ", "L1", "U1", "1", "*", "..", "%2F", "%00", "%FF", "null", "", "a" * 300, "é", "L1;x", "😀",
    " ", "{}", "::",
]  # fmt: skip


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [prefix] if prefix else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += paths(child, (*prefix, key))
    return found


def mutate(chance: random.Random, body: Any) -> Any:
    """One to four members anywhere replaced, removed, doubled or renamed."""
    body = copy.deepcopy(body)
    for _ in range(chance.randint(1, 4)):
        places = paths(body)
        if not places:
            return body
        *way, last = chance.choice(places)
        parent = body
        for key in way:
            parent = parent[key]
        kind = chance.random()
        if kind < 0.6:
            parent[last] = copy.deepcopy(chance.choice(VALUES))
        elif kind < 0.75:
            del parent[last]
        elif kind < 0.85 and isinstance(parent, dict):
            parent[chance.choice(["id", "uid", "evses", "connectors", "status", "data", "x", "last_updated", "\u0000"])] = chance.choice(
                VALUES
            )
        else:
            parent[last] = [copy.deepcopy(parent[last]) for _ in range(chance.choice([1, 3]))]
    return body


def encoded(chance: random.Random, body: Any) -> bytes:
    """JSON, and now and then not quite."""
    data = json.dumps(body).encode()
    kind = chance.random()
    if kind < 0.04:
        return data[: chance.randrange(len(data) + 1)]
    if kind < 0.08:
        at = chance.randrange(len(data) + 1)
        return data[:at] + bytes([chance.randrange(256)]) + data[at:]
    return data


@pytest.mark.parametrize("version", ["2.1.1", "2.2.1", "2.3.0"])
async def test_fuzz(ocpi: Ocpi, version: str) -> None:
    token, chance = await ocpi.platform(version), random.Random(f"seed {version}")
    whole, evse, price = location(version, 1), location(version, 1)["evses"][0], tariff(version)
    status = {"status": "CHARGING", "last_updated": "2026-02-01T00:00:00Z"}
    targets = [
        ("locations/FI/ABC/L1", whole), ("locations/FI/ABC/L1/U1", evse), ("locations/FI/ABC/L1/U1/1", evse["connectors"][0]),
        ("locations/FI/ABC/L1/U1", status), ("tariffs/FI/ABC/T1", price), ("credentials", {"token": "x", "url": "y"}),
    ]  # fmt: skip
    await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", whole, token=token)
    seen: set[int] = set()
    for _ in range(REQUESTS):
        path, body = chance.choice(targets)
        method = chance.choice(["PUT", "PATCH", "PUT", "PATCH", "GET", "POST"])
        if path == "credentials" and method in ("PUT", "POST"):
            body, method = chance.choice(VALUES), "PUT"  # a well-formed one would make us call a URL
        if chance.random() < 0.15:
            parts = path.split("/")
            parts[chance.randrange(len(parts))] = quote(chance.choice(SEGMENTS), safe="%")
            path = "/".join(parts)
        data = encoded(chance, mutate(chance, body) if isinstance(body, dict) else body)
        reply = await ocpi.send(method, f"{version}/{path}", data, token=token)
        assert reply.status < 500, (method, path, data, reply.body)
        if reply.body:
            envelope = json.loads(reply.body)
            assert isinstance(envelope["status_code"], int) and envelope["timestamp"], (method, path, data)
            assert len(envelope.get("status_message") or "") <= 255
        seen.add(reply.status)
    assert {200, 400, 404, 405} <= seen
    await ocpi.issues.flush()
    read = await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token)
    assert read.status == 200
