"""Registration started by us, against platforms that answer as they do in the field (R55–R86, I-1, I-7, I-10, I-17, I-23 to I-33)."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.ocpi.tokens import outbound_header
from ocpi_nap.registry import RegistryError, handshake, onboarding
from tests.registry.stage import Act, Stage, good, lost
from tests.versions import VERSIONS, each


@pytest.mark.holds("R49", "R55", "R56", "R66", "R67", "R68", "R73", "R74", "R78", "R79", "R85", "R191", "I-19", "I-23", "I-24", "I-40")
@each
async def test_highest_mutual_version(stage: Stage, version: str) -> None:
    """D3: by number, unknown ones passed over; the flat object before 2.2.1, then one NAP role; a full pull is due at once."""
    older = [other for other in VERSIONS if other < version]
    stage.peer.versions = ["2.10", *older, "2.2", version, "3.0", "x"]
    platform = await stage.register()
    assert (platform.state, platform.version) == ("registered", version)
    sent = stage.peer.posted[0]
    party = {"party_id": "NAP", "country_code": "FI", "business_details": {"name": "Nap"}}
    expected = party if version == "2.1.1" else {"roles": [{"role": "NAP", **party}]}
    assert {k: v for k, v in sent.items() if k != "token"} == {"url": "http://127.0.0.1:9/ocpi/versions", **expected}
    assert platform.endpoints["locations"] == f"{stage.peer.url}/locations"
    calls = [(method, path) for method, path, _ in stage.peer.asked]
    assert calls == [("GET", "/versions"), ("GET", f"/{version}"), ("POST", "/credentials"), ("GET", f"/{version}")]
    assert await stage.registry.outbound(platform, "a") is None and stage.peer.asked[-1][2] == "Token token-c"
    assert await stage.registry.db.fetch_all("SELECT full_pull FROM schedule WHERE due_at <= now()") == [(True,)]
    with pytest.raises(RegistryError, match="nothing to register"):
        await handshake.register(stage.registry, "acme")


@pytest.mark.holds("R56")
@each
async def test_pinned_version(stage: Stage, version: str) -> None:
    """D3: the pin decides, and without it among theirs there is no mutual one."""
    stage.peer.versions = VERSIONS
    assert (await stage.register(version_pin=version)).version == version


@pytest.mark.holds("R55", "I-29")
@each
async def test_odd_version_lists(stage: Stage, version: str) -> None:
    """Entry by entry: numbers, spaces, broken entries, the same one twice."""
    url = f"{stage.peer.url}/{version}"
    entries = [7, None, {}, {"version": version}, {"version": 9.9, "url": url}, {"version": f" {version} ", "url": url, "more": 1},
               {"version": version, "url": f"{stage.peer.url}/mirror"}]  # fmt: skip
    stage.peer.answers["GET /versions"] = lambda r: good(entries)
    assert (await stage.register()).version == version


@pytest.mark.holds("R1", "R2", "R3", "I-1")
@pytest.mark.parametrize("theirs", ["raw", "base64"])
@each
async def test_auto_finds_the_encoding(stage: Stage, version: str, theirs: str) -> None:
    """D1: found out by trying, kept for later calls."""
    stage.peer.encoding = theirs
    platform = await stage.register("auto")
    assert (platform.state, platform.learnt_encoding) == ("registered", theirs)
    assert stage.peer.asked[-1][2] == outbound_header("token-c", theirs)
    assert {header for method, _, header in stage.peer.asked if method == "POST"} == {outbound_header("token-a", theirs)}


@pytest.mark.holds("I-1")
@pytest.mark.parametrize("theirs", ["raw", "base64"])
@each
async def test_versions_that_take_any_token(stage: Stage, version: str, theirs: str) -> None:
    """What their open versions took proves nothing: where the POST says 401, the other form follows, once."""
    stage.peer.encoding = theirs
    endpoints = stage.peer.endpoints("credentials", "locations")
    stage.peer.answers["GET /versions"] = lambda r: good([{"version": version, "url": f"{stage.peer.url}/{version}"}])
    stage.peer.answers["GET /details"] = lambda r: good({"version": version, "endpoints": endpoints})
    platform = await stage.register("auto")
    assert (platform.state, platform.learnt_encoding) == ("registered", theirs)
    sent = [header for method, _, header in stage.peer.asked if method == "POST"]
    assert sent[-1] == outbound_header("token-a", theirs) and len(sent) <= 2


@pytest.mark.holds("R2", "R3")
@each
async def test_a_platform_that_takes_both_forms(stage: Stage, version: str) -> None:
    """D1: as soon as its version is known, the token goes as that version says."""
    endpoints = stage.peer.endpoints("credentials", "locations")
    stage.peer.answers["GET /versions"] = lambda r: good([{"version": version, "url": f"{stage.peer.url}/{version}"}])
    stage.peer.answers["GET /details"] = lambda r: good({"version": version, "endpoints": endpoints})
    stage.peer.answers["POST /credentials"] = lambda r: good({"token": "token-c", "roles": []})
    own = "raw" if version == "2.1.1" else "base64"
    assert (await stage.register("auto")).learnt_encoding == own
    sent = [header for _, path, header in stage.peer.asked if path != "/versions"]
    assert sent == [outbound_header(token, own) for token in ("token-a", "token-a", "token-c")]


@pytest.mark.holds("R2", "R3")
@each
async def test_a_fixed_encoding_is_not_guessed(stage: Stage, version: str) -> None:
    """D1: without fallback nothing else is tried."""
    stage.peer.encoding, given = ("base64", "raw") if version == "2.1.1" else ("raw", "base64")
    with pytest.raises(RegistryError) as caught:
        await stage.register(given)
    assert caught.value.step == "versions" and "token" in caught.value.advice.lower()
    assert [header for _, _, header in stage.peer.asked] == [outbound_header("token-a", given)]


@pytest.mark.holds("R3", "R2", "R11", "I-4")
@each
async def test_tokens_byte_for_byte(stage: Stage, version: str) -> None:
    """A token that is Base64 itself (the example of 2.1.1) is sent as it is, or encoded once more."""
    token = "IpbJOXxkxOAuKR92z0nEcmVF3Qw09VG7I7d/WCg0koM="
    encoding = stage.peer.encoding = "raw" if version == "2.1.1" else "base64"
    stage.peer.token_c = token + "x" * (255 - len(token))
    await stage.add(encoding)
    await handshake.replace_token_a(stage.registry, "acme", token)
    stage.peer.token_a = token
    assert (await handshake.register(stage.registry, "acme")).state == "registered"
    assert stage.peer.asked[0][2] == (f"Token {token}" if version == "2.1.1" else f"Token {base64.b64encode(token.encode()).decode()}")


@pytest.mark.holds("R4")
@each
async def test_another_encoding(stage: Stage, version: str) -> None:
    """The encoding is changed on a connection that exists; tokens and registration stay."""
    await stage.register("raw")
    stage.peer.encoding = "base64"
    with pytest.raises(RegistryError):
        await handshake.refresh_endpoints(stage.registry, "acme")
    await stage.registry.change("acme", onboarding.RecordChange(token_encoding="base64"))
    assert not await handshake.refresh_endpoints(stage.registry, "acme")
    assert len(stage.peer.posted) == 1


FAILURES: list[tuple[str, str, Act, str, str, str]] = [
    ("versions 404", "GET /versions", lambda r: web.Response(status=404, text="<html>"), "versions", "failed", "VERSIONS_URL"),
    ("versions 500", "GET /versions", lambda r: web.Response(status=500), "versions", "failed", "engineers"),
    ("versions html", "GET /versions", lambda r: web.Response(text="<html>hello"), "versions", "failed", "engineers"),
    ("versions 2000", "GET /versions", lambda r: good(None, 2000, status_message="Unauthorized"), "versions", "failed", "engineers"),
    ("nothing mutual", "GET /versions", lambda r: good([{"version": "2.0", "url": "x"}]), "choose", "failed", "versions"),
    ("empty list", "GET /versions", lambda r: good([]), "versions", "failed", ""),
    ("no locations", "GET /details", lambda r: good({"endpoints": [{"identifier": "credentials", "role": "SENDER", "url": str(r.url)}]}),
     "endpoints", "failed", "Sender"),
    ("no credentials", "GET /details", lambda r: good({"version": "x", "endpoints": []}), "endpoints", "failed", "list this endpoint"),
    ("details 401", "GET /details", lambda r: web.Response(status=401), "details", "failed", "token"),
    ("405", "POST /credentials", lambda r: web.Response(status=405), "credentials", "failed", "unregister"),
    ("401", "POST /credentials", lambda r: web.Response(status=401), "credentials", "failed", "token"),
    ("3002", "POST /credentials", lambda r: good(None, 3002, status_message="no"), "credentials", "failed", "version"),
    ("3003", "POST /credentials", lambda r: good(None, 3003, status_message="no"), "credentials", "failed", "endpoint"),
    ("2001 as 400", "POST /credentials", lambda r: good(None, 2001, status_message="no", http=400), "credentials", "failed", "token"),
    ("429", "POST /credentials", lambda r: web.Response(status=429), "credentials", "failed", "later"),
    ("gateway", "POST /credentials", lambda r: web.Response(status=502, text="<html>Bad gateway"), "credentials", "failed", "engineers"),
    ("3001", "POST /credentials", lambda r: good(None, 3001, status_message="cannot call you"), "credentials", "failed", "public URL"),
    ("no token", "POST /credentials", lambda r: good({"url": "x"}), "credentials", "failed", ""),
    ("no object", "POST /credentials", lambda r: good("hello"), "credentials", "failed", ""),
    ("answer lost", "POST /credentials", lost, "credentials", "unknown", "again"),
]  # fmt: skip


@pytest.mark.holds("R12", "R31", "R57", "R61", "R77", "R81", "R82", "R83", "I-9", "I-11", "I-46")
@pytest.mark.parametrize(("where", "act", "step", "state", "advice"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
@each
async def test_failures_are_told(stage: Stage, version: str, where: str, act: Act, step: str, state: str, advice: str) -> None:
    """The step, what they answered, what to do; no token B is left behind unless the outcome is unknown."""
    stage.peer.answers[where] = act
    with pytest.raises(RegistryError) as caught:
        await stage.register()
    platform = await stage.registry.platform("acme")
    assert (caught.value.step, platform.state) == (step, state)
    assert platform.last_error is not None and platform.last_error["message"] == caught.value.message
    assert advice in caught.value.advice
    assert step != "choose" or "2.0" in caught.value.message
    everything = f"{caught.value} {caught.value.answer} {caught.value.advice}"
    assert "token-a" not in everything and all(sent["token"] not in everything for sent in stage.peer.posted)
    tokens = await stage.registry.db.fetch_all("SELECT 1 FROM token WHERE kind = 'B'")
    assert len(tokens) == (1 if state == "unknown" else 0)
    assert len(stage.peer.posted) == (2 if state == "unknown" else 1 if step == "credentials" else 0)
    stage.peer.answers.clear()
    assert (await handshake.register(stage.registry, "acme")).state == "registered"  # and it can be tried again


@pytest.mark.holds("R81")
@each
async def test_unreachable(stage: Stage, version: str) -> None:
    """R81: nobody there."""
    await stage.add()
    async with stage.registry.db.transaction() as conn:
        await conn.execute("UPDATE platform SET versions_url = 'http://127.0.0.1:9/versions'")
    with pytest.raises(RegistryError) as caught:
        await handshake.register(stage.registry, "acme")
    assert caught.value.step == "versions" and "server is up" in caught.value.advice


@pytest.mark.holds("R80")
@each
async def test_token_c_does_not_work(stage: Stage, version: str) -> None:
    """R80: registered, but marked as not verified, with the reason."""

    def other(request: web.Request) -> web.Response:
        return good({"token": "something-else", "url": "x", "roles": []})

    stage.peer.answers["POST /credentials"] = other
    platform = await stage.register()
    assert platform.state == "registered-unverified"
    assert platform.last_error is not None and platform.last_error["step"] == "verification"


@pytest.mark.holds("R69", "R78", "I-12", "I-32")
@each
async def test_odd_credentials_answers(stage: Stage, version: str) -> None:
    """R69, I-32, field lessons 1: 201, a list of one, nulls, the scheme inside token C."""

    def odd(request: web.Request) -> web.Response:
        theirs = {"token": "Token token-c", "url": None, "roles": None, "business_details": None}
        return web.json_response({"status_code": "1000", "data": [theirs]}, status=201)

    stage.peer.answers["POST /credentials"] = odd
    platform = await stage.register()
    assert platform.state == "registered"
    assert await stage.registry.outbound(platform, "c") == "token-c"


@pytest.mark.holds("R65", "I-17", "R14")
@each
async def test_redirects_keep_everything(stage: Stage, version: str) -> None:
    """I-17, trap 6: 307 with method, body and token; never to another host."""
    stage.peer.answers["POST /credentials"] = lambda r: web.Response(status=307, headers={"Location": "/credentials/"})
    assert (await stage.register()).state == "registered"
    assert len(stage.peer.posted) == 2 and stage.peer.posted[0] == stage.peer.posted[1]
    stage.peer.answers["GET /versions"] = lambda r: web.Response(status=307, headers={"Location": "http://192.0.2.7/versions"})
    await handshake.unregister(stage.registry, "acme")
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    with pytest.raises(RegistryError):
        await handshake.register(stage.registry, "acme")


@pytest.mark.holds("R58", "R59", "I-26", "I-28", "I-29", "I-30")
@pytest.mark.parametrize(
    "entries",
    [
        lambda p: p.endpoints("credentials", "locations", role="RECEIVER")[:1] + p.endpoints("locations", "tariffs"),
        lambda p: [{"identifier": "credentials", "url": f"{p.url}/credentials"}, *p.endpoints("locations", role="CPO")],
        lambda p: [{"identifier": "Credentials", "role": "", "url": "/credentials"}, {"identifier": "locations", "url": "locations"}],
        lambda p: [*p.endpoints("locations", role="RECEIVER"), *p.endpoints("credentials", "locations"), None, {"identifier": 7}],
        lambda p: [{"identifier": "locations", "role": "RECEIVER", "url": f"{p.url}/theirs"}, *p.endpoints("credentials", "locations")],
    ],
)
@each
async def test_odd_endpoints(stage: Stage, version: str, entries: Any) -> None:
    """R58, R59, I-26, I-28, I-30: any role of credentials, missing or wrong roles, relative URLs."""
    stage.peer.answers["GET /details"] = lambda r: good([{"version": version, "endpoints": entries(stage.peer)}])
    platform = await stage.register()
    assert platform.state == "registered"
    assert platform.endpoints["locations"] == f"{stage.peer.url}/locations"


@pytest.mark.holds("I-7")
@each
async def test_versions_without_token(stage: Stage, version: str) -> None:
    """I-7: a platform that refuses requests with a token at its versions URL."""

    def bare(request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            return web.Response(status=400)
        return good([{"version": version, "url": f"{stage.peer.url}/{version}"}])

    stage.peer.answers["GET /versions"] = bare
    assert (await stage.register(versions_auth="none")).state == "registered"


@pytest.mark.holds("R103", "I-34")
@each
async def test_rotation_that_fails(stage: Stage, version: str) -> None:
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


@pytest.mark.holds("R84")
@each
async def test_one_handshake_at_a_time(stage: Stage, version: str) -> None:
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


@pytest.mark.holds("R82", "I-33")
@each
async def test_they_regard_us_as_registered(stage: Stage, version: str) -> None:
    """R82: 405 to a POST while we hold a token C turns into a PUT with it."""
    await stage.register()
    await handshake.replace_token_a(stage.registry, "acme", "token-a")
    stage.peer.answers["POST /credentials"] = lambda r: web.Response(status=405)
    platform = await handshake.register(stage.registry, "acme", force=True)
    assert platform.state == "registered"
    assert stage.peer.asked[-2][:2] == ("PUT", "/credentials")


@pytest.mark.holds("R81")
@each
async def test_a_failed_new_start_keeps_the_connection(stage: Stage, version: str) -> None:
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


@pytest.mark.holds("R62")
@each
async def test_endpoints_that_moved(stage: Stage, version: str) -> None:
    """R62: read again."""
    await stage.register()
    assert not await handshake.refresh_endpoints(stage.registry, "acme")
    moved = [
        {"identifier": "credentials", "url": f"{stage.peer.url}/credentials"},
        {"identifier": "locations", "url": f"{stage.peer.url}/new"},
    ]
    stage.peer.answers["GET /details"] = lambda r: good({"version": version, "endpoints": moved})
    assert await handshake.refresh_endpoints(stage.registry, "acme")
    assert (await stage.registry.platform("acme")).endpoints["locations"] == f"{stage.peer.url}/new"
