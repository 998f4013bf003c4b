"""A pull ends with the connection that it works over (R106), and a full one that found another in its way comes again (R123)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from ocpi_nap.intake import jobs
from ocpi_nap.intake.handlers import RegistryJobHandlers
from ocpi_nap.intake.jobs import CrawlJob, RepairJob
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.registry.leaving import end_connection
from ocpi_nap.store import locks
from tests.e2e.cpo import location
from tests.intake.sender import Sender, by_offset, sender
from tests.interface import Ocpi
from tests.versions import each

SOON = "SELECT full_pull, due_at < now() + interval '2 minutes' FROM schedule ORDER BY 1"


class Nothing:
    """No work at all."""

    async def rotations_due(self) -> list[int]:
        return []

    async def crawl(self, job: CrawlJob) -> None: ...
    async def repair(self, job: RepairJob) -> None: ...
    async def rotate(self, job: jobs.RotateJob) -> None: ...
    async def task(self, job: jobs.TaskJob) -> None: ...



async def _leaves(ocpi: Ocpi, cpo: Sender) -> None:
    await end_connection(ocpi.registry, await cpo.platform(), "unregistered-by-peer", "DELETE")


async def _renews(ocpi: Ocpi, cpo: Sender) -> None:
    await ocpi.db.execute("UPDATE platform SET outbound_c = %s", (ocpi.registry.vault.seal("another"),))


async def _is_paused(ocpi: Ocpi, cpo: Sender) -> None:
    await ocpi.registry.set_paused(cpo.name, True)


async def _is_removed(ocpi: Ocpi, cpo: Sender) -> None:
    await ocpi.registry.remove(cpo.name)


Act = Callable[[Ocpi, Sender], Awaitable[None]]
ENDS: dict[str, tuple[Act, str]] = {
    "they leave": (_leaves, "the registration ended"), "tokens are renewed": (_renews, "the tokens were renewed"),
    "it is paused": (_is_paused, "the platform was paused"), "it is removed": (_is_removed, "the platform was removed"),
}  # fmt: skip


@pytest.mark.holds("R106", "R126")
@pytest.mark.parametrize(("act", "reason"), ENDS.values(), ids=list(ENDS))
@each
async def test_a_pull_that_is_under_way(ocpi: Ocpi, version: str, act: Act, reason: str) -> None:
    """Nothing more is asked, what comes then is not taken, nothing is withdrawn, and it is no fault of the platform."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        await cpo.pull()
        cpo.locations = [location(version, n) for n in range(2, 8)]
        cpo.asked.clear()

        async def answer(request: web.Request, items: list[Any]) -> web.Response:
            if request.path == "/locations":
                await act(ocpi, cpo)
            return by_offset(2)(request, items)

        cpo.handler = answer
        report = (await cpo.pull())["locations"]
        assert not report.complete and report.error is not None and reason in report.error
        assert report.counts.new == report.counts.withdrawn == 0
        assert len([request for request in cpo.asked if request.path == "/locations"]) == 1
        rows = await ocpi.db.fetch_all("SELECT state, last_error->>'step' FROM platform")
        assert rows in ([], [("registered", None)], [("unregistered-by-peer", "unregistered")])
        assert await ocpi.db.fetch_all("SELECT 1 FROM location WHERE id <> 'L1' OR withdrawn_at IS NOT NULL") == []


@pytest.mark.holds("R129", "R80")
@each
async def test_an_old_token_is_refused_meanwhile(ocpi: Ocpi, version: str) -> None:
    """401 to the token that was just renewed says nothing of the new one."""
    async with sender(ocpi, version) as cpo:

        async def answer(request: web.Request, items: list[Any]) -> web.Response:
            await _renews(ocpi, cpo)
            return web.Response(status=401)

        cpo.handler = answer
        assert not (await cpo.pull())["locations"].complete
        assert (await cpo.platform()).state == "registered" and (await cpo.platform()).last_error is None


@pytest.mark.holds("R130")
@each
async def test_a_paused_platform(ocpi: Ocpi, version: str) -> None:
    """Nothing of it is asked by itself, no single Location either, nor what was queued before; on command it is pulled all the same."""
    async with sender(ocpi, version) as cpo:
        cpo.locations = [location(version, 1)]
        await ocpi.db.execute("UPDATE platform SET outbound_c = %s, paused = true", (ocpi.registry.vault.seal("token-c"),))
        platform = await cpo.platform()
        await RegistryJobHandlers(ocpi.registry).repair(RepairJob(platform.id, NodeKey("FI", "ABC", "L1")))
        await RegistryJobHandlers(ocpi.registry).crawl(CrawlJob(platform.id, True))
        assert cpo.asked == []
        assert (await cpo.pull())["locations"].complete


@pytest.mark.holds("R123", "R130", "R85")
@each
async def test_a_full_pull_with_another_in_its_way(ocpi: Ocpi, version: str) -> None:
    """It is due again in a minute, not a day later; a delta can wait for its next turn."""
    async with sender(ocpi, version) as cpo:
        await ocpi.db.execute("UPDATE platform SET outbound_c = %s", (ocpi.registry.vault.seal("token-c"),))
        platform, work = await cpo.platform(), RegistryJobHandlers(ocpi.registry)
        await ocpi.db.execute("INSERT INTO schedule SELECT id, f, now() + interval '1 day' FROM platform, (VALUES (true), (false)) AS v(f)")
        async with ocpi.db.connection() as conn:
            await conn.execute("SELECT pg_advisory_lock(%s, %s)", (locks.PULL, platform.id))
            for full in (True, False):
                await work.crawl(CrawlJob(platform.id, full))
            await conn.execute("SELECT pg_advisory_unlock(%s, %s)", (locks.PULL, platform.id))
        assert cpo.asked == []
        assert await ocpi.db.fetch_all(SOON) == [(False, False), (True, True)]


@pytest.mark.holds("R85", "R130")
@each
async def test_a_full_pull_while_one_of_before_is_queued(ocpi: Ocpi, version: str) -> None:
    """A new registration's first pull that finds the job of an earlier one: it is due again in a minute."""
    await ocpi.platform(version)
    async with await jobs.connect(ocpi.db.dsn):
        for soon in (False, True):
            await ocpi.db.execute("UPDATE schedule SET due_at = now()")
            await jobs._hand_out(ocpi.db, Nothing(), 1, 7)
            assert await ocpi.db.fetch_all(SOON) == [(False, False), (True, soon)]
        assert await ocpi.db.fetch_all("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'crawl'") == [(2,)]
