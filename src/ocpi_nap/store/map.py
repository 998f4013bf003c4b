"""SQL of the public map: where locations are and what they offer, their statuses, and one location in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ocpi_nap.model.ids import fold
from ocpi_nap.store.database import Database
from ocpi_nap.store.feed import PUBLISHED, SHOWN_EVSE
from ocpi_nap.store.rows import EVSES_OF

_AT_ONCE = 2000
_PLACES = f"""
WITH published AS ({PUBLISHED})
SELECT l.pk, o.country_code, o.party_id, o.name, l.doc FROM location l JOIN published o USING (platform_id, country_code, party_id)
 WHERE l.withdrawn_at IS NULL AND l.publish AND l.pk > %(after)s AND (%(pks)s::bigint[] IS NULL OR l.pk = ANY(%(pks)s))
 ORDER BY l.pk LIMIT %(limit)s
"""
_OFFERS = f"""
SELECT e.location_pk, e.doc, CASE WHEN s.withdrawn_at IS NULL THEN s.status ELSE 'REMOVED' END
  FROM {EVSES_OF.format(pks="%s")} ORDER BY e.location_pk, e.ordinal, e.uid_key
"""
_STATUSES = f"""
SELECT e.location_pk, array_agg(CASE WHEN s.withdrawn_at IS NULL THEN s.status ELSE 'REMOVED' END ORDER BY e.ordinal, e.uid_key)
  FROM {EVSES_OF.format(pks="%s")} GROUP BY 1
"""
_LOCATION = f"""
WITH published AS ({PUBLISHED})
SELECT l.pk, l.platform_id, l.country_code, l.party_id, l.id, l.doc, o.name, o.url
  FROM location l JOIN published o USING (platform_id, country_code, party_id)
 WHERE l.withdrawn_at IS NULL AND l.publish AND"""
_BY_PK = _LOCATION + " l.pk = %(pk)s"
_BY_REF = f"""{_LOCATION} o.country_code = %(country)s AND o.party_id = %(party)s AND l.id_key = ANY(%(keys)s)
 ORDER BY l.id = %(id)s DESC LIMIT 1
"""
_EVSES = f"""
SELECT e.public_id, e.doc, s.status, s.status_at FROM evse e JOIN evse_state s USING (location_pk, uid_key)
 WHERE e.location_pk = %s AND {SHOWN_EVSE}
 ORDER BY e.ordinal, e.uid_key
"""
_TARIFFS = """
SELECT id, doc FROM tariff
 WHERE platform_id = %s AND country_code = %s AND party_id = %s AND id_key = ANY(%s) AND withdrawn_at IS NULL
"""


@dataclass(slots=True)
class MapPlace:
    """A published location: its document, and (document, status) of each of its EVSEs in their order."""

    pk: int
    country_code: str
    party_id: str
    operator_name: str
    doc: bytes
    evses: list[tuple[bytes, str]] = field(default_factory=list)


@dataclass(slots=True)
class MapLocation:
    """One published location in full; EVSEs are (public id, document, status, when it changed)."""

    pk: int
    platform_id: int
    country_code: str
    party_id: str
    id: str
    doc: bytes
    operator_name: str
    operator_url: str | None
    evses: list[tuple[str, bytes, str, datetime]] = field(default_factory=list)


async def operators(db: Database, environments: list[str]) -> list[tuple[Any, ...]]:
    """(platform id, country code, party id, name) of the published operators."""
    rows = await db.fetch_all(PUBLISHED, {"environments": environments})
    return [row[:4] for row in rows]


async def places(db: Database, environments: list[str], pks: list[int] | None) -> AsyncIterator[list[MapPlace]]:
    """Published locations in portions; all of them when ``pks`` is None."""
    after = 0
    while True:
        params = {"environments": environments, "pks": pks, "after": after, "limit": _AT_ONCE}
        found = {row[0]: MapPlace(*row) for row in await db.fetch_all(_PLACES, params)}
        for pk, doc, status in await db.fetch_all(_OFFERS, (list(found),)) if found else ():
            found[pk].evses.append((doc, status))
        yield list(found.values())
        if len(found) < _AT_ONCE:
            return
        after = max(found)


async def statuses(db: Database, pks: list[int]) -> list[tuple[int, list[str]]]:
    """(location pk, statuses of its EVSEs in their order); REMOVED stands for withdrawn ones too."""
    return [(row[0], row[1]) for row in await db.fetch_all(_STATUSES, (pks,))]


async def location(
    db: Database, environments: list[str], *, pk: int | None = None, ref: tuple[str, str, str] | None = None
) -> MapLocation | None:
    """One published location by number, or by (country code, party id, id); ids are alike whatever their case, as in OCPI."""
    params: dict[str, Any] = {"environments": environments, "pk": pk}
    if ref is not None:
        params |= {"country": ref[0], "party": ref[1], "id": ref[2], "keys": sorted({ref[2], fold(ref[2])})}
    row = await db.fetch_one(_BY_PK if ref is None else _BY_REF, params)
    if row is None:
        return None
    found = MapLocation(*row)
    found.evses = [tuple(evse) for evse in await db.fetch_all(_EVSES, (found.pk,))]
    return found


async def tariffs(db: Database, place: MapLocation, ids: list[str]) -> dict[str, bytes]:
    """Documents of the operator's tariffs by id as asked for, whatever its case; unknown ids are left out."""
    keys = sorted({key for identity in ids for key in (identity, fold(identity))})
    rows: list[tuple[Any, ...]] = await db.fetch_all(_TARIFFS, (place.platform_id, place.country_code, place.party_id, keys))
    exact, alike = {row[0]: row[1] for row in rows}, {fold(row[0]): row[1] for row in rows}
    found = {identity: exact.get(identity) or alike.get(fold(identity)) for identity in ids}
    return {identity: doc for identity, doc in found.items() if doc is not None}


async def rows(db: Database, environments: list[str], pks: list[int]) -> list[tuple[Any, ...]]:
    """(pk, country code, party id, id, document, operator's name) of published locations."""
    return await db.fetch_all(
        f"WITH published AS ({PUBLISHED}) SELECT l.pk, l.country_code, l.party_id, l.id, l.doc, o.name FROM location l "
        "JOIN published o USING (platform_id, country_code, party_id) WHERE l.pk = ANY(%(pks)s) AND l.withdrawn_at IS NULL AND l.publish",
        {"environments": environments, "pks": pks},
    )
