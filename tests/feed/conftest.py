"""The public API in this process with its renderer, over a fresh database."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ocpi_nap.feed.api import ApiOptions, create_api
from ocpi_nap.feed.editions.bulkfeed import BulkBuilder
from ocpi_nap.feed.editions.snapshots import SnapshotBuilder
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.store.database import Database

PAGED = tuple(form for form in FORMS if form.paged)
"""What most tests serve: DATEX II has tests of its own."""


@asynccontextmanager
async def serving(
    db: Database,
    folder: Path,
    *,
    forms: Sequence[Form[Any]] = PAGED,
    environments: tuple[str, ...] = ("production", "test"),
    seconds: float = 60,
    referenced_only: bool = False,
    options: ApiOptions | None = None,
) -> AsyncIterator[Any]:
    """The application over what a renderer and a builder of snapshots keep in a folder."""
    store, stop = FragmentStore.open(folder / "fragments", writable=True), asyncio.Event()
    renderer = Renderer(db, store, forms, environments=environments, referenced_only=referenced_only)
    snapshots = SnapshotBuilder(db, renderer, folder / "snapshots", seconds=seconds)
    bulk = BulkBuilder(db, renderer, folder / "fragments", folder / "snapshots")
    running = [asyncio.create_task(work.run(stop)) for work in (renderer, snapshots, bulk)]
    try:
        yield create_api(db, folder, options=replace(options or ApiOptions(), bulk_seconds=0, patience=5), forms=forms, store=store)
    finally:
        stop.set()
        await asyncio.gather(*running)
        store.close()


@pytest.fixture
async def app(database: Database, tmp_path: Path) -> AsyncIterator[Any]:
    async with serving(database, tmp_path) as made:
        yield made


Api = Callable[..., Awaitable[Any]]


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """Makes applications, each with a renderer of its own: one more node. Takes the members of ApiOptions."""
    async with AsyncExitStack() as stack:
        made = itertools.count()

        async def make(**options: Any) -> Any:
            folder = tmp_path / f"node-{next(made)}"
            return await stack.enter_async_context(serving(database, folder, options=ApiOptions(**options)))

        yield make


async def settled(db: Database) -> None:
    """Return when no transaction that is older than a change runs any more, also of other tests: only then is the change read."""
    query = "SELECT count(*) FROM change WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())"
    while (await db.fetch_one(query) or (0,))[0]:
        pass
