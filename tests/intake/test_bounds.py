"""What a platform leaves behind is bounded, and what is beyond is counted (R200, R198)."""

from __future__ import annotations

from typing import Any

import pytest

from ocpi_nap.intake import issuelog, jobs
from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.model.issues import Issue
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.store import bounds, issues
from ocpi_nap.store.registry import add_event
from tests.e2e.cpo import location, tariff
from tests.intake.pusher import Pusher, at
from tests.intake.sender import sender
from tests.interface import Ocpi
from tests.versions import FROM_221, each

GROUPS = "SELECT rule, refused, records::int, count::int FROM issue_group ORDER BY rule, refused"
OTHERS = "SELECT object, path, rule, count::int FROM issue WHERE object LIKE 'other objects%' ORDER BY object, rule"


@pytest.mark.holds("R198", "R200", versions="all")
async def test_issues_of_ever_new_objects(ocpi: Ocpi, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are told one by one, of each platform and rule; all others are counted, those that were told go on."""
    monkeypatch.setattr(issues, "MOST_RECORDS", 3)
    await ocpi.platform("2.2.1")
    await ocpi.platform("2.3.0", "XYZ")
    first, second = [row[0] for row in await ocpi.db.fetch_all("SELECT id FROM platform ORDER BY id")]
    log = IssueLog(ocpi.db)
    for turn in range(3):
        for number in range(5):
            log.add(first, f"locations/FI/ABC/L{number + turn}", [Issue("name", "too_long", "x"), Issue("", "odd", "x")])
            log.add(first, f"locations/FI/ABC/R{number}", [Issue("", "odd", "x")], refused=True)
        log.add(second, "locations/FI/XYZ/L1", [Issue("name", "too_long", "x")])
        await log.flush()
    assert await ocpi.db.fetch_all(GROUPS.replace("FROM issue_group", "FROM issue_group WHERE platform_id = %s"), (second,)) == [
        ("too_long", False, 1, 3)
    ]
    found = {(rule, refused): (records, count) for rule, refused, records, count in await ocpi.db.fetch_all(
        GROUPS.replace("FROM issue_group", "FROM issue_group WHERE platform_id = %s"), (first,)
    )}  # fmt: skip
    assert found["too_long", False] == (4, 15)
    assert found["odd", False][1] == found["odd", True][1] == 15 and sum(found["odd", kind][0] for kind in (True, False)) == 5
    told = "SELECT sum(count)::int FROM issue WHERE rule = 'too_long' AND object LIKE 'locations/FI/ABC%%'"
    ((one_by_one,),) = await ocpi.db.fetch_all(told)
    assert ("other objects, tolerated", "", "too_long", 15 - one_by_one) in await ocpi.db.fetch_all(OTHERS)


@pytest.mark.holds("R198", "R200", versions="all")
async def test_issues_faster_than_they_are_written(ocpi: Ocpi, monkeypatch: pytest.MonkeyPatch) -> None:
    """What memory does not hold one by one is counted too, also while the database does not take it."""
    monkeypatch.setattr(issuelog, "_MOST", 4)
    await ocpi.platform("2.2.1")
    ((platform_id,),) = await ocpi.db.fetch_all("SELECT id FROM platform")
    log, written = IssueLog(ocpi.db), issuelog.add_issues

    async def away(*_: Any) -> None:
        raise OSError

    for turn in range(2):
        monkeypatch.setattr(issuelog, "add_issues", away if turn == 0 else written)
        for number in range(10):
            log.add(platform_id, f"locations/FI/ABC/L{turn}{number}", [Issue("name", "too_long", "x")], refused=number == 9)
        await log.flush()
    assert await ocpi.db.fetch_all(GROUPS) == [("too_long", False, 5, 18), ("too_long", True, 1, 2)]
    assert await ocpi.db.fetch_all(OTHERS) == [
        ("other objects, refused", "", "too_long", 2), ("other objects, tolerated", "", "too_long", 14),
    ]  # fmt: skip


@each
@pytest.mark.holds("R200", "R124")
async def test_tombstones(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, with what lies below them; what is held is left alone."""
    monkeypatch.setattr(bounds, "MOST_TOMBSTONES", 2)
    monkeypatch.setattr(bounds, "_BATCH", 2)
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in range(8)]
        await cpo.pull()
        for number in range(1, 8):
            cpo.locations = [item for item in cpo.locations if item["id"] != f"L{number}"]
            await cpo.pull(confirm=True)
        await bounds.keep_bounded(ocpi.db)
        rows = "SELECT id FROM location l JOIN evse e ON e.location_pk = l.pk JOIN evse_state s USING (location_pk, uid_key) ORDER BY id"
        assert await ocpi.db.fetch_all(rows) == [("L0",), ("L6",), ("L7",)]
        for table in ("location", "evse", "evse_state"):
            assert await ocpi.db.fetch_all(f"SELECT count(*) FROM {table}") == [(3,)], table
        cpo.locations = [location(version, n) for n in range(8)]
        assert (await cpo.pull())["locations"].counts.new == 7
        assert await ocpi.db.fetch_all("SELECT count(*) FROM location WHERE withdrawn_at IS NULL") == [(8,)]


@pytest.mark.parametrize("version", FROM_221)
@pytest.mark.holds("R200", "R184")
async def test_tariffs_that_come_and_go(cpo: Pusher, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of every quarter of an hour do: the last ones that are gone are kept, and those that are there."""
    monkeypatch.setattr(bounds, "MOST_TOMBSTONES", 2)
    for number in range(6):
        await cpo.ok("PUT", f"T{number}", {**tariff(version), "id": f"T{number}"}, module="tariffs", status=201)
        if number < 5:
            await cpo.ok("DELETE", f"T{number}", module="tariffs")
    await bounds.keep_bounded(cpo.ocpi.db)
    kept = await cpo.ocpi.db.fetch_all("SELECT id, withdrawn_at IS NULL FROM tariff ORDER BY id")
    assert kept == [("T3", False), ("T4", False), ("T5", True)]


@each
@pytest.mark.holds("R200")
async def test_connectors_and_events(cpo: Pusher, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of connectors that are gone and of what happened with a platform, the last ones."""
    monkeypatch.setattr(bounds, "MOST_GONE_CONNECTORS", 3)
    monkeypatch.setattr(bounds, "MOST_EVENTS", 2)
    body = await cpo.start()
    connector = body["evses"][0]["connectors"][0]
    for day in range(1, 7):
        evse = {**body["evses"][0], "connectors": [{**connector, "id": f"C{day}"}], "last_updated": at(day)}
        await cpo.ok("PUT", "L1/U1", evse)
    ((platform_id,),) = await cpo.ocpi.db.fetch_all("SELECT id FROM platform")
    async with cpo.ocpi.db.transaction() as conn:
        await add_event(conn, platform_id, "registered", "OCPI")
        for number in range(5):
            await add_event(conn, platform_id, "refused", str(number))
    await bounds.keep_bounded(cpo.ocpi.db)
    assert await cpo.ocpi.db.fetch_all("SELECT id FROM gone_connector ORDER BY id") == [("C3",), ("C4",), ("C5",)]
    events = await cpo.ocpi.db.fetch_all("SELECT step, message FROM platform_event ORDER BY id")
    assert events == [("registered", "OCPI"), ("refused", "3"), ("refused", "4")]


@each
@pytest.mark.holds("R200", "R134")
async def test_repairs_of_ever_new_locations(cpo: Pusher, version: str, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many an hour are queued; the others are left to the next full pull."""
    monkeypatch.setattr(jobs, "_REPAIRS_AN_HOUR", 3)
    async with await jobs.connect(dsn):
        queue = jobs.RepairQueue(cpo.ocpi.db)
        for platform in (1, 2):
            for number in range(7):
                await queue(platform, NodeKey("FI", "ABC", f"L{number}"))
        assert await cpo.ocpi.db.fetch_all("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'repair'") == [(6,)]
