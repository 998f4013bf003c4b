"""Reading a paged list to its end, whatever the platform's paging is like (requirements section 4, R111–R131)."""

from __future__ import annotations

import asyncio
import email.utils
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec

from ocpi_nap.model import timestamps
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import net
from ocpi_nap.ocpi.client import Answer, HttpFailure, OcpiClient, OcpiFailure, Peer, PeerError, RefusedUrl
from ocpi_nap.ocpi.links import next_link, with_query

_RETRIES = 3
_PATIENCE = 8
_LONGEST_WAIT = 600.0


class CrawlFailed(Exception):
    """The list could not be read to its end; what came before is good."""

    def __init__(self, message: str, http_status: int | None = None, *, refused: bool = False) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.refused = refused
        """They answered that they will not give this page, as opposed to a failure."""


class _Object(msgspec.Struct):
    id: msgspec.Raw | None = None


class _Named(msgspec.Struct):
    country_code: msgspec.Raw = msgspec.Raw(b"")
    party_id: msgspec.Raw = msgspec.Raw(b"")
    id: msgspec.Raw = msgspec.Raw(b"")


class _Counted(msgspec.Struct):
    """An object of a list, passed over and counted."""


_lists = msgspec.json.Decoder(list[msgspec.Raw])
_counts = msgspec.json.Decoder(list[_Counted | None])
_LARGE = 1 << 22
"""Bytes of a list from which its objects are counted before room is made for each."""
MOST_OBJECTS = 1_000_000
"""Objects of a list, all its pages together (R200)."""
LARGEST_OBJECT = 10 * 1024 * 1024
"""Bytes of one object, as of a pushed one (R38)."""
_single = msgspec.json.Decoder(_Object)
_named = msgspec.json.Decoder(_Named)
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(slots=True)
class Page:
    """One page: its objects as JSON text, not decoded, each with a digest of its text."""

    number: int
    items: list[tuple[bytes, bytes]]


async def _may() -> None:
    """Nothing is against the next request."""


class Crawler:
    """Follows one list; after the last page, ``total``, ``unstable`` and ``overlapping`` say what may be concluded from it.

    ``may`` is awaited before each request, and raises CrawlFailed where none may follow.
    """

    def __init__(
        self, client: OcpiClient, peer: Peer, url: str, settings: PlatformSettings, *, date_from: datetime | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, may: Callable[[], Awaitable[None]] = _may,
    ) -> None:  # fmt: skip
        self._client, self._peer, self._url, self._settings = client, peer, url, settings
        self._date_from, self._sleep, self._may = date_from, sleep, may
        self._limit: int | None = settings.page_size if settings.send_paging_parameters else None
        self._ends_at = time.monotonic() + 60 * settings.crawl_minutes
        self._totals_like_pages = 0
        self._asked: set[str] = set()
        self._dead_links: set[str] = set()
        self._broken_link: CrawlFailed | None = None
        self._foreign: CrawlFailed | None = None
        self._seen: set[bytes] = set()
        self._before: set[tuple[bytes, ...]] | None = None
        """Names of the objects of the page before one that was asked for by an offset."""
        self._barren = 0
        """Pages in a row that brought nothing new."""
        self.total: int | None = None
        """The last X-Total-Count, unless it only counts pages."""
        self.unstable = False
        """The total shrank, so that objects may have slipped between two pages (R119)."""
        self.overlapping = False
        """A page began with objects of an earlier one: the list moved meanwhile, and others may have slipped (I-57)."""
        self.server_time: datetime | None = None
        self.number = 0
        """Pages that were read."""
        self.received = 0
        """Objects that came; those that an earlier page had already do not count."""

    async def pages(self) -> AsyncGenerator[Page]:
        """All pages in order, the next one on its way meanwhile; raises CrawlFailed when one cannot be had or the count does not
        fit (R126). Once."""
        url, linked = self._start_url(0), False
        coming = self._ask(url, first=True)
        try:
            while True:
                try:
                    answer = await coming
                except CrawlFailed as error:
                    way_round = self._way_round(error, url, linked=linked)
                    if way_round is None:
                        break
                    url, linked = way_round, False
                    coming = self._ask(url, past_end=True)
                    continue
                if answer is None:
                    break
                fresh, following, failed = self._read(answer)
                if following is not None:
                    url, linked = following
                    coming = self._ask(url, past_end=not linked)
                if fresh:
                    yield Page(self.number, fresh)
                if failed is not None:
                    raise failed
                if following is None:
                    break
        finally:
            coming.cancel()
        if self._foreign is not None:
            raise self._foreign
        if self.total is None and self._broken_link is not None:
            raise self._broken_link
        if self.total is not None and self.received < self.total:
            raise CrawlFailed(f"only {self.received} of {self.total} objects came")

    def _ask(self, url: str, *, first: bool = False, past_end: bool = False) -> asyncio.Task[Answer | None]:
        self._asked.add(url)
        task = asyncio.create_task(self._fetch(url, first=first, past_end=past_end))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a page that nobody waits for any more
        return task

    def _way_round(self, error: CrawlFailed, url: str, *, linked: bool) -> str | None:
        """Where to go on after a page that cannot be had, None at the end of the list; raises the error where there is no way."""
        if not linked and error.refused and self.number and self.total is not None and self.received >= self.total:
            return None  # we asked for more than the total, and there is none
        by_offset = self._start_url(self.received)
        if not linked or error.http_status == 401 or by_offset in self._asked:
            raise error
        self._broken_link = error
        self._dead_links.add(url)
        return by_offset  # a Link that fails: the offset may work (field lessons 7)

    def _read(self, answer: Answer) -> tuple[list[tuple[bytes, bytes]], tuple[str, bool] | None, CrawlFailed | None]:
        """The objects of a page that came for the first time, what follows it (`_following`), and why nothing can."""
        self.number += 1
        items = _items(answer)
        fresh = [(item, digest) for item in items if (digest := blake2b(item, digest_size=16).digest()) not in self._seen]
        names = _names(items) if self._before is not None else None
        if names is not None and self._before is not None and fresh and names <= self._before:
            fresh = []  # offsets are ignored, and the one page there is says something else each time (R116, I-54)
        self._seen.update(digest for _, digest in fresh)
        self.received += len(fresh)
        if self.received > MOST_OBJECTS:
            raise CrawlFailed(f"more than {MOST_OBJECTS} objects")
        self._count(answer, len(items))
        self._barren = 0 if fresh else self._barren + 1
        self.overlapping = self.overlapping or 0 < len(fresh) < len(items)
        try:
            following = self._following(answer, len(items))
        except CrawlFailed as error:
            return fresh, None, error
        self._before = (_names(items) if names is None else names) if following is not None and not following[1] else None
        if following is not None and self.number >= self._settings.max_pages:
            return fresh, None, CrawlFailed(f"more than {self._settings.max_pages} pages")
        return fresh, following, None

    def _count(self, answer: Answer, arrived: int) -> None:
        """The total that the page tells: the last one counts, one that shrinks is noted, and page counts are none (R119, R126, I-48)."""
        if self.server_time is None:
            self.server_time = _server_time(answer)
        total = _number(answer.headers.get("X-Total-Count"))
        if total is None:
            return
        self._totals_like_pages += total == arrived
        if self._totals_like_pages == self.number > 1:
            self.total, self.unstable = None, False
            return
        self.unstable = self.unstable or (self.total is not None and total < self.total)
        self.total = total

    def _following(self, answer: Answer, arrived: int) -> tuple[str, bool] | None:
        """The next URL and whether a Link gave it; None at the end."""
        link = next_link(answer.headers.getall("Link", []))
        if link is not None:
            if self._barren >= 2:
                raise CrawlFailed("pages without anything new that point to further pages")
            try:
                url = net.follow(answer.url, link, self._peer.hosts)
            except net.NoUrl:
                url = ""
            except net.Refused as error:  # the pull fails (R115), but what an offset brings is not lost (field lessons 7)
                self._foreign = CrawlFailed(f"the next page is not followed: {error}")
                url = ""
            if url in self._dead_links:
                url = ""
            if url in self._asked:
                raise CrawlFailed("the next page is one that was read already")
            if url:
                return url, True
        if self._barren or not (self._more(answer, arrived) or (link is not None and self.total is None)):
            return None
        url = self._start_url(self.received)
        return None if url in self._asked else (url, False)

    def _more(self, answer: Answer, arrived: int) -> bool:
        """Without a Link: by the total; where there is none, or it counts the page, after a full page (R116)."""
        total, most = _number(answer.headers.get("X-Total-Count")), _number(answer.headers.get("X-Limit"))
        full = (self._limit is not None and arrived >= self._limit) or (most is not None and 0 < most <= arrived)
        if self.total is None or total == arrived:
            return full
        return self.received < self.total

    def _start_url(self, offset: int) -> str:
        """The endpoint with our parameters, its own query kept (R112)."""
        parameters: dict[str, str | int] = {}
        if self._date_from is not None:
            parameters["date_from"] = f"{self._date_from.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if self._settings.send_paging_parameters or offset:
            parameters["offset"] = offset
            if self._limit is not None:
                parameters["limit"] = max(1, self._limit)
        return with_query(self._url, parameters)

    async def _fetch(self, url: str, *, first: bool, past_end: bool) -> Answer | None:
        """One page with the retry policy (R129); None when an offset of ours lies past the end (I-56)."""
        failures = waits = 0
        peer = self._peer.correlated()
        while True:
            if time.monotonic() > self._ends_at:
                raise CrawlFailed(f"longer than {self._settings.crawl_minutes} minutes")
            await self._may()
            try:
                return await self._client.get_page(peer, url)
            except RefusedUrl as error:
                raise CrawlFailed(error.message) from None
            except (HttpFailure, OcpiFailure) as error:
                if first and self._limit is not None and error.status_code == 2001 and error.http_status not in (401, 403):
                    self._limit = None  # I-55: refuses `limit`
                    url = self._start_url(0)
                    continue
                if isinstance(error, OcpiFailure):
                    if error.status_code is None or error.status_code < 3000:
                        raise CrawlFailed(error.message, refused=True) from None
                elif past_end and error.http_status in (404, 416):
                    return None
                elif error.http_status in (429, 503):
                    waits += 1
                    if waits > _PATIENCE:
                        raise CrawlFailed(f"still {error.message} after {_PATIENCE} waits") from None
                    await self._sleep(_wait(error.retry_after, waits))
                    continue
                elif error.http_status is not None and error.http_status < 500:
                    raise CrawlFailed(error.message, error.http_status, refused=True) from None
                last: PeerError = error
            except PeerError as error:
                last = error
            failures += 1
            if failures > _RETRIES:
                raise CrawlFailed(f"{last.message} ({_RETRIES} retries)") from None
            await self._sleep(2 ** (failures - 1) * random.uniform(0.8, 1.2))


def _items(answer: Answer) -> list[bytes]:
    """The objects of ``data`` as slices of the body; null and absent are an empty page (R131), one object is a list of it (I-109)."""
    data: bytes = answer.data
    if data == b"null":
        return []
    try:
        if len(data) > _LARGE and data.count(b",") >= MOST_OBJECTS and len(_counts.decode(data)) > MOST_OBJECTS:
            raise CrawlFailed(f"more than {MOST_OBJECTS} objects")
        return [bytes(item) for item in _lists.decode(data)]
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        if _single.decode(data).id is not None:
            return [data]
    except (msgspec.MsgspecError, RecursionError):
        pass
    raise CrawlFailed("data is not a list of objects")


def _names(items: list[bytes]) -> set[tuple[bytes, ...]]:
    """What the objects are called, as it is written."""
    found: set[tuple[bytes, ...]] = set()
    for item in items:
        try:
            named = _named.decode(item)
            found.add((bytes(named.country_code), bytes(named.party_id), bytes(named.id)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found.add((item,))
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _DIGITS.fullmatch(text.strip()) else None


def _server_time(answer: Answer) -> datetime | None:
    """The peer's clock: its Date header, else the timestamp of its envelope (R120)."""
    found = _date(answer.headers.get("Date", "")) or timestamps.parse(answer.timestamp)[0]
    return found if found is not None and 2000 <= found.year < 9000 else None


def _date(text: str) -> datetime | None:
    """A date of HTTP, in UTC; None when it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _wait(retry_after: str | None, waits: int) -> float:
    """Seconds to wait: Retry-After in either form, else 60 s doubling (I-20), never more than ten minutes."""
    seconds = _number(retry_after)
    if seconds is not None:
        return min(float(seconds), _LONGEST_WAIT)
    moment = _date(retry_after) if retry_after is not None else None
    if moment is not None:
        return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
    return float(min(60.0 * 2 ** (waits - 1), _LONGEST_WAIT))
