"""Pulls: what is new, changed, unchanged, refused and withdrawn, and when nothing may be concluded (R111–R136, D5, D6, D17)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.intake.repair import repair_location
from ocpi_nap.ocpi import client as client_module
from ocpi_nap.ocpi.ports import NodeKey
from tests.e2e.cpo import location, tariff
from tests.intake.sender import by_offset, envelope_of, page, raw, sender
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
