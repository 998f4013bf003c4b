"""SQL of the crawls: what is known before, what is withdrawn after, the record of each, and when the next one is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.rows import LocationKey

NextDue = Callable[[dict[str, Any], bool], timedelta]
"""The wait to a platform's next crawl, from its stored settings and whether it is the full one."""


@dataclass(slots=True)
class Known:
    """A stored object as a crawl compares it; ``pulled_hash`` is None when a push has touched it since its last pull."""

    pk: int
    pulled_hash: bytes | None
    active: bool

    @property
    def missed(self) -> bool:
        """The last full pull did not show it, and was not believed (D17)."""
        return self.pulled_hash == _MISSED


_MISSED = b""
"""In the place of an object's hash."""


_KNOWN_LOCATIONS = """
SELECT l.country_code, l.party_id, l.id_key, l.pk, l.withdrawn_at IS NULL,
       CASE WHEN l.withdrawn_at IS NULL AND NOT EXISTS (
            SELECT FROM evse_state s WHERE s.location_pk = l.pk AND s.via = 'push' AND s.received_at > l.received_at)
            THEN l.pulled_hash END
  FROM location l WHERE l.platform_id = %s
"""
_KNOWN_TARIFFS = """
SELECT country_code, party_id, id_key, pk, withdrawn_at IS NULL, CASE WHEN withdrawn_at IS NULL THEN pulled_hash END
  FROM tariff WHERE platform_id = %s
"""


async def known_objects(db: Database, module: str, platform_id: int) -> dict[LocationKey, Known]:
    """Everything we hold of the platform's locations or tariffs, tombstones included."""
    rows = await db.fetch_all(_KNOWN_LOCATIONS if module == "locations" else _KNOWN_TARIFFS, (platform_id,))
    return {(platform_id, cc, party, key): Known(pk, digest, active) for cc, party, key, pk, active, digest in rows}


_SHARED_UIDS = """
SELECT s.uid_key, array_agg(l.country_code || '/' || l.party_id || '/' || l.id ORDER BY l.pk)
  FROM location l JOIN evse_state s ON s.location_pk = l.pk
 WHERE l.platform_id = %s AND l.withdrawn_at IS NULL AND s.withdrawn_at IS NULL AND s.status <> 'REMOVED'
 GROUP BY l.country_code, l.party_id, s.uid_key HAVING count(*) > 1
"""


async def shared_uids(db: Database, platform_id: int) -> list[tuple[str, list[str]]]:
    """EVSE uids that stand under several Locations of one operator, with the Locations (R166)."""
    return [(uid, places) for uid, places in await db.fetch_all(_SHARED_UIDS, (platform_id,))]


_PUSHED_SINCE = {
    "tariffs": "(t.via = 'push' AND t.received_at >= %s)",
    "locations": "((t.via = 'push' AND t.received_at >= %s) OR EXISTS (SELECT FROM evse_state s"
    " WHERE s.location_pk = t.pk AND s.via = 'push' AND s.received_at >= %s))",
}


async def withdraw(db: Database, module: str, pks: list[int], reason: str, before: datetime) -> int:
    """Mark objects as withdrawn, unless they were received after ``before`` (R125); returns how many."""
    table, kind = module[:-1], module[:-1]
    row = await db.fetch_one(
        f"WITH gone AS (UPDATE {table} t SET withdrawn_at = now(), withdrawn_reason = %s, pulled_hash = NULL"
        f" WHERE pk = ANY(%s) AND withdrawn_at IS NULL AND NOT {_PUSHED_SINCE[module]} RETURNING pk),"
        f" told AS (INSERT INTO change (kind, {table}_pk) SELECT %s, pk FROM gone) SELECT count(*) FROM gone",
        (reason, pks, *[before] * _PUSHED_SINCE[module].count("%s"), kind),
    )
    return int(row[0]) if row else 0


async def mark_missed(db: Database, module: str, pks: list[int], before: datetime) -> None:
    """Remember that a pull did not show these objects, unless they were received after ``before``: a second one decides (D17)."""
    await db.execute(
        f"UPDATE {module[:-1]} t SET pulled_hash = %s WHERE pk = ANY(%s) AND NOT {_PUSHED_SINCE[module]}",
        (_MISSED, pks, *[before] * _PUSHED_SINCE[module].count("%s")),
    )


async def forget_missed(conn: Conn, module: str, platform_id: int) -> None:
    """Forget what pulls did not show: somebody decided to keep it, and a later pull holds it back again."""
    query = f"UPDATE {module[:-1]} SET pulled_hash = NULL WHERE platform_id = %s AND pulled_hash = %s"
    await conn.execute(query.encode(), (platform_id, _MISSED))


async def read_anew(conn: Conn, platform_id: int, *, unless: str | None = None) -> None:
    """Let the next full pull read all objects again, also those that come as before, because they are read otherwise now; ``unless``:
    not those that were read as this version."""
    for table in ("location", "tariff"):
        await conn.execute(
            f"UPDATE {table} SET pulled_hash = NULL"
            " WHERE platform_id = %s AND octet_length(pulled_hash) > 0 AND source_version IS DISTINCT FROM %s".encode(),
            (platform_id, unless),
        )


async def start_crawl(db: Database, platform_id: int, module: str, scope: str, full: bool, started_at: datetime) -> int:
    """Record that a crawl begins; returns its id."""
    row = await db.fetch_one(
        "INSERT INTO crawl (platform_id, module, scope, full_pull, started_at) VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (platform_id, module, scope, full, started_at),
    )
    assert row is not None
    return int(row[0])


_LATEST = 50


async def end_interrupted(conn: Conn, platform_id: int) -> None:
    """Crawls of a platform that never ended, although none is under way: their process did. When it did is not known."""
    await conn.execute(
        "UPDATE crawl SET finished_at = started_at, error = 'its process ended in the middle' WHERE finished_at IS NULL AND id IN"
        " (SELECT id FROM crawl WHERE platform_id = %s ORDER BY id DESC LIMIT %s)",
        (platform_id, _LATEST),
    )


async def finish_crawl(
    db: Database, crawl_id: int, counts: dict[str, int], complete: bool, server_time: datetime | None, error: str | None
) -> None:
    """Record how a crawl ended (R136)."""
    names = ("pages", "objects", "new", "changed", "unchanged", "withdrawn", "withheld", "refused", "ignored", "issues")
    sets = ", ".join(f"{name} = %s" for name in names)
    await db.execute(
        f"UPDATE crawl SET finished_at = now(), complete = %s, server_time = %s, error = %s, {sets} WHERE id = %s",
        (complete, server_time, error, *(counts[name] for name in names), crawl_id),
    )


async def last_complete(db: Database, platform_id: int, module: str, scope: str) -> datetime | None:
    """Start of the last complete crawl, in the peer's clock where it is known."""
    row = await db.fetch_one(
        "SELECT coalesce(server_time, started_at) FROM crawl"
        " WHERE platform_id = %s AND module = %s AND scope = %s AND complete ORDER BY id DESC LIMIT 1",
        (platform_id, module, scope),
    )
    return row[0] if row else None


async def connection(db: Database, platform_id: int) -> tuple[str, bool, bytes | None] | None:
    """(state, whether paused, sealed token that we send) of a platform; None when there is none."""
    row = await db.fetch_one("SELECT state, paused, outbound_c FROM platform WHERE id = %s", (platform_id,))
    return row if row is None else (row[0], row[1], row[2])


async def put_off_full(conn: Conn, platform_id: int) -> None:
    """The full pull that was due is due again in a minute: another one of the platform is in its way."""
    await conn.execute(
        "UPDATE schedule SET due_at = now() + interval '1 minute' WHERE platform_id = %s AND full_pull AND due_at > now()", (platform_id,)
    )


_FIRST_SINCE = """
SELECT max(e.at) FROM platform_event e
 WHERE e.platform_id = %(platform)s AND e.step = 'registered'
   AND NOT EXISTS (SELECT FROM crawl c WHERE c.platform_id = %(platform)s AND c.module = %(module)s AND c.scope = %(scope)s
                      AND c.complete AND c.full_pull AND c.started_at > e.at)
"""


async def registered_since_last_full(db: Database, platform_id: int, module: str, scope: str) -> datetime | None:
    """When the platform registered, while no full crawl since then was complete; None afterwards."""
    row = await db.fetch_one(_FIRST_SINCE, {"platform": platform_id, "module": module, "scope": scope})
    return row[0] if row else None


async def note_requests_sent(db: Database, platform_id: int, number: int) -> None:
    """Count requests to a platform in the current hour; older ones than two days are forgotten."""
    await db.execute(
        "INSERT INTO request_hour AS r SELECT id, date_trunc('hour', now()), %s FROM platform WHERE id = %s"
        " ON CONFLICT (platform_id, hour) DO UPDATE SET requests = r.requests + excluded.requests",
        (number, platform_id),
    )
    await db.execute("DELETE FROM request_hour WHERE platform_id = %s AND hour < now() - interval '2 days'", (platform_id,))


async def requests_sent(db: Database, platform_id: int) -> int:
    """Requests to a platform in the last 24 hours, and the rest of the hour before them."""
    row = await db.fetch_one(
        "SELECT coalesce(sum(requests), 0) FROM request_hour WHERE platform_id = %s AND hour > now() - interval '25 hours'", (platform_id,)
    )
    return int(row[0]) if row else 0


_DUE = """
INSERT INTO schedule (platform_id, full_pull, due_at)
SELECT p.id, f.full_pull, now()
  FROM platform p CROSS JOIN (VALUES (true), (false)) AS f(full_pull)
 WHERE p.state IN ('registered', 'registered-unverified') AND NOT p.paused
ON CONFLICT DO NOTHING
"""
_TAKE_DUE = """
SELECT s.platform_id, s.full_pull, p.settings,
       (SELECT coalesce(sum(r.requests), 0) FROM request_hour r WHERE r.platform_id = p.id AND r.hour > now() - interval '25 hours')
  FROM schedule s JOIN platform p ON p.id = s.platform_id
 WHERE s.due_at <= now() AND p.state IN ('registered', 'registered-unverified') AND NOT p.paused
 ORDER BY s.due_at FOR UPDATE OF s SKIP LOCKED
"""


async def take_due(conn: Conn, next_due: NextDue) -> list[tuple[int, bool]]:
    """(platform, whether in full) of the crawls that are due; their next time is set, so that no node takes one twice. The caller's
    transaction queues them too: either both is done or neither.

    A platform that may be asked only so often a day (I-8) is passed over while the last 24 hours used that up.
    """
    taken = []
    await conn.execute(_DUE)
    for platform_id, full, settings, asked in await (await conn.execute(_TAKE_DUE)).fetchall():
        budget = int((settings or {}).get("max_requests_per_day", 0))
        spent = 0 < budget <= asked
        wait = timedelta(hours=1) if spent else next_due(settings or {}, full)
        await conn.execute("UPDATE schedule SET due_at = now() + %s WHERE platform_id = %s AND full_pull = %s", (wait, platform_id, full))
        if not spent:
            taken.append((platform_id, full))
    return taken
