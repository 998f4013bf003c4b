"""The writer of the event log: compares what the public may see now with what it was told, and tells the difference.

One node at a time does it, in the order of the change feed; events, position and what was told commit together, so that a crash
repeats and loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from prometheus_client import Gauge

from ocpi_nap.feed.events.leader import Leader
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store import events as sql
from ocpi_nap.store import locks
from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.events import ChangeRow, Event, Head, JudgedLocation, PublicLocation
from ocpi_nap.store.feed import HIDDEN_STATUSES
from ocpi_nap.waiting import coalesce, happens

_WRITTEN_AT = Gauge("ocpi_nap_events_written_at", "Unix time when events of all that was committed were written",
                    multiprocess_mode="livemax")  # fmt: skip
_BATCH = 2000


class _Coordinates(msgspec.Struct):
    latitude: float | None = None
    longitude: float | None = None


class _Place(msgspec.Struct):
    coordinates: _Coordinates | None = None


class _Plugs(msgspec.Struct):
    connectors: list[msgspec.Raw] = []


_place = msgspec.json.Decoder(_Place).decode
_plugs = msgspec.json.Decoder(_Plugs).decode


def judge(row: JudgedLocation | None, snapshot: str) -> tuple[PublicLocation | None, str, dict[str, tuple[str, str, Any]]]:
    """(what the public sees, or None and the reason; uid key -> (EVSE id, status, time)); the rule is that of ``render.location``."""
    if row is None or not row.published:
        return None, "operator_removed", {}
    if row.withdrawn:
        return None, row.withdrawn_reason or "withdrawn", {}
    if not row.publish:
        return None, "unpublished", {}
    coordinates = _place(row.doc).coordinates
    if coordinates is None:
        return None, "no_coordinates", {}
    evses = {uid: (evse_id, status, at) for uid, evse_id, doc, status, at in row.evses if _plugs(doc).connectors}
    if not evses:
        return None, "no_evses", {}
    told: dict[str, list[str | None]] = {uid: [evse_id, snapshot] for uid, (evse_id, _, _) in evses.items()}
    shown = PublicLocation(row.pk, row.country_code, row.party_id, row.id, coordinates.longitude, coordinates.latitude, told)
    return shown, "", evses


def includes(snapshot: str, xid: int) -> bool:
    """Whether what a transaction wrote was seen in a snapshot ``xmin:xmax:running``."""
    first, last, running = snapshot.split(":")
    if xid < int(first):
        return True
    return xid < int(last) and str(xid) not in running.split(",")


def _location_event(change: str, place: PublicLocation, **values: Any) -> Event:
    return Event("location", change, place.country_code, place.party_id, place.id, place.location_pk, place.lon, place.lat, **values)


class Draft:
    """Events of one transaction, and what the public has been told after them."""

    def __init__(self, told: dict[int, PublicLocation], judged: dict[int, JudgedLocation], snapshot: str) -> None:
        self.told = told
        self._judged = judged
        self._snapshot = snapshot
        self.events: list[Event] = []
        self.touched: set[int] = set()
        self._looked: set[int] = set()

    def location(self, pk: int, *, described: bool) -> None:
        """Compare a location with what was told of it, once; ``described``: its description changed."""
        if pk in self._looked:
            return
        self._looked.add(pk)
        self.touched.add(pk)
        old = self.told.get(pk)
        new, reason, evses = judge(self._judged.get(pk), self._snapshot)
        if old is not None and new is None:
            self._remove(old, reason)
        elif old is not None and new is not None:
            if (old.lon, old.lat) != (new.lon, new.lat):  # elsewhere: those who follow an area see it go or come
                self._remove(old, "moved")
                old = None
            else:
                self._change(old, new, evses, described)
        if old is None and new is not None:
            self.told[pk] = new
            self.events.append(_location_event("added", new, evses={"appeared": _rows(evses.values()), "vanished": []}))

    def _remove(self, old: PublicLocation, reason: str) -> None:
        del self.told[old.location_pk]
        gone = [told[0] for told in old.evses.values()]
        self.events.append(_location_event("removed", old, reason=reason, evses={"appeared": [], "vanished": gone}))

    def _change(self, old: PublicLocation, new: PublicLocation, evses: dict[str, tuple[str, str, Any]], described: bool) -> None:
        kept = {uid for uid, told in old.evses.items() if uid in evses and told[0] == evses[uid][0]}
        vanished = [told[0] for uid, told in old.evses.items() if uid not in kept]
        appeared = [evse for uid, evse in evses.items() if uid not in kept]
        for uid in kept:
            new.evses[uid] = old.evses[uid]
        self.told[new.location_pk] = new
        if described or appeared or vanished:
            self.events.append(_location_event("changed", new, evses={"appeared": _rows(appeared), "vanished": vanished}))

    def status(self, row: ChangeRow) -> None:
        """Tell a status, unless the EVSE is not seen, or its appearance told this very status."""
        place = self.told.get(row.location_pk or 0)
        told = place.evses.get(row.uid_key or "") if place else None
        if place is None or told is None or row.status in HIDDEN_STATUSES:
            return
        if told[1] is not None:
            if includes(told[1], row.xid):
                return
            told[1] = None
            self.touched.add(place.location_pk)
        self.events.append(
            Event("status", "changed", place.country_code, place.party_id, place.id, place.location_pk, place.lon, place.lat,
                  told[0], row.status, row.status_at)
        )  # fmt: skip


def _rows(evses: Iterable[tuple[str, str, Any]]) -> list[list[str]]:
    return [[evse_id, status, format_ms(at)] for evse_id, status, at in evses]


def _needs_look(row: ChangeRow, told: dict[int, PublicLocation]) -> bool:
    """Whether a change may alter which locations and EVSEs are seen."""
    if row.kind != "status":
        return True
    place = told.get(row.location_pk or 0)
    return place is None or row.uid_key not in place.evses or row.status in HIDDEN_STATUSES


def _told(row: ChangeRow, told: dict[int, PublicLocation]) -> bool:
    """Whether the location was told as this change had left it, because a look at the registry was ahead of the change feed."""
    place = told.get(row.location_pk or 0)
    return place is not None and any(seen is not None and includes(seen, row.xid) for _, seen in place.evses.values())


class EventLogWriter(Leader):
    """Writes the event log, on one node at a time."""

    def __init__(self, db: Database, *, publish_environments: tuple[str, ...] = ("production", "test")) -> None:
        super().__init__(db, locks.TELL_EVENTS, "feed", "writing events")
        self._environments = list(publish_environments)
        self._registry_seen: str | None = None
        """Snapshot of the last look at operators and platforms: what it includes needs no other look."""
        self._tariffs_seen: dict[int, str] = {}
        """Snapshots in which such looks told tariffs: changes of theirs that these include are told."""

    async def work(self, conn: Conn, stop: asyncio.Event) -> None:
        """Tell what changed, a batch at a time; each turn begins with a look at operators and platforms."""
        self._registry_seen = None
        while not stop.is_set():
            self.changed.clear()
            began = time.monotonic()
            if await self._batch(conn):
                await coalesce(time.monotonic() - began)
                continue
            await happens(self.changed, within=1)

    async def catch_up(self) -> None:
        """Write everything that is committed now (tests and tools; the caller knows that nobody else writes)."""
        async with self.db.connection() as conn:
            while await self._batch(conn):
                pass

    async def _batch(self, conn: Conn) -> bool:
        """One step; False when nothing was to do."""
        if self._registry_seen is None:
            await self._registry(conn, None)
            return True
        head = await sql.head(conn)
        rows = await sql.next_changes(conn, (head.xid, head.id), _BATCH)
        if not rows:
            _WRITTEN_AT.set(time.time())
            return False
        first = next((i for i, row in enumerate(rows) if self._unseen(row)), len(rows))
        if first == 0:
            await self._registry(conn, rows[0])
        else:
            await self._tell(conn, rows[:first])
            if first == len(rows) < _BATCH:
                _WRITTEN_AT.set(time.time())
        return True

    def _unseen(self, row: ChangeRow) -> bool:
        """Whether operators or platforms changed after they were looked at: platforms that are onboarded together cost one look."""
        return row.kind == "registry" and not includes(self._registry_seen or "0:0:", row.xid)

    def _untold(self, row: ChangeRow) -> bool:
        """Whether a change of a tariff is still to be told."""
        if row.tariff_pk is None:
            return False
        if includes(self._tariffs_seen.get(row.tariff_pk, "0:0:"), row.xid):
            return False
        self._tariffs_seen.pop(row.tariff_pk, None)
        return True

    async def _tell(self, conn: Conn, rows: Sequence[ChangeRow]) -> None:
        """Statuses and objects, in order."""
        async with conn.transaction():
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            head, snapshot = await sql.head(conn), await sql.snapshot(conn)
            told = await sql.told_locations(conn, sorted({row.location_pk for row in rows if row.location_pk is not None}))
            looks = {row.location_pk for row in rows if row.location_pk is not None and _needs_look(row, told)}
            described = {row.location_pk for row in rows if row.kind in ("location", "location-new") and not _told(row, told)}
            judged = await sql.judged_locations(conn, sorted(looks)) if looks else {}
            draft = Draft(told, judged, snapshot)
            tariffs = await self._tariffs(conn, sorted({row.tariff_pk or 0 for row in rows if self._untold(row)}))
            for row in rows:
                if row.tariff_pk is not None:
                    draft.events += tariffs.pop(row.tariff_pk, [])
                elif row.location_pk is not None:
                    if row.location_pk in looks:
                        draft.location(row.location_pk, described=row.location_pk in described)
                    if row.kind == "status":
                        draft.status(row)
            head.xid, head.id = rows[-1].xid, rows[-1].id
            await self._finish(conn, head, draft)

    async def _finish(self, conn: Conn, head: Head, draft: Draft) -> None:
        shown = [draft.told[pk] for pk in sorted(draft.touched) if pk in draft.told]
        await sql.tell_locations(conn, shown, [pk for pk in draft.touched if pk not in draft.told])
        await sql.write(conn, head, draft.events)
        await sql.advance(conn, head)

    async def _tariffs(self, conn: Conn, pks: list[int]) -> dict[int, list[Event]]:
        """Events of tariffs; what was told of them is brought up to date."""
        if not pks:
            return {}
        told, judged = await sql.told_tariffs(conn, pks), await sql.judged_tariffs(conn, pks)
        events: dict[int, list[Event]] = {}
        shown: dict[int, tuple[str, str, str]] = {}
        hidden: list[int] = []
        for pk in pks:
            row = judged.get(pk)
            if row is not None and row.published and not row.withdrawn:
                key = (row.country_code, row.party_id, row.id)
                events[pk] = [Event("tariff", "changed" if pk in told else "added", *key, pk)]
                shown[pk] = key
            elif pk in told:
                reason = "operator_removed" if row is None or not row.published else row.withdrawn_reason or "withdrawn"
                events[pk] = [Event("tariff", "removed", *told[pk], pk, reason=reason)]
                hidden.append(pk)
        await sql.tell_tariffs(conn, {pk: key for pk, key in shown.items() if pk not in told}, hidden)
        return events

    async def _registry(self, conn: Conn, row: ChangeRow | None) -> None:
        """Operators or platforms changed, or the writer begins: tell whatever that shows or hides.

        In transactions of their own: each tells the difference to what was told, so after a crash the rest follows. What goes is
        told before what comes: the same operator may have moved to another platform.
        """
        seen = await sql.snapshot(conn)
        changes = await sql.changed_operators(conn, self._environments)
        await sql.begin_operators(conn, changes)
        going, coming = await sql.affected(conn, "location", changes)
        for part in (*_parts(going), *_parts(coming)):
            async with conn.transaction():
                await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                head, snapshot = await sql.head(conn), await sql.snapshot(conn)
                draft = Draft(await sql.told_locations(conn, part), await sql.judged_locations(conn, part), snapshot)
                for pk in part:
                    draft.location(pk, described=True)
                await self._finish(conn, head, draft)
        going, coming = await sql.affected(conn, "tariff", changes)
        for part in (*_parts(going), *_parts(coming)):
            async with conn.transaction():
                await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                head, snapshot = await sql.head(conn), await sql.snapshot(conn)
                events = await self._tariffs(conn, part)
                await sql.write(conn, head, [event for pk in part for event in events.get(pk, [])])
                await sql.advance(conn, head)
            self._tariffs_seen |= dict.fromkeys(events, snapshot)
        async with conn.transaction():
            head = await sql.head(conn)
            if row is not None:
                head.xid, head.id = row.xid, row.id
            elif not head.started:
                head.xid, head.id = int(seen.split(":")[0]), 0
            head.started = True
            await sql.end_operators(conn, changes)
            await sql.advance(conn, head)
        self._registry_seen = seen


def _parts(pks: list[int]) -> list[list[int]]:
    return [pks[start : start + _BATCH] for start in range(0, len(pks), _BATCH)]
