"""The objects that events are about, rendered from the database: never older than the event. And all there is now, as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from ocpi_nap.feed import render
from ocpi_nap.feed.views import location_view, tariff_view
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store import feed as sql
from ocpi_nap.store.database import Database
from ocpi_nap.store.events import Event

_AT_ONCE = 100
"""Rows rendered before others get their turn."""
Shown = dict[tuple[str, int], tuple[bytes, bytes]]
"""(kind, row) -> (GeoJSON feature or tariff, status rows joined by commas); what the public does not see now is not in it."""


async def shown(db: Database, environments: list[str], events: Iterable[Event]) -> Shown:
    """The locations and tariffs that were added or changed, as the REST API shows them now."""
    wanted: dict[str, set[int]] = {"location": set(), "tariff": set()}
    for event in events:
        if event.kind != "status" and event.change != "removed":
            wanted[event.kind].add(event.row_pk)
    found: Shown = {}
    if wanted["location"]:
        for number, location in enumerate(await sql.load_locations(db, environments, sorted(wanted["location"]))):
            view = location_view(location)
            feature = render.location(view)
            if feature is not None:
                found["location", location.pk] = feature, render.statuses(view) or b""
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
    if wanted["tariff"]:
        for tariff in await sql.load_tariffs(db, environments, sorted(wanted["tariff"])):
            text = render.tariff(tariff_view(tariff))
            if text is not None:
                found["tariff", tariff.pk] = text, b""
    return found


async def present(db: Database, environments: list[str]) -> AsyncIterator[list[Event]]:
    """What the public sees now, as if all of it had just been added: for a reader who has missed events that are kept no more."""
    for kind in ("location", "tariff"):
        after = 0
        while numbers := await sql.next_numbers(db, kind, after, _AT_ONCE):
            after = numbers[-1]
            if kind == "tariff":
                tariffs = await sql.load_tariffs(db, environments, numbers)
                yield [Event("tariff", "added", *row.key[1:], row.pk) for row in tariffs if row.visible]
                continue
            views = [location_view(row) for row in await sql.load_locations(db, environments, numbers)]
            yield [
                Event("location", "added", view.row.country_code, view.row.party_id, view.row.id, view.row.pk, evses={
                    "appeared": [[e.row.public_id, e.row.status, format_ms(e.row.status_at)] for e in view.evses], "vanished": [],
                })
                for view in views if view.public
            ]  # fmt: skip
