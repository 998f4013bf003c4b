"""From a push to its message on MQTT: 64 platforms push over 500 changes a second in all; every change must arrive."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import aiohttp
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from bench.nap import Nap
from ocpi_nap.cli.pulling import pull_platform
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.ocpi.tokens import outbound_header
from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform

_PLATFORMS = 64
_RATE = 505  # the target is 500: a slow moment of this process must not miss it
_WARM_UP = 1
"""Seconds that are not counted: the first look-up of each token, the first plan of each statement."""
_LETTERS = "ABCDEFGH"


def _spec(number: int) -> PlatformSpec:
    party = f"P{_LETTERS[number // 8]}{_LETTERS[number % 8]}"
    network = NetworkSpec("2.2.1", (SimulatedOperator(party, party, ""),), 20, 100, 100, 0, seed=number)
    return PlatformSpec(f"push-{number}", network, "FI", party, f"token-of-{number}", changes_per_second=0)


class MqttListener:
    """Remembers when each (EVSE, time) was seen."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], float] = {}
        self._subscribed = asyncio.Event()
        self._came = asyncio.Event()

    async def connect(self, port: int) -> None:
        self._client = Client("bench-listener")
        self._client.on_message = self._message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        await self._client.connect("127.0.0.1", port, version=MQTTv311)
        self._client.subscribe("status-v1/#")
        await asyncio.wait_for(self._subscribed.wait(), 10)

    def _message(self, client: Client, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        self.seen[topic.rsplit("/", 1)[1], json.loads(payload)["time"]] = time.perf_counter()
        self._came.set()
        return 0

    async def all_of(self, keys: Collection[tuple[str, str]]) -> None:
        """Return when every key was seen."""
        while not self.seen.keys() >= set(keys):
            self._came.clear()
            await self._came.wait()

    async def close(self) -> None:
        await self._client.disconnect()


async def platforms_of(nap: Nap, stack: AsyncExitStack) -> list[SimulatedPlatform]:
    """The platforms, registered and pulled."""
    platforms = [await stack.enter_async_context(SimulatedPlatform(_spec(n))) for n in range(_PLATFORMS)]
    for platform in platforms:
        await nap.onboard(platform)
        await pull_platform(nap.context, platform.spec.name, full=True)
    return platforms


async def push_all(platforms: list[SimulatedPlatform], seconds: int) -> tuple[dict[tuple[str, str], float], float, int]:
    """Push for some seconds; returns when each (EVSE, time) was sent, from when on they count, and how many were refused."""
    sent: dict[tuple[str, str], float] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_PLATFORMS)) as session:
        began = time.perf_counter()
        tasks = []
        under_way: set[tuple[str, int, int]] = set()
        for number, platform in zip(range(_RATE * (seconds + _WARM_UP)), itertools.cycle(platforms), strict=False):
            await asyncio.sleep(max(0.0, began + number / _RATE - time.perf_counter()))
            tasks.append(asyncio.create_task(_push(session, platform, sent, under_way)))
        refused = sum(1 for taken in await asyncio.gather(*tasks) if not taken)
    return sent, began + _WARM_UP, refused


def delays_of(sent: dict[tuple[str, str], float], seen: dict[tuple[str, str], float], since: float) -> list[float]:
    """Milliseconds from sending to arrival, sorted, of what was sent since a moment."""
    return sorted((seen[key] - moment) * 1000 for key, moment in sent.items() if moment >= since)


async def run(nap: Nap, seconds: int) -> dict[str, Any]:
    """Latency from sending the PATCH to the message's arrival, both seen by this process."""
    async with AsyncExitStack() as stack:
        platforms = await platforms_of(nap, stack)
        listener = MqttListener()
        await listener.connect(nap.mqtt_port)
        sent, since, refused = await push_all(platforms, seconds)
        await asyncio.wait_for(listener.all_of(sent), 10)
        await listener.close()
    delays = delays_of(sent, listener.seen, since)
    return {
        "mqtt_changes_per_second": len(delays) / seconds, "mqtt_p50_ms": delays[len(delays) // 2],
        "mqtt_p99_ms": delays[int(len(delays) * 0.99)], "mqtt_most_ms": delays[-1], "mqtt_failed": refused,
    }  # fmt: skip


async def _push(
    session: aiohttp.ClientSession, platform: SimulatedPlatform, sent: dict[tuple[str, str], float], under_way: set[tuple[str, int, int]]
) -> bool:
    network = platform.network
    free = [place for place in network.places if (platform.spec.name, *place) not in under_way]
    i, j = random.choice(free)
    location, evse = network.locations[i], network.locations[i]["evses"][j]
    network.set_status(i, j, "AVAILABLE" if evse["status"] == "CHARGING" else "CHARGING", format_ms(datetime.now(UTC)))
    body = {"status": evse["status"], "last_updated": evse["last_updated"]}
    url = f"{platform.state.receivers['locations']}/FI/{network.location_party(i).party_id}/{location['id']}/{evse['uid']}"
    assert platform.state.token_b is not None
    headers = {"Authorization": outbound_header(platform.state.token_b, "raw")}
    place = (platform.spec.name, i, j)
    under_way.add(place)  # a second push of the same EVSE could overtake this one
    sent[evse["evse_id"], body["last_updated"]] = time.perf_counter()
    async with session.patch(url, json=body, headers=headers) as answer:
        taken = answer.status == 200 and (await answer.json())["status_code"] == 1000
    under_way.discard(place)
    return bool(taken)
