"""A bounded, seeded fuzzer over the Receiver: 21,000 requests, structure-aware and hostile (R27, R39, R158).

After each: no 5xx, an envelope, an answer that the requirements know, and not one row written when it was refused.
"""

from __future__ import annotations

import base64
import copy
import json
import random
from collections import Counter
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.asgi import Reply
from tests.e2e.cpo import location, tariff
from tests.interface import TABLES, Ocpi
from tests.versions import each

PARTS, REQUESTS = 4, 1_750
"""In each version so many tests, which run beside each other, of so many requests."""
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    -(10**30),
    1e308,
    1e-320,
    "1e400",
    "",
    " ",
    "x",
    "x" * 5000,
    "\u0000",
    "\ud800",
    "\u202e",
    "NaN",
    "null",
    "#NA",
    "é😀",
    "%00",
    "../../etc",
    "DROP TABLE location;",
    "${jndi:ldap://x}",
    "<script>",
    "2026-13-45T99:99:99Z",
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "1e309",
    "-0",
    "١٢",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"a": None},
    ["x", 1, None],
    {"id": "x"},
    [{"language": "fi", "text": None}],
    {"": {"": []}},
    [[[[[]]]]],
    "REMOVED",
    "available",
    "IEC_62196_T2",
    {"uid": "U1"},
    [{"uid": "U1"}, {"uid": "u1"}],
    [{"id": "1"}, {"id": 1}, {"id": [1]}],
]
MEMBERS = [
    "id",
    "uid",
    "evses",
    "connectors",
    "status",
    "data",
    "x",
    "last_updated",
    "\u0000",
    "",
    "country_code",
    "party_id",
    "publish",
    "coordinates",
    "opening_times",
    "images",
    "parking",
    "parking_places",
    "tariff_ids",
    "elements",
    "energy_mix",
    "__proto__",
]
SEGMENTS = [
    "FI",
    "fi",
    "SE",
    "ABC",
    "abc",
    "XYZ",
    "L1",
    "U1",
    "1",
    "*",
    "..",
    ".",
    "%2F",
    "%2f%2e%2e",
    "%00",
    "%FF",
    "%C3",
    "%u0041",
    "%",
    "null",
    "undefined",
    "",
    "a" * 300,
    "é",
    "L1;x",
    "😀",
    " ",
    "{}",
    "::",
    "//",
    "\\",
    "L1?x=1",
    "L1#x",
    "%0d%0aX: y",
    "..;",
    "~1",
    "'",
]
METHODS = [*["PUT", "PATCH"] * 3, "GET", "POST", "DELETE", "HEAD", "OPTIONS", "put", "TRACE", "PROPFIND", "", "X" * 50]
HEADERS: list[dict[str, str]] = [
    {"content-type": "text/plain"},
    {"content-type": "application/json; charset=utf-16"},
    {"content-encoding": "gzip"},
    {"transfer-encoding": "chunked"},
    {"x-request-id": "é" * 10},
    {"x-correlation-id": "y" * 9000},
    {"ocpi-from-country-code": "\u00a0"},
    {"ocpi-to-party-id": "ZZZ", "ocpi-from-party-id": "QQQ"},
    {"upgrade": "h2c"},
    {"content-length": "-1"},
    {"x-http-method-override": "PUT"},
    {"expect": "100-continue"},
    {"host": "evil.example"},
    {"accept": "text/html"},
    {"content-type": ""},
]
ANSWERS = {
    (200, 1000),
    (201, 1000),
    (200, 2001),
    (200, 2002),
    (400, 2001),
    (401, 2000),
    (404, 2000),
    (404, 2003),
    (404, 3002),
    (405, 2000),
    (413, 2001),
}
"""HTTP status and OCPI status code that belong together (requirements 1.3, 1.4)."""


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [prefix] if prefix else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += paths(child, (*prefix, key))
    return found


def mutate(chance: random.Random, body: Any) -> Any:
    """One to four members anywhere replaced, removed, doubled, renamed, moved, or with another's value."""
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
        if kind < 0.5:
            parent[last] = copy.deepcopy(chance.choice(VALUES))
        elif kind < 0.65:
            del parent[last]
        elif kind < 0.8 and isinstance(parent, dict):
            parent[chance.choice(MEMBERS)] = copy.deepcopy(chance.choice(VALUES))
        elif kind < 0.9:
            other = body
            for key in chance.choice(paths(body))[:3]:
                other = other[key]
            parent[last] = copy.deepcopy(other)
        else:
            parent[last] = [copy.deepcopy(parent[last]) for _ in range(chance.choice([1, 3]))]
    return body


def encoded(chance: random.Random, body: Any) -> bytes:
    """JSON, and now and then not quite."""
    data = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    kind, at = chance.random(), chance.randrange(len(data) + 1)
    if kind < 0.04:
        return data[:at]
    if kind < 0.08:
        return data[:at] + bytes([chance.randrange(256)]) + data[at:]
    if kind < 0.1:
        return chance.choice(
            [b"\xef\xbb\xbf" + data, data.decode("utf-8", "replace").encode("utf-16"), data + data, b"[" * 200 + data, b" " * 9]
        )
    if kind < 0.12:
        return data.replace(b"2026", chance.choice([b"NaN", b"1e999", b"\\u0000", b"\\ud800", b"-"]))
    return data


def hostile_path(chance: random.Random, path: str) -> str:
    parts = path.split("/")
    for _ in range(chance.choice([1, 1, 2])):
        segment = quote(chance.choice(SEGMENTS), safe="%/;?#\\'") if chance.random() < 0.7 else quote(chance.choice(SEGMENTS), safe="")
        kind = chance.random()
        if kind < 0.7:
            parts[chance.randrange(len(parts))] = segment
        elif kind < 0.85:
            parts.insert(chance.randrange(len(parts) + 1), segment)
        else:
            del parts[chance.randrange(len(parts))]
            parts = parts or [""]
    return "/".join(parts)


def authorization(chance: random.Random, token: str) -> str:
    encoded_token = base64.b64encode(token.encode()).decode()
    return chance.choice(
        [
            "",
            "Token",
            "Token ",
            f"Bearer {token}",
            "Token wrong",
            f"Token {token}x",
            f"Token {'x' * 5000}",
            f"Token {encoded_token}",
            token,
            f"Token {base64.b64encode(encoded_token.encode()).decode()}",
            "Token \u00e9",
            f"Token {token[:-1]}",
            f"Token {token.upper()}",
            "Basic Og==",
            f"Token Token {token}",
            "Token token.aaa",
        ]
    )


def check(reply: Reply, method: str) -> bool:
    """The answer is one that the requirements know; True when it accepted something."""
    assert reply.status < 500
    assert reply.headers["content-type"] == "application/json" and reply.headers["x-request-id"] and reply.headers["x-correlation-id"]
    if method == "HEAD":
        assert reply.body == b""
        return False
    envelope = json.loads(reply.body)
    assert (reply.status, envelope["status_code"]) in ANSWERS, envelope
    assert envelope["timestamp"].endswith("Z") and len(envelope.get("status_message") or "") <= 255
    assert envelope["status_code"] == 1000 or len(json.dumps(envelope)) < 40_000
    return bool(envelope["status_code"] == 1000 and method in ("PUT", "PATCH", "DELETE"))


def count_writes(dsn: str) -> psycopg.Connection[Any]:
    """Every row written to a table of the network counts in the sequence ``writes``, whether or not it is committed."""
    conn = psycopg.connect(dsn, autocommit=True)
    conn.execute("CREATE SEQUENCE writes START 1")
    conn.execute("SELECT nextval('writes')")
    conn.execute("CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''writes''); RETURN NULL; END'")
    for table in TABLES:
        conn.execute(
            f"CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION count_write()".encode()
        )
    return conn


@pytest.mark.parametrize("part", range(PARTS))
@each
@pytest.mark.holds("R27", "R32", "R33", "R39", "R47", "R138", "R139", "R140", "R158", "R200", "I-22", "I-84")
async def test_fuzz(ocpi: Ocpi, version: str, part: int, dsn: str) -> None:
    token, other = await ocpi.platform(version), await ocpi.platform(version, "XYZ")
    chance = random.Random(f"seed {version} {part}")
    whole, price = location(version, 1), tariff(version)
    whole["evses"].append({**whole["evses"][0], "uid": "U2", "evse_id": None})
    evse = whole["evses"][0]
    status = {"status": "CHARGING", "last_updated": "2026-02-01T00:00:00Z"}
    for party, holder in (("ABC", token), ("XYZ", other)):
        reply = await ocpi.send("PUT", f"{version}/locations/FI/{party}/L1", {**whole, "party_id": party}, token=holder)
        assert reply.status == 201
        await ocpi.send("PUT", f"{version}/tariffs/FI/{party}/T1", {**price, "party_id": party}, token=holder)
    targets = [
        ("locations/FI/ABC/L1", whole),
        ("locations/FI/ABC/L1/U1", evse),
        ("locations/FI/ABC/L1/U1/1", evse["connectors"][0]),
        ("locations/FI/ABC/L1/U1", status),
        ("locations/FI/ABC/L1", {"evses": [{**status, "uid": "U1"}], "last_updated": "2026-02-01T00:00:00Z"}),
        ("tariffs/FI/ABC/T1", price),
        ("locations/FI/XYZ/L1/U1", status),
        ("credentials", {"token": "x", "url": "y", "roles": []}),
        ("", {}),
    ]
    foreign = (
        "SELECT l.*, e.*, s.* FROM location l JOIN evse e ON e.location_pk = l.pk JOIN evse_state s USING (location_pk, uid_key)"
        " WHERE l.party_id = 'XYZ' ORDER BY l.pk, s.uid_key"
    )
    theirs = await ocpi.db.fetch_all(foreign)
    counter = count_writes(dsn)
    seen: Counter[tuple[int, bool]] = Counter()
    written = 1
    for _ in range(REQUESTS):
        path, body = chance.choice(targets)
        method = chance.choice(METHODS)
        if path == "credentials" and method in ("PUT", "POST"):
            body = chance.choice(VALUES)  # a well-formed one would make us call a URL
        path = hostile_path(chance, path) if chance.random() < 0.15 else path
        headers = dict(chance.choice(HEADERS)) if chance.random() < 0.1 else {}
        if chance.random() < 0.06:
            headers["authorization"] = authorization(chance, token)
        if path == "credentials" and method == "DELETE":
            method = "GET"  # it would end the connection
        data = encoded(chance, mutate(chance, body) if isinstance(body, dict) and body else body)
        reply = await ocpi.send(method, f"{version}/{path}", data, token=token, headers=headers)
        try:
            accepted = check(reply, method)
            now = counter.execute("SELECT last_value FROM writes").fetchone()
            assert now is not None and (accepted or now[0] == written), "a refused request wrote"
        except (AssertionError, ValueError, KeyError) as error:
            raise AssertionError(f"{method} {path} {headers} {data[:2000]!r}: {reply.status} {reply.body[:500]!r}: {error}") from error
        written = now[0]
        seen[reply.status, accepted] += 1
    assert {200, 400, 401, 404, 405} <= {status for status, _ in seen} and min(seen[200, True], seen[200, False]) > REQUESTS // 50, seen
    assert await ocpi.db.fetch_all(foreign) == theirs
    assert await ocpi.db.fetch_all("SELECT DISTINCT country_code, party_id FROM location ORDER BY 2") == [("FI", "ABC"), ("FI", "XYZ")]
    counter.close()
    await ocpi.issues.flush()
    for level in ("", "/U1", "/U2"):
        read = await ocpi.send("GET", f"{version}/locations/FI/ABC/L1{level}", token=token)
        assert read.status in (200, 404)
