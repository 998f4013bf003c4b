"""SQL of the common request counts."""

from __future__ import annotations

from ocpi_nap.store.database import Database

_ADD = """
INSERT INTO request_count SELECT %(bucket)s, client, to_timestamp(%(start)s), requests
  FROM unnest(%(clients)s::text[], %(counts)s::bigint[]) AS t(client, requests) ORDER BY client
    ON CONFLICT (bucket, client, window_start) DO UPDATE SET requests = request_count.requests + excluded.requests
RETURNING client, requests
"""


async def add_requests(db: Database, bucket: str, start: int, window: int, counts: dict[str, int]) -> dict[str, int]:
    """Add to the counts of a window that began at ``start`` (seconds since 1970); returns the totals. Older windows are forgotten."""
    clients = sorted(counts)
    params = {"bucket": bucket, "start": start, "clients": clients, "counts": [counts[client] for client in clients]}
    totals = {client: int(count) for client, count in await db.fetch_all(_ADD, params)}
    await db.execute(
        "DELETE FROM request_count WHERE ctid = ANY (ARRAY(SELECT ctid FROM request_count"
        " WHERE bucket = %s AND window_start < to_timestamp(%s) FOR UPDATE SKIP LOCKED LIMIT 10000))",
        (bucket, start - window),
    )
    return totals
