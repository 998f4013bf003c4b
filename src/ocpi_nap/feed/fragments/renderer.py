"""Keeps the fragments in step with the database: reads the change feed and renders what changed, in one process of a node.

Forms with pages are rendered at once, the others when their next edition is made (`refresh`): a location whose status changes ten times a
minute is rendered once for them. Each batch and the position it reaches are one transaction, so a new start goes on where the last ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import lmdb
import msgspec
import psycopg
from prometheus_client import Counter, Gauge

from ocpi_nap import __version__
from ocpi_nap.feed import render
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.batch import Batch, Rendered
from ocpi_nap.feed.fragments.drawing import count_from_zero, decoded, draw_location, draw_tariff, location_views, tariff_key, tariff_name
from ocpi_nap.feed.fragments.keys import party_prefix
from ocpi_nap.feed.fragments.store import FragmentStore, identity
from ocpi_nap.feed.fragments.tables import State
from ocpi_nap.feed.views import TariffView, tariff_view
from ocpi_nap.model.timestamps import to_micros
from ocpi_nap.store import feed as sql
from ocpi_nap.store.database import Database
from ocpi_nap.waiting import happens, meanwhile, rest

log = logging.getLogger(__name__)

_RENDERED = Counter("ocpi_nap_rows_rendered_total", "Rows whose fragments were made", ["kind"])
_SIZE = Gauge("ocpi_nap_fragments_bytes", "Size of the fragments on disk", multiprocess_mode="livemax")
_BEHIND = Gauge("ocpi_nap_fragments_rendered_at", "Unix time when all that was committed was rendered", multiprocess_mode="livemax")
_AT_ONCE = 250
"""Rows loaded and rendered before the next are: bounds the memory."""
_REFRESHED_AT_ONCE = 20
_CONFIRM_SECONDS = 60
_ALL: tuple[sql.Kind, ...] = ("location", "tariff")


class Renderer:
    """One a node; the store must be writable. ``referenced_only``: of tariffs those are published that a public connector names."""

    def __init__(
        self, db: Database, store: FragmentStore, forms: Sequence[Form[Any]], *, environments: Iterable[str], change_days: int = 7,
        referenced_only: bool = False,
    ) -> None:  # fmt: skip
        self._db = db
        self.store = store
        self.forms = forms
        self._environments = list(environments)
        self._change_days = change_days
        self._referenced_only = referenced_only
        self._ready = False
        self._checked = 0.0
        self._turn = asyncio.Lock()
        count_from_zero(forms)

    async def run(self, stop: asyncio.Event) -> None:
        """Render until told to stop; without the database it waits for it."""
        news, wanted = asyncio.Event(), asyncio.Event()
        async with meanwhile(self._watch(news, wanted)):
            while not stop.is_set():
                news.clear()
                wanted.clear()
                began = time.monotonic()
                try:
                    await self.catch_up()
                except (psycopg.Error, OSError) as error:
                    log.warning("rendering was interrupted: %s", error)
                except lmdb.Error:
                    log.exception("the fragments could not be written")
                await rest(time.monotonic() - began, wanted, stop)
                await happens(news, stop, within=1)

    async def _watch(self, news: asyncio.Event, wanted: asyncio.Event) -> None:
        async for payload in self._db.listen("feed"):
            news.set()
            if payload == sql.WANTED:
                wanted.set()

    async def catch_up(self) -> None:
        """Return when everything that was committed before the call is rendered; what comes meanwhile does not keep it up."""
        wanted: sql.Position | None = None
        while True:
            async with self._turn:
                if not self._ready:
                    await self._prepare()
                    self._ready = True
                wanted = wanted or await sql.newest(self._db, readable=True)
                with self.store.reading() as reading:
                    state = reading.state
                changed = await sql.changes_after(self._db, state.position)
                if changed is not None:
                    await self._apply(changed, state.position)
                if changed is None or changed.position >= wanted:
                    break
        _BEHIND.set(time.time())
        if time.time() - self._checked > _CONFIRM_SECONDS:
            self._checked = time.time()
            self._maintain(confirmed=changed is None)

    def _maintain(self, *, confirmed: bool) -> None:
        """What is done once a minute; ``confirmed``: nothing follows the position."""
        if confirmed:
            with self.store.writing() as batch:
                batch.state.confirmed = time.time()
        self.store.forget_dead_readers()
        _SIZE.set(self.store.size())

    async def _prepare(self) -> None:
        """Go on from the position that was reached, or fill the store afresh where that would miss something."""
        made = [(form.name, form.made_with, form.paged, form.rows_per_block, form.statuses) for form in self.forms]
        wanted = identity(
            __version__, made, sorted(self._environments), await sql.database_identity(self._db), self._referenced_only
        )
        with self.store.reading() as reading:
            state = reading.state
        head = await sql.head(self._db)
        kept = timedelta(days=self._change_days) - timedelta(hours=1)
        if (
            state.generation
            and state.identity == wanted
            and state.position <= head
            and time.time() - state.confirmed < kept.total_seconds()
        ):  # fmt: skip
            return
        await self._fill(wanted, state)

    async def _fill(self, wanted: str, state: State) -> None:
        names = [form.name for form in self.forms]
        generation = self.store.new_generation(names)
        position, began, count = await sql.head(self._db), time.time(), 0
        parties = await sql.load_parties(self._db, self._environments)
        changed_at = await sql.registry_changed(self._db, (0, 0), position)
        named: set[bytes] = set()
        for kind in _ALL:
            numbers = await sql.next_numbers(self._db, kind, 0, _AT_ONCE)
            while numbers:
                rows, _ = await self._render(kind, numbers, self.forms, named.__contains__)
                named.update(name for row in rows for name in row.tariffs or ())
                with self.store.writing(generation) as batch:
                    for row in rows:
                        batch.put(row)
                count += len(rows)
                numbers = await sql.next_numbers(self._db, kind, numbers[-1], _AT_ONCE)
        with self.store.writing(generation) as batch:
            batch.switch(wanted, names)
            batch.state.position, batch.state.confirmed = position, began
            self._put_parties(batch, parties)
            if changed_at is not None:
                batch.raise_floor(to_micros(changed_at), names)
        if state.generation:
            self.store.remove_generation(state.generation)
        log.info("%d rows rendered in %.1f s", count, time.time() - began)

    async def _apply(self, changed: sql.Changed, after: sql.Position) -> None:
        parties = changed_at = None
        if changed.registry:
            parties = await sql.load_parties(self._db, self._environments)
            changed_at = await sql.registry_changed(self._db, after, changed.position)
            await self._apply_parties(parties)
        places, gone_places = await self._render("location", sorted(changed.locations), self._of("location", paged=True))
        named = self._named_after(places, gone_places) if self._referenced_only else {}
        numbers = sorted({*changed.tariffs, *(await self._numbers(named))})
        tariffs, gone_tariffs = await self._render("tariff", numbers, self._of("tariff", paged=True), named.get)
        repriced = await self._naming(sorted(changed.tariffs))
        with self.store.writing() as batch:
            self._put(batch, "location", places, gone_places)
            self._put(batch, "tariff", tariffs, gone_tariffs)
            batch.mark_stale("location", repriced)
            batch.state.position, batch.state.confirmed = changed.position, time.time()
            batch.state.releases += changed.releases
            if parties is not None:
                self._put_parties(batch, parties)
            if changed_at is not None:
                batch.raise_floor(to_micros(changed_at), [form.name for form in self.forms])

    async def _apply_parties(self, parties: list[tuple[Any, ...]]) -> None:
        """Render the rows of the operators that changed: their names and whether they are published are in the fragments."""
        with self.store.reading() as reading:
            before = reading.parties()
        now = _described(parties)
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) == now.get(key):
                continue
            country, party, _ = key.decode().split("\0")
            for kind in _ALL:
                numbers = set(await sql.numbers_of_party(self._db, kind, country, party))
                with self.store.reading() as reading:
                    numbers.update(reading.numbers(next(form.name for form in self.forms if form.rows == kind), key))
                ordered = sorted(numbers)
                for start in range(0, len(ordered), _AT_ONCE):
                    rows, gone = await self._render(kind, ordered[start : start + _AT_ONCE], self._of(kind, paged=True))
                    with self.store.writing() as batch:
                        self._put(batch, kind, rows, gone)

    def _put(self, batch: Batch, kind: sql.Kind, rows: list[Rendered], gone: list[int]) -> None:
        for row in rows:
            batch.put(row)
        for pk in gone:
            batch.drop(kind, pk, [form for form in self.forms if form.rows == kind])
        if self._of(kind, paged=False):
            batch.mark_stale(kind, [row.pk for row in rows])

    def _put_parties(self, batch: Batch, parties: list[tuple[Any, ...]]) -> None:
        batch.put_parties(_described(parties))
        shown = sorted((row for row in parties if row[3]), key=lambda row: (row[1], row[0]))
        body = b"[" + b",".join(render.encode(render.operator(cc, party, *facts)) for cc, party, _, _, *facts in shown) + b"]"
        if body.decode() != batch.state.operators:
            batch.state.operators, batch.state.operators_at = body.decode(), time.time()

    async def forget_clocks(self) -> None:
        """Have the forms without pages made again for all locations: they show what clocks are ahead of UTC, and clocks were changed."""
        hour = int(time.time()) // 3600 * 3600  # clocks change at a full one
        with self.store.writing() as batch:
            batch.raise_floor(hour * 1_000_000, [form.name for form in self.forms if not form.paged])
        after = 0
        while numbers := await sql.next_numbers(self._db, "location", after, _AT_ONCE):
            async with self._turn:
                with self.store.writing() as batch:
                    batch.mark_stale("location", numbers)
            after = numbers[-1]

    async def refresh(self) -> sql.Position:
        """Render what waits for the next edition; returns how far the change feed was read when that was decided."""
        forms = {kind: self._of(kind, paged=False) for kind in _ALL}
        with self.store.reading() as reading:
            position = reading.state.position
        after: tuple[sql.Kind, int] | None = ("location", 0)
        while after is not None:  # once through the list: what is added behind us meanwhile is for the next edition
            after = await self._refresh_some(forms, after)
        return position

    async def _refresh_some(self, forms: dict[sql.Kind, list[Form[Any]]], after: tuple[sql.Kind, int]) -> tuple[sql.Kind, int] | None:
        """A few rows at a time: what the pages wait for gets its turn in between. Returns the last of them, None at the end."""
        async with self._turn:
            with self.store.reading() as reading:
                stale = reading.stale(_REFRESHED_AT_ONCE, after)
            for kind in _ALL:
                numbers = [pk for found, pk in stale if found == kind]
                rows, _ = await self._render(kind, numbers, forms[kind])
                with self.store.writing() as batch:
                    for row in rows:
                        batch.put(row)
                    batch.unmark_stale(kind, numbers)
        return stale[-1] if stale else None

    def _of(self, kind: sql.Kind, *, paged: bool) -> list[Form[Any]]:
        return [form for form in self.forms if form.rows == kind and form.paged == paged]

    async def _naming(self, tariffs: list[int]) -> list[int]:
        """Locations whose fragments show one of the tariffs."""
        if not tariffs or not any(form.prices for form in self.forms):
            return []
        rows = await sql.load_tariffs(self._db, self._environments, tariffs)
        with self.store.reading() as reading:
            return sorted({pk for row in rows for pk in reading.naming(tariff_name(row.key))})

    def _named_after(self, rows: list[Rendered], gone: list[int]) -> dict[bytes, bool]:
        """Of the tariffs that these locations name now and did not before, or the other way round: whether any location does."""
        after: dict[int, set[bytes]] = {row.pk: set(row.tariffs or ()) for row in rows} | {pk: set() for pk in gone}
        with self.store.reading() as reading:
            touched = {name for pk, names in after.items() for name in names.symmetric_difference(reading.named(pk))}
            now = {name for names in after.values() for name in names}
            return {name: name in now or not after.keys() >= set(reading.naming(name)) for name in touched}

    async def _numbers(self, tariffs: Iterable[bytes]) -> list[int]:
        keys = [tariff_key(name) for name in tariffs]
        return [row.pk for row in await sql.load_tariffs_by_key(self._db, self._environments, keys)] if keys else []

    def _leave_out(self, views: list[TariffView], named: Callable[[bytes], bool | None] | None) -> None:
        """Mark those that no connector names; ``named`` knows of some what is not written yet."""
        with self.store.reading() as reading:
            for view in views:
                name = tariff_name(view.row.key)
                known = named(name) if named is not None else None
                view.left_out = not (bool(reading.naming(name)) if known is None else known)

    async def _render(
        self, kind: sql.Kind, numbers: list[int], forms: Sequence[Form[Any]], named: Callable[[bytes], bool | None] | None = None
    ) -> tuple[list[Rendered], list[int]]:
        """The fragments of some rows, and those that are gone."""
        found: list[Rendered] = []
        chosen = [form for form in forms if form.rows == kind]
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            if kind == "location":
                found += await self._locations(part, chosen)
            else:
                read = (decoded(tariff_view, row) for row in await sql.load_tariffs(self._db, self._environments, part))
                tariffs = [view for view in read if view is not None]
                if self._referenced_only:
                    self._leave_out(tariffs, named)
                found += [draw_tariff(view, chosen) for view in tariffs]
        _RENDERED.labels(kind).inc(len(found))
        return found, sorted(set(numbers) - {row.pk for row in found})

    async def _locations(self, numbers: list[int], forms: list[Form[Any]]) -> list[Rendered]:
        prices = any(form.prices for form in forms)
        found = await location_views(self._db, self._environments, numbers, prices=prices)
        if not prices and not self._referenced_only:
            return [draw_location(view, forms, None) for view, _ in found]
        return [draw_location(view, forms, sorted(map(tariff_name, keys)) if view.public else []) for view, keys in found]


def _described(parties: list[tuple[Any, ...]]) -> dict[bytes, bytes]:
    """What the fragments of an operator's rows show of it, to compare."""
    found: dict[bytes, list[Any]] = {}
    for country, party, *facts in parties:
        found.setdefault(party_prefix(country, party), []).append(facts)
    return {key: msgspec.json.encode(facts) for key, facts in found.items()}
