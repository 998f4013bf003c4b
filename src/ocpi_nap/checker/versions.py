"""Versions, details and what wrong tokens are answered with."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ocpi_nap.checker.checks import CHECKS
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.ocpi import net, tokens
from ocpi_nap.ocpi.client import Peer, PeerError, RefusedUrl, TimedOut, Unreachable
from ocpi_nap.ocpi.discovery import Discovered, DiscoveryFailed, discover
from ocpi_nap.ocpi.versions import VERSIONS

_ABSOLUTE = ("http://", "https://")


async def check_versions(run: Run) -> bool:
    """Find the endpoints as a NAP does, and judge what was shown on the way; False when there is nothing to go on with."""
    encodings = run.options.encodings
    mark = run.recorder.mark()
    try:
        run.discovered = await _discover(run, encodings)
    except DiscoveryFailed as failed:
        if failed.step == "versions" and None not in encodings and failed.error is not None and failed.error.http_status is not None:
            await _try_without_token(run, encodings)
        if run.discovered is None:
            _tell_failure(run, failed)
    if any(seen.status is not None for seen in run.recorder.since(mark)):
        run.findings.ran("connection")
    answers = [seen for seen in run.recorder.since(mark) if seen.succeeded]
    if answers:
        run.findings.ran("versions")
        _judge_versions(run, answers[0])
    if len(answers) > 1:
        _judge_details(run, answers[1])
    return run.discovered is not None


async def _discover(run: Run, encodings: list[str | None]) -> Discovered:
    peer, settings = replace(run.peer(), timeout=min(30.0, run.options.timeout)), run.options.settings
    required = ("locations",) if settings.registration == "none" else ("credentials", "locations")
    return await discover(run.client, peer, run.options.versions_url, encodings, settings, required=required)


async def _try_without_token(run: Run, encodings: list[str | None]) -> None:
    """Versions that are public and refuse a token (I-7)."""
    try:
        run.discovered = await _discover(run, [None, *encodings])
    except DiscoveryFailed:
        return
    run.findings.add("versions-refuse-token", "without Authorization header they are shown", run.recorder.last())


def _tell_failure(run: Run, failed: DiscoveryFailed) -> None:
    names = {"choose": "no-mutual-version", "details": "details-failed", "endpoints": "no-locations-endpoint"}
    last = run.recorder.last()
    error = failed.error
    if failed.step == "versions":
        if isinstance(error, RefusedUrl):
            name = "redirect-elsewhere" if last is not None and last.status in (301, 302, 307, 308) else "unreachable"
        elif isinstance(error, Unreachable | TimedOut) or last is None or last.status is None:
            name = "unreachable"
        elif last.succeeded:
            name = "no-mutual-version"
        else:
            name = "versions-refused"
    else:
        name = names[failed.step]
        if failed.step == "endpoints" and "no credentials endpoint" in str(failed):
            name = "no-credentials-endpoint"
    run.findings.add(name, str(failed), last)


def _judge_versions(run: Run, seen: Seen) -> None:
    data, add = seen.reading.data, run.findings.add
    if isinstance(data, dict):
        add("versions-wrapped", f"data has the members {', '.join(list(data)[:5])}", seen)
        data = data.get("versions", [data])
    names = set()
    for entry in data if isinstance(data, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("version"), str) or not isinstance(entry.get("url"), str):
            add("odd-versions", str(entry)[:100], seen)
            continue
        names.add(entry["version"])
        _judge_url(run, seen, entry["url"], f"version {entry['version']}")
    if "2.2" in names and "2.2.1" not in names:
        add("only-2.2", "", seen)
    found = run.discovered
    best = max((v for v in names if v in VERSIONS), key=lambda v: VERSIONS[v].order, default=None)
    if found is not None and best is not None and best != found.version:
        add("version-pinned", f"{found.version} is checked, {best} is offered too", seen)


def _judge_details(run: Run, seen: Seen) -> None:
    data, add = seen.reading.data, run.findings.add
    if isinstance(data, list):
        add("details-in-list", "", seen)
        data = data[0] if len(data) == 1 else None
    entries = data.get("endpoints") if isinstance(data, dict) else None
    listed: Counter[tuple[str, str]] = Counter()
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("identifier"), str) and isinstance(entry.get("url"), str):
            listed[entry["identifier"].lower(), str(entry.get("role", "")).upper()] += 1
            _judge_endpoint(run, seen, entry)
    for (name, role), times in listed.items():
        if times > 1:
            add("endpoints-twice", f"{name} {role}: {times} times", seen)
    if run.options.settings.registration == "none" and not any(name == "credentials" for name, _ in listed):
        add("no-credentials-endpoint", "the NAP is set to do without", seen, severity="note")
    version = run.version
    if version is not None and "tariffs" in version.modules and run.discovered and "tariffs" not in run.discovered.endpoints:
        add("no-tariffs-endpoint", "", seen)


def _judge_endpoint(run: Run, seen: Seen, entry: dict[str, Any]) -> None:
    name, url, role = entry["identifier"].lower(), entry["url"], entry.get("role")
    _judge_url(run, seen, url, name)
    add, version = run.findings.add, run.version
    if name not in ("credentials", "locations", "tariffs"):
        return
    if url.endswith("/"):
        add("trailing-slashes", url, seen)
    if url.startswith(_ABSOLUTE) and _hostname(url) != _hostname(seen.url):
        add("endpoint-elsewhere", url, seen)
    if version is None or not version.has_roles:
        return
    if role is None:
        add("roles-missing", name, seen)
    elif str(role).upper() not in ("SENDER", "RECEIVER"):
        add("roles-unknown", f"{name}: {role}", seen)
    elif name == "credentials" and str(role).upper() == "RECEIVER":
        add("credentials-receiver", url, seen)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _judge_url(run: Run, seen: Seen, url: str, what: str) -> None:
    if not url.strip().startswith(_ABSOLUTE):
        run.findings.add("relative-urls", f"{what}: {url}", seen)


async def check_tokens(run: Run) -> None:
    """Requests that must be refused, and the token in its other form."""
    assert run.discovered is not None
    run.findings.ran("tokens")
    details = run.discovered.details_url
    peer = run.peer()
    wrong = await probe(run, replace(peer, token=tokens.generate(), encoding=peer.encoding or "raw"), details)
    if wrong is not None:
        name = judge_refusal(wrong)
        if name is not None:
            run.findings.add(name, f"an unknown token: {wrong.outcome}", wrong)
        if name == "wrong-token-accepted" and run.options.encoding == "auto":  # nothing was learnt from what was accepted
            assert run.version is not None
            peer = replace(peer, encoding=run.version.token_encoding)
            run.discovered = replace(run.discovered, encoding=peer.encoding)
    settings = run.options.settings
    if settings.versions_auth == "token" and "versions-refuse-token" not in run.findings:
        public = await probe(run, replace(peer, encoding=None), run.options.versions_url)
        if public is not None and public.succeeded:
            run.findings.add("no-token-accepted", f"GET {public.url} without Authorization: {public.outcome}", public)
    elif settings.versions_auth == "none":
        carried = await probe(run, replace(peer, encoding=peer.encoding or "raw"), run.options.versions_url)
        if carried is not None and not carried.succeeded:
            run.findings.add("versions-refuse-token", f"with a token: {carried.outcome}", carried)
    if settings.extra_headers:
        bare = await probe(run, replace(peer, extra_headers={}), details)
        if bare is not None and not bare.succeeded:
            run.findings.add("api-key", f"without {', '.join(settings.extra_headers)}: {bare.outcome}", bare)
    await _check_encoding(run, peer, details)


async def _check_encoding(run: Run, peer: Peer, details: str) -> None:
    """R2, R3: whether the token is read in the form of the version, when it was read in the other one."""
    assert run.version is not None
    proper = run.version.token_encoding
    if peer.encoding in (None, proper):
        return
    other = await probe(run, replace(peer, encoding=proper), details)
    if other is not None and not other.succeeded:
        how = "as it is" if peer.encoding == "raw" else "in Base64"
        run.findings.add("token-encoding", f"OCPI {run.version.number}, but the token is read {how} only", other)


async def probe(run: Run, peer: Peer, url: str) -> Seen | None:
    """A GET whose outcome is the answer; None when it was never sent."""
    mark = run.recorder.mark()
    with suppress(PeerError, net.Refused):
        await run.client.get(peer, url, functional=False)
    seen = run.recorder.since(mark)
    run.provoked |= {one.number for one in seen}
    return seen[-1] if seen else None


def judge_refusal(seen: Seen) -> str | None:
    """The finding for the answer to a token that is void; None for HTTP 401 (R7)."""
    if seen.status in (None, 401):
        return None
    if seen.succeeded:
        return "wrong-token-accepted"
    assert seen.status is not None
    if 200 <= seen.status < 300:
        return "errors-as-200" if seen.reading.status_code is not None else "refused-otherwise"
    name = f"refused-with-{seen.status}"
    return name if name in CHECKS else "refused-otherwise"
