"""Registration started by us (R73–R86); rotation and the end of a registration are here by name too.

Every step is stored before the next network call, and no transaction or row lock is held over one: the platform calls our
versions with token B while our POST is still open (R75, R84).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ocpi_nap.model.platform import CONNECTED, Platform, State
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.client import Broken, HttpFailure, Peer, PeerError, TimedOut
from ocpi_nap.ocpi.credentials import PeerCredentials, read_credentials
from ocpi_nap.ocpi.discovery import Discovered
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry import recovery
from ocpi_nap.registry.connection import store_connection
from ocpi_nap.registry.exchange import EXCHANGE_TIMEOUT, Say, alone, find, not_left, verify
from ocpi_nap.registry.leaving import end_connection, replace_token_a, unregister
from ocpi_nap.registry.outcomes import NEXT, AlreadyAtPeer, RegistryError, advice, interrupted, left
from ocpi_nap.registry.rotation import refresh_endpoints, renew, rotate
from ocpi_nap.registry.service import Registry
from ocpi_nap.registry.static import connect
from ocpi_nap.store import registry as sql
from ocpi_nap.store.keys import rekey

__all__ = ["end_connection", "refresh_endpoints", "register", "replace_token_a", "rotate", "unregister"]

_STARTABLE: frozenset[State] = frozenset({"unregistered", "failed", "unknown"})


async def register(registry: Registry, name: str, *, force: bool = False, say: Say = lambda _: None) -> Platform:
    """Register with a platform by its token A (R74); raises RegistryError with the step, the answer and what to do."""
    await recovery.settle(registry)
    async with alone(registry, name) as platform:
        token_a = await registry.outbound(platform, "a")
        if platform.state not in _STARTABLE and not force and platform.state != "registering":
            what_next = NEXT[platform.state].format(name) or "`--force` starts over with a new token A of the CPO."
            raise RegistryError(f"{name} is in state {platform.state}: there is nothing to register.", advice=what_next)
        if token_a is None:
            raise RegistryError(f"No token A of {name} is left: each works once.", step="token A",
                                advice="Ask the CPO for a new one and give it with `platform register --token`.")  # fmt: skip
        if platform.settings.registration == "none":
            return await connect(registry, platform, token_a, say)
        return await _exchange(registry, platform, token_a, say)


async def _exchange(registry: Registry, platform: Platform, token_a: str, say: Say) -> Platform:
    """The exchange; what was there before it stays until the new connection is agreed."""
    name = platform.name
    before: State = platform.state if platform.state in CONNECTED or platform.state == "unknown" else "failed"
    if before == "failed":
        async with registry.db.transaction() as conn:
            await sql.update_platform(conn, platform.id, {"state": "registering", "last_error": None})
    token_b: str | None = None
    try:
        say(f"Asking {platform.versions_url} for versions")
        found = await find(registry, platform, token_a)
        say(f"They offer {', '.join(found.offered)}; taking {found.version}")
        token_b = await _prepare(registry, platform, found)
        platform = await registry.platform(name)
        await _look_at_ourselves(registry, token_b, say)
        say(f"Sending our credentials to {found.endpoints['credentials']}")
        theirs, encoding = await _post(registry, platform, found, token_a, token_b)
    except RegistryError as error:
        failure = await _fail(registry, platform, error, before, token_b)
        token_c = await registry.outbound(platform, "c")
        if isinstance(failure, AlreadyAtPeer) and token_c is not None:
            say("They regard us as registered: renewing the registration with the tokens in use")
            return await renew(registry, await registry.platform(name), token_c, platform.version, say)
        raise failure from None
    await store_connection(registry, platform, version=found.version, endpoints=found.endpoints, theirs=theirs, token_b=token_b,
                           encoding=encoding)  # fmt: skip
    say("They answered with token C")
    return await verify(registry, await registry.platform(name), theirs.token, found.details_url, say)


async def _fail(registry: Registry, platform: Platform, error: RegistryError, before: State, token_b: str | None) -> RegistryError:
    """Store how it failed. Token B goes, unless they may have it (R81, R83); a connection that worked, and a registration that they
    may have taken earlier, stay what they are until they refuse us for good."""
    lost, state = error.state == "unknown", before
    used_up = error.http_status in (401, 403)
    if before == "unknown" and not lost and error.step == "credentials" and _final(error.http_status):
        state = "failed"
    elif before == "unknown" and used_up:
        error.message = f"Token A of {platform.name} was used up by the attempt whose answer is not known."
        error.advice = "Ask the CPO to unregister us and to give a new token A, then give it with `platform register --token`."
    if lost and before == "failed":
        state = "unknown"
    async with registry.db.transaction() as conn:
        if await sql.hold(conn, platform.id) in (None, "unregistered-by-peer"):
            await conn.execute("DELETE FROM token WHERE platform_id = %s", (platform.id,))
            return left(platform.name)
        if lost and before in CONNECTED:
            await conn.execute("UPDATE token SET state = 'active' WHERE platform_id = %s AND state = 'pending'", (platform.id,))
        elif state == "failed" or before in CONNECTED:
            await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'B' AND state = 'pending'", (platform.id,))
        elif token_b is not None and not lost:
            await conn.execute("DELETE FROM token WHERE hash = %s", (tokens.hash_token(token_b),))
        await sql.update_platform(conn, platform.id, {"state": state, "last_error": error.record()})
        await sql.add_event(conn, platform.id, error.step or "failed", error.message, error.details())
        await conn.execute("SELECT pg_notify('registry', '')")
    error.state = state
    return error


def _final(http_status: int | None) -> bool:
    """Whether an answer to a repeated POST says that they have no registration of ours."""
    return http_status is not None and http_status < 500 and http_status not in (401, 403, 405, 429)


async def _prepare(registry: Registry, platform: Platform, found: Discovered) -> str:
    """Token B, stored and active before our POST leaves (R75)."""
    token_b = tokens.generate()
    async with registry.db.transaction() as conn:
        values: dict[str, Any] = {} if platform.state in CONNECTED else {"version": found.version, "endpoints": found.endpoints}
        if found.encoding is not None:
            values["learnt_encoding"] = found.encoding
        await not_left(conn, platform)
        if values:
            await sql.update_platform(conn, platform.id, values)
        if values.get("version", platform.version) != platform.version:  # what they push before the answer is known finds what is held
            await rekey(conn, platform.id, ids_have_case=VERSIONS[found.version].ids_have_case)
        await sql.add_token(conn, platform.id, "B", "pending", tokens.hash_token(token_b))
        sent = registry.identity.credentials(found.version, tokens.masked(token_b))
        details = {"offered": found.offered, "endpoints": found.endpoints, "token form": found.encoding, "sent": sent}
        await sql.add_event(conn, platform.id, "credentials", f"POST to {found.endpoints['credentials']}", details)
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


async def _post(
    registry: Registry, platform: Platform, found: Discovered, token_a: str, token_b: str
) -> tuple[PeerCredentials, str | None]:
    """POST our credentials, and the form of the token that was read: once more where the outcome is unknown (R83), and in the other form
    where the one that their versions took is no token here: some take any there."""
    peer = registry.peer(platform, token_a, timeout=EXCHANGE_TIMEOUT).correlated()
    others = [form for form in registry.encodings(platform) if form != peer.encoding]
    body = registry.identity.credentials(found.version, token_b)
    url = found.endpoints["credentials"]
    unknown: PeerError | None = None
    for _ in range(2 + len(others)):
        try:
            answer = await registry.client.post(peer, url, body)
            return read_credentials(answer.data, need_url=False), peer.encoding
        except OcpiError as error:
            raise RegistryError(f"Their answer to our credentials cannot be used: {error.message}.", step="credentials",
                                answer=error.message, advice=advice(None)) from None  # fmt: skip
        except (TimedOut, Broken) as error:
            if unknown is not None:
                break
            unknown = error
        except PeerError as error:
            if others and unknown is None and isinstance(error, HttpFailure) and error.http_status in (401, 403):
                peer = replace(peer, encoding=others.pop())
                continue
            raise _refused(error, platform, unknown) from None
    assert unknown is not None
    failure = interrupted("new registration" if platform.state in CONNECTED else "registration", platform.name, unknown.message)
    failure.step = "credentials"
    raise failure


def _refused(error: PeerError, platform: Platform, unknown: PeerError | None) -> RegistryError:
    """A refusal of our POST in words (R81, R82)."""
    if isinstance(error, HttpFailure) and error.http_status == 405:
        message = f"Already registered at peer: {platform.name} answered 405 to our credentials."
        failure = AlreadyAtPeer.of_peer(error, message, step="credentials")
        failure.state = "unknown" if unknown is not None else None  # the attempt before may have been taken
        return failure
    if isinstance(error, HttpFailure) and error.http_status == 401 and unknown is not None:
        return RegistryError(f"Token A was used up by the attempt whose answer was lost ({unknown.message}).", step="credentials",
                             answer=error.message, state="unknown", http_status=401,
                             advice="Ask the CPO to unregister us and to give a new token A.")  # fmt: skip
    return RegistryError.of_peer(error, f"{platform.name} refused our credentials: {error.message}.", step="credentials")
