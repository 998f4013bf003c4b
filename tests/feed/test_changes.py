"""`GET /changes`: a copy that follows it stays equal to the network, and what it says of each change."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.model.platform import Operator
from ocpi_nap.store import events, registry
from tests.asgi import call
from tests.e2e.cpo import location, tariff
from tests.feed.conftest import Api
from tests.feed.following import BASE, Copy, RandomNetwork, tell
from tests.feed.listener import Listener
from tests.interface import Ocpi

HOSTILE = ("x", "-1", "1.5", "", " 1", "1 ", "1" * 19, "1" * 5000, "0x1", "١", "1;DROP", "\0", "null", "1e3", "+1")


@pytest.mark.parametrize("seed", range(6))
async def test_a_copy_in_step(ocpi: Ocpi, api: Api, seed: int) -> None:
    """/all and a cursor once, then only changes: equal to a fresh /all after any series of pushes, pulls and withdrawals."""
    network, log_writer, chance = await RandomNetwork(ocpi, seed).start(), EventLogWriter(ocpi.db), random.Random(seed)
    app = await api()
    for _ in range(15):
        await network.change()
    await tell(log_writer)
    box = (24.0, 60.0, 25.0, 61.0)
    copies = [await Copy(app).start(), await Copy(app, f"&operator={quote('FI*ABC')}").start(), await Copy(app, f"&bbox={box}").start()]
    copies[2].query = "&bbox=" + ",".join(map(str, box))
    for _ in range(60):
        await network.change()
        if chance.random() < 0.4:
            await tell(log_writer)
        if chance.random() < 0.3:
            await chance.choice(copies).follow()
    await tell(log_writer)
    for copy in copies:
        await copy.follow()
    fresh = await Copy(await api()).load()
    assert copies[0].held() == fresh.held()
    assert copies[1].within(operator="FI*ABC") == fresh.within(operator="FI*ABC")
    assert copies[2].within(box=box) == fresh.within(box=box)
    assert copies[0].items, "nothing changed"


async def _prepared(ocpi: Ocpi, api: Api) -> tuple[Any, str, EventLogWriter]:
    """One operator with one Location; everything told."""
    token, log_writer = await ocpi.platform("2.2.1"), EventLogWriter(ocpi.db)
    await ocpi.send("PUT", "2.2.1/locations/FI/ABC/L1", location("2.2.1", 1), token=token)
    await tell(log_writer)
    return await api(), token, log_writer


async def _cursor(app: Any) -> str:
    """The end of the log, so that earlier changes do not come."""
    cursor, more = (await call(app, f"{BASE}/changes")).json()["cursor"], True
    while more:
        page = (await call(app, f"{BASE}/changes?since={cursor}")).json()
        cursor, more = page["cursor"], page["more"]
    return str(cursor)


async def test_what_a_change_says(ocpi: Ocpi, api: Api) -> None:
    """Each kind once, with the objects as the REST API shows them."""
    app, token, log_writer = await _prepared(ocpi, api)
    cursor = await _cursor(app)

    async def said() -> list[dict[str, Any]]:
        nonlocal cursor
        await tell(log_writer)
        page = (await call(app, f"{BASE}/changes?since={cursor}")).json()
        cursor = page["cursor"]
        assert all(item["operator"] == "FI*ABC" for item in page["changes"])
        return page["changes"]  # type: ignore[no-any-return]

    path = "2.2.1/locations/FI/ABC/L1"
    await ocpi.send("PATCH", f"{path}/U1", {"status": "CHARGING", "last_updated": "2026-02-01T10:00:00Z"}, token=token)
    assert await said() == [
        {"kind": "status", "change": "changed", "operator": "FI*ABC", "locationId": "L1", "evseIds": ["FI*ABC*E1"],
         "time": "2026-02-01T10:00:00.000Z",
         "status": {"evseId": "FI*ABC*E1", "modifiedAt": "2026-02-01T10:00:00.000Z", "status": "CHARGING"}}
    ]  # fmt: skip
    assert await said() == []  # never again
    await ocpi.send("PATCH", path, {"name": "Uusi", "last_updated": "2026-02-01T11:00:00Z"}, token=token)
    (item,) = await said()
    shown = (await call(app, f"{BASE}/locations")).json()["features"][0]
    assert (item["kind"], item["change"], item["locationId"], item["evseIds"]) == ("location", "changed", "L1", ["FI*ABC*E1"])
    assert item["feature"] == shown and item["statuses"] == (await call(app, f"{BASE}/locations/statuses")).json()["statuses"]
    await ocpi.send("PATCH", path, {"publish": False, "last_updated": "2026-02-01T12:00:00Z"}, token=token)
    (item,) = await said()
    assert (item["change"], item["reason"], item["evseIds"]) == ("removed", "unpublished", ["FI*ABC*E1"]) and "feature" not in item
    await ocpi.send("PATCH", path, {"name": "Piilossa", "last_updated": "2026-02-01T12:30:00Z"}, token=token)
    await ocpi.send("PATCH", f"{path}/U1", {"status": "BLOCKED", "last_updated": "2026-02-01T12:30:00Z"}, token=token)
    assert await said() == []  # hidden, and stays so
    await ocpi.send("PATCH", path, {"publish": True, "last_updated": "2026-02-01T13:00:00Z"}, token=token)
    (item,) = await said()
    assert (item["change"], item["statuses"][0]["status"]) == ("added", "BLOCKED")
    await ocpi.send("PATCH", f"{path}/U1", {"status": "REMOVED", "last_updated": "2026-02-01T14:00:00Z"}, token=token)
    assert [(item["change"], item["reason"]) for item in await said()] == [("removed", "no_evses")]
    await ocpi.send("PUT", "2.2.1/tariffs/FI/ABC/T1", tariff("2.2.1"), token=token)
    (item,) = await said()
    assert (item["kind"], item["change"], item["tariffId"]) == ("tariff", "added", "T1")
    assert item["tariff"] == (await call(app, f"{BASE}/tariffs")).json()["tariffs"][0]
    await ocpi.send("DELETE", "2.2.1/tariffs/FI/ABC/T1", token=token)
    assert [(item["change"], item["reason"]) for item in await said()] == [("removed", "deleted")]


async def test_platforms_onboarded_together(ocpi: Ocpi, api: Api) -> None:
    """Each of their objects is told once, although a look at the platforms finds it before the change feed comes to it; what changes
    after that look is told."""
    app, _, log_writer = await _prepared(ocpi, api)
    cursor = await _cursor(app)
    for number in range(3):
        token = await ocpi.platform("2.2.1", f"P{number}X")
        await ocpi.send("PUT", f"2.2.1/locations/FI/P{number}X/L1", location("2.2.1", 1, f"P{number}X"), token=token)
        await ocpi.send("PUT", f"2.2.1/tariffs/FI/P{number}X/T1", tariff("2.2.1", f"P{number}X"), token=token)
        async with ocpi.db.transaction() as conn:
            await registry.visible_change(conn)
    await tell(log_writer)
    found = await call(app, f"{BASE}/changes?since={cursor}")
    told = [(item["kind"], item["change"], item["operator"]) for item in found.json()["changes"]]
    assert sorted(told) == [(kind, "added", f"FI*P{number}X") for kind in ("location", "tariff") for number in range(3)]
    changed = tariff("2.2.1", "P2X") | {"currency": "SEK", "last_updated": "2026-03-01T10:00:00Z"}
    await ocpi.send("PUT", "2.2.1/tariffs/FI/P2X/T1", changed, token=token)
    await tell(log_writer)
    (item,) = (await call(app, f"{BASE}/changes?since={found.json()['cursor']}")).json()["changes"]
    assert (item["change"], item["tariff"]["currency"]) == ("changed", "SEK")


async def test_operators_that_come_and_go(ocpi: Ocpi, api: Api) -> None:
    """One is onboarded, leaves, comes back, moves to another platform and is forgotten: a copy and a stream are told of all of it."""
    app, _, log_writer = await _prepared(ocpi, api)
    stop = asyncio.Event()
    telling = asyncio.create_task(log_writer.run(stop))
    copy, listener = await Copy(app).start(), await Listener(app).opened()
    await copy.follow()

    async def came(count: int) -> list[tuple[str, str, str | None]]:
        """What is told until the stream has so many events, and that the copy is then as the whole."""
        await listener.until(lambda: len(listener.events) == count)
        await told()
        copy.items.clear()
        await copy.follow()
        assert copy.held() == (await Copy(app).load()).held()
        shown = [row["id"] for row in (await call(app, f"{BASE}/operators")).json()]
        assert {operator for operator, _ in copy.locations} <= set(shown)
        assert all(item["operator"] == "FI*XYZ" for item in copy.items)
        return sorted((item["kind"], item["change"], item.get("reason")) for item in copy.items)

    async def told() -> None:
        async with asyncio.timeout(30):
            while await ocpi.db.fetch_one("SELECT 1 FROM change c, event_head h WHERE (c.xid, c.id) > (h.xid, h.id) LIMIT 1"):
                pass

    async def registry_changes(statement: str) -> None:
        async with ocpi.db.transaction() as conn:
            await conn.execute(statement.encode())
            await registry.visible_change(conn)

    async def onboard(version: str) -> None:
        token = await ocpi.platform(version, "XYZ")
        async with ocpi.db.transaction() as conn:
            await registry.visible_change(conn)
        await told()
        for path, body in (("locations/FI/XYZ/L5", location(version, 5, "XYZ")), ("tariffs/FI/XYZ/T1", tariff(version, "XYZ"))):
            assert (await ocpi.send("PUT", f"{version}/{path}", body, token=token)).json()["status_code"] == 1000

    gone = [("location", "removed", "operator_removed"), ("tariff", "removed", "operator_removed")]
    there = [("location", "added", None), ("tariff", "added", None)]
    await onboard("2.2.1")
    assert await came(1) == there
    await registry_changes("UPDATE platform SET disconnected_at = now() - interval '2 days' WHERE name = 'p2.2.1XYZ'")
    assert await came(2) == gone
    await registry_changes("UPDATE platform SET disconnected_at = NULL WHERE name = 'p2.2.1XYZ'")
    assert await came(3) == there
    await registry_changes("UPDATE platform SET environment = 'test'; UPDATE operator SET environment = 'test'")
    assert await came(3) == []
    await onboard("2.3.0")  # production comes before test
    assert await came(5) == sorted(gone + there)
    await _erase(ocpi, "p2.3.0XYZ")
    assert await came(7) == sorted(gone + there)
    await _erase(ocpi, "p2.2.1XYZ")
    assert await came(8) == gone
    kinds = [(kind, event["evseId"], event.get("status") or event["reason"]) for kind, event in listener.events]
    assert kinds == [("message", "FI*XYZ*E5", "AVAILABLE"), ("removed", "FI*XYZ*E5", "operator_removed")] * 4
    await listener.leave()
    stop.set()
    await telling


async def test_a_look_at_operators_that_is_cut_off(ocpi: Ocpi, api: Api) -> None:
    """The writer ends when it has seen who is published and before all is told: the next one tells the rest, whatever changed meanwhile."""
    app, _, _ = await _prepared(ocpi, api)
    copy = await Copy(app).start()
    (platform,) = await ocpi.db.fetch_all("SELECT id FROM platform")

    async def published(there: bool) -> None:
        async with ocpi.db.transaction() as conn:
            if there:
                known = Operator(country_code="FI", party_id="ABC", name="ABC")
                await registry.insert_operators(conn, platform[0], "production", [known])
            else:
                await registry.remove_operators(conn, platform[0], [("FI", "ABC")])
            await registry.visible_change(conn)

    async def cut_off() -> None:
        async with ocpi.db.connection() as conn:
            await events.begin_operators(conn, await events.changed_operators(conn, ["production", "test"]))

    async def held() -> int:
        await tell(EventLogWriter(ocpi.db))
        await copy.follow()
        assert copy.held() == (await Copy(app).load()).held()
        return len(copy.locations)

    await published(False)
    await cut_off()
    assert await held() == 0
    await published(True)
    await cut_off()
    assert await held() == 1
    await published(False)
    await cut_off()
    await published(True)
    assert await held() == 1


async def _erase(ocpi: Ocpi, name: str) -> None:
    (row,) = await ocpi.db.fetch_all("SELECT id FROM platform WHERE name = %s", (name,))
    async with ocpi.db.transaction() as conn:
        await registry.erase_platform(conn, row[0])
        await registry.visible_change(conn)


async def test_the_first_answer(ocpi: Ocpi, api: Api) -> None:
    """Without since: a cursor, no changes, and what to do with it."""
    app, _, _ = await _prepared(ocpi, api)
    reply = await call(app, f"{BASE}/changes", headers={"accept-encoding": "identity"})
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    page = reply.json()
    assert page["changes"] == [] and "/locations/all" in page["note"]
    assert page["more"] is True  # it reaches back far enough for a snapshot that is a little old
    assert (await call(app, f"{BASE}/changes?since={page['cursor']}")).json()["changes"][0]["change"] == "added"


@pytest.mark.parametrize("cursor", HOSTILE)
async def test_hostile_cursors(api: Api, cursor: str) -> None:
    app = await api()
    for path in (f"changes?since={quote(cursor)}", f"stream/statuses?Last-Event-ID={quote(cursor) or '%20'}"):
        reply = await call(app, f"{BASE}/{path}")
        assert (reply.status, reply.body, reply.headers["content-type"]) == (400, b"Invalid cursor", "text/plain"), path


@pytest.mark.parametrize(
    "query",
    ["bbox=1,2,3", "bbox=a,b,c,d", "bbox=nan,0,1,1", "bbox=0,0,inf,1", "bbox=2,0,1,1", "bbox=0,0,1,91", "bbox=", "bbox=0,0,1,1,1",
     "operator=FI", "operator=FI*ABCDEFGHIJKLMNOPQ", "operator=%00", "operator=" + ",".join(["FI*ABC"] * 101), "operator=FI*ÄÖÅ"],
)  # fmt: skip
async def test_hostile_filters(api: Api, query: str) -> None:
    app = await api()
    for path in ("changes?since=0&", "changes?", "stream/statuses?"):
        reply = await call(app, f"{BASE}/{path}{quote(query, safe='=,*&%')}")
        assert reply.status == 400 and reply.headers["content-type"].startswith("text/plain"), path


async def test_an_expired_cursor(ocpi: Ocpi, api: Api) -> None:
    """410 with a way on; a cursor of another database is none of ours either."""
    app, token, log_writer = await _prepared(ocpi, api)
    await events.clear(ocpi.db, 0)
    for cursor in ("0", "999999"):
        for path in (f"changes?since={cursor}", f"stream/statuses?Last-Event-ID={cursor}"):
            reply = await call(app, f"{BASE}/{path}")
            assert reply.status == 410 and b"/locations/all" in reply.body, path
    copy = await Copy(app).start()
    await ocpi.send("PATCH", "2.2.1/locations/FI/ABC/L1/U1", {"status": "BLOCKED", "last_updated": "2026-02-01T10:00:00Z"}, token=token)
    await tell(log_writer)
    await copy.follow()
    assert [item["kind"] for item in copy.items] == ["status"]
    assert await ocpi.db.fetch_all("SELECT 1 FROM change WHERE (xid, id) <= (SELECT xid, id FROM event_head)") != []


async def test_a_slow_transaction_is_not_passed(ocpi: Ocpi, api: Api) -> None:
    """One that began before and commits after others: its change comes, after all, and the others wait for it."""
    app, token, log_writer = await _prepared(ocpi, api)
    for number in (2, 3):
        await ocpi.send("PUT", f"2.2.1/locations/FI/ABC/L{number}", location("2.2.1", number), token=token)
    await tell(log_writer)
    cursor = await _cursor(app)
    async with await psycopg.AsyncConnection.connect(ocpi.db.dsn) as slow:
        await slow.execute("UPDATE location SET publish = false WHERE id = 'L2'")
        await slow.execute("INSERT INTO change (kind, location_pk) SELECT 'location', pk FROM location WHERE id = 'L2'")
        for minute in range(3):
            body = {"status": ("CHARGING", "BLOCKED", "AVAILABLE")[minute], "last_updated": f"2026-02-01T10:0{minute}:00Z"}
            await ocpi.send("PATCH", "2.2.1/locations/FI/ABC/L3/U3", body, token=token)
            await log_writer.catch_up()
        early = (await call(app, f"{BASE}/changes?since={cursor}")).json()
        await slow.commit()
    await tell(log_writer)
    late = (await call(app, f"{BASE}/changes?since={early['cursor']}")).json()
    told = [(item["kind"], item["locationId"], item["change"]) for item in early["changes"] + late["changes"]]
    assert sorted(told) == [("location", "L2", "removed"), *[("status", "L3", "changed")] * 3]
    seen = [item["status"]["status"] for item in early["changes"] + late["changes"] if item["kind"] == "status"]
    assert seen == ["CHARGING", "BLOCKED", "AVAILABLE"]


async def test_one_writer_whatever_the_number_of_nodes(ocpi: Ocpi, api: Api) -> None:
    """Three tellers and a reader meanwhile: each change once, in order, and the numbers without a step back."""
    app, token, _ = await _prepared(ocpi, api)
    cursor, stop = await _cursor(app), asyncio.Event()
    tasks = [asyncio.create_task(EventLogWriter(ocpi.db).run(stop)) for _ in range(3)]
    wanted = [f"2026-02-01T10:{n // 60:02}:{n % 60:02}.000Z" for n in range(120)]

    async def push() -> None:
        for n, moment in enumerate(wanted):
            body = {"status": ("CHARGING", "AVAILABLE")[n % 2], "last_updated": moment}
            assert (await ocpi.send("PATCH", "2.2.1/locations/FI/ABC/L1/U1", body, token=token)).status == 200

    pushing = asyncio.create_task(push())
    seen: list[str] = []
    async with asyncio.timeout(60):
        while len(seen) < len(wanted):
            page = (await call(app, f"{BASE}/changes?since={cursor}")).json()
            assert int(page["cursor"]) >= int(cursor)
            cursor = page["cursor"]
            seen += [item["time"] for item in page["changes"]]
    await pushing
    stop.set()
    await asyncio.gather(*tasks)
    assert seen == wanted
