"""When the editions of all publications are made, in the process that renders; how they are made is in `maker`."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import lmdb
import psycopg
from prometheus_client import Counter

from ocpi_nap.feed.editions.maker import EditionMaker
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.store.database import Database
from ocpi_nap.waiting import happens, meanwhile

log = logging.getLogger(__name__)

CHANNEL = "snapshot"
"""Of PostgreSQL: a worker asks its node for editions. Payload: name of the store's filling, form name."""
_BUILDS = Counter("ocpi_nap_snapshot_builds_total", "Editions made (built), held back or failed", ["form", "result"])


class SnapshotBuilder:
    """Makes an edition of each form when something changed: every so many seconds, or when a worker asks for it."""

    def __init__(self, db: Database, renderer: Renderer, folder: Path, *, seconds: float = 60) -> None:
        self._db = db
        self._renderer = renderer
        self.store = renderer.store
        self._maker = EditionMaker(self.store, folder)
        self._seconds = seconds
        self._asked: set[str] = set()
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        for form in renderer.forms:  # Prometheus sees no increase in a series that begins with 1
            for result in ("built", "held", "failed"):
                _BUILDS.labels(form.name, result)

    async def run(self, stop: asyncio.Event) -> None:
        """Build at the start, then when it is time, until told to stop."""
        due = 0.0
        async with meanwhile(self._watch()):
            while not stop.is_set():
                names, self._asked = self._asked, set()
                self._wanted.clear()
                if time.monotonic() >= due:
                    due = time.monotonic() + self._seconds
                    names = {form.name for form in self._renderer.forms}
                await self._try(names)
                await happens(self._wanted, stop, within=max(0.0, due - time.monotonic()))

    async def _watch(self) -> None:
        async for payload in self._db.listen(CHANNEL):
            filling, _, name = payload.partition(" ")
            if not payload:  # connected: somebody may have asked before
                self._asked.update(form.name for form in self._renderer.forms)
            elif filling == self._filling():
                self._asked.add(name)
            self._wanted.set()

    def _filling(self) -> str:
        with self.store.reading() as reading:
            return reading.state.filling

    async def _try(self, names: set[str]) -> None:
        try:
            await self.build(names)
        except (psycopg.Error, OSError, lmdb.Error) as error:
            log.warning("snapshots could not be made: %s", error)

    async def build(self, names: set[str] | None = None) -> None:
        """Bring the editions of some forms, or of all, up to date; those of the others are served as before when one fails."""
        async with self._turn:
            forms = [form for form in self._renderer.forms if names is None or form.name in names]
            await self._renderer.catch_up()
            rendered = None if all(form.paged for form in forms) else await self._renderer.refresh()
            for form in forms:
                try:
                    result = await asyncio.to_thread(self._maker.make, form, rendered)
                except Exception:
                    log.exception("the snapshot of %s could not be made; the last one is still served", form.name)
                    result = "failed"
                if result is not None:
                    _BUILDS.labels(form.name, result).inc()
