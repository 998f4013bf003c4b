"""Platforms that answer anything: the checker ends with a report, never with a traceback, in bounded time and memory."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.checker import html as html_report
from ocpi_nap.checker import report
from ocpi_nap.checker.run import check
from ocpi_nap.checker.state import Options, Run
from ocpi_nap.checker.verdict import judge
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import client
from tests.aiohttp_server import served
from tests.checker.conftest import host, names, no_wait

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEEP = b"[" * 100_000


def enveloped(data: Any, **headers: str) -> web.Response:
    body = {"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z", "data": data}
    return web.Response(text=json.dumps(body), content_type="application/json", headers=headers)


def platform(lists: Answer, *, details: Any = None) -> Answer:
    """Healthy versions and details of 2.2.1, the lists as given."""

    async def answer(request: web.Request) -> web.StreamResponse:
        base = f"{request.scheme}://{request.host}"
        if "Authorization" not in request.headers:
            return web.Response(status=401)
        if request.path == "/versions":
            return enveloped([{"version": "2.2.1", "url": f"{base}/2.2.1"}])
        if request.path == "/2.2.1":
            names = ("credentials", "locations", "tariffs")
            modules = [{"identifier": name, "role": "SENDER", "url": f"{base}/2.2.1/{name}"} for name in names]
            return enveloped({"version": "2.2.1", "endpoints": modules} if details is None else details(base))
        return await lists(request)

    return answer


async def run_on(url: str, **more: Any) -> Run:
    given: dict[str, Any] = {"token": "token-c", "timeout": 5.0, "settings": PlatformSettings(max_pages=20)}
    run = await check(Options(versions_url=f"{url}/versions", **{**given, **more}), host, sleep=no_wait, wait=no_wait)
    told = report.build(run)
    assert html_report.page(told) and list(report.text(told))
    return run


async def test_a_platform_without_credentials() -> None:
    """I-45: a static token; the NAP is set to do without the module."""

    async def lists(request: web.Request) -> web.StreamResponse:
        return enveloped([{"country_code": "FI", "party_id": "ABC", "id": "L1"}])

    def details(base: str) -> Any:
        return {"endpoints": [{"identifier": "locations", "role": "SENDER", "url": f"{base}/locations"}]}

    async with served(platform(lists, details=details)) as url:
        assert names(await run_on(url)) >= {"no-credentials-endpoint"}
        run = await run_on(url, settings=PlatformSettings(registration="none"))
        assert "no-credentials-endpoint" in names(run, "note") and run.counts["locations"] == 1


async def test_nobody_there() -> None:
    async with served(platform(lambda request: no_wait(0))) as url:  # type: ignore[arg-type, return-value]
        pass
    run = await run_on(url)
    assert names(run, "error") == {"unreachable"} and judge(run).outcome == "not-ready"


async def test_a_body_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_LIMIT", 200_000)

    async def huge(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"status_code":1000,"data":["' + b"x" * 300_000, content_type="application/json")

    async with served(platform(huge)) as url:
        assert "too-large" in names(await run_on(url), "error")


async def test_pages_without_end() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        offset = int(request.query.get("offset", "0"))
        link = f'<http://{request.host}{request.path}?offset={offset + 1}&limit=1>; rel="next"'
        return enveloped([{"country_code": "FI", "party_id": "ABC", "id": f"L{offset}"}], Link=link, **{"X-Total-Count": "9" * 40})

    async with served(platform(endless)) as url:
        run = await run_on(url)
        assert "list-failed" in names(run) and len(run.recorder.seen) < 150


BODIES = [
    b"", b"null", b"[]", b"0", DEEP, b'{"status_code":1000,"data":' + DEEP, b"\xff\xfe\x00", b'{"status_code":1000,"data":"\\ud800"}',
    b'{"status_code":1e400,"data":[]}', b'{"status_code":true,"data":[]}', b'{"status_code":1000,"data":[{"id":1e999}]}',
    b'{"status_code":1000,"data":[{"id":"x","coordinates":' + b"[" * 60 + b"]" * 60 + b"}]}", b'{"status_code":{"a":1}}',
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BODIES)))
async def test_bodies(number: int) -> None:
    body = BODIES[number]

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with served(platform(answer)) as url:
        assert judge(await run_on(url)).outcome != "ready"
    async with served(answer) as url:
        assert judge(await run_on(url)).outcome != "ready"


DETAILS: list[Callable[[str], Any]] = [
    lambda base: [],
    lambda base: {"endpoints": 5},
    lambda base: {"endpoints": [None, 5, {"identifier": 3, "url": 4}]},
    lambda base: {"endpoints": [{"identifier": n, "role": "SENDER", "url": "http://[::1"} for n in ("locations", "credentials")]},
    lambda base: {"endpoints": [{"identifier": n, "role": {}, "url": f"{base}/{n}"} for n in ("locations", "credentials")]},
    lambda base: {"endpoints": [{"identifier": n, "url": f"file:///etc/{n}"} for n in ("locations", "credentials")]},
    lambda base: {"endpoints": [{"identifier": n, "url": ""} for n in ("locations", "credentials")]},
]


@pytest.mark.parametrize("number", range(len(DETAILS)))
async def test_details(number: int) -> None:
    async def lists(request: web.Request) -> web.StreamResponse:
        return enveloped([])

    async with served(platform(lists, details=DETAILS[number])) as url:
        assert judge(await run_on(url, register=True)).outcome == "not-ready"


JUNK: list[Any] = [
    None, True, False, 0, -1, 3.7, 10**30, "", "x", "#NA", "2026-01-01T00:00:00Z", "\u0000\u202e<b>", [], [None], {}, {"a": []}, [[]],
    ["x", 1], {"latitude": [], "longitude": {}}, "9" * 400, "FI", "AVAILABLE", "DC",
]  # fmt: skip
MEMBERS = {
    "location": ("id", "country_code", "party_id", "publish", "name", "address", "city", "country", "coordinates", "operator", "evses",
                 "directions", "opening_times", "time_zone", "energy_mix", "images", "related_locations", "parking_places", "facilities",
                 "last_updated"),
    "evse": ("uid", "evse_id", "status", "connectors", "capabilities", "coordinates", "parking", "directions", "status_schedule",
             "floor_level", "last_updated"),
    "connector": ("id", "standard", "format", "power_type", "max_voltage", "max_amperage", "max_electric_power", "tariff_ids", "tariffs",
                  "voltage", "last_updated"),
    "tariff": ("id", "country_code", "party_id", "currency", "type", "elements", "min_price", "tariff_alt_text", "end_date_time",
               "last_updated"),
    "element": ("price_components", "restrictions"),
    "component": ("type", "price", "vat", "step_size"),
}  # fmt: skip
BELOW = {"location": ("evses", "evse"), "evse": ("connectors", "connector"), "tariff": ("elements", "element"),
         "element": ("price_components", "component")}  # fmt: skip


def _junk(chance: random.Random, level: str) -> Any:
    """An object with wrong types in most places, sometimes well-formed enough to be read further."""
    found = {name: chance.choice(JUNK) for name in MEMBERS[level] if chance.random() < 0.8}
    if level in ("location", "tariff") and chance.random() < 0.8:
        found["id"] = f"X{chance.randrange(5)}"
    if level in BELOW and chance.random() < 0.7:
        name, inner = BELOW[level]
        found[name] = [_junk(chance, inner) for _ in range(chance.randrange(3))]
    return found if chance.random() < 0.95 else chance.choice(JUNK)


@pytest.mark.parametrize("seed", range(12))
async def test_wrong_types_everywhere(seed: int) -> None:
    chance = random.Random(seed)

    async def lists(request: web.Request) -> web.StreamResponse:
        level = "tariff" if "tariffs" in request.path else "location"
        sent = [name for name in ("Link", "X-Total-Count", "X-Limit") if chance.random() < 0.3]
        headers = {name: "".join(sign for sign in str(chance.choice(JUNK)) if " " <= sign <= "~") for name in sent}
        return enveloped([_junk(chance, level) for _ in range(20)], **headers)

    async with served(platform(lists)) as url:
        assert judge(await run_on(url)).outcome == "not-ready"


CREDENTIALS = [
    *JUNK, [{"token": "x" * 500}], {"token": ["a"]}, {"token": "t", "roles": [None, {"party_id": []}], "url": 5},
    {"token": "t", "roles": [{"business_details": [], "party_id": 7, "country_code": {}}]},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CREDENTIALS)))
async def test_credentials_of_any_kind(number: int) -> None:
    """The exchange with a platform that answers nonsense, and takes nothing back."""

    async def lists(request: web.Request) -> web.StreamResponse:
        return enveloped(CREDENTIALS[number])

    async with served(platform(lists)) as url:
        run = await run_on(url, register=True)
        assert judge(run).outcome == "not-ready"
