"""Keeps the map in step with the database, and tells open maps what changed (server-sent events).

The change feed is read every second while somebody looks at the map, and once a minute otherwise. What changed is counted once for
each filter and level of zoom that somebody looks at, and sent to all of them: `data: {"t": ms, "cells": [[id, free, total, state]]}`
with the ids of the tiles' features and what holds now, so that an event that comes twice does no harm. `event: reload` asks for new
tiles (locations came, went or moved, or too much changed at once), `event: location` says that the chosen location changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import psycopg

from ocpi_nap.store import feed as changes_sql
from ocpi_nap.store import map as sql
from ocpi_nap.store.database import Database
from ocpi_nap.waiting import happens
from ocpi_nap.web.map import grid
from ocpi_nap.web.map.network import Network, Slots
from ocpi_nap.web.map.tiles import Key, Tile, TileCache, build
from ocpi_nap.web.map.view import Filter, Views, availability

log = logging.getLogger(__name__)

_WATCHED = 1.0
_IDLE = 60.0
_MOST_CELLS = 2000
"""Changed locations that are told one by one; more of them are told as a reload."""
_OPERATORS = 600.0
"""Seconds between looks at who is published: the data of a lost platform end by time, without a change (D19)."""
_REMEMBERED = 900.0
"""Seconds of changes that a map which turns to another zoom can be told."""
_MOST_LISTENERS = 1000
_QUEUE = 60
_HEARTBEAT = 15.0
_MARGIN = 3.0
"""Seconds by which the clocks of nodes may differ."""
_encode = msgspec.json.encode


class TooManyListeners(Exception):
    """No further map is told of changes by this worker."""


@dataclass(eq=False)
class Listener:
    """An open map: what it shows, and what it is still to be told."""

    filter: Filter
    zoom: int
    pk: int | None
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(_QUEUE))
    slow: bool = False

    def tell(self, event: bytes) -> None:
        """Queue an event; a reader that is too slow is let go, and comes again by itself."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.slow = True


class Live:
    """The map's data of one worker."""

    def __init__(self, db: Database, environments: tuple[str, ...]) -> None:
        self._db = db
        self.environments = list(environments)
        self._start_with(Network())
        self._position: changes_sql.Position | None = None
        self._synced = 0.0
        self._operators: list[tuple[Any, ...]] = []
        self._operators_at = time.monotonic()
        self._lock = asyncio.Lock()
        self._listeners: set[Listener] = set()
        self._history: deque[tuple[float, Slots]] = deque()
        self._history_from = time.time()
        self._wake = asyncio.Event()
        self._closing = False

    def _start_with(self, network: Network) -> None:
        self.network = network
        self.views = Views(network)
        self._tiles = TileCache()

    async def run(self) -> None:
        """Follow until closed; the first listener ends the rest between looks."""
        while True:
            try:
                await self.fresh(0)
                await self._check_operators()
            except psycopg.Error as error:
                log.warning("the map could not read the changes: %s", error)
            if self._listeners:
                await asyncio.sleep(_WATCHED)
            else:
                self._wake.clear()
                await happens(self._wake, within=_IDLE)
            if self._closing:
                return

    async def _check_operators(self) -> None:
        if time.monotonic() - self._operators_at < _OPERATORS:
            return
        operators = await sql.operators(self._db, self.environments)
        self._operators_at = time.monotonic()
        if operators != self._operators:
            self._operators = operators
            async with self._lock:
                await self._load()

    def close(self) -> None:
        """End all streams."""
        self._closing = True
        self._wake.set()
        for listener in self._listeners:
            listener.slow = True
            listener.tell(b"")

    async def fresh(self, seconds: float = _WATCHED) -> None:
        """Return when what was committed ``seconds`` ago is in; raises psycopg.Error when the database does not answer."""
        if self._position is not None and time.monotonic() - self._synced < seconds:
            return
        asked = time.monotonic()
        async with self._lock:
            if self._position is None:
                await self._load()
            elif self._synced < asked:
                await self._follow()

    async def tile(self, chosen: Filter, key: Key) -> Tile:
        """A tile as it is now."""
        await self.fresh()
        view = self.views.get(chosen)
        tile = self._tiles.get(chosen, key)
        if tile is None:
            tile = build(self.network, view, key)
            self._tiles.put(chosen, key, tile)
        return tile

    async def _load(self) -> None:
        position = await changes_sql.head(self._db)
        self._operators = await sql.operators(self._db, self.environments)
        network = Network()
        synced = time.monotonic()
        async for portion in sql.places(self._db, self.environments, None):
            for number, place in enumerate(portion):
                network.put(place)
                if number % 200 == 199:
                    await asyncio.sleep(0)
        self._start_with(network)
        self._history.clear()
        self._history_from = time.time()
        self._position, self._synced = position, synced
        self._tell_all(b"reload")

    async def _follow(self) -> None:
        assert self._position is not None
        while True:
            synced = time.monotonic()
            changed = await changes_sql.changes_after(self._db, self._position)
            if changed is None:
                self._synced = synced
                return
            if changed.registry:
                await self._load()
                return
            await self._apply(changed.described, changed.locations - changed.described)
            self._position, self._synced = changed.position, synced

    async def _apply(self, described: set[int], status_only: set[int]) -> None:
        network, slots, moved = self.network, set(), False
        if status_only:
            for pk, statuses in await sql.statuses(self._db, sorted(status_only)):
                slot = network.set_statuses(pk, statuses)
                if slot is not None:
                    slots.add(slot)
                elif network.slot(pk) is not None:
                    described.add(pk)
        if described:
            found = {place.pk: place async for part in sql.places(self._db, self.environments, sorted(described)) for place in part}
            before = {pk: slot for pk in described if (slot := network.slot(pk)) is not None}
            self._tiles.changed(network, np.array(list(before.values()), np.int64))
            cells = {pk: int(network.locations.cell[slot]) for pk, slot in before.items()}
            for pk in described:
                place = found.get(pk)
                slot = network.remove(pk) if place is None else network.put(place)
                if slot is not None:
                    slots.add(slot)
                    moved |= network.slot(pk) is None or cells.get(pk) != int(network.locations.cell[slot])
        if not slots:
            return
        changed = np.array(sorted(slots), np.int64)
        self.views.changed(changed)
        self._tiles.changed(network, changed)
        self._remember(changed)
        self._tell(changed, reload=moved or len(changed) > _MOST_CELLS)

    def _remember(self, slots: Slots) -> None:
        now = time.time()
        self._history.append((now, slots))
        while self._history[0][0] < now - _REMEMBERED:
            self._history_from = self._history.popleft()[0]

    def _event(self, chosen: Filter, zoom: int, slots: Slots) -> bytes:
        """What holds now in the cells of some locations."""
        depth = grid.level(zoom)
        codes = np.unique(self.network.locations.cell[slots] >> (2 * (grid.DEPTH - depth)))
        counts = self.views.get(chosen).cell_counts(codes, depth)
        cells = [
            (identity, int(row[0]), int(row.sum()), availability(row))
            for identity, row in zip(grid.identities(codes, depth).tolist(), counts, strict=True)
        ]
        return b"data: " + _encode({"t": round(time.time() * 1000), "cells": cells}) + b"\n\n"

    def _tell(self, slots: Slots, *, reload: bool) -> None:
        if reload:
            self._tell_all(b"reload")
        events: dict[tuple[Filter, int], bytes] = {}
        pks = set(self.network.locations.pk[slots].tolist())
        for listener in self._listeners:
            if not reload:
                key = (listener.filter, listener.zoom)
                if key not in events:
                    events[key] = self._event(*key, slots)
                listener.tell(events[key])
            if listener.pk is not None and (listener.pk in pks or self.network.slot(listener.pk) is None):
                listener.tell(b"event: location\ndata: %d\n\n" % listener.pk)

    def _tell_all(self, kind: bytes) -> None:
        for listener in self._listeners:
            listener.tell(b"event: %s\ndata: %d\n\n" % (kind, round(time.time() * 1000)))

    def _missed(self, listener: Listener, since: float) -> bytes:
        """What a map has missed since a moment; an empty event when nothing, so that it knows our clock."""
        if since < self._history_from:
            return b"event: reload\ndata: %d\n\n" % round(time.time() * 1000)
        slots = [slots for moment, slots in self._history if moment >= since]
        missed = np.unique(np.concatenate(slots)) if slots else np.zeros(0, np.int64)
        if len(missed) > _MOST_CELLS:
            return b"event: reload\ndata: %d\n\n" % round(time.time() * 1000)
        return self._event(listener.filter, listener.zoom, missed)

    async def stream(self, chosen: Filter, zoom: int, pk: int | None, since: float | None) -> AsyncIterator[bytes]:
        """Events for one open map, for ever; ``since`` (seconds) is when its tiles were true. Raises TooManyListeners."""
        if len(self._listeners) >= _MOST_LISTENERS or self._closing:
            raise TooManyListeners
        await self.fresh()
        listener = Listener(chosen, zoom, pk)
        self._listeners.add(listener)
        self._wake.set()
        return self._events(listener, time.time() if since is None else since - _MARGIN)

    async def _events(self, listener: Listener, since: float) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 3000\n" + self._missed(listener, since)
            while not listener.slow:
                try:
                    yield await asyncio.wait_for(listener.queue.get(), _HEARTBEAT)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._listeners.discard(listener)
