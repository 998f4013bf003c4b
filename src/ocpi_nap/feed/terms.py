"""Licence and source in every public answer, and notice of paths that will end (contract section 0)."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from ocpi_nap.feed.http import with_headers


@dataclass(frozen=True)
class Terms:
    """What answers say about the data; ``sunsets``: path -> the day on which it ends."""

    licence_url: str = ""
    source_url: str = ""
    source_name: str = ""
    sunsets: Mapping[str, date] = field(default_factory=dict)

    def link(self) -> bytes:
        """The Link header: relation `license`, and `via`, which names the source of the data."""
        links = []
        if self.licence_url:
            links.append(f'<{_target(self.licence_url)}>; rel="license"')
        if self.source_url:
            title = f"; title*=UTF-8''{quote(self.source_name, safe='')}" if self.source_name else ""
            links.append(f'<{_target(self.source_url)}>; rel="via"{title}')
        return ", ".join(links).encode()


def _target(url: str) -> str:
    return quote(url, safe=":/?#[]@!$&'()*+,;=%-._~")


def read_sunsets(text: str) -> dict[str, date]:
    """``path=YYYY-MM-DD`` separated by commas; raises ValueError naming the wrong part."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        path, _, day = part.rpartition("=")
        if not path.startswith("/"):
            raise ValueError(f"{part!r} is not path=YYYY-MM-DD")
        found[path.rstrip("/")] = date.fromisoformat(day)
    return found


class StatedTerms:
    """ASGI middleware around the public API; the 406 of the contract stays bare."""

    def __init__(self, app: ASGIApp, terms: Terms, base: str) -> None:
        self._app = app
        self._base = base
        link = terms.link()
        self._headers = [(b"link", link)] if link else []
        self._ending = {path: _notice(day) for path, day in terms.sunsets.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._base):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, with_headers(send, [*self._headers, *self._ending.get(scope["path"], [])]))


def _notice(day: date) -> list[tuple[bytes, bytes]]:
    moment = email.utils.format_datetime(datetime.combine(day, time(), UTC), usegmt=True)
    return [(b"deprecation", b"true"), (b"sunset", moment.encode())]
