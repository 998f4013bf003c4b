"""A NAP to measure: `ocpi-nap serve` on a fresh data directory, with simulated platforms registered by the real handshake."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ocpi_nap.cli.context import Context, load_settings, open_context
from ocpi_nap.cli.demo import healthy
from ocpi_nap.registry import handshake, onboarding
from ocpi_nap.simulator.platform import SimulatedPlatform

API = "/api/charging-network/v1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Nap:
    """A running service and the means to look into it."""

    url: str
    mqtt_port: int
    context: Context
    server: subprocess.Popen[bytes]

    async def number(self, query: str) -> int:
        row = await self.context.db.fetch_one(query)
        assert row is not None
        return int(row[0])

    async def onboard(self, platform: SimulatedPlatform, **settings: object) -> None:
        """Add, pause (the benchmark decides what is pulled) and register a platform."""
        spec = platform.spec
        record = onboarding.check(
            name=spec.name, versions_url=platform.versions_url, token=spec.token_a, token_encoding=spec.token_encoding,
            party_id=spec.party_id, country_code=spec.country_code, settings=settings,
            operators=[{"party_id": o.party_id, "country_code": o.country_code, "name": o.name} for o in spec.network.operators],
        )  # fmt: skip
        await self.context.registry.add(record)
        await self.context.registry.set_paused(spec.name, True)
        await handshake.register(self.context.registry, spec.name)

    def workers(self) -> list[int]:
        """Process ids of the web workers."""
        return self._children(b"multiprocessing.spawn")

    def renderer(self) -> int:
        """Process id of the process that renders."""
        (pid,) = self._children(b"ocpi_nap\0feed")
        return pid

    def _children(self, command: bytes) -> list[int]:
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        return [int(pid) for pid in children if command in Path(f"/proc/{pid}/cmdline").read_bytes()]


@asynccontextmanager
async def running(folder: Path, workers: int = 2) -> AsyncIterator[Nap]:
    """Start the service in a folder and stop it at the end."""
    port, mqtt_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    os.environ |= {
        "OCPI_NAP_DATA_DIR": str(folder), "OCPI_NAP_PUBLIC_URL": url, "OCPI_NAP_MQTT_PORT": str(mqtt_port),
        "OCPI_NAP_ALLOW_PRIVATE_NETWORKS": "1", "OCPI_NAP_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    command = [sys.executable, "-m", "ocpi_nap", "serve", "--port", str(port), "--workers", str(workers)]
    async with open_context(load_settings()) as context:
        server = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.DEVNULL)
        try:
            while not await asyncio.to_thread(healthy, url):
                assert server.poll() is None, "the service did not start"
            yield Nap(url, mqtt_port, context, server)
        finally:
            server.terminate()
            await asyncio.to_thread(server.wait, 30)
