"""SQL of the public feed: what may be seen, and what changed since."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ocpi_nap.store.database import Database

Position = tuple[int, int]
"""How far a reader of the change feed is: (transaction id, row id)."""

# Test and production may carry the same party: production wins. A lost connection keeps its data for a while (D19).
PUBLISHED = """
SELECT DISTINCT ON (o.country_code, o.party_id) o.platform_id, o.country_code, o.party_id, o.name, o.url, o.details
  FROM operator o JOIN platform p ON p.id = o.platform_id
 WHERE p.environment = ANY(%(environments)s)
   AND (p.disconnected_at IS NULL
        OR p.disconnected_at > now() - coalesce((p.settings->>'publish_after_disconnect_hours')::int, 24) * interval '1 hour')
 ORDER BY o.country_code, o.party_id, p.environment
"""
_LOCATIONS = f"""
WITH published AS ({PUBLISHED})
SELECT l.pk, l.country_code, l.party_id, l.id, l.doc, l.raw, l.created_at, l.modified_at, l.withdrawn_at,
       l.withdrawn_at IS NULL AND l.publish AND o.platform_id IS NOT NULL, o.name, o.url, o.details
  FROM location l LEFT JOIN published o USING (platform_id, country_code, party_id)
 WHERE %(pks)s::bigint[] IS NULL OR l.pk = ANY(%(pks)s)
"""
_EVSES = """
SELECT e.location_pk, e.public_id, e.doc, e.raw, e.created_at, e.modified_at, s.status, s.status_at,
       s.withdrawn_at IS NULL AND s.status NOT IN ('REMOVED', 'PLANNED'), s.withdrawn_at
  FROM evse e JOIN evse_state s USING (location_pk, uid_key)
 WHERE %(pks)s::bigint[] IS NULL OR e.location_pk = ANY(%(pks)s)
 ORDER BY e.location_pk, e.ordinal, e.uid_key
"""
_TARIFFS = f"""
WITH published AS ({PUBLISHED})
SELECT t.pk, t.country_code, t.party_id, t.id, t.doc, t.source_last_updated, greatest(t.modified_at, t.withdrawn_at),
       t.withdrawn_at IS NULL AND o.platform_id IS NOT NULL
  FROM tariff t LEFT JOIN published o USING (platform_id, country_code, party_id)
 WHERE %(pks)s::bigint[] IS NULL OR t.pk = ANY(%(pks)s)
"""
_HEAD = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_CHANGES = """
SELECT kind, location_pk, tariff_pk, xid::text::bigint, id FROM change
 WHERE (xid, id) > (%s::text::xid8, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, id LIMIT 20000
"""


@dataclass(slots=True)
class FeedEvse:
    """An EVSE as the feed renders it."""

    public_id: str
    doc: bytes
    raw: bytes
    created_at: datetime
    modified_at: datetime
    status: str
    status_at: datetime
    visible: bool
    withdrawn_at: datetime | None


@dataclass(slots=True)
class FeedLocation:
    """A location with its operator as the feed renders it."""

    pk: int
    country_code: str
    party_id: str
    id: str
    doc: bytes
    raw: bytes
    created_at: datetime
    modified_at: datetime
    withdrawn_at: datetime | None
    visible: bool
    operator_name: str | None
    operator_url: str | None
    operator_details: dict[str, Any] | None
    evses: list[FeedEvse] = field(default_factory=list)


@dataclass(slots=True)
class FeedTariff:
    """A tariff as the feed renders it."""

    pk: int
    country_code: str
    party_id: str
    id: str
    doc: bytes
    last_updated: datetime | None
    modified_at: datetime
    visible: bool


async def load_locations(db: Database, environments: list[str], pks: list[int] | None) -> list[FeedLocation]:
    """Locations with their EVSEs, hidden ones included; all of them when ``pks`` is None."""
    params = {"environments": environments, "pks": pks}
    rows = {row[0]: FeedLocation(*row) for row in await db.fetch_all(_LOCATIONS, params)}
    for pk, *values in await db.fetch_all(_EVSES, params):
        if pk in rows:
            rows[pk].evses.append(FeedEvse(*values))
    return list(rows.values())


async def load_tariffs(db: Database, environments: list[str], pks: list[int] | None) -> list[FeedTariff]:
    """Tariffs, hidden ones included; all of them when ``pks`` is None."""
    return [FeedTariff(*row) for row in await db.fetch_all(_TARIFFS, {"environments": environments, "pks": pks})]


async def load_operators(db: Database, environments: list[str]) -> list[tuple[Any, ...]]:
    """(country_code, party_id, name, url, details) of the published operators."""
    rows = await db.fetch_all(PUBLISHED, {"environments": environments})
    return [row[1:] for row in rows]


async def head(db: Database) -> Position:
    """A position before which everything is committed and visible to what is read from now on."""
    row = await db.fetch_one(_HEAD)
    assert row is not None
    return (int(row[0]), 0)


async def changes_after(db: Database, position: Position) -> tuple[list[tuple[str, int | None, int | None]], Position]:
    """What changed after a position, as (kind, location pk, tariff pk), and the position reached."""
    rows = await db.fetch_all(_CHANGES, (str(position[0]), position[1]))
    found = [(kind, location, tariff) for kind, location, tariff, _, _ in rows]
    return found, (rows[-1][3], rows[-1][4]) if rows else position
