"""The work nobody waits for: crawls when they are due, repairs after pushes, clearing old changes (R130, D6).

PgQueuer carries what is due; each platform's next time lives in our own table, so that any node can take the next one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import psycopg
from pgqueuer import PgQueuer, PsycopgDriver, Queries
from pgqueuer.models import Job

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.store import events, locks
from ocpi_nap.store.activity import count_operators, forget_old_jobs, forget_old_pushes
from ocpi_nap.store.bounds import keep_bounded
from ocpi_nap.store.crawls import put_off_full, take_due
from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.registry import end_publication
from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)

_PARALLEL = 4
"""Platforms crawled at once by one node, those apart that are slow."""
_SLOW_AFTER = 300.0
"""Seconds after which a crawl is a slow one: it waits for its platform most of the time, and the others no longer for it (R200)."""
_MOST_SLOW = 32
_MOST_REPAIRS = 1000
"""Repairs of one platform that wait; what is over that, the next full pull brings."""
_REPAIRS_AN_HOUR = 1000
"""Of one platform that a process queues: each leaves notes in the database, and where more is unknown a pull is what helps."""
_ROUNDS_A_MINUTE = 60
_PATIENCE = 5.0
"""Seconds for jobs to end when the process shall."""


class CrawlJob(msgspec.Struct, frozen=True):
    """A pull that is due."""

    platform_id: int
    full: bool


class RepairJob(msgspec.Struct, frozen=True):
    """One Location to fetch."""

    platform_id: int
    address: NodeKey


class RotateJob(msgspec.Struct, frozen=True):
    """A platform whose tokens are to be renewed."""

    platform_id: int


class TaskJob(msgspec.Struct, frozen=True):
    """What somebody asked for in the console (`intake.tasks`)."""

    task_id: int


class JobHandlers(Protocol):
    """What is done when the queued jobs are due (`intake.handlers`)."""

    async def crawl(self, job: CrawlJob) -> None: ...
    async def repair(self, job: RepairJob) -> None: ...
    async def rotate(self, job: RotateJob) -> None: ...
    async def task(self, job: TaskJob) -> None: ...
    async def rotations_due(self) -> list[int]:
        """Platforms whose tokens are to be renewed."""
        ...


async def ensure_queue(connection: Conn) -> None:
    """Install PgQueuer's tables where they are missing, one process at a time."""
    queries = Queries(PsycopgDriver(connection))
    if await queries.has_table("pgqueuer"):
        return
    async with locks.held(connection, locks.JOB_QUEUE, wait=True):
        if not await queries.has_table("pgqueuer"):
            await queries.install()


async def connect(dsn: str) -> Conn:
    """A connection for PgQueuer, its tables installed."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    await ensure_queue(connection)
    return connection


class RepairQueue:
    """Queues the pull of a single Location; many pushes to the same unknown one queue it once (D6)."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._queued: Counter[int] = Counter()
        self._until = time.monotonic() + 3600

    async def __call__(self, platform_id: int, address: NodeKey) -> None:
        """Queue the repair; a failure is logged, since the next full pull heals the same."""
        if time.monotonic() > self._until:
            self._queued, self._until = Counter(), time.monotonic() + 3600
        self._queued[platform_id] += 1
        if self._queued[platform_id] > _REPAIRS_AN_HOUR:
            return
        job = RepairJob(platform_id, NodeKey(address.country_code.upper(), address.party_id.upper(), address.id))
        name = f"repair/{platform_id}/{job.address.country_code}/{job.address.party_id}/{job.address.id}"
        try:
            async with self._db.connection() as conn:
                await _enqueue(conn, "repair", job, name, priority=1)
        except Exception:
            log.exception("the repair of location %s of platform %d could not be queued", address.id, platform_id)


def next_due(settings: dict[str, Any], full: bool) -> timedelta:
    """The interval of the platform with ±10 % jitter (R130)."""
    parsed = msgspec.convert(settings, PlatformSettings)
    minutes = parsed.full_interval_minutes if full else parsed.delta_interval_minutes
    return timedelta(minutes=max(1, minutes) * random.uniform(0.9, 1.1))


class Crawls:
    """Lets a crawl that takes long go on beside the queue, so that the next platform has its turn (R200)."""

    def __init__(self, crawl: Callable[[CrawlJob], Awaitable[None]], *, slow_after: float = _SLOW_AFTER) -> None:
        self._crawl, self._slow_after = crawl, slow_after
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, job: CrawlJob) -> None:
        """Returns when the crawl is over, or is a slow one."""
        task = asyncio.create_task(self._guarded(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        patience = self._slow_after if len(self._running) <= _MOST_SLOW else None
        done, _ = await asyncio.wait({task}, timeout=patience)
        if not done:
            log.info("the pull of platform %d is a slow one: others are pulled meanwhile", job.platform_id)

    async def _guarded(self, job: CrawlJob) -> None:
        try:
            await self._crawl(job)
        except Exception:
            log.exception("the pull of platform %d failed", job.platform_id)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class Repairs:
    """One repair after another for each platform: one that answers slowly holds up none but its own (R200)."""

    def __init__(self, repair: Callable[[RepairJob], Awaitable[None]]) -> None:
        self._repair = repair
        self._waiting: dict[int, deque[RepairJob]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def take(self, job: RepairJob) -> None:
        """Do it when its turn comes."""
        waiting = self._waiting.get(job.platform_id)
        if waiting is None:
            self._waiting[job.platform_id] = deque([job])
            task = asyncio.create_task(self._work(job.platform_id))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        elif len(waiting) < _MOST_REPAIRS:
            waiting.append(job)

    async def _work(self, platform_id: int) -> None:
        waiting = self._waiting[platform_id]
        try:
            while waiting:
                try:
                    await self._repair(waiting.popleft())
                except Exception:
                    log.exception("a repair failed")
        finally:
            del self._waiting[platform_id]

    async def close(self) -> None:
        """End what is under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def run_jobs(db: Database, dsn: str, stop: asyncio.Event, handlers: JobHandlers, *, change_days: int) -> None:
    """Work until ``stop`` is set: hand out what is due every second, and run queued jobs. Without the database it waits for it."""
    counting = asyncio.create_task(_count(db, stop))
    while not stop.is_set():
        try:
            await _run_queue(db, dsn, stop, handlers, change_days)
        except Exception as error:  # whatever PgQueuer makes of a connection that broke: it does not connect again by itself
            log.warning("the queue of jobs was interrupted: %s", error or type(error).__name__)
            await happens(stop, within=1)
    await counting


async def _run_queue(db: Database, dsn: str, stop: asyncio.Event, handlers: JobHandlers, change_days: int) -> None:
    """Until ``stop``, or an error of the connection on which PgQueuer works."""
    connection = await connect(dsn)
    queuer = PgQueuer(PsycopgDriver(connection))

    crawls, repairs = Crawls(handlers.crawl), Repairs(handlers.repair)

    @queuer.entrypoint("crawl", concurrency_limit=_PARALLEL)
    async def _crawl(job: Job) -> None:
        await crawls.run(msgspec.json.decode(job.payload or b"", type=CrawlJob))

    @queuer.entrypoint("repair", concurrency_limit=_PARALLEL)
    async def _repair(job: Job) -> None:
        repairs.take(msgspec.json.decode(job.payload or b"", type=RepairJob))

    @queuer.entrypoint("rotate", concurrency_limit=1)
    async def _rotate(job: Job) -> None:
        await handlers.rotate(msgspec.json.decode(job.payload or b"", type=RotateJob))

    @queuer.entrypoint("task", concurrency_limit=_PARALLEL)
    async def _task(job: Job) -> None:
        await handlers.task(msgspec.json.decode(job.payload or b"", type=TaskJob))

    worker = asyncio.create_task(queuer.run(dequeue_timeout=timedelta(seconds=1)))
    scheduling = asyncio.create_task(_schedule(db, stop, handlers, change_days))
    try:
        await asyncio.wait({worker, scheduling}, return_when=asyncio.FIRST_COMPLETED)
        if worker.done() and not stop.is_set():
            await worker
    finally:
        scheduling.cancel()
        queuer.shutdown.set()
        await asyncio.wait({worker, scheduling}, timeout=_PATIENCE)
        worker.cancel()
        await asyncio.gather(worker, scheduling, return_exceptions=True)
        await crawls.close()
        await repairs.close()
        await connection.close()


async def _schedule(db: Database, stop: asyncio.Event, handlers: JobHandlers, change_days: int) -> None:
    round_number = 0
    while not stop.is_set():
        try:
            await _hand_out(db, handlers, round_number, change_days)
            round_number += 1
        except psycopg.Error as error:
            log.warning("the schedule could not be read: %s", error)
        await happens(stop, within=1)


async def _count(db: Database, stop: asyncio.Event) -> None:
    """Count what operators have, at most a fiftieth of the time."""
    while not stop.is_set():
        started = time.monotonic()
        try:
            await count_operators(db)
        except psycopg.Error as error:
            log.warning("what operators have could not be counted: %s", error)
        await happens(stop, within=max(30.0, 50 * (time.monotonic() - started)))


async def _hand_out(db: Database, handlers: JobHandlers, round_number: int, change_days: int) -> None:
    """Every second what is due to be crawled; rarer things every minute and every hour."""
    async with db.transaction() as conn:
        for platform_id, full in await take_due(conn, next_due):
            queued = await _enqueue(conn, "crawl", CrawlJob(platform_id, full), f"crawl/{platform_id}/{full}")
            if full and not queued:  # the one of an earlier registration goes on still
                await put_off_full(conn, platform_id)
    if round_number % _ROUNDS_A_MINUTE == 0:
        await end_publication(db, datetime.now(UTC) - timedelta(minutes=3))
        due = await handlers.rotations_due()
        async with db.connection() as conn:
            for platform_id in due:
                await _enqueue(conn, "rotate", RotateJob(platform_id), f"rotate/{platform_id}")
    if round_number % (10 * _ROUNDS_A_MINUTE) == 0:
        await keep_bounded(db)
    if round_number % (60 * _ROUNDS_A_MINUTE) == 0:
        await forget_old_pushes(db)
        await forget_old_jobs(db)
        await events.clear(db, change_days)


async def _enqueue(conn: Conn, entrypoint: str, job: msgspec.Struct, once: str, *, priority: int = 0) -> bool:
    """Queue a job; False when the same one (``once``) waits or runs already."""
    queries = Queries(PsycopgDriver(conn))
    added = await queries.enqueue(entrypoint, msgspec.json.encode(job), priority, dedupe_key=once[:250], on_conflict="skip")
    return added != [None]
