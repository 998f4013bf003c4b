"""What a platform must not achieve: an answer 5xx, a lost object, a worker or a memory of ours to itself (R27, R39, R127, R158, R200)."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.intake import crawl as crawling
from ocpi_nap.intake.operations import MOST_EVSES
from ocpi_nap.model import jsontext
from ocpi_nap.ocpi import paging
from tests.asgi import Reply, call
from tests.e2e.cpo import location
from tests.intake.pusher import Pusher, at
from tests.intake.sender import by_offset, page, raw, sender
from tests.interface import Ocpi
from tests.versions import each


def evse_of(version: str, **other: Any) -> dict[str, Any]:
    found: dict[str, Any] = {**location(version, 1)["evses"][0], **other}
    return found


@pytest.mark.holds("R200", "R44", "I-95")
@each
async def test_a_time_with_blanks_for_ever(cpo: Pusher, version: str) -> None:
    """Whoever reads on over blanks takes the square of their number: a text longer than any time is none."""
    await cpo.start()
    for blanks in (100, 80_000):
        patch = {"status": "CHARGING", "last_updated": "2026-03-01T00:00:00" + " " * blanks + "Z", "x": blanks}
        await cpo.ok("PATCH", "L1/U1", patch)
    assert "timestamp_invalid" in await cpo.rules()


@pytest.mark.holds("R127", "I-107")
@each
async def test_digits_that_are_none(ocpi: Ocpi, cpo: Pusher, version: str) -> None:
    """Opening hours of superscripts: dropped, whether they are pushed or stand in a page beside good objects."""
    hours = {"twentyfourseven": False, "regular_hours": [{"weekday": 1, "period_begin": "²²:00", "period_end": "20:00"}]}
    await cpo.ok("PUT", "L1", {**location(version, 1), "opening_times": hours}, status=201)
    async with sender(ocpi, version, ("DEF",)) as other:
        other.locations = [location(version, n, "DEF") for n in (1, 2, 3)]
        other.locations[0]["opening_times"] = hours
        report = (await other.pull())["locations"]
        assert report.complete and report.counts.new == 3


@pytest.mark.holds("I-112", "I-110")
@each
async def test_an_evse_id_of_any_length(ocpi: Ocpi, cpo: Pusher, version: str) -> None:
    """Kept whole, though no index takes it; and so are connectors' ids, also when the connectors go."""
    chance = random.Random(1)
    long = ["".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=8000)) for _ in range(2)]
    body = location(version, 1)
    evse = body["evses"][0]
    evse["evse_id"] = long[0]
    evse["connectors"] = [{**evse["connectors"][0], "id": long[1]}]
    await cpo.ok("PUT", "L1", body, status=201)
    assert (await cpo.read("L1"))["evses"][0]["evse_id"] == long[0]
    await cpo.ok("PUT", "L1/U1", {**evse_of(version), "last_updated": at(1)})
    rows = await ocpi.db.fetch_all("SELECT id, withdrawn_reason FROM gone_connector")
    assert rows == [(long[1], "omitted")]


def deep(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.holds("R32", "R158")
@each
async def test_as_deep_as_may_be_inside_an_evse(cpo: Pusher, version: str) -> None:
    """A connector that is as deep as a document may be stands deeper inside its EVSE; all goes on there as before."""
    await cpo.start()
    connector = {**evse_of(version)["connectors"][0], "last_updated": at(1), "x": deep(62)}
    await cpo.ok("PUT", "L1/U1/1", connector)
    await cpo.ok("PATCH", "L1/U1", {"floor_level": "2", "last_updated": at(2)})
    await cpo.ok("PATCH", "L1/U1/1", {"format": "CABLE", "last_updated": at(3)})
    assert (await cpo.read("L1/U1/1"))["x"] == deep(62)
    assert (await cpo.read("L1"))["evses"][0]["connectors"][0]["format"] == "CABLE"


NUMBERS = [b"1e400", b"-1e400", b"1e-400", b"1e99999", b"9" * 400, b"123456789012345678901234567890.5", b"-0.0", b"1E5"]


@pytest.mark.holds("R40", "R190", "I-93", "I-94")
@each
async def test_numbers_of_any_size(cpo: Pusher, version: str) -> None:
    """In members that we know and in others: stored, changed, read and published as long as they are no core data."""
    body, same = jsontext.dump(location(version, 1)), {"last_updated": "2026-01-01T10:00:00Z"}
    for number in NUMBERS:
        for member in (b'"x":%s', b'"x":{"y":[%s]}', b'"energy_mix":{"is_green_energy":true,"x":%s}', b'"charging_when_closed":%s'):
            sent = body.replace(b'"time_zone"', member % number + b',"time_zone"', 1)
            await cpo.ok("PUT", "L1", sent)
            await cpo.ok("PATCH", "L1", {"name": "Asema", **same})
        for member in (b'"x":%s', b'"floor_level":%s', b'"coordinates":{"latitude":%s,"longitude":%s}'):
            values = (number,) * member.count(b"%s")
            sent = body.replace(b'"capabilities"', member % values + b',"capabilities"', 1)
            await cpo.ok("PUT", "L1", sent)
            await cpo.ok("PATCH", "L1/U1", {"status": "CHARGING", **same})
            await cpo.ok("PATCH", "L1/U1", {"floor_level": "1", **same})
        for member in (b'"x":%s', b'"max_voltage":%s', b'"voltage":%s', b'"max_electric_power":%s'):
            sent = body.replace(b'"standard"', member % number + b',"standard"', 1)
            await cpo.ok("PUT", "L1", sent)
            await cpo.ok("PATCH", "L1/U1/1", {"format": "CABLE", **same})
        await cpo.ok("GET", "L1/U1/1")
        await cpo.ok("GET", "L1")
    assert list(await cpo.published()) == ["L1"]


@pytest.mark.holds("I-109", "R159")
@each
async def test_a_connector_and_an_evse_by_themselves(cpo: Pusher, version: str) -> None:
    """An object where a list is required is a list of one, also for what changes it later: nothing of it is lost."""
    body = location(version, 1)
    body["evses"][0]["connectors"] = body["evses"][0]["connectors"][0]
    await cpo.ok("PUT", "L1", body, status=201)
    assert (await cpo.read("L1/U1/1"))["standard"] == "IEC_62196_T2"
    await cpo.ok("PATCH", "L1/U1/1", {"format": "CABLE", "last_updated": at(1)})
    await cpo.ok("PATCH", "L1/U1", {"connectors": {"id": "1", "terms_and_conditions": "https://a.example"}, "last_updated": at(2)})
    await cpo.ok("PATCH", "L1", {"evses": {"uid": "U1", "floor_level": "3"}, "last_updated": at(3)})
    _, evses = await cpo.canonical()
    found = evses[0].connectors[0]
    assert (found.standard, found.format, found.terms_and_conditions) == ("IEC_62196_T2", "CABLE", "https://a.example")
    assert evses[0].floor_level == "3"


@pytest.mark.holds("I-100", "I-109")
@each
async def test_evses_that_are_no_list(ocpi: Ocpi, cpo: Pusher, version: str) -> None:
    """Whoever sends a word, a number or true for the EVSEs has not said that there are none."""
    await cpo.start()
    for number, broken in enumerate(["none", 7, True], start=1):
        await cpo.ok("PUT", "L1", {**location(version, 1), "evses": broken, "last_updated": at(number)})
        await cpo.ok("PATCH", "L1", {"evses": broken, "last_updated": at(number)})
        assert [evse["uid"] for evse in (await cpo.read("L1"))["evses"]] == ["U1"]
    assert "wrong_type" in await cpo.rules()


@pytest.mark.holds("R147", "I-99", "I-117")
@each
async def test_a_status_that_is_none(cpo: Pusher, version: str) -> None:
    """Empty, not available or no text: core data that is missing, so refused where it is addressed and unknown where it is nested."""
    await cpo.start()
    for value in ("", "#NA", 5, ["AVAILABLE"]):
        await cpo.refused("PUT", "L1/U1", {**evse_of(version), "status": value, "last_updated": at(1)})
        await cpo.refused("PATCH", "L1/U1", {"status": value, "last_updated": at(1)})
        body = {**location(version, 2), "evses": [evse_of(version, status=value)]}
        await cpo.ok("PUT", "L2", body)
        assert (await cpo.canonical("L2"))[1][0].status == "UNKNOWN"


@pytest.mark.holds("I-41", "I-79", "R139")
@each
async def test_parties_with_blanks(cpo: Pusher, version: str) -> None:
    """Compared without them, in the URL as in the body."""
    body = {**location(version, 1), "country_code": "fi ", "party_id": " abc"}
    reply = await cpo.ocpi.send("PUT", f"{version}/locations/fi/abc%20/L1", body, token=cpo.token)
    assert reply.status == 201
    await cpo.ok("PATCH", "L1", {"party_id": "ABC ", "name": "Asema"})


@pytest.mark.holds("R32", "R200")
@each
async def test_documents_of_nothing_but_brackets(ocpi: Ocpi, version: str) -> None:
    """A few MB of text that would become hundreds of MB of objects: not read."""
    token = await ocpi.platform(version)
    app = ocpi.served_at("https://nap.example/ocpi", 1 << 23)
    for filling in (b"{}", b"[]", b"0"):
        body = b'{"id":"L1","evses":[' + b",".join([filling] * 1_100_000) + b"]}"
        headers = {"authorization": f"Token {token}"}
        reply = await call(app, f"/ocpi/{version}/locations/FI/ABC/L1", method="PUT", headers=headers, body=body)
        assert reply.status == 400 and reply.json()["status_code"] == 2001 and "too many values" in reply.json()["status_message"]


@pytest.mark.holds("R200")
@each
async def test_more_evses_than_there_are(ocpi: Ocpi, cpo: Pusher, version: str) -> None:
    """Not taken; and what is stored stays."""
    await cpo.start()
    app = ocpi.served_at("https://nap.example/ocpi")
    body = {**location(version, 1), "evses": [{"uid": str(n)} for n in range(MOST_EVSES + 1)], "last_updated": at(1)}
    reply: Reply = await call(app, f"/ocpi/{version}/locations/FI/ABC/L1", method="PUT", headers={"authorization": f"Token {cpo.token}"},
                              body=json.dumps(body).encode())  # fmt: skip
    assert (reply.status, reply.json()["status_code"]) == (200, 2001)
    assert [evse["uid"] for evse in (await cpo.read("L1"))["evses"]] == ["U1"]


@pytest.mark.holds("R200")
@each
async def test_a_location_that_grows(ocpi: Ocpi, cpo: Pusher, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATCHes that each add a member: refused from a size on that no one document could have."""
    monkeypatch.setattr("ocpi_nap.intake.merge._LARGEST", 200_000)
    await cpo.start()
    for number in range(3):
        await cpo.ok("PATCH", "L1/U1", {f"x{number}": "y" * 90_000, "last_updated": at(1 + number)})
    answer = await cpo.refused("PATCH", "L1/U1", {"x9": "y", "last_updated": at(9)})
    assert "grown" in answer["status_message"]
    await cpo.ok("PATCH", "L1/U1", {"status": "CHARGING", "last_updated": at(9)})


@pytest.mark.holds("R197", "R200")
@each
async def test_many_large_bodies_at_once(ocpi: Ocpi, version: str) -> None:
    """Of one platform only so many are held; the others are told to come again, and nobody else's are in the way."""
    token, other = await ocpi.platform(version), await ocpi.platform(version, "XYZ")
    app, size = ocpi.served_at("https://nap.example/ocpi"), 600_000
    body = json.dumps({**location(version, 1), "x": "y" * size}).encode()
    arrived: list[asyncio.Event] = []
    go_on = asyncio.Event()

    async def put(token: str, party: str) -> int:
        first, statuses = asyncio.Event(), []
        arrived.append(first)
        parts = [{"type": "http.request", "body": body[:size], "more_body": True}, {"type": "http.request", "body": body[size:]}]

        async def receive() -> Any:
            if len(parts) == 1:
                first.set()
                await go_on.wait()
            return parts.pop(0)

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        path = f"/ocpi/{version}/locations/FI/{party}/L1"
        scope = {"type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": [(b"authorization", f"Token {token}".encode())]}  # fmt: skip
        await app(scope, receive, send)
        return int(statuses[0])

    running = [asyncio.create_task(put(token, "ABC")) for _ in range(6)]
    while len(arrived) < len(running):  # noqa: ASYNC110 - they come one by one
        await asyncio.sleep(0)
    await asyncio.gather(*(event.wait() for event in arrived))
    assert [task for task in running if task.done()] == []
    refused = await put(token, "ABC")
    assert refused == 429
    theirs = asyncio.create_task(put(other, "XYZ"))
    await asyncio.sleep(0)
    go_on.set()
    assert set(await asyncio.gather(*running)) <= {200, 201} and (await theirs) != 429
    assert await put(token, "ABC") == 200


@pytest.mark.holds("R106", "R101")
@each
async def test_a_token_that_another_worker_ended(ocpi: Ocpi, version: str) -> None:
    """This worker still knows who called, and has not been told yet: no write goes through all the same, and nothing is stored."""
    token, body = await ocpi.platform(version), location(version, 1)
    base = f"{version}/locations/FI/ABC/L1"
    status = {"status": "CHARGING", "last_updated": at(1)}
    assert (await ocpi.send("PUT", base, body, token=token)).status == 201
    assert (await ocpi.send("PATCH", f"{base}/U1", status, token=token)).status == 200
    for ended in ("UPDATE token SET expires_at = now() - interval '1 second'", "DELETE FROM token"):
        assert (await ocpi.send("PATCH", f"{base}/U1", {"status": "BLOCKED"}, token=token)).status in (200, 401)
        await ocpi.db.execute(ended)
        before = await ocpi.stored()
        for method, path, sent in [
            ("PATCH", f"{base}/U1", {**status, "status": "RESERVED"}), ("PUT", base, {**body, "name": "x", "last_updated": at(2)}),
            ("PATCH", base, {"name": "y"}), ("PATCH", base, {}), ("PUT", f"{version}/locations/FI/ABC/L2", location(version, 2)),
        ]:  # fmt: skip
            reply = await ocpi.send(method, path, sent, token=token)
            assert (reply.status, reply.json()["status_code"]) == (401, 2000), (method, path)
        assert await ocpi.stored() == before and ocpi.repairs == []


@pytest.mark.holds("I-103", "R124")
@each
async def test_connectors_that_go(ocpi: Ocpi, cpo: Pusher, version: str) -> None:
    """Whichever way the list that lacks them came: what was held is kept with the time and the reason."""
    two = [{**evse_of(version)["connectors"][0], "id": number, "x": number} for number in ("1", "2")]
    await cpo.ok("PUT", "L1", {**location(version, 1), "evses": [evse_of(version, connectors=two)]}, status=201)
    await cpo.ok("PUT", "L1/U1", evse_of(version, connectors=two[1:], last_updated=at(1)))
    kept = "SELECT uid_key, id, via, withdrawn_reason, withdrawn_at > received_at, raw FROM gone_connector ORDER BY id"
    first = await ocpi.db.fetch_all(kept)
    assert [row[:5] for row in first] == [("u1" if version != "2.1.1" else "U1", "1", "push", "omitted", True)]
    assert json.loads(first[0][5]) == two[0]
    await cpo.ok("PATCH", "L1/U1", {"status": "REMOVED", "last_updated": at(2)})
    bare = evse_of(version, connectors=[], last_updated=at(3))
    await cpo.ok("PUT", "L1", {**location(version, 1), "evses": [bare], "last_updated": at(3)})
    assert [row[1] for row in await ocpi.db.fetch_all(kept)] == ["1", "2"]
    await ocpi.registry.remove(f"p{version}")
    assert await ocpi.db.fetch_all(kept) == []


@pytest.mark.holds("R136", "R129", "I-9")
@each
async def test_an_answer_of_bytes(ocpi: Ocpi, version: str) -> None:
    """What no database takes as text, in an error that is kept and shown: cleaned, and the pull is recorded."""
    async with sender(ocpi, version) as cpo:
        for answer in (
            web.Response(status=418, body=b"\x00\x01\x02gone\xff\x00"),
            web.Response(body=b'{"status_code":2000,"status_message":"a\\u0000b\\ud800"}', content_type="application/json"),
            web.Response(status=403, body=b'{"status_code":2000,"status_message":"a\\u0000b"}', content_type="application/json"),
        ):
            cpo.handler = lambda request, items, a=answer: web.Response(status=a.status, body=a.body, content_type="application/json")  # type: ignore[misc]
            report = (await cpo.pull())["locations"]
            assert not report.complete and report.error
            row = await ocpi.db.fetch_one("SELECT error, finished_at FROM crawl WHERE module = 'locations' ORDER BY id DESC LIMIT 1")
            assert row is not None and row[0] == report.error and row[1] is not None
            shown = (await cpo.platform()).last_error
            assert shown is not None and "\x00" not in shown["answer"]


@pytest.mark.holds("R120", "R201")
@each
@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -1200", "0 0 0 0 0 0", "x", "", "1 Jan 2026 25:00:00 +9999"],
)  # fmt: skip
async def test_a_clock_of_another_age(ocpi: Ocpi, version: str, date: str) -> None:
    """Their clock says nothing that could be used: the next delta begins at our own time."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        cpo.handler = lambda request, items: page(items, Date=date)
        for full in (True, False):
            assert (await cpo.pull(full=full))["locations"].complete
        asked = [request.query.get("date_from", "") for request in cpo.asked if request.path == "/locations"]
        assert asked[0] == "" and asked[-1][:2] == "20"


@pytest.mark.holds("R127", "R200")
@each
async def test_objects_too_large(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by itself; what is held of it stays, and the others are taken."""
    monkeypatch.setattr(crawling, "LARGEST_OBJECT", 50_000)
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in (1, 2, 3)]
        cpo.handler = by_offset(50)
        await cpo.pull()
        cpo.locations[1]["x"] = "y" * 60_000
        cpo.locations.append({"x": "y" * 60_000})
        report = (await cpo.pull())["locations"]
        assert report.complete and (report.counts.unchanged, report.counts.refused, report.counts.withdrawn) == (2, 2, 0)
        assert await ocpi.db.fetch_all("SELECT object FROM issue WHERE rule = 'too_large'") == [("locations/FI/ABC/L2",)]


@pytest.mark.holds("R32", "R127", "R200", "I-66")
@each
async def test_towers_in_a_page(ocpi: Ocpi, version: str) -> None:
    """One that no decoder reads to its end, and one just too high: each refused by itself, what is held of it stays."""
    async with sender(ocpi, version) as cpo:
        bodies = [jsontext.dump(location(version, n)) for n in range(4)]

        def answer(request: web.Request, items: list[Any]) -> web.Response:
            return raw(b'{"status_code":1000,"data":[' + b",".join(bodies if request.path == "/locations" else []) + b"]}")

        cpo.handler = answer
        await cpo.pull()
        for number, height in ((1, 100_000), (2, 100)):
            tower = b'"x":{"[\\"y":' + b"[" * height + b'"]"' + b"]" * height + b"}"
            bodies[number] = bodies[number].replace(b'"name"', tower + b',"name"', 1)
        report = (await cpo.pull())["locations"]
        assert report.complete, report.error
        assert (report.counts.unchanged, report.counts.refused, report.counts.withdrawn, report.counts.withheld) == (2, 2, 0, 0)
        told = await ocpi.db.fetch_all("SELECT object, rule, message FROM issue WHERE refused ORDER BY object")
        assert [row[0] for row in told] == ["locations/FI/ABC/L1", "locations/FI/ABC/L2"]
        assert {row[1:] for row in told} == {("not_json", "cannot be decoded: nested too deeply")}


@pytest.mark.holds("R200", "R117", "I-54")
@each
async def test_more_objects_than_there_are(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one page or in all together: the pull ends, what came is kept, nothing is withdrawn."""
    monkeypatch.setattr(paging, "MOST_OBJECTS", 40)
    monkeypatch.setattr(paging, "_LARGE", 100)
    async with sender(ocpi, version) as cpo:
        many = b",".join(b'{"id":"%d"}' % number for number in range(60))
        cpo.handler = lambda request, items: raw(b'{"status_code":1000,"data":[' + many + b"]}")
        report = (await cpo.pull())["locations"]
        assert not report.complete and "more than 40 objects" in (report.error or "") and report.counts.objects == 0
        cpo.locations = [location(version, n) for n in range(60)]
        cpo.handler = by_offset(15)
        report = (await cpo.pull())["locations"]
        assert not report.complete and "more than 40 objects" in (report.error or "") and report.counts.new == 30


@pytest.mark.holds("R127")
@each
async def test_one_that_cannot_be_stored(ocpi: Ocpi, version: str) -> None:
    """Whatever the database has against one object of a page, the others are stored."""
    await ocpi.db.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = ''L2'' THEN RAISE ''no''; END IF; RETURN NEW; END'"
    )
    await ocpi.db.execute("CREATE TRIGGER no BEFORE INSERT ON location FOR EACH ROW EXECUTE FUNCTION no()")
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in (1, 2, 3)]
        report = (await cpo.pull())["locations"]
        assert report.complete and (report.counts.new, report.counts.refused) == (2, 1)
        times = await ocpi.db.fetch_all("SELECT id, source_last_updated FROM location ORDER BY id")
        assert [(name, moment.year, moment.hour) for name, moment in times] == [("L1", 2026, 10), ("L3", 2026, 10)]


@pytest.mark.holds("I-8", "R129")
@each
async def test_every_request_counts(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and redirects too, against the platform's daily number."""

    async def at_once(seconds: float) -> None:
        return None

    monkeypatch.setattr(paging.Crawler.__init__, "__kwdefaults__", {"date_from": None, "sleep": at_once})
    async with sender(ocpi, version, max_requests_per_day=5) as cpo:
        answers: list[Any] = [web.Response(status=500), raw(b'{"status_code":'), web.Response(status=307, headers={"Location": "/x"})]
        cpo.locations = [location(version, 1)]
        cpo.handler = lambda request, items: answers.pop(0) if answers and request.path == "/locations" else page(items)
        assert (await cpo.pull())["locations"].complete
        counted = await ocpi.db.fetch_one("SELECT sum(requests)::int FROM request_hour")
        assert counted == (len(cpo.asked),) and len(cpo.asked) >= 4
