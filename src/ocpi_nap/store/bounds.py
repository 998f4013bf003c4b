"""What is kept of what is over: whoever renames everything each day, or for ever, must not fill the disk (R200)."""

from __future__ import annotations

from ocpi_nap.store import network
from ocpi_nap.store.database import Database

MOST_TOMBSTONES = 100_000
"""Withdrawn locations of one platform, and its withdrawn tariffs; the oldest go."""
MOST_GONE_CONNECTORS = 1000
"""Of one location."""
MOST_EVENTS = 1000
"""Of one platform and step."""
_BATCH = 256

_CROWDED = "SELECT platform_id FROM {table} WHERE withdrawn_at IS NOT NULL GROUP BY platform_id HAVING count(*) > %s"
_OLDEST = """
SELECT platform_id, country_code, party_id, id_key, pk FROM {table} WHERE platform_id = %s AND withdrawn_at IS NOT NULL
 ORDER BY withdrawn_at DESC, pk DESC OFFSET %s LIMIT %s
"""
_ERASE = "DELETE FROM {table} WHERE pk = ANY(%s) AND withdrawn_at IS NOT NULL RETURNING pk"
_CONNECTORS = """
DELETE FROM gone_connector g USING (
       SELECT location_pk, uid_key, id_key,
              row_number() OVER (PARTITION BY location_pk ORDER BY withdrawn_at DESC, uid_key, id_key) AS place FROM gone_connector) AS o
 WHERE (g.location_pk, g.uid_key, g.id_key) = (o.location_pk, o.uid_key, o.id_key) AND o.place > %s
"""
_EVENTS = """
DELETE FROM platform_event USING (
       SELECT id, row_number() OVER (PARTITION BY platform_id, step ORDER BY id DESC) AS place FROM platform_event) AS o
 WHERE platform_event.id = o.id AND o.place > %s
"""


async def keep_bounded(db: Database) -> None:
    """Forget the oldest of what is over, where there is more of it than anybody looks at."""
    for table in ("location", "tariff"):
        for (platform_id,) in await db.fetch_all(_CROWDED.format(table=table), (MOST_TOMBSTONES,)):
            while await _erase(db, table, platform_id):
                pass
    await db.execute(_CONNECTORS, (MOST_GONE_CONNECTORS,))
    await db.execute(_EVENTS, (MOST_EVENTS,))


async def _erase(db: Database, table: str, platform_id: int) -> bool:
    """A batch of tombstones that are too many, with what lies below them; writers who bring one back come before or after."""
    rows = await db.fetch_all(_OLDEST.format(table=table), (platform_id, MOST_TOMBSTONES, _BATCH))
    if not rows:
        return False
    async with db.transaction() as conn:
        await network.lock(conn, f"{table}s", [row[:4] for row in rows])
        gone = await (await conn.execute(_ERASE.format(table=table).encode(), ([row[4] for row in rows],))).fetchall()
        if table == "location":
            for below in ("evse", "evse_state", "gone_connector"):
                await conn.execute(f"DELETE FROM {below} WHERE location_pk = ANY(%s)".encode(), ([pk for (pk,) in gone],))
    return True
