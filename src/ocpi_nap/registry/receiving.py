"""The credentials module as others use it on us (R87–R107)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi import net, tokens
from ocpi_nap.ocpi.client import Peer
from ocpi_nap.ocpi.credentials import PeerCredentials, read_credentials
from ocpi_nap.ocpi.discovery import Discovered, DiscoveryFailed, discover
from ocpi_nap.ocpi.errors import (
    CannotUsePeer,
    Invalid,
    MethodNotAllowed,
    MissingEndpoint,
    NoMutualVersion,
    NotAuthenticated,
    OcpiError,
    TooLittle,
)
from ocpi_nap.ocpi.ports import Caller
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry.connection import store_connection
from ocpi_nap.registry.handshake import end_connection
from ocpi_nap.registry.service import Registry

_CALLBACK_TIMEOUT = 9.0  # R96: two calls, 20 s in total


class CredentialsService:
    """Implements ocpi.ports.Credentials."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def get(self, caller: Caller, version: str, presented_token: str) -> dict[str, Any]:
        """Our credentials with the token the caller just presented (R97)."""
        return self._registry.identity.credentials(version, presented_token)

    async def post(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        """Register a platform that starts it with the token A we issued (R88–R95)."""
        if caller.access != "token-a":
            raise MethodNotAllowed("already registered: use PUT", allow="GET, PUT, DELETE")
        platform, theirs, found = await self._examine(caller, version, body)
        token = tokens.generate()
        async with self._registry.db.transaction() as conn:
            cursor = await conn.execute("DELETE FROM token WHERE id = %s", (caller.token_id,))
            if cursor.rowcount == 0:
                raise NotAuthenticated("this token A was used already")  # R95: exactly one succeeds
        return await self._agree(platform, version, theirs, found, token)

    async def put(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        """New credentials of a registered platform; on any failure everything stays as it was (R98, R100)."""
        if caller.access != "full":
            raise MethodNotAllowed("not registered: use POST", allow="GET, POST")
        platform, theirs, found = await self._examine(caller, version, body)
        return await self._agree(platform, version, theirs, found, tokens.generate())

    async def delete(self, caller: Caller, version: str) -> None:
        """The platform leaves: both tokens are void at once (R106)."""
        if caller.access != "full":
            raise MethodNotAllowed("not registered", allow="GET, POST")
        platform = await self._platform(caller)
        await end_connection(self._registry, platform, "unregistered-by-peer", "DELETE of credentials by the platform")

    async def _platform(self, caller: Caller) -> Platform:
        platform = await self._registry.platform_by_id(caller.platform_id)
        if platform is None:
            raise NotAuthenticated("a valid credentials token is required")
        return platform

    async def _agree(self, platform: Platform, version: str, theirs: PeerCredentials, found: Discovered, token: str) -> dict[str, Any]:
        assert theirs.url is not None
        async with self._registry.db.transaction() as conn:
            await conn.execute("UPDATE platform SET versions_url = %s WHERE id = %s", (theirs.url, platform.id))
        await store_connection(self._registry, platform, version=version, endpoints=found.endpoints, theirs=theirs, token_b=token,
                               encoding=found.encoding)  # fmt: skip
        return self._registry.identity.credentials(version, token)

    async def _examine(self, caller: Caller, version: str, body: Any) -> tuple[Platform, PeerCredentials, Discovered]:
        """Check the object, then call them back with the token in it (R88–R92)."""
        theirs = read_credentials(body, need_url=True)
        if VERSIONS[version].has_roles and not theirs.roles:
            raise TooLittle("roles: required in a credentials object")
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
        encodings = registry.encodings(platform)
        if len(encodings) == 1 and platform.token_encoding == "auto":
            encodings = ["raw", "base64"]
        try:
            found = await discover(registry.client, peer, theirs.url, encodings, platform.settings, only=version)
        except DiscoveryFailed as failed:
            raise _refusal(failed) from None
        return platform, theirs, found


def _refusal(failed: DiscoveryFailed) -> OcpiError:
    """What their POST is answered with when our call-back fails (R89–R91)."""
    if failed.step == "choose":
        return NoMutualVersion(str(failed))
    if failed.step == "endpoints":
        return MissingEndpoint(str(failed))
    return CannotUsePeer(str(failed))
