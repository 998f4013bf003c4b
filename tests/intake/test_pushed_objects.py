"""Pushed objects: ids, references, what is private or removed, at once and durable (requirements section 5)."""

from __future__ import annotations

import asyncio
import http.client
import json
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from ocpi_nap.cli.inside import served_inside
from ocpi_nap.store.database import Database
from tests.e2e.cpo import location, tariff
from tests.intake.pusher import Pusher, at
from tests.interface import Ocpi, interface
from tests.versions import each, from_2_2_1


@each
@pytest.mark.holds("R160", "R135", "I-86", "I-100", "I-101")
async def test_removed_and_empty(cpo: Pusher, version: str) -> None:
    """REMOVED is kept and hidden, its id remembered, and a later status revives it; without an EVSE in use a Location is not shown."""
    body = await cpo.start("U1", "U2")
    assert await cpo.published() == {"L1": ["FI*ABC*EU1", "FI*ABC*EU2"]}
    await cpo.ok("PUT", "L1/U1", {"uid": "U1", "status": "REMOVED", "last_updated": at(1)}, status=200)
    assert (await cpo.read("L1/U1"))["status"] == "REMOVED"
    assert await cpo.published() == {"L1": ["FI*ABC*EU2"]}
    assert await cpo.ocpi.db.fetch_all("SELECT public_id FROM evse WHERE uid = 'U1'") == [("FI*ABC*EU1",)]
    await cpo.ok("PATCH", "L1/U2", {"status": "REMOVED", "last_updated": at(1)})
    assert await cpo.published() == {}
    await cpo.ok("PATCH", "L1/U2", {"status": "AVAILABLE", "last_updated": at(2)})
    assert await cpo.published() == {"L1": ["FI*ABC*EU2"]}
    await cpo.ok("PUT", "L1/U1", {**body["evses"][0], "last_updated": at(2)}, status=200)
    assert await cpo.published() == {"L1": ["FI*ABC*EU1", "FI*ABC*EU2"]}
    for number, evses in ((2, []), (3, None), (4, [{**body["evses"][0], "connectors": []}])):
        await cpo.ok("PUT", f"L{number}", {**location(version, number), "evses": evses}, status=201)
        assert (await cpo.read(f"L{number}"))["id"] == f"L{number}"
    await cpo.ok("PUT", "L5", {name: value for name, value in location(version, 5).items() if name != "evses"}, status=201)
    assert list(await cpo.published()) == ["L1"]
    await cpo.refused("PUT", "L1/U1", {**body["evses"][0], "connectors": [], "last_updated": at(3)})


@from_2_2_1
@pytest.mark.holds("R163", "R164", "I-113")
async def test_private(cpo: Pusher, version: str) -> None:
    """publish false is stored and read back, never shown, and nothing is refused for being private; text is read, absence is no yes."""
    allowed = [{"uid": "1234", "type": "RFID", "issuer": "Abc", "visual_number": "12-34", "group_id": "G"}]
    body = {**location(version, 1), "publish": False, "publish_allowed_to": allowed}
    await cpo.ok("PUT", "L1", body, status=201)
    assert await cpo.read("L1") == body
    assert (await cpo.canonical())[0].publish_allowed_to[0].group_id == "G"
    assert await cpo.published() == {}
    await cpo.ok("PATCH", "L1", {"publish": True, "last_updated": at(1)})
    assert list(await cpo.published()) == ["L1"]
    await cpo.ok("PATCH", "L1", {"publish": "false", "last_updated": at(2)})
    await cpo.ok("PUT", "L2", {name: value for name, value in location(version, 2).items() if name != "publish"}, status=201)
    assert await cpo.published() == {}


@pytest.mark.holds("R164", versions=("2.1.1",))
@pytest.mark.parametrize("version", ["2.1.1"])
async def test_no_publish_in_2_1_1(cpo: Pusher, version: str) -> None:
    """2.1.1 has no private Locations: what is delivered is shown, whatever its access (R164)."""
    body = location(version, 1)
    body["evses"][0]["parking_restrictions"] = ["CUSTOMERS"]
    await cpo.ok("PUT", "L1", body, status=201)
    assert list(await cpo.published()) == ["L1"]


@each
@pytest.mark.holds("R165", "R166", "R167", "R172", "I-87", "I-102", "I-116")
async def test_references_and_doubles(cpo: Pusher, version: str) -> None:
    """Unknown tariffs are kept; of a connector id sent twice the last counts, in the public form and for its PATCH; the sender is told."""
    body = location(version, 1)
    connector = body["evses"][0]["connectors"][0]
    named = {"tariff_id": "NONE"} if version == "2.1.1" else {"tariff_ids": ["NONE", None, "T2"]}
    body["evses"][0]["connectors"] = [{**connector, **named}, {**connector, **named, "format": "CABLE"}]
    reply = await cpo.send("PUT", "L1", body)
    envelope = json.loads(reply.body)
    assert (reply.status, envelope["status_code"]) == (201, 1000) and "twice" in envelope["status_message"]
    (found,) = (await cpo.canonical())[1][0].connectors
    assert (found.format, found.tariff_ids) == ("CABLE", ["NONE"] if version == "2.1.1" else ["NONE", "T2"])
    await cpo.ok("PATCH", "L1/U1/1", {"format": "SOCKET", "last_updated": at(1)})
    assert (await cpo.canonical())[1][0].connectors[0].format == "SOCKET" == (await cpo.read("L1/U1/1"))["format"]
    await cpo.ok("PUT", "L2", {**location(version, 2), "evses": location(version, 1)["evses"]}, status=201)
    assert (await cpo.read("L2/U1"))["uid"] == (await cpo.read("L1/U1"))["uid"]
    assert "duplicate_id" in await cpo.rules()


@pytest.mark.parametrize("version", ["2.3.0"])
@pytest.mark.holds("R168", "I-114")
async def test_parking_places(cpo: Pusher, version: str) -> None:
    """A parking place that the Location does not have is recorded, at every level; ids instead of objects are read."""
    place = {"id": "P1", "vehicle_types": ["PERSONAL_VEHICLE"], "restricted_to_type": False, "reservation_required": False}
    body = {**location(version, 1), "parking_places": [place]}
    evse = body["evses"][0]
    await cpo.ok("PUT", "L1", {**body, "evses": [{**evse, "parking": ["P1"]}]}, status=201)
    assert (await cpo.canonical())[1][0].parking[0].parking_id == "P1"
    assert "parking_unknown" not in await cpo.rules()
    for path, method, sent in (
        ("L1", "PUT", {**body, "evses": [{**evse, "parking": [{"parking_id": "P9"}]}]}), ("L1/U1", "PUT", {**evse, "parking": ["P9"]}),
        ("L1/U1", "PATCH", {"parking": ["P9"], "last_updated": at(1)}),
    ):  # fmt: skip
        await cpo.ocpi.db.execute("DELETE FROM issue")
        await cpo.ok(method, path, sent)
        assert "parking_unknown" in await cpo.rules(), (method, path)


@each
@pytest.mark.holds("R169", "R152")
async def test_siblings_at_once(cpo: Pusher, version: str, database: Database, tmp_path: Path) -> None:
    """Many PATCHes of siblings at once, at all levels and over two nodes: none is lost."""
    uids = [f"U{n}" for n in range(24)]
    await cpo.start(*uids)
    (tmp_path / "second").mkdir()
    async with interface(database, tmp_path / "second") as second:
        nodes = [cpo, Pusher(second, version, cpo.token)]
        for turn in range(1, 4):
            sent = []
            for n, uid in enumerate(uids):
                one, other = nodes[n % 2], nodes[(n + turn) % 2]
                sent.append(one.ok("PATCH", f"L1/{uid}", {"status": ("CHARGING", "BLOCKED")[(n + turn) % 2], "last_updated": at(turn * 2)}))
                sent.append(other.ok("PATCH", f"L1/{uid}/1", {"terms_and_conditions": f"https://t/{turn}/{n}", "last_updated": at(turn)}))
                if n % 3 == 0:
                    patch = {"floor_level": f"{turn}", "last_updated": at(turn * 2 + 1)}
                    sent.append(other.ok("PATCH", f"L1/{uid}", patch))
            sent.append(nodes[turn % 2].ok("PATCH", "L1", {"name": f"turn {turn}", "last_updated": at(turn)}))
            results = await asyncio.gather(*sent, return_exceptions=True)
            late = [result for result in results if isinstance(result, BaseException)]
            assert all("older than stored" in str(result) for result in late) and len(late) <= len(uids) // 3
    read = await cpo.read("L1")
    flood = [cpo.ok("PATCH", f"L1/{uids[n % 24]}", {"status": "RESERVED", "last_updated": at(20)}, status=200) for n in range(1000)]
    await asyncio.gather(*flood)  # a thousand at once (field lessons 10)
    assert {evse["status"] for evse in (await cpo.read("L1"))["evses"]} == {"RESERVED"}
    assert read["name"] == "turn 3" and [evse["uid"] for evse in read["evses"]] == uids
    for n, evse in enumerate(read["evses"]):
        assert evse["connectors"][0]["terms_and_conditions"] == f"https://t/3/{n}"
        if n % 3 == 0:
            assert evse["floor_level"] == "3"  # its status may have come too late
        else:
            assert evse["status"] == ("CHARGING", "BLOCKED")[(n + 3) % 2]


@each
@pytest.mark.holds("R171")
async def test_durable_before_answered(cpo: Pusher, version: str, dsn: str) -> None:
    """While its transaction cannot commit a push is not answered; once it is answered, every other connection sees it."""
    await cpo.start()
    async with await psycopg.AsyncConnection.connect(dsn) as other:
        assert await (await other.execute("SHOW synchronous_commit")).fetchone() == ("on",)
        for path, patch in (("L1/U1", {"status": "BLOCKED"}), ("L1", {"name": "durable"})):
            await other.execute("SELECT 1 FROM evse_state FOR UPDATE")
            answer = asyncio.create_task(cpo.ok("PATCH", path, {**patch, "last_updated": at(1)}))
            while not await cpo.ocpi.db.fetch_one("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not answer.done()
            assert not answer.done()
            await other.rollback()
            await answer
            row = await (await other.execute("SELECT s.status, l.doc FROM evse_state s, location l")).fetchone()
            assert row is not None and (row[0] == "BLOCKED" if path == "L1/U1" else json.loads(row[1])["name"] == "durable")
            await other.rollback()


ODD = [
    "FI*ABC*1", "a::b", "a//b", "a/b", "//a", "with space", "ääkkönen#1", "50%25", "100%", "q?x=1", "plus+sign", "semi;colon", "a.b~c",
    "..", "日本",
]  # fmt: skip


@each
@pytest.mark.holds("R138", "R45", "I-81", "I-82", "I-83", "R140")
async def test_odd_ids(cpo: Pusher, version: str) -> None:
    """Over real HTTP: whatever stands in an id, percent-encoded or not, names one object at each level; the first spelling is kept."""
    tariffs = version != "2.1.1"
    async with served_inside(cpo.ocpi.app) as port:
        loop = asyncio.get_running_loop()

        def request(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            headers = {"Authorization": f"Token {cpo.token}", "Content-Type": "application/json"}
            connection.request(method, f"/ocpi/{version}/{path}", body and json.dumps(body).encode(), headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())

        async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            return await loop.run_in_executor(None, request, method, path, body)

        for odd in ODD:
            name = quote(odd, safe="")
            body = {**location(version, 1), "id": odd}
            evse = body["evses"][0]
            body["evses"] = [{**evse, "uid": odd, "connectors": [{**evse["connectors"][0], "id": odd}]}]
            base = f"locations/FI/ABC/{name}"
            assert (await ask("PUT", base, body))[0] == 201, odd
            for path, member in ((base, "id"), (f"{base}/{name}", "uid"), (f"{base}/{name}/{name}", "id")):
                status, found = await ask("GET", f"{path}/")
                assert (status, found["data"][member]) == (200, odd), path
            patched = await ask("PATCH", f"{base}/{name}", {"status": "BLOCKED", "last_updated": at(1)})
            assert (patched[0], patched[1]["status_code"]) == (200, 1000), odd
            if tariffs:
                assert (await ask("PUT", f"tariffs/FI/ABC/{name}", {**tariff(version), "id": odd}))[0] == 201
        plain = "locations/FI/ABC"
        assert (await ask("GET", f"{plain}/a//b"))[1]["data"]["id"] == "a//b"
        assert (await ask("GET", "locations//FI/ABC/a::b"))[1]["data"]["id"] == "a::b"
        assert (await ask("GET", f"{plain}/FI*ABC*1"))[1]["data"]["id"] == "FI*ABC*1"
        assert (await ask("GET", f"{plain}/plus%20sign"))[0] == 404
        for nothing in ("null", "undefined", "%00", "%FF", "%20"):
            assert (await ask("PUT", f"{plain}/{nothing}", location(version, 1)))[0] == 404
        assert (await ask("PUT", f"{plain}/Mixed", {**location(version, 1), "id": "Mixed"}))[0] == 201
        status, found = await ask("PUT", "locations/fi/aBc/mIXED", {**location(version, 1), "id": "MIXED", "last_updated": at(1)})
        if version == "2.1.1":
            assert (status, found["status_code"]) == (200, 2001)
            assert (await ask("GET", f"{plain}/mixed"))[0] == 404
        else:
            assert (status, found["status_code"]) == (200, 1000)
            assert (await ask("GET", f"{plain}/mixed/u1"))[1]["data"]["uid"] == "U1"
    assert len((await cpo.ocpi.stored())["location"]) == len(ODD) + 1


@each
@pytest.mark.holds("R199", "R40")
async def test_raw_is_kept(cpo: Pusher, version: str) -> None:
    """The JSON last received for each node is kept as it came, beside the canonical form: types, unknown members, exact numbers."""
    odd = {"x_vendor": {"n": [1, None, {"deep": True}]}, "postal_code": 100, "charging_when_closed": "true"}
    body = {**location(version, 1), **odd}
    body["evses"][0] |= {"floor_level": -1, "status": "available", "x_number": 1}
    data = json.dumps(body).replace('"x_number": 1', '"x_number": 0.10').encode()
    reply = await cpo.ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", data, token=cpo.token)
    assert reply.status == 201
    (stored,) = await cpo.ocpi.db.fetch_all("SELECT l.raw, e.raw FROM location l JOIN evse e ON e.location_pk = l.pk")
    assert {**json.loads(stored[0]), "evses": [json.loads(stored[1])]} == json.loads(data)
    assert b'"x_number":0.10' in stored[1]
    node, (evse,) = await cpo.canonical()
    assert (node.postal_code, node.charging_when_closed, node.extra, evse.floor_level) == ("100", True, {"x_vendor": odd["x_vendor"]}, "-1")


@each
@pytest.mark.holds("R139", "R140", "R186", "R194", "R196", "R195", "I-79", "I-80")
async def test_owners(ocpi: Ocpi, version: str) -> None:
    """One platform with two parties and another one: each sees and writes its own, whatever the others hold; codes in any case."""
    both, other = await ocpi.platform(version, "ABC", "DEF"), await ocpi.platform(version, "XYZ")
    headers = {"ocpi-from-country-code": "SE", "ocpi-from-party-id": "QQQ", "ocpi-to-party-id": "RRR"}  # they do not matter
    for token, party in ((both, "ABC"), (both, "DEF"), (other, "XYZ")):
        path = f"{version}/locations/fi/{party.lower()}/L1"
        assert (await ocpi.send("PUT", path, location(version, 1, party), token=token, headers=headers)).status == 201
    for token, party in ((other, "ABC"), (both, "XYZ"), (both, "NAP"), (other, "DEF")):
        for method, path in (("GET", "L1"), ("PUT", "L1"), ("PATCH", "L1/U1"), ("GET", "L9")):
            reply = await ocpi.send(method, f"{version}/locations/FI/{party}/{path}", location(version, 1, party), token=token)
            assert (reply.status, reply.json()["status_code"]) == (404, 2000), "the same, whether or not the object exists"
        if version != "2.1.1":
            reply = await ocpi.send("PUT", f"{version}/tariffs/FI/{party}/T1", tariff(version, party), token=token)
            assert (reply.status, reply.json()["status_code"]) == (404, 2000)
    rows = await ocpi.db.fetch_all("SELECT country_code, party_id, id FROM location ORDER BY 2")
    assert rows == [("FI", "ABC", "L1"), ("FI", "DEF", "L1"), ("FI", "XYZ", "L1")]
    await ocpi.issues.flush()
    seen = await ocpi.db.fetch_all("SELECT DISTINCT object FROM issue WHERE rule = 'unknown_party' ORDER BY 1")
    assert {f"locations/FI/{party}" for party in ("ABC", "DEF", "NAP", "XYZ")} & {name for (name,) in seen} == {
        "locations/FI/DEF", "locations/FI/ABC", "locations/FI/NAP", "locations/FI/XYZ",
    }  # fmt: skip
    assert (await ocpi.db.fetch_all("SELECT count(*) FROM tariff"))[0][0] == 0


@each
@pytest.mark.holds("R44", "I-95")
async def test_zone_of_times_without_one(ocpi: Ocpi, version: str) -> None:
    """Times without zone are UTC, or in the zone that the platform is set to."""
    for party, settings, hour in (("ABC", {}, 12), ("HEL", {"naive_timezone": "Europe/Helsinki"}, 10)):
        token = await ocpi.platform(version, party, **settings)
        body = {**location(version, 1, party), "last_updated": "2026-01-15T12:00:00"}
        assert (await ocpi.send("PUT", f"{version}/locations/FI/{party}/L1", body, token=token)).status == 201
        rows = await ocpi.db.fetch_all("SELECT source_last_updated FROM location WHERE party_id = %s", (party,))
        assert rows[0][0].astimezone(UTC).hour == hour
