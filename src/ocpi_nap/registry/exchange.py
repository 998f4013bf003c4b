"""What registration and rotation share: one at a time, their versions and endpoints, the proof of token C."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi.client import Peer, PeerError, unauthorised
from ocpi_nap.ocpi.discovery import Discovered, DiscoveryFailed, discover
from ocpi_nap.registry.outcomes import RegistryError, advice, left
from ocpi_nap.registry.service import Registry
from ocpi_nap.store import locks
from ocpi_nap.store import registry as sql
from ocpi_nap.store.database import Conn

EXCHANGE_TIMEOUT = 90.0  # R86: the platform makes two calls to us inside our POST or PUT

Say = Callable[[str], None]


@asynccontextmanager
async def alone(registry: Registry, name: str) -> AsyncIterator[Platform]:
    """One handshake of a platform at a time, and none of theirs is stored meanwhile; gives the platform as it is from then on. The lock
    goes with the process if that dies."""
    platform = await registry.platform(name)
    async with registry.db.connection() as conn, locks.held(conn, locks.HANDSHAKE, platform.id, wait=False) as taken:
        if not taken:
            raise RegistryError(f"A handshake with {name} is under way already.", advice="Wait for its end, then try again.")
        yield await registry.platform(name)


async def not_left(conn: Conn, platform: Platform) -> None:
    """Raise RegistryError when they ended the registration, at whatever step of ours (R106), or the platform was removed."""
    if await sql.hold(conn, platform.id) in (None, "unregistered-by-peer"):
        raise left(platform.name)


async def find(registry: Registry, platform: Platform, token: str, *, only: str | None = None) -> Discovered:
    """Their version and endpoints; raises RegistryError with the step and what to do."""
    peer = registry.peer(platform, token, timeout=30)
    encodings = registry.encodings(platform)
    if platform.settings.versions_auth == "none":
        encodings = [None, *encodings]
    own_form = platform.token_encoding == "auto" and platform.learnt_encoding is None
    required = ("locations",) if platform.settings.registration == "none" else ("credentials", "locations")
    try:
        found = await discover(registry.client, peer, platform.versions_url, encodings, platform.settings, only=only, required=required,
                               own_form=own_form)  # fmt: skip
    except DiscoveryFailed as failed:
        answer = failed.error.message if failed.error else ""
        status = getattr(failed.error, "http_status", None)
        raise RegistryError(f"{failed}.", step=failed.step, answer=answer, advice=advice(failed.error, failed.step),
                            http_status=status) from None  # fmt: skip
    await note_tolerated(registry, platform, found)
    return found


async def note_tolerated(registry: Registry, platform: Platform, found: Discovered) -> None:
    """What of their versions and details deviates and was understood all the same, for their page."""
    if found.notes:
        async with registry.db.transaction() as conn:
            await sql.add_event(conn, platform.id, "discovery", "; ".join(found.notes)[:500])


async def verify(
    registry: Registry, platform: Platform, token_c: str, url: str, say: Say, *, functional: bool = False
) -> Platform:  # fmt: skip
    """One GET of their version details with token C; in the other encoding where that is allowed (R80)."""
    verified, learnt = False, platform.learnt_encoding
    last: PeerError | None = None
    base = registry.peer(platform, token_c, timeout=30).correlated()
    for encoding in registry.encodings(platform):
        peer: Peer = replace(base, encoding=encoding)
        try:
            await registry.client.get(peer, url, functional=functional)
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
        await not_left(conn, platform)
        await sql.update_platform(conn, platform.id, values)
        await sql.add_event(conn, platform.id, "verification", "token C works" if verified else f"token C not verified: {last}")
    say("Token C works" if verified else f"Token C could not be verified: {last}")
    return await registry.platform(platform.name)
