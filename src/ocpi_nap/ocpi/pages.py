"""Reading a paged list to its end, whatever the platform's paging is like (requirements section 4, R111–R131)."""

from __future__ import annotations

import asyncio
import email.utils
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from ocpi_nap.model import timestamps
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import net
from ocpi_nap.ocpi.client import Answer, HttpFailure, OcpiClient, OcpiFailure, Peer, PeerError, RefusedUrl
from ocpi_nap.ocpi.links import next_link

_RETRIES = 3
_PATIENCE = 8
_LONGEST_WAIT = 600.0


class CrawlFailed(Exception):
    """The list could not be read to its end; what came before is good."""

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class _Keyed(msgspec.Struct):
    id: Any = None


_lists = msgspec.json.Decoder(list[msgspec.Raw])
_keyed = msgspec.json.Decoder(_Keyed)


@dataclass(slots=True)
class Page:
    """One page: its objects as JSON text, not decoded, each with a digest of its text."""

    number: int
    items: list[tuple[bytes, bytes]]


class Crawler:
    """Follows one list; after the last page, ``total`` and ``unstable`` say what may be concluded from it."""

    def __init__(
        self, client: OcpiClient, peer: Peer, url: str, settings: PlatformSettings, *, date_from: datetime | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._client, self._peer, self._url, self._settings = client, peer, url, settings
        self._date_from, self._sleep = date_from, sleep
        self._limit: int | None = settings.page_size if settings.send_paging_parameters else None
        self.total: int | None = None
        self.unstable = False
        self.server_time: datetime | None = None
        self.received = 0

    async def pages(self) -> AsyncIterator[Page]:
        """All pages in order, the next one on its way meanwhile; raises CrawlFailed when one cannot be had or the count does not
        fit (R126)."""
        url = self._start_url(0)
        asked: set[str] = set()
        seen: set[bytes] = set()
        empty_in_a_row = number = 0
        coming = self._ask(url, first=True)
        try:
            while True:
                asked.add(url)
                answer = await coming
                if answer is None:
                    break
                number += 1
                items = _items(answer)
                fresh = [(item, digest) for item in items if (digest := blake2b(item, digest_size=16).digest()) not in seen]
                repeats = bool(items) and not fresh
                seen.update(digest for _, digest in fresh)
                self.received += len(fresh)
                self._count(answer)
                empty_in_a_row = 0 if items else empty_in_a_row + 1
                failed: CrawlFailed | None = None
                following = None
                try:
                    following = self._following(answer, items, repeats, empty_in_a_row, asked)
                    if following is not None and number >= self._settings.max_pages:
                        raise CrawlFailed(f"more than {self._settings.max_pages} pages")
                except CrawlFailed as error:
                    failed = error
                if following is not None and failed is None:
                    url, offset_used = following
                    coming = self._ask(url, past_end=offset_used)
                if fresh:
                    yield Page(number, fresh)
                if failed is not None:
                    raise failed
                if following is None:
                    break
        finally:
            coming.cancel()
        if self.total is not None and self.received < self.total:
            raise CrawlFailed(f"only {self.received} of {self.total} objects came")

    def _ask(self, url: str, *, first: bool = False, past_end: bool = False) -> asyncio.Task[Answer | None]:
        task = asyncio.create_task(self._fetch(url, first=first, past_end=past_end))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a page that nobody waits for any more
        return task

    def _count(self, answer: Answer) -> None:
        if self.server_time is None:
            self.server_time = _server_time(answer)
        total = _number(answer.headers.get("X-Total-Count"))
        if total is not None:
            self.unstable = self.unstable or (self.total is not None and total < self.total)
            counts_page = self.total is None and total == len(_items(answer)) and next_link(answer.headers.getall("Link", [])) is not None
            self.total = None if counts_page else max(total, self.total or 0)

    def _following(
        self, answer: Answer, items: list[bytes], repeats: bool, empty_in_a_row: int, asked: set[str]
    ) -> tuple[str, bool] | None:
        """The next URL and whether it is one of ours by offset; None at the end."""
        link = next_link(answer.headers.getall("Link", []))
        if link is not None:
            if empty_in_a_row >= 2:
                raise CrawlFailed("empty pages that point to further pages")
            try:
                url = net.follow(answer.url, link, self._peer.hosts)
            except (net.Refused, ValueError) as error:
                if isinstance(error, net.Refused):
                    raise CrawlFailed(f"the next page is not followed: {error}") from None
                url = ""
            if url in asked:
                raise CrawlFailed("the next page is one that was read already")
            if url:
                return url, False
        if repeats or not items:
            return None
        page = _number(answer.headers.get("X-Limit")) or self._limit
        more = self.received < self.total if self.total is not None else page is not None and len(items) >= page
        if not more:
            return None
        url = self._start_url(self.received)
        return None if url in asked else (url, True)

    def _start_url(self, offset: int) -> str:
        """The endpoint with our parameters, its own query kept (R112)."""
        parameters: list[tuple[str, str]] = []
        if self._date_from is not None:
            parameters.append(("date_from", f"{self._date_from.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"))
        if self._settings.send_paging_parameters or offset:
            parameters.append(("offset", str(offset)))
            if self._limit is not None:
                parameters.append(("limit", str(max(1, self._limit))))
        parts = urlsplit(self._url)
        query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    async def _fetch(self, url: str, *, first: bool, past_end: bool) -> Answer | None:
        """One page with the retry policy (R129); None when an offset of ours lies past the end (I-56)."""
        failures = waits = 0
        peer = self._peer.correlated()
        while True:
            try:
                return await self._client.get_page(peer, url)
            except RefusedUrl as error:
                raise CrawlFailed(error.message) from None
            except HttpFailure as error:
                if past_end and error.http_status in (404, 416):
                    return None
                if error.http_status in (429, 503):
                    waits += 1
                    if waits > _PATIENCE:
                        raise CrawlFailed(f"still {error.message} after {_PATIENCE} waits") from None
                    await self._sleep(_wait(error.retry_after, waits))
                    continue
                if error.http_status is not None and error.http_status < 500:
                    raise CrawlFailed(error.message, error.http_status) from None
                last: PeerError = error
            except OcpiFailure as error:
                if first and self._limit is not None and error.status_code == 2001:
                    self._limit = None  # I-55: refuses `limit`
                    url = self._start_url(0)
                    continue
                if error.status_code is None or error.status_code < 3000:
                    raise CrawlFailed(error.message) from None
                last = error
            except PeerError as error:
                last = error
            failures += 1
            if failures > _RETRIES:
                raise CrawlFailed(f"{last.message} ({_RETRIES} retries)") from None
            await self._sleep(2 ** (failures - 1) * random.uniform(0.8, 1.2))


def _items(answer: Answer) -> list[bytes]:
    """The objects of ``data`` as slices of the body; null and absent are an empty page (R131), one object is a list of one.

    Raises CrawlFailed for anything else: taken as empty, it would withdraw what we hold.
    """
    data: bytes = answer.data
    if data == b"null":
        return []
    try:
        return [bytes(item) for item in _lists.decode(data)]
    except msgspec.MsgspecError:
        if data.startswith(b"{") and _keyed.decode(data).id is not None:
            return [data]
    raise CrawlFailed("the page's data is no list of objects")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdigit() else None


def _server_time(answer: Answer) -> datetime | None:
    """The peer's clock: its Date header (R120)."""
    try:
        return email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except (TypeError, ValueError):
        moment, _ = timestamps.parse(answer.headers.get("Date"))
        return moment


def _wait(retry_after: str | None, waits: int) -> float:
    """Seconds to wait: Retry-After in either form, else 60 s doubling (I-20), never more than ten minutes."""
    if retry_after is not None and retry_after.strip().isdigit():
        return min(float(retry_after), _LONGEST_WAIT)
    if retry_after is not None:
        try:
            moment = email.utils.parsedate_to_datetime(retry_after)
            return min(max(0.0, (moment - datetime.now(moment.tzinfo)).total_seconds()), _LONGEST_WAIT)
        except (TypeError, ValueError):
            pass
    return float(min(60.0 * 2 ** (waits - 1), _LONGEST_WAIT))
