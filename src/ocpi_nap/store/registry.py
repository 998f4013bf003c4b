"""SQL of platforms, operators and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from ocpi_nap.model.platform import Operator, Party, Platform, PlatformSettings, State
from ocpi_nap.store import locks
from ocpi_nap.store.database import Conn, Database

_PLATFORM = (
    "id, name, environment, versions_url, country_code, party_id, token_encoding, learnt_encoding, settings, state, paused, version, "
    "endpoints, peer_roles, last_error, disconnected_at"
)
_OPERATOR = "platform_id, country_code, party_id, name, url, details, source"


def setting(name: str) -> str:
    """A whole number of the settings of the platform ``p`` as SQL: stored is only what differs from the default."""
    return f"coalesce((p.settings->>'{name}')::int, {int(getattr(PlatformSettings(), name))})"


def _platform(row: tuple[Any, ...]) -> Platform:
    values = dict(zip((name.strip() for name in _PLATFORM.split(",")), row, strict=True))
    values["settings"] = msgspec.convert(values["settings"], PlatformSettings)
    return Platform(**values)


async def load_platforms(db: Database, *, name: str | None = None, platform_id: int | None = None) -> list[Platform]:
    """Platforms with their operators, by name; one of them when a name or id is given."""
    rows = await db.fetch_all(
        f"SELECT {_PLATFORM} FROM platform WHERE (%(name)s::text IS NULL OR name = %(name)s)"
        " AND (%(id)s::int IS NULL OR id = %(id)s) ORDER BY name",
        {"name": name, "id": platform_id},
    )
    platforms = {platform.id: platform for platform in map(_platform, rows)}
    for platform_id_, cc, party, title, url, details, source in await db.fetch_all(
        f"SELECT {_OPERATOR} FROM operator WHERE platform_id = ANY(%s) ORDER BY country_code, party_id", (list(platforms),)
    ):
        operator = Operator(country_code=cc, party_id=party, name=title, url=url, details=details, source=source)
        platforms[platform_id_].operators = [*platforms[platform_id_].operators, operator]
    return list(platforms.values())


async def insert_platform(conn: Conn, values: dict[str, Any]) -> int:
    """A new platform; raises UniqueViolation for a name that is taken."""
    names = list(values)
    marks = ", ".join(f"%({name})s" for name in names)
    cursor = await conn.execute(f"INSERT INTO platform ({', '.join(names)}) VALUES ({marks}) RETURNING id".encode(), values)
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def insert_operators(conn: Conn, platform_id: int, environment: str, operators: list[Operator], source: str = "configured") -> None:
    """Operators of a platform; raises UniqueViolation for a party that another platform of this environment has (R194)."""
    for operator in operators:
        await conn.execute(
            "INSERT INTO operator (platform_id, country_code, party_id, environment, name, url, details, source)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (platform_id, country_code, party_id) DO NOTHING",
            (platform_id, operator.country_code, operator.party_id, environment, operator.name, operator.url,
             Jsonb(operator.details) if operator.details else None, source),
        )  # fmt: skip


async def put_operators(conn: Conn, platform_id: int, environment: str, operators: list[Operator]) -> None:
    """Add operators, or give those that are there a new name and URL; raises UniqueViolation as `insert_operators` does."""
    for operator in operators:
        await conn.execute(
            "UPDATE operator SET name = %s, url = %s, details = NULL, source = 'configured'"
            " WHERE platform_id = %s AND country_code = %s AND party_id = %s",
            (operator.name, operator.url, platform_id, operator.country_code, operator.party_id),
        )
    await insert_operators(conn, platform_id, environment, operators)


async def remove_operators(conn: Conn, platform_id: int, parties: list[Party]) -> None:
    """Operators whose data no longer comes over the platform; what is stored of them is published no more."""
    for country_code, party_id in parties:
        await conn.execute(
            "DELETE FROM operator WHERE platform_id = %s AND country_code = %s AND party_id = %s", (platform_id, country_code, party_id)
        )


async def update_platform(conn: Conn, platform_id: int, values: dict[str, Any]) -> None:
    """Set columns; dicts and lists become jsonb."""
    sets = ", ".join(f"{name} = %({name})s" for name in values)
    params = {name: Jsonb(value) if isinstance(value, dict | list) else value for name, value in values.items()}
    await conn.execute(f"UPDATE platform SET {sets}, updated_at = now() WHERE id = %(id)s".encode(), {**params, "id": platform_id})


async def next_version(conn: Conn, platform_id: int, expected: int | None) -> bool:
    """Count up the record's version; False when it is not the expected one (None: whatever it is)."""
    cursor = await conn.execute(
        "UPDATE platform SET record_version = record_version + 1 WHERE id = %s AND (%s::int IS NULL OR record_version = %s)",
        (platform_id, expected, expected),
    )
    return cursor.rowcount == 1


async def note_pull(db: Database, platform_id: int, state: str | None, last_error: dict[str, Any] | None) -> None:
    """What a pull said of the connection, unless that ended meanwhile."""
    await db.execute(
        "UPDATE platform SET state = coalesce(%s, state), last_error = %s, updated_at = now()"
        " WHERE id = %s AND state IN ('registered', 'registered-unverified')",
        (state, Jsonb(last_error) if last_error else None, platform_id),
    )


async def erase_platform(conn: Conn, platform_id: int) -> None:
    """Delete a platform with all that came over it; the rows of its EVSEs have no foreign key."""
    for table in ("evse", "evse_state", "gone_connector"):
        await conn.execute(
            f"DELETE FROM {table} WHERE location_pk IN (SELECT pk FROM location WHERE platform_id = %s)".encode(), (platform_id,)
        )
    await conn.execute("DELETE FROM platform WHERE id = %s", (platform_id,))


async def add_event(conn: Conn, platform_id: int, step: str, message: str, details: dict[str, Any] | None = None) -> None:
    """Note what happened with a platform; ``details`` is what was sent and answered, without whole tokens."""
    await conn.execute(
        "INSERT INTO platform_event (platform_id, step, message, details) VALUES (%s, %s, %s, %s)",
        (platform_id, step, message, Jsonb(details) if details else None),
    )


async def load_events(db: Database, platform_id: int, limit: int = 10) -> list[tuple[datetime, str, str]]:
    """(time, step, message) of what happened last with a platform, the newest first."""
    rows = await db.fetch_all(
        "SELECT at, step, message FROM platform_event WHERE platform_id = %s ORDER BY id DESC LIMIT %s", (platform_id, limit)
    )
    return [(at, step, message) for at, step, message in rows]


async def in_handshake(db: Database) -> list[int]:
    """Platforms whose handshake is under way, or whose process ended in it."""
    rows = await db.fetch_all(
        "SELECT id FROM platform WHERE state = 'registering'"
        " UNION SELECT t.platform_id FROM token t JOIN platform p ON p.id = t.platform_id"
        " WHERE t.state = 'pending' AND p.state <> 'unknown' ORDER BY 1"
    )
    return [int(row[0]) for row in rows]


async def try_handshake_lock(conn: Conn, platform_id: int, *, shared: bool = False) -> bool:
    """Take the lock until the end of the transaction, unless a handshake has it; ``shared`` with others that take it so."""
    return await locks.try_until_commit(conn, locks.HANDSHAKE, platform_id, shared=shared)


async def hold(conn: Conn, platform_id: int) -> State | None:
    """The platform's state, which stays until the transaction ends; None where it is gone. Taken before its tokens, by all who change both:
    no two of them wait for each other."""
    row = await (await conn.execute("SELECT state FROM platform WHERE id = %s FOR UPDATE", (platform_id,))).fetchone()
    return row[0] if row else None


async def add_token(conn: Conn, platform_id: int, kind: str, state: str, digest: bytes) -> int:
    """A token that will authenticate callers; returns its id."""
    cursor = await conn.execute(
        "INSERT INTO token (platform_id, kind, state, hash) VALUES (%s, %s, %s, %s) RETURNING id", (platform_id, kind, state, digest)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def visible_change(conn: Conn) -> None:
    """Tell the feed that operators or platforms changed, and every worker that its cached callers may be stale."""
    await conn.execute("INSERT INTO change (kind) VALUES ('registry')")
    await conn.execute("SELECT pg_notify('registry', ''), pg_notify('feed', '')")


FIND_CALLER = """
SELECT t.id, t.kind, t.state, t.first_used_at IS NULL, p.id, p.name, p.country_code, p.party_id, p.version, p.settings, p.state,
       coalesce((SELECT array_agg(o.country_code || '*' || o.party_id) FROM operator o WHERE o.platform_id = p.id), '{}')
  FROM token t JOIN platform p ON p.id = t.platform_id
 WHERE t.hash = %s AND (t.expires_at IS NULL OR t.expires_at > now())
"""


_HOLD = "SELECT id FROM token WHERE id = ANY(%b) AND (expires_at IS NULL OR expires_at > now())"


async def tokens_that_hold(conn: Conn, ids: set[int]) -> set[int]:
    """Those of these tokens with which one may still write (R101, R106)."""
    return {int(row[0]) for row in await (await conn.execute(_HOLD, (sorted(ids),))).fetchall()}


async def find_ended_tokens(db: Database, digests: list[bytes]) -> list[tuple[int, str, str]]:
    """(platform, its name, kind) of tokens among these that are no longer valid."""
    return await db.fetch_all(
        "SELECT p.id, p.name, t.kind FROM token t JOIN platform p ON p.id = t.platform_id"
        " WHERE t.hash = ANY(%s) AND t.expires_at <= now()", (digests,),
    )  # fmt: skip


async def sealed_tokens(db: Database) -> list[tuple[int, str, bytes]]:
    """(platform, its name, sealed token) of every token that we send."""
    return await db.fetch_all(
        "SELECT id, name, sealed FROM platform CROSS JOIN LATERAL (VALUES (outbound_a), (outbound_c)) AS s(sealed) WHERE sealed IS NOT NULL"
    )


_ROTATION_DUE = f"""
SELECT p.id
  FROM platform p CROSS JOIN LATERAL (
       SELECT e.at, e.details->>'offer' AS offer FROM platform_event e
        WHERE e.platform_id = p.id AND e.step = 'registered' ORDER BY e.id DESC LIMIT 1) AS last
 WHERE p.state = 'registered' AND coalesce(p.settings->>'registration', '') <> 'none'
   AND (last.offer <> ALL(%s)
        OR {setting("rotate_days")} > 0 AND last.at <= now() - {setting("rotate_days")} * interval '1 day')
   AND NOT EXISTS (
       SELECT FROM platform_event e
        WHERE e.platform_id = p.id AND e.step IN ('rotation', 'interrupted') AND e.at > now() - interval '1 day' AND e.at > last.at)
"""


async def rotation_due(db: Database, offers: list[str]) -> list[int]:
    """Platforms whose tokens are older than their ``rotate_days`` (R104), and those that were told of other endpoints than ``offers``
    says (R63); a failed attempt is repeated a day later."""
    return [int(row[0]) for row in await db.fetch_all(_ROTATION_DUE, (offers,))]


async def end_publication(db: Database, since: datetime) -> bool:
    """Tell the feed when the data of a disconnected platform ceased to be published after ``since`` (D19)."""
    row = await db.fetch_one(
        f"SELECT 1 FROM platform p WHERE disconnected_at + {setting('publish_after_disconnect_hours')} * interval '1 hour'"
        " BETWEEN %s AND now()",
        (since,),
    )
    if row is None:
        return False
    async with db.transaction() as conn:
        await visible_change(conn)
    return True
