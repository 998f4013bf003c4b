"""The whole program as a user runs it: the command line and `serve` as processes of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.cpo import Cpo
from tests.ports import free_port


@dataclass
class Nap:
    """A running ocpi-nap."""

    url: str
    mqtt_port: int
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    workers: int = 2

    def start(self) -> None:
        """Start it; returns when it answers."""
        command = [sys.executable, "-m", "ocpi_nap", "serve", "--port", self.url.rpartition(":")[2], "--workers", str(self.workers)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        _await_health(self.url, self.process, self.log)

    def stop(self) -> int:
        """End it as an operator does; returns its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def child(self, command: str) -> int | None:
        """Process id of the node's process beside the workers: `feed` or `jobs`."""
        folder = f"OCPI_NAP_DATA_DIR={self.environment['OCPI_NAP_DATA_DIR']}\0".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                named = f"ocpi_nap\0{command}\0".encode() in (process / "cmdline").read_bytes()
                if named and folder in (process / "environ").read_bytes() + b"\0":
                    return int(process.name)
        return None

    async def onboard(self, cpo: Cpo) -> None:
        """Add the platform as acme, which delivers FI*ABC, and register with it."""
        await self.cli(
            "platform", "add", "acme", "--versions-url", f"{cpo.url}/versions", "--token", cpo.token_a, "--token-encoding", cpo.encoding,
            "--party-id", "PLT", "--country-code", "FI", "--operator", "FI*ABC;Abc Lataus;https://abc.example",
        )  # fmt: skip
        await self.cli("platform", "register", "acme")

    async def cli(self, *arguments: str, status: int = 0) -> str:
        """Run one command; returns its standard output (or error, when a failure is expected)."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ocpi_nap",
            *arguments,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == status, err.decode()
        return (out if status == 0 else err).decode()


@pytest.fixture
def nap(dsn: str, tmp_path: Path) -> Iterator[Nap]:
    """`ocpi-nap serve` with two workers on a fresh database and its own embedded broker."""
    port, mqtt_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "OCPI_NAP_DATA_DIR": str(tmp_path / "data"),
        "OCPI_NAP_DATABASE_URL": dsn,
        "OCPI_NAP_PUBLIC_URL": url,
        "OCPI_NAP_MQTT_PORT": str(mqtt_port),
        "OCPI_NAP_ALLOW_PRIVATE_NETWORKS": "1",
    }
    made = Nap(url, mqtt_port, environment, tmp_path / "serve.log")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            process_gone = process.poll() is not None
            assert not process_gone, log.read_text()
    raise AssertionError(log.read_text())
