"""Locations, EVSEs and tariffs in PostgreSQL: set-based statements, one call per batch.

Arrays go in binary (``%b``): psycopg escapes every element of a text array in Python, which costs a hundred times as much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from ocpi_nap.store.database import Conn
from ocpi_nap.store.rows import EVSES_OF, Change, EvseRow, LocationKey, LocationRow, StatusPatch, TariffRow

PatchResult = Literal["applied", "stale"]

_PATCH_STATUSES = """
WITH wanted AS (
    SELECT * FROM unnest(%b::int[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
                         %b::timestamptz[], %b::text[], %b::timestamptz[], %b::bigint[])
      AS t(ord, platform_id, country_code, party_id, id_key, uid_key, status, status_raw, last_updated, last_updated_raw, received_at,
           token)
), held AS MATERIALIZED (
    SELECT w.*, s.location_pk, s.status AS old_status
      FROM wanted w
      JOIN location l ON l.platform_id = w.platform_id AND l.country_code = w.country_code AND l.party_id = w.party_id
                     AND l.id_key = w.id_key AND l.withdrawn_at IS NULL
      JOIN evse_state s ON s.location_pk = l.pk AND s.uid_key = w.uid_key AND s.withdrawn_at IS NULL
     WHERE w.token IS NULL OR EXISTS (SELECT FROM token k WHERE k.id = w.token AND (k.expires_at IS NULL OR k.expires_at > now()))
     ORDER BY s.location_pk, s.uid_key
       FOR UPDATE OF s
), done AS (
    UPDATE evse_state s
       SET status = h.status, status_raw = h.status_raw, received_at = h.received_at, via = 'push',
           source_last_updated = h.last_updated, last_updated_raw = coalesce(h.last_updated_raw, s.last_updated_raw),
           status_at = CASE WHEN s.status = h.status THEN s.status_at
                            WHEN h.last_updated > s.status_at THEN h.last_updated ELSE h.received_at END
      FROM held h
     WHERE s.location_pk = h.location_pk AND s.uid_key = h.uid_key
       AND (s.source_last_updated IS NULL OR s.source_last_updated <= h.last_updated)
    RETURNING h.ord, h.old_status, s.location_pk, s.uid_key, s.status, s.status_at
), told AS (
    INSERT INTO change (kind, location_pk, uid_key, status, status_at)
    SELECT 'status', location_pk, uid_key, status, status_at FROM done WHERE status <> old_status ORDER BY ord
)
SELECT h.ord, d.ord IS NOT NULL FROM held h LEFT JOIN done d USING (ord)
"""


async def patch_statuses(conn: Conn, patches: Sequence[StatusPatch]) -> dict[int, PatchResult]:
    """Apply status PATCHes, each EVSE at most once; returns by index whether those of EVSEs that are held, by tokens that hold (R106), were
    applied: one that is older than what orders the EVSE is not (D8, R150)."""
    params = (
        list(range(len(patches))),
        [p.key[0] for p in patches],
        [p.key[1] for p in patches],
        [p.key[2] for p in patches],
        [p.key[3] for p in patches],
        [p.uid_key for p in patches],
        [p.status for p in patches],
        [p.status_raw for p in patches],
        [p.last_updated for p in patches],
        [p.last_updated_raw for p in patches],
        [p.received_at for p in patches],
        [p.token_id for p in patches],
    )
    cursor = await conn.execute(_PATCH_STATUSES, params)
    return {ord_: "applied" if applied else "stale" for ord_, applied in await cursor.fetchall()}


def _lock_number(module: str, key: LocationKey) -> int:
    digest = hashlib.blake2b(f"{module}\0{key[0]}\0{key[1]}\0{key[2]}\0{key[3]}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


async def lock(conn: Conn, module: str, keys: Iterable[LocationKey]) -> None:
    """Serialise document writers of the same objects, also of objects that do not exist yet; sorted, so nothing deadlocks."""
    numbers = sorted({_lock_number(module, key) for key in keys})
    await conn.execute("SELECT pg_advisory_xact_lock(n) FROM unnest(%b::bigint[]) AS n", (numbers,))


def _key_arrays(keys: Sequence[LocationKey]) -> tuple[list[Any], ...]:
    return tuple([key[i] for key in keys] for i in range(4))


_BY_KEYS = """
  FROM unnest(%b::int[], %b::text[], %b::text[], %b::text[]) AS k(platform_id, country_code, party_id, id_key)
  JOIN {table} t USING (platform_id, country_code, party_id, id_key)
"""
_COMMON = (
    "t.platform_id, t.country_code, t.party_id, t.id_key, t.id, t.source_version, t.via, t.raw, t.doc, t.source_last_updated, "
    "t.received_at, t.created_at, t.modified_at"
)
_LOAD_LOCATIONS = f"SELECT {_COMMON}, t.publish, t.pk, t.pulled_hash, t.withdrawn_at, t.withdrawn_reason" + _BY_KEYS.format(
    table="location"
)
_LOAD_TARIFFS = f"SELECT {_COMMON}, t.pk, t.pulled_hash, t.withdrawn_at, t.withdrawn_reason" + _BY_KEYS.format(table="tariff")
_LOAD_EVSES = f"""
SELECT s.location_pk, e.uid_key, e.uid, e.ordinal, e.public_id, e.source_version, e.via, e.raw, e.doc, e.received_at,
       e.created_at, e.modified_at, s.status, s.status_raw, s.status_at, s.source_last_updated, s.last_updated_raw,
       s.received_at, s.via, s.withdrawn_at, s.withdrawn_reason
  FROM {EVSES_OF.format(pks="%b")}
 ORDER BY s.location_pk, s.uid_key
"""


async def load_locations(conn: Conn, keys: Sequence[LocationKey], *, for_update: bool) -> dict[LocationKey, LocationRow]:
    """Locations with all their EVSEs, tombstones included."""
    found: dict[LocationKey, LocationRow] = {}
    by_pk: dict[int, LocationRow] = {}
    for values in await (await conn.execute(_LOAD_LOCATIONS, _key_arrays(keys), binary=True)).fetchall():
        row = LocationRow(*values)
        found[row.key] = by_pk[row.pk] = row
    if by_pk:
        query = _LOAD_EVSES + ("FOR UPDATE OF s" if for_update else "")
        for pk, *values in await (await conn.execute(query, (sorted(by_pk),), binary=True)).fetchall():
            evse = EvseRow(*values)
            by_pk[pk].evses[evse.uid_key] = evse
    return found


async def load_tariffs(conn: Conn, keys: Sequence[LocationKey]) -> dict[LocationKey, TariffRow]:
    """Tariffs, tombstones included."""
    rows = await (await conn.execute(_LOAD_TARIFFS, _key_arrays(keys), binary=True)).fetchall()
    return {row.key: row for row in (TariffRow(*values) for values in rows)}


def _columns(rows: Sequence[Any], names: Sequence[str]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]


_SAVED = (
    ("platform_id", "int"), ("country_code", "text"), ("party_id", "text"), ("id_key", "text"), ("id", "text"),
    ("source_version", "text"), ("via", "text"), ("raw", "bytea"), ("doc", "bytea"), ("source_last_updated", "timestamptz"),
    ("received_at", "timestamptz"), ("created_at", "timestamptz"), ("modified_at", "timestamptz"),
    ("pulled_hash", "bytea"), ("withdrawn_at", "timestamptz"), ("withdrawn_reason", "text"),
)  # fmt: skip
_KEY = {"platform_id", "country_code", "party_id", "id_key"}
_EVSE = (
    ("uid_key", "text"), ("uid", "text"), ("ordinal", "int"), ("public_id", "text"), ("source_version", "text"), ("via", "text"),
    ("raw", "bytea"), ("doc", "bytea"), ("received_at", "timestamptz"), ("created_at", "timestamptz"), ("modified_at", "timestamptz"),
)  # fmt: skip
_STATE = (
    ("uid_key", "text"), ("status", "text"), ("status_raw", "text"), ("status_at", "timestamptz"),
    ("source_last_updated", "timestamptz"), ("last_updated_raw", "text"), ("state_received_at", "timestamptz"), ("state_via", "text"),
    ("withdrawn_at", "timestamptz"), ("withdrawn_reason", "text"),
)  # fmt: skip
_GONE = (
    ("uid_key", "text"), ("id_key", "text"), ("id", "text"), ("source_version", "text"), ("via", "text"), ("raw", "bytea"),
    ("doc", "bytea"), ("received_at", "timestamptz"), ("withdrawn_at", "timestamptz"), ("withdrawn_reason", "text"),
)  # fmt: skip
_STATE_COLUMN = {"state_received_at": "received_at", "state_via": "via"}


def _upsert(table: str, columns: Sequence[tuple[str, str]], key: set[str], *, returning: str = "", rename: Mapping[str, str] = {}) -> str:
    names = [rename.get(name, name) for name, _ in columns]
    arrays = ", ".join(f"%b::{kind}[]" for _, kind in columns)
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT ({', '.join(n for n in names if n in key)}) DO UPDATE SET {updates} {returning}"
    )


_PK_AND_KEY = "RETURNING pk, platform_id, country_code, party_id, id_key"
_LOCATION_COLUMNS = (*_SAVED, ("publish", "boolean"))
_SAVE_LOCATIONS = _upsert("location", _LOCATION_COLUMNS, _KEY, returning=_PK_AND_KEY)
_SAVE_TARIFFS = _upsert("tariff", _SAVED, _KEY, returning=_PK_AND_KEY)
_SAVE_EVSES = _upsert("evse", (("location_pk", "bigint"), *_EVSE), {"location_pk", "uid_key"})
_SAVE_STATES = _upsert("evse_state", (("location_pk", "bigint"), *_STATE), {"location_pk", "uid_key"}, rename=_STATE_COLUMN)
_SAVE_GONE = _upsert("gone_connector", (("location_pk", "bigint"), *_GONE), {"location_pk", "uid_key", "id_key"})


async def _save_objects(conn: Conn, statement: str, columns: Sequence[tuple[str, str]], rows: Sequence[LocationRow | TariffRow]) -> None:
    cursor = await conn.execute(statement, _columns(rows, [name for name, _ in columns]))
    pks = {(platform, cc, party, id_key): pk for pk, platform, cc, party, id_key in await cursor.fetchall()}
    for row in rows:
        row.pk = pks[row.key]


async def save_locations(conn: Conn, rows: Sequence[LocationRow]) -> None:
    """Write what is marked dirty; the caller holds `lock` on every key."""
    dirty = [row for row in rows if row.dirty]
    if dirty:
        await _save_objects(conn, _SAVE_LOCATIONS, _LOCATION_COLUMNS, dirty)
    for statement, columns, flag in ((_SAVE_EVSES, _EVSE, "doc_dirty"), (_SAVE_STATES, _STATE, "state_dirty")):
        touched = [(row.pk, evse) for row in rows for _, evse in sorted(row.evses.items()) if getattr(evse, flag)]
        if touched:
            values = _columns([evse for _, evse in touched], [name for name, _ in columns])
            await conn.execute(statement, [[pk for pk, _ in touched], *values])
    gone = {(row.pk, c.uid_key, c.id_key): c for row in rows for evse in row.evses.values() for c in evse.gone}
    if gone:
        await conn.execute(_SAVE_GONE, [[key[0] for key in gone], *_columns(list(gone.values()), [name for name, _ in _GONE])])


async def save_tariffs(conn: Conn, rows: Sequence[TariffRow]) -> None:
    """Write what is marked dirty; the caller holds `lock` on every key."""
    dirty = [row for row in rows if row.dirty]
    if dirty:
        await _save_objects(conn, _SAVE_TARIFFS, _SAVED, dirty)


async def record(conn: Conn, changes: Sequence[Change]) -> None:
    """Append to the change feed, in the same transaction as what changed."""
    if not changes:
        return
    await conn.execute(
        "INSERT INTO change (kind, location_pk, tariff_pk, uid_key, status, status_at)"
        " SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::timestamptz[])",
        (
            [c.kind for c in changes],
            [c.row.pk if isinstance(c.row, LocationRow) else None for c in changes],
            [c.row.pk if isinstance(c.row, TariffRow) else None for c in changes],
            [c.uid_key for c in changes],
            [c.status for c in changes],
            [c.status_at for c in changes],
        ),
    )
