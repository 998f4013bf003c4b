"""SQL of the console's operators, inspector and live pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocpi_nap.store.database import Database

LOOKED_BACK = 100_000
"""Rows of the change feed among which an object's history is looked for: it has no index by object, which every push would pay for."""
_LIVE_WINDOW = 5_000


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """An operator on a platform, and what it has as last counted."""

    platform: str
    environment: str
    state: str
    country_code: str
    party_id: str
    name: str
    url: str | None
    source: str
    locations: int | None
    evses: int | None
    tariffs: int | None
    withdrawn: int | None
    received_at: datetime | None
    counted_at: datetime | None


_COUNTED = """
SELECT p.name, p.environment, p.state, o.country_code, o.party_id, o.name, o.url, o.source, c.locations, c.evses, c.tariffs, c.withdrawn,
       c.received_at, c.counted_at
  FROM operator o JOIN platform p ON p.id = o.platform_id
  LEFT JOIN operator_count c ON (c.platform_id, c.country_code, c.party_id) = (o.platform_id, o.country_code, o.party_id)
"""
_OPERATORS = f"""{_COUNTED}
 WHERE (%(text)s = '' OR o.name ILIKE %(like)s OR o.country_code || '*' || o.party_id ILIKE %(like)s)
   AND (o.country_code, o.party_id, p.name) > (%(country)s, %(party)s, %(platform)s)
 ORDER BY o.country_code, o.party_id, p.name LIMIT %(size)s
"""


async def operators(db: Database, text: str, after: tuple[str, str, str], size: int) -> list[OperatorRow]:
    """Operators whose name or id holds the text, in the order of their ids, those after a key."""
    like = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    params = {"text": text, "like": like, "country": after[0], "party": after[1], "platform": after[2], "size": size}
    return [OperatorRow(*row) for row in await db.fetch_all(_OPERATORS, params)]


async def operators_of(db: Database, country_code: str, party_id: str) -> list[OperatorRow]:
    """An operator on each platform that delivers it."""
    query = f"{_COUNTED} WHERE (o.country_code, o.party_id) = (%s, %s) ORDER BY p.environment, p.name"
    return [OperatorRow(*row) for row in await db.fetch_all(query, (country_code, party_id))]


@dataclass(frozen=True, slots=True)
class Found:
    """An object that a search hit: ``kind`` is location or tariff."""

    kind: str
    pk: int
    platform: str
    country_code: str
    party_id: str
    id: str
    withdrawn_at: datetime | None


_BY_ID = """
SELECT %(kind)s, t.pk, p.name, t.country_code, t.party_id, t.id, t.withdrawn_at
  FROM operator o JOIN platform p ON p.id = o.platform_id
  JOIN {table} t ON t.platform_id = o.platform_id AND t.country_code = o.country_code AND t.party_id = o.party_id
   AND t.id_key = ANY(%(keys)s)
 WHERE (%(platform)s = '' OR p.name = %(platform)s)
   AND (%(party)s = '' OR o.country_code || '*' || o.party_id = %(party)s)
 ORDER BY p.name LIMIT 50
"""
_BY_EVSE = """
SELECT 'location', l.pk, p.name, l.country_code, l.party_id, l.id, l.withdrawn_at
  FROM evse e JOIN location l ON l.pk = e.location_pk JOIN platform p ON p.id = l.platform_id
 WHERE left(e.public_id, 120) = ANY(%(beginnings)s) AND e.public_id = ANY(%(ids)s) ORDER BY p.name LIMIT 50
"""


async def find_by_id(db: Database, keys: list[str], *, platform: str = "", party: str = "", kinds: tuple[str, ...]) -> list[Found]:
    """Locations and tariffs by the look-up forms of an id, of one platform or party where one is given."""
    found: list[Found] = []
    for kind in kinds:
        query = _BY_ID.format(table="location" if kind == "location" else "tariff")
        params = {"kind": kind, "keys": keys, "platform": platform, "party": party}
        found += [Found(*row) for row in await db.fetch_all(query, params)]
    return found


async def find_by_evse(db: Database, ids: list[str]) -> list[Found]:
    """The locations of an EVSE by its public id."""
    return [Found(*row) for row in await db.fetch_all(_BY_EVSE, {"ids": ids, "beginnings": [i[:120] for i in ids]})]


async def location_row(db: Database, pk: int) -> dict[str, Any] | None:
    """A location with its platform and its EVSEs (``evses``), each with the connectors that are gone (``gone``), as stored."""
    row = await _one(db, "SELECT t.*, p.name AS platform FROM location t JOIN platform p ON p.id = t.platform_id WHERE t.pk = %s", pk)
    if row is not None:
        row["evses"] = await _many(
            db,
            "SELECT e.uid_key, e.uid, e.public_id, e.raw, e.doc, s.status, s.status_raw, s.status_at, s.last_updated_raw, s.received_at,"
            " s.via, s.withdrawn_at, s.withdrawn_reason"
            "  FROM evse e JOIN evse_state s USING (location_pk, uid_key) WHERE e.location_pk = %s ORDER BY e.ordinal, e.uid_key",
            pk,
        )
        gone = "SELECT uid_key, doc, withdrawn_at, withdrawn_reason FROM gone_connector WHERE location_pk = %s ORDER BY withdrawn_at"
        connectors = await _many(db, gone, pk)
        for evse in row["evses"]:
            evse["gone"] = [connector for connector in connectors if connector["uid_key"] == evse["uid_key"]]
    return row


async def tariff_row(db: Database, pk: int) -> dict[str, Any] | None:
    """A tariff with its platform, as stored."""
    return await _one(db, "SELECT t.*, p.name AS platform FROM tariff t JOIN platform p ON p.id = t.platform_id WHERE t.pk = %s", pk)


async def _many(db: Database, query: str, pk: int) -> list[dict[str, Any]]:
    async with db.connection() as conn:
        cursor = await conn.execute(query.encode(), (pk,), binary=True)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def _one(db: Database, query: str, pk: int) -> dict[str, Any] | None:
    rows = await _many(db, query, pk)
    return rows[0] if rows else None


Change = tuple[datetime, str, str | None, str | None, datetime | None]


async def history(db: Database, kind: str, pk: int) -> list[Change]:
    """(at, kind, EVSE, status, status_at) of an object among the latest changes, the newest first."""
    column = "location_pk" if kind == "location" else "tariff_pk"
    rows = await db.fetch_all(
        f"SELECT at, kind, uid_key, status, status_at FROM (SELECT * FROM change ORDER BY xid DESC, id DESC LIMIT {LOOKED_BACK}) c"
        f" WHERE {column} = %s LIMIT 100",
        (pk,),
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """A status as it arrived."""

    at: datetime
    status: str
    status_at: datetime
    location_pk: int
    platform: str
    country_code: str
    party_id: str
    location: str
    evse: str


_LIVE = f"""
SELECT c.at, c.status, c.status_at, c.location_pk, p.name, l.country_code, l.party_id, l.id, coalesce(e.public_id, c.uid_key)
  FROM (SELECT * FROM change ORDER BY xid DESC, id DESC LIMIT {_LIVE_WINDOW}) c
  JOIN location l ON l.pk = c.location_pk JOIN platform p ON p.id = l.platform_id
  LEFT JOIN evse e ON e.location_pk = c.location_pk AND e.uid_key = c.uid_key
 WHERE c.kind = 'status' AND (%(platform)s = '' OR p.name = %(platform)s)
 ORDER BY c.xid DESC, c.id DESC LIMIT %(size)s
"""


async def live(db: Database, platform: str, size: int) -> list[LiveStatus]:
    """The latest changes of status, the newest first."""
    return [LiveStatus(*row) for row in await db.fetch_all(_LIVE, {"platform": platform, "size": size})]
