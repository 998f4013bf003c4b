"""What pulls ask for, page by page, and when a list has come to its end (requirements R111 to R121, R129)."""

from __future__ import annotations

import asyncio
import email.utils
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import paging
from ocpi_nap.ocpi.net import Refused, follow
from tests.aiohttp_server import served
from tests.e2e.cpo import location
from tests.intake.sender import asked, held, page, sender
from tests.interface import Ocpi
from tests.versions import each


def offsets_only(size: int, *, total: bool, limit: int | None = None) -> Any:
    """No Link; pages of ``size``; X-Total-Count and X-Limit if given."""

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        offset = int(request.query.get("offset", 0))
        headers = ({"X_Total_Count": str(len(items))} if total else {}) | ({"X_Limit": str(limit)} if limit else {})
        return page(items[offset : offset + size], **headers)

    return answer


@each
@pytest.mark.holds("R111", "R112", "R116", "R118", "I-47", "I-48")
async def test_pages_without_links(ocpi: Ocpi, version: str) -> None:
    """The exact requests: by total as far as it goes; without one, once more after a full page by either measure, and no further."""
    first = {"offset": "0", "limit": "3"}
    async with sender(ocpi, version, page_size=3) as cpo:
        cpo.locations = [location(version, n) for n in range(4)]
        for handler, steps in (
            (offsets_only(2, total=True), ["0", "2"]),  # fewer than asked for: what arrived counts
            (offsets_only(3, total=False), ["0", "3"]),  # the second page is not full
            (offsets_only(2, total=False, limit=2), ["0", "2", "4"]),
            (offsets_only(3, total=False, limit=1000), ["0", "3"]),  # full by what was asked for, X-Limit is the server's most
            (offsets_only(4, total=False), ["0", "4"]),  # everything at once, more than asked for: one more question
            (offsets_only(4, total=True, limit=4), ["0", "4"]),  # a total that may count the page
        ):
            cpo.handler = handler
            report = (await cpo.pull())["locations"]
            assert report.complete and report.counts.objects == 4, report.error
            queries = asked(cpo)
            assert [query["offset"] for query in queries] == steps and queries[0] == first
            assert len(await held(ocpi)) == 4
        for unreadable in ('<next>; rel="http://127.0.0.1/locations?offset=2"', "next", "<>; rel=next", "%%%", '<http://[>; rel="next"'):
            by_total = offsets_only(2, total=True)

            def answer(request: web.Request, items: list[Any], link: str = unreadable, inner: Any = by_total) -> web.Response:
                found: web.Response = inner(request, items)
                found.headers["Link"] = link
                return found

            cpo.handler = answer
            assert (await cpo.pull())["locations"].counts.objects == 4, unreadable
            assert [query["offset"] for query in asked(cpo)] == ["0", "2"], unreadable
        for several in ('<{0}>; rel="last next"', '<{0}>; rel="next last"', '<{0}>; title=x; rel = last next'):

            def by_links(request: web.Request, items: list[Any], link: str = several) -> web.Response:
                offset = int(request.query.get("offset", 0))
                target = str(request.url.with_query(offset=offset + 1, cursor="c"))
                return page(items[offset : offset + 1], **({"Link": link.format(target)} if offset + 1 < len(items) else {}))

            cpo.handler = by_links
            assert (await cpo.pull())["locations"].counts.objects == 4, several
            assert [query.get("cursor") for query in asked(cpo)] == [None, "c", "c", "c"], several
        cpo.handler = offsets_only(2, total=False)  # less than asked for, and nothing says that there is more
        assert (await cpo.pull())["locations"].counts.objects == 2


@each
@pytest.mark.holds("R112", "I-55", "I-67")
async def test_first_request(ocpi: Ocpi, version: str) -> None:
    """The endpoint's own query is kept; a platform can be asked without parameters; a size of nothing is never asked for."""
    for settings, wanted in (
        ({"page_size": 7}, {"key": "k", "offset": "0", "limit": "7"}), ({"page_size": 0}, {"key": "k", "offset": "0", "limit": "1"}),
        ({"send_paging_parameters": False}, {"key": "k"}),
    ):  # fmt: skip
        await ocpi.db.execute("DELETE FROM platform")
        async with sender(ocpi, version, **settings) as cpo:
            endpoints = {"locations": f"{cpo.url}/locations?key=k"}
            await ocpi.db.execute("UPDATE platform SET endpoints = %s::jsonb", (json.dumps(endpoints),))
            await cpo.pull()
            routing = {name for name in cpo.asked[0].headers if name.lower().startswith("ocpi-")}
            assert bool(routing) == (version != "2.1.1")
            assert asked(cpo) == [wanted]


@each
@pytest.mark.holds("R115", "R14")
async def test_where_links_may_lead(ocpi: Ocpi, version: str) -> None:
    """http is upgraded on the same host; a foreign host ends the crawl before the token goes there, unless it is allowed."""
    own = frozenset({"cpo.example"})
    assert follow("https://cpo.example/a", "http://cpo.example/a?b=1", own) == "https://cpo.example/a?b=1"
    assert follow("https://cpo.example/a", "https://pages.example/b", own | {"pages.example"}) == "https://pages.example/b"
    for elsewhere in ("https://pages.example/b", "http://pages.example/b", "ftp://cpo.example/b", "https://cpo.example:444/b"):
        with pytest.raises(Refused):
            follow("https://cpo.example/a", elsewhere, own)
    async with sender(ocpi, version) as cpo, sender_elsewhere() as (url, hits):
        cpo.locations = [location(version, n) for n in range(4)]
        cpo.handler = lambda request, items: page(items[:2], Link=f'<{url}?offset=2>; rel="next"')
        assert not (await cpo.pull())["locations"].complete and hits == []
        hosts = {"allowed_hosts": [urlsplit(url).netloc]}
        await ocpi.db.execute("UPDATE platform SET settings = %s::jsonb", (json.dumps(hosts),))
        assert (await cpo.pull())["locations"].complete and set(hits) == {"Token token-c"}


@asynccontextmanager
async def sender_elsewhere() -> AsyncIterator[tuple[str, list[str]]]:
    """Another host that tells who asked it."""
    hits: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        hits.append(request.headers.get("Authorization", ""))
        return page([])

    async with served(answer) as url:
        yield f"{url}/next", hits


@each
@pytest.mark.holds("R116", "R117", "I-50", "I-53", "I-56")
async def test_ends_of_lists(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless lists end with an error; a Link that fails is replaced by an offset; what lies past the end is the end."""
    monkeypatch.setattr(paging, "_RETRIES", 0)
    turns: list[int] = []

    def always_next(items_of: Any) -> Any:
        def answer(request: web.Request, items: list[Any]) -> web.Response:
            turns.append(1)
            return page(items_of(items), Link=f'<{request.url.with_query(turn=len(turns))}>; rel="next"')

        return answer

    def broken_link(request: web.Request, items: list[Any]) -> web.StreamResponse:
        if "cursor" in request.query:
            return web.Response(status=500)
        offset = int(request.query.get("offset", 0))
        return page(items[offset : offset + 2], X_Total_Count="4", Link=f'<{request.url.with_query(cursor=1)}>; rel="next"')

    def only_cursors(request: web.Request, items: list[Any]) -> web.StreamResponse:
        if "cursor" in request.query:
            return web.Response(status=500)
        return page(items[:2], Link=f'<{request.url.with_query(cursor=1)}>; rel="next"')

    def too_far(status: int) -> Any:
        def answer(request: web.Request, items: list[Any]) -> web.StreamResponse:
            offset = int(request.query.get("offset", 0))
            return page(items[offset : offset + 2], X_Limit="2") if offset < 4 else web.json_response({"status_code": 2001}, status=status)

        return answer

    async with sender(ocpi, version, max_pages=20) as cpo:
        cpo.locations = [location(version, n) for n in range(4)]
        for handler, complete, error in (
            (always_next(lambda items: []), False, "without anything new"),
            (always_next(lambda items: items), False, "without anything new"),
            (always_next(lambda items: [{**location(version, 1), "id": f"N{len(turns)}"}]), False, "more than 20 pages"),
            (broken_link, True, None), (only_cursors, False, "HTTP 500"), (too_far(404), True, None), (too_far(416), True, None),
        ):  # fmt: skip
            cpo.handler = handler
            turns.clear()
            report = (await cpo.pull())["locations"]
            assert report.complete is complete, (handler, report.error)
            assert error is None or (report.error is not None and error in report.error)
            assert {"L0", "L1", "L2", "L3"} <= set(await held(ocpi)) or not complete


@each
@pytest.mark.holds("R119", "R126")
async def test_totals_that_change(ocpi: Ocpi, version: str) -> None:
    """A total may grow; one that shrinks makes the crawl unstable: it is complete, and concludes nothing. No pull sends date_to."""
    totals: list[str] = []

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        offset = int(request.query.get("offset", 0))
        more = {"Link": f'<{request.url.update_query(offset=offset + 2)}>; rel="next"'} if offset + 2 < len(items) else {}
        return page(items[offset : offset + 2], X_Total_Count=totals[min(offset // 2, len(totals) - 1)], **more)

    async with sender(ocpi, version) as cpo:
        cpo.locations, cpo.handler = [location(version, n) for n in range(5)], answer
        totals[:] = ["3", "4", "5"]
        assert (await cpo.pull())["locations"].complete
        cpo.locations = cpo.locations[:4]
        totals[:] = ["5", "4"]
        report = (await cpo.pull())["locations"]
        assert report.complete and report.counts.withdrawn == report.counts.withheld == 0
        totals[:] = ["4"]
        assert (await cpo.pull())["locations"].counts.withdrawn == 1
        totals[:] = ["4", "6"]
        report = (await cpo.pull())["locations"]
        assert not report.complete and report.error == "only 4 of 6 objects came"
        await cpo.pull(full=False)
        assert all("date_to" not in query for query in asked(cpo))


@each
@pytest.mark.holds("R120", "R121", "R201", "I-52", "I-61")
async def test_deltas_go_by_their_clock(ocpi: Ocpi, version: str) -> None:
    """date_from is the last complete pull's start in the platform's own clock, less the overlap, in plain UTC form."""
    theirs = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    stamp: dict[str, str] = {"Date": email.utils.format_datetime(theirs, usegmt=True)}

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        body = {"status_code": 1000, "data": items, "timestamp": "2031-05-06T09:08:09.123+02:00"}
        return web.json_response(body, headers={"Date": stamp.get("Date", "unknown")})

    async with sender(ocpi, version, delta_overlap_minutes=8) as cpo:
        cpo.locations, cpo.handler = [location(version, 1)], answer
        await cpo.pull()
        asked(cpo)
        await cpo.pull(full=False)
        assert "date_from=2031-05-06T07%3A00%3A09Z" in cpo.asked[-1].raw_path
        assert asked(cpo)[0]["date_from"] == "2031-05-06T07:00:09Z"
        stamp.clear()  # no usable Date: the envelope's timestamp
        await cpo.pull()
        asked(cpo)
        await cpo.pull(full=False)
        assert asked(cpo)[0]["date_from"] == "2031-05-06T07:00:09Z"
        cpo.handler = lambda request, items: web.Response(status=403)
        await cpo.pull(full=False)
        cpo.handler = answer
        asked(cpo)
        await cpo.pull(full=False)
        assert asked(cpo)[0]["date_from"] == "2031-05-06T07:00:09Z", "a failed pull does not count"
        cpo.locations = [location(version, n) for n in range(4)]
        cpo.handler = lambda request, items: (
            page(items[2:]) if "cursor" in request.query else page(items[:2], Link=f'<{request.url.with_query(cursor=1)}>; rel="next"')
        )
        report = (await cpo.pull(full=False))["locations"]
        assert report.complete and report.counts.objects == 4
        assert ["date_from" in query for query in asked(cpo)] == [True, False], "the Link lost the filter, and is followed as it is"


@each
@pytest.mark.holds("R129", "I-20", "I-68")
async def test_waits(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After in both forms and within limits, back-off with jitter, no retry of refusals, and a limit to it all."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    past = email.utils.format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    answers: list[web.Response] = []

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        return answers.pop(0) if answers else page(items)

    def busy(retry_after: str | None, status: int = 429) -> web.Response:
        return web.json_response({}, status=status, headers={"Retry-After": retry_after} if retry_after else None)

    monkeypatch.setattr("ocpi_nap.ocpi.paging.Crawler.__init__.__kwdefaults__", {"date_from": None, "sleep": wait})
    await ocpi.db.execute("SELECT 1")
    async with sender(ocpi, version) as cpo:
        await ocpi.db.execute("UPDATE platform SET endpoints = endpoints - 'tariffs'")
        cpo.locations, cpo.handler = [location(version, 1)], answer
        answers[:] = [busy(soon), busy(past, 503), busy("86400"), busy("²"), busy(None, 503), busy("-5")]
        assert (await cpo.pull())["locations"].complete
        assert 60 < waits[0] <= 90 and waits[1] == 0 and waits[2:] == [600.0, 480.0, 600.0, 600.0]
        waits.clear()
        answers[:] = [web.Response(status=500), web.json_response({"status_code": 3000}), web.Response(body=b"{")]
        assert (await cpo.pull())["locations"].complete
        assert len(waits) == 3 and all(0.8 * 2**n <= s <= 1.2 * 2**n for n, s in enumerate(waits)), waits
        waits.clear()
        for refusal in (web.Response(status=401), web.Response(status=403), web.Response(status=404), web.Response(status=405),
                        web.json_response({"status_code": 2002})):  # fmt: skip
            answers[:] = [refusal]
            assert not (await cpo.pull())["locations"].complete and waits == []
        answers[:] = [busy("1") for _ in range(20)]
        assert "after 8 waits" in str((await cpo.pull())["locations"].error)
        answers[:] = [web.Response(status=502) for _ in range(20)]
        assert "(3 retries)" in str((await cpo.pull())["locations"].error)
        answers.clear()
        monkeypatch.setattr(paging.time, "monotonic", iter(range(0, 10**9, 400 * 60)).__next__)
        assert (await cpo.pull())["locations"].error == "longer than 360 minutes"


@each
@pytest.mark.holds("I-68", "R200")
async def test_slow_page(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that does not come in its time ends the crawl; it took nobody else's time."""
    monkeypatch.setattr(paging, "_RETRIES", 0)
    never = asyncio.Event()

    async def answer(request: web.Request, items: list[Any]) -> web.StreamResponse:
        if request.path == "/locations":
            await never.wait()
        return page(items)

    async with sender(ocpi, version, page_timeout_seconds=1) as cpo:
        cpo.locations, cpo.handler = [location(version, 1)], answer
        waiting = asyncio.create_task(cpo.pull())
        token = await ocpi.platform(version, "XYZ")
        reply = await ocpi.send("PUT", f"{version}/locations/FI/XYZ/L1", location(version, 1, "XYZ"), token=token)
        assert reply.status == 201 and not waiting.done()
        report = (await waiting)["locations"]
        assert not report.complete and report.error is not None and "no complete answer within 1 s" in report.error
        never.set()


def test_settings_of_pulls() -> None:
    """The defaults that the requirements name."""
    settings = PlatformSettings()
    assert (settings.page_size, settings.max_pages, settings.page_timeout_seconds, settings.delta_overlap_minutes) == (100, 10_000, 120, 10)
    assert (settings.delta_interval_minutes, settings.full_interval_minutes, settings.full_only) == (60, 1440, False)
