"""Handshakes whose process ended in the middle (R84): each is given a state that says what is known and what to do."""

from __future__ import annotations

from ocpi_nap.model.platform import CONNECTED, State
from ocpi_nap.registry.outcomes import RegistryError, interrupted
from ocpi_nap.registry.service import Registry
from ocpi_nap.store import registry as sql
from ocpi_nap.store.database import Conn


async def settle(registry: Registry) -> None:
    """Give a state to every platform that is in a handshake which no process runs any more.

    Before token B was made, nothing left us: ``failed``. Afterwards our POST may have been taken: ``unknown``, in which token B is
    accepted (R76). A connection that worked before a forced new start stays, and both tokens B are accepted.
    """
    for platform_id in await sql.in_handshake(registry.db):
        async with registry.db.transaction() as conn:
            if await sql.try_handshake_lock(conn, platform_id):
                await _settle(conn, platform_id)


async def _settle(conn: Conn, platform_id: int) -> None:
    row = await (await conn.execute(
        "SELECT name, state, EXISTS (SELECT FROM token t WHERE t.platform_id = p.id AND t.state = 'pending')"
        " FROM platform p WHERE id = %s FOR UPDATE", (platform_id,),
    )).fetchone()  # fmt: skip
    if row is None or row[1] == "unknown" or not (row[1] == "registering" or row[2]):
        return
    name, before, sent = row
    state: State = before if before in CONNECTED else "unknown" if sent else "failed"
    if before in CONNECTED:
        await conn.execute("UPDATE token SET state = 'active' WHERE platform_id = %s AND state = 'pending'", (platform_id,))
    failure: RegistryError = interrupted("new registration" if before in CONNECTED else "registration", name, sent=sent)
    await sql.update_platform(conn, platform_id, {"state": state, "last_error": failure.record()})
    await sql.add_event(conn, platform_id, "interrupted", failure.message)
    await sql.visible_change(conn)
