"""Readers: a page of 500 locations and all statuses from a warm cache, and the memory of the workers that serve them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

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

        async def load(path: str) -> wrk.Load:
            return await asyncio.to_thread(wrk.run, nap.url + API + path, seconds=seconds, connections=64, headers=_GZIP)

        for path, name in (("/locations", "page"), ("/locations/statuses/all", "statuses_all"), ("/locations/all", "locations_all")):
            await asyncio.to_thread(wrk.run, nap.url + API + path, seconds=2, connections=64, headers=_GZIP)
            quiet = await load(path)
            found |= {f"{name}_per_second": quiet.per_second, f"{name}_p99_ms": quiet.p99_ms, f"{name}_failed": quiet.failed}
    found["worker_memory_mb"] = max(_resident_mb(pid) for pid in nap.workers())
    return found


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
