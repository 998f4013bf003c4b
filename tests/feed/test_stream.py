"""`GET /stream/statuses`: each change once and in order, from any point, for many and for slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from ocpi_nap.feed.events import stream
from ocpi_nap.feed.events.logwriter import EventLogWriter
from tests.e2e.cpo import location
from tests.feed.conftest import Api
from tests.feed.following import tell
from tests.feed.listener import Listener
from tests.interface import Ocpi


class Pusher:
    """An operator with Locations L0… of one EVSE each, whose statuses change one after the other."""

    def __init__(self, ocpi: Ocpi, token: str, party: str = "ABC") -> None:
        self.ocpi, self.token, self.party, self.count = ocpi, token, party, 0
        self.sent: list[tuple[str, str, str]] = []
        self.shown: dict[int, str] = {}

    async def put(self, number: int, latitude: str = "60.1") -> None:
        body = location("2.2.1", number, self.party) | {"coordinates": {"latitude": latitude, "longitude": "24.9"}}
        reply = await self.ocpi.send("PUT", f"2.2.1/locations/FI/{self.party}/L{number}", body, token=self.token)
        assert reply.json()["status_code"] == 1000

    async def change(self, number: int, status: str | None = None) -> None:
        self.count += 1
        if status is None:
            status = "AVAILABLE" if self.shown.get(number) == "CHARGING" else "CHARGING"
        self.shown[number] = status
        moment = f"2026-02-01T{self.count // 3600:02}:{self.count // 60 % 60:02}:{self.count % 60:02}.000Z"
        body = {"status": status, "last_updated": moment}
        path = f"2.2.1/locations/FI/{self.party}/L{number}/U{number}"
        reply = await self.ocpi.send("PATCH", path, body, token=self.token)
        assert reply.json()["status_code"] == 1000
        self.sent.append((f"FI*{self.party}*E{number}", status, moment))


@asynccontextmanager
async def streaming(ocpi: Ocpi, api: Api, locations: int = 1, **hub: int) -> AsyncIterator[tuple[Any, Pusher]]:
    """The public API with a running log writer, and an operator."""
    pusher = Pusher(ocpi, await ocpi.platform("2.2.1"))
    for number in range(locations):
        await pusher.put(number)
    await tell(EventLogWriter(ocpi.db))
    stop = asyncio.Event()
    telling = asyncio.create_task(EventLogWriter(ocpi.db).run(stop))
    app = await api(**hub)
    yield app, pusher
    stop.set()
    await telling


async def test_events_as_they_happen(ocpi: Ocpi, api: Api) -> None:
    """Data, ids, headers; an EVSE that comes or goes; the end of the stream at shutdown."""
    async with streaming(ocpi, api) as (app, pusher):
        reader = await Listener(app).opened()
        assert reader.status == 200 and reader.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reader.headers["access-control-allow-origin"] == "*"
        await pusher.change(0, "CHARGING")
        await reader.until(lambda: reader.events)
        assert reader.events == [
            ("message", {"operator": "FI*ABC", "locationId": "L0", "evseId": "FI*ABC*E0", "status": "CHARGING",
                         "time": "2026-02-01T00:00:01.000Z"})
        ]  # fmt: skip
        await pusher.put(7)
        await reader.until(lambda: len(reader.events) == 2)
        await pusher.change(7, "REMOVED")
        await reader.until(lambda: len(reader.events) == 3)
        (_, came), (kind, gone) = reader.events[1:]
        assert (came["evseId"], came["status"]) == ("FI*ABC*E7", "AVAILABLE")
        assert (kind, gone["evseId"], gone["reason"]) == ("removed", "FI*ABC*E7", "no_evses")
        app.state.end_streams()
        await reader.finished()
        assert reader.ended
        refused = Listener(app)
        await refused.finished()
        assert refused.status == 200 and refused.ended and not refused.events  # a reader comes again


async def test_resume_without_gap_or_repetition(ocpi: Ocpi, api: Api) -> None:
    """By header or parameter, from the log and from the blocks in memory, while changes go on; a new server knows the ids too."""
    async with streaming(ocpi, api, 3) as (app, pusher):
        first = await Listener(app).opened()
        start = first.last_id
        for n in range(20):
            await pusher.change(n % 3)
        await first.until(lambda: len(first.events) >= 5)
        await first.leave()
        had = len(first.events)
        going_on = asyncio.create_task(_changes(pusher, 30))
        second = Listener(app, last_id=first.last_id)
        third = Listener(await api(), f"Last-Event-ID={start}")
        await going_on
        await second.until(lambda: had + len(second.events) >= 50)
        await third.until(lambda: len(third.events) >= 50)
        assert first.statuses() + second.statuses() == pusher.sent
        assert third.statuses() == pusher.sent
        await second.leave()
        await third.leave()


async def _changes(pusher: Pusher, count: int) -> None:
    for n in range(count):
        await pusher.change(n % 3)


async def test_two_hundred_readers_with_filters(ocpi: Ocpi, api: Api) -> None:
    """Each gets what its filter leaves, and one reader of the log serves them all."""
    other = Pusher(ocpi, await ocpi.platform("2.2.1", "XYZ"), "XYZ")
    await other.put(1, "65.0")
    async with streaming(ocpi, api, 2) as (app, pusher):
        filters = ("", "operator=FI*ABC", "operator=FI*XYZ", "operator=FI*ABC,FI*XYZ", "bbox=24,60,25,61", "bbox=24,64,25,66",
                   "operator=FI*ABC&bbox=24,64,25,66", "operator=FI*XYZ&bbox=24,64,25,66")  # fmt: skip
        readers = [await Listener(app, filters[n % len(filters)]).opened() for n in range(200)]
        for n in range(40):
            await pusher.change(n % 2)
            await other.change(1)
        expected = [(True, True), (True, False), (False, True), (True, True), (True, False), (False, True), (False, False), (False, True)]
        for n, reader in enumerate(readers):
            abc, xyz = expected[n % len(filters)]
            count = 40 * (abc + xyz)
            await reader.until(lambda reader=reader, count=count: len(reader.events) >= count)
            statuses = reader.statuses()
            for wanted, sender in ((abc, pusher), (xyz, other)):
                assert [row for row in statuses if row[0].startswith(f"FI*{sender.party}")] == (sender.sent if wanted else [])
        await asyncio.gather(*(reader.leave() for reader in readers))


async def test_a_slow_reader_is_closed_and_comes_back(ocpi: Ocpi, api: Api) -> None:
    """It holds nothing of the server but its place; others are not held up."""
    async with streaming(ocpi, api, stream_kept=20) as (app, pusher):
        slow, quick = await Listener(app).opened(), await Listener(app).opened()
        slow.blocked.clear()
        for n in range(60):
            await pusher.change(0)
            await quick.until(lambda n=n: len(quick.events) > n)
        slow.blocked.set()
        await slow.finished()
        assert slow.ended and len(slow.events) < 60
        again = Listener(app, last_id=slow.last_id)
        await again.until(lambda: len(slow.events) + len(again.events) >= 60)
        assert slow.statuses() + again.statuses() == pusher.sent == quick.statuses()
        await quick.leave()
        await again.leave()


async def test_a_stuck_reader_is_cut_off(ocpi: Ocpi, api: Api, monkeypatch: Any) -> None:
    """One that takes nothing at all any more does not keep its connection."""
    monkeypatch.setattr(stream, "_STUCK", -1.0)
    monkeypatch.setattr(stream, "_HEARTBEAT", 0.0)
    async with streaming(ocpi, api) as (app, pusher):
        stuck = await Listener(app).opened()
        stuck.blocked.clear()
        await pusher.change(0)
        await stuck.finished()


async def test_heartbeats_carry_the_place(ocpi: Ocpi, api: Api, monkeypatch: Any) -> None:
    """A comment keeps the line open, with the id that a filtered reader would resume from."""
    monkeypatch.setattr(stream, "_HEARTBEAT", 0.0)
    async with streaming(ocpi, api) as (app, pusher):
        reader = await Listener(app, "operator=FI*XYZ").opened()
        start = reader.last_id
        await pusher.change(0)
        await reader.until(lambda: reader.last_id != start)
        assert reader.events == [] and any(block.startswith(b":\n") for block in reader.blocks)
        await reader.leave()


async def test_a_database_that_goes_away_meanwhile(ocpi: Ocpi, api: Api, monkeypatch: Any) -> None:
    """A reader who needs the log is let go, as at any other end, and comes again."""
    async with streaming(ocpi, api) as (app, pusher):
        first = await Listener(app).opened()
        start = first.last_id
        await pusher.change(0)
        await first.until(lambda: first.events)
        await first.leave()
        await pusher.change(0)
        after, away = stream.sql.after, [True]

        async def failing(*arguments: Any, **options: Any) -> Any:
            if options and away.pop():
                raise psycopg.OperationalError("the connection is lost")
            return await after(*arguments, **options)

        monkeypatch.setattr(stream.sql, "after", failing)
        cut = Listener(app, last_id=start)
        await cut.finished()
        assert (cut.status, cut.ended, cut.events) == (200, True, [])
        away.append(False)
        again = Listener(app, last_id=cut.last_id)
        await again.until(lambda: len(again.events) == 2)
        assert again.statuses() == pusher.sent
        await again.leave()


async def test_no_more_than_allowed(ocpi: Ocpi, api: Api) -> None:
    async with streaming(ocpi, api, stream_listeners=1) as (app, _):
        reader = await Listener(app).opened()
        refused = Listener(app)
        await refused.finished()
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        await reader.leave()
        again = await Listener(app).opened()
        await again.leave()
