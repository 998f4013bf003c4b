"""Every path under ``/ocpi``: who may call what, in which version, and one place where errors become envelopes.

A raw ASGI application: routing and framework middleware would cost as much as the work itself on the push path.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from ocpi_nap.ocpi import envelope, headers, tokens
from ocpi_nap.ocpi.discovery import details_body, versions_body
from ocpi_nap.ocpi.errors import (
    Internal,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    OcpiError,
    TooManyRequests,
    Unavailable,
    UnsupportedVersion,
)
from ocpi_nap.ocpi.headers import Header
from ocpi_nap.ocpi.http import Disconnected, answer, object_segments, read_json, segments
from ocpi_nap.ocpi.ports import Access, Authenticator, Caller, Credentials, NodeKey, Receiver
from ocpi_nap.ocpi.versions import VERSIONS

log = logging.getLogger(__name__)

_REQUESTS = Counter("ocpi_nap_ocpi_requests_total", "Requests of platforms", ["version", "module", "method", "status"])
_METHODS = {
    "versions": ("GET",),
    "credentials": ("GET", "POST", "PUT", "DELETE"),
    "locations": ("GET", "PUT", "PATCH"),
    "tariffs": ("GET", "PUT", "DELETE"),
}
_DEPTH = {"locations": (3, 5), "tariffs": (3, 3)}
_VERSION = re.compile(r"\d+(\.\d+){0,3}", re.ASCII)
_OF_CREDENTIALS: dict[Access, tuple[tuple[str, ...], str]] = {
    "token-a": (("GET", "POST"), "not registered: use POST"),
    "pending": (("GET",), "the registration is not finished"),
    "full": (("GET", "PUT", "DELETE"), "already registered: use PUT"),
}
"""What callers may do with their credentials, and why nothing else (R93, R99, R107)."""
_GLUED = re.compile(r"(locations|tariffs)([A-Za-z]{2})")
_LARGEST_CREDENTIALS = 1 << 20
_LARGE_AT_ONCE = 4
"""Of the largest bodies, how many one platform may have under way in one worker."""
_KNOWN_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class OcpiOptions:
    """What the composition root decides."""

    root: str
    """Path prefix, ``/ocpi``."""
    ocpi_url: str
    """Public base URL of the interface, without trailing slash (I-19)."""
    country_code: str
    party_id: str
    largest_body: int
    outages: tuple[type[Exception], ...] = ()
    """Exceptions that mean that the storage does not answer (R39)."""


class _Bucket:
    """Per-platform inbound limit (R197): a token bucket that holds one second's worth."""

    __slots__ = ("at", "left")

    def __init__(self, rate: int) -> None:
        self.at, self.left = time.monotonic(), float(rate)

    def take(self, rate: int) -> bool:
        now = time.monotonic()
        self.left = min(float(rate), self.left + (now - self.at) * rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class _Share:
    """The bytes of one request among those of its platform that are under way: many large ones would fill the memory (R200)."""

    __slots__ = ("_all", "_most", "_own", "_platform")

    def __init__(self, everybody: dict[int, int], platform_id: int, most: int) -> None:
        self._all, self._platform, self._most, self._own = everybody, platform_id, most, 0

    def take(self, size: int) -> None:
        held = self._all.get(self._platform, 0)
        if held + size > self._most:
            raise TooManyRequests("more large requests at once than we can hold", retry_after=1)
        self._all[self._platform] = held + size
        self._own += size

    def __enter__(self) -> Callable[[int], None]:
        return self.take

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._all[self._platform] -= self._own


class OcpiApp:
    """The Receiver interfaces, versions and credentials as one ASGI application."""

    def __init__(self, authenticator: Authenticator, credentials: Credentials, receiver: Receiver, options: OcpiOptions) -> None:
        self._authenticator = authenticator
        self._credentials = credentials
        self._receiver = receiver
        self._options = options
        self._buckets: dict[int, _Bucket] = {}
        self._bodies: dict[int, int] = {}
        self._counters: dict[tuple[str, str, str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong, the answer is an OCPI envelope (R27)."""
        received = headers.Received.from_scope(scope)
        caller: Caller | None = None
        path, unusable = _segments(scope, self._options.root)
        try:
            try:
                caller = await self._authenticate(scope, received)
                if unusable is not None:
                    raise unusable
                status, body = await self._dispatch(scope, receive, caller, path, received)
                extra: list[Header] = []
            except OcpiError as error:
                status, body, extra = error.http_status, envelope.failure(error), _encoded(error.headers)
            except Disconnected:
                return
            except Exception as error:
                failure = self._failure(error)
                status, body, extra = failure.http_status, envelope.failure(failure), _encoded(failure.headers)
            self._count(scope["method"], path, status)
            routed = len(path) > 1 and path[1] in _DEPTH and path[0] in VERSIONS and VERSIONS[path[0]].has_roles
            reply = headers.reply_headers(received, self._party() if routed else None, caller.party if caller else None)
            await answer(send, status, b"" if scope["method"] == "HEAD" else body, [*reply, *extra])
        except Disconnected:
            return

    def _failure(self, error: Exception) -> OcpiError:
        """Our fault: 503 while the storage is away, 500 otherwise (R39)."""
        if isinstance(error, self._options.outages):
            log.error("an OCPI request failed: %s", error)
            return Unavailable("the database does not answer", retry_after=5)
        log.error("an OCPI request failed", exc_info=error)
        return Internal("internal error")

    def _count(self, method: str, path: list[str], status: int) -> None:
        version = path[0] if path and path[0] in VERSIONS else "-"
        module = path[1] if len(path) > 1 and path[1] in _METHODS else "-"
        labels = (version, module, method if method in _KNOWN_METHODS else "-", status)
        counter = self._counters.get(labels)
        if counter is None:
            counter = self._counters[labels] = _REQUESTS.labels(*labels)
        counter.inc()

    def _party(self) -> tuple[str, str]:
        return (self._options.country_code, self._options.party_id)

    async def _authenticate(self, scope: Scope, received: headers.Received) -> Caller:
        readings = tokens.inbound_readings(received.authorization)
        cached = scope["method"] in ("PUT", "PATCH") and b"credentials" not in (scope.get("raw_path") or b"")
        caller = await self._authenticator.authenticate(readings, cached=cached) if readings else None
        if caller is None:
            raise NotAuthenticated("a valid credentials token is required")
        limit = caller.settings.inbound_limit_per_second
        if limit > 0:
            bucket = self._buckets.get(caller.platform_id)
            if bucket is None:
                bucket = self._buckets[caller.platform_id] = _Bucket(limit)
            if not bucket.take(limit):
                raise TooManyRequests("more requests than agreed", retry_after=1)
        return caller

    async def _dispatch(
        self, scope: Scope, receive: Receive, caller: Caller, path: list[str], received: headers.Received
    ) -> tuple[int, bytes]:
        method = scope["method"]
        if path == ["versions"]:
            _allow(method, "versions")
            return 200, envelope.success(versions_body(caller, self._options.ocpi_url))
        if not path:
            raise NotFound("nothing here")
        version = path[0]
        if version not in VERSIONS:
            if _VERSION.fullmatch(version):
                raise UnsupportedVersion(f"version {version[:20]} is not offered")
            raise NotFound("nothing here")
        if len(path) == 1:
            _allow(method, "versions")
            return 200, envelope.success(details_body(caller, version, self._options.ocpi_url))
        module = path[1]
        if module == "credentials" and len(path) == 2:
            return await self._serve_credentials(method, receive, caller, version, received)
        if module not in VERSIONS[version].modules or module not in _DEPTH:
            raise NotFound("nothing here")
        return await self._serve_object(method, receive, caller, version, module, object_segments(path[2:]))

    async def _serve_credentials(
        self, method: str, receive: Receive, caller: Caller, version: str, received: headers.Received
    ) -> tuple[int, bytes]:
        _allow(method, "credentials")
        allowed, reason = _OF_CREDENTIALS[caller.access]
        if method != "HEAD" and method not in allowed:
            raise MethodNotAllowed(reason, allow=", ".join(allowed))
        if method == "DELETE":
            await self._credentials.delete(caller, version)
            return 200, envelope.success()
        if method in ("GET", "HEAD"):
            readings = tokens.inbound_readings(received.authorization)
            return 200, envelope.success(await self._credentials.get(caller, version, readings))
        act = self._credentials.post if method == "POST" else self._credentials.put
        with self._share(caller) as take:
            body = await read_json(receive, min(_LARGEST_CREDENTIALS, self._options.largest_body), take)
            return 200, envelope.success(await act(caller, version, body))

    def _share(self, caller: Caller) -> _Share:
        return _Share(self._bodies, caller.platform_id, _LARGE_AT_ONCE * self._options.largest_body)

    async def _serve_object(
        self, method: str, receive: Receive, caller: Caller, version: str, module: str, rest: list[str]
    ) -> tuple[int, bytes]:
        if caller.access != "full":
            raise NotAuthenticated("this token opens only versions and credentials")  # R8, R76
        least, most = _DEPTH[module]
        if not least <= len(rest) <= most:
            raise NotFound("the path names no object of this interface")  # R35, R142
        _allow(method, module)
        key = NodeKey(*rest)
        if method in ("GET", "HEAD"):
            return 200, envelope.success_raw(await self._receiver.get(caller, version, module, key))
        if method == "DELETE":
            await self._receiver.delete(caller, version, module, key)
            return 200, envelope.success()
        act = self._receiver.put if method == "PUT" else self._receiver.patch
        with self._share(caller) as take:
            body: Any = await read_json(receive, self._options.largest_body, take)
            written = await act(caller, version, module, key, body)
        message = "; ".join(issue.text() for issue in written.issues[:3])[:255] if written.issues else None  # R172
        return 201 if written.created else 200, envelope.success(message=message)


def _apart(path: list[str]) -> list[str]:
    """The path with the slash that some put out of the way: a widespread library appends the country to our endpoint's URL as it is."""
    glued = _GLUED.fullmatch(path[1]) if len(path) > 2 else None
    return path if glued is None else [path[0], *glued.groups(), *path[2:]]


def _segments(scope: Scope, root: str) -> tuple[list[str], NotFound | None]:
    """The path, or as much as can be read and why it is none: told only to callers with a token (R7)."""
    try:
        return _apart(segments(scope, root)), None
    except NotFound as error:
        return scope["raw_path"].decode("latin-1")[len(root) :].strip("/").split("/"), error


def _allow(method: str, module: str) -> None:
    allowed = _METHODS[module]
    if method not in allowed and not (method == "HEAD" and "GET" in allowed):
        raise MethodNotAllowed(f"{method[:20]} is not part of this interface", allow=", ".join(allowed))


def _encoded(pairs: dict[str, str]) -> list[Header]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs.items()]
