"""Tokens and endpoints that were agreed outside the credentials module (I-6, I-45)."""

from __future__ import annotations

from typing import Any

from psycopg.errors import UniqueViolation

from ocpi_nap.model.platform import CONNECTED, Platform
from ocpi_nap.ocpi import net
from ocpi_nap.ocpi.credentials import PeerCredentials
from ocpi_nap.ocpi.links import with_query
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry import onboarding
from ocpi_nap.registry.connection import replace_tokens, store_connection
from ocpi_nap.registry.exchange import Say, find, verify
from ocpi_nap.registry.outcomes import RegistryError
from ocpi_nap.registry.service import Registry
from ocpi_nap.store import registry as sql


async def connect(registry: Registry, platform: Platform, token: str, say: Say) -> Platform:
    """Begin pulling a platform that has no credentials module, with its static token (``registration`` is ``none``)."""
    if platform.settings.static_endpoints:
        version, endpoints = await _static(registry, platform)
        proof, functional = _first_object(endpoints["locations"]), True
        say(f"Taking the static endpoints, with OCPI {version}")
    else:
        found = await find(registry, platform, token)
        version, endpoints, proof, functional = found.version, found.endpoints, found.details_url, False
        say(f"They offer {', '.join(found.offered)}; taking {version}")
    theirs = PeerCredentials(token, None, [])
    await store_connection(registry, platform, version=version, endpoints=endpoints, theirs=theirs, token_b=None)
    return await verify(registry, await registry.platform(platform.name), token, proof, say, functional=functional)


async def _static(registry: Registry, platform: Platform) -> tuple[str, dict[str, str]]:
    version, endpoints = platform.settings.version_pin, platform.settings.static_endpoints
    if version not in VERSIONS:
        raise RegistryError(f"version_pin: one of {', '.join(VERSIONS)} is required with static_endpoints.", step="endpoints")
    modules = VERSIONS[version].modules
    if "locations" not in endpoints or not set(endpoints) <= set(modules):
        raise RegistryError(f"static_endpoints: locations is required, and of {', '.join(modules)} any.", step="endpoints")
    try:
        for url in endpoints.values():
            net.check_form(url, allow_private=registry.allow_private)
            await net.check_address(url, allow_private=registry.allow_private)
    except net.Refused as error:
        raise RegistryError(f"static_endpoints: {error}.", step="endpoints") from None
    return version, dict(endpoints)


def _first_object(url: str) -> str:
    return with_query(url, {"offset": 0, "limit": 1})


async def set_tokens(
    registry: Registry, name: str, *, token_b: str | None, token_c: str | None, say: Say = lambda _: None
) -> Platform:  # fmt: skip
    """Take tokens that were changed out of band, without a handshake: B, which they use on us, and C, which we send."""
    platform = await registry.platform(name)
    if platform.version is None:
        raise RegistryError(f"{name} was never registered: its endpoints are not known.",
                            advice=f"`ocpi-nap platform register {name}` first.")  # fmt: skip
    values: dict[str, Any] = {"disconnected_at": None}
    if token_c is not None:
        values["outbound_c"] = registry.vault.seal(onboarding.check_token(token_c, "TOKEN_C"))
    elif await registry.outbound(platform, "c") is None:
        raise RegistryError(f"TOKEN_C: required, since there is none of {name}.")
    if token_c is not None or platform.state not in CONNECTED:
        values |= {"state": "registered-unverified", "last_error": None}
    if token_b is not None:
        onboarding.check_token(token_b, "TOKEN_B")
    try:
        async with registry.db.transaction() as conn:
            await sql.hold(conn, platform.id)
            await replace_tokens(conn, platform, token_b)
            await sql.update_platform(conn, platform.id, values)
            changed = " and ".join(label for label, token in (("B", token_b), ("C", token_c)) if token is not None)
            await sql.add_event(conn, platform.id, "registered", f"token {changed} given by hand",
                                {"offer": registry.identity.offer(platform.version)})  # fmt: skip
            await sql.visible_change(conn)
    except UniqueViolation:
        raise RegistryError("TOKEN_B: this token is in use already; each belongs to one platform.") from None
    platform = await registry.platform(name)
    if token_c is None:
        return platform
    if platform.settings.static_endpoints:
        return await verify(registry, platform, token_c, _first_object(platform.endpoints["locations"]), say, functional=True)
    return await _read_again(registry, platform, token_c, say)


async def _read_again(registry: Registry, platform: Platform, token_c: str, say: Say) -> Platform:
    """Their endpoints with the new token C, which proves it."""
    try:
        found = await find(registry, platform, token_c, only=platform.version)
    except RegistryError as error:
        async with registry.db.transaction() as conn:
            await sql.update_platform(conn, platform.id, {"last_error": error.record()})
        say(f"Token C is kept, but not proven: {error.message}")
        return await registry.platform(platform.name)
    async with registry.db.transaction() as conn:
        await sql.update_platform(conn, platform.id, {"endpoints": found.endpoints})
    return await verify(registry, await registry.platform(platform.name), token_c, found.details_url, say)
