"""Paging and answers as platforms have them: what is read to its end all the same, and what leaves a pull incomplete (R112–R131, R200)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.ocpi import client as client_module
from tests.e2e.cpo import location
from tests.intake.sender import by_offset, envelope_of, page, raw, sender
from tests.interface import Ocpi
from tests.versions import each


def _broken_links(url: str) -> list[str]:
    return [
        f'<{url}>; rel="next"', f"<{url}>; rel='next'", f"<{url}>; rel=next", f'{url}; rel="next"', url, f'<{url}>;rel="Next"',
        f'<{url}>; title="x"; rel="next"', f'<http://127.0.0.1/first>; rel="first", <{url}>; rel="next"',
        f"<{url}>; rel=“next”", f"  <{url}> ; rel = next ",
    ]  # fmt: skip


@each
@pytest.mark.holds("R113", "R114", "I-49", "I-50")
async def test_links(ocpi: Ocpi, version: str) -> None:
    """Trap 8: every written form of the next link is followed, verbatim, and the last page's empty Link ends it."""
    form = 0

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        at = int(request.query.get("cursor", 0))
        if at == 4:
            return page(items[4:], Link="")
        url = f"{request.url.with_query(cursor=at + 2)}&x=%2Fa+b"
        link = _broken_links(url)[form].encode("utf-8").decode("latin-1") if form == 8 else _broken_links(url)[form]
        return page(items[at : at + 2], Link=link)

    async with sender(ocpi, version) as cpo:
        cpo.locations, cpo.handler = [location(version, n) for n in range(5)], answer
        for form in range(len(_broken_links(""))):
            cpo.asked.clear()
            report = (await cpo.pull())["locations"]
            assert report.complete and report.counts.objects == 5, (form, report.error)
            asked = [request.raw_path for request in cpo.asked if request.path == "/locations"]
            assert asked[1:] == ["/locations?cursor=2&x=%2Fa+b", "/locations?cursor=4&x=%2Fa+b"], form


def _no_link(request: web.Request, items: list[Any]) -> web.Response:
    offset = int(request.query.get("offset", 0))
    return page(items[offset : offset + 2], X_Total_Count=str(len(items)), X_Limit="2")


def _no_headers(request: web.Request, items: list[Any]) -> web.Response:
    offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 2))
    return page(items[offset : offset + limit])


def _total_is_the_page(request: web.Request, items: list[Any]) -> web.Response:
    offset = int(request.query.get("offset", 0))
    found = items[offset : offset + 2]
    more = {"Link": f'<{request.url.update_query(offset=offset + 2)}>; rel="next"'} if offset + 2 < len(items) else {}
    return page(found, X_Total_Count=str(len(found)), X_Limit=str(len(found)), **more)


def _no_limit(request: web.Request, items: list[Any]) -> web.Response:
    if "limit" in request.query:
        return web.json_response({"status_code": 2001, "status_message": "Limit is not a number"})
    return by_offset(2)(request, items)


def _no_limit_in_http(request: web.Request, items: list[Any]) -> web.Response:
    refused = "limit" in request.query
    return web.json_response({"status_code": 2001}, status=400) if refused else by_offset(2)(request, items)


def _past_the_end(request: web.Request, items: list[Any]) -> web.Response:
    offset = int(request.query.get("offset", 0))
    return page(items[offset : offset + 2], X_Limit="1") if offset < len(items) else web.json_response({"status_code": 2000}, status=416)


def _same_page_always(request: web.Request, items: list[Any]) -> web.Response:
    return page(items, X_Limit=str(len(items)))


def _no_data_at_the_end(request: web.Request, items: list[Any]) -> web.Response:
    offset = int(request.query.get("offset", 0))
    if offset < len(items):
        return page(items[offset : offset + 5], Link=f'<{request.url.update_query(offset=offset + 5)}>; rel="next"')
    return web.json_response({"status_code": "1000"})


def _zipped(request: web.Request, items: list[Any]) -> web.Response:
    body = json.dumps({"status_code": 1000, "data": items}).encode()
    return raw(gzip.compress(body), **{"Content-Encoding": "gzip"})


@each
@pytest.mark.holds("R112", "R116", "R118", "R131", "I-13", "I-47", "I-48", "I-54", "I-55", "I-56")
async def test_tolerated_paging(ocpi: Ocpi, version: str) -> None:
    """Odd paging is read to its end."""
    async with sender(ocpi, version, page_size=5) as cpo:
        cpo.locations = [location(version, n) for n in range(5)]
        for handler in (
            _no_link, _no_headers, _total_is_the_page, _no_limit, _no_limit_in_http, _past_the_end, _same_page_always, _no_data_at_the_end,
            _zipped,
        ):  # fmt: skip
            cpo.handler = handler
            report = (await cpo.pull())["locations"]
            assert report.complete and report.counts.objects == 5, (handler, report.error)
        assert len(await ocpi.db.fetch_all("SELECT 1 FROM location WHERE withdrawn_at IS NULL")) == 5


def _loop(request: web.Request, items: list[Any]) -> web.Response:
    return page(items[:1], Link=f'<{request.url}>; rel="next"')


def _to_another_host(request: web.Request, items: list[Any]) -> web.Response:
    return page(items[:1], Link='<http://192.0.2.1/steal>; rel="next"')


def _too_few(request: web.Request, items: list[Any]) -> web.Response:
    return page(items[:3], X_Total_Count="500")


def _second_page(body: bytes, status: int = 200) -> Any:
    def answer(request: web.Request, items: list[Any]) -> web.Response:
        if "offset=2" in str(request.url):
            return web.Response(body=body, status=status)
        return by_offset(2)(request, items)

    return answer


async def _reset(request: web.Request, items: list[Any]) -> web.StreamResponse:
    if "offset=2" in str(request.url):
        assert request.transport is not None
        request.transport.abort()
    return by_offset(2)(request, items)


def _half_sent(length: int | None) -> Any:
    """The second page breaks in the middle: of its announced length, or of its chunks."""

    async def answer(request: web.Request, items: list[Any]) -> web.StreamResponse:
        if "offset=2" not in str(request.url):
            return by_offset(2)(request, items)
        response = web.StreamResponse(headers={"Content-Length": str(length)} if length else {})
        if length is None:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(envelope_of(json.dumps(items[2:4]))[:-5])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def _not_a_list(data: Any) -> Any:
    return lambda request, items: web.json_response({"status_code": 1000, "data": data})


BROKEN = {
    "loop": _loop, "host": _to_another_host, "few": _too_few, "cut": _second_page(b'{"status_code":1000,"data":[{"id"'),
    "html": _second_page(b"<html>maintenance"), "500": _second_page(b"", 500), "3000": _second_page(b'{"status_code":3000}'),
    "403": _second_page(b"{}", 403), "2001": _second_page(b'{"status_code":2001}'), "reset": _reset, "half": _half_sent(100_000),
    "half a chunk": _half_sent(None), "text": _not_a_list("under maintenance"), "object": _not_a_list({"items": []}),
    "nothing else": _second_page(b"[]"), "empty": _second_page(b""),
}  # fmt: skip


@each
@pytest.mark.holds("R115", "R117", "R126", "R129", "I-53", "I-65")
async def test_incomplete_withdraws_nothing(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is kept, the crawl is incomplete and says why, and nothing is withdrawn."""
    monkeypatch.setattr("ocpi_nap.ocpi.paging._RETRIES", 0)
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, n) for n in range(5)]
        await cpo.pull()
        for name, handler in BROKEN.items():
            cpo.handler = handler
            report = (await cpo.pull())["locations"]
            assert not report.complete and report.error, name
            assert report.counts.withdrawn == report.counts.withheld == 0, name
            assert await ocpi.db.fetch_all("SELECT 1 FROM location WHERE withdrawn_at IS NOT NULL") == [], name
            row = await ocpi.db.fetch_one("SELECT complete, error FROM crawl WHERE module = 'locations' ORDER BY id DESC")
            assert row is not None and row[0] is False and row[1] == report.error


async def _endless(request: web.Request, items: list[Any]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"status_code":1000,"data":[')
    for _ in range(10_000):
        await response.write(b" " * 100_000)
    return response


def _bomb(request: web.Request, items: list[Any]) -> web.Response:
    return raw(gzip.compress(b" " * 5_000_000), **{"Content-Encoding": "gzip"})


def _deep(request: web.Request, items: list[Any]) -> web.Response:
    return raw(envelope_of("[" * 50_000 + "]" * 50_000))


def _not_gzip(request: web.Request, items: list[Any]) -> web.Response:
    return raw(b"not gzip", **{"Content-Encoding": "gzip"})


@each
@pytest.mark.holds("R200", "I-54")
async def test_hostile_pages(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without end, a bomb, a tower: bounded, told, and the process lives."""
    monkeypatch.setattr("ocpi_nap.ocpi.paging._RETRIES", 0)
    monkeypatch.setattr(client_module, "PAGE_LIMIT", 1_000_000)
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        await cpo.pull()
        for handler in (_endless, _bomb, _deep, _not_gzip):
            cpo.handler = handler
            report = (await cpo.pull())["locations"]
            assert report.counts.withdrawn == 0, handler
            assert not report.complete or report.counts.refused == 1, handler


@each
@pytest.mark.holds("R129", "I-20")
async def test_busy_platform(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R129, I-20: 429 with and without Retry-After is waited for and the page asked again."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    answers = [web.json_response({}, status=429, headers={"Retry-After": "7"}), web.json_response({}, status=429)]

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        return answers.pop(0) if answers and request.path == "/locations" else by_offset(2)(request, items)

    monkeypatch.setattr("ocpi_nap.ocpi.paging.Crawler.__init__.__kwdefaults__", {"date_from": None, "sleep": wait})
    async with sender(ocpi, version) as cpo:
        cpo.locations, cpo.handler = [location(version, n) for n in range(3)], answer
        assert (await cpo.pull())["locations"].complete
    assert waits == [7.0, 120.0]
