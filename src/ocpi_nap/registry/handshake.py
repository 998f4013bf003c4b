"""Registration started by us, rotation, and its end (R73–R86, R101–R109).

Every step is stored before the next network call, and no transaction or row lock is held over one: the platform calls our
versions with token B while our POST is still open (R75, R84).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ocpi_nap.model.platform import CONNECTED, Platform, State
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.client import Broken, HttpFailure, Peer, PeerError, TimedOut, unauthorised
from ocpi_nap.ocpi.credentials import PeerCredentials, read_credentials
from ocpi_nap.ocpi.discovery import Discovered, DiscoveryFailed, discover
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.registry.connection import store_connection
from ocpi_nap.registry.outcomes import AlreadyAtPeer, RegistryError, advice
from ocpi_nap.registry.service import Registry
from ocpi_nap.store import registry as sql

_POST_TIMEOUT = 90.0  # R86: the platform makes two calls to us inside our POST
_STARTABLE: frozenset[State] = frozenset({"unregistered", "failed", "unknown", "registering"})

Say = Callable[[str], None]


@asynccontextmanager
async def _alone(registry: Registry, platform: Platform) -> AsyncIterator[None]:
    """One handshake of a platform at a time; the lock goes with the process if that dies."""
    async with registry.db.connection() as conn:
        row = await (await conn.execute("SELECT pg_try_advisory_lock(8415, %s)", (platform.id,))).fetchone()
        if not row or not row[0]:
            raise RegistryError(f"A handshake with {platform.name} is under way already.")
        try:
            yield
        finally:
            await conn.execute("SELECT pg_advisory_unlock(8415, %s)", (platform.id,))


async def _fail(registry: Registry, platform: Platform, error: RegistryError, state: State) -> RegistryError:
    """Store how it failed; token B is revoked unless the outcome is unknown (R81, R83)."""
    async with registry.db.transaction() as conn:
        await sql.update_platform(conn, platform.id, {"state": state, "last_error": error.record()})
        if state != "unknown":
            await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'B' AND state = 'pending'", (platform.id,))
        await sql.add_event(conn, platform.id, error.step or "failed", error.message)
        await conn.execute("SELECT pg_notify('registry', '')")
    error.state = state
    return error


async def _discover(registry: Registry, platform: Platform, token: str, *, only: str | None = None) -> Discovered:
    peer = registry.peer(platform, token, timeout=30)
    encodings = registry.encodings(platform)
    if platform.settings.versions_auth == "none":
        encodings = [None, *encodings]
    try:
        return await discover(registry.client, peer, platform.versions_url, encodings, platform.settings, only=only)
    except DiscoveryFailed as failed:
        answer = failed.error.message if failed.error else ""
        raise RegistryError(f"{failed}.", step=failed.step, answer=answer, advice=advice(failed.error)) from None


async def register(registry: Registry, name: str, *, force: bool = False, say: Say = lambda _: None) -> Platform:
    """Register with a platform by its token A (R74); raises RegistryError with the step, the answer and what to do."""
    platform = await registry.platform(name)
    if platform.state not in _STARTABLE and not force:
        raise RegistryError(f"{name} is in state {platform.state}: there is nothing to register.",
                            advice="`--force` starts over with a new token A of the CPO.")  # fmt: skip
    token_a = await registry.outbound(platform, "a")
    if token_a is None:
        raise RegistryError(f"No token A of {name} is left: each works once.", step="token A",
                            advice="Ask the CPO for a new one and give it with `platform register --token`.")  # fmt: skip
    before: State = platform.state if platform.state in CONNECTED else "failed"
    async with _alone(registry, platform):
        if before == "failed":  # a connection that works stays one until the new one is agreed
            async with registry.db.transaction() as conn:
                await sql.update_platform(conn, platform.id, {"state": "registering", "last_error": None})
        try:
            say(f"Asking {platform.versions_url} for versions")
            found = await _discover(registry, platform, token_a)
            say(f"They offer {', '.join(found.offered)}; taking {found.version}")
            token_b = await _prepare(registry, platform, found)
            platform = await registry.platform(name)
            await _look_at_ourselves(registry, token_b, say)
            say(f"Sending our credentials to {found.endpoints['credentials']}")
            theirs = await _post(registry, platform, found, token_a, token_b)
        except RegistryError as error:
            failure = await _fail(registry, platform, error, error.state or before)
            if isinstance(error, AlreadyAtPeer) and await registry.outbound(platform, "c") is not None:
                say("They regard us as registered: renewing the registration with the tokens in use")
                return await _renew(registry, await registry.platform(name), platform.version, say)
            raise failure from None
        await store_connection(registry, platform, version=found.version, endpoints=found.endpoints, theirs=theirs, token_b=token_b)
        say("They answered with token C")
        return await _verify(registry, await registry.platform(name), theirs.token, found.details_url, say)


async def _prepare(registry: Registry, platform: Platform, found: Discovered) -> str:
    """Token B, stored and active before our POST leaves (R75)."""
    token_b = tokens.generate()
    async with registry.db.transaction() as conn:
        values: dict[str, Any] = {} if platform.state in CONNECTED else {"version": found.version, "endpoints": found.endpoints}
        if found.encoding is not None:
            values["learnt_encoding"] = found.encoding
        if values:
            await sql.update_platform(conn, platform.id, values)
        await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'B' AND state = 'pending'", (platform.id,))
        await sql.add_token(conn, platform.id, "B", "pending", tokens.hash_token(token_b))
        await sql.add_event(conn, platform.id, "credentials", f"POST to {found.endpoints['credentials']}")
    return token_b


async def _look_at_ourselves(registry: Registry, token_b: str, say: Say) -> None:
    """Our own versions with token B, as the platform will ask for them inside our POST (I-31); only a warning: not all do."""
    url = registry.identity.versions_url
    own = (registry.identity.country_code, registry.identity.party_id)
    peer = Peer(token=token_b, encoding="raw", own_party=own, peer_party=own, private=True, timeout=10)
    try:
        await registry.client.get(peer, url, functional=False)
    except PeerError as error:
        say(f"Warning: our own {url} does not answer us ({error.message}); the platform may not be able to call it either.")
        say("OCPI_NAP_PUBLIC_URL says where others reach us, and `ocpi-nap serve` must be running.")


async def _post(registry: Registry, platform: Platform, found: Discovered, token_a: str, token_b: str) -> PeerCredentials:
    """POST our credentials; once more where the outcome is unknown (R83)."""
    peer = registry.peer(platform, token_a, timeout=_POST_TIMEOUT).correlated()
    body = registry.identity.credentials(found.version, token_b)
    url = found.endpoints["credentials"]
    unknown: PeerError | None = None
    for _ in range(2):
        try:
            answer = await registry.client.post(peer, url, body)
            return read_credentials(answer.data, need_url=False)
        except OcpiError as error:
            raise RegistryError(f"Their answer to our credentials cannot be used: {error.message}.", step="credentials",
                                answer=error.message, advice=advice(None)) from None  # fmt: skip
        except (TimedOut, Broken) as error:
            unknown = error
        except PeerError as error:
            raise _refused(error, platform, unknown) from None
    assert unknown is not None
    raise RegistryError(
        f"Nobody knows whether {platform.name} registered us: {unknown.message}.", step="credentials", answer=unknown.message,
        advice="Run register again; if they say 405, ask the CPO to unregister us and to give a new token A.", state="unknown",
    )  # fmt: skip


def _refused(error: PeerError, platform: Platform, unknown: PeerError | None) -> RegistryError:
    """A refusal of our POST in words (R81, R82)."""
    if isinstance(error, HttpFailure) and error.http_status == 405:
        message = f"Already registered at peer: {platform.name} answered 405 to our credentials."
        return AlreadyAtPeer.of_peer(error, message, step="credentials")
    if isinstance(error, HttpFailure) and error.http_status == 401 and unknown is not None:
        return RegistryError(f"Token A was used up by the attempt whose answer was lost ({unknown.message}).", step="credentials",
                             answer=error.message, advice="Ask the CPO to unregister us and to give a new token A.")  # fmt: skip
    return RegistryError(f"{platform.name} refused our credentials: {error.message}.", step="credentials", answer=error.message,
                         advice=advice(error))  # fmt: skip


async def _verify(registry: Registry, platform: Platform, token_c: str, url: str, say: Say) -> Platform:
    """One GET of their version details with token C; in the other encoding where that is allowed (R80)."""
    verified, learnt = False, platform.learnt_encoding
    last: PeerError | None = None
    for encoding in registry.encodings(platform):
        peer: Peer = replace(registry.peer(platform, token_c, timeout=30), encoding=encoding)
        try:
            await registry.client.get(peer, url, functional=False)
            verified, learnt = True, encoding if encoding in ("raw", "base64") else learnt  # type: ignore[assignment]
            break
        except PeerError as error:
            last = error
            if not unauthorised(error):
                break
    values: dict[str, Any] = {"state": "registered" if verified else "registered-unverified", "learnt_encoding": learnt}
    if not verified and last is not None:
        failure = RegistryError(f"Registered, but token C could not be verified: {last.message}.", step="verification", answer=last.message,
                                advice=advice(last))  # fmt: skip
        values["last_error"] = failure.record()
    async with registry.db.transaction() as conn:
        await sql.update_platform(conn, platform.id, values)
        await sql.add_event(conn, platform.id, "verification", "token C works" if verified else f"token C not verified: {last}")
    say("Token C works" if verified else f"Token C could not be verified: {last}")
    return await registry.platform(platform.name)


async def rotate(registry: Registry, name: str, *, upgrade: bool = False, say: Say = lambda _: None) -> Platform:
    """New tokens for both sides by PUT, in the highest mutual version on ``upgrade`` (R105); on failure the old ones stay (R103)."""
    platform = await registry.platform(name)
    async with _alone(registry, platform):
        return await _renew(registry, platform, None if upgrade else platform.version, say)


async def refresh_endpoints(registry: Registry, name: str) -> bool:
    """Read their version details again, as after 404 or 410 from an endpoint (R62); True when an endpoint changed."""
    platform = await registry.platform(name)
    token = (await registry.connected_peer(platform)).token
    found = await _discover(registry, platform, token, only=platform.version)
    if found.endpoints == platform.endpoints:
        return False
    async with registry.db.transaction() as conn:
        await sql.update_platform(conn, platform.id, {"endpoints": found.endpoints})
        await sql.add_event(conn, platform.id, "endpoints", "read again: they changed")
    return True


async def _renew(registry: Registry, platform: Platform, version: str | None, say: Say) -> Platform:
    """PUT our credentials with the token in use, and take theirs (R102)."""
    name = platform.name
    old_c = (await registry.connected_peer(platform)).token
    found = await _discover(registry, platform, old_c, only=version)
    token_b = tokens.generate()
    async with registry.db.transaction() as conn:
        token_id = await sql.add_token(conn, platform.id, "B", "active", tokens.hash_token(token_b))
    say(f"Sending new credentials to {found.endpoints['credentials']}")
    peer = registry.peer(platform, old_c, timeout=_POST_TIMEOUT)
    try:
        answer = await registry.client.put(peer, found.endpoints["credentials"], registry.identity.credentials(found.version, token_b))
        theirs = read_credentials(answer.data, need_url=False)
    except (PeerError, OcpiError) as error:
        lost = isinstance(error, HttpFailure) and error.http_status == 405
        failure = RegistryError(f"{name} did not take new credentials: {error.message}. The old tokens stay.", step="rotation",
                                answer=error.message, advice=advice(error if isinstance(error, PeerError) else None))  # fmt: skip
        async with registry.db.transaction() as conn:
            if not isinstance(error, TimedOut | Broken):
                await conn.execute("DELETE FROM token WHERE id = %s", (token_id,))
            state: State = "lost" if lost else platform.state
            await sql.update_platform(conn, platform.id, {"state": state, "last_error": failure.record()})
            await sql.add_event(conn, platform.id, "rotation", failure.message)
        raise failure from None
    await store_connection(registry, platform, version=found.version, endpoints=found.endpoints, theirs=theirs, token_b=token_b,
                           keep_id=token_id)  # fmt: skip
    return await _verify(registry, await registry.platform(name), theirs.token, found.details_url, say)


async def unregister(registry: Registry, name: str, *, say: Say = lambda _: None) -> Platform:
    """DELETE to the platform; whatever it answers, our side ends unregistered and its token B is void (R108)."""
    platform = await registry.platform(name)
    token_c = await registry.outbound(platform, "c")
    said = "we had no token for them"
    if token_c is not None and "credentials" in platform.endpoints:
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
    async with registry.db.transaction() as conn:
        await conn.execute("DELETE FROM token WHERE platform_id = %s", (platform.id,))
        await conn.execute("DELETE FROM schedule WHERE platform_id = %s", (platform.id,))
        await sql.update_platform(conn, platform.id, {"state": state, "outbound_a": None, "outbound_c": None})
        await conn.execute("UPDATE platform SET disconnected_at = coalesce(disconnected_at, now()) WHERE id = %s", (platform.id,))
        await sql.add_event(conn, platform.id, "unregistered", message)
        await sql.visible_change(conn)


async def replace_token_a(registry: Registry, name: str, token: str) -> None:
    """Keep a new token A of the CPO for the next registration (R109)."""
    platform = await registry.platform(name)
    if not token or len(token) > 255:
        raise RegistryError("CREDENTIALS_TOKEN_A: 1 to 255 characters are required.")
    async with registry.db.transaction() as conn:
        values: dict[str, Any] = {"outbound_a": registry.vault.seal(token)}
        if platform.state in ("lost", "unregistered-by-peer"):
            values["state"] = "unregistered"
        await sql.update_platform(conn, platform.id, values)
