"""`GET /stream/statuses`: status changes as server-sent events, one reader of the event log for all listeners of a worker.

Events are gathered for a moment and written as one block; listeners with the same filter share its bytes. Nothing is queued for a
listener: it holds a number, and takes the blocks after it. One that falls behind further than blocks are kept is closed, and goes
on by `Last-Event-ID` from the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import psycopg
from fastapi import APIRouter, Header, Query, Request
from prometheus_client import Counter, Gauge
from starlette.responses import Response

from ocpi_nap.feed.events.changes import GONE, Area, Operators
from ocpi_nap.feed.events.filters import Filter, read_filter
from ocpi_nap.feed.http import plain
from ocpi_nap.feed.parameters import BadParameter, read_cursor
from ocpi_nap.feed.schema import ALWAYS, HEADERS, TEXT, WRONG, Answers
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store import events as sql
from ocpi_nap.store.database import Database
from ocpi_nap.store.events import Event
from ocpi_nap.waiting import happens, meanwhile

log = logging.getLogger(__name__)

_LISTENERS = Gauge("ocpi_nap_sse_listeners", "Open event streams", multiprocess_mode="livesum")
_CLOSED = Counter("ocpi_nap_sse_too_slow_total", "Event streams closed because the reader was too slow")
_GATHER = 0.04
"""Seconds of events in one block."""
_HEARTBEAT = 15.0
_STUCK = 30.0
"""Seconds that one write may take before the reader counts as gone."""
_PAGE = 2000
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no"}
_text = msgspec.json.Encoder().encode


def _event(operator: bytes, location: bytes, evse_id: str, status: str, moment: str) -> bytes:
    return b'data: {"operator":%s,"locationId":%s,"evseId":%s,"status":%s,"time":"%s"}\n\n' % (
        operator, location, _text(evse_id), _text(status), moment.encode(),
    )  # fmt: skip


def encode(event: Event) -> bytes:
    """The event as server-sent events; only the last one carries the id, so that a reader cut off between them gets all again."""
    operator, location = _text(f"{event.country_code}*{event.party_id}"), _text(event.id)
    pieces: list[bytes] = []
    if event.kind == "status":
        assert event.status_at is not None
        pieces.append(_event(operator, location, event.evse_id or "", event.status or "", format_ms(event.status_at)))
    elif event.evses is not None:
        assert event.at is not None
        moment = format_ms(event.at).encode()
        pieces += [
            b'event: removed\ndata: {"operator":%s,"locationId":%s,"evseId":%s,"reason":%s,"time":"%s"}\n\n'
            % (operator, location, _text(evse_id), _text(event.reason or "evse_removed"), moment)
            for evse_id in event.evses["vanished"]
        ]
        pieces += [_event(operator, location, *row) for row in event.evses["appeared"]]
    if not pieces:
        return b""
    return b"".join(pieces[:-1]) + b"id: %d\n" % event.seq + pieces[-1]


@dataclass
class Block:
    """Events that are sent together."""

    number: int
    after: int
    last: int
    events: list[Event]
    written: dict[Filter, bytes] = field(default_factory=dict)

    def content(self, chosen: Filter, position: int) -> bytes:
        """The block for listeners of a filter, without what one of them has already."""
        if position > self.after:
            return b"".join(encode(event) for event in self.events if event.seq > position and chosen.matches(event))
        found = self.written.get(chosen)
        if found is None:
            found = self.written[chosen] = b"".join(encode(event) for event in self.events if chosen.matches(event))
        return found


class Hub:
    """The events of one worker; it reads them while somebody listens."""

    def __init__(self, db: Database, *, most_listeners: int = 2000, kept_events: int = 10_000) -> None:
        self._db = db
        self._most = most_listeners
        self._kept = kept_events
        self._streams: set[Stream] = set()
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._size = 0
        self._next = 0
        self.position = 0
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.closing = False

    @property
    def full(self) -> bool:
        """Whether no further listener is taken."""
        return len(self._streams) >= self._most

    def close(self) -> None:
        """End all streams: the server stops."""
        self.closing = True
        self._news.set()
        self._ready.set()

    async def join(self, stream: Stream) -> None:
        """Take part; returns once `position` is known."""
        self._streams.add(stream)
        _LISTENERS.inc()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await self._ready.wait()

    def leave(self, stream: Stream) -> None:
        """Take part no more; the last one stops the reading."""
        self._streams.discard(stream)
        _LISTENERS.dec()
        if not self._streams and self._task is not None:
            self._task.cancel()
            self._task = None
            self._ready = asyncio.Event()
            self._blocks.clear()
            self._size = 0

    def block(self, position: int, number: int | None) -> Block | None:
        """The first block with events after a position, at once where its number is known; None when there is none."""
        if number is not None:
            return self._blocks.get(number)
        return next((block for block in self._blocks.values() if block.last > position), None)

    @property
    def oldest(self) -> int:
        """Events after this number are in the blocks."""
        return next(iter(self._blocks.values())).after if self._blocks else self.position

    async def news(self) -> None:
        """Return with the next block, heartbeat or end."""
        if not self.closing:
            await self._news.wait()

    def _wake(self) -> None:
        if not self.closing:
            before, self._news = self._news, asyncio.Event()
            before.set()

    async def _run(self) -> None:
        changed = asyncio.Event()
        beat = time.monotonic()
        async with meanwhile(self._db.wake(changed, "event")):
            while True:
                try:
                    beat = await self._step(changed, beat)
                except psycopg.Error as error:
                    log.warning("reading events was interrupted: %s", error)
                    await asyncio.sleep(1)

    async def _step(self, changed: asyncio.Event, beat: float) -> float:
        if not self._ready.is_set():
            self.position = (await sql.bounds(self._db))[1]
            self._ready.set()
        changed.clear()
        events = await sql.after(self._db, self.position, _PAGE)
        if events:
            self._keep(events)
            self._wake()
        now = time.monotonic()
        if now - beat >= _HEARTBEAT:
            beat = now
            self._end_stuck(now)
            self._wake()
        if not events:
            await happens(changed, within=1)
        elif len(events) < _PAGE:
            await asyncio.sleep(_GATHER)
        return beat

    def _keep(self, events: list[Event]) -> None:
        self._blocks[self._next] = Block(self._next, self.position, events[-1].seq, events)
        self._next += 1
        self._size += len(events)
        self.position = events[-1].seq
        while self._size > self._kept and len(self._blocks) > 1:
            _, old = self._blocks.popitem(last=False)
            self._size -= len(old.events)

    def _end_stuck(self, now: float) -> None:
        for stream in self._streams:
            if stream.writing_since is not None and now - stream.writing_since > _STUCK:
                _CLOSED.inc()
                stream.end()


class Stream(Response):
    """One listener."""

    def __init__(self, hub: Hub, db: Database, chosen: Filter, since: int | None) -> None:
        super().__init__()
        self._hub = hub
        self._db = db
        self._chosen = chosen
        self._since = since
        self._gone = False
        self._task: asyncio.Task[Any] | None = None
        self.writing_since: float | None = None
        self._wrote = 0.0

    def __hash__(self) -> int:
        return id(self)

    def end(self) -> None:
        """Cut the reader off."""
        self._gone = True
        if self._task is not None:
            self._task.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.encode(), value.encode()) for name, value in _STREAM.items()]
        self._task = asyncio.current_task()
        watcher = asyncio.create_task(self._watch(receive))
        try:
            await self._hub.join(self)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            try:
                await self._follow(send)
            except psycopg.Error as error:  # the reader comes again with its last id
                log.warning("a stream was interrupted: %s", error)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not self._gone:
                raise
        finally:
            self._hub.leave(self)
            watcher.cancel()

    async def _watch(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()

    async def _write(self, send: Any, content: bytes) -> None:
        self._wrote = self.writing_since = time.monotonic()
        await send({"type": "http.response.body", "body": content, "more_body": True})
        self.writing_since = None

    async def _follow(self, send: Any) -> None:
        hub = self._hub
        position = hub.position if self._since is None else self._since
        await self._write(send, b"retry: 2000\nid: %d\n\n" % position)
        while position < hub.oldest and not hub.closing:
            position = await self._catch_up(send, position)
        number: int | None = None
        while not hub.closing:
            block = hub.block(position, number)
            if block is not None:
                content = block.content(self._chosen, position)
                position, number = block.last, block.number + 1
                if content:
                    await self._write(send, content)
            elif position < hub.oldest:
                _CLOSED.inc()  # too slow: it comes back with Last-Event-ID
                return
            else:
                await hub.news()
                if time.monotonic() - self._wrote >= _HEARTBEAT - 1 and hub.block(position, number) is None:
                    await self._write(send, b":\nid: %d\n\n" % position)

    async def _catch_up(self, send: Any, position: int) -> int:
        """What happened before the blocks begin, from the log."""
        reached = self._hub.position
        chosen = self._chosen
        events = await sql.after(self._db, position, _PAGE, operators=chosen.operator_ids, box=chosen.box)
        content = b"".join(map(encode, events))
        if content:
            await self._write(send, content)
        return events[-1].seq if len(events) == _PAGE else max([reached, position, *(event.seq for event in events[-1:])])


LastId = Annotated[str | None, Header(description="`id` of the last event you have: what followed is sent first.")]
LastIdParameter = Annotated[str | None, Query(alias="Last-Event-ID", description="The same, for clients that cannot set the header.")]


def router(hub: Hub, db: Database, path: str) -> APIRouter:
    """The route, described for the OpenAPI document."""
    routes = APIRouter(tags=["charging-network-v1"])
    responses: Answers = {
        200: {
            "description": "Status changes; each event's `id` is a cursor.", "headers": HEADERS,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **WRONG,
        410: {"description": "The Last-Event-ID is too old: start anew.", "content": TEXT},
        **ALWAYS,
        503: {**ALWAYS[503], "description": "Too many listeners: try again later."},
    }  # fmt: skip

    @routes.head(path, include_in_schema=False)
    @routes.get(path, responses=responses, response_class=Response, summary="Status changes as server-sent events", operation_id="stream")
    async def stream(
        request: Request, last_event_id: LastId = None, last_event_id_query: LastIdParameter = None,
        operator: Operators = None, bbox: Area = None,
    ) -> Response:  # fmt: skip
        given = request.headers.get("last-event-id") or request.query_params.get("Last-Event-ID") or None
        try:
            chosen = read_filter(request.query_params)
            since = None if given is None else read_cursor(given)
        except BadParameter as error:
            return plain(str(error), 400)
        again = Response("retry: 2000\n\n", headers=_STREAM)  # to EventSource an end means: again; a status like 503 would mean: never
        if hub.closing:
            return again
        if hub.full:
            return plain("Too many listeners: try again later", 503, {"Retry-After": "30"})
        if since is not None:
            try:
                cleared, last, _ = await sql.bounds(db)
            except psycopg.Error as error:
                log.warning("a stream could not go on: %s", error)
                return again
            if not cleared <= since <= last:
                return plain(GONE, 410)
        return Response(headers=_STREAM) if request.method == "HEAD" else Stream(hub, db, chosen, since)

    return routes
