"""Two handshakes that cross, and a platform that leaves in the middle of one (R83, R84, R98–R106)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.registry import RegistryError, handshake
from tests.e2e.cpo import location
from tests.interface import Ocpi
from tests.registry.stage import Stage, credentials, envelope, good, lost
from tests.versions import VERSIONS, each


@pytest.fixture(autouse=True)
def nearby(ocpi: Ocpi) -> None:
    """Before our POST we look at our own versions: at an address that answers at once that there is nothing."""
    ocpi.registry.identity = replace(ocpi.registry.identity, versions_url="http://127.0.0.1:9/ocpi/versions")


async def they_register(ocpi: Ocpi, cpo: Stage, version: str) -> str:
    """Returns the token that they use on us."""
    reply = await ocpi.send(
        "POST", f"{version}/credentials", credentials(cpo, version), token=await ocpi.registry.issue_token("acme")
    )  # fmt: skip
    token: str = envelope(reply)["token"]
    return token


@pytest.mark.holds("R84", "R98", "R100", "R102")
@each
async def test_their_put_during_ours(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """It is refused while ours is open, so that both sides end with the same tokens; afterwards it is taken."""
    place, token = f"{version}/credentials", await they_register(ocpi, cpo, version)

    async def crossing(_: web.Request) -> web.Response:
        envelope(await ocpi.send("PUT", place, credentials(cpo, version, token="token-a"), token=token), 200, 3000)
        return good({"token": "token-c", "roles": []})

    cpo.peer.answers["PUT /credentials"] = crossing
    platform = await handshake.rotate(ocpi.registry, "acme")
    assert platform.state == "registered" and await ocpi.registry.outbound(platform, "c") == "token-c"
    envelope(await ocpi.send("GET", "versions", token=cpo.peer.put[0]["token"]))
    body = credentials(cpo, version, token="token-a")
    envelope(await ocpi.send("PUT", place, body, token=cpo.peer.put[0]["token"]))
    assert await ocpi.registry.outbound(platform, "c") == "token-a"


@pytest.mark.holds("R84", "R88", "R95")
@each
async def test_their_post_during_ours(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Both were given a token A, and both begin: ours is in the way of theirs, whose token A ends with it."""
    token_a = await ocpi.registry.issue_token("acme")
    await handshake.replace_token_a(ocpi.registry, "acme", "token-a")

    async def crossing(_: web.Request) -> web.Response:
        envelope(await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=token_a), 200, 3000)
        return good({"token": "token-c", "roles": []})

    cpo.peer.answers["POST /credentials"] = crossing
    assert (await handshake.register(ocpi.registry, "acme")).state == "registered"
    tokens = await ocpi.db.fetch_all("SELECT kind, state FROM token")
    assert tokens == [("B", "active")]
    envelope(await ocpi.send("POST", f"{version}/credentials", credentials(cpo, version), token=token_a), 401, 2000)


ANSWERS: dict[str, Callable[[web.Request], web.Response]] = {
    "taken": lambda r: good({"token": "token-c", "roles": []}), "405": lambda r: web.Response(status=405),
    "refused": lambda r: good(None, 2001), "lost": lost,
}  # fmt: skip


@pytest.mark.holds("R106", "R103")
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
@each
async def test_they_leave_during_our_put(ocpi: Ocpi, cpo: Stage, version: str, answer: Callable[[web.Request], web.Response]) -> None:
    """Whatever they answer to it: the registration is over, and no token is left."""
    token = await they_register(ocpi, cpo, version)

    async def leaving(request: web.Request) -> web.Response:
        envelope(await ocpi.send("DELETE", f"{version}/credentials", token=token))
        return answer(request)

    cpo.peer.answers["PUT /credentials"] = leaving
    with pytest.raises(RegistryError, match="ended the registration"):
        await handshake.rotate(ocpi.registry, "acme")
    await _is_over(ocpi, token, cpo.peer.put[0]["token"])


async def _is_over(ocpi: Ocpi, *tokens: str) -> None:
    platform = await ocpi.registry.platform("acme")
    assert platform.state == "unregistered-by-peer" and platform.disconnected_at is not None
    assert platform.last_error is not None and "ended the registration" in platform.last_error["message"]
    assert await ocpi.registry.outbound(platform, "c") is None and await ocpi.db.fetch_all("SELECT 1 FROM token") == []
    for token in tokens:
        envelope(await ocpi.send("GET", "versions", token=token), 401, 2000)


@pytest.mark.holds("R106", "R80")
@each
async def test_they_leave_while_token_c_is_tried(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """Right after they took our credentials: what they answer then says nothing."""
    token = await they_register(ocpi, cpo, version)

    async def leaving(request: web.Request) -> web.Response:
        if cpo.peer.put:
            await ocpi.send("DELETE", f"{version}/credentials", token=token)
        return good({"version": version, "endpoints": cpo.peer.endpoints("credentials", "locations")})

    cpo.peer.answers["GET /details"] = leaving
    with pytest.raises(RegistryError, match="ended the registration"):
        await handshake.rotate(ocpi.registry, "acme")
    await _is_over(ocpi, token, cpo.peer.put[0]["token"])


@pytest.mark.holds("R106", "R81")
@each
async def test_they_leave_during_a_new_start(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """`register --force` that they refuse: the connection that was to be kept is over."""
    token = await they_register(ocpi, cpo, version)
    await handshake.replace_token_a(ocpi.registry, "acme", "token-a")

    async def leaving(_: web.Request) -> web.Response:
        envelope(await ocpi.send("DELETE", f"{version}/credentials", token=token))
        return web.Response(status=503)

    cpo.peer.answers["POST /credentials"] = leaving
    with pytest.raises(RegistryError, match="ended the registration"):
        await handshake.register(ocpi.registry, "acme", force=True)
    await _is_over(ocpi, token, cpo.peer.posted[0]["token"])


@pytest.mark.holds("R76", "R83", "R45", "R140")
@each
async def test_pushes_of_another_version_before_the_answer_is_known(ocpi: Ocpi, cpo: Stage, version: str) -> None:
    """What is held from an earlier registration is found by those who may have taken our credentials in another version."""
    token = await they_register(ocpi, cpo, version)
    held = {**location(version, 1), "id": "Mixed"}
    held["evses"] = [{**held["evses"][0], "uid": "Ab"}]
    assert (await ocpi.send("PUT", f"{version}/locations/FI/ABC/Mixed", held, token=token)).status == 201
    await handshake.unregister(ocpi.registry, "acme")
    await handshake.replace_token_a(ocpi.registry, "acme", "token-a")
    other = VERSIONS[VERSIONS.index(version) - 1]
    cpo.peer.versions = [other]
    cpo.peer.answers["POST /credentials"] = lost
    with pytest.raises(RegistryError):
        await handshake.register(ocpi.registry, "acme")
    assert (await ocpi.registry.platform("acme")).state == "unknown"
    patch: dict[str, Any] = {"status": "CHARGING", "last_updated": "2026-03-01T00:00:00Z"}
    envelope(await ocpi.send("PATCH", f"{other}/locations/FI/ABC/Mixed/Ab", patch, token=cpo.peer.posted[0]["token"]))
    body = {**location(other, 1), "id": "Mixed", "last_updated": "2026-03-02T00:00:00Z"}
    assert (await ocpi.send("PUT", f"{other}/locations/FI/ABC/Mixed", body, token=cpo.peer.posted[0]["token"])).status == 200
    assert await ocpi.db.fetch_all("SELECT id FROM location") == [("Mixed",)]
