"""How far the readers of the change feed and the event log are; it survives restarts."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]
Position = tuple[int, int]


async def ensure_position(conn: Conn, reader: str) -> Position:
    """Where a reader is; a new one begins with the oldest row that is kept."""
    row = await (await conn.execute("SELECT xid::text::bigint, id FROM feed_position WHERE reader = %s", (reader,))).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def store_position(conn: Conn, reader: str, position: Position) -> None:
    """Remember how far a reader is."""
    await conn.execute(
        "INSERT INTO feed_position VALUES (%s, %s::text::xid8, %s) ON CONFLICT (reader) DO UPDATE SET xid = excluded.xid, id = excluded.id",
        (reader, str(position[0]), position[1]),
    )
