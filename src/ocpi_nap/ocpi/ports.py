"""What the protocol room asks of the rooms above it. `app.py` hands the implementations in; this room knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from ocpi_nap.model.issues import Issue
from ocpi_nap.model.platform import Party, PlatformSettings

Access = Literal["token-a", "pending", "full"]
"""What a token opens: a token A we issued (R8); a token B while our POST is open (R76); everything."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who presented a token (R9: a token identifies exactly one platform)."""

    platform_id: int
    platform_name: str
    token_id: int
    access: Access
    party: Party
    """PLATFORM_COUNTRY_CODE and PLATFORM_PARTY_ID."""
    parties: frozenset[Party]
    """Operators the platform may write (D4)."""
    version: str | None
    """Negotiated version; while our POST is open, the chosen one."""
    settings: PlatformSettings


class Authenticator(Protocol):
    """Tells who presents a token."""

    async def authenticate(self, readings: Sequence[str], *, cached: bool) -> Caller | None:
        """The caller for the first reading of the token that is known (D2), or None.

        ``cached`` allows an answer up to one second old: for pushes, whose write looks at the token again (R106).
        """
        ...


class Credentials(Protocol):
    """The receiving side of the credentials module (R87–R110). Raises ocpi.errors.OcpiError."""

    async def get(self, caller: Caller, version: str, readings: Sequence[str]) -> dict[str, Any]: ...
    async def post(self, caller: Caller, version: str, body: Any) -> dict[str, Any]: ...
    async def put(self, caller: Caller, version: str, body: Any) -> dict[str, Any]: ...
    async def delete(self, caller: Caller, version: str) -> None: ...


class NodeKey(msgspec.Struct, frozen=True):
    """Address of an object on a Receiver interface; ids as they stand in the URL, decoded (section 5)."""

    country_code: str
    party_id: str
    id: str
    evse_uid: str | None = None
    connector_id: str | None = None


class Written(msgspec.Struct, frozen=True):
    """Outcome of an accepted write: durable before it is returned (R171)."""

    created: bool
    issues: Sequence[Issue] = ()


class Receiver(Protocol):
    """The intake as the Receiver routes see it. Every method raises ocpi.errors.OcpiError for a refusal."""

    async def put(self, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Written: ...
    async def patch(self, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Written: ...
    async def delete(self, caller: Caller, version: str, module: str, key: NodeKey) -> None: ...
    async def get(self, caller: Caller, version: str, module: str, key: NodeKey) -> bytes:
        """The object as encoded JSON in the shape of ``version`` (D24)."""
        ...
