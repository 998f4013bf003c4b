"""SQL of the MQTT publisher: which visible statuses follow a position of the change feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]
Position = tuple[int, int]
Status = tuple[str, str, str, str, str, datetime]
"""country code, party, location id, EVSE id, status, time."""

READER = "mqtt"
_BATCH = 2000

_NEXT = """
WITH next AS (
    SELECT * FROM change WHERE (xid, id) > (%(xid)s::text::xid8, %(id)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY xid, id LIMIT %(batch)s
), published AS (
    SELECT DISTINCT ON (o.country_code, o.party_id) o.platform_id, o.country_code, o.party_id
      FROM operator o JOIN platform p ON p.id = o.platform_id
     WHERE p.environment = ANY(%(environments)s) ORDER BY o.country_code, o.party_id, p.environment
)
SELECT l.country_code, l.party_id, l.id, e.public_id, coalesce(n.status, s.status), coalesce(n.status_at, s.status_at)
  FROM next n
  JOIN location l ON l.pk = n.location_pk AND l.publish AND l.withdrawn_at IS NULL
  JOIN published USING (platform_id, country_code, party_id)
  JOIN evse_state s ON s.location_pk = l.pk AND s.withdrawn_at IS NULL AND (s.uid_key = n.uid_key OR n.kind = 'location-new')
  JOIN evse e ON e.location_pk = l.pk AND e.uid_key = s.uid_key
 WHERE n.kind IN ('status', 'location-new') AND coalesce(n.status, s.status) NOT IN ('REMOVED', 'PLANNED')
 ORDER BY n.xid, n.id, e.ordinal
"""
_REACHED = """
SELECT xid::text::bigint, id FROM (
    SELECT xid, id FROM change WHERE (xid, id) > (%(xid)s::text::xid8, %(id)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY xid, id LIMIT %(batch)s) AS part
 ORDER BY xid DESC, id DESC LIMIT 1
"""


async def ensure_position(conn: Conn, reader: str) -> Position:
    """Where a reader is; a new one begins with the oldest change that is kept."""
    row = await (await conn.execute("SELECT xid::text::bigint, id FROM feed_position WHERE reader = %s", (reader,))).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def store_position(conn: Conn, reader: str, position: Position) -> None:
    """Remember how far a reader is."""
    await conn.execute(
        "INSERT INTO feed_position VALUES (%s, %s::text::xid8, %s) ON CONFLICT (reader) DO UPDATE SET xid = excluded.xid, id = excluded.id",
        (reader, str(position[0]), position[1]),
    )


async def next_statuses(conn: Conn, position: Position, environments: list[str]) -> tuple[list[Status], Position]:
    """Visible statuses after a position, in order, and the position that they reach; one snapshot for both."""
    params = {"xid": str(position[0]), "id": position[1], "batch": _BATCH, "environments": environments}
    async with conn.transaction():
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reached = await (await conn.execute(_REACHED, params)).fetchone()
        if reached is None:
            return [], position
        statuses = await (await conn.execute(_NEXT, params, binary=True)).fetchall()
    return statuses, (int(reached[0]), int(reached[1]))
