"""Bodies of the feeds: cursor pages of 500, compressed once and kept until something in them changes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.fragments.keys import key_operator
from ocpi_nap.feed.fragments.reader import FeedReader
from ocpi_nap.feed.fragments.tables import Reading
from ocpi_nap.feed.http import Body, make_body
from ocpi_nap.feed.selections import Selection
from ocpi_nap.model.timestamps import from_micros

PAGE_SIZE = 500
_SHARE = 1
"""A page that changes all the time is built anew half of the time at most: what is served is older than its data by one building."""
_LEAST_KEY = 11  # two letters, a party, an id, three separators and the number


class BadCursor(ValueError):
    """Not a cursor that we gave out."""


def encode_cursor(key: bytes) -> str:
    """Opaque, and needs no escaping in a URL."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def decode_cursor(text: str) -> bytes:
    """The key of a cursor; raises BadCursor."""
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadCursor(text[:40]) from None
    if len(key) < _LEAST_KEY or key[:-9].count(b"\0") != 2 or key[-9] or len(key) > 511:
        raise BadCursor(text[:40])
    return key


def grouped(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """(operator, its fragments) of (key, fragment) in feed order."""
    for operator, members in groupby(entries, key=lambda entry: key_operator(entry[0])):
        yield operator, (fragment for _, fragment in members)


def build_page(
    reading: Reading, form: Form[Any], after: bytes, count: int, selection: Selection | None = None, before: Body | None = None
) -> tuple[Body, bytes]:
    """The next ``count`` published rows after a key, and the last key of the page (empty: nothing follows)."""
    chosen: list[tuple[bytes, bytes]] = []
    latest, last = 0, b""
    entries = reading.scan(form.name, after=after) if selection is None else selection.scan(reading, form, after)
    for key, modified, _, _, fragment in entries:
        shown = bytes(fragment) if selection is None else selection.part(form, bytes(fragment))
        if shown:
            if len(chosen) == count:
                last = chosen[-1][0]
                break
            chosen.append((bytes(key), shown))
        latest = max(latest, modified)
    pagination: dict[str, Any] = {"nextCursor": encode_cursor(last)} if last else {}
    pagination["limit"] = count
    moment = from_micros(latest)
    operators = tuple(dict.fromkeys(key_operator(key) for key, _ in chosen))
    envelope = Envelope(modified_at=moment, published_at=moment, groups=operators, pagination=pagination)
    changed = from_micros(max(latest, reading.state.floor))
    return make_body(b"".join(form.join(envelope, grouped(chosen))), changed, form.media_type, before), last


@dataclass(slots=True)
class _Kept:
    body: Body
    after: bytes
    last: bytes
    """Empty: nothing followed, so whatever comes after belongs to this page too."""
    built: float
    cost: float
    generation: int
    sequence: int
    """The entry of the log of changes up to which the page is known to be good."""
    dirty: bool = False


class PagedFeed:
    """One list of the API in pages."""

    def __init__(self, reader: FeedReader, form: Form[Any], *, most_bytes: int = 64 << 20) -> None:
        self.form = form
        self._reader = reader
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._size = 0
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def page(self, cursor: str | None, selection: Selection | None = None) -> Body:
        """The page after a cursor, the first one without; raises BadCursor. Selections are too many to be kept."""
        after = decode_cursor(cursor) if cursor else b""
        if selection is not None:
            return await asyncio.to_thread(self._select, after, selection)
        found = self._usable(after)
        if found is not None:
            return found
        lock = self._locks.setdefault(after, asyncio.Lock())
        async with lock:
            found = self._usable(after)
            if found is None:
                kept = await asyncio.to_thread(self._build, after)
                self._keep(after, kept)
                found = kept.body
        self._locks.pop(after, None)
        return found

    def _usable(self, after: bytes) -> Body | None:
        kept = self._kept.get(after)
        if kept is None:
            return None
        if not kept.dirty:
            self._check(kept)
        if kept.dirty and time.monotonic() - kept.built > _SHARE * kept.cost:
            return None
        self._kept.move_to_end(after)
        return kept.body

    def _check(self, kept: _Kept) -> None:
        """Has anything between its ends changed since?"""
        with self._reader.reading() as reading:
            changed = reading.changed(kept.generation, kept.sequence)
            kept.sequence = reading.state.sequence
        rows = self.form.rows
        kept.dirty = changed is None or any(
            kind == rows and key > kept.after and (not kept.last or key <= kept.last) for kind, key in changed
        )  # fmt: skip

    def _select(self, after: bytes, selection: Selection) -> Body:
        with self._reader.reading() as reading:
            return build_page(reading, self.form, after, PAGE_SIZE, selection)[0]

    def _build(self, after: bytes) -> _Kept:
        started, known = time.monotonic(), self._kept.get(after)
        with self._reader.reading() as reading:
            generation, sequence = reading.state.generation, reading.state.sequence
            body, last = build_page(reading, self.form, after, PAGE_SIZE, before=known.body if known else None)
        built = time.monotonic()
        return _Kept(body, after, last, built, built - started, generation, sequence)

    def _keep(self, after: bytes, kept: _Kept) -> None:
        before = self._kept.pop(after, None)
        self._size += len(kept.body.gzipped) - (len(before.body.gzipped) if before else 0)
        self._kept[after] = kept
        while self._size > self._most_bytes and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= len(gone.body.gzipped)
