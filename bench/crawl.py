"""Crawls over HTTP from pages rendered beforehand, 3 kB a location: all new, then all unchanged."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import msgspec
from aiohttp import web

from bench.nap import Nap
from ocpi_nap.ocpi import envelope
from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform

_PAGE = 500


class PreparedPlatform(SimulatedPlatform):
    """A platform whose pages are bytes in memory, so that the crawl is measured and not the platform."""

    def prepare(self) -> int:
        """Render the pages; returns the mean size of a location in bytes."""
        locations = [_weighed(location) for location in self.network.locations]
        self._pages = {n: envelope.success(locations[n : n + _PAGE]) for n in range(0, len(locations), _PAGE)}
        return sum(map(len, self._pages.values())) // len(locations)

    async def _serve(self, request: web.Request) -> web.Response:
        if not request.path.endswith("/locations"):
            return await super()._serve(request)
        offset = int(request.query.get("offset", 0))
        headers = {"X-Total-Count": str(len(self.network.locations)), "X-Limit": str(_PAGE)}
        if offset + _PAGE in self._pages:
            headers["Link"] = f'<{self.url}{request.path}?offset={offset + _PAGE}&limit={_PAGE}>; rel="next"'
        return web.Response(body=self._pages[offset], content_type="application/json", headers=headers)


def _weighed(location: dict[str, Any]) -> dict[str, Any]:
    """The location with directions and images until it weighs 3 kB, as real ones do."""
    missing = 3000 - len(msgspec.json.encode(location))
    text = "Latausasema sijaitsee pysäköintialueen itäreunalla, ajo Asemakadulta. "
    directions = []
    while missing > 100:
        piece = (text * 8)[: min(500, missing - 40)]
        directions.append({"language": "fi", "text": piece})
        missing -= len(msgspec.json.encode(directions[-1])) + 1
    return location | {"directions": directions}


async def run(nap: Nap, locations: int) -> dict[str, Any]:
    """Locations a second, from the times the crawl itself records."""
    network = NetworkSpec("2.2.1", (SimulatedOperator("CRA", "Crawled", ""),), locations, 2 * locations, 2 * locations, 0, seed=7)
    spec = PlatformSpec("crawled", network, "FI", "CRA", "token-of-crawled", page_size=_PAGE, changes_per_second=0)
    async with PreparedPlatform(spec) as platform:
        size = platform.prepare()
        await nap.onboard(platform, page_size=_PAGE)
        found: dict[str, Any] = {"crawl_bytes_per_location": size}
        for kind in ("new", "unchanged", "unchanged"):
            report, seconds = await _pull(nap)
            assert report["complete"] and report[kind] == locations, report
            found[f"crawl_{kind}_per_second"] = locations / seconds
    return found


async def _pull(nap: Nap) -> tuple[dict[str, Any], float]:
    command = [sys.executable, "-m", "ocpi_nap", "platform", "pull", "crawled", "--full", "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=os.environ.copy())
    out, _ = await process.communicate()
    row = await nap.context.db.fetch_one(
        "SELECT extract(epoch FROM finished_at - started_at)::float8 FROM crawl WHERE module = 'locations' ORDER BY id DESC LIMIT 1"
    )
    assert row is not None
    return json.loads(out)["locations"], float(row[0])
