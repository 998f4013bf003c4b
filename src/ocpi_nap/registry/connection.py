"""Storing a registration that both sides agree on, at once and whole (R74, R88, R98)."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.credentials import PeerCredentials
from ocpi_nap.registry.service import Registry, announced_operators, with_details
from ocpi_nap.store import registry as sql


async def store_connection(
    registry: Registry, platform: Platform, *, version: str, endpoints: dict[str, str], theirs: PeerCredentials, token_b: str,
    keep_id: int | None = None, encoding: str | None = None,
) -> None:  # fmt: skip
    """Their token for us to send, ours for them, endpoints, roles and the pulls that start at once (R85).

    Earlier tokens of theirs stay valid until the new one is used, at most 15 minutes (D18).
    """
    digest = tokens.hash_token(token_b)
    async with registry.db.transaction() as conn:
        await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'A'", (platform.id,))
        await conn.execute(
            "UPDATE token SET state = 'retiring', expires_at = now() + interval '15 minutes'"
            " WHERE platform_id = %s AND kind = 'B' AND state = 'active' AND hash <> %s",
            (platform.id, digest),
        )
        cursor = await conn.execute(
            "UPDATE token SET state = 'active', first_used_at = NULL WHERE platform_id = %s AND hash = %s", (platform.id, digest)
        )
        if cursor.rowcount == 0:
            await sql.add_token(conn, platform.id, "B", "active", digest)
        values: dict[str, Any] = {
            "state": "registered", "version": version, "endpoints": endpoints, "peer_roles": theirs.roles, "last_error": None,
            "outbound_c": registry.vault.seal(theirs.token), "outbound_a": None, "disconnected_at": None,
        }  # fmt: skip
        if encoding is not None:
            values["learnt_encoding"] = encoding
        await sql.update_platform(conn, platform.id, values)
        await _store_operators(conn, platform, theirs)
        for full in (True, False):
            await conn.execute(
                "INSERT INTO schedule VALUES (%s, %s, now() + %s * interval '1 minute')"
                " ON CONFLICT (platform_id, full_pull) DO UPDATE SET due_at = excluded.due_at",
                (platform.id, full, 0 if full else platform.settings.delta_interval_minutes),
            )
        answered = {"token": tokens.masked(theirs.token), "roles": theirs.roles}
        await sql.add_event(conn, platform.id, "registered", f"OCPI {version}", {"answered": answered, "endpoints": endpoints})
        await sql.visible_change(conn)


async def _store_operators(conn: Any, platform: Platform, theirs: PeerCredentials) -> None:
    for operator in platform.operators:
        detailed = with_details(operator, theirs.roles)
        if detailed.details != operator.details:
            await conn.execute(
                "UPDATE operator SET details = %s WHERE platform_id = %s AND country_code = %s AND party_id = %s",
                (Jsonb(detailed.details), platform.id, operator.country_code, operator.party_id),
            )
    if platform.settings.accept_announced_roles:
        for operator in announced_operators(platform, theirs.roles):
            taken = await (await conn.execute(
                "SELECT 1 FROM operator WHERE environment = %s AND country_code = %s AND party_id = %s",
                (platform.environment, operator.country_code, operator.party_id),
            )).fetchone()  # fmt: skip
            if taken is None:
                await sql.insert_operators(conn, platform.id, platform.environment, [operator], "announced")
    else:
        for operator in announced_operators(platform, theirs.roles):
            await sql.add_event(conn, platform.id, "roles", f"they announce {operator.id}, which is not configured")
