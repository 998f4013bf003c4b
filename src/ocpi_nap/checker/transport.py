"""What every answer shows, whatever it was asked for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from ocpi_nap.checker.pulls import link_of
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.ocpi import net

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d{1,4})?Z?", re.ASCII)
_IDS = ("X-Request-ID", "X-Correlation-ID")


def check_transport(run: Run) -> None:
    """Judge all exchanges of the run; called when it is over, because the version decides what headers there must be."""
    for seen in run.recorder.seen:
        _connection(run, seen)
        if seen.status is None:
            continue
        if 300 <= seen.status < 400:
            _redirect(run, seen)
        elif seen.status >= 400:
            _failure(run, seen)
        else:
            _body(run, seen)
            _plain_urls(run, seen)
        if seen.reading.envelope:
            _envelope(run, seen)


def is_functional(run: Run, seen: Seen) -> bool:
    """Whether it is a GET of locations or tariffs."""
    endpoints = run.discovered.endpoints if run.discovered else {}
    paths = [urlsplit(endpoints[name]).path for name in ("locations", "tariffs") if name in endpoints]
    return seen.method == "GET" and any(seen.path.startswith(path.rstrip("/")) for path in paths)


def _connection(run: Run, seen: Seen) -> None:
    add = run.findings.add
    parts = urlsplit(seen.url)
    if parts.scheme == "http":
        severity = "note" if _is_local(parts.hostname or "") else None
        add("not-https", f"http://{parts.netloc}", seen, severity=severity)  # type: ignore[arg-type]
    if seen.status is None and is_functional(run, seen):
        add("connection-resets", f"{seen.method} {seen.url}: {seen.error}", seen)
    elif seen.attempts > 1 and is_functional(run, seen):
        add("connection-resets", f"{seen.method} {seen.url}: the connection broke, the second attempt was answered", seen)
    if "larger than" in seen.error:
        add("too-large", f"{seen.method} {seen.url}: {seen.error}", seen)
    if is_functional(run, seen) and seen.seconds >= run.options.slow_after:
        add("slow-pages", f"{seen.seconds:.1f} s for {seen.url}", seen)


def _plain_urls(run: Run, seen: Seen) -> None:
    """http URLs in an answer that came over https (I-18)."""
    if not seen.url.startswith("https:"):
        return
    named = [link_of(seen) or ""] if is_functional(run, seen) else list(_urls(seen.reading.data))
    for url in named:
        if url.lower().startswith("http:"):
            run.findings.add("not-https", f"{url}, named by {seen.url}", seen)


def _urls(data: Any) -> Iterator[str]:
    """The `url` members of versions, details and credentials."""
    if isinstance(data, dict):
        if isinstance(data.get("url"), str):
            yield data["url"]
        yield from _urls(data.get("endpoints"))
    elif isinstance(data, list):
        for item in data:
            yield from _urls(item)


def _is_local(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def _redirect(run: Run, seen: Seen) -> None:
    location = seen.header("Location") or ""
    where = f"{seen.method} {seen.url} → {location}"
    try:
        elsewhere = net.host_of(urljoin(seen.url, location)) != net.host_of(seen.url)
    except (net.Refused, ValueError):
        elsewhere = True
    if elsewhere:
        run.findings.add("redirect-elsewhere", where, seen)
    else:
        run.findings.add(f"redirect-{seen.status}" if seen.status in (307, 308) else "redirect-get", where, seen)


def _failure(run: Run, seen: Seen) -> None:
    add = run.findings.add
    if not seen.reading.envelope:
        add("errors-not-ocpi", f"HTTP {seen.status} with {(seen.header('Content-Type') or 'no Content-Type').partition(';')[0]}", seen)
    if seen.number in run.provoked:
        return
    if seen.status == 429:
        wait = seen.header("Retry-After")
        add("rate-limit-bare" if wait is None else "rate-limit", f"Retry-After: {wait}" if wait is not None else "", seen)
    elif seen.status is not None and seen.status >= 500 and is_functional(run, seen):
        add("server-errors", f"{seen.outcome} for {seen.url}", seen)


def _body(run: Run, seen: Seen) -> None:
    add, reading = run.findings.add, seen.reading
    if seen.error:
        return
    what = f"{seen.method} {seen.url}"
    if reading.form == "truncated":
        add("truncated", f"{what}: ends after {seen.size} bytes", seen)
    elif reading.form == "not-json":
        add("not-json", f"{what}: {seen.text[:60]}", seen)
    elif not reading.envelope:
        add("not-an-envelope", f"{what}: {seen.text[:60] or 'an empty body'}", seen)
    if reading.form == "json":
        kind = (seen.header("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            add("content-type", kind or "no Content-Type", seen)
        if reading.byte_order_mark:
            add("byte-order-mark", what, seen)
    if seen.succeeded and is_functional(run, seen) and not reading.has_data:
        add("data-missing", what, seen)
    if seen.succeeded:
        _ids(run, seen)


def _envelope(run: Run, seen: Seen) -> None:
    add, reading = run.findings.add, seen.reading
    if isinstance(reading.code, bool) or not isinstance(reading.code, int):
        add("codes-as-text", f"status_code {reading.code!r}"[:80], seen)
    if not isinstance(reading.timestamp, str) or not _TIMESTAMP.fullmatch(reading.timestamp):
        add("envelope-timestamp", "no timestamp" if reading.timestamp is None else str(reading.timestamp)[:60], seen)


def _ids(run: Run, seen: Seen) -> None:
    missing = [name for name in _IDS if name in seen.sent and seen.header(name) != seen.sent[name]]
    if missing:
        severity = None if run.version is not None and run.version.has_roles else "note"
        run.findings.add("no-request-ids", " and ".join(missing), seen, severity=severity)  # type: ignore[arg-type]
