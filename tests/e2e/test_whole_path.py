"""Registration, pull, push, API and MQTT in each version, through the real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from tests.e2e.conftest import Nap
from tests.e2e.cpo import Cpo, location, tariff

API = "/api/charging-network/v1"
VERSIONS = [("2.1.1", "raw"), ("2.2.1", "base64"), ("2.3.0", "base64")]


@pytest.fixture(params=VERSIONS, ids=[version for version, _ in VERSIONS])
async def cpo(request: pytest.FixtureRequest) -> AsyncIterator[Cpo]:
    version, encoding = request.param
    platform = await Cpo(version, encoding=encoding).start()
    yield platform
    await platform.stop()


async def _read(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return json.loads(await answer.read())


async def _subscribe(port: int) -> tuple[Client, asyncio.Queue[tuple[str, dict[str, str]]]]:
    received: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue()
    subscribed = asyncio.Event()
    client = Client("test-reader")

    def on_message(client: Client, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        received.put_nowait((topic, json.loads(payload)))
        return 0

    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect("127.0.0.1", port, version=MQTTv311)
    client.subscribe("status-v1/#")
    await asyncio.wait_for(subscribed.wait(), 10)
    return client, received


async def _register(nap: Nap, cpo: Cpo) -> None:
    await nap.cli(
        "platform", "add", "acme", "--versions-url", f"{cpo.url}/versions", "--token", cpo.token_a, "--token-encoding", cpo.encoding,
        "--party-id", "PLT", "--country-code", "FI", "--operator", "FI*ABC;Abc Lataus;https://abc.example",
    )  # fmt: skip
    out = await nap.cli("platform", "register", "acme")
    assert f"acme is registered with OCPI {cpo.version}" in out
    shown = json.loads(await nap.cli("platform", "show", "acme", "--json"))
    assert (shown["state"], shown["version"], shown["operators"][0]["id"]) == ("registered", cpo.version, "FI*ABC")
    assert cpo.token_b not in json.dumps(shown) and cpo.token_a not in json.dumps(shown)


@pytest.mark.holds("R74", "R75", "R80", "R85", "I-31")
async def test_register_pull_push_publish(nap: Nap, cpo: Cpo) -> None:
    """R74–R80 with call-backs inside our POST, R111–R124, R143–R152, contract sections 1 to 4 and 7."""
    client, messages = await _subscribe(nap.mqtt_port)
    await _register(nap, cpo)
    assert cpo.callbacks == [200, 200]
    assert cpo.our_credentials["url"] == f"{nap.url}/ocpi/versions"
    async with asyncio.timeout(30):  # the full pull starts at once (R85)
        while len((await _read(f"{nap.url}{API}/locations"))["features"]) < 5:
            pass
        first = await messages.get()
    assert first[0].startswith("status-v1/FI/ABC/L") and first[1]["status"] == "AVAILABLE"

    report = json.loads(await nap.cli("platform", "pull", "acme", "--full", "--json"))
    assert report["locations"] | {"issues": 0} == report["locations"]
    assert (report["locations"]["complete"], report["locations"]["unchanged"], report["locations"]["withdrawn"]) == (True, 5, 0)
    assert report["tariffs"]["complete"] and report["tariffs"]["pulled"] == (cpo.version != "2.1.1")

    body = {"status": "CHARGING", "last_updated": "2026-02-01T12:00:00Z"}
    status, envelope = await cpo.push("PATCH", "FI/ABC/L1/U1", body)
    assert (status, envelope["status_code"]) == (200, 1000)
    async with asyncio.timeout(10):
        while (message := await messages.get())[0] != "status-v1/FI/ABC/L1/FI*ABC*E1" or message[1]["status"] == "AVAILABLE":
            pass
    assert message[1] == {"status": "CHARGING", "time": "2026-02-01T12:00:00.000Z"}
    changed = {"evseId": "FI*ABC*E1", "modifiedAt": "2026-02-01T12:00:00.000Z", "status": "CHARGING"}
    async with asyncio.timeout(30):
        while changed not in (await _read(f"{nap.url}{API}/locations/statuses"))["statuses"]:
            pass
    await client.disconnect()


async def test_receiver(nap: Nap, cpo: Cpo) -> None:
    """R7, R32, R34–R37, R139, R143–R161: created, read back, refused, in the envelope and status the requirements name."""
    await _register(nap, cpo)
    new = location(cpo.version, 77)
    assert (await cpo.push("PUT", "FI/ABC/L77", new))[0] == 201
    assert (await cpo.push("PUT", "FI/ABC/L77", new))[0] == 200
    status, envelope = await cpo.push("GET", "FI/ABC/L77")
    assert (status, envelope["data"]) == (200, new)
    late = {"status": "BLOCKED", "last_updated": "2025-01-01T00:00:00Z"}
    assert (await cpo.push("PATCH", "FI/ABC/L77/U77", late))[1]["status_code"] == 2001
    assert (await cpo.push("PATCH", "FI/ABC/L77/U77/1", {"max_amperage": 16, "last_updated": "2026-03-01T00:00:00Z"}))[0] == 200
    read = (await cpo.push("GET", "FI/ABC/L77"))[1]["data"]
    assert read["last_updated"] == "2026-03-01T00:00:00Z"  # propagated (R150)
    assert (await cpo.push("PATCH", "FI/ABC/NONE/U1", {"status": "BLOCKED"}))[1]["status_code"] == 2003
    assert (await cpo.push("PUT", "FI/XYZ/L1", new))[0] == 404
    assert (await cpo.push("DELETE", "FI/ABC/L77"))[0] == 405
    assert (await cpo.push("PUT", "FI/ABC/L77", {**new, "id": "other"}))[1]["status_code"] == 2001
    missing = {name: value for name, value in location(cpo.version, 78).items() if name != "city"}
    assert (await cpo.push("PUT", "FI/ABC/L78", missing))[1]["status_code"] == 2001
    assert (await cpo.push("GET", "FI/ABC/L78"))[0] == 404
    if cpo.version == "2.1.1":
        assert "tariffs" not in cpo.endpoints
        return
    sent = {**tariff(cpo.version), "id": "T9"}
    assert (await cpo.push("PUT", "FI/ABC/T9", sent, "tariffs"))[0] == 201
    assert (await cpo.push("GET", "FI/ABC/T9", module="tariffs"))[1]["data"] == sent
    shown: list[Any] = []
    async with asyncio.timeout(30):  # transactions of other tests on the same server may hold it up
        while not shown:
            shown = [t for t in (await _read(f"{nap.url}{API}/tariffs"))["tariffs"] if t["id"] == "T9"]
    assert shown[0]["elements"][0]["priceComponents"][0]["price"] == 0.29
    assert (await cpo.push("DELETE", "FI/ABC/T9", module="tariffs"))[0] == 200
    assert (await cpo.push("GET", "FI/ABC/T9", module="tariffs"))[0] == 404


@pytest.mark.holds("R108")
async def test_leaving(nap: Nap, cpo: Cpo) -> None:
    """R108: our side ends unregistered, token B is void."""
    await _register(nap, cpo)
    await nap.cli("platform", "unregister", "acme")
    assert json.loads(await nap.cli("platform", "show", "acme", "--json"))["state"] == "unregistered"
    assert (await cpo.push("GET", "FI/ABC/L1"))[0] == 401


@pytest.mark.holds("R101", "R102")
async def test_rotation(nap: Nap, cpo: Cpo) -> None:
    """R102, D18: new tokens on both sides; the old token B ends with the first use of the new one."""
    await _register(nap, cpo)
    old = cpo.token_b
    await nap.cli("platform", "rotate", "acme")
    assert cpo.token_b != old
    assert (await cpo.push("PUT", "FI/ABC/L1", location(cpo.version, 1)))[0] in (200, 201)
    cpo.token_b, new = old, cpo.token_b
    assert (await cpo.push("GET", "FI/ABC/L1"))[0] == 401
    cpo.token_b = new
    assert (await cpo.push("GET", "FI/ABC/L1"))[0] == 200


@pytest.mark.holds("R8", "R87", "R88", "R90", "R93", "R94", "R106")
async def test_the_cpo_starts_it(nap: Nap, cpo: Cpo) -> None:
    """R87-R94, R106: POST with a token A of ours, 405 afterwards, DELETE ends it."""
    await nap.cli(
        "platform", "add", "acme", "--versions-url", f"{cpo.url}/versions", "--token-encoding", cpo.encoding, "--party-id", "PLT",
        "--country-code", "FI", "--operator", "FI*ABC;Abc Lataus;https://abc.example",
    )  # fmt: skip
    cpo.token_b = (await nap.cli("platform", "issue-token", "acme")).strip()
    token_a = cpo.token_b
    cpo.endpoints = {name: f"{nap.url}/ocpi/{cpo.version}/{name}" for name in ("credentials", "locations")}
    party = {"party_id": "PLT", "country_code": "FI", "business_details": {"name": "Platform"}}
    roles: dict[str, Any] = party if cpo.version == "2.1.1" else {"roles": [{"role": "CPO", **party}]}
    credentials = {"token": cpo.token_c, "url": f"{cpo.url}/versions", **roles}
    assert (await cpo.push("GET", "FI/ABC/L1"))[0] == 401  # R8
    assert (await cpo.post_credentials({**credentials, "url": f"{cpo.url}/nothing"}))[1]["status_code"] == 3001  # R90
    status, envelope = await cpo.post_credentials(credentials)
    assert (status, envelope["status_code"]) == (200, 1000)
    cpo.token_b = envelope["data"]["token"]
    assert (await cpo.post_credentials(credentials))[0] == 405  # R93
    assert (await cpo.push("PUT", "FI/ABC/L9", location(cpo.version, 9)))[0] in (200, 201)
    assert json.loads(await nap.cli("platform", "show", "acme", "--json"))["state"] == "registered"
    cpo.token_b, token_c = token_a, cpo.token_b
    assert (await cpo.post_credentials(credentials))[0] == 401  # R94
    cpo.token_b = token_c
    assert (await cpo.delete_credentials())[0] == 200
    assert (await cpo.push("GET", "FI/ABC/L9"))[0] == 401
    assert json.loads(await nap.cli("platform", "show", "acme", "--json"))["state"] == "unregistered-by-peer"
