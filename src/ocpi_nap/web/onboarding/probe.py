"""Trying a CPO's versions URL and token for a stranger: only https to the public Internet, few ports, few tries, few words.

Whoever uses the page learns whether an OCPI platform answers, never why another address does not: all of those look alike and take
equally long, so that the page is no port scanner.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import net
from ocpi_nap.ocpi.client import HttpFailure, NotOcpi, OcpiFailure, Peer, PeerError, unauthorised
from ocpi_nap.ocpi.discovery import DiscoveryFailed, discover, get_trying
from ocpi_nap.registry import Registry
from ocpi_nap.store.accounts import attempts, note_attempts

_PORTS = frozenset({443, 8443, None})
_MINUTES = 10
_LIMITS = {"address": 60, "host": 30, "all": 600}
"""Tries in ten minutes: from one address, of one host, altogether."""
_at_once: asyncio.Semaphore | None = None


@dataclass(frozen=True)
class Verdict:
    """What to say: a text's key, its values, and the kind of the notice."""

    key: str
    kind: str
    values: dict[str, str] = field(default_factory=dict)


def _allowed(url: str, registry: Registry) -> str | None:
    """The host, when it may be called."""
    try:
        net.check_form(url, allow_private=registry.allow_private)
        parts = urlsplit(url)
        return parts.hostname if registry.allow_private or parts.port in _PORTS else None
    except (net.Refused, ValueError):
        return None


async def probe(registry: Registry, url: str, token: str, encoding: str, address: str, patience: float) -> Verdict | None:
    """Try it; None while there is nothing to try."""
    global _at_once
    if not 10 <= len(url) <= 500:
        return None
    host = _allowed(url, registry)
    if host is not None and "." not in host and ":" not in host and not registry.allow_private:
        return None
    if host is None:
        return Verdict("check.url", "warn")
    keys = {"address": f"check from {address}", "host": f"check of {host.lower()[:200]}", "all": "check"}
    for kind, key in keys.items():
        if await attempts(registry.db, key, _MINUTES) >= _LIMITS[kind]:
            return Verdict("check.later", "info")
    await note_attempts(registry.db, *keys.values())
    started = time.monotonic()
    _at_once = _at_once or asyncio.Semaphore(8)
    async with _at_once:
        try:
            verdict = await asyncio.wait_for(_try(registry, url, token, encoding, patience), patience)
        except (TimeoutError, net.Refused):
            verdict = None
    if verdict is None:
        await asyncio.sleep(max(0.0, patience - (time.monotonic() - started)))
        return Verdict("check.unreachable", "bad")
    return verdict


async def _try(registry: Registry, url: str, token: str, encoding: str, patience: float) -> Verdict | None:
    await net.check_address(url, allow_private=registry.allow_private)
    own = (registry.identity.country_code, registry.identity.party_id)
    peer = Peer(token=token, encoding="raw", own_party=own, peer_party=own, hosts=frozenset({net.host_of(url)}),
                private=registry.allow_private, timeout=patience)  # fmt: skip
    if not token:
        try:
            await get_trying(registry.client, peer, url, [None])
        except PeerError as error:
            return Verdict("check.wants_token", "good") if unauthorised(error) else _failed(error)
        return Verdict("check.no_token_needed", "warn")
    encodings: list[str | None] = ["raw", "base64"] if encoding == "auto" else [encoding]
    try:
        found = await discover(registry.client, peer, url, encodings, PlatformSettings())
    except DiscoveryFailed as failed:
        if failed.step == "choose":
            return Verdict("check.no_version", "bad")
        if failed.step == "endpoints":
            return Verdict("check.no_endpoints", "bad")
        return _failed(failed.error)
    values = {"version": found.version, "offered": ", ".join(text[:10] for text in found.offered[:10])}
    return Verdict(f"check.works_{found.encoding or 'raw'}", "good", values)


def _failed(error: PeerError | None) -> Verdict | None:
    """What an answer means; None when nothing answered."""
    if error is not None and unauthorised(error):
        return Verdict("check.refused", "bad")
    if isinstance(error, HttpFailure) and error.http_status == 404:
        return Verdict("check.not_found", "bad")
    if isinstance(error, HttpFailure | OcpiFailure | NotOcpi):
        return Verdict("check.not_ocpi", "bad")
    return None
