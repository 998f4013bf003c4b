"""Bodies of the feeds: cursor pages of 500 and the whole, compressed once and kept until something in them changes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import email.utils
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1

import msgspec
from isal import igzip

from ocpi_nap.feed.index import Entry, Index, Key
from ocpi_nap.model.timestamps import format_ms

PAGE_SIZE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHARE = 10
"""A body that changes all the time is rebuilt at most a tenth of the time."""


class BadCursor(ValueError):
    """Not a cursor that we gave out."""


@dataclass(slots=True)
class Body:
    """One answer, ready to send."""

    gzipped: bytes
    length: int
    etag: str
    last_modified: str
    modified_at: datetime
    media_type: str

    @property
    def plain(self) -> bytes:
        """The body for clients without gzip."""
        return bytes(igzip.decompress(self.gzipped))  # type: ignore[no-untyped-call]


def make_body(content: bytes, modified_at: datetime, media_type: str) -> Body:
    """Compress and sign: the ETag is npm's `etag` over the uncompressed body (contract section 0)."""
    digest = base64.b64encode(sha1(content, usedforsecurity=False).digest()).decode()[:27]
    etag = f'"{len(content):x}-{digest}"'
    stamp = email.utils.format_datetime(modified_at.replace(microsecond=0), usegmt=True)
    return Body(igzip.compress(content, 2), len(content), etag, stamp, modified_at, media_type)


def encode_cursor(key: Key) -> str:
    """Opaque, and needs no escaping in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(text: str) -> Key:
    """The key of a cursor; raises BadCursor."""
    try:
        found: Key = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True), type=Key)
        return found
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadCursor(text[:40]) from None


_NOTHING = make_body(b"", _EPOCH, "")


@dataclass(slots=True)
class _Kept:
    body: Body
    after: Key | None
    last: Key | None
    """None: nothing followed, so whatever comes after belongs to this page too."""
    built: float
    cost: float
    dirty: bool = False


class PagedFeed:
    """One list of the API. ``head`` writes the envelope up to the list, given modifiedAt and the pagination object."""

    def __init__(self, index: Index, name: str, media_type: str, head: str, *, statuses: bool = False, most_bytes: int = 64 << 20) -> None:
        self._index = index
        self._name = name
        self._media_type = media_type
        self._head = head
        self._statuses = statuses
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._building: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        index.listeners.append(self._changed)

    def _changed(self, key: Key | None) -> None:
        for kept in (*self._kept.values(), *self._building.values()):
            if key is None or ((kept.after is None or key > kept.after) and (kept.last is None or key <= kept.last)):
                kept.dirty = True

    async def page(self, cursor: str | None) -> Body:
        """The page after a cursor, the first one without; raises BadCursor."""
        return await self._get(f"page {cursor or ''}", decode_cursor(cursor) if cursor else None, PAGE_SIZE)

    async def everything(self) -> Body:
        """The whole list (contract, snapshots)."""
        return await self._get("all", None, None)

    def _usable(self, name: str) -> Body | None:
        kept = self._kept.get(name)
        if kept is None or (kept.dirty and time.monotonic() - kept.built > _SHARE * kept.cost):
            return None
        self._kept.move_to_end(name)
        return kept.body

    async def _get(self, name: str, after: Key | None, count: int | None) -> Body:
        found = self._usable(name)
        if found is not None:
            return found
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            found = self._usable(name)
            if found is None:
                found = await self._build(name, after, count)
        self._locks.pop(name, None)
        return found

    async def _build(self, name: str, after: Key | None, count: int | None) -> Body:
        started = time.monotonic()
        visible, spanned, more = self._index.visible_after(after, count)
        last = visible[-1].key if more else None
        building = self._building[name] = _Kept(_NOTHING, after, last, started, 0.0)
        try:
            building.body = await asyncio.to_thread(self._assemble, visible, spanned, count, last)
        finally:
            del self._building[name]
        building.built = time.monotonic()
        building.cost = building.built - started
        self._kept[name] = building
        self._evict()
        return building.body

    def _assemble(self, visible: list[Entry], spanned: list[Entry], count: int | None, last: Key | None) -> Body:
        modified_at = max((entry.modified_at for entry in spanned), default=_EPOCH)
        pagination: dict[str, object] = {"nextCursor": encode_cursor(last)} if last is not None else {}
        pagination["limit"] = len(visible) if count is None else count
        head = self._head.replace("MODIFIED", format_ms(modified_at)).replace("PAGINATION", msgspec.json.encode(pagination).decode())
        pieces = [entry.statuses if self._statuses else entry.main or b"" for entry in visible]
        content = head.encode() + b",".join(pieces) + b"]}"
        return make_body(content, modified_at, self._media_type)

    def _evict(self) -> None:
        size = sum(len(kept.body.gzipped) for kept in self._kept.values())
        while size > self._most_bytes and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            size -= len(gone.body.gzipped)
