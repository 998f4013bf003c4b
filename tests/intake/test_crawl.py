"""Pulls: what is new, changed, unchanged, refused and withdrawn, and when nothing may be concluded (R111–R136, D5, D6, D17)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.intake.repair import repair_location
from ocpi_nap.ocpi import client as client_module
from ocpi_nap.ocpi.ports import NodeKey
from tests.e2e.cpo import location, tariff
from tests.intake.sender import by_offset, page, sender
from tests.interface import Ocpi
from tests.versions import each


def counts(report: Any) -> tuple[int, int, int, int, int]:
    c = report["locations"].counts
    return c.new, c.changed, c.unchanged, c.withdrawn, c.refused


@each
@pytest.mark.holds("R111", "R124", "R136", "I-63")
async def test_counts(ocpi: Ocpi, version: str) -> None:
    """New, then unchanged, then one changed, one refused, one gone; tombstones carry their reason."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in range(5)]
        cpo.tariffs = [tariff(version)]
        report = await cpo.pull()
        assert counts(report) == (5, 0, 0, 0, 0) and report["locations"].complete
        assert ("tariffs" in report) == (version != "2.1.1")
        assert counts(await cpo.pull()) == (0, 0, 5, 0, 0)
        cpo.locations[0] = {**cpo.locations[0], "name": "renamed", "last_updated": "2026-02-01T00:00:00Z"}
        cpo.locations[1] = {**cpo.locations[1], "coordinates": None}
        del cpo.locations[4]
        assert counts(await cpo.pull()) == (0, 1, 2, 1, 1)
        gone = await ocpi.db.fetch_all("SELECT id, withdrawn_reason FROM location WHERE withdrawn_at IS NOT NULL")
        assert gone == [("L4", "not in full pull")]  # the refused one stays as it was


@each
@pytest.mark.holds("R127", "I-66")
async def test_one_bad_object(ocpi: Ocpi, version: str) -> None:
    """R127, I-66: whatever stands in the list, the good objects are kept and the bad ones counted."""
    async with sender(ocpi, version) as cpo:
        bad = [None, 7, "L", [], {}, {"id": None}, {"id": {"a": 1}}, {**location(version, 8), "id": "x" * 300}]
        if version == "2.1.1":
            bad.append({**location(version, 9), "address": None})
        cpo.locations = [location(version, 1), *bad, location(version, 2)]
        cpo.handler = by_offset(50)
        report = await cpo.pull()
        assert report["locations"].complete
        assert report["locations"].counts.new == 2
        assert report["locations"].counts.refused + report["locations"].counts.ignored == len(bad)


@each
@pytest.mark.holds("R120", "R121", "R123", "I-58", "I-61")
async def test_delta(ocpi: Ocpi, version: str) -> None:
    """R119–R123: the first pull is a full one; a delta asks from the last complete pull less the overlap, and withdraws nothing."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in range(3)]
        await cpo.pull(full=False)
        assert "date_from" not in cpo.asked[0].query
        cpo.asked.clear()
        cpo.locations = cpo.locations[:1]
        report = await cpo.pull(full=False)
        asked = [request.query["date_from"] for request in cpo.asked if request.path == "/locations"]
        assert len(asked) == 1 and asked[0].endswith("Z") and "." not in asked[0]  # I-61
        assert report["locations"].counts.withdrawn == 0


@each
@pytest.mark.holds("R124", "I-63", "I-64")
async def test_mass_withdrawal_is_held_back(ocpi: Ocpi, version: str) -> None:
    """D17, I-64: a fraction is not believed at once; the second time, or when an operator confirms, it is."""
    async with sender(ocpi, version) as cpo:
        cpo.handler = by_offset(50)
        everything = [location(version, n) for n in range(30)]
        cpo.locations = everything
        await cpo.pull()
        cpo.locations = everything[:5]
        first = (await cpo.pull())["locations"].counts
        assert (first.withdrawn, first.withheld) == (0, 25)
        second = (await cpo.pull())["locations"].counts
        assert (second.withdrawn, second.withheld) == (25, 0)
        cpo.locations = everything
        assert (await cpo.pull())["locations"].counts.new == 25
        cpo.locations = []
        assert (await cpo.pull(confirm=True))["locations"].counts.withdrawn == 30


@each
@pytest.mark.holds("R132")
async def test_foreign_objects(ocpi: Ocpi, version: str) -> None:
    """R132, D4: objects of parties that are not configured are not stored."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1), {**location(version, 2), "country_code": "FI", "party_id": "XYZ"}]
        report = (await cpo.pull())["locations"]
        assert (report.counts.new, report.counts.ignored) == (1, 1)


@each
@pytest.mark.holds("R128", "I-57", "I-119")
async def test_twice_in_one_crawl(ocpi: Ocpi, version: str) -> None:
    """I-57, I-119: the newest of two objects with one id counts."""
    async with sender(ocpi, version) as cpo:
        newer = {**location(version, 1), "name": "newer", "last_updated": "2026-02-01T00:00:00Z"}
        cpo.locations = [newer, location(version, 1)]
        await cpo.pull()
        row = await ocpi.db.fetch_one("SELECT doc FROM location")
        assert row is not None and json.loads(row[0])["name"] == "newer"


@each
@pytest.mark.holds("R125")
async def test_push_during_a_pull(ocpi: Ocpi, version: str) -> None:
    """R125: what was pushed after the pull began is not withdrawn by it, and an older pulled status does not overwrite it."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in range(3)]
        await cpo.pull()
        token = await cpo.token_b()

        async def answer(request: web.Request, items: list[Any]) -> web.Response:
            if request.path == "/locations":
                body = {"status": "CHARGING", "last_updated": "2026-05-01T00:00:00Z"}
                reply = await ocpi.send("PATCH", f"{version}/locations/FI/ABC/L1/U1", body, token=token)
                assert reply.status == 200
                new = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L99", location(version, 99), token=token)
                assert new.status in (200, 201)
            return page(items)

        cpo.handler = answer
        assert (await cpo.pull())["locations"].counts.withdrawn == 0
        rows = await ocpi.db.fetch_all("SELECT status FROM evse_state WHERE lower(uid_key) = 'u1'")
        assert rows == [("CHARGING",)]


@each
@pytest.mark.holds("R134")
async def test_repair(ocpi: Ocpi, version: str) -> None:
    """D6, R134: the one Location that a push spoke of is fetched; one that the platform does not have is not invented."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        platform = await cpo.platform()
        client = ocpi.registry.client
        assert await repair_location(ocpi.db, client, cpo.peer(platform), platform, NodeKey("FI", "ABC", "L1"))
        assert await ocpi.db.fetch_all("SELECT id, via FROM location") == [("L1", "pull")]
        with pytest.raises(client_module.HttpFailure):
            await repair_location(ocpi.db, client, cpo.peer(platform), platform, NodeKey("FI", "ABC", "L2"))


@each
@pytest.mark.holds("R166", "I-87")
async def test_one_uid_under_two_locations(ocpi: Ocpi, version: str) -> None:
    """R166, I-87: both are kept, and it is recorded."""
    async with sender(ocpi, version) as cpo:
        twin = location(version, 2)
        twin["evses"] = location(version, 1)["evses"]
        cpo.locations = [location(version, 1), twin]
        await cpo.pull()
        assert await ocpi.db.fetch_all("SELECT count(*) FROM evse_state") == [(2,)]
        assert await ocpi.db.fetch_all("SELECT object, rule FROM issue") == [
            (f"locations/FI/ABC/L1/{'U1' if version == '2.1.1' else 'u1'}", "uid_shared")
        ]


@each
@pytest.mark.holds("R129")
async def test_a_failed_pull_is_shown(ocpi: Ocpi, version: str) -> None:
    """R129: 401 flags the connection, until a pull works again."""
    async with sender(ocpi, version) as cpo:
        cpo.handler = lambda request, items: web.Response(status=401)
        await cpo.pull()
        failed = (await cpo.platform()).last_error
        assert failed is not None and failed["step"] == "pull" and "token" in failed["advice"]
        cpo.handler = by_offset(2)
        await cpo.pull()
        assert (await cpo.platform()).last_error is None
