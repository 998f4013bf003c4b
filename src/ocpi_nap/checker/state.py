"""What one run of the checker is given, and what it learns on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from ocpi_nap.checker.findings import Findings
from ocpi_nap.checker.recorder import Mask, Recorder
from ocpi_nap.model.areas import COUNTRIES, Area
from ocpi_nap.model.platform import Operator, Party, PlatformSettings
from ocpi_nap.ocpi.client import OcpiClient, Peer
from ocpi_nap.ocpi.discovery import Discovered
from ocpi_nap.ocpi.versions import VERSIONS, Version

Sleep = Callable[[float], Awaitable[None]]
Host = Callable[[Any], AbstractAsyncContextManager[str]]
"""Serves an ASGI application as long as the block lasts, and gives the base URL under which the platform reaches it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is to be checked, and how."""

    versions_url: str
    token: str
    encoding: Literal["raw", "base64", "auto"] = "auto"
    settings: PlatformSettings = field(default_factory=PlatformSettings)
    party: Party = ("", "")
    """PLATFORM_COUNTRY_CODE and PLATFORM_PARTY_ID; empty: taken from the credentials or the first object."""
    operators: tuple[Operator, ...] = ()
    register: bool = False
    listen: float = 0.0
    """Seconds to wait for pushes after the registration."""
    own_party: Party = ("FI", "NAP")
    business_details: dict[str, Any] = field(default_factory=lambda: {"name": "National Access Point"})
    area: Area | None = COUNTRIES["FI"]
    """Where Locations should be; None: anywhere."""
    timeout: float = 60.0
    slow_after: float = 2.0
    """Seconds from which a page is slow."""

    @property
    def private(self) -> bool:
        """Whether the given URL is one of a test on the own machine or network, so that others of that kind are called too."""
        parts = urlsplit(self.versions_url)
        return parts.scheme == "http" or parts.hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def encodings(self) -> list[str | None]:
        """The forms of the token to try, in the order in which a NAP does (D1)."""
        version = VERSIONS.get(self.settings.version_pin or "", next(iter(VERSIONS.values())))
        both: list[str | None] = [version.token_encoding, "base64" if version.token_encoding == "raw" else "raw"]
        given: list[str | None] = both if self.encoding == "auto" else [self.encoding]
        return [None, *given] if self.settings.versions_auth == "none" else given


@dataclass
class Run:
    """A run in progress."""

    options: Options
    client: OcpiClient
    recorder: Recorder
    findings: Findings = field(default_factory=Findings)
    mask: Mask = field(default_factory=Mask)
    say: Callable[[str], None] = lambda text: None
    sleep: Sleep = asyncio.sleep
    """Waits between attempts (429, 5xx)."""
    discovered: Discovered | None = None
    token: str = ""
    """In use: A at first, C after a registration."""
    parties: set[Party] = field(default_factory=set)
    """Announced in credentials."""
    counts: dict[str, int] = field(default_factory=dict)
    """What was read: locations, EVSEs, connectors, tariffs."""
    objects_read: bool = False
    provoked: set[int] = field(default_factory=set)
    """Numbers of exchanges whose refusal was asked for."""

    @property
    def version(self) -> Version | None:
        """The one in use."""
        return VERSIONS[self.discovered.version] if self.discovered else None

    @property
    def party(self) -> Party:
        """For OCPI-to-*: as given, else what the platform announced."""
        if self.options.party != ("", ""):
            return self.options.party
        if self.options.operators:
            return self.options.operators[0].party
        return min(self.parties, default=("", ""))

    def peer(self, token: str | None = None, *, party: Party | None = None, timeout: float | None = None) -> Peer:
        """How the platform is called now."""
        options, found = self.options, self.discovered
        encoding = found.encoding if found else options.encodings[0]
        return Peer(
            token=token if token is not None else self.token, encoding=encoding,
            own_party=options.own_party, peer_party=party or self.party,
            version=found.version if found else None, hosts=self.hosts, extra_headers=options.settings.extra_headers,
            timeout=timeout or options.timeout, private=options.private,
        )  # fmt: skip

    @property
    def hosts(self) -> frozenset[str]:
        """Further hosts that may get the token."""
        return frozenset(host.lower() for host in self.options.settings.allowed_hosts)

    def plain_peer(self, encoding: str | None) -> Peer:
        """The same peer with another form of the token."""
        return replace(self.peer(), encoding=encoding)
