"""Rows of the feed loaded and decoded, and their fragments: one that cannot be read or shown keeps no other back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from prometheus_client import Counter

from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.batch import Rendered
from ocpi_nap.feed.fragments.coordinates import NOWHERE, to_e7
from ocpi_nap.feed.fragments.keys import feed_key
from ocpi_nap.feed.views import LocationView, TariffView, location_view, tariff_view
from ocpi_nap.model.timestamps import to_micros
from ocpi_nap.store import feed as sql
from ocpi_nap.store.database import Database
from ocpi_nap.store.register import facts_of

log = logging.getLogger(__name__)
R = TypeVar("R", sql.FeedLocation, sql.FeedTariff)
V = TypeVar("V", LocationView, TariffView)

_FAILED = Counter("ocpi_nap_fragments_failed_total", "Fragments that could not be made: their rows are not in the publication", ["form"])


def count_from_zero(forms: Iterable[Form[Any]]) -> None:
    """Show the counters before something fails: Prometheus sees no increase in a series that begins with 1."""
    for name in ("rows", *(form.name for form in forms)):
        _FAILED.labels(name)


async def location_views(
    db: Database, environments: list[str], numbers: list[int], *, prices: bool
) -> list[tuple[LocationView, set[sql.TariffKey]]]:
    """Locations as forms show them, with what the register says of them; with ``prices`` also the tariffs that their connectors name,
    and the keys of all that they name, known or not."""
    rows = await sql.load_locations(db, environments, numbers)
    views = [view for view in (decoded(location_view, row) for row in rows) if view is not None]
    facts = await facts_of(db, rows)
    for view in views:
        view.facts, view.facts_at = facts.get(view.row.pk, ({}, None))
    named = {view.row.pk: _named(view) for view in views}
    if not prices:
        return [(view, set(named[view.row.pk].values())) for view in views]
    keys = sorted({key for names in named.values() for key in names.values()})
    tariffs = [decoded(tariff_view, row) for row in await sql.load_tariffs_by_key(db, environments, keys)] if keys else []
    shown = {view.row.key: view for view in tariffs if view is not None and view.row.visible}
    for view in views:
        view.tariffs = {name: shown[key] for name, key in named[view.row.pk].items() if key in shown}
    return [(view, set(named[view.row.pk].values())) for view in views]


def _named(view: LocationView) -> dict[str, sql.TariffKey]:
    """The tariffs that a location's connectors name."""
    row = view.row
    names = {name for evse in view.evses for connector in evse.doc.connectors for name in connector.tariff_ids or ()}
    return {name: (row.platform_id, row.country_code, row.party_id, name) for name in names}


def tariff_name(key: sql.TariffKey) -> bytes:
    """Under which the fragments that show a tariff are found."""
    return "\0".join(map(str, key)).encode()


def tariff_key(name: bytes) -> sql.TariffKey:
    """The reverse of `tariff_name`."""
    platform, country, party, row_id = name.decode().split("\0", 3)
    return int(platform), country, party, row_id


def decoded(view: Callable[[R], V], row: R) -> V | None:
    """A row that cannot be read must not keep the others back: it is treated as gone."""
    try:
        return view(row)
    except Exception:
        log.exception("a row could not be decoded")
        _FAILED.labels("rows").inc()
        return None


def _drawn(form: Form[Any], view: LocationView | TariffView) -> bytes | None:
    """One fragment; a row that a form cannot show must not keep the others back."""
    try:
        return form.fragment(view)
    except Exception:
        row = view.row
        log.exception("%s*%s %s could not be rendered as %s", row.country_code, row.party_id, row.id, form.name)
        _FAILED.labels(form.name).inc()
        return None


def draw_location(view: LocationView, forms: list[Form[Any]], tariffs: list[bytes] | None) -> Rendered:
    """A location's fragments; ``tariffs``: names of those that they show, None: as before."""
    row = view.row
    fragments = [(form, to_micros(_changed(form, view)), _drawn(form, view)) for form in forms]
    point = view.doc.coordinates
    place = (NOWHERE, NOWHERE) if point is None else (to_e7(point.longitude), to_e7(point.latitude))
    return Rendered("location", row.pk, feed_key(row.country_code, row.party_id, row.id, row.pk), fragments, place, tariffs)


def _changed(form: Form[Any], view: LocationView) -> datetime:
    """When a location last changed, as far as a form shows it."""
    moment = view.modified_at if form.statuses else view.described_at
    if form.facts:
        moment = view.dated(moment)
    if form.prices:
        moment = max([moment, *(tariff.row.modified_at for tariff in view.tariffs.values())])
    return moment


def draw_tariff(view: TariffView, forms: list[Form[Any]]) -> Rendered:
    """A tariff's fragments."""
    row = view.row
    fragments = [(form, to_micros(row.modified_at), _drawn(form, view)) for form in forms]
    return Rendered("tariff", row.pk, feed_key(row.country_code, row.party_id, row.id, row.pk), fragments)
