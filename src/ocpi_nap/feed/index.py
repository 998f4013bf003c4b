"""What the public reads, rendered: kept in step with the database by reading the change feed before each answer.

Only what changed is read and rendered again; pages are slices of the rendered fragments.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ocpi_nap.feed import render
from ocpi_nap.store import feed as sql
from ocpi_nap.store.database import Database

Key = tuple[str, str, str, int]
"""Order of the feeds: country code, party, id, then the row's number (contract section 9)."""

_AT_ONCE = 200
"""Rows rendered before other requests get their turn."""


@dataclass(slots=True)
class Entry:
    """One row: its place, its fragments (``main`` None: hidden), and when it last changed."""

    key: Key
    main: bytes | None
    statuses: bytes
    modified_at: datetime


class Index:
    """The rendered rows of one table in feed order."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.order: list[Key] = []
        self.listeners: list[Callable[[Key | None], None]] = []

    def replace_all(self, entries: list[Entry]) -> None:
        """Start afresh."""
        self.entries = {entry.key[3]: entry for entry in entries}
        self.order = sorted(entry.key for entry in entries)
        self._tell(None)

    def put(self, entry: Entry) -> None:
        """Add or replace one row."""
        old = self.entries.get(entry.key[3])
        if old is not None and old.main == entry.main and old.statuses == entry.statuses and old.modified_at == entry.modified_at:
            return
        if old is None:
            insort(self.order, entry.key)
        self.entries[entry.key[3]] = entry
        self._tell(entry.key)

    def drop(self, pk: int) -> None:
        """Forget a row that is gone from the database."""
        old = self.entries.pop(pk, None)
        if old is not None:
            del self.order[bisect_left(self.order, old.key)]
            self._tell(old.key)

    def _tell(self, key: Key | None) -> None:
        for listener in self.listeners:
            listener(key)

    def visible_after(self, key: Key | None, count: int | None) -> tuple[list[Entry], list[Entry], bool]:
        """(visible rows, all rows in the range they span, whether visible rows follow), ``count`` visible ones at most."""
        start = 0 if key is None else bisect_right(self.order, key)
        visible: list[Entry] = []
        spanned: list[Entry] = []
        for position in range(start, len(self.order)):
            entry = self.entries[self.order[position][3]]
            if entry.main is not None:
                if count is not None and len(visible) == count:
                    return visible, spanned, True
                visible.append(entry)
            spanned.append(entry)
        return visible, spanned, False


class Follower:
    """Brings the indexes up to date: one query however many requests wait for it."""

    def __init__(self, db: Database, environments: tuple[str, ...]) -> None:
        self._db = db
        self._environments = list(environments)
        self.locations = Index()
        self.tariffs = Index()
        self.operators: list[bytes] = []
        self.operators_version = 0
        self._position: sql.Position | None = None
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def sync(self) -> None:
        """Return after everything that was committed before this call is rendered.

        A run that began before the call may have missed it: wait for the next one, which all callers share.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._sync())
            await asyncio.shield(self._running)
            return
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._after(self._running))
        await asyncio.shield(self._next)

    async def _after(self, running: asyncio.Task[None]) -> None:
        await asyncio.wait([running])
        self._running, self._next = self._next, None
        await self._sync()

    async def _sync(self) -> None:
        if self._position is None:
            position = await sql.head(self._db)
            await self._load(None, None)
            self._position = position
            return
        while True:
            changes, position = await sql.changes_after(self._db, self._position)
            if not changes:
                return
            if any(kind == "registry" for kind, _, _ in changes):
                await self._load(None, None)
            else:
                await self._load(
                    sorted({pk for _, pk, _ in changes if pk is not None}), sorted({pk for *_, pk in changes if pk is not None})
                )
            self._position = position
            if len(changes) < 20000:
                return

    async def _load(self, location_pks: list[int] | None, tariff_pks: list[int] | None) -> None:
        if location_pks is None:
            rows = await sql.load_operators(self._db, self._environments)
            ordered = sorted(rows, key=lambda row: (row[1], row[0]))
            self.operators = [render.encode(render.operator(*row)) for row in ordered]
            self.operators_version += 1
        if location_pks is None or location_pks:
            found = await sql.load_locations(self._db, self._environments, location_pks)
            await self._apply(self.locations, found, location_pks, render.location)
        if tariff_pks is None or tariff_pks:
            tariffs = await sql.load_tariffs(self._db, self._environments, tariff_pks)
            await self._apply(self.tariffs, tariffs, tariff_pks, render.tariff)

    @staticmethod
    async def _apply(index: Index, rows: list, pks: list[int] | None, draw: Callable) -> None:  # type: ignore[type-arg]
        entries = []
        for position, row in enumerate(rows):
            main, statuses, modified_at = draw(row)
            entries.append(Entry((row.country_code, row.party_id, row.id, row.pk), main, statuses, modified_at))
            if position % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        if pks is None:
            index.replace_all(entries)
            return
        for entry in entries:
            index.put(entry)
        for gone in set(pks) - {row.pk for row in rows}:
            index.drop(gone)
