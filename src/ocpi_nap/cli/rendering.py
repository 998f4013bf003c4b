"""The process of a node that renders what the public reads."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import uvloop
from fasteners import InterProcessLock

from ocpi_nap.app import DSN_VARIABLE
from ocpi_nap.cli.children import orphaned
from ocpi_nap.cli.context import load_settings
from ocpi_nap.feed import fragments
from ocpi_nap.feed.bulkfeed import FORMATS, BulkBuilder, edition_name
from ocpi_nap.feed.editions import forget
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.feed.renderer import Renderer
from ocpi_nap.feed.snapshots import SnapshotBuilder
from ocpi_nap.settings import Settings
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)


def _lock(settings: Settings) -> InterProcessLock:
    settings.feed_dir.mkdir(parents=True, exist_ok=True)
    return InterProcessLock(settings.feed_dir / "renderer.lock")


def prepare(settings: Settings) -> None:
    """Before the processes of a node start: throw away fragments that a crash of the machine may have spoilt."""
    lock = _lock(settings)
    if lock.acquire(blocking=False):
        try:
            fragments.prepare(settings.feed_dir / "fragments")
        finally:
            lock.release()


def run_feed() -> None:
    """Render until told to stop; where another node has the same data folder, that one does it."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_feed(settings, os.environ[DSN_VARIABLE]))


async def _feed(settings: Settings, dsn: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    parent = os.getppid()
    watching = asyncio.create_task(orphaned(parent, stop))
    lock = _lock(settings)
    while not stop.is_set() and not lock.acquire(blocking=False):
        await asyncio.wait([watching], timeout=1)
    if not stop.is_set():
        try:
            await _render(settings, dsn, stop)
        finally:
            lock.release()
    await watching


async def _render(settings: Settings, dsn: str, stop: asyncio.Event) -> None:
    folder = settings.feed_dir / "fragments"
    fragments.prepare(folder)
    db = await Database.open(dsn, max_size=4)
    store = fragments.FragmentStore.open(folder, writable=True)
    try:
        renderer = Renderer(db, store, FORMS, environments=settings.environments, change_days=settings.change_days)
        editions = settings.feed_dir / "snapshots"
        forget(editions, {*(form.name for form in FORMS), *(edition_name(kind) for kind in FORMATS)})
        snapshots = SnapshotBuilder(db, renderer, editions, seconds=settings.snapshot_seconds)
        await asyncio.gather(renderer.run(stop), snapshots.run(stop), BulkBuilder(db, renderer, folder, editions).run(stop))
    finally:
        store.close()
        fragments.close(folder)
        await db.close()
