"""Readers: a page of 500 locations and all statuses from a warm cache, and the memory of the workers that serve them."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from bench import wrk
from bench.nap import API, Nap
from ocpi_nap.cli.pulling import pull_platform
from ocpi_nap.simulator.finland import PLATFORMS
from ocpi_nap.simulator.platform import SimulatedPlatform

_GZIP = ("Accept-Encoding: gzip",)


async def run(nap: Nap, seconds: int) -> dict[str, Any]:
    """With Finland's network on three platforms."""
    found: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        for spec in PLATFORMS:
            platform = await stack.enter_async_context(SimulatedPlatform(replace(spec, changes_per_second=0)))
            await nap.onboard(platform)
            await pull_platform(nap.context, spec.name, full=True)

        found["page_cold_ms"] = await _cold_pages(nap)

        async def load(path: str) -> wrk.Load:
            return await asyncio.to_thread(wrk.run, nap.url + API + path, seconds=seconds, connections=64, headers=_GZIP)

        for path, name in (("/locations", "page"), ("/locations/statuses/all", "statuses_all"), ("/locations/all", "locations_all")):
            await asyncio.to_thread(wrk.run, nap.url + API + path, seconds=2, connections=64, headers=_GZIP)
            quiet = await load(path)
            found |= {f"{name}_per_second": quiet.per_second, f"{name}_p99_ms": quiet.p99_ms, f"{name}_failed": quiet.failed}
    found["worker_memory_mb"] = max(_resident_mb(pid) for pid in nap.workers())
    found["renderer_memory_mb"] = _resident_mb(nap.renderer())
    return found


async def _cold_pages(nap: Nap) -> float:
    """Milliseconds of a page of locations that no worker has, the median of all pages read once."""
    taken: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=False, limit=1)) as session:
        cursor: str | None = ""
        while cursor is not None:
            began = time.perf_counter()
            async with session.get(nap.url + API + "/locations", params={"cursor": cursor} if cursor else {}) as answer:
                body = await answer.read()
            taken.append((time.perf_counter() - began) * 1000)
            cursor = json.loads(body)["pagination"].get("nextCursor")
    return sorted(taken)[len(taken) // 2]


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
