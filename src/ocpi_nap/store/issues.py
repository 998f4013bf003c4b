"""SQL of the issues: written by the intake, read by people in groups, pages by key, and everything for an export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocpi_nap.store.database import Database

MOST_RECORDS = 50_000
"""Of one platform and rule; what is beyond is counted in one record for all other objects."""
OTHERS = {True: "other objects, refused", False: "other objects, tolerated"}
"""The name of that record."""

_COLUMNS = "platform_id, object, path, rule, message, sample, refused, first_seen, last_seen, count"
_UPSERT = f"""
WITH given AS (
    SELECT t.* FROM unnest(%(platform_id)s::int[], %(object)s::text[], %(path)s::text[], %(rule)s::text[], %(message)s::text[],
                           %(sample)s::text[], %(refused)s::boolean[], %(first_seen)s::timestamptz[], %(last_seen)s::timestamptz[],
                           %(count)s::bigint[]) AS t({_COLUMNS})
      JOIN platform p ON p.id = t.platform_id
), new AS (
    SELECT g.platform_id, g.object, g.path, g.rule,
           coalesce(k.records, 0) + row_number() OVER (PARTITION BY g.platform_id, g.rule ORDER BY g.object, g.path) AS place
      FROM given g
      LEFT JOIN (SELECT platform_id, rule, sum(records) AS records FROM issue_group GROUP BY platform_id, rule) k USING (platform_id, rule)
     WHERE (SELECT true FROM issue i  -- as a value, so that each is looked up by index: a join would read the whole table
             WHERE (i.platform_id, i.object, i.path, i.rule) = (g.platform_id, g.object, g.path, g.rule)) IS NULL
), placed AS (
    SELECT g.*, coalesce(n.place > %(most)s, false) AS beyond FROM given g LEFT JOIN new n USING (platform_id, object, path, rule)
), named AS (
    SELECT platform_id, CASE WHEN beyond AND refused THEN %(refused_others)s WHEN beyond THEN %(other_others)s ELSE object END AS object,
           CASE WHEN beyond THEN '' ELSE path END AS path, rule, message, sample, refused, first_seen, last_seen, count
      FROM placed
)
INSERT INTO issue AS i ({_COLUMNS})
SELECT platform_id, object, path, rule, (array_agg(message ORDER BY last_seen DESC))[1], (array_agg(sample ORDER BY last_seen DESC))[1],
       bool_or(refused), min(first_seen), max(last_seen), sum(count)
  FROM named GROUP BY platform_id, object, path, rule ORDER BY platform_id, object, path, rule
ON CONFLICT (platform_id, object, path, rule) DO UPDATE
   SET message = excluded.message, sample = excluded.sample, refused = excluded.refused, last_seen = excluded.last_seen,
       count = i.count + excluded.count
"""


NewIssue = tuple[int, str, str, str, str, str, bool, datetime, datetime, int]
"""(platform id, object, path, rule, message, sample, refused, first seen, last seen, how often)"""


async def add_issues(db: Database, issues: Sequence[NewIssue]) -> None:
    """Add issues, each object, path and rule at most once, to what was counted of them before; those of platforms that are gone are left
    out. Of more objects than MOST_RECORDS only the number is told."""
    columns = {name: list(column) for name, column in zip(_COLUMNS.split(", "), zip(*issues, strict=True), strict=True)}
    await db.execute(_UPSERT, columns | {"most": MOST_RECORDS, "refused_others": OTHERS[True], "other_others": OTHERS[False]})


Key = tuple[str, str, str]
"""(object, path, rule): where a page ends."""


@dataclass(frozen=True, slots=True)
class Group:
    """All issues of one platform and rule; the example is the latest."""

    platform: str
    rule: str
    refused: bool
    records: int
    count: int
    first_seen: datetime
    last_seen: datetime
    object: str
    path: str
    message: str
    sample: str

    @property
    def key(self) -> GroupKey:
        """Its place in the order of groups."""
        return (not self.refused, -self.records, self.platform, self.rule)


@dataclass(frozen=True, slots=True)
class Record:
    """One issue of one object."""

    object: str
    path: str
    rule: str
    message: str
    sample: str
    refused: bool
    first_seen: datetime
    last_seen: datetime
    count: int

    @property
    def key(self) -> Key:
        """Its place in the order of issues."""
        return (self.object, self.path, self.rule)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which issues of a platform: of a rule (then refused or tolerated ones), or of objects whose names begin so."""

    platform_id: int
    rule: str | None = None
    refused: bool = False
    begins: str = ""


GroupKey = tuple[bool, int, str, str]
"""(not refused, minus records, platform, rule): where a page of groups ends."""


async def groups(
    db: Database, platform_id: int | None, *, refused: bool | None, rule: str | None, after: GroupKey | None, size: int
) -> list[Group]:  # fmt: skip
    """Issues by platform and rule, refused ones and the most frequent first, those after a key."""
    key = after or (False, -(1 << 62), "", "")
    rows = await db.fetch_all(
        "SELECT p.name, g.rule, g.refused, g.records, g.count, g.first_seen, g.last_seen, g.object, g.path, g.message, g.sample"
        "  FROM issue_group g JOIN platform p ON p.id = g.platform_id"
        " WHERE (%(platform)s::int IS NULL OR g.platform_id = %(platform)s) AND (%(refused)s::boolean IS NULL OR g.refused = %(refused)s)"
        "   AND (%(rule)s::text IS NULL OR g.rule = %(rule)s)"
        "   AND (NOT g.refused, -g.records, p.name, g.rule) > (%(k0)s, %(k1)s, %(k2)s, %(k3)s)"
        " ORDER BY NOT g.refused, -g.records, p.name, g.rule LIMIT %(size)s",
        {"platform": platform_id, "refused": refused, "rule": rule, "size": size, **{f"k{i}": part for i, part in enumerate(key)}},
    )
    return [Group(*row) for row in rows]


async def totals(db: Database, platform_id: int | None, *, refused: bool | None, rule: str | None) -> tuple[int, int]:
    """(issues, how often they were met) of all groups of a filter."""
    row = await db.fetch_one(
        "SELECT coalesce(sum(records), 0)::bigint, coalesce(sum(count), 0)::bigint FROM issue_group"
        " WHERE (%(platform)s::int IS NULL OR platform_id = %(platform)s) AND (%(refused)s::boolean IS NULL OR refused = %(refused)s)"
        "   AND (%(rule)s::text IS NULL OR rule = %(rule)s)",
        {"platform": platform_id, "refused": refused, "rule": rule},
    )
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def records(db: Database, wanted: Filter, after: Key | None, size: int) -> list[Record]:
    """Issues in the order of their objects, those after a key; an index leads straight to each page."""
    params: dict[str, Any] = {"platform": wanted.platform_id, "rule": wanted.rule, "refused": wanted.refused, "size": size,
                              "from": wanted.begins, "to": wanted.begins + "\U0010ffff"}  # fmt: skip
    where = "platform_id = %(platform)s"
    order = 'object COLLATE "C", path COLLATE "C"'
    if wanted.rule is not None:
        where += " AND rule = %(rule)s AND refused = %(refused)s"
    else:
        order += ', rule COLLATE "C"'
    if wanted.begins:
        where += ' AND object COLLATE "C" >= %(from)s AND object COLLATE "C" < %(to)s'
    if after is not None:
        params |= {"object": after[0], "path": after[1], "last": after[2]}
        where += f" AND ({order}) > (%(object)s, %(path)s{', %(last)s' if wanted.rule is None else ''})"
    rows = await db.fetch_all(
        "SELECT object, path, rule, message, sample, refused, first_seen, last_seen, count FROM issue"
        f" WHERE {where} ORDER BY {order} LIMIT %(size)s",
        params,
    )
    return [Record(*row) for row in rows]


async def every_record(db: Database, wanted: Filter, size: int = 5000) -> AsyncIterator[list[Record]]:
    """All issues of a filter, a page at a time."""
    after: Key | None = None
    while True:
        page = await records(db, wanted, after, size)
        if page:
            yield page
        if len(page) < size:
            return
        after = page[-1].key
