"""Roles, limits and what one platform means to another (requirements section 7)."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.ocpi import client as client_module
from ocpi_nap.ocpi import paging
from ocpi_nap.registry import RegistryError, onboarding
from tests.e2e.cpo import location
from tests.intake.pusher import Pusher, at
from tests.intake.sender import sender
from tests.interface import Ocpi
from tests.versions import FROM_221, each


@each
@pytest.mark.holds("R191", "R192", "R193", "R195", "R196")
async def test_who_we_are(cpo: Pusher, version: str) -> None:
    """Role NAP, party FI NAP, Receivers only: no hub client info, no Sender, nothing to list."""
    credentials = (await cpo.ocpi.send("GET", f"{version}/credentials", token=cpo.token)).json()["data"]
    if version == "2.1.1":
        assert (credentials["country_code"], credentials["party_id"]) == ("FI", "NAP") and "roles" not in credentials
    else:
        (role,) = credentials["roles"]
        assert (role["role"], role["country_code"], role["party_id"]) == ("NAP", "FI", "NAP")
    endpoints = (await cpo.ocpi.send("GET", version, token=cpo.token)).json()["data"]["endpoints"]
    assert {entry["identifier"] for entry in endpoints} == {"credentials", "locations", *(["tariffs"] if version in FROM_221 else [])}
    roles = {entry.get("role") for entry in endpoints if entry["identifier"] != "credentials"}
    assert roles == ({None} if version == "2.1.1" else {"RECEIVER"})
    await cpo.start()
    for path in ("hubclientinfo", "locations", "sessions", "cdrs", "tokens", "commands", "chargingprofiles", "locations/FI/ABC"):
        reply = await cpo.ocpi.send("GET", f"{version}/{path}", token=cpo.token)
        assert (reply.status, reply.json()["status_code"]) == (404, 2000), path


@each
@pytest.mark.holds("R194", "R195", "I-42")
async def test_one_party_one_platform(ocpi: Ocpi, version: str) -> None:
    """A party belongs to one platform of an environment; a platform may have many, named the same; codes are kept in upper case."""

    def record(name: str, *operators: str) -> Any:
        return onboarding.check(name=name, versions_url="https://cpo.example/versions", token="t", party_id="plt", country_code="fi",
                                operators=list(operators), settings={"version_pin": version})  # fmt: skip

    await ocpi.registry.add(record("one", "fi*001;Same name", "FI*fin;Same name", "NO*AIM;Norwegian"))
    platform = await ocpi.registry.platform("one")
    assert {operator.id for operator in platform.operators} == {"FI*001", "FI*FIN", "NO*AIM"} and platform.party == ("FI", "PLT")
    with pytest.raises(RegistryError, match="over another production platform already"):
        await ocpi.registry.add(record("two", "FI*FIN;Other"))
    assert len(await ocpi.db.fetch_all("SELECT 1 FROM platform")) == 1


@each
@pytest.mark.holds("R197")
async def test_too_fast(ocpi: Ocpi, version: str) -> None:
    """Over its limit a platform gets 429 with Retry-After in an envelope, stores nothing, and others are not held up."""
    fast, calm = await ocpi.platform(version, inbound_limit_per_second=3), await ocpi.platform(version, "XYZ")
    path = f"{version}/locations/FI/ABC"
    replies = [await ocpi.send("PUT", f"{path}/L{n}", location(version, n), token=fast) for n in range(30)]
    limited = [reply for reply in replies if reply.status == 429]
    assert limited and {(reply.json()["status_code"], reply.headers["retry-after"]) for reply in limited} == {(2000, "1")}
    assert len(await ocpi.db.fetch_all("SELECT 1 FROM location")) == len(replies) - len(limited)
    assert (await ocpi.send("PUT", f"{version}/locations/FI/XYZ/L1", location(version, 1, "XYZ"), token=calm)).status == 201


@each
@pytest.mark.holds("R198")
async def test_deviations_are_records(cpo: Pusher, version: str) -> None:
    """Platform, object, path, rule, sample, times and count; refused ones too."""
    body = location(version, 1)
    body["evses"][0]["capabilities"] = ["TELEPATHY" if version != "2.3.0" else 5]
    for day in (1, 2, 3):
        await cpo.ok("PUT", "L1", {**body, "last_updated": at(day)})
    await cpo.refused("PUT", "L1", {**body, "city": None, "last_updated": at(4)})
    await cpo.ocpi.issues.flush()
    rows = await cpo.ocpi.db.fetch_all(
        "SELECT p.name, object, path, rule, sample, refused, count, first_seen < last_seen FROM issue JOIN platform p ON p.id = platform_id"
        " ORDER BY refused"
    )
    rule, sample = ("unknown_enum", "TELEPATHY") if version != "2.3.0" else ("wrong_type", "5")
    assert rows[0] == (f"p{version}", "locations/FI/ABC/L1", "evses[0].capabilities[0]", rule, sample, False, 3, True)
    assert rows[1][1:6] == ("locations/FI/ABC/L1", "city", "required_missing", "", True)


async def _bomb(request: web.Request, items: list[Any]) -> web.StreamResponse:
    packed = gzip.compress(b'{"status_code":1000,"data":[' + b" " * 8_000_000 + b"]}")
    return web.Response(body=packed, headers={"Content-Encoding": "gzip"})


async def _deflated(request: web.Request, items: list[Any]) -> web.StreamResponse:
    body = json.dumps({"status_code": 1000, "data": items}).encode()
    return web.Response(body=zlib.compress(body), headers={"Content-Encoding": "deflate"})


@each
@pytest.mark.holds("R200", "R39")
async def test_nobody_delays_others(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one platform's page hangs and another sends a bomb, a third one is pulled, and pushes are answered."""
    monkeypatch.setattr(paging, "_RETRIES", 0)
    monkeypatch.setattr(client_module, "PAGE_LIMIT", 1_000_000)
    hanging = asyncio.Event()

    async def hang(request: web.Request, items: list[Any]) -> web.StreamResponse:
        await hanging.wait()
        return web.Response(status=500)

    async with (
        sender(ocpi, version, name="slow") as slow,
        sender(ocpi, version, ("DEF",), name="bomb") as bomb,
        sender(ocpi, version, ("GHI",), name="good") as good,
    ):
        slow.handler, bomb.handler, good.handler = hang, _bomb, _deflated
        good.locations = [location(version, 1, "GHI")]
        waiting = asyncio.create_task(slow.pull())
        report = (await bomb.pull())["locations"]
        assert not report.complete and report.error is not None and "larger than 1000000 bytes" in report.error
        assert (await good.pull())["locations"].counts.new == 1
        token = await ocpi.platform(version, "XYZ")
        assert (await ocpi.send("PUT", f"{version}/locations/FI/XYZ/L1", location(version, 1, "XYZ"), token=token)).status == 201
        assert not waiting.done()
        hanging.set()
        assert not (await waiting)["locations"].complete


@each
@pytest.mark.holds("R201")
async def test_their_clock_is_not_ours(cpo: Pusher, version: str) -> None:
    """A platform whose clock is hours behind or ahead of ours delivers all the same: its times are compared with its own."""
    await cpo.start()
    for year, status in (("1999", None), ("2026", "BLOCKED"), ("2027", "CHARGING")):
        patch = {"status": status or "RESERVED", "last_updated": f"{year}-01-02T00:00:00Z"}
        if status is None:
            await cpo.refused("PATCH", "L1/U1", patch)
        else:
            await cpo.ok("PATCH", "L1/U1", patch)
            assert (await cpo.read("L1/U1"))["status"] == status
    await cpo.ok("PUT", "L2", {**location(version, 2), "last_updated": "1999-01-01T00:00:00Z"}, status=201)
    await cpo.ok("PATCH", "L2", {"name": "later", "last_updated": "1999-01-02T00:00:00Z"})
