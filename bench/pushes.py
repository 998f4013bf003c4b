"""Pushes at full speed: PATCH of a status against the floor, PUT of Locations; every answer counted against what is stored."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench import wrk
from bench.nap import Nap, free_port
from ocpi_nap.cli.pulling import pull_platform
from ocpi_nap.ocpi.tokens import outbound_header
from ocpi_nap.simulator.finland import PLATFORMS
from ocpi_nap.simulator.network import Network, NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import SimulatedPlatform

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("push.lua")
_FLOOR_TABLE = """
DROP TABLE IF EXISTS floor_status;
CREATE TABLE floor_status (location text, uid text, status text, last_updated timestamptz, PRIMARY KEY (location, uid));
INSERT INTO floor_status SELECT l.id, e.uid, s.status, coalesce(s.source_last_updated, now())
  FROM location l JOIN evse e ON e.location_pk = l.pk JOIN evse_state s USING (location_pk, uid_key)
"""


def _patches(network: Network) -> list[tuple[str, str]]:
    found = []
    for i, j in network.places:
        location = network.locations[i]
        path = f"/ocpi/2.2.1/locations/FI/{network.location_party(i).party_id}/{location['id']}/{location['evses'][j]['uid']}"
        found.append((path, '{"status":"@S@","last_updated":"@T@"}'))
    network.random.shuffle(found)
    return found


def _puts() -> list[tuple[str, str]]:
    """Locations of exactly five EVSEs, every status and time of which changes with each PUT."""
    spec = NetworkSpec("2.2.1", (SimulatedOperator("KAL", "Kaleva", ""),), 2000, 10_000, 10_000, 0)
    network = Network(spec, datetime(2026, 1, 1, tzinfo=UTC))
    evses = [evse for location in network.locations for evse in location["evses"]]
    found = []
    for number, location in enumerate(network.locations):
        own: list[dict[str, Any]] = evses[5 * number : 5 * number + 5]
        own = [evse | {"status": "@S@", "last_updated": "@T@"} for evse in own]
        body = location | {"id": f"PUT-{number}", "evses": own, "last_updated": "@T@"}
        found.append((f"/ocpi/2.2.1/locations/FI/KAL/PUT-{number}", msgspec.json.encode(body).decode()))
    return found


def _write(folder: Path, name: str, targets: list[tuple[str, str]]) -> str:
    path = folder / name
    path.write_text("".join(f"{path}\t{body}\n" for path, body in targets))
    return str(path)


async def run(nap: Nap, folder: Path, seconds: int) -> dict[str, Any]:
    """Measure PATCH, the floor, PATCH again, then PUT; the mean of both PATCH runs is what counts, machines are noisy."""
    async with AsyncExitStack() as stack:
        spec = PLATFORMS[1]
        platform = await stack.enter_async_context(SimulatedPlatform(replace(spec, changes_per_second=0)))
        await nap.onboard(platform, inbound_limit_per_second=0)
        await pull_platform(nap.context, spec.name, full=True)
        assert platform.state.token_b is not None
        header = outbound_header(platform.state.token_b, spec.token_encoding)
        patches, puts = _write(folder, "patches.txt", _patches(platform.network)), _write(folder, "puts.txt", _puts())
        async with nap.context.db.connection() as conn:
            for statement in _FLOOR_TABLE.split(";"):
                await conn.execute(statement.encode())
        floor_url = await stack.enter_async_context(_floor(nap.context.dsn))

        async def load(url: str, method: str, targets: str, *statuses: str) -> wrk.Load:
            arguments = (method, header, targets, *(statuses or ("CHARGING", "AVAILABLE")))
            return await asyncio.to_thread(wrk.run, url, seconds=seconds, connections=CONNECTIONS, script=_SCRIPT, arguments=arguments)

        counting = "SELECT count(*) FROM change WHERE kind = 'status'"
        await load(nap.url, "PATCH", patches)  # warm-up: plans, caches, hint bits
        before = await nap.number(counting)
        first = await load(nap.url, "PATCH", patches, "BLOCKED", "RESERVED")
        stored = await nap.number(counting) - before
        floor = await load(floor_url, "PATCH", patches)
        second = await load(nap.url, "PATCH", patches)
        put = await load(nap.url, "PUT", puts)
        put_again = await load(nap.url, "PUT", puts)
    rate = (first.per_second + second.per_second) / 2
    return {
        "patch_per_second": rate, "patch_p50_ms": max(first.p50_ms, second.p50_ms), "patch_p99_ms": max(first.p99_ms, second.p99_ms),
        "patch_failed": first.failed + second.failed, "patch_stored_share": stored / first.requests,
        "floor_per_second": floor.per_second, "floor_p99_ms": floor.p99_ms, "floor_failed": floor.failed,
        "patch_to_floor": rate / floor.per_second,
        "put_new_per_second": put.per_second, "put_per_second": put_again.per_second, "put_p99_ms": put_again.p99_ms,
        "put_failed": put.failed + put_again.failed,
    }  # fmt: skip


@asynccontextmanager
async def _floor(dsn: str) -> AsyncIterator[str]:
    """The comparison program, with as many workers as the NAP."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.floor:app", "--port", str(port), "--workers", "2", "--loop", "uvloop",
               "--http", "httptools", "--no-access-log", "--log-level", "warning"]  # fmt: skip
    server = await asyncio.to_thread(subprocess.Popen, command, env={**os.environ, "FLOOR_DSN": dsn})
    try:
        url = f"http://127.0.0.1:{port}"
        while not await asyncio.to_thread(_answers, url):
            assert server.poll() is None, "the comparison program did not start"
        yield url
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait, 20)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
