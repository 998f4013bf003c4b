"""Versions and endpoints: what we show to whom (R49–R53), and what we make of theirs (R55–R61)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import net
from ocpi_nap.ocpi.client import Answer, NotOcpi, OcpiClient, Peer, PeerError, RefusedUrl, unauthorised
from ocpi_nap.ocpi.errors import NotFound
from ocpi_nap.ocpi.ports import Caller
from ocpi_nap.ocpi.versions import VERSIONS


def versions_body(caller: Caller, ocpi_url: str) -> list[dict[str, str]]:
    """Our versions; only the chosen one while our POST is open (field lessons 3)."""
    chosen = [caller.version] if caller.access == "pending" and caller.version else list(VERSIONS)
    return [{"version": number, "url": f"{ocpi_url}/{number}"} for number in chosen]


def details_body(caller: Caller, version: str, ocpi_url: str) -> dict[str, Any]:
    """Our endpoints in a version: credentials and the Receivers, never a Sender (R51, R52)."""
    if caller.access == "pending" and caller.version not in (None, version):
        raise NotFound(f"version {version} was not chosen")
    base = f"{ocpi_url}/{version}"
    known = VERSIONS[version]
    if not known.has_roles:
        endpoints = [{"identifier": name, "url": f"{base}/{name}"} for name in ("credentials", *known.modules)]
        return {"version": version, "endpoints": endpoints}
    roles = ("SENDER", "RECEIVER") if caller.settings.list_credentials_twice else ("SENDER",)
    endpoints = [{"identifier": "credentials", "role": role, "url": f"{base}/credentials"} for role in roles]
    endpoints += [{"identifier": name, "role": "RECEIVER", "url": f"{base}/{name}"} for name in known.modules]
    return {"version": version, "endpoints": endpoints}


@dataclass(frozen=True)
class Discovered:
    """What a platform offers: the version, its endpoints, and the form of the token that it read."""

    version: str
    endpoints: dict[str, str]
    encoding: str | None
    offered: list[str]
    details_url: str
    """Of the version."""
    notes: tuple[str, ...] = ()
    """What was tolerated: relative URLs (I-30), endpoints named twice (I-28)."""


_MOST_VERSIONS, _MOST_NOTES = 50, 10


class DiscoveryFailed(Exception):
    """Discovery ended at a step: ``versions``, ``choose``, ``details`` or ``endpoints``."""

    def __init__(self, step: str, message: str, error: PeerError | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.error = error


async def get_trying(client: OcpiClient, peer: Peer, url: str, encodings: list[str | None]) -> tuple[Answer, str | None]:
    """GET with each form of the token in turn, until one is not refused (D1, field lessons 1); raises the first error."""
    first: PeerError | None = None
    peer = peer.correlated()
    for encoding in encodings:
        try:
            return await client.get(replace(peer, encoding=encoding), url, functional=False), encoding
        except PeerError as error:
            first = first or error
            if not unauthorised(error):
                raise
    assert first is not None
    raise first


async def discover(
    client: OcpiClient, peer: Peer, versions_url: str, encodings: list[str | None], settings: PlatformSettings, *, only: str | None = None,
    required: Sequence[str] = ("credentials", "locations"), own_form: bool = False,
) -> Discovered:  # fmt: skip
    """Their versions, the one to use (``only``, or the highest mutual one), and its endpoints; raises DiscoveryFailed.

    ``own_form``: no form of the token was agreed. Unless their versions have refused one, the form that the version itself says is tried
    first from then on: there are platforms that take both (D1, R2).
    """
    try:
        answer, encoding = await get_trying(client, peer, versions_url, encodings)
    except PeerError as error:
        raise DiscoveryFailed("versions", f"GET {versions_url}: {error.message}", error) from None
    offered = _offered(answer)
    version, url = _choose(offered, settings, only)
    notes = [f"versions: the URL of {version} is relative"] if is_relative(url) else []
    try:
        url = net.follow(answer.url, url, peer.hosts)
        forms = [encoding, *(form for form in encodings if form != encoding)]
        if own_form and encoding == encodings[0]:
            forms.sort(key=lambda form: (form is not None, form != VERSIONS[version].token_encoding))
        details, encoding = await get_trying(client, peer, url, forms)
    except PeerError as error:
        raise DiscoveryFailed("details", f"GET {url}: {error.message}", error) from None
    except net.Refused as error:
        raise DiscoveryFailed("details", f"{url} is not called: {error}", RefusedUrl(str(error), url=url)) from None
    endpoints = _endpoints(details, version, peer, notes)
    for name in required:
        if name not in endpoints:
            raise DiscoveryFailed("endpoints", f"their version {version} has no {name} endpoint that we could use")
    return Discovered(version, endpoints, encoding, [number for number, _ in offered], url, tuple(notes))


def _offered(answer: Answer) -> list[tuple[str, str]]:
    """(version, url) as they list them; what cannot be read is passed over (R55, I-23, I-29)."""
    data = answer.data
    if isinstance(data, dict):
        data = data.get("versions", [data])
    found: dict[str, str] = {}
    for entry in data if isinstance(data, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("url"), str) and entry["url"].strip():
            found.setdefault(str(entry.get("version", "")).strip()[:20], entry["url"].strip())
        if len(found) >= _MOST_VERSIONS:
            break
    if not found:
        raise DiscoveryFailed("versions", f"GET {answer.url}: no version is listed", NotOcpi("no version is listed", url=answer.url))
    return list(found.items())


def _choose(offered: list[tuple[str, str]], settings: PlatformSettings, only: str | None) -> tuple[str, str]:
    """The highest version both sides have, as numbers (D3, R56)."""
    urls = dict(offered)
    for version in VERSIONS.values() if settings.treat_2_2_as_2_2_1 else ():
        for older in version.also_reads:
            if older in urls:
                urls.setdefault(version.number, urls[older])
    wanted = only or settings.version_pin
    mutual = sorted((v for v in urls if v in VERSIONS and wanted in (None, v)), key=lambda v: VERSIONS[v].order)
    if not mutual:
        ours = wanted or ", ".join(VERSIONS)
        raise DiscoveryFailed("choose", f"no mutual version: they list {', '.join(v for v, _ in offered) or 'none'}, we need {ours}")
    return mutual[-1], urls[mutual[-1]]


def is_relative(url: str) -> bool:
    """Whether a URL has no scheme: it is resolved against the document that names it."""
    return not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url)


def _endpoints(answer: Answer, version: str, peer: Peer, notes: list[str]) -> dict[str, str]:
    """Their endpoints that we use: Senders of locations and tariffs, credentials of any role (R58, R59, I-26, I-30)."""
    data = answer.data
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    entries = data.get("endpoints") if isinstance(data, dict) else None
    found: dict[str, str] = {}
    weak: dict[str, str] = {}
    last: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            continue
        name, role = str(entry.get("identifier", "")).strip().lower(), str(entry.get("role", "")).strip().upper()
        if name not in ("credentials", *VERSIONS[version].modules):
            continue
        try:
            url = net.follow(answer.url, entry["url"], peer.hosts | {net.host_of(entry["url"])})
        except (net.Refused, ValueError):
            continue
        if is_relative(entry["url"]):
            notes.append(f"details: the URL of {name} is relative")
        if name == "credentials" or role == "SENDER":
            if found.setdefault(name, url) != url:
                notes.append(f"details: {name} is named twice, the first counts")
        elif role != "RECEIVER":
            weak.setdefault(name, url)
        elif not VERSIONS[version].has_roles:
            last.setdefault(name, url)
    del notes[_MOST_NOTES:]
    return last | weak | found
