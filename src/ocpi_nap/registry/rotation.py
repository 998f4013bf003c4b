"""New tokens for a connection that exists, and what is read again of it (R62, R63, R102–R105)."""

from __future__ import annotations

from ocpi_nap.model.platform import CONNECTED, Platform, State
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.client import Broken, HttpFailure, PeerError, TimedOut, unauthorised
from ocpi_nap.ocpi.credentials import read_credentials
from ocpi_nap.ocpi.discovery import Discovered
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry import recovery
from ocpi_nap.registry.connection import store_connection
from ocpi_nap.registry.exchange import EXCHANGE_TIMEOUT, Say, alone, find, not_left, verify
from ocpi_nap.registry.outcomes import RegistryError, advice, interrupted
from ocpi_nap.registry.service import Registry
from ocpi_nap.store import registry as sql
from ocpi_nap.store.database import Conn


async def rotate(registry: Registry, name: str, *, upgrade: bool = False, say: Say = lambda _: None) -> Platform:
    """New tokens for both sides by PUT, in the highest mutual version on ``upgrade`` (R105); on failure the old ones stay (R103)."""
    await recovery.settle(registry)
    async with alone(registry, name) as platform:
        if platform.settings.registration == "none":
            raise RegistryError(f"{name} has no credentials module.", advice=f"`ocpi-nap platform set-token {name}` takes agreed tokens.")
        token_c = (await registry.connected_peer(platform)).token
        return await renew(registry, platform, token_c, None if upgrade else platform.version, say)


async def due(registry: Registry) -> list[int]:
    """Platforms whose tokens are to be renewed: by age (R104), or because our endpoints changed since they were told (R63)."""
    await recovery.settle(registry)
    return await sql.rotation_due(registry.db, [registry.identity.offer(version) for version in VERSIONS])


async def refresh_endpoints(registry: Registry, name: str) -> bool:
    """Read their version details again, as after 404 or 410 from an endpoint (R62); True when an endpoint changed."""
    async with alone(registry, name) as platform:
        token = (await registry.connected_peer(platform)).token
        found = await find(registry, platform, token, only=platform.version)
        if found.endpoints == platform.endpoints:
            return False
        async with registry.db.transaction() as conn:
            await not_left(conn, platform)
            await sql.update_platform(conn, platform.id, {"endpoints": found.endpoints})
            await sql.add_event(conn, platform.id, "endpoints", "read again: they changed")
        return True


async def renew(registry: Registry, platform: Platform, old_c: str, version: str | None, say: Say) -> Platform:
    """PUT our credentials with the token in use, and take theirs (R102)."""
    try:
        found = await find(registry, platform, old_c, only=version)
    except RegistryError as error:
        raise await _keep_old(registry, platform, error, proven=error.http_status not in (401, 403)) from None
    token_b = tokens.generate()
    url = found.endpoints["credentials"]
    async with registry.db.transaction() as conn:
        await not_left(conn, platform)
        token_id = await sql.add_token(conn, platform.id, "B", "active", tokens.hash_token(token_b))
        await sql.update_platform(conn, platform.id, {"last_error": interrupted("rotation", platform.name).record()})
        await sql.add_event(conn, platform.id, "rotation", f"PUT to {url}")
    say(f"Sending new credentials to {url}")
    peer = registry.peer(platform, old_c, timeout=EXCHANGE_TIMEOUT)
    try:
        answer = await registry.client.put(peer, url, registry.identity.credentials(found.version, token_b))
        theirs = read_credentials(answer.data, need_url=False)
    except (TimedOut, Broken) as error:
        raise await _lost(registry, platform, old_c, found, error) from None
    except (PeerError, OcpiError) as error:
        raise await _refused(registry, platform, token_id, error) from None
    await store_connection(registry, platform, version=found.version, endpoints=found.endpoints, theirs=theirs, token_b=token_b,
                           renewed=True)  # fmt: skip
    if theirs.token == old_c:
        async with registry.db.transaction() as conn:
            await sql.add_event(conn, platform.id, "rotation", "they gave the same token again")  # I-34
    return await verify(registry, await registry.platform(platform.name), theirs.token, found.details_url, say)


async def _refused(registry: Registry, platform: Platform, token_id: int, error: PeerError | OcpiError) -> RegistryError:
    """The new token B goes; 405 means that they think we are not registered (R103)."""
    failure = RegistryError(
        f"{platform.name} did not take new credentials: {error.message}. The old tokens stay.", step="rotation", answer=error.message,
        advice=advice(error if isinstance(error, PeerError) else None),
    )  # fmt: skip
    state = platform.state
    if isinstance(error, HttpFailure) and error.http_status == 405:
        state = "lost"
        failure.advice = f"They regard us as not registered: `ocpi-nap platform register {platform.name} --token` with a new token A."
    async with registry.db.transaction() as conn:
        failure = await _note(conn, platform, state, failure)
        await conn.execute("DELETE FROM token WHERE id = %s", (token_id,))
    return failure


async def _lost(registry: Registry, platform: Platform, old_c: str, found: Discovered, error: PeerError) -> RegistryError:
    """Nobody knows whether they took the new credentials: both tokens B stay valid, and the old token C is tried (I-35)."""
    proven = True
    try:
        await registry.client.get(registry.peer(platform, old_c, timeout=30), found.details_url, functional=False)
    except PeerError as refused:
        proven = not unauthorised(refused)
    failure = interrupted("rotation", platform.name, error.message)
    if not proven:
        failure.message = f"{platform.name} refuses the old token since the new credentials were sent, and its answer was lost."
        failure.advice = (f"Ask the CPO for a new token A, then `ocpi-nap platform register {platform.name} --force --token …`; "
                          f"or agree on tokens and give them with `ocpi-nap platform set-token {platform.name}`.")  # fmt: skip
    return await _keep_old(registry, platform, failure, proven=proven)


async def _keep_old(registry: Registry, platform: Platform, failure: RegistryError, *, proven: bool) -> RegistryError:
    state: State = "registered-unverified" if platform.state in CONNECTED and not proven else platform.state
    async with registry.db.transaction() as conn:
        return await _note(conn, platform, state, failure)


async def _note(conn: Conn, platform: Platform, state: State, failure: RegistryError) -> RegistryError:
    """Keep how it failed, unless they have ended the registration meanwhile."""
    try:
        await not_left(conn, platform)
    except RegistryError as gone:
        return gone
    await sql.update_platform(conn, platform.id, {"state": state, "last_error": failure.record()})
    await sql.add_event(conn, platform.id, "rotation", failure.message, failure.details())
    return failure
