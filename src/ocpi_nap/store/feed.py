"""SQL of the public feed: what may be seen, and what changed since."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ocpi_nap.store.database import Database
from ocpi_nap.store.registry import setting
from ocpi_nap.store.rows import EVSES_OF

Position = tuple[int, int]
"""How far a reader of the change feed is: (transaction id, row id)."""
TariffKey = tuple[int, str, str, str]
"""(platform id, country code, party id, id as connectors name it: exactly, contract section 4)"""
Kind = Literal["location", "tariff"]

WANTED = "wanted"
"""Payload on the channel ``feed``: somebody waits for what changed to be rendered."""
_CHANGES_AT_ONCE = 20_000
_OBJECTS_AT_ONCE = 4000
HIDDEN_STATUSES = ("PLANNED", "REMOVED")
"""An EVSE with one of these is not shown, and its status told to nobody (contract section 3)."""
SHOWN_EVSE = f"s.withdrawn_at IS NULL AND s.status NOT IN {HIDDEN_STATUSES}"
"""Whether the public sees the EVSE of a row ``s`` of ``evse_state``, as SQL."""
# Test and production may carry the same party: production wins, once it was connected. A lost connection keeps its data for a while (D19).
PUBLISHED = f"""
SELECT DISTINCT ON (o.country_code, o.party_id) o.platform_id, o.country_code, o.party_id, o.name, o.url, o.details
  FROM operator o JOIN platform p ON p.id = o.platform_id
 WHERE p.environment = ANY(%(environments)s)
   AND (p.disconnected_at IS NULL
        OR p.disconnected_at > now() - {setting("publish_after_disconnect_hours")} * interval '1 hour')
 ORDER BY o.country_code, o.party_id, p.version IS NULL AND p.disconnected_at IS NULL, p.environment
"""
_LOCATIONS = f"""
WITH published AS ({PUBLISHED})
SELECT l.pk, l.country_code, l.party_id, l.id, l.doc, l.raw, l.created_at, l.modified_at, l.withdrawn_at,
       l.withdrawn_at IS NULL AND l.publish AND o.platform_id IS NOT NULL, o.name, o.url, o.details, l.platform_id
  FROM location l LEFT JOIN published o USING (platform_id, country_code, party_id)
 WHERE l.pk = ANY(%(pks)s)
"""
_EVSES = f"""
SELECT e.location_pk, e.public_id, e.doc, e.raw, e.created_at, e.modified_at, s.status, s.status_at,
       {SHOWN_EVSE}, s.withdrawn_at
  FROM {EVSES_OF.format(pks="%(pks)s")}
 ORDER BY e.location_pk, e.ordinal, e.uid_key
"""
_TARIFF = """
SELECT t.pk, t.country_code, t.party_id, t.id, t.doc, t.modified_at, greatest(t.modified_at, t.withdrawn_at),
       t.withdrawn_at IS NULL AND o.platform_id IS NOT NULL, t.platform_id
"""
_TARIFFS = f"""
WITH published AS ({PUBLISHED})
{_TARIFF} FROM tariff t LEFT JOIN published o USING (platform_id, country_code, party_id)
 WHERE t.pk = ANY(%(pks)s)
"""
_TARIFFS_BY_KEY = f"""
WITH published AS ({PUBLISHED})
{_TARIFF}
  FROM unnest(%(platforms)s::int[], %(countries)s::text[], %(parties)s::text[], %(ids)s::text[])
    AS k(platform_id, country_code, party_id, id)
  JOIN tariff t USING (platform_id, country_code, party_id, id)
  LEFT JOIN published o USING (platform_id, country_code, party_id)
 WHERE t.id_key IN (k.id, lower(k.id COLLATE "C"))
"""
_NUMBERS = "SELECT pk FROM {table} WHERE pk > %s ORDER BY pk LIMIT %s"
_NUMBERS_OF_PARTY = "SELECT pk FROM {table} WHERE country_code = %s AND party_id = %s"
_PARTIES = f"""
WITH published AS ({PUBLISHED})
SELECT o.country_code, o.party_id, o.platform_id, p.platform_id IS NOT NULL, o.name, o.url, o.details
  FROM operator o LEFT JOIN published p USING (platform_id, country_code, party_id)
 ORDER BY o.country_code, o.party_id, o.platform_id
"""
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system())::text, (SELECT oid FROM pg_database WHERE datname = current_database())::text,
       'change'::regclass::oid::text
"""
_HEAD = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
CHANGES = """  FROM change
 WHERE (xid, id) > (%s::text::xid8, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, id LIMIT %s
"""
"""The change feed after a position, as SQL: in order, only what no transaction that still runs can come before. Parameters: both parts of
the position, the first as text, and how many rows."""
_CHANGED = f"SELECT xid::text::bigint, id, kind, location_pk, tariff_pk{CHANGES}"
_REGISTRY = """
SELECT max(at) FROM (
  SELECT kind, at FROM change WHERE (xid, id) > (%s::text::xid8, %s) AND (xid, id) <= (%s::text::xid8, %s)
   ORDER BY xid DESC, id DESC LIMIT 200000
) AS latest WHERE kind = 'registry'
"""
_NEWEST = """
SELECT xid::text::bigint, id FROM change
 WHERE NOT %s OR xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid DESC, id DESC LIMIT 1
"""


@dataclass(slots=True)
class Changed:
    """What a stretch of the change feed up to a position names, each object once."""

    position: Position
    locations: set[int] = field(default_factory=set)
    described: set[int] = field(default_factory=set)
    """Of the locations, those of which more than a status changed."""
    tariffs: set[int] = field(default_factory=set)
    registry: bool = False
    """Operators or platforms are among it."""
    releases: int = 0
    """How often held snapshots were let go."""


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
    platform_id: int = 0
    evses: list[FeedEvse] = field(default_factory=list)


@dataclass(slots=True)
class FeedTariff:
    """A tariff as the feed renders it."""

    pk: int
    country_code: str
    party_id: str
    id: str
    doc: bytes
    last_updated: datetime
    modified_at: datetime
    visible: bool
    platform_id: int = 0

    @property
    def key(self) -> TariffKey:
        """What connectors name it by."""
        return (self.platform_id, self.country_code, self.party_id, self.id)


async def load_locations(db: Database, environments: list[str], pks: list[int]) -> list[FeedLocation]:
    """Locations with their EVSEs, hidden ones included."""
    params = {"environments": environments, "pks": pks}
    rows = {row[0]: FeedLocation(*row) for row in await db.fetch_all(_LOCATIONS, params)}
    for pk, *values in await db.fetch_all(_EVSES, params):
        if pk in rows:
            rows[pk].evses.append(FeedEvse(*values))
    return list(rows.values())


async def load_tariffs(db: Database, environments: list[str], pks: list[int]) -> list[FeedTariff]:
    """Tariffs, hidden ones included."""
    return [FeedTariff(*row) for row in await db.fetch_all(_TARIFFS, {"environments": environments, "pks": pks})]


async def load_tariffs_by_key(db: Database, environments: list[str], keys: list[TariffKey]) -> list[FeedTariff]:
    """The tariffs that exist of those named, hidden ones included."""
    platforms, countries, parties, ids = ([key[i] for key in keys] for i in range(4))
    params = {"environments": environments, "platforms": platforms, "countries": countries, "parties": parties, "ids": ids}
    return [FeedTariff(*row) for row in await db.fetch_all(_TARIFFS_BY_KEY, params)]


async def next_numbers(db: Database, table: Kind, after: int, count: int) -> list[int]:
    """The numbers of the rows that follow one, in order."""
    return [row[0] for row in await db.fetch_all(_NUMBERS.format(table=table), (after, count))]


async def numbers_of_party(db: Database, table: Kind, country_code: str, party_id: str) -> list[int]:
    """The numbers of an operator's rows."""
    return [row[0] for row in await db.fetch_all(_NUMBERS_OF_PARTY.format(table=table), (country_code, party_id))]


async def object_path(db: Database, table: Kind, pk: int) -> tuple[int, str] | None:
    """(platform id, ``locations/FI/ABC/L1``) of a row, as issues name it."""
    row = await db.fetch_one(f"SELECT platform_id, country_code, party_id, id FROM {table} WHERE pk = %s", (pk,))
    return (row[0], "/".join((f"{table}s", *row[1:]))) if row else None


async def load_parties(db: Database, environments: list[str]) -> list[tuple[Any, ...]]:
    """(country_code, party_id, platform_id, published, name, url, details) of all operators, also of those not published."""
    return await db.fetch_all(_PARTIES, {"environments": environments})


async def database_identity(db: Database) -> str:
    """Differs when the database is another one, or was restored from a dump."""
    row = await db.fetch_one(_IDENTITY)
    assert row is not None
    return "/".join(row)


async def head(db: Database) -> Position:
    """A position before which everything is committed and visible to what is read from now on."""
    row = await db.fetch_one(_HEAD)
    assert row is not None
    return (int(row[0]), 0)


async def newest(db: Database, *, readable: bool) -> Position:
    """The last change that is committed; ``readable``: that a reader of the change feed can have read, for which older transactions must
    have ended."""
    row = await db.fetch_one(_NEWEST, (readable,))
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def changes_after(db: Database, position: Position) -> Changed | None:
    """What changed after a position; None if nothing did. A long stretch is read in parts, by the objects that it names: a status that
    changes ten times while nobody looks is looked at once."""
    rows = await db.fetch_all(_CHANGED, (str(position[0]), position[1], _CHANGES_AT_ONCE))
    if not rows:
        return None
    found = Changed(position)
    for xid, number, kind, location, tariff in rows:
        if location is not None:
            found.locations.add(location)
            if kind != "status":
                found.described.add(location)
        elif tariff is not None:
            found.tariffs.add(tariff)
        found.registry = found.registry or kind == "registry"
        found.releases += kind == "snapshot-release"
        found.position = xid, number
        if len(found.locations) + len(found.tariffs) >= _OBJECTS_AT_ONCE:
            break
    return found


async def registry_changed(db: Database, after: Position, until: Position) -> datetime | None:
    """When operators or platforms last changed, of a stretch of the change feed; None where nothing of them is in its latest part."""
    row = await db.fetch_one(_REGISTRY, (str(after[0]), after[1], str(until[0]), until[1]))
    return row[0] if row else None


async def release_snapshots(db: Database) -> None:
    """Tell all nodes, by the change feed, to publish the snapshots that they hold back."""
    await db.execute("INSERT INTO change (kind) VALUES ('snapshot-release')")
    await db.notify("feed")
