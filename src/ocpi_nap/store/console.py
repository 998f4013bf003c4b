"""SQL of the console's pages about platforms: each reads a handful of rows by an index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocpi_nap.store import crawls
from ocpi_nap.store.database import Database
from ocpi_nap.store.registry import setting


@dataclass(frozen=True, slots=True)
class Summary:
    """A platform in the list; ``delivered`` is its last push or complete pull."""

    id: int
    name: str
    environment: str
    state: str
    paused: bool
    version: str | None
    last_error: dict[str, Any] | None
    operators: list[str]
    last_request: datetime | None
    last_push: datetime | None
    pulled: datetime | None
    pull_failed: bool
    locations: int | None
    evses: int | None
    withheld: int
    full_minutes: int
    delta_minutes: int

    @property
    def delivered(self) -> datetime | None:
        """Its last push or complete pull."""
        return max((t for t in (self.last_push, self.pulled) if t), default=None)


_SUMMARY = """
SELECT p.id, p.name, p.environment, p.state, p.paused, p.version, p.last_error,
       (SELECT coalesce(array_agg(o.country_code || '*' || o.party_id ORDER BY 1), '{{}}') FROM operator o WHERE o.platform_id = p.id),
       c.last_request, c.last_push,
       (SELECT k.finished_at FROM crawl k
         WHERE k.platform_id = p.id AND k.module = 'locations' AND k.complete ORDER BY k.id DESC LIMIT 1),
       coalesce((SELECT NOT k.complete FROM crawl k
         WHERE k.platform_id = p.id AND k.module = 'locations' AND k.finished_at IS NOT NULL ORDER BY k.id DESC LIMIT 1), false),
       n.locations, n.evses, ({withheld}),
       {full}, {delta}
  FROM platform p LEFT JOIN platform_contact c ON c.platform_id = p.id
  LEFT JOIN LATERAL (SELECT sum(locations)::bigint AS locations, sum(evses)::bigint AS evses
                       FROM operator_count WHERE platform_id = p.id) n ON true
 ORDER BY p.environment, p.name
"""
# A crawl's withholding stands until a later full crawl of the same scope is complete, or somebody refuses it.
_STANDING = """
  FROM crawl k
 WHERE k.platform_id = {platform} AND k.withheld > 0 AND k.refused_by IS NULL
   AND NOT EXISTS (SELECT FROM crawl n WHERE n.platform_id = k.platform_id AND n.module = k.module AND n.scope = k.scope
                      AND n.id > k.id AND n.full_pull AND n.complete)
"""
_SUMMARIES = _SUMMARY.format(
    withheld="SELECT coalesce(sum(k.withheld), 0)::bigint" + _STANDING.format(platform="p.id"),
    full=setting("full_interval_minutes"), delta=setting("delta_interval_minutes"),
)  # fmt: skip


async def summaries(db: Database) -> list[Summary]:
    """All platforms, production first."""
    return [Summary(*row) for row in await db.fetch_all(_SUMMARIES)]


@dataclass(frozen=True, slots=True)
class Withheld:
    """A mass withdrawal that was held back."""

    crawl_id: int
    module: str
    scope: str
    count: int
    objects: int
    at: datetime


async def withheld(db: Database, platform_id: int) -> list[Withheld]:
    """Withdrawals of a platform that wait for a decision."""
    query = "SELECT k.id, k.module, k.scope, k.withheld, k.objects, k.started_at" + _STANDING.format(platform="%s") + " ORDER BY k.id"
    return [Withheld(*row) for row in await db.fetch_all(query, (platform_id,))]


async def refuse_withheld(db: Database, platform_id: int, crawl_id: int, who: str) -> bool:
    """Keep what a pull did not show; False when it was decided already."""
    async with db.transaction() as conn:
        row = await (await conn.execute(
            "UPDATE crawl SET refused_by = %s WHERE id = %s AND platform_id = %s AND withheld > 0 AND refused_by IS NULL RETURNING module",
            (who, crawl_id, platform_id),
        )).fetchone()  # fmt: skip
        if row is not None:
            await crawls.forget_missed(conn, row[0], platform_id)
    return row is not None


@dataclass(frozen=True, slots=True)
class CrawlRow:
    """One crawl as the history shows it."""

    id: int
    module: str
    scope: str
    full: bool
    started_at: datetime
    finished_at: datetime | None
    complete: bool
    pages: int
    objects: int
    new: int
    changed: int
    unchanged: int
    withdrawn: int
    withheld: int
    refused: int
    ignored: int
    issues: int
    error: str | None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs, and where its process ended in the middle."""
        return (self.finished_at - self.started_at).total_seconds() or None if self.finished_at else None


async def crawl_page(db: Database, platform_id: int, before: int | None, size: int) -> list[CrawlRow]:
    """Crawls of a platform, the newest first, those before an id."""
    rows = await db.fetch_all(
        "SELECT id, module, scope, full_pull, started_at, finished_at, complete, pages, objects, new, changed, unchanged, withdrawn,"
        " withheld, refused, ignored, issues, error FROM crawl"
        " WHERE platform_id = %s AND id < coalesce(%s, 9223372036854775807) ORDER BY id DESC LIMIT %s",
        (platform_id, before, size),
    )
    return [CrawlRow(*row) for row in rows]


Event = tuple[int, datetime, str, str, dict[str, Any] | None]


async def events(db: Database, platform_id: int, size: int) -> list[Event]:
    """(id, at, step, message, details) of a platform, the newest first."""
    rows = await db.fetch_all(
        "SELECT id, at, step, message, details FROM platform_event WHERE platform_id = %s ORDER BY id DESC LIMIT %s", (platform_id, size)
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


async def pushes_by_minute(db: Database, platform_id: int, minutes: int) -> list[int]:
    """Pushes in each of the last minutes, the oldest first, the minute that runs left out."""
    rows = await db.fetch_all(
        "SELECT coalesce(m.pushes, 0) FROM generate_series(date_trunc('minute', now()) - %s * interval '1 minute',"
        " date_trunc('minute', now()) - interval '1 minute', '1 minute') AS t(minute)"
        " LEFT JOIN (SELECT minute, pushes FROM push_minute WHERE platform_id = %s AND minute >= now() - %s * interval '1 minute'"
        " - interval '1 minute') m USING (minute) ORDER BY t.minute",
        (minutes, platform_id, minutes),
    )
    return [int(row[0]) for row in rows]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a platform's page shows besides the platform itself."""

    record_version: int
    has_token_a: bool
    last_request: datetime | None
    last_push: datetime | None
    next_full: datetime | None
    next_delta: datetime | None


async def facts(db: Database, platform_id: int) -> Facts:
    """Contact, schedule and record version of a platform."""
    row = await db.fetch_one(
        "SELECT p.record_version, p.outbound_a IS NOT NULL, c.last_request, c.last_push,"
        " (SELECT due_at FROM schedule WHERE platform_id = p.id AND full_pull), (SELECT due_at FROM schedule WHERE platform_id = p.id"
        " AND NOT full_pull) FROM platform p LEFT JOIN platform_contact c ON c.platform_id = p.id WHERE p.id = %s",
        (platform_id,),
    )
    assert row is not None
    return Facts(*row)
