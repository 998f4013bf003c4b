"""`GET /changes`: what changed since a cursor, each item as the REST API shows it now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from isal import igzip
from starlette.responses import Response

from ocpi_nap.feed.events.filters import read_filter
from ocpi_nap.feed.events.objects import Shown, shown
from ocpi_nap.feed.http import accepts_gzip, plain
from ocpi_nap.feed.parameters import BadParameter, read_cursor
from ocpi_nap.feed.schema import ALWAYS, HEADERS, TEXT, WRONG, Answers, EvseStatus, Feature, Shape, Tariff
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store import events as sql
from ocpi_nap.store.database import Database
from ocpi_nap.store.events import Event

PAGE = 1000
"""Most changes in one answer."""
OVERLAP_SECONDS = 180
"""How far the first cursor reaches back beyond the age of `/all` on this node: another one may answer for that."""
_SMALL = 1 << 17
_KEPT = 2 * PAGE
"""Items kept for the next reader."""
GONE = (
    "This cursor is too old or not of this service: changes are kept for a limited time. Take a new cursor from /changes without "
    "since, then /locations/all, /locations/statuses/all and /tariffs/all, and follow the changes from that cursor.\n"
)
_NOTE = (
    "Take /locations/all, /locations/statuses/all and /tariffs/all now, then ask for since=CURSOR. The cursor reaches back to some minutes "
    "before these were made, so that nothing is missed; to apply a change twice does no harm."
)
_text = msgspec.json.Encoder().encode


class Change(Shape):
    """One change; `feature`, `statuses` and `tariff` are those of the REST API."""

    kind: Literal["location", "status", "tariff"]
    change: Literal["added", "changed", "removed"]
    operator: str
    time: str
    locationId: str | None = None
    evseIds: list[str] | None = None
    tariffId: str | None = None
    reason: str | None = None
    feature: Feature | None = None
    statuses: list[EvseStatus] | None = None
    status: EvseStatus | None = None
    tariff: Tariff | None = None


class Changes(Shape):
    """A page of changes."""

    cursor: str
    more: bool
    note: str | None = None
    changes: list[Change]


class ChangeFeed:
    """Renders pages of the event log."""

    def __init__(self, db: Database, environments: tuple[str, ...], age: Callable[[], float]) -> None:
        """``age``: how many seconds the whole publications are old."""
        self._db = db
        self._environments = list(environments)
        self._age = age
        self._kept: dict[int, bytes] = {}

    async def answer(self, request: Request) -> Response:
        """The page after `since`; a cursor to begin with when there is none."""
        try:
            chosen = read_filter(request.query_params)
            given = request.query_params.get("since")
            since = None if given is None else read_cursor(given)
        except BadParameter as error:
            return plain(str(error), 400)
        cleared, last, start = await sql.bounds(self._db, OVERLAP_SECONDS + self._age() if since is None else 0)
        if since is None:
            return await _respond(request, b'{"cursor":"%d","more":%s,"note":%s,"changes":[]}' % (start, _more(start < last), _text(_NOTE)))
        if not cleared <= since <= last:
            return plain(GONE, 410)
        events = await sql.after(self._db, since, PAGE, operators=chosen.operator_ids, box=chosen.box)
        full = len(events) == PAGE
        reached = events[-1].seq if full else max([last, *(event.seq for event in events[-1:])])
        items = await self.render(events)
        return await _respond(request, b'{"cursor":"%d","more":%s,"changes":[%s]}' % (reached, _more(full), b",".join(items)))

    async def render(self, events: list[Event]) -> list[bytes]:
        """The items; what is hidden by now is left out, its withdrawal follows.

        One that was rendered for another reader is as good as a new one: whatever changed since is an event that follows.
        """
        made = {event.seq: self._kept[event.seq] for event in events if event.seq in self._kept}
        missing = [event for event in events if event.seq not in made]
        objects = await shown(self._db, self._environments, missing)
        made |= {event.seq: self._item(event, objects) for event in missing}
        self._keep(made)
        return [made[event.seq] for event in events if made[event.seq]]

    def _keep(self, made: dict[int, bytes]) -> None:
        self._kept |= made
        for seq in list(self._kept)[: max(0, len(self._kept) - _KEPT)]:
            del self._kept[seq]

    @staticmethod
    def _item(event: Event, objects: Shown) -> bytes:
        """One item as JSON; empty when it is hidden by now."""
        assert event.at is not None
        place = b'"operator":%s,%s:%s' % (
            _text(f"{event.country_code}*{event.party_id}"), b'"tariffId"' if event.kind == "tariff" else b'"locationId"', _text(event.id),
        )  # fmt: skip
        head = b'{"kind":"%s","change":"%s",%s' % (event.kind.encode(), event.change.encode(), place)
        if event.kind == "status":
            assert event.status_at is not None
            time, evse = format_ms(event.status_at).encode(), _text(event.evse_id)
            status = b'{"evseId":%s,"modifiedAt":"%s","status":%s}' % (evse, time, _text(event.status))
            return b'%s,"evseIds":[%s],"time":"%s","status":%s}' % (head, evse, time, status)
        time = format_ms(event.at).encode()
        if event.change == "removed":
            gone = b"" if event.evses is None else b',"evseIds":%s' % _text(event.evses["vanished"])
            return b'%s%s,"time":"%s","reason":%s}' % (head, gone, time, _text(event.reason))
        text, rows = objects.get((event.kind, event.row_pk), (b"", b""))
        if not text:
            return b""
        if event.kind == "tariff":
            return b'%s,"time":"%s","tariff":%s}' % (head, time, text)
        statuses = b"[%s]" % rows
        ids = [row.evseId for row in _rows(statuses)]
        return b'%s,"evseIds":%s,"time":"%s","feature":%s,"statuses":%s}' % (head, _text(ids), time, text, statuses)


class _Row(msgspec.Struct):
    evseId: str


_rows = msgspec.json.Decoder(list[_Row]).decode


def _more(more: bool) -> bytes:
    return b"true" if more else b"false"


async def _respond(request: Request, content: bytes) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if accepts_gzip(request):
        headers["Content-Encoding"] = "gzip"
        zipped = igzip.compress(content, 1) if len(content) < _SMALL else await asyncio.to_thread(igzip.compress, content, 1)
        content = bytes(zipped)
    return Response(content, headers=headers)


Since = Annotated[str | None, Query(description="`cursor` of the answer before; without it you get one to begin with.")]
Operators = Annotated[list[str] | None, Query(alias="operator", description="Only these, such as `FI*ABC`; repeat or use commas.")]
Area = Annotated[str | None, Query(description="Only inside `west,south,east,north` (degrees); tariffs have no place and stay.")]


def router(feed: ChangeFeed, path: str) -> APIRouter:
    """The route, described for the OpenAPI document."""
    routes = APIRouter(tags=["charging-network-v1"])
    responses: Answers = {
        200: {"model": Changes, "headers": HEADERS},
        **WRONG,
        410: {"description": "The cursor is too old: start anew.", "content": TEXT},
        **ALWAYS,
    }

    async def changes(request: Request, since: Since = None, operator: Operators = None, bbox: Area = None) -> Response:
        return await feed.answer(request)

    for method in ("GET", "HEAD"):
        routes.add_api_route(
            path, changes, methods=[method], responses=responses, response_class=Response, include_in_schema=method == "GET",
            summary="What changed since a cursor", operation_id="changes",
        )  # fmt: skip
    return routes


