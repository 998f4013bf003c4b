"""Event streams and the change feed of the whole service: its examples, its end, its workers' deaths, its restart."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Nap
from tests.e2e.cpo import Cpo
from tests.feed.listener import Parser

API = "/api/charging-network/v1"
ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/data.md").read_text()
EVSE = "FI*ABC*E0"


class Operator:
    """A platform with one Location, whose status goes back and forth."""

    def __init__(self, cpo: Cpo) -> None:
        self.cpo, self.count = cpo, 0
        self.sent: list[tuple[str, str, str]] = []

    async def change(self) -> None:
        self.count += 1
        status = ("AVAILABLE", "CHARGING")[self.count % 2]
        moment = f"2026-02-01T{self.count // 3600:02}:{self.count // 60 % 60:02}:{self.count % 60:02}.000Z"
        self.sent.append((EVSE, status, moment))
        answer = None
        while answer is None:  # a platform pushes again what a dying worker did not answer
            with suppress(aiohttp.ClientError):
                answer = await self.cpo.push("PATCH", "FI/ABC/L0/U0", {"status": status, "last_updated": moment})
        assert (answer[0], answer[1]["status_code"]) == (200, 1000)

    async def change_until(self, done: asyncio.Future[object] | asyncio.Task[object]) -> None:
        while not done.done():
            await self.change()


@asynccontextmanager
async def operating(nap: Nap) -> AsyncIterator[Operator]:
    cpo = await Cpo("2.3.0", count=1).start()
    await nap.onboard(cpo)
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{nap.url}{API}/changes?since=0") as answer:
                if any(item["kind"] == "location" for item in (await answer.json())["changes"]):
                    break
    yield Operator(cpo)
    await cpo.stop()


class Reader(Parser):
    """One stream over the network; `run` ends with it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.came = asyncio.Event()
        self.ends = 0
        """How often the server ended the stream as it should."""

    async def run(self, session: aiohttp.ClientSession) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with suppress(aiohttp.ClientError):
            async with session.get(self.url, headers=headers, timeout=aiohttp.ClientTimeout()) as answer:
                assert answer.status == 200
                async for chunk in answer.content.iter_any():
                    self.feed(chunk)
                    self.came.set()
                self.ends += 1
                self.came.set()

    async def run_for_ever(self, session: aiohttp.ClientSession) -> None:
        """As EventSource does: again after each interruption."""
        while True:
            await self.run(session)
            await asyncio.sleep(0.05)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self.came.clear()
                await self.came.wait()


def _examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("example", ["python SSE", "python MQTT", "js SSE", "js MQTT"])
async def test_the_examples_that_follow(nap: Nap, tmp_path: Path, example: str) -> None:
    """Each program of the guide prints a change that is pushed while it runs."""
    language, way = example.split()
    if language == "js" and shutil.which("node") is None:
        pytest.skip("node is not installed")
    if example == "js MQTT" and not (ROOT / "node_modules/mqtt").is_dir():
        pytest.skip("the npm package mqtt is not in node_modules")
    code = next(text for text in _examples(language) if {"SSE": "/stream/statuses", "MQTT": "status-v1"}[way] in text)
    code = code.replace("http://127.0.0.1:8000", nap.url).replace("ws://127.0.0.1:8000", nap.url.replace("http", "ws"))
    program = tmp_path / ("example.py" if language == "python" else "example.mjs")
    program.write_text(code.replace("1883", str(nap.mqtt_port)))
    if language == "js" and (ROOT / "node_modules").is_dir():
        (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    async with operating(nap) as operator:
        command = [sys.executable if language == "python" else "node", str(program)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        line = asyncio.create_task(process.stdout.readline())
        async with asyncio.timeout(60):
            await operator.change_until(line)
        assert line.result().decode().rstrip("\n") in {f"{EVSE} CHARGING", f"{EVSE} AVAILABLE"}
        process.kill()
        await process.wait()


async def test_readers_survive_workers_and_the_server(nap: Nap) -> None:
    """Workers and the background process are killed under load, then the server ends at once although streams are open, and starts again:
    readers that resume have every change once and in order."""
    async with operating(nap) as operator, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        readers = [Reader(f"{nap.url}{API}/stream/statuses") for _ in range(20)]
        tasks = [asyncio.create_task(reader.run_for_ever(session)) for reader in readers]
        for reader in readers:
            await reader.until(lambda reader=reader: reader.last_id)
        for victim in [*_children("multiprocessing.spawn", nap), *_children("ocpi_nap jobs", nap)]:
            for _ in range(10):
                await operator.change()
            os.kill(victim, signal.SIGKILL)
            await _healthy(session, nap)
        for reader in readers:
            await reader.until(lambda reader=reader: len(reader.events) >= len(operator.sent))
        assert not any(reader.ends for reader in readers)
        assert await asyncio.to_thread(nap.stop) == 0
        for reader in readers:
            await reader.until(lambda reader=reader: reader.ends)
        await asyncio.to_thread(nap.start)
        for _ in range(10):
            await operator.change()
        for reader in readers:
            await reader.until(lambda reader=reader: len(reader.events) >= len(operator.sent))
        for task in tasks:
            task.cancel()
        assert all(reader.statuses() == operator.sent for reader in readers)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _children(name: str, nap: Nap) -> list[int]:
    assert nap.process is not None
    server = nap.process.pid
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(pid) for pid in children if name in _command(int(pid))]


async def _healthy(session: aiohttp.ClientSession, nap: Nap) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{nap.url}/healthz") as answer:
                    if answer.status == 200:
                        return
