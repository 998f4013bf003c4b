"""Headers of every page: a strict Content-Security-Policy, no framing, no sniffing, no stored copies of the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_PRIVATE = ("/console", "/onboarding")


def content_policy(extra: Mapping[str, str] | None = None) -> str:
    """The policy, with further sources for one page: ``{"img-src": "https://tiles.example", "worker-src": "blob:"}``."""
    policy = dict(_POLICY)
    for name, sources in (extra or {}).items():
        policy[name] = f"{policy[name]} {sources}" if name in policy else sources
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


class SafeHeaders:
    """Pure ASGI middleware: sets what a response has not set itself."""

    def __init__(self, app: Any, *, https: bool) -> None:
        self._app = app
        self._headers = {
            b"content-security-policy": content_policy().encode(),
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"DENY",
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"permissions-policy": b"geolocation=(self), camera=(), microphone=()",
        }
        if https:
            self._headers[b"strict-transport-security"] = b"max-age=31536000"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caching = b"no-store" if scope["path"].startswith(_PRIVATE) else b"no-cache"

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", [])}
                wanted = {**self._headers, b"cache-control": caching}
                message["headers"] = [*message.get("headers", []), *((k, v) for k, v in wanted.items() if k not in given)]
            await send(message)

        await self._app(scope, receive, with_headers)
