"""DATEX II over HTTP from the database on: paths, encodings, what makes an answer change (contract sections 0, 5 and 6)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.model.register import Fact
from ocpi_nap.store.database import Database
from ocpi_nap.store.register import put_facts
from tests.asgi import Reply, call
from tests.feed.conftest import serving, settled
from tests.feed.datex2.support import Schemas, official
from tests.feed.network import Network

BASE = "/api/charging-network/v1"
PATHS = (
    "locations/datex2-3.6", "locations/statuses/datex2-3.6", "locations/datex2-3.7", "locations/statuses/datex2-3.7", "tariffs/datex2-3.7",
)  # fmt: skip


async def get(app: Any, db: Database, path: str, **headers: str) -> Reply:
    await settled(db)
    return await call(app, f"{BASE}/{path}", headers={"accept-encoding": "gzip", **headers})


async def test_paths_and_encodings(app: Any, database: Database, schemas: Schemas) -> None:
    """The base path has the whole; JSON unless XML is asked for by Accept or format; limit=ALL leads to /all."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put(range(3))
    await made.put([7], "XYZ")
    await made.put_tariff()
    for path in PATHS:
        json_, whole = await get(app, database, path), await get(app, database, f"{path}/all")
        assert json_.status == 200 and json_.headers["content-type"].startswith("application/json"), path
        assert json_.body == whole.body and json_.headers["etag"] == whole.headers["etag"] and "last-modified" in json_.headers
        moved = await get(app, database, f"{path}?limit=ALL")
        assert (moved.status, moved.headers["location"]) == (302, f"{BASE}/{path}/all")
        xml, formatted = await get(app, database, path, accept="application/xml"), await get(app, database, f"{path}/all?format=xml")
        assert xml.headers["content-type"].startswith("application/xml") and xml.body == formatted.body
        schemas.check_xml(xml.content, path[-3:])
        unchanged = await get(app, database, path, **{"if-none-match": json_.headers["etag"]})
        assert unchanged.status == 304
        assert (await get(app, database, f"{path}?format=csv")).status == 400
    table = (await get(app, database, PATHS[0])).json()["payload"][0]["egiEnergyInfrastructureTablePublication"][
        "energyInfrastructureTable"
    ]
    assert [(one["idG"], len(one["energyInfrastructureSite"])) for one in table] == [("FI*ABC", 3), ("FI*XYZ", 1)]
    document = (await call(app, "/swagger/openapi.json")).json()
    for path in PATHS:
        assert {"application/json", "application/xml"} <= set(document["paths"][f"{BASE}/{path}"]["get"]["responses"]["200"]["content"])


async def test_what_changes_an_answer(database: Database, tmp_path: Path) -> None:
    """A status changes the statuses and, by its version, the 3.6 table, but not that of 3.7, unless a point comes or goes with it; a price
    changes the AFIR publications."""
    made = await Network.create(database)
    await database.execute("UPDATE change SET at = '2026-01-01'")  # the operator is older than what its network tells
    await settled(database)
    async with serving(database, tmp_path, forms=FORMS) as app:
        await _what_changes_an_answer(app, database, made)


async def _what_changes_an_answer(app: Any, database: Database, made: Network) -> None:
    await made.put_tariff()
    await made.put(range(3))

    async def tags() -> list[str]:
        return [(await get(app, database, path)).headers["etag"] for path in PATHS]

    first = await tags()
    await made.status([1], "CHARGING")
    second = await tags()
    assert [a != b for a, b in zip(first, second, strict=True)] == [True, True, False, True, False]
    body = (await get(app, database, PATHS[3])).json()["payload"]["aegiEnergyInfrastructureStatusPublication"]
    stations = [site["energyInfrastructureStationStatus"][0] for site in body["energyInfrastructureSiteStatus"]]
    states = [station["refillPointStatus"][0]["aegiElectricChargingPointStatus"]["status"]["value"] for station in stations]
    assert states == ["available", "charging", "available"]
    price = [{"price_components": [{"type": "ENERGY", "price": 0.5, "vat": 25.5, "step_size": 1}]}]
    await made.put_tariff(elements=price)
    third = await tags()
    assert [a != b for a, b in zip(second, third, strict=True)] == [False, False, True, True, True]
    assert (await get(app, database, PATHS[3])).content.count(b'"energyRateUpdate":[{') == 3
    table = await get(app, database, PATHS[2])
    assert table.content.count(b'"value":0.63') == 3
    await made.status([2], "REMOVED")
    without = await get(app, database, PATHS[2])
    times = [re.search(rb'"publicationTime":"([^"]*)"', one.content) for one in (table, without)]
    assert b"FI*ABC*E2" not in without.content and times[0] and times[1] and times[0][1] < times[1][1]


async def test_the_register_is_applied(app: Any, database: Database) -> None:
    """An operator's fact at all its locations, a location's own before it; taken away again."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put([1, 2])
    await made.put([3], "XYZ")

    async def phones() -> list[str | None]:
        body = (await get(app, database, PATHS[2])).json()["payload"]["aegiEnergyInfrastructureTablePublication"]
        sites = [site for table in body["energyInfrastructureTable"] for site in table["energyInfrastructureSite"]]
        units = [site.get("helpdesk", {}).get("afacAnOrganisation", {}).get("organisationUnit") for site in sites]
        return [unit[0]["contactInformation"][0]["afacContactInformation"]["telephoneNumber"] if unit else None for unit in units]

    async def put(location: str, value: str | None) -> None:
        async with database.transaction() as conn:
            assert await put_facts(conn, [Fact("FI", "ABC", location, "helpdesk_phone", value, "test", "me")]) == 1

    assert await phones() == [None, None, None]
    await put("", "+358 9111111")
    assert await phones() == ["+358 9111111", "+358 9111111", None]
    await put("l2", "+358 9222222")
    assert await phones() == ["+358 9111111", "+358 9222222", None]
    await put("", None)
    assert await phones() == [None, "+358 9222222", None]
    body = json.dumps((await get(app, database, PATHS[0])).json())
    assert body.count("+358 9222222") == 1


async def test_clocks_that_change(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset of a time zone follows summer time, though nothing of the location changed."""
    made = await Network.create(database)
    await made.put(range(3))
    await settled(database)
    store = FragmentStore.open(tmp_path, writable=True)
    try:
        renderer = Renderer(database, store, FORMS, environments=("production",))

        async def shown() -> set[bytes]:
            await renderer.catch_up()
            await renderer.refresh()
            with store.reading() as reading:
                fragments = [bytes(fragment) for *_, fragment in reading.scan("datex2-3.7.json")]
            return {match[1] for fragment in fragments if (match := re.search(rb'"timeZone":"([^"]*)"', fragment))}

        monkeypatch.setattr("ocpi_nap.feed.datex2.places.offset", lambda zone: "+03:00")
        assert await shown() == {b"+03:00"}
        monkeypatch.setattr("ocpi_nap.feed.datex2.places.offset", lambda zone: "+02:00")
        assert await shown() == {b"+03:00"}
        await renderer.forget_clocks()
        assert await shown() == {b"+02:00"}
    finally:
        store.close()


def _document(reply: Reply, version: str) -> Any:
    return official(reply.json()) if version == "3.6" else reply.json()


async def test_before_there_is_anything(app: Any, database: Database, schemas: Schemas) -> None:
    """No table can be empty, so there is none yet, and it is said when to come again; statuses and tariffs are valid all the same."""
    for path in PATHS:
        for query in ("", "?format=xml", "/all", "/all?format=xml"):
            reply = await get(app, database, path + query)
            if path.startswith("locations/datex2"):
                assert (reply.status, reply.headers["retry-after"], reply.headers["content-type"]) == (503, "10", "text/plain")
                assert reply.body == b"There is nothing to publish yet, and a DATEX II table cannot be empty"
            elif "xml" in query:
                schemas.check_xml(reply.content, path[-3:])
            else:
                schemas.check_json(_document(reply, path[-3:]))
    made = await Network.create(database)
    await made.put([1])
    for path in PATHS:
        schemas.check_json(_document(await get(app, database, path), path[-3:]))
        schemas.check_xml((await get(app, database, f"{path}?format=xml")).content, path[-3:])


def _versions(body: Any) -> dict[str, str]:
    """Id and version of every site, station and point."""
    found: dict[str, str] = {}
    if isinstance(body, dict):
        if {"idG", "versionG"} <= body.keys() and body.get("targetClass", "FacilityObject") == "FacilityObject":
            found[body["idG"]] = body["versionG"]
        for value in body.values():
            found |= _versions(value)
    elif isinstance(body, list):
        for value in body:
            found |= _versions(value)
    return found


async def test_a_fact_makes_a_new_version(app: Any, database: Database) -> None:
    """What the register says, or says no more, shows in versions and in the time of the publication, at its own operator only."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put([1])
    await made.put([3], "XYZ")

    async def shown(path: str) -> tuple[Reply, dict[str, str]]:
        reply = await get(app, database, path)
        return reply, _versions(reply.json())

    for table, statuses in ((PATHS[0], PATHS[1]), (PATHS[2], PATHS[3])):
        versions = [(await shown(table))[1]]
        replies = [(await shown(table))[0]]
        for value in ("+358 9111111", None):
            async with database.transaction() as conn:
                assert await put_facts(conn, [Fact("FI", "ABC", "", "helpdesk_phone", value, "test", "me")]) == 1
            reply, found = await shown(table)
            before = versions[-1]
            for name in ("FI*ABC*L1", "FI*ABC*E1"):
                assert found[name] > before[name], (table, value)
            assert {n: v for n, v in found.items() if "XYZ*" in n} == {n: v for n, v in before.items() if "XYZ*" in n}
            referred = (await shown(statuses))[1]
            assert {n: referred[n] for n in ("FI*ABC*L1", "FI*ABC*E1")} == {n: found[n] for n in ("FI*ABC*L1", "FI*ABC*E1")}
            times = [json.dumps(one.json()).split('"publicationTime": "')[1][:24] for one in (replies[-1], reply)]
            assert times[0] < times[1]
            replies.append(reply)
            versions.append(found)


async def test_operators_that_go(database: Database, tmp_path: Path) -> None:
    """A publication that has lost an operator is a newer one, also for readers who only know its date."""
    made, going = await Network.create(database), await Network.create(database, "XYZ")
    await made.put(range(3))
    await going.put([7], "XYZ")
    await database.execute("UPDATE change SET at = at - interval '1 hour'")
    await settled(database)
    async with serving(database, tmp_path, forms=FORMS) as app:
        paths = [*PATHS[:4], "locations", "locations/all", "locations/statuses", "locations/statuses/all"]
        before = {path: await get(app, database, path) for path in paths}
        for path, reply in before.items():
            assert (await get(app, database, path, **{"if-modified-since": reply.headers["last-modified"]})).status == 304, path
        await going.erase()
        for path, reply in before.items():
            now = await get(app, database, path, **{"if-modified-since": reply.headers["last-modified"]})
            assert now.status == 200 and b"XYZ" in reply.content and b"XYZ" not in now.content, path
            if path in PATHS:
                old, new = (re.search(rb'"publicationTime":"([^"]*)"', one.content) for one in (reply, now))
                assert old and new and old[1] < new[1], path
