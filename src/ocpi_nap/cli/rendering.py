"""The process of a node that renders what the public reads."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
import uvloop
from fasteners import InterProcessLock
from prometheus_client import Counter

from ocpi_nap.app import DSN_VARIABLE, datex_options, start_log
from ocpi_nap.cli.children import orphaned, stop_on_signal
from ocpi_nap.cli.context import load_settings
from ocpi_nap.feed.datex2.places import european_clocks
from ocpi_nap.feed.datex2.sampling import OfficialSchemas, Sampler, SchemasMissing
from ocpi_nap.feed.editions.bulkfeed import FORMATS, BulkBuilder, edition_name
from ocpi_nap.feed.editions.edition import forget
from ocpi_nap.feed.editions.snapshots import SnapshotBuilder
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments import store as fragment_store
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.publications import public_forms
from ocpi_nap.feed.views import LocationView, TariffView
from ocpi_nap.intake.flushing import flush_regularly
from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.model.issues import Issue
from ocpi_nap.settings import Settings
from ocpi_nap.store.database import Database
from ocpi_nap.store.feed import object_path
from ocpi_nap.waiting import happens, meanwhile

log = logging.getLogger(__name__)

_KEPT_OUT = Counter("ocpi_nap_datex2_kept_out_total", "Objects kept out of a DATEX II publication: they would break it", ["publication"])


def _lock(settings: Settings) -> InterProcessLock:
    settings.feed_dir.mkdir(parents=True, exist_ok=True)
    return InterProcessLock(settings.feed_dir / "renderer.lock")


def prepare(settings: Settings) -> None:
    """Before the processes of a node start: throw away fragments that a crash of the machine may have spoilt."""
    lock = _lock(settings)
    if lock.acquire(blocking=False):
        try:
            fragment_store.prepare(settings.feed_dir / "fragments")
        finally:
            lock.release()


def run_feed() -> None:
    """Render until told to stop; where another node has the same data folder, that one does it."""
    settings = load_settings()
    start_log(settings)
    os.nice(10)  # on a busy machine taking in comes first
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_feed(settings, os.environ[DSN_VARIABLE]))


def _report(issues: IssueLog, view: LocationView | TariffView, publication: str, message: str) -> None:
    """An object that is kept out of a DATEX II publication is an issue of its platform (AFIR-FMT-01)."""
    _KEPT_OUT.labels(publication).inc()
    row = view.row
    kind = "locations" if isinstance(view, LocationView) else "tariffs"
    issue = Issue(publication, "not_datex2", f"kept out of the publication: {message}"[:255])
    issues.add(row.platform_id, f"{kind}/{row.country_code}/{row.party_id}/{row.id}", [issue])


async def _sampling(
    settings: Settings, db: Database, store: fragment_store.FragmentStore, forms: Sequence[Form[Any]], issues: IssueLog, stop: asyncio.Event
) -> None:
    """Hold samples against the official schemas where they are given; what is not valid is an issue of its platform."""
    if settings.datex_schemas is None:
        return

    async def found(form: Form[Any], pk: int, message: str) -> None:
        log.error("row %d is not valid in %s: %s", pk, form.name, message)
        named = await object_path(db, form.rows, pk)
        if named is not None:
            issues.add(*named, [Issue(form.name, "not_datex2", f"not valid by the official schema: {message}"[:255])])

    try:
        schemas = OfficialSchemas(settings.datex_schemas)
    except SchemasMissing as error:
        log.error("DATEX II is not checked against the official schemas: %s", error)
        return
    await Sampler(store, forms, schemas, found).run(stop)


async def _watch_clocks(renderer: Renderer, stop: asyncio.Event) -> None:
    """DATEX II gives time zones as offsets: all are made again within a minute of a change of clocks."""
    known = european_clocks()
    while not await happens(stop, within=60):
        if european_clocks() != known:
            with suppress(psycopg.Error):
                await renderer.forget_clocks()
                known = european_clocks()


async def _feed(settings: Settings, dsn: str) -> None:
    stop, lock = stop_on_signal(), _lock(settings)
    async with meanwhile(orphaned(os.getppid(), stop)):
        while not lock.acquire(blocking=False):
            if await happens(stop, within=1):
                return
        try:
            await _render(settings, dsn, stop)
        finally:
            lock.release()


async def _render(settings: Settings, dsn: str, stop: asyncio.Event) -> None:
    folder = settings.feed_dir / "fragments"
    fragment_store.prepare(folder)
    db = await Database.open(dsn, max_size=4)
    store = fragment_store.FragmentStore.open(folder, writable=True)
    try:
        issues = IssueLog(db)
        forms = public_forms(datex_options(settings), partial(_report, issues))
        renderer = Renderer(
            db, store, forms, environments=settings.environments, change_days=settings.change_days,
            referenced_only=settings.tariffs == "referenced",
        )  # fmt: skip
        editions = settings.feed_dir / "snapshots"
        forget(editions, {*(form.name for form in forms), *(edition_name(kind) for kind in FORMATS)})
        snapshots = SnapshotBuilder(db, renderer, editions, seconds=settings.snapshot_seconds)
        bulk = BulkBuilder(db, renderer, folder, editions)
        sampling = _sampling(settings, db, store, forms, issues, stop)
        watching = (sampling, _watch_clocks(renderer, stop))
        await asyncio.gather(renderer.run(stop), snapshots.run(stop), bulk.run(stop), flush_regularly(stop, issues.flush), *watching)
    finally:
        store.close()
        fragment_store.close(folder)
        await db.close()
