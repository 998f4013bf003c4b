"""What pulls ask for, conclude and remember (requirements section 4; D5, D17)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.intake.crawl import AlreadyRunning
from ocpi_nap.intake.handlers import RegistryJobHandlers
from ocpi_nap.intake.jobs import CrawlJob, RepairQueue, connect, next_due
from ocpi_nap.intake.repair import repair_location
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.registry import onboarding
from tests.e2e.cpo import location, tariff
from tests.intake.pusher import at
from tests.intake.sender import asked, by_offset, held, page, sender
from tests.interface import Ocpi, due_now
from tests.versions import VERSIONS, each, from_2_2_1


def newer(body: dict[str, Any], day: int, **members: Any) -> dict[str, Any]:
    return {**body, **members, "last_updated": at(day)}


async def evses(ocpi: Ocpi, location_id: str) -> dict[str, tuple[str, bool]]:
    """Status and whether it is held, of each EVSE of a Location."""
    rows = await ocpi.db.fetch_all(
        "SELECT e.uid, s.status, s.withdrawn_at IS NULL FROM location l JOIN evse e ON e.location_pk = l.pk"
        " JOIN evse_state s USING (location_pk, uid_key) WHERE l.id = %s ORDER BY e.uid", (location_id,),
    )  # fmt: skip
    return {uid: (status, kept) for uid, status, kept in rows}


@each
@pytest.mark.holds("R122", "R124", "I-62", "I-103")
async def test_deltas_replace_what_they_return(ocpi: Ocpi, version: str) -> None:
    """A returned Location is replaced with all its EVSEs, others are left alone; deltas of changed EVSEs only are a setting."""
    for partial in (False, True):
        await ocpi.db.execute("DELETE FROM platform")
        async with sender(ocpi, version, delta_evses_partial=partial) as cpo:
            two = location(version, 1)
            connector = two["evses"][0]["connectors"][0]
            two["evses"] = [two["evses"][0] | {"connectors": [connector, {**connector, "id": "2"}]}, {**two["evses"][0], "uid": "U2"}]
            cpo.locations = [two, location(version, 2)]
            await cpo.pull()
            cpo.locations = [newer(two, 1, evses=[newer(two["evses"][0], 1, status="BLOCKED", connectors=[connector])])]
            report = (await cpo.pull(full=False))["locations"]
            assert report.counts.withdrawn == 0 and await held(ocpi) == ["L1", "L2"]
            assert await evses(ocpi, "L1") == {"U1": ("BLOCKED", True), "U2": ("AVAILABLE", partial)}
            row = await ocpi.db.fetch_one("SELECT e.doc FROM evse e JOIN location l ON l.pk = e.location_pk WHERE e.uid = 'U1'")
            assert row is not None and [c["id"] for c in json.loads(row[0])["connectors"]] == ["1"]
            cpo.locations = [*cpo.locations, location(version, 2)]
            await cpo.pull()
            assert await evses(ocpi, "L1") == {"U1": ("BLOCKED", True), "U2": ("AVAILABLE", False)}, "the full pull heals it"


@each
@pytest.mark.holds("R124", "R125", "R128")
async def test_pushes_and_pulls_race(ocpi: Ocpi, version: str) -> None:
    """What is pushed after the crawl began stands, at every level, against a page that was made before it."""
    async with sender(ocpi, version) as cpo:
        one, two = location(version, 1), location(version, 2)
        extra = {**one["evses"][0], "uid": "U9", "evse_id": "FI*ABC*E9"}
        one["evses"].append(extra)
        cpo.locations = [one, two, location(version, 3), location(version, 4)]
        await cpo.pull()
        token = await cpo.token_b()
        same_time = one["last_updated"]

        async def push(method: str, path: str, body: Any) -> None:
            reply = await ocpi.send(method, f"{version}/locations/FI/ABC/{path}", body, token=token)
            assert reply.status in (200, 201) and reply.json()["status_code"] == 1000, reply.body

        async def answer(request: web.Request, items: list[Any]) -> web.Response:
            if request.path == "/locations":
                await push("PATCH", "L1/U1", {"status": "CHARGING", "last_updated": same_time})  # their times never change (I-60)
                await push("PATCH", "L1/U9/1", {"format": "CABLE", "last_updated": same_time})
                await push("PATCH", "L1", {"name": "pushed"})
                await push("PUT", "L1/U8", {**extra, "uid": "U8", "last_updated": same_time})
                await push("PUT", "L2", newer(two, 2, evses=[]))
                await push("PATCH", "L3/U3", {"status": "BLOCKED", "last_updated": same_time})
            changed = {**one["evses"][0], "floor_level": "7"}
            return page([{**one, "evses": [changed, {**extra, "floor_level": "7"}]}, two, items[3]])

        cpo.handler = answer
        report = (await cpo.pull())["locations"]
        assert report.complete and report.counts.withdrawn == 0
        assert await held(ocpi) == ["L1", "L2", "L3", "L4"], "L3 is not on the page, but was pushed"
        assert await evses(ocpi, "L1") == {"U1": ("CHARGING", True), "U8": ("AVAILABLE", True), "U9": ("AVAILABLE", True)}
        assert await evses(ocpi, "L2") == {"U2": ("AVAILABLE", False)}
        rows = await ocpi.db.fetch_all("SELECT doc FROM location WHERE id = 'L1' UNION ALL SELECT doc FROM evse WHERE uid = 'U9'")
        assert json.loads(rows[0][0])["name"] == "pushed" and json.loads(rows[1][0])["connectors"][0]["format"] == "CABLE"

        cpo.handler = by_offset(50)  # the next pull is younger than those pushes: what it states anew counts
        cpo.locations = [newer(one, 9, name="pulled", evses=[newer(one["evses"][0], 9, status="RESERVED")]), two, *cpo.locations[2:]]
        await cpo.pull()
        found = await evses(ocpi, "L1")
        assert found["U1"] == ("RESERVED", True) and not found["U8"][1] and not found["U9"][1]


@each
@pytest.mark.holds("I-71", "I-60")
async def test_a_push_without_time_does_not_block_pulls(ocpi: Ocpi, version: str) -> None:
    """Where the source stated no time for its push, a later pull counts although its own time is older (D9)."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        await cpo.pull()
        reply = await ocpi.send("PATCH", f"{version}/locations/FI/ABC/L1/U1", {"status": "CHARGING"}, token=await cpo.token_b())
        assert reply.json()["status_code"] == 1000
        await cpo.pull()
        assert await evses(ocpi, "L1") == {"U1": ("AVAILABLE", True)}


@pytest.mark.parametrize("version", VERSIONS[1:])
@pytest.mark.holds("R163", "I-113", "I-95")
async def test_a_setting_that_reads_otherwise(ocpi: Ocpi, version: str) -> None:
    """The next full pull after `assume_publish` or `naive_timezone` was set takes what the platform serves as before (D15)."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [{name: value for name, value in location(version, n).items() if name != "publish"} for n in range(2)]
        cpo.locations[0]["last_updated"] = "2026-01-01T12:00:00"
        cpo.tariffs = [tariff(version)]
        await cpo.pull()
        before = await ocpi.db.fetch_all("SELECT publish, source_last_updated FROM location ORDER BY id")
        settings = {"assume_publish": "true", "naive_timezone": "Europe/Helsinki"}
        await ocpi.registry.change(cpo.name, onboarding.check_change(
            versions_url=None, token_encoding=None, settings=settings, operators=[], without=[]
        ))  # fmt: skip
        report = (await cpo.pull())["locations"].counts
        after = await ocpi.db.fetch_all("SELECT publish, source_last_updated FROM location ORDER BY id")
        assert [row[0] for row in before] == [False, False] and [row[0] for row in after] == [True, True]
        assert before[0][1] - after[0][1] == timedelta(hours=2) and report.changed == 2
        again = await cpo.pull()
        assert (again["locations"].counts.unchanged, again["tariffs"].counts.unchanged) == (2, 1)


@each
@pytest.mark.holds("R128", "I-57", "I-119")
async def test_duplicates(ocpi: Ocpi, version: str) -> None:
    """Whatever the order, the newest of two counts, with its EVSEs; and of a crawl with duplicates a second one must agree."""
    old = location(version, 1)
    new = newer(old, 2, name="newest", evses=[*old["evses"], {**old["evses"][0], "uid": "U2"}])
    later = newer(old, 2, name="seen last", evses=new["evses"])
    async with sender(ocpi, version) as cpo:
        for order, name in (([old, new], "newest"), ([new, old], "newest"), ([new, old, later], "seen last")):
            await ocpi.db.execute("DELETE FROM location")
            cpo.locations = [*order, location(version, 2)]
            report = (await cpo.pull())["locations"]
            assert report.complete
            row = await ocpi.db.fetch_one("SELECT doc FROM location WHERE id = 'L1'")
            assert row is not None and json.loads(row[0])["name"] == name
            assert await evses(ocpi, "L1") == {"U1": ("AVAILABLE", True), "U2": ("AVAILABLE", True)}
        cpo.locations = [new, old]
        first = (await cpo.pull())["locations"].counts
        assert (first.withdrawn, first.withheld) == (0, 1)
        cpo.locations = [new, location(version, 3), old]
        assert (await cpo.pull())["locations"].counts.withdrawn == 1
        cpo.locations = [new, old, location(version, 2)]
        again = (await cpo.pull())["locations"].counts
        assert (again.withdrawn, again.withheld) == (0, 1), "another one is missing this time: it must be missed twice too"


@each
@pytest.mark.holds("R123", "R130")
async def test_schedule(ocpi: Ocpi, version: str) -> None:
    """Each platform has its intervals with jitter; what is due is handed out once; two pulls of one platform never run at once."""
    hours = [next_due({}, True).total_seconds() / 3600 for _ in range(200)]
    assert 21.6 <= min(hours) < 23 and 25 < max(hours) <= 26.4
    minutes = [next_due({"delta_interval_minutes": 30}, False).total_seconds() / 60 for _ in range(200)]
    assert min(minutes) >= 27 and max(minutes) <= 33
    async with sender(ocpi, version) as cpo:
        platform = await cpo.platform()
        assert sorted(await due_now(ocpi.db)) == [(platform.id, False), (platform.id, True)]
        assert await due_now(ocpi.db) == []
        entered, leave = asyncio.Event(), asyncio.Event()

        async def answer(request: web.Request, items: list[Any]) -> web.StreamResponse:
            entered.set()
            await leave.wait()
            return page(items)

        cpo.handler = answer
        running = asyncio.create_task(cpo.pull())
        await entered.wait()
        with pytest.raises(AlreadyRunning):
            await cpo.pull(full=False)
        leave.set()
        assert (await running)["locations"].complete
        cpo.handler = by_offset(50)
        for full_only in (False, True):
            settings = json.dumps({"full_only": full_only})
            sealed = ocpi.registry.vault.seal("token-c")
            await ocpi.db.execute("UPDATE platform SET outbound_c = %s, settings = %s::jsonb", (sealed, settings))
            asked(cpo)
            await RegistryJobHandlers(ocpi.registry).crawl(CrawlJob(platform.id, False))
            assert ["date_from" in query for query in asked(cpo)] == [not full_only]
        await ocpi.db.execute("UPDATE platform SET settings = '{\"max_requests_per_day\": 1}'")
        await ocpi.db.execute("UPDATE schedule SET due_at = now()")
        assert await due_now(ocpi.db) == [], "the day's requests are used up"


@from_2_2_1
@pytest.mark.holds("R133", "R19", "I-67")
async def test_each_operator_by_itself(ocpi: Ocpi, version: str) -> None:
    """With pull_scope per_operator each party is asked for, and only its own objects are taken, or withdrawn."""

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        wanted = request.headers["OCPI-to-party-id"]
        if wanted == broken:
            return web.json_response({}, status=403)
        return page([item for item in items if item["party_id"] == wanted or item["id"] == "L9"])

    broken = ""
    async with sender(ocpi, version, parties=("ABC", "XYZ"), pull_scope="per_operator") as cpo:
        cpo.locations = [location(version, 1), location(version, 2, "XYZ"), location(version, 9, "XYZ")]
        cpo.handler = answer
        report = await cpo.pull()
        assert (report["locations"].counts.new, report["locations"].counts.ignored) == (3, 1)
        assert sorted({request.headers["OCPI-to-party-id"] for request in cpo.asked}) == ["ABC", "XYZ"]
        cpo.locations, broken = [], "XYZ"
        report = await cpo.pull()
        assert not report["locations"].complete and report["locations"].counts.withdrawn == 1
        assert await held(ocpi) == ["L2", "L9"]
        rows = await ocpi.db.fetch_all("SELECT scope, complete FROM crawl WHERE module = 'locations' ORDER BY id")
        assert rows == [("FI*ABC", True), ("FI*XYZ", True), ("FI*ABC", True), ("FI*XYZ", False)]


@each
@pytest.mark.holds("R132")
async def test_owner_rules(ocpi: Ocpi, version: str) -> None:
    """The owner is whom the object names; in 2.1.1 EVSE ids, then the operator's name, or the platform's party, tell it (D5)."""
    for rule, owners in (
        ("auto", ["ABC", "XYZ", "XYZ", None]), ("evse_id", ["ABC", "XYZ", None, None]), ("operator_name", [None, None, "XYZ", None]),
        ("platform", [None, None, None, None]),
    ):  # fmt: skip
        await ocpi.db.execute("DELETE FROM platform")
        async with sender(ocpi, version, parties=("ABC", "XYZ"), owner_rule=rule) as cpo:
            third = location(version, 3, "XYZ")
            third["evses"][0].pop("evse_id")
            cpo.locations = [location(version, 1), location(version, 2, "XYZ"), {**third, "operator": {"name": " xyz"}}]
            cpo.locations.append({**location(version, 4, "PLT"), "evses": []})
            report = (await cpo.pull())["locations"]
            rows = dict(await ocpi.db.fetch_all("SELECT id, party_id FROM location"))
            if version != "2.1.1":
                owners = ["ABC", "XYZ", "XYZ", None]
            assert [rows.get(f"L{n}") for n in (1, 2, 3, 4)] == owners
            assert report.counts.ignored == owners.count(None)


@each
@pytest.mark.holds("R134", "R154", "I-69")
async def test_repairs(ocpi: Ocpi, version: str, dsn: str) -> None:
    """One GET below the Sender's URL, without party; another object, or none, is not taken; many pushes queue one repair."""
    async with sender(ocpi, version) as cpo:
        odd = {**location(version, 1), "id": "L/1*ä"}
        cpo.locations = [odd]
        platform = await cpo.platform()
        client, peer = ocpi.registry.client, cpo.peer(platform)
        assert await repair_location(ocpi.db, client, peer, platform, NodeKey("FI", "ABC", "L/1*ä", "U1"))
        assert cpo.asked[-1].raw_path == "/locations/L%2F1%2A%C3%A4"
        assert await held(ocpi) == ["L/1*ä"]
        for wrong in ({**location(version, 2), "id": "other"}, {**location(version, 2), "country_code": "FI", "party_id": "XYZ"}):
            cpo.locations = [{**wrong, "asked": True}]
            cpo.found = cpo.locations[0]
            assert not await repair_location(ocpi.db, client, peer, platform, NodeKey("FI", "ABC", "L2"))
        assert await held(ocpi) == ["L/1*ä"]
        queue_connection = await connect(dsn)
        queue = RepairQueue(ocpi.db)
        for _ in range(3):
            await queue(platform.id, NodeKey("fi", "abc", "L7", "U1"))
        assert await ocpi.db.fetch_all("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'repair'") == [(1,)]
        await queue_connection.close()


@each
@pytest.mark.holds("R136", "R198", "R127")
async def test_records(ocpi: Ocpi, version: str) -> None:
    """Every crawl leaves its counts, every deviation a record with place, rule, sample, first and last time and count."""
    async with sender(ocpi, version) as cpo:
        bad = {**location(version, 2), "coordinates": None}
        odd = {**location(version, 1), "postal_code": 100}
        cpo.locations, cpo.handler = [odd, bad, {**location(version, 3), "country_code": "SE", "party_id": "XYZ"}], by_offset(50)
        await cpo.pull()
        cpo.locations[0] = newer(odd, 1)
        await cpo.pull()
        rows = await ocpi.db.fetch_all(
            "SELECT pages, objects, new, changed, unchanged, withdrawn, refused, ignored, issues > 0, complete, finished_at >= started_at"
            " FROM crawl WHERE module = 'locations' ORDER BY id"
        )
        assert rows == [(1, 3, 1, 0, 0, 0, 1, 1, True, True, True), (1, 3, 0, 0, 1, 0, 1, 1, True, True, True)]
        recorded = await ocpi.db.fetch_all(
            "SELECT object, path, sample, refused, count, first_seen <= last_seen FROM issue"
            " WHERE rule = 'number_as_text' OR refused ORDER BY 1"
        )
        assert recorded[0] == ("locations/FI/ABC/L1", "postal_code", "100", False, 2, True)
        assert recorded[1][:2] == ("locations/FI/ABC/L2", "coordinates") and recorded[1][3:] == (True, 2, True)


@each
@pytest.mark.holds("I-58", "I-59", "I-60")
async def test_last_updated_that_means_nothing(ocpi: Ocpi, version: str) -> None:
    """Always now: unchanged content makes no change. Never new: changed content does. Ahead by years: applied, and blocks nothing."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        await cpo.pull()
        changes = (await ocpi.stored())["change"]
        evse = cpo.locations[0]["evses"][0]
        everywhere = newer(evse, 3, connectors=[newer(evse["connectors"][0], 3)])
        cpo.locations = [newer(cpo.locations[0], 3, evses=[everywhere])]
        await cpo.pull()
        assert (await ocpi.stored())["change"] == changes
        cpo.locations = [newer(cpo.locations[0], 3, name="changed", evses=[{**everywhere, "status": "BLOCKED"}])]
        assert (await cpo.pull())["locations"].counts.changed == 1
        assert await evses(ocpi, "L1") == {"U1": ("BLOCKED", True)}
        ahead = {"last_updated": "2199-01-01T00:00:00Z"}
        for status in ("CHARGING", "AVAILABLE"):
            cpo.locations = [{**cpo.locations[0], **ahead, "evses": [{**everywhere, **ahead, "status": status}]}]
            await cpo.pull()
            assert await evses(ocpi, "L1") == {"U1": (status, True)}


@from_2_2_1
@pytest.mark.holds("R174", "R175", "R176", "R177")
async def test_tariffs_are_pulled(ocpi: Ocpi, version: str) -> None:
    """Before the Locations, page by page, with the same withdrawal; without an endpoint there is no pull, and pushes are taken."""
    async with sender(ocpi, version) as cpo:
        cpo.tariffs = [{**tariff(version), "id": f"T{n}"} for n in range(5)]
        cpo.locations = [location(version, 1)]
        report = (await cpo.pull())["tariffs"]
        assert report.complete and report.counts.new == 5 and report.counts.pages == 3
        order = [request.path for request in cpo.asked]
        assert order == ["/tariffs"] * 3 + ["/locations"] and all(request.path.count("/") == 1 for request in cpo.asked)
        cpo.tariffs = cpo.tariffs[1:]
        assert (await cpo.pull())["tariffs"].counts.withdrawn == 1
        asked(cpo)
        assert (await cpo.pull(full=False))["tariffs"].counts.withdrawn == 0
        assert all("date_from" in request.query for request in cpo.asked)
        cpo.handler = lambda request, items: web.Response(status=403)
        report = (await cpo.pull())["tariffs"]
        assert not report.complete and report.counts.withdrawn == 0
        await ocpi.db.execute("UPDATE platform SET endpoints = endpoints - 'tariffs'")
        cpo.handler = by_offset(2)
        assert list(await cpo.pull()) == ["locations"]
        reply = await ocpi.send("PUT", f"{version}/tariffs/FI/ABC/T9", {**tariff(version), "id": "T9"}, token=await cpo.token_b())
        assert reply.status == 201
        deleted = await ocpi.send("DELETE", f"{version}/tariffs/FI/ABC/T9", token=await cpo.token_b())
        assert deleted.status == 200


@from_2_2_1
@pytest.mark.holds("R176", "R182")
async def test_tariffs_pushed_during_a_pull(ocpi: Ocpi, version: str) -> None:
    """A tariff pushed, or deleted, after the crawl began stands against its page (R125)."""
    async with sender(ocpi, version) as cpo:
        cpo.tariffs = [{**tariff(version), "id": f"T{n}"} for n in range(3)]
        await cpo.pull()
        token = await cpo.token_b()

        async def answer(request: web.Request, items: list[Any]) -> web.Response:
            if request.path == "/tariffs":
                base = f"{version}/tariffs/FI/ABC"
                assert (await ocpi.send("DELETE", f"{base}/T0", token=token)).status == 200
                assert (await ocpi.send("PUT", f"{base}/T1", {**items[1], "tariff_alt_url": "https://t"}, token=token)).status == 200
                assert (await ocpi.send("PUT", f"{base}/T8", {**items[1], "id": "T8"}, token=token)).status == 201
                return page([{**items[0], "x": 1}, {**items[1], "x": 1}, items[2]])
            return page(items)

        cpo.handler = answer
        report = (await cpo.pull())["tariffs"]
        assert report.complete and report.counts.withdrawn == 0
        rows = await ocpi.db.fetch_all("SELECT id, doc FROM tariff WHERE withdrawn_at IS NULL ORDER BY id")
        assert [name for name, _ in rows] == ["T1", "T2", "T8"] and json.loads(rows[0][1])["tariff_alt_url"] == "https://t"
