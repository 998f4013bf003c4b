"""SQL of the event log: what the public sees change, derived from the change feed by one writer, read by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.feed import CHANGES, PUBLISHED, SHOWN_EVSE, Kind
from ocpi_nap.store.rows import EVSES_OF


def _json(value: Any) -> str:
    """Text for a jsonb column: psycopg's own wrapper costs several times as much in an array."""
    return msgspec.json.encode(value).decode()


@dataclass(slots=True)
class Event:
    """One row of the log; ``seq`` and ``at`` are given when it is written."""

    kind: str
    change: str
    country_code: str
    party_id: str
    id: str
    row_pk: int
    lon: float | None = None
    lat: float | None = None
    evse_id: str | None = None
    status: str | None = None
    status_at: datetime | None = None
    reason: str | None = None
    evses: dict[str, Any] | None = None
    seq: int = 0
    at: datetime | None = None


@dataclass(slots=True)
class Head:
    """How far the log is: position in the change feed, last event."""

    started: bool
    xid: int
    id: int
    seq: int


@dataclass(slots=True)
class ChangeRow:
    """One row of the change feed."""

    xid: int
    id: int
    kind: str
    location_pk: int | None
    uid_key: str | None
    tariff_pk: int | None
    status: str | None
    status_at: datetime | None


@dataclass(slots=True)
class PublicLocation:
    """A location as the log has told it; ``evses``: uid key -> [EVSE id, snapshot in which its status was told, or None]."""

    location_pk: int
    country_code: str
    party_id: str
    id: str
    lon: float | None
    lat: float | None
    evses: dict[str, list[str | None]]


@dataclass(slots=True)
class JudgedLocation:
    """A location as it is stored, with what decides whether the public sees it."""

    pk: int
    country_code: str
    party_id: str
    id: str
    doc: bytes
    publish: bool
    withdrawn: bool
    withdrawn_reason: str | None
    published: bool
    evses: list[tuple[str, str, bytes, str, datetime]] = field(default_factory=list)
    """Those that are not hidden: uid key, EVSE id, document, status, time."""


@dataclass(slots=True)
class JudgedTariff:
    """A tariff as it is stored, with what decides whether the public sees it."""

    pk: int
    country_code: str
    party_id: str
    id: str
    withdrawn: bool
    withdrawn_reason: str | None
    published: bool


@dataclass(slots=True)
class OperatorChange:
    """An operator that is published otherwise than the log has told it."""

    country_code: str
    party_id: str
    platform_id: int | None
    """Over which it is published now; None: over none."""
    description: str
    """Digest of platform, name, URL and details."""
    known: bool
    """It was published before: its locations, which show the description, have changed."""


async def head(conn: Conn) -> Head:
    """How far the log is."""
    row = await (await conn.execute("SELECT started, xid::text::bigint, id, seq FROM event_head")).fetchone()
    assert row is not None
    return Head(*row)


async def snapshot(conn: Conn) -> str:
    """The transaction's own snapshot, ``xmin:xmax:running``."""
    row = await (await conn.execute("SELECT pg_current_snapshot()::text")).fetchone()
    assert row is not None
    return str(row[0])


async def next_changes(conn: Conn, position: tuple[int, int], count: int) -> list[ChangeRow]:
    """Rows of the change feed after a position, in order, whose predecessors are all committed."""
    query = f"SELECT xid::text::bigint, id, kind, location_pk, uid_key, tariff_pk, status, status_at{CHANGES}"
    cursor = await conn.execute(query.encode(), (str(position[0]), position[1], count), binary=True)
    return [ChangeRow(*row) for row in await cursor.fetchall()]


_TOLD = """
SELECT location_pk, country_code, party_id, id, lon, lat, convert_to(evses::text, 'UTF8') FROM public_location WHERE location_pk = ANY(%s)
"""
_told_evses = msgspec.json.Decoder(dict[str, list[str | None]]).decode


async def told_locations(conn: Conn, pks: Sequence[int]) -> dict[int, PublicLocation]:
    """What the log has told of these locations."""
    cursor = await conn.execute(_TOLD.encode(), (list(pks),), binary=True)
    return {
        pk: PublicLocation(pk, country, party, location_id, lon, lat, _told_evses(evses))
        for pk, country, party, location_id, lon, lat, evses in await cursor.fetchall()
    }


async def told_tariffs(conn: Conn, pks: Sequence[int]) -> dict[int, tuple[str, str, str]]:
    """(country code, party, id) of these tariffs as the log has told them."""
    cursor = await conn.execute("SELECT * FROM public_tariff WHERE tariff_pk = ANY(%s)", (list(pks),), binary=True)
    return {row[0]: row[1:] for row in await cursor.fetchall()}


_LOCATIONS = """
SELECT l.pk, l.country_code, l.party_id, l.id, l.doc, l.publish, l.withdrawn_at IS NOT NULL, l.withdrawn_reason, o.platform_id IS NOT NULL
  FROM location l LEFT JOIN public_operator o USING (platform_id, country_code, party_id)
 WHERE l.pk = ANY(%s)
"""
_EVSES = f"""
SELECT e.location_pk, e.uid_key, e.public_id, e.doc, s.status, s.status_at
  FROM {EVSES_OF.format(pks="%s")}
 WHERE {SHOWN_EVSE}
 ORDER BY e.location_pk, e.ordinal, e.uid_key
"""
_TARIFFS = """
SELECT t.pk, t.country_code, t.party_id, t.id, t.withdrawn_at IS NOT NULL, t.withdrawn_reason, o.platform_id IS NOT NULL
  FROM tariff t LEFT JOIN public_operator o USING (platform_id, country_code, party_id)
 WHERE t.pk = ANY(%s)
"""


async def judged_locations(conn: Conn, pks: Sequence[int]) -> dict[int, JudgedLocation]:
    """The locations as they are now, under the operators that the log has told."""
    cursor = await conn.execute(_LOCATIONS, (list(pks),), binary=True)
    rows = {row[0]: JudgedLocation(*row) for row in await cursor.fetchall()}
    for pk, *values in await (await conn.execute(_EVSES.encode(), (list(pks),), binary=True)).fetchall():
        if pk in rows:
            rows[pk].evses.append(tuple(values))
    return rows


async def judged_tariffs(conn: Conn, pks: Sequence[int]) -> dict[int, JudgedTariff]:
    """The tariffs as they are now, under the operators that the log has told."""
    cursor = await conn.execute(_TARIFFS, (list(pks),), binary=True)
    return {row[0]: JudgedTariff(*row) for row in await cursor.fetchall()}


_CHANGED_OPERATORS = f"""
WITH published AS ({PUBLISHED})
SELECT country_code, party_id, now.platform_id, coalesce(now.description, ''), told.platform_id IS NOT NULL
  FROM public_operator AS told
  FULL JOIN (SELECT country_code, party_id, platform_id, md5(concat_ws('|', platform_id, name, url, details::text)) AS description
               FROM published) AS now USING (country_code, party_id)
 WHERE told.description IS DISTINCT FROM now.description
"""
_OPERATORS = "unnest(%s::text[], %s::text[], %s::int[], %s::text[]) AS k(country_code, party_id, platform_id, description)"
_BEGIN_OPERATORS = f"""
INSERT INTO public_operator (country_code, party_id, platform_id, description)
SELECT country_code, party_id, platform_id, '' FROM {_OPERATORS}
    ON CONFLICT (country_code, party_id) DO UPDATE SET platform_id = excluded.platform_id, description = ''
"""
_END_OPERATORS = f"""
UPDATE public_operator o SET description = k.description FROM {_OPERATORS}
 WHERE o.country_code = k.country_code AND o.party_id = k.party_id
"""
_GONE = """
SELECT p.{table}_pk FROM unnest(%s::text[], %s::text[]) AS k(country_code, party_id)
  JOIN public_{table} p USING (country_code, party_id)
  JOIN public_operator o USING (country_code, party_id)
  LEFT JOIN {table} t ON t.pk = p.{table}_pk
 WHERE o.platform_id IS NULL OR t.platform_id IS DISTINCT FROM o.platform_id
 ORDER BY 1
"""
_COME = """
SELECT t.pk FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS k(country_code, party_id, all_of)
  JOIN public_operator o USING (country_code, party_id)
  JOIN {table} t USING (platform_id, country_code, party_id)
  LEFT JOIN public_{table} p ON p.{table}_pk = t.pk
 WHERE t.withdrawn_at IS NULL AND (k.all_of OR p.{table}_pk IS NULL)
 ORDER BY 1
"""


async def changed_operators(conn: Conn, environments: list[str]) -> list[OperatorChange]:
    """The operators of these environments that are published otherwise than the log has told, or whose telling was not ended."""
    cursor = await conn.execute(_CHANGED_OPERATORS.encode(), {"environments": environments})
    return [OperatorChange(*row) for row in await cursor.fetchall()]


async def begin_operators(conn: Conn, changes: Sequence[OperatorChange]) -> None:
    """Judge by these operators as they are now; until `end_operators` they count as changed, so that a crash between the two loses none."""
    await conn.execute(_BEGIN_OPERATORS.encode(), _operator_columns(changes))


async def end_operators(conn: Conn, changes: Sequence[OperatorChange]) -> None:
    """All that these operators show and hide is told."""
    await conn.execute("DELETE FROM public_operator WHERE platform_id IS NULL")
    await conn.execute(_END_OPERATORS.encode(), _operator_columns(changes))


def _operator_columns(changes: Sequence[OperatorChange]) -> list[list[Any]]:
    return [[getattr(change, name) for change in changes] for name in ("country_code", "party_id", "platform_id", "description")]


async def affected(conn: Conn, table: Kind, changes: Sequence[OperatorChange]) -> tuple[list[int], list[int]]:
    """Between `begin_operators` and `end_operators`: the rows of these operators that the public sees no more, and those that it may see
    now, or sees under another description: locations show it, tariffs do not."""
    countries, parties = [change.country_code for change in changes], [change.party_id for change in changes]
    gone = await conn.execute(_GONE.format(table=table).encode(), (countries, parties))
    described = [change.known and table == "location" for change in changes]
    come = await conn.execute(_COME.format(table=table).encode(), (countries, parties, described))
    return [row[0] for row in await gone.fetchall()], [row[0] for row in await come.fetchall()]


async def write(conn: Conn, head: Head, events: Sequence[Event]) -> None:
    """Append events behind the head, and wake their readers when the transaction commits; the head itself is stored by `advance`."""
    if not events:
        return
    for event in events:
        head.seq += 1
        event.seq = head.seq
    text = (
        "COPY event (seq, kind, change, country_code, party_id, id, row_pk, lon, lat, evse_id, status, status_at, reason, evses) FROM STDIN"
    )
    async with conn.cursor().copy(text) as copy:
        for e in events:
            evses = None if e.evses is None else _json(e.evses)
            await copy.write_row(
                (e.seq, e.kind, e.change, e.country_code, e.party_id, e.id, e.row_pk, e.lon, e.lat, e.evse_id, e.status, e.status_at,
                 e.reason, evses)
            )  # fmt: skip
    await conn.execute("SELECT pg_notify('event', '')")


async def tell_locations(conn: Conn, shown: Sequence[PublicLocation], hidden: Sequence[int]) -> None:
    """Remember what the public sees of locations."""
    if hidden:
        await conn.execute("DELETE FROM public_location WHERE location_pk = ANY(%s)", (list(hidden),))
    if shown:
        columns = (
            [p.location_pk for p in shown], [p.country_code for p in shown], [p.party_id for p in shown], [p.id for p in shown],
            [p.lon for p in shown], [p.lat for p in shown], [_json(p.evses) for p in shown],
        )  # fmt: skip
        await conn.execute(
            "INSERT INTO public_location SELECT location_pk, country_code, party_id, id, lon, lat, evses::jsonb FROM"
            " unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::float8[], %b::float8[], %b::text[])"
            " AS t(location_pk, country_code, party_id, id, lon, lat, evses)"
            " ON CONFLICT (location_pk) DO UPDATE SET id = excluded.id, lon = excluded.lon, lat = excluded.lat, evses = excluded.evses",
            columns,
        )


async def tell_tariffs(conn: Conn, shown: dict[int, tuple[str, str, str]], hidden: Sequence[int]) -> None:
    """Remember what the public sees of tariffs."""
    if hidden:
        await conn.execute("DELETE FROM public_tariff WHERE tariff_pk = ANY(%s)", (list(hidden),))
    if shown:
        await conn.execute(
            "INSERT INTO public_tariff SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[]) ON CONFLICT DO NOTHING",
            (list(shown), *([key[i] for key in shown.values()] for i in range(3))),
        )


async def advance(conn: Conn, head: Head) -> None:
    """Store the head."""
    await conn.execute(
        "UPDATE event_head SET started = %s, xid = %s::text::xid8, id = %s, seq = %s",
        (head.started, str(head.xid), head.id, head.seq),
    )


_AFTER = """
SELECT kind, change, country_code, party_id, id, row_pk, lon, lat, evse_id, status, status_at, reason, evses, seq, at
  FROM event WHERE seq > %(after)s AND (%(operators)s::text[] IS NULL OR country_code || '*' || party_id = ANY(%(operators)s))
   AND (%(west)s::float8 IS NULL OR kind = 'tariff'
        OR lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s)
 ORDER BY seq LIMIT %(count)s
"""
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees, edges included."""


async def after(db: Database, seq: int, count: int, *, operators: Sequence[str] | None = None, box: Box | None = None) -> list[Event]:
    """Events after a number, in order."""
    west, south, east, north = box or (None, None, None, None)
    params = {"after": seq, "count": count, "operators": list(operators) if operators else None,
              "west": west, "south": south, "east": east, "north": north}  # fmt: skip
    return [Event(*row) for row in await db.fetch_all(_AFTER, params)]


async def read_until(conn: Conn, reader: str) -> int:
    """The last event that a reader has dealt with; 0 for a new one, which begins with the oldest that is kept."""
    row = await (await conn.execute("SELECT id FROM feed_position WHERE reader = %s", (reader,))).fetchone()
    return int(row[0]) if row else 0


async def store_read(conn: Conn, reader: str, seq: int) -> None:
    """Remember how far a reader is; it survives restarts."""
    await conn.execute(
        "INSERT INTO feed_position VALUES (%s, '0', %s) ON CONFLICT (reader) DO UPDATE SET id = excluded.id", (reader, seq)
    )


_BOUNDS = """
SELECT coalesce((SELECT id FROM feed_position WHERE reader = 'events-cleared'), 0), seq,
       coalesce((SELECT min(e.seq) - 1 FROM event e WHERE e.at > now() - %s * interval '1 second'), seq)
  FROM event_head
"""


async def bounds(db: Database, overlap_seconds: float = 0) -> tuple[int, int, int]:
    """(last cleared event, last event, last event older than ``overlap_seconds``)."""
    row = await db.fetch_one(_BOUNDS, (overlap_seconds,))
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


_CLEAR = """
WITH gone AS (DELETE FROM event WHERE at < now() - %s * interval '1 day' RETURNING seq)
INSERT INTO feed_position SELECT 'events-cleared', '0', max(seq) FROM gone HAVING count(*) > 0
    ON CONFLICT (reader) DO UPDATE SET id = excluded.id
"""


async def clear(db: Database, days: float) -> None:
    """Forget events, and rows of the change feed that they were made from, after so many days."""
    await db.execute(_CLEAR, (days,))
    await db.execute(
        "DELETE FROM change WHERE at < now() - %s * interval '1 day' AND (xid, id) <= (SELECT xid, id FROM event_head)", (days,)
    )
