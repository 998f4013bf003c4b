"""SQL of what platforms ask of us, and of what each operator has."""

from __future__ import annotations

from datetime import datetime

from ocpi_nap.store import locks
from ocpi_nap.store.database import Database

_CONTACT = """
INSERT INTO platform_contact AS c (platform_id, last_request, last_push)
SELECT t.* FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS t(platform_id, last_request, last_push)
  JOIN platform p ON p.id = t.platform_id ORDER BY t.platform_id
ON CONFLICT (platform_id) DO UPDATE
   SET last_request = greatest(c.last_request, excluded.last_request), last_push = greatest(c.last_push, excluded.last_push)
"""
_PUSHES = """
INSERT INTO push_minute AS m (platform_id, minute, pushes)
SELECT t.* FROM unnest(%s::int[], %s::timestamptz[], %s::bigint[]) AS t(platform_id, minute, pushes)
  JOIN platform p ON p.id = t.platform_id ORDER BY t.platform_id, t.minute
ON CONFLICT (platform_id, minute) DO UPDATE SET pushes = m.pushes + excluded.pushes
"""


async def note_requests(
    db: Database, requests: dict[int, datetime], pushed: dict[int, datetime], minutes: dict[tuple[int, datetime], int]
) -> None:
    """The last request and push of platforms, and their pushes by minute."""
    ids = sorted(requests)
    await db.execute(_CONTACT, (ids, [requests[i] for i in ids], [pushed.get(i) for i in ids]))
    if minutes:
        keys = sorted(minutes)
        await db.execute(_PUSHES, ([k[0] for k in keys], [k[1] for k in keys], [minutes[k] for k in keys]))


async def forget_old_pushes(db: Database) -> None:
    """Pushes by minute are kept for two days."""
    await db.execute("DELETE FROM push_minute WHERE minute < now() - interval '2 days'")


async def forget_old_jobs(db: Database) -> None:
    """What PgQueuer noted of jobs is kept for a week; it deletes nothing by itself."""
    await db.execute("DELETE FROM pgqueuer_log WHERE created < now() - interval '7 days'")


_COUNT = """
WITH places AS (
    SELECT platform_id, country_code, party_id, count(*) FILTER (WHERE withdrawn_at IS NULL) AS locations,
           count(*) FILTER (WHERE withdrawn_at IS NOT NULL) AS withdrawn, max(received_at) AS received_at
      FROM location GROUP BY 1, 2, 3
), points AS (
    SELECT l.platform_id, l.country_code, l.party_id, count(*) AS evses, max(s.received_at) AS received_at
      FROM location l JOIN evse_state s ON s.location_pk = l.pk
     WHERE l.withdrawn_at IS NULL AND s.withdrawn_at IS NULL AND s.status <> 'REMOVED' GROUP BY 1, 2, 3
), prices AS (
    SELECT platform_id, country_code, party_id, count(*) AS tariffs, max(received_at) AS received_at
      FROM tariff WHERE withdrawn_at IS NULL GROUP BY 1, 2, 3
)
INSERT INTO operator_count
SELECT o.platform_id, o.country_code, o.party_id, coalesce(a.locations, 0), coalesce(b.evses, 0), coalesce(c.tariffs, 0),
       coalesce(a.withdrawn, 0), greatest(a.received_at, b.received_at, c.received_at), now()
  FROM operator o LEFT JOIN places a USING (platform_id, country_code, party_id)
  LEFT JOIN points b USING (platform_id, country_code, party_id) LEFT JOIN prices c USING (platform_id, country_code, party_id)
 ORDER BY 1, 2, 3
ON CONFLICT (platform_id, country_code, party_id) DO UPDATE
   SET locations = excluded.locations, evses = excluded.evses, tariffs = excluded.tariffs, withdrawn = excluded.withdrawn,
       received_at = excluded.received_at, counted_at = excluded.counted_at
"""


async def count_operators(db: Database) -> None:
    """Count what every operator has; operators that are gone are forgotten."""
    async with db.transaction() as conn:
        if await locks.try_until_commit(conn, locks.COUNT_OPERATORS):
            await conn.execute(
                "DELETE FROM operator_count c WHERE NOT EXISTS (SELECT FROM operator o WHERE (o.platform_id, o.country_code, o.party_id)"
                " = (c.platform_id, c.country_code, c.party_id))"
            )
            await conn.execute(_COUNT.encode())
