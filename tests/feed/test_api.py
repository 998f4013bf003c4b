"""The public API: the real service's samples served equal field by field, and the HTTP rules of contract section 0."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ocpi_nap.intake.batches import write_documents
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.model import objects
from ocpi_nap.model.platform import Operator, PlatformSettings
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.store import registry
from ocpi_nap.store.database import Database
from tests.asgi import call
from tests.feed.conftest import Api, settled
from tests.feed.network import Network

BASE = "/api/charging-network/v1"
V = VERSIONS["2.3.0"]


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def to_ocpi(feature: dict[str, Any], statuses: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The OCPI 2.3.0 Location that a published feature came from."""
    p = feature["properties"]
    lon, lat = feature["geometry"]["coordinates"]
    evses = []
    for evse in p["evses"]:
        connectors = [
            {snake(k): v for k, v in c.items() if k not in ("createdAt", "modifiedAt")} | {"id": str(i), "last_updated": c["modifiedAt"]}
            for i, c in enumerate(evse["connectors"])
        ]
        kept = ("capabilities", "floorLevel", "physicalReference", "acceptedServiceProviders")
        evses.append(
            {snake(k): evse[k] for k in kept}
            | {"uid": evse["id"], "evse_id": evse["id"], "status": statuses[evse["id"]]["status"]}
            | {"connectors": connectors, "last_updated": evse["modifiedAt"]}
        )
    hours = p.get("openingTimes")
    return {
        "country_code": p["operator"]["countryCode"], "party_id": p["operator"]["partyId"], "id": p["id"], "publish": True,
        "name": p["name"], "parking_type": p.get("parkingType"), "charging_when_closed": p.get("chargingWhenClosed"),
        "opening_times": hours and {"twentyfourseven": hours["twentyFourSeven"], "regular_hours": hours["regularHours"]},
        "operator": p["operator"]["details"], "address": p["address"]["street"], "city": p["address"]["city"],
        "postal_code": p["address"].get("postalCode"), "country": p["address"]["countryCode"], "time_zone": "Europe/Helsinki",
        "coordinates": {"latitude": str(lat), "longitude": str(lon)}, "evses": evses, "last_updated": p["modifiedAt"],
    }  # fmt: skip


async def load(db: Database, operators: list[dict[str, Any]], features: list[dict[str, Any]], statuses: dict[str, Any]) -> None:
    async with db.transaction() as conn:
        values = {
            "name": "sample", "environment": "production", "versions_url": "https://cpo.example", "country_code": "FI", "party_id": "PLT",
            "token_encoding": "raw",
        }  # fmt: skip
        platform = await registry.insert_platform(conn, values)
        known = [
            Operator(country_code=o["countryCode"], party_id=o["partyId"], name=o["details"]["name"], details=o["details"])
            for o in operators
        ]
        await registry.insert_operators(conn, platform, "production", known)
        await registry.visible_change(conn)
    for feature in features:
        p = feature["properties"]
        raw = to_ocpi(feature, statuses)
        party = (raw["country_code"], raw["party_id"])
        created = datetime.fromisoformat(p["createdAt"])
        context = Context(platform, V, PlatformSettings(), "push", created)
        # created long before the source's last change: the receipt must not look 24 h behind it
        context.received_at = datetime.fromisoformat(p["modifiedAt"])
        key = (platform, *party, V.id_key(p["id"]))
        outcomes = await write_documents(db, [prepare_put(Operation("put", "location", NodeKey(*party, p["id"]), key, context, raw))])
        assert outcomes[0].created
        await db.execute("UPDATE location SET created_at = %s WHERE id = %s AND party_id = %s", (created, p["id"], party[1]))
        for evse in p["evses"]:
            row = await db.fetch_one("SELECT location_pk, doc FROM evse WHERE public_id = %s", (evse["id"],))
            assert row is not None
            doc = objects.decode_evse(row[1])
            for connector, sent in zip(doc.connectors, evse["connectors"], strict=True):
                connector.created_at = datetime.fromisoformat(sent["createdAt"])
            await db.execute(
                "UPDATE evse SET created_at = %s, doc = %s, modified_at = %s WHERE public_id = %s",
                (datetime.fromisoformat(evse["createdAt"]), objects.encode(doc), datetime.fromisoformat(evse["modifiedAt"]), evse["id"]),
            )
            await db.execute(
                "UPDATE evse_state SET status_at = %s WHERE uid_key = %s",
                (datetime.fromisoformat(statuses[evse["id"]]["modifiedAt"]), V.id_key(evse["id"])),
            )
    # what was changed behind the intake's back
    await db.execute("INSERT INTO change (kind, location_pk) SELECT 'location', pk FROM location")
    await db.notify("feed")


async def test_the_real_samples_are_served_equal(api: Api, database: Database, shared: Path) -> None:
    """Contract sections 1, 2 and 3 against the stored answers of the real service."""
    samples = shared / "fintraffic-api" / "samples"
    operators = json.loads((samples / "operators.full.2026-06-18.json").read_text())
    locations = json.loads((samples / "locations-all.excerpt.2026-06-18.json").read_text())["features"]
    statuses = {s["evseId"]: s for s in json.loads((samples / "statuses-all.excerpt.2026-06-18.json").read_text())["statuses"]}
    ids = {evse["id"] for feature in locations for evse in feature["properties"]["evses"]}
    unseen = {i: {"evseId": i, "modifiedAt": "2026-06-01T00:00:00.000Z", "status": "AVAILABLE"} for i in ids}
    await load(database, operators, locations, unseen | statuses)
    app = await api()  # what `load` sets by hand is in no change
    await settled(database)
    assert (await call(app, f"{BASE}/operators")).json() == operators
    served = {f["properties"]["id"]: f for f in (await call(app, f"{BASE}/locations/all")).json()["features"]}
    for feature in locations:
        shown = served[feature["properties"]["id"]]
        assert shown == feature
        assert json.dumps(shown["properties"]["evses"]) == json.dumps(feature["properties"]["evses"])  # key order
    rows = {s["evseId"]: s for s in (await call(app, f"{BASE}/locations/statuses")).json()["statuses"]}
    assert {i: rows[i] for i in ids & set(statuses)} == {i: statuses[i] for i in ids & set(statuses)}


async def test_details_that_are_not_as_ocpi_has_them(app: Any, database: Database) -> None:
    """Typed clients read them: what has another name or type is left out, and a name there is always (contract sections 1 and 2)."""
    made = await Network.create(database)
    logo = {"url": "https://l.example/l.svg", "type": "SVG", "category": None, "width": "150", "height": 150.0, "alt": ["x"]}
    await made.put([1], operator={"name": "Lataus Oy", "website": 7, "email": "a@l.example", "logo": logo})
    await made.put([2], operator={"name": ["Lataus"], "website": "https://l.example"})
    await made.put([3], operator={"name": "Lataus Oy", "website": None, "logo": {"url": 1, "width": 150}})
    shown = {"logo": {"url": "https://l.example/l.svg", "type": "SVG", "height": 150}, "name": "Lataus Oy"}
    await database.execute("""UPDATE operator SET details = '{"name": 7, "phone": "1", "website": "https://w.example"}'""")
    async with database.transaction() as conn:
        await registry.visible_change(conn)
    await settled(database)
    features = (await call(app, f"{BASE}/locations")).json()["features"]
    registered = {"name": "Operator ABC", "website": "https://w.example"}
    details = [feature["properties"]["operator"]["details"] for feature in features]
    assert details == [shown, registered, {"name": "Lataus Oy"}]
    assert json.dumps(details[0]) == json.dumps(shown)
    (operator,) = (await call(app, f"{BASE}/operators")).json()
    assert operator["details"] == registered


@pytest.mark.parametrize("path", ["operators", "locations", "locations/statuses", "tariffs"])
async def test_http_rules(app: Any, path: str) -> None:
    """Contract section 0: gzip, 406, ETag and 304, CORS, OPTIONS, HEAD, 404."""
    reply = await call(app, f"{BASE}/{path}")
    assert reply.status == 200 and reply.headers["access-control-allow-origin"] == "*"
    assert (await call(app, f"{BASE}/{path}", headers={"if-none-match": reply.headers["etag"]})).status == 304
    refused = await call(app, f"{BASE}/{path}", headers={"accept-encoding": "br"})
    assert refused.status == 406 and refused.body == b"Use of gzip compression is required with Accept-Encoding: gzip header."
    assert "access-control-allow-origin" not in refused.headers
    options = await call(app, f"{BASE}/{path}", method="OPTIONS")
    assert options.status == 204 and options.headers["access-control-max-age"] == "86400"
    assert (await call(app, f"{BASE}/{path}", method="HEAD", headers={"accept-encoding": ""})).status == 200
    missing = await call(app, f"{BASE}/nothing")
    assert (missing.status, missing.headers["content-type"], missing.body) == (404, "application/json", b'{"message": "Not Found"}')


@pytest.mark.parametrize("path", ["locations", "locations/statuses", "tariffs"])
async def test_pages(app: Any, path: str) -> None:
    """Contract section 0, pagination: limits, the way to /all, cursors."""
    everything = await call(app, f"{BASE}/{path}?limit=ALL&cursor=x")
    assert (everything.status, everything.headers["location"]) == (302, f"{BASE}/{path}/all")
    wrong = await call(app, f"{BASE}/{path}?limit=10")
    assert (wrong.status, wrong.body) == (400, b"Limit must be one of: 500 or ALL")
    assert (await call(app, f"{BASE}/{path}?cursor=%21")).body == b"Invalid cursor"
    assert (await call(app, f"{BASE}/{path}/all", headers={"accept-encoding": "identity"})).status == 200
