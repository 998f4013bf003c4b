"""Trying a CPO's versions URL and token for a stranger, by the checker: only https to the public Internet, few ports, few tries, few words.

Whoever uses the page learns whether an OCPI platform answers, never why another address does not: all of those look alike and take
equally long, so that the page is no port scanner.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from ocpi_nap.checker.checks import Check, Severity
from ocpi_nap.checker.recorder import Recorder
from ocpi_nap.checker.state import Options, Run
from ocpi_nap.checker.transport import check_transport
from ocpi_nap.checker.versions import check_versions
from ocpi_nap.ocpi import net
from ocpi_nap.ocpi.client import HttpFailure, NotOcpi, OcpiClient, OcpiFailure, Peer, PeerError
from ocpi_nap.registry import Registry
from ocpi_nap.store.accounts import attempts, note_attempts

_PORTS = frozenset({443, 8443, None})
_MINUTES = 10
_LIMITS = {"address": 60, "host": 30, "all": 600}
"""Tries in ten minutes: from one address, of one host, altogether."""
_TOLD: tuple[Severity, ...] = ("error", "warning")
_REFUSALS = (400, 401, 403, 500)
"""How platforms answer a request without a token that they can read."""
_at_once: asyncio.Semaphore | None = None


@dataclass(frozen=True)
class Verdict:
    """What to say: a text's key, its values, the kind of the notice, and what the checker would have mended."""

    key: str
    kind: str
    values: dict[str, str] = field(default_factory=dict)
    findings: list[Check] = field(default_factory=list)


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
    """What the platform shows; None when nothing answered."""
    await net.check_address(url, allow_private=registry.allow_private)
    own = (registry.identity.country_code, registry.identity.party_id)
    if not token:
        return await _try_bare(registry, url, own, patience)
    form: Literal["raw", "base64", "auto"] = "raw" if encoding == "raw" else "base64" if encoding == "base64" else "auto"
    options = Options(versions_url=url, token=token, encoding=form, party=own, own_party=own, timeout=patience)
    if options.private and not registry.allow_private:
        return None
    recorder = Recorder()
    client = await OcpiClient.open(recorder)
    run = Run(options, client, recorder, token=token)
    try:
        found = await check_versions(run)
    finally:
        await client.close()
    if not found or run.discovered is None:
        return _failed(run)
    if run.discovered.encoding is None:  # shown to everybody, but not to this token
        return Verdict("check.refused", "bad")
    check_transport(run)
    values = {"version": run.discovered.version, "offered": ", ".join(text[:10] for text in run.discovered.offered[:10])}
    findings = [finding.check for severity in _TOLD for finding in run.findings.of(severity)]
    return Verdict(f"check.works_{run.discovered.encoding}", "good", values, findings)


async def _try_bare(registry: Registry, url: str, own: tuple[str, str], patience: float) -> Verdict | None:
    """While there is no token: whether one is asked for."""
    peer = Peer(token="", encoding=None, own_party=own, peer_party=own, private=registry.allow_private, timeout=patience)
    try:
        await registry.client.get(peer, url, functional=False)
    except HttpFailure as error:
        if error.http_status == 404:
            return Verdict("check.not_found", "bad")
        return Verdict("check.wants_token", "good") if error.http_status in _REFUSALS else Verdict("check.not_ocpi", "bad")
    except OcpiFailure:
        return Verdict("check.wants_token", "good")
    except NotOcpi:
        return Verdict("check.not_ocpi", "bad")
    except PeerError:
        return None
    return Verdict("check.no_token_needed", "warn")


def _failed(run: Run) -> Verdict | None:
    """What a failure means; None when nothing answered."""
    if "no-mutual-version" in run.findings:
        return Verdict("check.no_version", "bad")
    if "no-locations-endpoint" in run.findings or "no-credentials-endpoint" in run.findings:
        return Verdict("check.no_endpoints", "bad")
    last = run.recorder.last()
    if last is None or last.status is None or "unreachable" in run.findings or "redirect-elsewhere" in run.findings:
        return None
    if last.status == 404:
        return Verdict("check.not_found", "bad")
    refused = last.status in (401, 403) or (last.reading.envelope and (last.status in _REFUSALS or last.status < 300))
    return Verdict("check.refused" if refused else "check.not_ocpi", "bad")
