"""A connection after its first day: lost answers, rotation, upgrades, roles, tokens by hand, and its end (R62–R72, R80–R109)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.intake.handlers import RegistryJobHandlers
from ocpi_nap.intake.jobs import CrawlJob
from ocpi_nap.ocpi.tokens import hash_token, outbound_header
from ocpi_nap.registry import RegistryError, handshake, onboarding, rotation, static
from ocpi_nap.registry.exchange import EXCHANGE_TIMEOUT
from tests.e2e.cpo import location
from tests.interface import due_now
from tests.registry.stage import Act, Stage, good, lost
from tests.versions import VERSIONS, each


async def tokens_b(stage: Stage) -> list[str]:
    return [state for (state,) in await stage.registry.db.fetch_all("SELECT state FROM token WHERE kind = 'B' ORDER BY id")]


async def events(stage: Stage, step: str) -> list[str]:
    rows = await stage.registry.db.fetch_all("SELECT message FROM platform_event WHERE step = %s ORDER BY id", (step,))
    return [message for (message,) in rows]


SECOND: list[tuple[str, Act, str, str]] = [
    ("taken at the second try", lambda r: good({"token": "token-c", "roles": []}), "registered", ""),
    ("405", lambda r: web.Response(status=405), "unknown", "unregister us"),
    ("401", lambda r: web.Response(status=401), "unknown", "new token A"),
    ("3001", lambda r: good(None, 3001, status_message="no"), "failed", "public URL"),
]


@pytest.mark.holds("R82", "R83", "R86")
@pytest.mark.parametrize(("second", "state", "advice"), [s[1:] for s in SECOND], ids=[s[0] for s in SECOND])
@each
async def test_the_answer_is_lost(stage: Stage, version: str, second: Act, state: str, advice: str) -> None:
    """Our POST is tried once more; token B stays valid for whoever may have taken it."""
    answers = [lost, second]
    stage.peer.answers["POST /credentials"] = lambda r: answers.pop(0)(r)
    assert EXCHANGE_TIMEOUT >= 60
    if state == "registered":
        assert (await stage.register()).state == state
    else:
        with pytest.raises(RegistryError) as caught:
            await stage.register()
        assert advice in caught.value.advice
    assert (await stage.registry.platform("acme")).state == state and len(stage.peer.posted) == 2
    assert stage.peer.posted[0] == stage.peer.posted[1]
    assert await tokens_b(stage) == {"registered": ["active"], "unknown": ["pending"], "failed": []}[state]


@pytest.mark.holds("R83", "R84")
@each
async def test_unknown_stays_until_it_is_known(stage: Stage, version: str) -> None:
    """While they cannot be reached nothing is known; a refusal in words is one."""
    stage.peer.answers["POST /credentials"] = lost
    with pytest.raises(RegistryError):
        await stage.register()
    refusals: list[tuple[str, Act, str]] = [
        ("GET /versions", lambda r: web.Response(status=503), "unknown"), ("GET /details", lambda r: web.Response(status=401), "unknown"),
        ("POST /credentials", lambda r: web.Response(status=502), "unknown"), ("POST /credentials", lambda r: good(None, 2000), "failed"),
    ]  # fmt: skip
    for place, act, state in refusals:
        stage.peer.answers = {place: act}
        with pytest.raises(RegistryError):
            await handshake.register(stage.registry, "acme")
        assert (await stage.registry.platform("acme")).state == state
        assert await tokens_b(stage) == (["pending"] if state == "unknown" else [])


@pytest.mark.holds("R82", "I-33")
@each
async def test_a_forced_start_whose_answer_is_lost(stage: Stage, version: str) -> None:
    """The connection of before stays, and both tokens B are accepted."""
    await stage.register()
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    stage.peer.answers["POST /credentials"] = lost
    with pytest.raises(RegistryError) as caught:
        await handshake.register(stage.registry, "acme", force=True)
    assert "--force" in caught.value.advice and (await stage.registry.platform("acme")).state == "registered"
    assert await tokens_b(stage) == ["active", "active"]


@pytest.mark.holds("R80", "I-1")
@each
async def test_token_c_in_the_other_encoding(stage: Stage, version: str) -> None:
    """Some read token A in one form and token C in the other; what works is remembered."""

    def switching(request: web.Request) -> web.Response:
        stage.peer.encoding = "base64"
        return good({"token": "token-c", "roles": []})

    stage.peer.answers["POST /credentials"] = switching
    platform = await stage.register("auto")
    assert (platform.state, platform.learnt_encoding) == ("registered", "base64")


@pytest.mark.holds("R102", "R103", "I-35")
@pytest.mark.parametrize("old_works", [True, False], ids=["old token works", "old token refused"])
@each
async def test_the_answer_to_a_rotation_is_lost(stage: Stage, version: str, old_works: bool) -> None:
    """Both tokens B stay; the old token C is tried, and if they refuse it the operator is told what to do."""

    def vanish(request: web.Request) -> web.Response:
        stage.peer.token_c = "token-c" if old_works else "token-c-2"
        return lost(request)

    await stage.register()
    stage.peer.answers["PUT /credentials"] = vanish
    with pytest.raises(RegistryError) as caught:
        await handshake.rotate(stage.registry, "acme")
    platform = await stage.registry.platform("acme")
    assert platform.state == ("registered" if old_works else "registered-unverified") and await tokens_b(stage) == ["active", "active"]
    assert platform.last_error is not None and platform.last_error["advice"] == caught.value.advice
    assert ("rotate acme" if old_works else "new token A") in caught.value.advice
    if old_works:
        stage.peer.answers.clear()
        assert (await handshake.rotate(stage.registry, "acme")).last_error is None
        assert await tokens_b(stage) == ["retiring", "retiring", "active"]


@pytest.mark.holds("R105")
@each
async def test_upgrade(stage: Stage, version: str) -> None:
    """A PUT to the credentials endpoint of a higher version, which is then the one in use, and pulled in full; by command only."""
    higher = VERSIONS[min(VERSIONS.index(version) + 1, 2)]
    stage.peer.versions = [VERSIONS[max(VERSIONS.index(higher) - 1, 0)]]
    before = (await stage.register()).version
    stage.peer.versions.append(higher)
    await stage.registry.db.execute("DELETE FROM schedule")
    assert (await handshake.rotate(stage.registry, "acme")).version == before
    assert (await handshake.rotate(stage.registry, "acme", upgrade=True)).version == higher
    assert ("PUT", "/credentials") in [call[:2] for call in stage.peer.asked]
    assert (True,) in await stage.registry.db.fetch_all("SELECT full_pull FROM schedule WHERE due_at <= now()")


@pytest.mark.holds("R63", "R104")
@each
async def test_rotations_that_are_due(stage: Stage, version: str) -> None:
    """By age where that is set, and once our endpoints are others than those they were told; a failed attempt waits a day."""
    platform = await stage.register(rotate_days=30)
    assert await rotation.due(stage.registry) == []
    stage.registry.identity = type(stage.registry.identity)("https://new.example/ocpi/versions", "FI", "NAP", {"name": "Nap"})
    assert await rotation.due(stage.registry) == [platform.id]
    stage.peer.answers["PUT /credentials"] = lambda r: web.Response(status=500)
    with pytest.raises(RegistryError):
        await handshake.rotate(stage.registry, "acme")
    assert await rotation.due(stage.registry) == []
    stage.peer.answers.clear()
    await handshake.rotate(stage.registry, "acme")
    assert [c["url"] for c in stage.peer.put] == ["https://new.example/ocpi/versions"] * 2
    await stage.registry.db.execute("UPDATE platform_event SET at = at - %s", (timedelta(days=29),))
    assert await rotation.due(stage.registry) == []
    await stage.registry.db.execute("UPDATE platform_event SET at = at - %s", (timedelta(days=2),))
    assert await rotation.due(stage.registry) == [platform.id]


ROLES: list[tuple[str, Any, list[str]]] = [
    ("as configured", lambda peer: {"roles": [peer.role("ABC")]}, []),
    ("one more", lambda peer: {"roles": [peer.role("ABC"), peer.role("DEF")]}, ["they announce FI*DEF, which is not configured"]),
    ("another", lambda peer: {"roles": [peer.role(" def ")]},
     ["they do not announce FI*ABC", "they announce FI*DEF, which is not configured"]),
    ("ours", lambda peer: {"roles": [peer.role("NAP")]}, ["they announce no party"]),
    ("ours, flat", lambda peer: {"party_id": "nap", "country_code": "fi", "business_details": None}, ["they announce no party"]),
    ("theirs, flat", lambda peer: {"party_id": "ABC", "country_code": "FI", "business_details": {"name": "Abc"}}, []),
    ("none", lambda peer: {}, ["they announce no party"]),
    ("odd", lambda peer: {"roles": [{**peer.role("ABC"), "role": "MOON", "hub_party_id": "FIHUB"}, 7], "more": 1}, []),
]  # fmt: skip


@pytest.mark.holds("R68", "R69", "R71", "R72", "I-39")
@pytest.mark.parametrize(("given", "told"), [r[1:] for r in ROLES], ids=[r[0] for r in ROLES])
@each
async def test_their_roles(stage: Stage, version: str, given: Any, told: list[str]) -> None:
    """Whatever they announce, the configured operators are those of the platform; differences are noted."""
    stage.peer.answers["POST /credentials"] = lambda r: good({"token": "token-c", "url": "x", **given(stage.peer)})
    platform = await stage.register()
    assert platform.state == "registered" and [o.id for o in platform.operators] == ["FI*ABC"]
    assert await events(stage, "roles") == told


@pytest.mark.holds("R72", "I-40", "I-41", "I-42", "I-43")
@each
async def test_announced_roles_are_taken_where_that_is_set(stage: Stage, version: str) -> None:
    """D4: dozens of parties of one company on one connection, spelt as they like; never our own."""
    roles = [stage.peer.role(f" x{n:02d}") | {"country_code": "no"} for n in range(40)] + [stage.peer.role("NAP")]
    stage.peer.answers["POST /credentials"] = lambda r: good({"token": "token-c", "roles": roles})
    platform = await stage.register(accept_announced_roles=True)
    assert [o.id for o in platform.operators] == ["FI*ABC", *(f"NO*X{n:02d}" for n in range(40))]
    await stage.registry.change("acme", onboarding.check_change(
        versions_url=None, token_encoding=None, settings={}, operators=["NO*X07;Mine"], without=[]
    ))  # fmt: skip
    for renewed, left in ((roles[:3], ["NO*X00", "NO*X01", "NO*X02", "NO*X07"]), ([], ["NO*X00", "NO*X01", "NO*X02", "NO*X07"])):
        stage.peer.answers["PUT /credentials"] = lambda r, renewed=renewed: good({"token": "token-c", "roles": renewed})  # type: ignore[misc]
        platform = await handshake.rotate(stage.registry, "acme")
        assert [o.id for o in platform.operators] == ["FI*ABC", *left], "those of the present credentials, and the configured ones"


@pytest.mark.holds("I-31")
@each
async def test_what_they_could_not_call(stage: Stage, version: str) -> None:
    """We look at our own versions before the POST and say what we see, and show what they say."""
    stage.peer.answers["POST /credentials"] = lambda r: good(None, 3001, status_message="GET of your versions: connection refused")
    await stage.add()
    said: list[str] = []
    with pytest.raises(RegistryError) as caught:
        await handshake.register(stage.registry, "acme", say=said.append)
    assert any(line.startswith("Warning: our own http://127.0.0.1:9/ocpi/versions does not answer") for line in said)
    assert "3001" in caught.value.answer and "connection refused" in caught.value.answer and "public URL" in caught.value.advice


LEAVING: list[tuple[str, Act]] = [
    ("agreed", lambda r: good(None)), ("401", lambda r: web.Response(status=401)), ("404", lambda r: web.Response(status=404)),
    ("405", lambda r: web.Response(status=405)), ("500", lambda r: web.Response(status=500, text="<html>")), ("lost", lost),
]  # fmt: skip


@pytest.mark.holds("R108", "R109", "I-37", "I-38")
@pytest.mark.parametrize("act", [act for _, act in LEAVING], ids=[name for name, _ in LEAVING])
@each
async def test_leaving(stage: Stage, version: str, act: Act) -> None:
    """Whatever they say, our side is unregistered and their token void; another registration needs a new token A."""
    await stage.register()
    stage.peer.answers["DELETE /credentials"] = act
    platform = await handshake.unregister(stage.registry, "acme")
    assert (platform.state, platform.last_error) == ("unregistered", None) and platform.disconnected_at is not None
    assert await tokens_b(stage) == [] and await stage.registry.db.fetch_all("SELECT 1 FROM schedule") == []
    with pytest.raises(RegistryError, match="No token A"):
        await handshake.register(stage.registry, "acme")
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    assert (await handshake.register(stage.registry, "acme")).disconnected_at is None


@pytest.mark.holds("R103", "R109", "R73")
@each
async def test_lost_to_them(stage: Stage, version: str) -> None:
    """After a 405 to our PUT a new token A begins anew."""
    await stage.register()
    stage.peer.answers["PUT /credentials"] = lambda r: web.Response(status=405)
    with pytest.raises(RegistryError, match="did not take") as caught:
        await handshake.rotate(stage.registry, "acme")
    assert "register acme --token" in caught.value.advice
    with pytest.raises(RegistryError) as caught:
        await handshake.register(stage.registry, "acme")
    assert "register acme --token" in caught.value.advice
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    assert (await handshake.register(stage.registry, "acme")).state == "registered"


@pytest.mark.holds("I-6", "R9")
@each
async def test_tokens_by_hand(stage: Stage, version: str) -> None:
    """B and C as they were agreed; B belongs to one platform, and what they used before works a while."""
    await stage.register()
    stage.peer.token_c = "agreed-c"
    with pytest.raises(RegistryError):
        await handshake.refresh_endpoints(stage.registry, "acme")
    platform = await static.set_tokens(stage.registry, "acme", token_b="agreed-b", token_c="agreed-c")
    assert platform.state == "registered" and stage.peer.asked[-1][2] == "Token agreed-c" and len(stage.peer.posted) == 1
    assert await tokens_b(stage) == ["retiring", "active"]
    row = await stage.registry.db.fetch_one("SELECT state FROM token WHERE hash = %s", (hash_token("agreed-b"),))
    assert row == ("active",)
    platform = await static.set_tokens(stage.registry, "acme", token_b=None, token_c="wrong")
    assert platform.state == "registered-unverified" and platform.last_error is not None and platform.last_error["advice"]
    await stage.registry.add(onboarding.check(
        name="other", versions_url=stage.peer.url, token=None, party_id="OTH", country_code="FI", operators=["FI*OTH;O"]))  # fmt: skip
    with pytest.raises(RegistryError, match="never registered"):
        await static.set_tokens(stage.registry, "other", token_b="agreed-b", token_c="x")
    await stage.registry.db.execute("UPDATE platform SET version = %s WHERE name = 'other'", (version,))
    wrong = [("agreed-b", "x", "belongs to one"), ("a b", "x", "TOKEN_B"), ("b", None, "TOKEN_C"), ("b", "é", "TOKEN_C")]
    for token_b, token_c, named in wrong:
        with pytest.raises(RegistryError, match=named):
            await static.set_tokens(stage.registry, "other", token_b=token_b, token_c=token_c)


@pytest.mark.holds("I-45", "I-6")
@pytest.mark.parametrize("urls", ["found", "given"])
@each
async def test_no_credentials_module(stage: Stage, version: str, urls: str) -> None:
    """A static token, with endpoints that are looked up or given; no POST, no PUT, no DELETE."""
    stage.peer.answers["GET /details"] = lambda r: good({"version": version, "endpoints": stage.peer.endpoints("locations")})
    settings: dict[str, Any] = {"registration": "none"}
    if urls == "given":
        stage.peer.answers["GET /versions"] = lambda r: web.Response(status=404)
        stage.peer.answers["GET /locations"] = lambda r: good([])
        settings |= {"static_endpoints": f"locations={stage.peer.url}/locations", "version_pin": version}
    platform = await stage.register(**settings)
    assert (platform.state, platform.version) == ("registered", version)
    assert platform.endpoints == {"locations": f"{stage.peer.url}/locations"}
    assert await stage.registry.outbound(platform, "c") == "token-a" and await tokens_b(stage) == []
    await static.set_tokens(stage.registry, "acme", token_b="static-b", token_c=None)
    assert await tokens_b(stage) == ["active"] and await rotation.due(stage.registry) == []
    with pytest.raises(RegistryError, match="no credentials module"):
        await handshake.rotate(stage.registry, "acme")
    assert (await handshake.unregister(stage.registry, "acme")).state == "unregistered"
    assert {method for method, _, _ in stage.peer.asked} == {"GET"}


@pytest.mark.holds("I-8", "R12")
@each
async def test_further_headers(stage: Stage, version: str) -> None:
    """They go with every request, and lie sealed in the database."""
    await stage.register(extra_headers="x-api-key=very-secret")
    await stage.registry.change("acme", onboarding.check_change(
        versions_url=None, token_encoding=None, settings={"page_size": "7"}, operators=[], without=[]))  # fmt: skip
    await handshake.refresh_endpoints(stage.registry, "acme")
    assert {request.headers.get("x-api-key") for request in stage.peer.requests} == {"very-secret"}
    stored = await stage.registry.db.fetch_all("SELECT to_jsonb(p) FROM platform p")
    assert "very-secret" not in json.dumps(stored) and "page_size" in json.dumps(stored)


@pytest.mark.holds("R12")
@each
async def test_tokens_that_they_echo(stage: Stage, version: str) -> None:
    """Their errors are quoted, without the tokens in them."""
    bodies = ("wrong token {}", '{{"status_code": 2001, "status_message": "no such token: {}"}}', '{{"token": "theirs", "x": "{}"}}')
    for body in bodies:
        for encoding in ("raw", "base64"):
            form = outbound_header("token-a", encoding).removeprefix("Token ")
            stage.peer.answers["GET /versions"] = lambda r, form=form, body=body: web.Response(text=body.format(form), status=403)  # type: ignore[misc]
            await stage.registry.db.execute("DELETE FROM platform")
            with pytest.raises(RegistryError) as caught:
                await stage.register()
            shown = await stage.registry.platform("acme")
            told = f"{caught.value} {caught.value.answer} {shown.last_error} {await events(stage, 'versions')}"
            assert form not in told and "theirs" not in told and "…" in told


@pytest.mark.holds("R12", "R11")
@each
async def test_tokens_at_rest(stage: Stage, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the database, nor in a log, nor in what a command shows: hashes of theirs, ours sealed."""
    caplog.set_level("DEBUG")
    platform = await stage.register()
    await handshake.rotate(stage.registry, "acme")
    issued = await _issued_anew(stage)
    secrets = ["token-a", "token-c", issued, *(sent["token"] for sent in stage.peer.posted + stage.peer.put)]
    rows = [await stage.registry.db.fetch_all(f"SELECT to_jsonb(t) FROM {table} t") for table in ("platform", "token", "platform_event")]
    everything = json.dumps(rows, default=str) + caplog.text
    assert not [secret for secret in secrets if secret in everything]
    assert secrets[-1] not in repr(platform)


async def _issued_anew(stage: Stage) -> str:
    await handshake.unregister(stage.registry, "acme")
    return await stage.registry.issue_token("acme")


@pytest.mark.holds("R62", "R129")
@each
async def test_a_pull_that_finds_nothing_where_it_was(stage: Stage, version: str) -> None:
    """404 and 410 of an endpoint: the details are read again, and what moved is pulled where it is now."""
    platform = await stage.register()
    stage.peer.answers["GET /locations"] = lambda r: web.Response(status=410)
    stage.peer.answers["GET /new"] = stage.peer.answers["GET /tariffs"] = lambda r: good([])
    entries = [*stage.peer.endpoints("credentials"), {"identifier": "locations", "role": "SENDER", "url": f"{stage.peer.url}/new"}]
    stage.peer.answers["GET /details"] = lambda r: good({"version": version, "endpoints": entries})
    await RegistryJobHandlers(stage.registry).crawl(CrawlJob(platform.id, True))
    assert [path for _, path, _ in stage.peer.asked[-3:]] == ["/versions", f"/{version}", "/new"]
    assert (await stage.registry.platform("acme")).last_error is None


@pytest.mark.holds("I-8")
@each
async def test_so_many_requests_a_day(stage: Stage, version: str) -> None:
    """Pulls wait while the last 24 hours used the number up."""
    platform = await stage.register(max_requests_per_day=2)
    stage.peer.answers["GET /locations"] = stage.peer.answers["GET /tariffs"] = lambda r: good([location(version, 1)])
    assert (platform.id, True) in await due_now(stage.registry.db)
    for _ in range(2):
        await RegistryJobHandlers(stage.registry).crawl(CrawlJob(platform.id, True))
    await stage.registry.db.execute("UPDATE schedule SET due_at = now()")
    assert await due_now(stage.registry.db) == []
    await stage.registry.db.execute("UPDATE request_hour SET hour = hour - interval '25 hours'")
    await stage.registry.db.execute("UPDATE schedule SET due_at = now()")
    assert len(await due_now(stage.registry.db)) == 2
