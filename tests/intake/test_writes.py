"""PUT and PATCH at three levels: what changes, what stays, what is read back (requirements section 5, D8–D14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.asgi import Reply
from tests.e2e.cpo import location
from tests.interface import Ocpi
from tests.versions import each

LATER = "2026-03-01T00:00:00Z"


def data(reply: Reply) -> Any:
    assert reply.status in (200, 201), reply.body
    body = json.loads(reply.body)
    assert body["status_code"] == 1000, body
    return body.get("data")


async def put(ocpi: Ocpi, token: str, version: str, body: dict[str, Any], path: str = "") -> Reply:
    return await ocpi.send("PUT", path or f"{version}/locations/FI/ABC/{body['id']}", body, token=token)


@each
@pytest.mark.holds("R145", "R150", "R152", "R169")
async def test_siblings_stay(ocpi: Ocpi, version: str) -> None:
    """R145, R152: a write to one EVSE or connector leaves the others and the Location as they are."""
    token, body = await ocpi.platform(version), location(version, 1)
    second = {**body["evses"][0], "uid": "U2", "evse_id": "FI*ABC*E2"}
    body["evses"].append(second)
    data(await put(ocpi, token, version, body))
    base = f"{version}/locations/FI/ABC/L1"
    data(await ocpi.send("PATCH", f"{base}/U1", {"status": "OUTOFORDER", "last_updated": LATER}, token=token))
    data(await ocpi.send("PATCH", f"{base}/U1/1", {"format": "CABLE", "last_updated": LATER}, token=token))
    extra = {**body["evses"][0]["connectors"][0], "id": "2", "last_updated": LATER}
    assert (await put(ocpi, token, version, extra, f"{base}/U2/2")).status == 201
    read = data(await ocpi.send("GET", base, token=token))
    first, other = read["evses"]
    assert (first["status"], first["connectors"][0]["format"]) == ("OUTOFORDER", "CABLE")
    assert (other["status"], [c["id"] for c in other["connectors"]]) == ("AVAILABLE", ["1", "2"])
    assert {k: v for k, v in read.items() if k not in ("evses", "last_updated")} == {
        k: v for k, v in body.items() if k not in ("evses", "last_updated")
    }
    assert read["last_updated"] == LATER  # R150


@each
@pytest.mark.holds("R143", "I-74", "I-75")
async def test_put_of_the_location_without_evses(ocpi: Ocpi, version: str) -> None:
    """D12, I-74, I-75: an absent list keeps the EVSEs, an empty one withdraws them, and none is erased."""
    token, body = await ocpi.platform(version), location(version, 1)
    data(await put(ocpi, token, version, body))
    bare = {k: v for k, v in body.items() if k != "evses"}
    data(await put(ocpi, token, version, {**bare, "name": "new", "last_updated": LATER}))
    read = data(await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token))
    assert (read["name"], len(read["evses"])) == ("new", 1)
    data(await put(ocpi, token, version, {**body, "evses": [], "last_updated": "2026-03-02T00:00:00Z"}))
    assert not data(await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token)).get("evses")
    rows = await ocpi.db.fetch_all("SELECT withdrawn_reason FROM evse_state")
    assert rows == [("omitted",)]


@each
@pytest.mark.holds("R155", "I-72", "I-73")
async def test_patch_of_nested_evses(ocpi: Ocpi, version: str) -> None:
    """D13, I-72, I-73: nested EVSEs are merged by uid, an unknown one that is incomplete is left out; value lists are replaced."""
    token, body = await ocpi.platform(version), location(version, 1)
    data(await put(ocpi, token, version, body))
    known = {"uid": "U1", "status": "CHARGING", "capabilities": ["RESERVABLE"], "last_updated": LATER}
    patch = {"evses": [known, {"uid": "U9", "status": "BLOCKED"}], "last_updated": LATER}
    data(await ocpi.send("PATCH", f"{version}/locations/FI/ABC/L1", patch, token=token))
    read = data(await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token))
    assert [(e["uid"], e["status"], e["capabilities"]) for e in read["evses"]] == [("U1", "CHARGING", ["RESERVABLE"])]
    await ocpi.issues.flush()
    assert ("unknown_evse",) in await ocpi.db.fetch_all("SELECT rule FROM issue")


@each
@pytest.mark.holds("R156", "I-98")
async def test_nulls(ocpi: Ocpi, version: str) -> None:
    """D14, I-98: null clears what is optional and is refused for what is required."""
    token, body = await ocpi.platform(version), {**location(version, 1), "charging_when_closed": True}
    data(await put(ocpi, token, version, body))
    base = f"{version}/locations/FI/ABC/L1"
    data(await ocpi.send("PATCH", base, {"charging_when_closed": None, "last_updated": LATER}, token=token))
    assert "charging_when_closed" not in data(await ocpi.send("GET", base, token=token))
    for path, member in ((base, "city"), (f"{base}/U1", "status"), (f"{base}/U1/1", "standard")):
        reply = await ocpi.send("PATCH", path, {member: None, "last_updated": "2026-03-02T00:00:00Z"}, token=token)
        assert (reply.status, json.loads(reply.body)["status_code"]) == (200, 2001)


@each
@pytest.mark.holds("R138", "I-81", "I-83")
async def test_ids(ocpi: Ocpi, version: str) -> None:
    """R45, R138, I-81, I-83: decoded after the split; case folded from 2.2.1 on, the first spelling is kept."""
    token = await ocpi.platform(version)
    for identity, path in (("FI*1/2", "FI%2A1%2F2"), ("Ääkkönen #1", "%C3%84%C3%A4kk%C3%B6nen%20%231"), ("a::b", "a::b")):
        body = {**location(version, 1), "id": identity}
        assert (await put(ocpi, token, version, body, f"{version}/locations/FI/ABC/{path}")).status == 201
        assert data(await ocpi.send("GET", f"{version}/locations/fi/abc/{path}/", token=token))["id"] == identity
    assert (await put(ocpi, token, version, {**location(version, 1), "id": "Mixed"})).status == 201
    lower = await ocpi.send("GET", f"{version}/locations/FI/ABC/mixed", token=token)
    if version == "2.1.1":
        assert lower.status == 404
    else:
        assert data(lower)["id"] == "Mixed"


@each
@pytest.mark.holds("R172", "I-78", "I-86", "I-89", "I-93", "I-94", "I-96", "I-99", "I-106")
async def test_tolerated_forms(ocpi: Ocpi, version: str) -> None:
    """I-78, I-86, I-89, I-93 to I-96, I-99, I-106: stored, answered 1000, and recorded as issues."""
    token, body = await ocpi.platform(version), location(version, 1)
    body |= {"coordinates": {"latitude": 60.1699, "longitude": "24,9384"}, "country": "FI", "postal_code": 100, "name": ""}
    body["evses"][0] |= {"status": "available", "floor_level": 2}
    body["evses"].append({"uid": "GONE", "status": "REMOVED", "last_updated": LATER})
    reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", {"data": body}, token=token)
    assert reply.status == 201 and json.loads(reply.body)["status_code"] == 1000
    await ocpi.issues.flush()
    rules = {rule for (rule,) in await ocpi.db.fetch_all("SELECT rule FROM issue WHERE NOT refused")}
    assert {"wrapped", "country_alpha2"} <= rules
    assert (await ocpi.db.fetch_all("SELECT status FROM evse_state ORDER BY uid_key")) in (
        [("REMOVED",), ("AVAILABLE",)], [("AVAILABLE",), ("REMOVED",)],
    )  # fmt: skip


@each
@pytest.mark.holds("R152")
async def test_one_status_is_one_statement(ocpi: Ocpi, version: str) -> None:
    """The hot path: a status PATCH is one transaction of one statement, whatever the batch."""
    token, body = await ocpi.platform(version), location(version, 1)
    data(await put(ocpi, token, version, body))
    before = await ocpi.stored()
    data(await ocpi.send("PATCH", f"{version}/locations/FI/ABC/L1/U1", {"status": "CHARGING", "last_updated": LATER}, token=token))
    after = await ocpi.stored()
    assert after["location"] == before["location"] and after["evse"] == before["evse"]
    changed = [row for row in after["change"] if row not in before["change"]]
    assert [(row[3], row[5], row[7]) for row in changed] == [
        ("status", body["evses"][0]["uid"] if version == "2.1.1" else "u1", "CHARGING")
    ]


@each
async def test_an_endpoint_url_without_the_slash(ocpi: Ocpi, version: str) -> None:
    """A widespread library appends the country code to our endpoint's URL as it is; nothing else is read into a glued path."""
    token, body = await ocpi.platform(version), location(version, 1)
    assert (await put(ocpi, token, version, body, f"{version}/locationsFI/ABC/L1")).status == 201
    assert data(await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token))["id"] == "L1"
    for path in ("locationsFIN/ABC/L1", "locationsF/ABC/L1", "credentialsFI/ABC/L1", "locationsFI", "locationsFI/ABC"):
        assert (await put(ocpi, token, version, body, f"{version}/{path}")).status == 404
