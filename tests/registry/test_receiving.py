"""The credentials module as platforms use it on us (R85–R110, I-5, I-36 to I-44)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.registry import receiving
from ocpi_nap.registry.leaving import end_connection
from ocpi_nap.store.registry import load_events
from tests.asgi import call
from tests.e2e.cpo import location, tariff
from tests.interface import Ocpi
from tests.registry.stage import Stage, credentials, envelope, good
from tests.versions import VERSIONS, each


@pytest.mark.holds("R8", "R87", "R88", "R93", "R94", "R99", "R107", "R97", "R110", "R98", "R85", "R53", "I-5", "I-44")
@each
async def test_they_register(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Token A opens the exchange only, and once; the answer's token opens everything."""
    first = await ocpi.registry.issue_token("acme")
    token_a = await ocpi.registry.issue_token("acme")
    envelope(await ocpi.send("GET", "versions", token=first), 401, 2000)
    assert len(envelope(await ocpi.send("GET", "versions", token=token_a))) == 3
    envelope(await ocpi.send("GET", version, token=token_a))
    place = f"{version}/credentials"
    assert envelope(await ocpi.send("GET", place, token=token_a))["token"] == token_a
    for module in ["locations"] if version == "2.1.1" else ["locations", "tariffs"]:
        envelope(await ocpi.send("GET", f"{version}/{module}/FI/ABC/X", token=token_a), 401, 2000)
    for method in ("PUT", "DELETE", "PATCH"):
        for body in (credentials(cpo, version), b"", b"{"):
            reply = await ocpi.send(method, place, body, token=token_a)
            envelope(reply, 405, 2000)
            assert "GET, POST" in reply.headers["allow"]
    given = envelope(await ocpi.send("POST", place, credentials(cpo, version), token=token_a))
    own = {"party_id": "NAP", "country_code": "FI", "business_details": {"name": "Nap"}}
    assert given == {"token": given["token"], "url": "https://nap.example/ocpi/versions",
                     **(own if version == "2.1.1" else {"roles": [{"role": "NAP", **own}]})}  # fmt: skip
    assert [call[:2] for call in cpo.peer.asked if call[2] == "Token token-c"][-2:] == [("GET", "/versions"), ("GET", f"/{version}")]
    token_b = given["token"]
    platform = await ocpi.registry.platform("acme")
    assert (platform.state, platform.version, set(platform.endpoints) >= {"credentials", "locations"}) == ("registered", version, True)
    assert await ocpi.registry.outbound(platform, "c") == "token-c"
    assert (True,) in await ocpi.db.fetch_all("SELECT full_pull FROM schedule WHERE due_at <= now()")
    reply = await ocpi.send("GET", "versions", token=token_a)
    envelope(reply, 401, 2000)
    assert b"used up" in reply.body
    assert b"token that we send" in (await ocpi.send("GET", "versions", token="token-c")).body
    events = {row[0] for row in await ocpi.db.fetch_all("SELECT message FROM platform_event WHERE step = 'refused'")}
    assert len(events) == 2
    for body in (credentials(cpo, version), b"", b"{"):
        reply = await ocpi.send("POST", place, body, token=token_b)
        envelope(reply, 405, 2000)
        assert reply.headers["allow"] == "GET, PUT, DELETE"
    assert envelope(await ocpi.send("GET", place, token=token_b))["token"] == token_b
    reply = await ocpi.send("PATCH", place, {}, token=token_b)
    envelope(reply, 405, 2000)
    assert reply.headers["allow"] == "GET, POST, PUT, DELETE"


WRONG: list[tuple[str, dict[str, Any] | None, dict[str, Any], int]] = [
    ("no object", None, {}, 2001), ("no token", {"token": None}, {}, 2002), ("no url", {"url": None}, {}, 2002),
    ("empty token", {"token": ""}, {}, 2001), ("empty url", {"url": ""}, {}, 2001),
    ("token a number", {"token": 7}, {}, 2001), ("token too long", {"token": "x" * 256}, {}, 2001), ("url a list", {"url": []}, {}, 2001),
    ("url relative", {"url": "/versions"}, {}, 2001), ("url no url", {"url": "nonsense"}, {}, 2001),
    ("url ftp", {"url": "ftp://x/y"}, {}, 2001),
    ("wrong token", {"token": "other"}, {}, 3001), ("nobody there", {"url": "http://127.0.0.1:9/versions"}, {}, 3001),
    ("html", {}, {"GET /versions": lambda r: web.Response(text="<html>")}, 3001),
    ("details fail", {}, {"GET /details": lambda r: web.Response(status=500)}, 3001),
    ("other version", {}, {"GET /versions": lambda r: good([{"version": "2.0", "url": "x"}])}, 3002),
    ("no locations", {},
     {"GET /details": lambda r: good({"endpoints": [{"identifier": "credentials", "role": "SENDER", "url": "/c"}]})}, 3003),
]  # fmt: skip


@pytest.mark.holds("R69", "R70", "R89", "R90", "R91", "R92", "R100", "R32", "R33")
@pytest.mark.parametrize(("change", "answers", "code"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
@each
async def test_they_are_refused(
    ocpi: Ocpi, cpo: Stage, version: str, change: dict[str, Any] | None, answers: dict[str, Any], code: int
) -> None:  # fmt: skip
    """HTTP 200 with the reason, nothing stored: token A stays usable, and a registration as it is."""
    token = await ocpi.registry.issue_token("acme")
    for method in ("POST", "PUT"):
        before = await ocpi.db.fetch_all("SELECT to_jsonb(p), to_jsonb(t) - 'first_used_at' FROM platform p JOIN token t ON true")
        cpo.peer.answers = answers
        body = 7 if change is None else credentials(cpo, version, **{"token": "token-c", **change})
        reply = await ocpi.send(method, f"{version}/credentials", body, token=token)
        envelope(reply, 200, code)
        assert json.loads(reply.body)["status_message"]
        after = await ocpi.db.fetch_all("SELECT to_jsonb(p), to_jsonb(t) - 'first_used_at' FROM platform p JOIN token t ON true")
        assert after == before
        cpo.peer.answers = {}
        token = envelope(await ocpi.send(method, f"{version}/credentials", credentials(cpo, version), token=token))["token"]


@pytest.mark.holds("R92", "R69")
@each
async def test_roles_and_shapes(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Roles are required from 2.2.1 on; a flat object, and roles before, are understood."""
    token = await ocpi.registry.issue_token("acme")
    bare = {"token": "token-c", "url": f"{cpo.peer.url}/versions"}
    reply = await ocpi.send("POST", f"{version}/credentials", bare, token=token)
    if version == "2.1.1":
        token = envelope(reply)["token"]
    else:
        envelope(reply, 200, 2002)
        for odd in ([], "CPO", [7], {}):
            envelope(await ocpi.send("POST", f"{version}/credentials", {**bare, "roles": odd}, token=token), 200, 2001)
        token = envelope(await ocpi.send("POST", f"{version}/credentials", credentials(cpo, "2.1.1"), token=token))["token"]
    token = envelope(await ocpi.send("PUT", f"{version}/credentials", credentials(cpo, "2.3.0"), token=token))["token"]
    roles = (await ocpi.registry.platform("acme")).peer_roles
    assert [(role["party_id"], role["role"]) for role in roles] == [("ABC", "CPO")]


@pytest.mark.holds("R70")
@each
async def test_private_networks(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Where they are not allowed, a URL that leads into one is refused before it is called."""
    ocpi.registry.allow_private = False
    token = await ocpi.registry.issue_token("acme")
    for url in (f"{cpo.peer.url}/versions", "https://127.0.0.1/versions", "http://cpo.example/versions", "https://192.168.1.1/v"):
        reply = await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version, url=url), token=token)
        envelope(reply, 200, 2001)
    assert cpo.peer.asked == []


@pytest.mark.holds("R95")
@each
async def test_two_at_once(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Both are called back before either is stored; one of them registers."""
    token, waiting, both = await ocpi.registry.issue_token("acme"), 0, asyncio.Event()

    async def together(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        return good([{"version": version, "url": f"{cpo.peer.url}/{version}"}])

    cpo.peer.encoding = "base64"
    cpo.peer.answers["GET /versions"] = together
    body = credentials(cpo, version)
    replies = await asyncio.gather(*(ocpi.send("POST", f"{version}/credentials", body, token=token) for _ in range(2)))
    assert sorted(reply.status for reply in replies) == [200, 401]
    tokens = await ocpi.db.fetch_all("SELECT hash FROM token WHERE kind = 'B'")
    good_one = next(reply for reply in replies if reply.status == 200)
    assert [bytes(row[0]) for row in tokens] == [hash_token(envelope(good_one)["token"])]


@pytest.mark.holds("R96")
@each
async def test_a_slow_call_back(ocpi: Ocpi, cpo: Stage, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls together have less than 20 seconds, then the answer is 3001."""
    assert receiving._CALLBACK_TOTAL < 20
    monkeypatch.setattr(receiving, "_CALLBACK_TOTAL", 0.05)
    token, never = await ocpi.registry.issue_token("acme"), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    cpo.peer.answers["GET /details"] = slow
    reply = await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=token)
    envelope(reply, 200, 3001)
    never.set()


@pytest.mark.holds("R62", "R98", "R101", "I-36")
@each
async def test_they_rotate(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Called back with the new token; the old token ends with the first use of the new one, or after 15 minutes."""
    token = envelope(
        await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=await ocpi.registry.issue_token("acme"))
    )["token"]
    for number in range(4):
        cpo.peer.token_c = f"token-c-{number}"
        cpo.peer.answers["GET /details"] = lambda r, number=number: good({"endpoints": [  # type: ignore[misc]
            {"identifier": name, "role": "SENDER", "url": f"{cpo.peer.url}/{name}/{number}"} for name in ("credentials", "locations")]})
        body = credentials(cpo, version, token=cpo.peer.token_c)
        new = envelope(await ocpi.send("PUT", f"{version}/credentials", body, token=token))["token"]
        assert new != token
        platform = await ocpi.registry.platform("acme")
        assert platform.endpoints["locations"].endswith(f"/locations/{number}")
        assert await ocpi.registry.outbound(platform, "c") == cpo.peer.token_c
        envelope(await ocpi.send("GET", "versions", token=token))  # their answer may get lost
        if number % 2:
            await ocpi.db.execute("UPDATE token SET expires_at = expires_at - %s", (timedelta(minutes=15),))
        else:
            envelope(await ocpi.send("GET", "versions", token=new))
        reply = await ocpi.send("GET", "versions", token=token)
        envelope(reply, 401, 2000)
        assert b"newer credentials" in reply.body
        token = new
        envelope(await ocpi.send("GET", "versions", token=token))
    assert len(await ocpi.db.fetch_all("SELECT 1 FROM token WHERE kind = 'B'")) <= 2


@pytest.mark.holds("R98", "R105")
@each
async def test_they_take_another_version(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """A PUT to the credentials of another version makes that the active one."""
    token = envelope(
        await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=await ocpi.registry.issue_token("acme"))
    )["token"]
    other = VERSIONS[VERSIONS.index(version) - 1]
    cpo.peer.versions = [version, other]
    envelope(await ocpi.send("PUT", f"{other}/credentials", credentials(cpo, other), token=token))
    assert (await ocpi.registry.platform("acme")).version == other


@pytest.mark.holds("R98", "R105", "R45", "R140")
@each
async def test_what_is_held_follows_to_another_version(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Ids that compare otherwise in the new version still name the same objects: none is held, or shown, twice."""
    place, other = f"{version}/credentials", VERSIONS[VERSIONS.index(version) - 1]
    token = envelope(await ocpi.send("POST", place, credentials(cpo, version), token=await ocpi.registry.issue_token("acme")))["token"]
    held = {**location(version, 1), "id": "Mixed"}
    held["evses"] = [{**held["evses"][0], "uid": uid} for uid in ("Ab", "cD")]
    assert (await ocpi.send("PUT", f"{version}/locations/FI/ABC/Mixed", held, token=token)).status == 201
    if version != "2.1.1":
        assert (await ocpi.send("PUT", f"{version}/tariffs/FI/ABC/T1", tariff(version), token=token)).status == 201
    await ocpi.db.execute(
        "INSERT INTO public_location SELECT pk, country_code, party_id, id, 0, 0,"
        " (SELECT jsonb_object_agg(uid_key, jsonb_build_array(uid, null)) FROM evse) FROM location"
    )
    cpo.peer.versions = [version, other]
    token = envelope(await ocpi.send("PUT", f"{other}/credentials", credentials(cpo, other), token=token))["token"]
    told = await ocpi.db.fetch_one("SELECT evses FROM public_location")
    keys = dict(await ocpi.db.fetch_all("SELECT uid_key, uid FROM evse JOIN evse_state USING (location_pk, uid_key)"))
    assert told == ({key: [uid, None] for key, uid in keys.items()},) and set(keys.values()) == {"Ab", "cD"}
    patch = {"status": "CHARGING", "last_updated": "2026-03-01T00:00:00Z"}
    envelope(await ocpi.send("PATCH", f"{other}/locations/FI/ABC/Mixed/Ab", patch, token=token))
    new = {**location(other, 1), "id": "Mixed", "last_updated": "2026-03-02T00:00:00Z"}
    new["evses"] = [{**new["evses"][0], "uid": uid, "last_updated": "2026-03-02T00:00:00Z"} for uid in ("Ab", "cD")]
    assert (await ocpi.send("PUT", f"{other}/locations/FI/ABC/Mixed", new, token=token)).status == 200
    if "2.1.1" not in (version, other):
        assert (await ocpi.send("PUT", f"{other}/tariffs/FI/ABC/T1", tariff(other), token=token)).status == 200
    assert await ocpi.db.fetch_all("SELECT uid FROM evse JOIN evse_state USING (location_pk, uid_key) ORDER BY 1") == [("Ab",), ("cD",)]
    assert await ocpi.db.fetch_all("SELECT count(*) FROM location") == [(1,)]


@pytest.mark.holds("R105", "R45", versions=("2.1.1",))
@pytest.mark.parametrize("version", ["2.1.1"])
async def test_two_ids_that_become_one(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Objects whose ids differ only in case are one from 2.2.1 on: the pushes meet one of them, and nothing fails."""
    token = await ocpi.registry.issue_token("acme")
    token = envelope(await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=token))["token"]
    for name in ("A", "a"):
        body = {**location(version, 1), "id": name}
        body["evses"] = [{**body["evses"][0], "uid": uid} for uid in ("U", "u", "V")]
        assert (await ocpi.send("PUT", f"{version}/locations/FI/ABC/{name}", body, token=token)).status == 201
    cpo.peer.versions = [version, "2.2.1"]
    token = envelope(await ocpi.send("PUT", "2.2.1/credentials", credentials(cpo, "2.2.1"), token=token))["token"]
    patch = {"status": "CHARGING", "last_updated": "2026-03-01T00:00:00Z"}
    for path in ("A/U", "a/v"):
        envelope(await ocpi.send("PATCH", f"2.2.1/locations/FI/ABC/{path}", patch, token=token))
    assert len(await ocpi.db.fetch_all("SELECT 1 FROM evse_state WHERE status = 'CHARGING'")) == 2


@pytest.mark.holds("R106", "R107", "R109", "I-37", "I-38")
@each
async def test_they_leave(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Both tokens void at once, pulls stop; until a new token A there is nothing to call with."""
    place = f"{version}/credentials"
    token_a = await ocpi.registry.issue_token("acme")
    token = envelope(await ocpi.send("POST", place, credentials(cpo, version), token=token_a))["token"]
    push = f"{version}/locations/FI/ABC/L1"
    assert (await ocpi.send("PUT", push, location(version, 1), token=token)).status == 201
    envelope(await ocpi.send("DELETE", place, token=token))
    for method in ("PUT", "PATCH"):
        envelope(await ocpi.send(method, push, location(version, 1), token=token), 401, 2000)
    platform = await ocpi.registry.platform("acme")
    assert platform.state == "unregistered-by-peer" and platform.disconnected_at is not None
    assert platform.last_error is not None and "new token A" in platform.last_error["advice"]
    assert await ocpi.registry.outbound(platform, "c") is None and await ocpi.db.fetch_all("SELECT 1 FROM schedule") == []
    for method, path in (("GET", "versions"), ("GET", f"{version}/locations/FI/ABC/L"), ("DELETE", place), ("POST", place), ("PUT", place)):
        envelope(await ocpi.send(method, path, credentials(cpo, version), token=token), 401, 2000)
    token_a = await ocpi.registry.issue_token("acme")
    envelope(await ocpi.send("POST", place, credentials(cpo, version), token=token_a))
    assert (await ocpi.registry.platform("acme")).disconnected_at is None


@pytest.mark.holds("R92", "R70", "R69")
@each
async def test_credentials_nobody_can_use(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """URLs that are none, a token that is only its scheme, numbers that no database takes: a clear answer, and token A remains."""
    token_a = await ocpi.registry.issue_token("acme")
    place = f"{version}/credentials"
    for other, code in [
        ({"url": "https://["}, 2001), ({"url": "https://[::1"}, 2001), ({"url": "https://a:99999999/"}, 2001),
        ({"url": "http://[fe80::%]"}, 2001), ({"url": "https://" + "a" * 70_000 + "/"}, 3001), ({"url": "https://" + "a." * 200}, 3001),
        ({"url": "//"}, 2001), ({"url": "\\\\x"}, 2001), ({"token": "Token "}, 2001), ({"token": "tOKEN    "}, 2001),
    ]:  # fmt: skip
        envelope(await ocpi.send("POST", place, credentials(cpo, version, **other), token=token_a), 200, code)
    for name in ("GET /versions", "GET /details"):
        for broken in ("https://[", "https://[::1", "http://a:999999/"):
            url = {"version": version, "url": broken} if name == "GET /versions" else None
            entries = [{"identifier": n, "role": "SENDER", "url": broken} for n in ("credentials", "locations")]
            cpo.peer.answers[name] = lambda r, u=url, e=entries: good([u] if u else {"version": version, "endpoints": e})
            envelope(await ocpi.send("POST", place, credentials(cpo, version), token=token_a), 200, 3001 if url else 3003)
        del cpo.peer.answers[name]
    logo = {"url": "https://a.example/l.svg", "width": 512.0, "height": 1e300, "x": [1.5, 10**400], "type": "svg", "category": "OPERATOR"}
    details = {"name": "Abc", "logo": logo}
    sent = credentials(cpo, version)
    if version == "2.1.1":
        sent["business_details"] = details
    else:
        sent["roles"] = [{**sent["roles"][0], "business_details": details}] * 1200
    body = json.dumps(sent).encode()
    huge = body.replace(b"1e+300", b"1e99999999") if version == "2.1.1" else body
    app = ocpi.served_at("https://nap.example/ocpi", 1 << 22)
    reply = await call(app, f"/ocpi/{place}", method="POST", headers={"authorization": f"Token {token_a}"}, body=huge)
    envelope(reply)
    platform = await ocpi.registry.platform("acme")
    assert platform.state == "registered" and platform.operators[0].details is not None
    assert platform.operators[0].details["logo"]["width"] == 512 and len(platform.peer_roles) <= 1000


@pytest.mark.holds("I-28", "I-30", "R55")
@each
async def test_what_was_tolerated_is_noted(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Relative URLs and endpoints that are named twice."""
    token_a = await ocpi.registry.issue_token("acme")
    cpo.peer.answers["GET /versions"] = lambda r: good([{"version": version, "url": version}])
    twice = [*cpo.peer.endpoints("credentials", "locations"), {"identifier": "locations", "role": "SENDER", "url": "/mirror"}]
    cpo.peer.answers["GET /details"] = lambda r: good({"version": version, "endpoints": twice})
    envelope(await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=token_a))
    assert (await ocpi.registry.platform("acme")).endpoints["locations"].endswith("/locations")
    notes = [text for _, step, text in await load_events(ocpi.db, 1) if step == "discovery"]
    assert len(notes) == 1 and "relative" in notes[0] and "locations is named twice" in notes[0]


@pytest.mark.holds("R100", "R106")
@each
async def test_leaving_during_their_put(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """A registration that ends while their PUT is open stays ended."""
    place = f"{version}/credentials"
    token_a = await ocpi.registry.issue_token("acme")
    token = envelope(await ocpi.send("POST", place, credentials(cpo, version), token=token_a))["token"]

    async def leave(_: web.Request) -> web.Response:
        await end_connection(ocpi.registry, await ocpi.registry.platform("acme"), "unregistered", "by the operator")
        return good({"version": version, "endpoints": cpo.peer.endpoints("credentials", "locations")})

    cpo.peer.answers["GET /details"] = leave
    envelope(await ocpi.send("PUT", place, credentials(cpo, version), token=token), 401, 2000)
    assert (await ocpi.registry.platform("acme")).state == "unregistered"
