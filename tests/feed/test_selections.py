"""Parts of the network: by operator, box and time, in the same pages; and one location (beside the contract)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from ocpi_nap.store.database import Database
from tests.asgi import call
from tests.feed.conftest import settled
from tests.feed.network import Network

BASE = "/api/charging-network/v1"


def at(longitude: float, latitude: float) -> dict[str, Any]:
    return {"coordinates": {"longitude": f"{longitude:.6f}", "latitude": f"{latitude:.6f}"}}


async def found(app: Any, query: str) -> list[str]:
    """The same EVSEs whether asked for as locations or as statuses."""
    features = (await call(app, f"{BASE}/locations?{query}")).json()["features"]
    statuses = (await call(app, f"{BASE}/locations/statuses?{query}")).json()["statuses"]
    assert [evse["id"] for feature in features for evse in feature["properties"]["evses"]] == [row["evseId"] for row in statuses]
    return [row["evseId"].split("*", 1)[1] for row in statuses]


async def test_selections(app: Any, database: Database) -> None:
    made = await Network.create(database, "ABC", "DEF", "XYZ")
    places = (("ABC", at(24.9, 60.2)), ("DEF", at(24.9, 60.2)), ("XYZ", at(25.5, 65.0)), ("XYZ", at(-20.5, 0)))
    for number, (party, place) in enumerate(places):
        await made.put([number], party, **place)
    await settled(database)
    everything = ["ABC*E0", "DEF*E1", "XYZ*E2", "XYZ*E3"]
    assert await found(app, "operator=FI*XYZ") == everything[2:]
    assert await found(app, "operator=fi%2Adef,FI*ABC") == await found(app, "operator=FI*DEF&operator=FI*ABC") == everything[:2]
    assert await found(app, "operator=FI*NOT") == []
    assert await found(app, "bbox=24,60,25,61") == everything[:2]
    assert await found(app, "bbox=24.9,60.2,24.9,60.2") == everything[:2]  # its edges belong to it
    assert await found(app, "bbox=-180,-90,180,90") == everything
    assert await found(app, "bbox=24,60,26,66&operator=FI*XYZ,FI*ABC") == ["ABC*E0", "XYZ*E2"]
    assert await found(app, "unknown=1") == everything
    await made.withdraw([2])
    await settled(database)
    assert await found(app, "operator=FI*XYZ") == ["XYZ*E3"]
    moment = (await call(app, f"{BASE}/locations?operator=FI*XYZ")).json()["modifiedAt"]
    assert await found(app, f"modifiedSince={moment}&operator=FI*XYZ") == []  # what went is no row


async def test_changed_since(app: Any, database: Database) -> None:
    """Of statuses those that changed, of locations all in which something did."""
    made = await Network.create(database)
    second = {"uid": "U90", "evse_id": "FI*ABC*E90", "status": "AVAILABLE", "last_updated": "2026-01-01T10:00:00Z"}
    connector = {"id": "1", "standard": "CHADEMO", "format": "CABLE", "power_type": "DC", "max_voltage": 400, "max_amperage": 100,
                 "last_updated": "2026-01-01T10:00:00Z"}  # fmt: skip
    first = {**second, "uid": "U1", "evse_id": "FI*ABC*E1"}
    await made.put([1], evses=[{**first, "connectors": [connector]}, {**second, "connectors": [connector]}])
    await made.put([2])
    await made.status([1], "CHARGING")
    await settled(database)
    rows = (await call(app, f"{BASE}/locations/statuses")).json()["statuses"]
    changed = next(row for row in rows if row["status"] == "CHARGING")
    later = f"{BASE}/locations/statuses?modifiedSince={changed['modifiedAt']}"
    assert (await call(app, later)).json()["statuses"] == [changed]
    features = (await call(app, later.replace("/statuses", ""))).json()["features"]
    assert [f["properties"]["id"] for f in features] == ["L1"]
    after = quote("2099-01-01T00:00:00+02:00")
    assert (await call(app, f"{BASE}/locations?modifiedSince={after}")).json()["features"] == []


async def test_pages_of_a_selection(app: Any, database: Database) -> None:
    """500 of what is asked for, and cursors that go on with the same parameters."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put(range(300), "ABC", **at(24, 60))
    await made.put(range(300, 1000), "XYZ", **at(24, 60))
    await settled(database)
    query = "operator=FI*XYZ&bbox=23,59,25,61&limit=500"
    first = await call(app, f"{BASE}/locations?{query}")
    page = first.json()
    assert (len(page["features"]), page["pagination"]["limit"]) == (500, 500)
    again = await call(app, f"{BASE}/locations?{query}", headers={"if-none-match": first.headers["etag"]})
    assert again.status == 304
    rest = (await call(app, f"{BASE}/locations?{query}&cursor={page['pagination']['nextCursor']}")).json()
    assert len(rest["features"]) == 200 and "nextCursor" not in rest["pagination"]
    assert {f["properties"]["operator"]["id"] for f in page["features"] + rest["features"]} == {"FI*XYZ"}


@pytest.mark.parametrize("path", ["locations", "locations/statuses"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("bbox=", "Bbox must be west,south,east,north in degrees"),
        ("bbox=1,2,3", "Bbox must be west,south,east,north in degrees"),
        ("bbox=25,60,24,61", "Bbox must be west,south,east,north in degrees"),
        ("bbox=nan,0,1,1", "Bbox must be west,south,east,north in degrees"),
        ("bbox=0,0,1,91", "Bbox must be west,south,east,north in degrees"),
        ("operator=", "Operator must be an operator id such as FI*ABC, several separated by commas"),
        ("operator=FI*ABC,ABC", "Operator must be an operator id such as FI*ABC, several separated by commas"),
        ("operator=" + ",".join(["FI*ABC"] * 101), "At most 100 operators can be named"),
        ("modifiedSince=yesterday", "ModifiedSince must be a time such as 2026-06-18T10:42:38Z"),
        ("modifiedSince=2026-06-18T10:42:38", "ModifiedSince must be a time such as 2026-06-18T10:42:38Z"),
    ],
)
async def test_parameters_that_cannot_be_read(app: Any, path: str, query: str, message: str) -> None:
    reply = await call(app, f"{BASE}/{path}?{query}")
    assert (reply.status, reply.body.decode(), reply.headers["content-type"]) == (400, message, "text/plain")


async def test_one_location(app: Any, database: Database) -> None:
    """The feature as in the pages; ids are verbatim, also those with slashes; nothing hidden is told."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put([1, 2], "ABC")
    await made.put([1], "XYZ")
    await made.put([3], "ABC", id="a/b c")
    await made.withdraw([2])
    await settled(database)
    features = (await call(app, f"{BASE}/locations")).json()["features"]
    pages = {(f["properties"]["operator"]["id"], f["properties"]["id"]): f for f in features}
    for (operator, row_id), feature in pages.items():
        reply = await call(app, f"{BASE}/locations/{operator}/{row_id}")
        assert (reply.status, reply.json()) == (200, feature)
        assert reply.headers["content-type"] == "application/geo+json;charset=UTF-8"
        again = await call(app, f"{BASE}/locations/{operator}/{row_id}", headers={"if-none-match": reply.headers["etag"]})
        assert again.status == 304
    assert len(pages) == 3
    for path in ("FI*ABC/L2", "FI*ABC/L", "FI*ABC/L11", "FI*NOT/L1", "ABC/L1", "FI*ABC/", "FI*ABC/l1"):
        missing = await call(app, f"{BASE}/locations/{path}")
        assert (missing.status, missing.json()) == (404, {"message": "Not Found"}), path
