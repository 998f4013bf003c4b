"""The work nobody waits for: crawls when they are due, repairs after pushes, clearing old changes (R130, D6).

PgQueuer carries what is due; each platform's next time lives in our own table, so that any node can take the next one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from pgqueuer import PgQueuer, PsycopgDriver, Queries
from pgqueuer.models import Job

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.store import events, locks
from ocpi_nap.store.activity import count_operators, forget_old_jobs, forget_old_pushes
from ocpi_nap.store.crawls import take_due
from ocpi_nap.store.database import Database
from ocpi_nap.store.registry import end_publication

log = logging.getLogger(__name__)

_PARALLEL = 4
"""Platforms crawled at once by one node."""


class CrawlJob(msgspec.Struct, frozen=True):
    platform_id: int
    full: bool


class RepairJob(msgspec.Struct, frozen=True):
    platform_id: int
    address: NodeKey


class RotateJob(msgspec.Struct, frozen=True):
    platform_id: int


class TaskJob(msgspec.Struct, frozen=True):
    """What somebody asked for in the console (`intake.tasks`)."""

    task_id: int


@dataclass(frozen=True)
class Work:
    """What the queued jobs do; given by the composition root."""

    crawl: Callable[[CrawlJob], Awaitable[None]]
    repair: Callable[[RepairJob], Awaitable[None]]
    rotate: Callable[[RotateJob], Awaitable[None]]
    rotations_due: Callable[[], Awaitable[list[int]]]
    """Platforms whose tokens are to be renewed."""
    task: Callable[[TaskJob], Awaitable[None]]


async def ensure_queue(connection: psycopg.AsyncConnection[Any]) -> None:
    """Install PgQueuer's tables where they are missing, one process at a time."""
    queries = Queries(PsycopgDriver(connection))
    if await queries.has_table("pgqueuer"):
        return
    await connection.execute("SELECT pg_advisory_lock(%s)", (locks.JOB_QUEUE,))
    try:
        if not await queries.has_table("pgqueuer"):
            await queries.install()
    finally:
        await connection.execute("SELECT pg_advisory_unlock(%s)", (locks.JOB_QUEUE,))


async def connect(dsn: str) -> psycopg.AsyncConnection[Any]:
    """A connection for PgQueuer, its tables installed."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    await ensure_queue(connection)
    return connection


class RepairQueue:
    """Queues the pull of a single Location; many pushes to the same unknown one queue it once (D6)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, platform_id: int, address: NodeKey) -> None:
        """Queue the repair; a failure is logged, since the next full pull heals the same."""
        job = RepairJob(platform_id, NodeKey(address.country_code.upper(), address.party_id.upper(), address.id))
        name = f"repair/{platform_id}/{job.address.country_code}/{job.address.party_id}/{job.address.id}"
        try:
            async with self._db.connection() as connection:
                await Queries(PsycopgDriver(connection)).enqueue(
                    "repair", msgspec.json.encode(job), 1, dedupe_key=name[:250], on_conflict="skip"
                )
        except Exception:
            log.exception("a repair could not be queued")


def next_due(settings: dict[str, Any], full: bool) -> timedelta:
    """The interval of the platform with ±10 % jitter (R130)."""
    parsed = msgspec.convert(settings, PlatformSettings)
    minutes = parsed.full_interval_minutes if full else parsed.delta_interval_minutes
    return timedelta(minutes=max(1, minutes) * random.uniform(0.9, 1.1))


async def run_jobs(db: Database, dsn: str, stop: asyncio.Event, work: Work, *, change_days: int) -> None:
    """Work until ``stop`` is set: hand out what is due every second, and run queued jobs."""
    connection = await connect(dsn)
    queuer = PgQueuer(PsycopgDriver(connection))

    @queuer.entrypoint("crawl", concurrency_limit=_PARALLEL)
    async def _crawl(job: Job) -> None:
        await work.crawl(msgspec.json.decode(job.payload or b"", type=CrawlJob))

    @queuer.entrypoint("repair", concurrency_limit=_PARALLEL)
    async def _repair(job: Job) -> None:
        await work.repair(msgspec.json.decode(job.payload or b"", type=RepairJob))

    @queuer.entrypoint("rotate", concurrency_limit=1)
    async def _rotate(job: Job) -> None:
        await work.rotate(msgspec.json.decode(job.payload or b"", type=RotateJob))

    @queuer.entrypoint("task", concurrency_limit=_PARALLEL)
    async def _task(job: Job) -> None:
        await work.task(msgspec.json.decode(job.payload or b"", type=TaskJob))

    worker = asyncio.create_task(queuer.run(dequeue_timeout=timedelta(seconds=1)))
    try:
        await _schedule(db, queuer, stop, work, change_days)
    finally:
        queuer.shutdown.set()
        with suppress(asyncio.TimeoutError, Exception):
            await asyncio.wait_for(worker, 5)
        await connection.close()


async def _schedule(db: Database, queuer: PgQueuer, stop: asyncio.Event, work: Work, change_days: int) -> None:
    round_number, counting = 0, asyncio.create_task(_count(db, stop))
    while not stop.is_set():
        try:
            await _hand_out(db, queuer, work, round_number, change_days)
            round_number += 1
        except psycopg.Error as error:
            log.warning("the schedule could not be read: %s", error)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)
    await counting


async def _count(db: Database, stop: asyncio.Event) -> None:
    """Count what operators have, at most a fiftieth of the time."""
    while not stop.is_set():
        started = time.monotonic()
        try:
            await count_operators(db)
        except psycopg.Error as error:
            log.warning("what operators have could not be counted: %s", error)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), max(30.0, 50 * (time.monotonic() - started)))


async def _hand_out(db: Database, queuer: PgQueuer, work: Work, round_number: int, change_days: int) -> None:
    """Every second what is due to be crawled; rarer things every minute and every hour."""
    queries = queuer.qm.queries
    for platform_id, full in await take_due(db, next_due):
        payload = msgspec.json.encode(CrawlJob(platform_id, full))
        await queries.enqueue("crawl", payload, 0, dedupe_key=f"crawl/{platform_id}/{full}", on_conflict="skip")
    if round_number % 60 == 0:
        await end_publication(db, datetime.now(UTC) - timedelta(minutes=3))
        for platform_id in await work.rotations_due():
            payload = msgspec.json.encode(RotateJob(platform_id))
            await queries.enqueue("rotate", payload, 0, dedupe_key=f"rotate/{platform_id}", on_conflict="skip")
    if round_number % 3600 == 0:
        await forget_old_pushes(db)
        await events.clear(db, change_days)
