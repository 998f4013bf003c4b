"""The credentials module as others use it on us (R87–R107)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi import net, tokens
from ocpi_nap.ocpi.client import Peer
from ocpi_nap.ocpi.credentials import PeerCredentials, read_credentials
from ocpi_nap.ocpi.discovery import Discovered, DiscoveryFailed, discover
from ocpi_nap.ocpi.errors import (
    CannotUsePeer,
    Invalid,
    MissingEndpoint,
    NoMutualVersion,
    NotAuthenticated,
    OcpiError,
)
from ocpi_nap.ocpi.ports import Caller
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry.connection import store_connection
from ocpi_nap.registry.exchange import note_tolerated
from ocpi_nap.registry.leaving import end_connection
from ocpi_nap.registry.service import Registry

_CALLBACK_TIMEOUT = 9.0
_CALLBACK_TOTAL = 19.0  # R96: with every form of the token that is tried


class CredentialsService:
    """Implements ocpi.ports.Credentials."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def get(self, caller: Caller, version: str, readings: Sequence[str]) -> dict[str, Any]:
        """Our credentials with the token the caller just presented, in the reading that is the token (R97)."""
        row = await self._registry.db.fetch_one("SELECT hash FROM token WHERE id = %s", (caller.token_id,))
        presented = next((reading for reading in readings if row and tokens.hash_token(reading) == bytes(row[0])), None)
        if presented is None:
            raise NotAuthenticated("a valid credentials token is required")
        return self._registry.identity.credentials(version, presented)

    async def post(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        """Register a platform that starts it with the token A we issued (R88–R95)."""
        return await self._agree(caller, version, body)

    async def put(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        """New credentials of a registered platform; on any failure everything stays as it was (R98, R100)."""
        return await self._agree(caller, version, body)

    async def delete(self, caller: Caller, version: str) -> None:
        """The platform leaves: both tokens are void at once (R106)."""
        platform = await self._platform(caller)
        await end_connection(self._registry, platform, "unregistered-by-peer", "DELETE of credentials by the platform")

    async def _platform(self, caller: Caller) -> Platform:
        platform = await self._registry.platform_by_id(caller.platform_id)
        if platform is None:
            raise NotAuthenticated("a valid credentials token is required")
        return platform

    async def _agree(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        """Call them back, then store everything in one transaction, then answer: a crash leaves all as it was or all agreed (R88)."""
        platform, theirs, found = await self._examine(caller, version, body)
        token = tokens.generate()
        await store_connection(self._registry, platform, version=version, endpoints=found.endpoints, theirs=theirs, token_b=token,
                               encoding=found.encoding, presented=caller.token_id)  # fmt: skip
        return self._registry.identity.credentials(version, token)

    async def _examine(self, caller: Caller, version: str, body: Any) -> tuple[Platform, PeerCredentials, Discovered]:
        """Check the object, then call them back with the token in it (R88–R92)."""
        theirs = read_credentials(body, need_url=True, need_roles=VERSIONS[version].has_roles)
        platform = await self._platform(caller)
        assert theirs.url is not None
        registry = self._registry
        try:
            net.check_form(theirs.url, allow_private=registry.allow_private)
            await net.check_address(theirs.url, allow_private=registry.allow_private)
        except net.Refused as error:
            raise Invalid(f"url: {error}") from None
        base = registry.peer(platform, theirs.token, timeout=_CALLBACK_TIMEOUT)
        peer: Peer = replace(base, version=version, hosts=base.hosts | {net.host_of(theirs.url)})
        encodings = registry.encodings(msgspec.structs.replace(platform, version=version))
        try:
            async with asyncio.timeout(_CALLBACK_TOTAL):
                found = await discover(registry.client, peer, theirs.url, encodings, platform.settings, only=version)
        except DiscoveryFailed as failed:
            raise _refusal(failed) from None
        except TimeoutError:
            raise CannotUsePeer(f"{theirs.url}: versions and details took more than {_CALLBACK_TOTAL:g} s") from None
        await note_tolerated(registry, platform, found)
        return platform, theirs, found


def _refusal(failed: DiscoveryFailed) -> OcpiError:
    """What their POST is answered with when our call-back fails (R89–R91)."""
    if failed.step == "choose":
        return NoMutualVersion(str(failed))
    if failed.step == "endpoints":
        return MissingEndpoint(str(failed))
    return CannotUsePeer(str(failed))
