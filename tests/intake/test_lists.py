"""Lists whose Links or order cannot be relied on: nothing is lost, and nothing is withdrawn too early (R113–R128)."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.e2e.cpo import location
from tests.intake.sender import page, sender
from tests.interface import Ocpi
from tests.versions import each


@pytest.mark.holds("R115", "I-49")
@each
async def test_links_that_lead_nowhere(ocpi: Ocpi, version: str) -> None:
    """To another host: nothing is sent there and the pull fails, but what offsets bring is kept. No URL at all: the offsets do."""
    for link, complete in (("http://192.0.2.1/next", False), ("http://[", True)):
        await ocpi.db.execute("DELETE FROM platform")

        def answer(request: web.Request, items: list[Any], link: str = link) -> web.Response:
            offset = int(request.query.get("offset", 0))
            more = {"Link": f'<{link}>; rel="next"'} if offset + 2 < len(items) else {}
            return page(items[offset : offset + 2], **more)

        async with sender(ocpi, version) as cpo:
            cpo.locations, cpo.handler = [location(version, n) for n in range(5)], answer
            report = (await cpo.pull())["locations"]
            assert (report.complete, report.counts.new) == (complete, 5), report.error
            assert complete or "another host" in (report.error or "")


@pytest.mark.holds("R124", "R128", "I-57")
@each
async def test_a_list_that_moves_between_two_pages(ocpi: Ocpi, version: str) -> None:
    """An object that comes again, the very same, has pushed another one out: that is withdrawn only when a second pull agrees."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in range(4)]
        await cpo.pull()
        moved = [cpo.locations[n] for n in (3, 2, 2, 0)]

        def answer(request: web.Request, items: list[Any]) -> web.Response:
            offset = int(request.query.get("offset", 0))
            more = {"Link": f'<{request.url.update_query(offset=2)}>; rel="next"'} if offset == 0 else {}
            return page(moved[offset : offset + 2], **more)

        cpo.handler = answer
        counts = [(await cpo.pull())["locations"].counts for _ in range(2)]
        assert [(found.withheld, found.withdrawn) for found in counts] == [(1, 0), (0, 1)]


@pytest.mark.holds("R113", "I-50")
@each
async def test_links_with_what_no_request_line_holds(ocpi: Ocpi, version: str) -> None:
    """A blank and letters beyond ASCII are encoded; what is encoded already stays as it is."""

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        more = {"Link": f'<{cpo.url}/locations?cursor=a b%20ä%2F+>; rel="next"'} if "cursor" not in request.query else {}
        return page(items[2:] if "cursor" in request.query else items[:2], **more)

    async with sender(ocpi, version) as cpo:
        cpo.locations, cpo.handler = [location(version, n) for n in range(4)], answer
        report = (await cpo.pull())["locations"]
        assert report.complete and report.counts.new == 4, report.error
        assert cpo.asked[-1].raw_path == '/locations?cursor=a%20b%20%C3%A4%2F+'


@pytest.mark.holds("R116", "R117", "I-54", "I-59")
@pytest.mark.parametrize("total", [True, False], ids=["with total", "without total"])
@each
async def test_everything_in_one_page_that_changes(ocpi: Ocpi, version: str, total: bool) -> None:
    """Offsets are ignored and something is different each time: the page is asked for once more, and that is the end."""
    turns: list[int] = []

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        turns.append(1)
        items = [{**item, "name": f"at {len(turns)}"} if n < 2 else item for n, item in enumerate(items)]
        return page(items, X_Limit=str(len(items)), **({"X_Total_Count": str(len(items))} if total else {}))

    async with sender(ocpi, version, page_size=4) as cpo:
        cpo.locations, cpo.handler = [location(version, n) for n in range(5)], answer
        report = (await cpo.pull())["locations"]
        assert report.complete and (report.counts.objects, report.counts.new) == (5, 5), report.error
        assert len([request for request in cpo.asked if request.path == "/locations"]) == 2
        del cpo.locations[4]
        assert (await cpo.pull())["locations"].counts.withdrawn == 1
