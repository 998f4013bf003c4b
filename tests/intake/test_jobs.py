"""The queue of jobs: what is due is done, also after the connection it works on broke."""

from __future__ import annotations

import asyncio

from ocpi_nap.intake.jobs import CrawlJob, RepairJob, RotateJob, TaskJob, connect, run_jobs
from tests.interface import Ocpi

OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'ocpi-nap'"
)
"""Ends the connections that are not of the pool."""


class Noted:
    """Work that only notes what it is asked for."""

    def __init__(self) -> None:
        self.crawls: asyncio.Queue[CrawlJob] = asyncio.Queue()

    async def crawl(self, job: CrawlJob) -> None:
        self.crawls.put_nowait(job)

    async def repair(self, job: RepairJob) -> None:
        raise NotImplementedError

    async def rotate(self, job: RotateJob) -> None:
        raise NotImplementedError

    async def task(self, job: TaskJob) -> None:
        raise NotImplementedError

    async def rotations_due(self) -> list[int]:
        return []


async def test_notes_of_old_jobs_are_forgotten(ocpi: Ocpi) -> None:
    async with await connect(ocpi.db.dsn):
        note = (
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint)"
            " VALUES (now() - %s * interval '1 day', 1, 'successful', 0, %s)"
        )
        for age, name in ((6, "new"), (8, "old")):
            await ocpi.db.execute(note, (age, name))
    stop = asyncio.Event()
    running = asyncio.create_task(run_jobs(ocpi.db, ocpi.db.dsn, stop, Noted(), change_days=7))
    async with asyncio.timeout(60):
        while len(kept := await ocpi.db.fetch_all("SELECT entrypoint FROM pgqueuer_log")) > 1:
            pass
    assert kept == [("new",)]
    stop.set()
    await asyncio.wait_for(running, 30)


async def test_a_broken_connection(ocpi: Ocpi) -> None:
    """Crawls go on over a new one."""
    await ocpi.platform("2.2.1")
    work, stop = Noted(), asyncio.Event()
    running = asyncio.create_task(run_jobs(ocpi.db, ocpi.db.dsn, stop, work, change_days=7))
    for turn in range(2):
        async with asyncio.timeout(60):
            assert {(await work.crawls.get()).full, (await work.crawls.get()).full} == {True, False}, turn
        assert await ocpi.db.fetch_all(OTHERS)
        await ocpi.db.execute("UPDATE schedule SET due_at = now()")
    stop.set()
    await asyncio.wait_for(running, 30)
