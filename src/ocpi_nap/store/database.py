"""The connection pool, transactions, and LISTEN/NOTIFY: all that the rooms need of psycopg."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]
Params = Sequence[Any] | dict[str, Any] | None

OUTAGES: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError)
"""What is raised while the database does not answer."""
_OPTIONS = "-c timezone=UTC -c application_name=ocpi-nap"


class Database:
    """A pool of autocommit connections to one PostgreSQL; every time it gives back is UTC-aware."""

    def __init__(self, dsn: str, pool: AsyncConnectionPool[Conn]) -> None:
        self.dsn = dsn
        self.pool = pool

    @classmethod
    async def open(cls, dsn: str, *, min_size: int = 1, max_size: int = 8) -> Database:
        """Open the pool; raises psycopg_pool.PoolTimeout when the database does not answer within 30 s."""
        pool: AsyncConnectionPool[Conn] = AsyncConnectionPool(
            dsn, min_size=min_size, max_size=max_size, open=False, kwargs={"autocommit": True, "options": _OPTIONS}, timeout=30
        )
        await pool.open(wait=True, timeout=30)
        return cls(dsn, pool)

    async def close(self) -> None:
        """Close the pool; connections that are in use are closed when they come back."""
        await self.pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        """A connection in autocommit mode."""
        async with self.pool.connection() as conn:
            yield conn

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Conn]:
        """A connection inside one transaction: committed at the end, rolled back on any error."""
        async with self.pool.connection() as conn, conn.transaction():
            yield conn

    async def execute(self, query: str, params: Params = None) -> int:
        """Run one statement; returns the number of rows it touched."""
        async with self.pool.connection() as conn:
            return (await conn.execute(query.encode(), params)).rowcount

    async def fetch_all(self, query: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows of one query."""
        async with self.pool.connection() as conn:
            return await (await conn.execute(query.encode(), params, binary=True)).fetchall()

    async def fetch_one(self, query: str, params: Params = None) -> tuple[Any, ...] | None:
        """The first row of one query, or None."""
        async with self.pool.connection() as conn:
            row: tuple[Any, ...] | None = await (await conn.execute(query.encode(), params)).fetchone()
            return row

    async def notify(self, channel: str, payload: str = "") -> None:
        """Wake whoever listens on the channel."""
        await self.execute("SELECT pg_notify(%s, %s)", (channel, payload))

    async def wake(self, event: asyncio.Event, channel: str) -> None:
        """Set the event at each notification of the channel, and whenever some may have been missed; for ever."""
        async for _ in self.listen(channel):
            event.set()

    async def listen(self, channel: str) -> AsyncIterator[str]:
        """Payloads of the channel, for ever, on a connection of its own.

        After each (re)connection one empty payload is given: what was missed meanwhile is for the caller to look up.
        """
        while True:
            try:
                async with await AsyncConnection.connect(self.dsn, autocommit=True, options=_OPTIONS) as conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    yield ""
                    async for notification in conn.notifies():
                        yield notification.payload
            except psycopg.OperationalError as error:
                log.warning("listening on %s was cut off: %s", channel, error)
                await asyncio.sleep(1)
