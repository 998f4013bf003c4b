"""Makes the editions of all publications from the node's own fragments, in the process that renders.

Any node makes the same bytes of the same data: nothing in them comes from a clock. What changed is rendered, the rest is a copy and a
compression, a chunk at a time, so that the memory does not grow with the network.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import psycopg
from prometheus_client import Counter, Gauge
from psycopg_pool import PoolTimeout

from ocpi_nap.feed.editions import Edition, EditionWriter, Held, describe, described
from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.fragments import FragmentStore, Reading, key_operator, key_party
from ocpi_nap.feed.pages import from_micros, grouped
from ocpi_nap.feed.renderer import Renderer
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)

CHANNEL = "snapshot"
"""Of PostgreSQL: a worker asks its node for editions. Payload: name of the store's filling, form name."""
_BUILDS = Counter("ocpi_nap_snapshot_builds_total", "Editions made (built), held back or failed", ["form", "result"])
_BUILT_AT = Gauge("ocpi_nap_snapshot_built_at", "Unix time when the edition that is served was made", ["form"], multiprocess_mode="livemax")
_SECONDS = Gauge("ocpi_nap_snapshot_seconds", "CPU time that its making took", ["form"], multiprocess_mode="livemax")
_ROWS = Gauge("ocpi_nap_snapshot_rows", "Rows in it", ["form"], multiprocess_mode="livemax")
_HELD = Gauge("ocpi_nap_snapshot_held", "1: a newer edition is held back because it would lose too many locations", ["form"],
              multiprocess_mode="livemax")  # fmt: skip

MOST_LOST = 0.1
"""Share of the locations that an edition may lose …"""
FEW = 10
"""… unless they are no more than this."""
AGREES_AFTER = 3600.0
"""Seconds after which a build that would still lose them is believed."""


class Press:
    """Makes editions, in a thread."""

    def __init__(self, store: FragmentStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def make(self, form: Form[Any], rendered: tuple[int, int] | None = None) -> str | None:
        """Make the edition of a form if something in it changed: `built`, `held` or None. ``rendered`` is how far the change feed
        was read when nothing waited to be rendered: it may be read further by now, which forms without pages do not show yet."""
        with self._store.reading() as reading:
            before = described(self._folder, form.name)
            state = reading.state
            revision = (state.filling, state.revisions.get(form.name))
            reached = state.position if form.paged or rendered is None else rendered
            if before is not None and (before.filling, before.revision) == revision and not before.held:
                if before.position != reached:
                    before.position = reached
                    describe(self._folder, before)
                return None
            rows, latest, operators = _survey(reading, form)
            held = judge(form, before, rows, state.releases, time.time())
            _HELD.labels(form.name).set(0 if held is None else 1)
            if held is not None and before is not None:
                self._hold(before, held)
                return "held"
            edition = self._write(reading, form, rows, latest, operators, reached)
        describe(self._folder, edition)
        _BUILT_AT.labels(form.name).set(edition.built_at)
        _SECONDS.labels(form.name).set(edition.seconds)
        _ROWS.labels(form.name).set(edition.rows)
        return "built"

    def _hold(self, before: Edition, held: Held) -> None:
        if before.held is None:
            log.error(
                "the snapshot of %s is held back: %d rows instead of %d. `ocpi-nap snapshots release` publishes it, or it is published"
                " when it still holds no more in an hour", before.name, held.rows, before.rows,
            )  # fmt: skip
        describe(self._folder, msgspec.structs.replace(before, held=held))

    def _write(
        self, reading: Reading, form: Form[Any], rows: int, latest: int, operators: Sequence[str], reached: tuple[int, int]
    ) -> Edition:
        began, state = time.thread_time(), reading.state
        changed = max(latest, state.floor)
        envelope = Envelope(
            modified_at=from_micros(latest), published_at=from_micros(changed), groups=tuple(operators), pagination={"limit": rows}
        )
        with EditionWriter(self._folder, form.name) as writer:
            writer.write(form.join(envelope, grouped(_published(reading, form))))
            tag, files = writer.finish()
        return Edition(
            name=form.name, media_type=form.media_type, filling=state.filling, revision=state.revisions.get(form.name, 0),
            position=reached, etag=tag, length=writer.length, modified=changed, rows=rows, built_at=time.time(),
            seconds=time.thread_time() - began, files=files,
        )  # fmt: skip


class SnapshotBuilder:
    """Makes an edition of each form when something changed: every so many seconds, or when a worker asks for it."""

    def __init__(self, db: Database, renderer: Renderer, folder: Path, *, seconds: float = 60) -> None:
        self._db = db
        self._renderer = renderer
        self.store = renderer.store
        self._press = Press(self.store, folder)
        self._seconds = seconds
        self._asked: set[str] = set()
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Build at the start, then when it is time, until told to stop."""
        watcher = asyncio.create_task(self._watch())
        ending = asyncio.create_task(stop.wait())
        due = 0.0
        try:
            while not stop.is_set():
                names, self._asked = self._asked, set()
                self._wanted.clear()
                if time.monotonic() >= due:
                    due = time.monotonic() + self._seconds
                    names = {form.name for form in self._renderer.forms}
                await self._try(names)
                asked = asyncio.create_task(self._wanted.wait())
                await asyncio.wait({asked, ending}, timeout=max(0.0, due - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
        finally:
            for task in (watcher, ending):
                task.cancel()
            await asyncio.gather(watcher, ending, return_exceptions=True)

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
        except (psycopg.Error, PoolTimeout, OSError, lmdb.Error) as error:
            log.warning("snapshots could not be made: %s", error)

    async def build(self, names: set[str] | None = None) -> None:
        """Bring the editions of some forms, or of all, up to date; those of the others are served as before when one fails."""
        async with self._turn:
            forms = [form for form in self._renderer.forms if names is None or form.name in names]
            await self._renderer.catch_up()
            rendered = None if all(form.paged for form in forms) else await self._renderer.refresh()
            for form in forms:
                try:
                    result = await asyncio.to_thread(self._press.make, form, rendered)
                except Exception:
                    log.exception("the snapshot of %s could not be made; the last one is still served", form.name)
                    result = "failed"
                if result is not None:
                    _BUILDS.labels(form.name, result).inc()


def _published(reading: Reading, form: Form[Any]) -> Iterator[tuple[bytes, bytes]]:
    for key, _, _, _, fragment in reading.scan(form.name):
        if len(fragment):
            yield bytes(key), bytes(fragment)


def _survey(reading: Reading, form: Form[Any]) -> tuple[int, int, list[str]]:
    """How many rows are published, when any row last changed (µs), and the operators that have some."""
    rows = latest = 0
    operators: list[str] = []
    for _, members in groupby(reading.scan(form.name), key=lambda entry: key_party(bytes(entry[0]))):
        of_this = 0
        for key, modified, _, _, fragment in members:
            if modified > latest:
                latest = modified
            if len(fragment):
                of_this += 1
                last = key
        if of_this:
            operators.append(key_operator(bytes(last)))
        rows += of_this
    return rows, latest, operators


def judge(form: Form[Any], before: Edition | None, rows: int, releases: int, now: float) -> Held | None:
    """Whether an edition with so many rows is held back: it would lose a tenth of the locations, and nobody said that this is right."""
    if form.rows != "location" or before is None:
        return None
    lost = before.rows - rows
    if lost <= FEW or lost <= MOST_LOST * before.rows:
        return None
    if before.held is None:
        return Held(now, rows, releases)
    if releases != before.held.releases or now - before.held.since >= AGREES_AFTER:
        return None
    before.held.rows = rows
    return before.held
