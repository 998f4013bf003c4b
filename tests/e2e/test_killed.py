"""Processes that are killed: each is started again, and what it did goes on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.conftest import Nap
from tests.e2e.cpo import Cpo
from tests.e2e.reading import API, count, first_over_websocket, read


async def test_a_killed_renderer(nap: Nap) -> None:
    """It is started again and goes on; meanwhile what was rendered is served; the snapshots are listed."""
    cpo = await Cpo("2.3.0", count=2).start()
    await nap.onboard(cpo)
    async with asyncio.timeout(60):
        while await count(nap, "locations", "features") < 2:
            pass
        first = nap.child("feed")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        status, _, body = await read(nap, f"{API}/locations")
        assert (status, len(json.loads(body)["features"])) == (200, 2)
        assert (await cpo.push("PATCH", "FI/ABC/L1/U1", {"status": "CHARGING", "last_updated": "2026-03-01T00:00:00Z"}))[0] == 200
        for path in ("locations/statuses", "locations/statuses/all"):
            while b"CHARGING" not in (await read(nap, f"{API}/{path}"))[2]:
                pass
    assert nap.child("feed") not in (None, first)
    listed = {row["name"]: row for row in json.loads(await nap.cli("snapshots", "list", "--json"))}
    assert (listed["locations-1"]["rows"], listed["locations-1"]["held_rows"]) == (2, None)
    assert "locations-1: 2 rows" in await nap.cli("snapshots", "list")
    assert "will be published" in await nap.cli("snapshots", "release")
    await cpo.stop()


class _Halting(Cpo):
    """Keeps the second page of its locations waiting until it is let go."""

    def __init__(self) -> None:
        super().__init__("2.2.1", count=5, page=2)
        self.halted, self.go = asyncio.Event(), asyncio.Event()

    async def _list(self, request: web.Request) -> web.Response:
        if request.path == "/locations" and request.query.get("offset", "0") != "0":
            self.halted.set()
            await self.go.wait()
        return await super()._list(request)


async def test_a_killed_background_process(nap: Nap) -> None:
    """A pull that somebody started in the console is taken over, ends, and the console tells what became of it."""
    cpo = await _Halting().start()
    await nap.cli(
        "platform", "add", "acme", "--versions-url", f"{cpo.url}/versions", "--token", cpo.token_a, "--party-id", "PLT",
        "--country-code", "FI", "--operator", "FI*ABC;Abc Lataus",
    )  # fmt: skip
    await nap.cli("platform", "pause", "acme")
    await nap.cli("platform", "register", "acme")
    password = re.findall(r"Password: (\S+)", await nap.cli("user", "add", "maija", "--role", "operator"))[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:

        async def page(path: str, **form: str) -> tuple[str, str]:
            """A page, or the answer to a form of it; and whether the task is over."""
            async with session.get(f"{nap.url}/console/{path}") as answer:
                text = await answer.text()
            if form:
                form["csrf"] = re.findall(r'name="csrf" value="([^"]+)"', text)[0]
                async with session.post(f"{nap.url}/console/{form.pop('to')}", data=form) as answer:
                    assert answer.status == 200, await answer.text()
                    return await answer.text(), ""
            return text, answer.headers.get("X-Poll", "")

        await page("sign-in", to="sign-in", name="maija", password=password)
        await page("platforms/acme", to="platforms/acme/pull", full="1")
        async with asyncio.timeout(150):
            await cpo.halted.wait()
            first = nap.child("jobs")
            assert first is not None
            assert ">running<" in (await page("platforms/acme/task"))[0]
            os.kill(first, signal.SIGKILL)
            cpo.go.set()
            told, over = "", ""
            while over != "done":
                told, over = await page("platforms/acme/task")
        assert "ended in the middle; it is done anew" in told and ">done<" in told
        assert "Locations: <strong>5</strong> of 5" in told
        assert nap.child("jobs") not in (None, first)
        assert await count(nap, "locations", "features") == 5
        history = (await page("platforms/acme/crawls"))[0]
        assert ">complete<" in history and "its process ended in the middle" in history and ">running<" not in history
    await cpo.stop()


def _process(*parts: str) -> int:
    """The process whose command line has all these parts."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            if all(part in words for part in parts):
                return int(process.name)
    raise AssertionError(parts)


@pytest.mark.timeout(300)
async def test_killed_embedded_services(nap: Nap) -> None:
    """PostgreSQL and the broker that come with the program are started again, and everything goes on over them."""
    nap.stop()
    del nap.environment["OCPI_NAP_DATABASE_URL"]
    nap.start()
    folder = Path(nap.environment["OCPI_NAP_DATA_DIR"])
    cpo = await Cpo("2.2.1", count=1).start()
    await nap.onboard(cpo)
    async with asyncio.timeout(90):
        while not await count(nap, "locations", "features"):
            pass
        postgres, broker = int((folder / "postgres/postmaster.pid").read_text().split()[0]), _process("nats-server", str(folder))
        os.kill(postgres, signal.SIGKILL)
        os.kill(broker, signal.SIGKILL)
        message = asyncio.create_task(_first_again(nap))
        for day in range(1, 29):  # until one push comes through; the next ones, until the listener is there
            while True:
                body = {"status": ("CHARGING", "BLOCKED")[day % 2], "last_updated": f"2026-03-{day:02d}T00:00:00Z"}
                if (await cpo.push("PATCH", "FI/ABC/L0/U0", body))[0] == 200:
                    break
            if (await asyncio.wait({message}, timeout=1))[0]:
                break
    assert (await message)[0] == "status-v1/FI/ABC/L0/FI*ABC*E0"
    log = nap.log.read_text()
    assert all(f"the embedded {name} ended by itself" in log for name in ("PostgreSQL", "MQTT broker"))
    await cpo.stop()


async def _first_again(nap: Nap) -> tuple[str, dict[str, str]]:
    """The first message, whatever breaks before it."""
    while True:
        with suppress(aiohttp.ClientError, TypeError, AssertionError, asyncio.IncompleteReadError):
            return await first_over_websocket(nap)
        await asyncio.sleep(0)
