"""Storing a registration that both sides agree on, at once and whole (R74, R88, R98)."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.credentials import PeerCredentials, role_party
from ocpi_nap.ocpi.errors import HandshakeUnderWay, NotAuthenticated
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry.outcomes import left
from ocpi_nap.registry.service import Registry, announced_operators, with_details
from ocpi_nap.store import registry as sql
from ocpi_nap.store.crawls import read_anew
from ocpi_nap.store.database import Conn
from ocpi_nap.store.keys import rekey

_SHOWN_ROLES = 50
"""Of a platform that has many, in the event that tells of its registration."""


async def store_connection(
    registry: Registry, platform: Platform, *, version: str, endpoints: dict[str, str], theirs: PeerCredentials, token_b: str | None,
    encoding: str | None = None, presented: int | None = None, renewed: bool = False,
) -> None:  # fmt: skip
    """Their token for us to send, ours for them, endpoints, roles and the pulls that start at once (R85).

    Earlier tokens of theirs stay valid until the new one is used, at most 15 minutes (D18). ``presented`` is the token with which they
    came: it must still be valid, and a token A ends here (R88, R95); their URL is the new versions URL then. Raises NotAuthenticated, and
    HandshakeUnderWay while we exchange ours. ``renewed``: by our PUT, which counts for nothing when they left meanwhile (RegistryError).
    """
    own = registry.identity.party  # some echo ours instead of theirs (R72)
    roles = [role for role in theirs.roles if role_party(role) != own]
    async with registry.db.transaction() as conn:
        state = await sql.hold(conn, platform.id)
        if state is None or (renewed and state == "unregistered-by-peer"):
            raise left(platform.name)
        values: dict[str, Any] = {
            "state": "registered", "version": version, "endpoints": endpoints, "peer_roles": roles, "last_error": None,
            "outbound_c": registry.vault.seal(theirs.token), "outbound_a": None, "disconnected_at": None,
        }  # fmt: skip
        if presented is None:
            values["state"] = "registered-unverified"  # until token C is proven
        else:
            if not await sql.try_handshake_lock(conn, platform.id, shared=True):
                raise HandshakeUnderWay("we are exchanging credentials with you at this moment: try again when that is over")
            await _use(conn, presented)
            values["versions_url"] = theirs.url
        if encoding is not None:
            values["learnt_encoding"] = encoding
        await replace_tokens(conn, platform, token_b)
        await sql.update_platform(conn, platform.id, values)
        await rekey(conn, platform.id, ids_have_case=VERSIONS[version].ids_have_case)
        await read_anew(conn, platform.id, unless=version)
        await _store_operators(conn, platform, roles)
        for full in (True, False):
            await conn.execute(
                "INSERT INTO schedule VALUES (%s, %s, now() + %s * interval '1 minute')"
                " ON CONFLICT (platform_id, full_pull) DO UPDATE SET due_at = excluded.due_at",
                (platform.id, full, 0 if full else platform.settings.delta_interval_minutes),
            )
        without = "" if "tariffs" in endpoints or "tariffs" not in VERSIONS[version].modules else ", without tariffs"  # R61
        answered = {"token": tokens.masked(theirs.token), "roles": theirs.roles[:_SHOWN_ROLES]}
        details = {"offer": registry.identity.offer(version), "answered": answered, "endpoints": endpoints}
        await sql.add_event(conn, platform.id, "registered", f"OCPI {version}{without}", details)
        await sql.visible_change(conn)


async def _use(conn: Conn, token_id: int) -> None:
    """Of two requests with one token A the first ends it; the row stays, to tell a caller who uses it again (I-5)."""
    cursor = await conn.execute(
        "UPDATE token SET expires_at = CASE kind WHEN 'A' THEN now() ELSE expires_at END"
        " WHERE id = %s AND (expires_at IS NULL OR kind = 'B' AND expires_at > clock_timestamp())", (token_id,),
    )  # fmt: skip
    if cursor.rowcount == 0:
        raise NotAuthenticated("this token was used already")


async def replace_tokens(conn: Conn, platform: Platform, token_b: str | None) -> None:
    """Token B as the one they use from now on; what they used before stays a while (D18), an unused token A goes."""
    await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'A' AND expires_at IS NULL", (platform.id,))
    if token_b is None:
        return
    await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'B' AND expires_at <= now()", (platform.id,))
    digest = tokens.hash_token(token_b)
    await conn.execute("DELETE FROM token WHERE platform_id = %s AND state = 'pending' AND hash <> %s", (platform.id, digest))
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


async def _store_operators(conn: Conn, platform: Platform, roles: list[dict[str, Any]]) -> None:
    """Logos, announced operators where they are accepted, and what differs from the record (R71)."""
    announced = {role_party(role) for role in roles}
    unannounced = [operator.id for operator in platform.operators if operator.source == "configured" and operator.party not in announced]
    if platform.settings.registration == "none":
        return
    if not any(party for _, party in announced):
        await sql.add_event(conn, platform.id, "roles", "they announce no party")  # R69
    elif unannounced:
        await sql.add_event(conn, platform.id, "roles", f"they do not announce {', '.join(unannounced)}"[:500])
    for operator in platform.operators:
        detailed = with_details(operator, roles)
        if detailed.details != operator.details:
            await conn.execute(
                "UPDATE operator SET details = %s WHERE platform_id = %s AND country_code = %s AND party_id = %s",
                (Jsonb(detailed.details), platform.id, operator.country_code, operator.party_id),
            )
    if platform.settings.accept_announced_roles:
        if any(party for _, party in announced):  # those of the present credentials, not of all there ever were (D4)
            past = [o.party for o in platform.operators if o.source == "announced" and o.party not in announced]
            await sql.remove_operators(conn, platform.id, past)
        for operator in announced_operators(platform, roles):
            taken = await (await conn.execute(
                "SELECT 1 FROM operator WHERE environment = %s AND country_code = %s AND party_id = %s",
                (platform.environment, operator.country_code, operator.party_id),
            )).fetchone()  # fmt: skip
            if taken is None:
                await sql.insert_operators(conn, platform.id, platform.environment, [operator], "announced")
    elif strangers := announced_operators(platform, roles):
        names, are = ", ".join(operator.id for operator in strangers)[:400], "is" if len(strangers) == 1 else "are"
        await sql.add_event(conn, platform.id, "roles", f"they announce {names}, which {are} not configured")
