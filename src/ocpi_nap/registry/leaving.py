"""The end of a registration, by us or by them, and the token A of the next one (R106–R109)."""

from __future__ import annotations

from typing import Any

from ocpi_nap.model.platform import Platform, State
from ocpi_nap.ocpi.client import PeerError
from ocpi_nap.registry import onboarding
from ocpi_nap.registry.exchange import Say, alone
from ocpi_nap.registry.outcomes import NEXT, RegistryError, interrupted
from ocpi_nap.registry.service import Registry
from ocpi_nap.store import registry as sql


async def unregister(registry: Registry, name: str, *, say: Say = lambda _: None) -> Platform:
    """DELETE to the platform; whatever it answers, our side ends unregistered and its token B is void (R108)."""
    async with alone(registry, name) as platform:
        token_c = await registry.outbound(platform, "c")
        said = "we had no token for them"
        if token_c is not None and "credentials" not in platform.endpoints:
            said = "they have no credentials module to tell it to"
        elif token_c is not None:
            async with registry.db.transaction() as conn:
                await sql.update_platform(conn, platform.id, {"last_error": interrupted("end", name).record()})
            try:
                await registry.client.delete(registry.peer(platform, token_c, timeout=30), platform.endpoints["credentials"])
                said = "they agreed"
            except PeerError as error:
                said = f"they answered: {error.message}"
        await end_connection(registry, platform, "unregistered", said)
    say(f"Unregistered; {said}")
    return await registry.platform(name)


async def end_connection(registry: Registry, platform: Platform, state: State, message: str) -> None:
    """Both tokens void at once, pulls stop; the data stays for a while (R106, D19)."""
    error = None
    if state == "unregistered-by-peer":
        error = RegistryError(f"{platform.name} ended the registration.", step="unregistered", answer=message,
                              advice=NEXT[state].format(platform.name))  # fmt: skip
    async with registry.db.transaction() as conn:
        await sql.hold(conn, platform.id)
        await conn.execute("DELETE FROM token WHERE platform_id = %s", (platform.id,))
        await conn.execute("DELETE FROM schedule WHERE platform_id = %s", (platform.id,))
        ended = {"state": state, "outbound_a": None, "outbound_c": None, "last_error": error.record() if error else None}
        await sql.update_platform(conn, platform.id, ended)
        await conn.execute("UPDATE platform SET disconnected_at = coalesce(disconnected_at, now()) WHERE id = %s", (platform.id,))
        await sql.add_event(conn, platform.id, "unregistered", message)
        await sql.visible_change(conn)


async def replace_token_a(registry: Registry, name: str, token: str) -> None:
    """Keep a new token A of the CPO for the next registration (R109)."""
    platform = await registry.platform(name)
    token = onboarding.check_token(token, "CREDENTIALS_TOKEN_A")
    async with registry.db.transaction() as conn:
        values: dict[str, Any] = {"outbound_a": registry.vault.seal(token)}
        if platform.state in ("lost", "unregistered-by-peer"):
            values["state"] = "unregistered"
        await sql.update_platform(conn, platform.id, values)
