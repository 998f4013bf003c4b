"""Registration started by us, against platforms that answer as they do in the field (R55–R86, I-1, I-7, I-10, I-17, I-23 to I-33)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.ocpi.tokens import outbound_header
from ocpi_nap.registry import Registry, RegistryError, handshake, onboarding
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store.database import Database

Answer = web.StreamResponse
Act = Callable[[web.Request], Any]


def good(data: Any, code: int = 1000, **more: Any) -> web.Response:
    return web.json_response({"status_code": code, "data": data, "timestamp": "2026-01-01T00:00:00Z", **more})


class Peer:
    """A platform whose answers a test replaces one by one; ``asked`` holds (method, path, Authorization)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.encoding = "raw"
        self.token_c = "token-c"
        self.versions = ["2.1.1", "2.2.1"]
        self.answers: dict[str, Act] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.posted: list[dict[str, Any]] = []

    async def serve(self, request: web.Request) -> Answer:
        header = request.headers.get("Authorization")
        self.asked.append((request.method, request.path, header))
        if request.method == "POST" and request.path.startswith("/credentials"):
            self.posted.append(await request.json())
        act = self.answers.get(f"{request.method} {request.path}")
        if act is not None:
            answer = act(request)
            return await answer if asyncio.iscoroutine(answer) else answer
        if header not in [outbound_header(token, self.encoding) for token in ("token-a", self.token_c)]:
            return web.json_response({"status_code": 2000, "status_message": "no"}, status=401)
        if request.path == "/versions":
            return good([{"version": v, "url": f"{self.url}/{v}"} for v in self.versions])
        if request.path.startswith("/credentials"):
            return good({"token": self.token_c, "url": f"{self.url}/versions", "roles": [self.role("ABC")]})
        return good({"version": request.path[1:], "endpoints": self.endpoints("credentials", "locations", "tariffs")})

    def endpoints(self, *names: str, role: str = "SENDER") -> list[dict[str, str]]:
        return [{"identifier": name, "role": role, "url": f"{self.url}/{name}"} for name in names]

    @staticmethod
    def role(party: str) -> dict[str, Any]:
        return {"role": "CPO", "country_code": "FI", "party_id": party, "business_details": {"name": party}}


@dataclass
class Stage:
    registry: Registry
    peer: Peer

    async def add(self, encoding: str = "raw", **settings: Any) -> Platform:
        record = onboarding.check(
            name="acme", versions_url=f"{self.peer.url}/versions", token="token-a", token_encoding=encoding, party_id="PLT",
            country_code="FI", operators=["FI*ABC;Abc;https://abc.example"], settings=settings,
        )  # fmt: skip
        return await self.registry.add(record)

    async def register(self, encoding: str = "raw", **settings: Any) -> Platform:
        await self.add(encoding, **settings)
        return await handshake.register(self.registry, "acme")


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    app = web.Application()
    runner = web.AppRunner(app)
    peer = Peer("")
    app.router.add_route("*", "/{path:.*}", peer.serve)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    client = await OcpiClient.open()
    identity = OwnIdentity("http://127.0.0.1:9/ocpi/versions", "FI", "NAP", {"name": "Nap"})
    yield Stage(Registry(database, Vault.open(tmp_path), client, identity, allow_private=True), peer)
    await client.close()
    await runner.cleanup()


async def test_highest_mutual_version(stage: Stage) -> None:
    """D3, R56, R66, R67, I-23, I-24: by number, unknown ones passed over; one NAP role is sent."""
    stage.peer.versions = ["2.10", "2.1.1", "2.3.0", "2.2.1", "3.0", "x"]
    platform = await stage.register()
    assert (platform.state, platform.version) == ("registered", "2.3.0")
    sent = stage.peer.posted[0]
    assert sent["url"] == "http://127.0.0.1:9/ocpi/versions"
    assert [(r["role"], r["party_id"], r["country_code"]) for r in sent["roles"]] == [("NAP", "NAP", "FI")]
    assert platform.endpoints["locations"] == f"{stage.peer.url}/locations"


async def test_2_1_1_is_flat(stage: Stage) -> None:
    """R66: no roles in 2.1.1."""
    stage.peer.versions = ["2.1.1"]
    await stage.register()
    assert stage.peer.posted[0]["party_id"] == "NAP" and "roles" not in stage.peer.posted[0]


@pytest.mark.parametrize("theirs", ["raw", "base64"])
async def test_auto_finds_the_encoding(stage: Stage, theirs: str) -> None:
    """D1, R2, I-1: found out by trying, kept for later calls."""
    stage.peer.encoding = theirs
    platform = await stage.register("auto")
    assert (platform.state, platform.learnt_encoding) == ("registered", theirs)


async def test_a_fixed_encoding_is_not_guessed(stage: Stage) -> None:
    """D1: with `raw` and no fallback nothing else is tried."""
    stage.peer.encoding = "base64"
    with pytest.raises(RegistryError) as caught:
        await stage.register("raw")
    assert caught.value.step == "versions" and "token" in caught.value.advice.lower()
    assert [header for _, _, header in stage.peer.asked] == ["Token token-a"]


def lost(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


FAILURES: list[tuple[str, str, Act, str, str, str]] = [
    ("versions 404", "GET /versions", lambda r: web.Response(status=404, text="<html>"), "versions", "failed", "VERSIONS_URL"),
    ("versions 500", "GET /versions", lambda r: web.Response(status=500), "versions", "failed", "engineers"),
    ("versions html", "GET /versions", lambda r: web.Response(text="<html>hello"), "versions", "failed", "engineers"),
    ("versions 2000", "GET /versions", lambda r: good(None, 2000, status_message="Unauthorized"), "versions", "failed", "engineers"),
    ("nothing mutual", "GET /versions", lambda r: good([{"version": "2.0", "url": "x"}]), "choose", "failed", ""),
    ("empty list", "GET /versions", lambda r: good([]), "versions", "failed", ""),
    ("no credentials", "GET /2.2.1", lambda r: good({"version": "2.2.1", "endpoints": []}), "endpoints", "failed", ""),
    ("details 401", "GET /2.2.1", lambda r: web.Response(status=401), "details", "failed", "token"),
    ("405", "POST /credentials", lambda r: web.Response(status=405), "credentials", "failed", "unregister"),
    ("3001", "POST /credentials", lambda r: good(None, 3001, status_message="cannot call you"), "credentials", "failed", "public URL"),
    ("no token", "POST /credentials", lambda r: good({"url": "x"}), "credentials", "failed", ""),
    ("no object", "POST /credentials", lambda r: good("hello"), "credentials", "failed", ""),
    ("answer lost", "POST /credentials", lost, "credentials", "unknown", "again"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "act", "step", "state", "advice"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
async def test_failures_are_told(stage: Stage, where: str, act: Act, step: str, state: str, advice: str) -> None:
    """R81–R86: the step, what they answered, what to do; no token B is left behind unless the outcome is unknown."""
    stage.peer.answers[where] = act
    with pytest.raises(RegistryError) as caught:
        await stage.register()
    platform = await stage.registry.platform("acme")
    assert (caught.value.step, platform.state) == (step, state)
    assert platform.last_error is not None and platform.last_error["message"] == caught.value.message
    assert advice in caught.value.advice
    everything = f"{caught.value} {caught.value.answer} {caught.value.advice}"
    assert "token-a" not in everything and all(sent["token"] not in everything for sent in stage.peer.posted)
    tokens = await stage.registry.db.fetch_all("SELECT 1 FROM token WHERE kind = 'B'")
    assert len(tokens) == (1 if state == "unknown" else 0)
    stage.peer.answers.clear()
    assert (await handshake.register(stage.registry, "acme")).state == "registered"  # and it can be tried again


async def test_unreachable(stage: Stage) -> None:
    """R81: nobody there."""
    await stage.add()
    async with stage.registry.db.transaction() as conn:
        await conn.execute("UPDATE platform SET versions_url = 'http://127.0.0.1:9/versions'")
    with pytest.raises(RegistryError) as caught:
        await handshake.register(stage.registry, "acme")
    assert caught.value.step == "versions" and "server is up" in caught.value.advice


async def test_token_c_does_not_work(stage: Stage) -> None:
    """R80: registered, but marked as not verified, with the reason."""

    def other(request: web.Request) -> web.Response:
        return good({"token": "something-else", "url": "x", "roles": []})

    stage.peer.answers["POST /credentials"] = other
    platform = await stage.register()
    assert platform.state == "registered-unverified"
    assert platform.last_error is not None and platform.last_error["step"] == "verification"


async def test_odd_credentials_answers(stage: Stage) -> None:
    """R69, I-32, field lessons 1: 201, a list of one, nulls, the scheme inside token C."""

    def odd(request: web.Request) -> web.Response:
        theirs = {"token": "Token token-c", "url": None, "roles": None, "business_details": None}
        return web.json_response({"status_code": "1000", "data": [theirs]}, status=201)

    stage.peer.answers["POST /credentials"] = odd
    platform = await stage.register()
    assert platform.state == "registered"
    assert await stage.registry.outbound(platform, "c") == "token-c"


async def test_redirects_keep_everything(stage: Stage) -> None:
    """I-17, trap 6: 307 with method, body and token; never to another host."""
    stage.peer.answers["POST /credentials"] = lambda r: web.Response(status=307, headers={"Location": "/credentials/"})
    assert (await stage.register()).state == "registered"
    assert len(stage.peer.posted) == 2 and stage.peer.posted[0] == stage.peer.posted[1]
    stage.peer.answers["GET /versions"] = lambda r: web.Response(status=307, headers={"Location": "http://192.0.2.7/versions"})
    await handshake.unregister(stage.registry, "acme")
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    with pytest.raises(RegistryError):
        await handshake.register(stage.registry, "acme")


@pytest.mark.parametrize(
    "entries",
    [
        lambda p: p.endpoints("credentials", "locations", role="RECEIVER")[:1] + p.endpoints("locations", "tariffs"),
        lambda p: [{"identifier": "credentials", "url": f"{p.url}/credentials"}, *p.endpoints("locations", role="CPO")],
        lambda p: [{"identifier": "Credentials", "role": "", "url": "/credentials"}, {"identifier": "locations", "url": "locations"}],
        lambda p: [*p.endpoints("locations", role="RECEIVER"), *p.endpoints("credentials", "locations"), None, {"identifier": 7}],
    ],
)
async def test_odd_endpoints(stage: Stage, entries: Any) -> None:
    """R58, R59, I-26, I-28, I-30: any role of credentials, missing or wrong roles, relative URLs."""
    stage.peer.answers["GET /2.2.1"] = lambda r: good([{"version": "2.2.1", "endpoints": entries(stage.peer)}])
    platform = await stage.register()
    assert platform.state == "registered"
    assert platform.endpoints["locations"] == f"{stage.peer.url}/locations"


async def test_versions_without_token(stage: Stage) -> None:
    """I-7: a platform that refuses requests with a token at its versions URL."""

    def bare(request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            return web.Response(status=400)
        return good([{"version": "2.2.1", "url": f"{stage.peer.url}/2.2.1"}])

    stage.peer.answers["GET /versions"] = bare
    assert (await stage.register(versions_auth="none")).version == "2.2.1"


async def test_rotation_that_fails(stage: Stage) -> None:
    """R103: the old tokens stay; 405 means that they think we are not registered."""
    await stage.register()
    stage.peer.answers["PUT /credentials"] = lambda r: web.Response(status=501)
    with pytest.raises(RegistryError):
        await handshake.rotate(stage.registry, "acme")
    assert (await stage.registry.platform("acme")).state == "registered"
    assert await stage.registry.db.fetch_all("SELECT state FROM token") == [("active",)]
    stage.peer.answers["PUT /credentials"] = lambda r: web.Response(status=405)
    with pytest.raises(RegistryError):
        await handshake.rotate(stage.registry, "acme")
    assert (await stage.registry.platform("acme")).state == "lost"


async def test_leaving_a_platform_that_does_not_answer(stage: Stage) -> None:
    """R108: whatever they say, our side is unregistered and their token void."""
    await stage.register()
    stage.peer.answers["DELETE /credentials"] = lambda r: web.Response(status=500)
    assert (await handshake.unregister(stage.registry, "acme")).state == "unregistered"
    assert await stage.registry.db.fetch_all("SELECT 1 FROM token") == []


async def test_one_handshake_at_a_time(stage: Stage) -> None:
    """R84: a second command during the first is told so."""
    waiting, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        waiting.set()
        await go.wait()
        return good({"token": "token-c", "url": "x", "roles": []})

    stage.peer.answers["POST /credentials"] = slow
    await stage.add()
    first = asyncio.create_task(handshake.register(stage.registry, "acme"))
    await waiting.wait()
    with pytest.raises(RegistryError, match="under way"):
        await handshake.register(stage.registry, "acme")
    go.set()
    assert (await first).state == "registered"


async def test_they_regard_us_as_registered(stage: Stage) -> None:
    """R82: 405 to a POST while we hold a token C turns into a PUT with it."""
    await stage.register()
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    stage.peer.answers["POST /credentials"] = lambda r: web.Response(status=405)
    platform = await handshake.register(stage.registry, "acme", force=True)
    assert platform.state == "registered"
    assert stage.peer.asked[-2][:2] == ("PUT", "/credentials")


async def test_a_failed_new_start_keeps_the_connection(stage: Stage) -> None:
    """`register --force` on a working connection that is refused leaves it working."""
    before = await stage.register()
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    stage.peer.versions = ["2.1.1"]
    stage.peer.answers["POST /credentials"] = lambda r: web.Response(status=503)
    with pytest.raises(RegistryError):
        await handshake.register(stage.registry, "acme", force=True)
    after = await stage.registry.platform("acme")
    assert (after.state, after.version, after.endpoints) == ("registered", before.version, before.endpoints)
    assert await stage.registry.db.fetch_all("SELECT state FROM token WHERE kind = 'B'") == [("active",)]


async def test_upgrade(stage: Stage) -> None:
    """R105: a PUT to the credentials endpoint of a higher version, which is then the one in use."""
    await stage.register()
    stage.peer.versions.append("2.3.0")
    assert (await handshake.rotate(stage.registry, "acme")).version == "2.2.1"
    assert (await handshake.rotate(stage.registry, "acme", upgrade=True)).version == "2.3.0"


async def test_endpoints_that_moved(stage: Stage) -> None:
    """R62: read again."""
    await stage.register()
    assert not await handshake.refresh_endpoints(stage.registry, "acme")
    moved = [
        {"identifier": "credentials", "url": f"{stage.peer.url}/credentials"},
        {"identifier": "locations", "url": f"{stage.peer.url}/new"},
    ]
    stage.peer.answers["GET /2.2.1"] = lambda r: good({"version": "2.2.1", "endpoints": moved})
    assert await handshake.refresh_endpoints(stage.registry, "acme")
    assert (await stage.registry.platform("acme")).endpoints["locations"] == f"{stage.peer.url}/new"
