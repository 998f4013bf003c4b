"""Advisory locks in PostgreSQL: their numbers, all in one place so that no two works share one by accident, and how they are taken.

Those of one platform (PULL, HANDSHAKE) have its id as their second number. The locks on single objects (`network.lock`) are of 64 bits
and made from their keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ocpi_nap.store.database import Conn

MIGRATE = 8412
PULL = 8413
JOB_QUEUE = 8414
HANDSHAKE = 8415
PUBLISH_MQTT = 8416
TELL_EVENTS = 8417
ISSUE_GROUPS = 8421
"""Taken by the triggers of migration 0005."""
COUNT_OPERATORS = 8422


@asynccontextmanager
async def held(conn: Conn, *number: int, wait: bool) -> AsyncIterator[bool]:
    """A lock of the connection for as long as the block runs; it goes with the process if that dies. Without ``wait``, False is given where
    somebody else has it."""
    arguments = ", ".join(["%s"] * len(number))
    taken = True
    if wait:
        await conn.execute(f"SELECT pg_advisory_lock({arguments})".encode(), number)
    else:
        taken = await _true(conn, f"pg_try_advisory_lock({arguments})", number)
    try:
        yield taken
    finally:
        if taken and not conn.closed:
            await conn.execute(f"SELECT pg_advisory_unlock({arguments})".encode(), number)


async def try_until_commit(conn: Conn, *number: int, shared: bool = False) -> bool:
    """Take a lock until the end of the transaction, unless somebody else has it; ``shared`` with others that take it so."""
    take = "pg_try_advisory_xact_lock_shared" if shared else "pg_try_advisory_xact_lock"
    return await _true(conn, f"{take}({', '.join(['%s'] * len(number))})", number)


async def _true(conn: Conn, expression: str, number: tuple[int, ...]) -> bool:
    row = await (await conn.execute(f"SELECT {expression}".encode(), number)).fetchone()
    return bool(row and row[0])
