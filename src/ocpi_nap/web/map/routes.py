"""The addresses of the map: the page, its tiles, list, search, details and stream of changes.

| address | answer |
|---|---|
| `/` | the page; `?loc=` chooses a location, the filters are `Filter.read`'s, `at=latitude,longitude,zoom` is the view |
| `/map/tiles/{z}/{x}/{y}` | MVT under the filters |
| `/map/outlines/{z}/{x}/{y}`, `/map/municipalities/{z}/{x}/{y}` | MVT of the built-in base map |
| `/map/list?bbox=west,south,east,north` | the locations in view as HTML |
| `/map/search?q=` | towns and locations as HTML |
| `/map/location?pk=` or `?ref=FI*ABC*ID` | a location as HTML |
| `/map/towns` | names and places of towns as JSON |
| `/map/live?zoom=` | what changes, as server-sent events |
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import math
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
import psycopg
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from ocpi_nap.feed.http import unchanged
from ocpi_nap.store import map as sql
from ocpi_nap.web.context import web_of
from ocpi_nap.web.map import details, grid, offers
from ocpi_nap.web.map.base import MUNICIPALITIES, MUNICIPALITIES_ZOOM, OUTLINES_LAST, BaseMap, Outlines
from ocpi_nap.web.map.live import Live, TooManyListeners
from ocpi_nap.web.map.network import Slots
from ocpi_nap.web.map.view import BadFilter, Filter, availability
from ocpi_nap.web.pages import request_language
from ocpi_nap.web.texts import translator

log = logging.getLogger(__name__)
router = APIRouter()

_MVT = "application/vnd.mapbox-vector-tile"
_LISTED = 50
_FOUND = 8
_WORLD = (0.0, 0.0, 1.0, 1.0)
_MOST_TOWNS = 400
_KEPT = ("connector", "power", "operator", "free", "at", "lang")


@dataclass(frozen=True)
class MapRoom:
    """What the routes work with, in `app.state.map`."""

    live: Live
    base: BaseMap
    outlines: Outlines
    municipalities: Outlines
    library: bool


def room_of(request: Request) -> MapRoom:
    """The map of the application that serves the request."""
    room: MapRoom = request.app.state.map
    return room


@dataclass(frozen=True)
class Row:
    """A location in the list."""

    pk: int
    ref: str
    name: str
    address: str
    operator: str
    free: int
    total: int
    state: str
    offers: list[tuple[str, int]]
    href: str


def _bad(message: str) -> HTTPException:
    return HTTPException(400, message)


def _filter(request: Request) -> Filter:
    try:
        return Filter.read(request.query_params)
    except BadFilter as error:
        raise _bad(str(error)) from None


def _numbers(text: str, count: int) -> list[float] | None:
    """Finite numbers parted by commas."""
    try:
        values = [float(part) for part in text.split(",")] if len(text) < 200 else []
    except ValueError:
        return None
    return values if len(values) == count and all(math.isfinite(value) for value in values) else None


def _tile_key(z: str, x: str, y: str, last: int) -> tuple[int, int, int]:
    """Numbers of a tile; 404 for one that cannot be."""
    if not all(part.isascii() and part.isdecimal() and len(part) <= 6 for part in (z, x, y)):
        raise HTTPException(404)
    key = (int(z), int(x), int(y))
    if key[0] > last or key[1] >= 1 << key[0] or key[2] >= 1 << key[0]:
        raise HTTPException(404)
    return key


def _cached(request: Request, content: bytes, etag: str, media_type: str) -> Response:
    """Compressed content with its ETag: 304 where the browser has it."""
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if unchanged(request, etag):
        return Response(status_code=304, headers=headers)
    if not content:
        return Response(status_code=204, headers=headers)
    return Response(content, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})


async def _fresh(room: MapRoom) -> None:
    """Bring the map up to date; 503 when the database does not answer."""
    try:
        await room.live.fresh()
    except psycopg.Error as error:
        log.warning("the map could not be read: %s", error)
        raise HTTPException(503, "the database does not answer", {"Retry-After": "5"}) from None


@router.get("/map/tiles/{z}/{x}/{y}")
async def tile(request: Request, z: str, x: str, y: str) -> Response:
    """Locations as a vector tile."""
    key, chosen, room = _tile_key(z, x, y, grid.LAST), _filter(request), room_of(request)
    await _fresh(room)
    found = await room.live.tile(chosen, key)
    return _cached(request, found.content, found.etag, _MVT)


@router.get("/map/outlines/{z}/{x}/{y}")
async def outline(request: Request, z: str, x: str, y: str) -> Response:
    """The built-in base map."""
    return _shipped(request, room_of(request).outlines.tile(*_tile_key(z, x, y, OUTLINES_LAST)))


@router.get("/map/municipalities/{z}/{x}/{y}")
async def municipalities(request: Request, z: str, x: str, y: str) -> Response:
    """The borders between municipalities, which are asked for close up only."""
    return _shipped(request, room_of(request).municipalities.tile(*_tile_key(z, x, y, MUNICIPALITIES_ZOOM)))


def _shipped(request: Request, tile: bytes | None) -> Response:
    """A tile that comes with the program."""
    content = tile or b""
    answer = _cached(request, content, f'"{hashlib.blake2b(content, digest_size=10).hexdigest()}"', _MVT)
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


@router.get("/map/towns")
async def towns(request: Request) -> Response:
    """[name, longitude, latitude, locations] of the largest towns: the labels of the built-in base map."""
    room = room_of(request)
    await _fresh(room)
    found = sorted(room.live.network.words.towns().values(), key=lambda town: -town.count)[:_MOST_TOWNS]
    rows = []
    for town in found:
        longitude, latitude = grid.unproject((town.west + town.east) / 2, (town.north + town.south) / 2)
        rows.append([town.name, round(longitude, 4), round(latitude, 4), town.count])
    content = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.blake2b(content, digest_size=10).hexdigest()}"'
    return _cached(request, gzip.compress(content, 6, mtime=0), etag, "application/json")


def _bounds(request: Request) -> tuple[float, float, float, float]:
    """The part of the map asked for, in web mercator."""
    text = request.query_params.get("bbox")
    if text is None:
        return _WORLD
    values = _numbers(text, 4)
    if values is None or values[0] > values[2] or values[1] > values[3]:
        raise _bad("bbox: west,south,east,north in degrees")
    west, north = grid.project(values[0], values[3])
    east, south = grid.project(values[2], values[1])
    return float(west), float(north), float(east), float(south)


def _slots_in(room: MapRoom, chosen: Filter, bounds: tuple[float, float, float, float]) -> Slots:
    """Matching locations in a part of the map, the nearest to its middle first."""
    live = room.live
    at, (west, north, east, south) = live.network.locations, bounds
    x, y = at.x[: at.length], at.y[: at.length]
    inside = (x >= west) & (x <= east) & (y >= north) & (y <= south) & (at.pk[: at.length] > 0)
    slots = live.views.get(chosen).visible(np.flatnonzero(inside))
    x, y = x[slots], y[slots]
    if bounds == _WORLD:
        totals = live.views.get(chosen).counts[slots].sum(axis=1)
        return slots[np.argsort(-totals.astype(np.int64), kind="stable")]
    return slots[np.argsort((x - (west + east) / 2) ** 2 + (y - (north + south) / 2) ** 2, kind="stable")]


async def _rows(request: Request, room: MapRoom, chosen: Filter, slots: Slots) -> list[Row]:
    """List rows of some locations, in their order."""
    live = room.live
    pks = live.network.locations.pk[slots].tolist()
    documents = {row[0]: row for row in await sql.rows(web_of(request).db, live.environments, pks)}
    kept = [pair for pair in request.query_params.multi_items() if pair[0] in _KEPT]
    found = []
    for pk in pks:
        slot = live.network.slot(pk)
        if pk not in documents or slot is None:
            continue
        _, country, party, identity, doc, operator = documents[pk]
        place = offers.decode_place(doc)
        counts = live.views.get(chosen).counts[slot]
        ref = f"{country}*{party}*{identity}"
        address = ", ".join(part for part in (place.address, place.city) if part)
        found.append(
            Row(pk, ref, place.name or place.address or identity, address, operator, int(counts[0]), int(counts.sum()),
                offers.STATES[availability(counts)], _offers(live, slot), "/?" + urlencode([("loc", ref), *kept], safe="*,"))
        )  # fmt: skip
    return found


def _offers(live: Live, slot: int) -> list[tuple[str, int]]:
    """(kind of connector, most kilowatts) at a location."""
    rows, _ = live.network.rows_of(np.array([slot]))
    at, best = live.network.connectors, dict[int, int]()
    for kind, power, state in zip(at.kind[rows].tolist(), at.power[rows].tolist(), at.state[rows].tolist(), strict=True):
        if state != offers.HIDDEN:
            best[kind] = max(best.get(kind, 0), power)
    return [(offers.KINDS[kind], power) for kind, power in sorted(best.items(), key=lambda entry: -entry[1])]


def _nothing(room: MapRoom) -> bool:
    """Whether there are no locations at all, whatever is looked for."""
    return not len(room.live.network.ordered()[0])


@router.get("/map/list")
async def in_view(request: Request) -> Response:
    """The locations in a part of the map."""
    room, chosen, bounds = room_of(request), _filter(request), _bounds(request)
    await _fresh(room)
    slots = _slots_in(room, chosen, bounds)
    rows = await _rows(request, room, chosen, slots[:_LISTED])
    return web_of(request).pages.html("map/list.html", request, rows=rows, count=len(slots), limit=_LISTED, nothing=_nothing(room))


@router.get("/map/search")
async def search(request: Request) -> Response:
    """Towns and locations that a text may mean."""
    room, question = room_of(request), request.query_params.get("q", "")
    await _fresh(room)
    words = room.live.network.words
    found = []
    for town in words.find_towns(question, 5):
        west, north = grid.unproject(town.west, town.north)
        east, south = grid.unproject(town.east, town.south)
        found.append((town, ",".join(f"{value:.5f}" for value in (west, south, east, north))))
    rows = await _rows(request, room, Filter(), np.array(words.find_slots(question, _FOUND), np.int64))
    return web_of(request).pages.html("map/search.html", request, towns=found, rows=rows, question=question)


async def _location(request: Request) -> details.ShownLocation | None:
    """The location that `?pk=`, `?ref=` or `?loc=` names."""
    query, room, language = request.query_params, room_of(request), request_language(request)
    pk, ref = query.get("pk"), query.get("ref") or query.get("loc")
    try:
        if pk is not None and pk.isascii() and pk.isdecimal() and len(pk) < 19:
            return await details.load(web_of(request).db, room.live.environments, translator(language), language, pk=int(pk))
        parsed = details.parse_ref(ref) if ref else None
        if parsed is not None:
            return await details.load(web_of(request).db, room.live.environments, translator(language), language, ref=parsed)
    except psycopg.OperationalError:
        raise HTTPException(503, "the database does not answer", {"Retry-After": "5"}) from None
    return None


@router.get("/map/location")
async def location(request: Request) -> Response:
    """A location as a part of the page."""
    found = await _location(request)
    if found is None:
        return web_of(request).pages.html("map/gone.html", request, status=404)
    return web_of(request).pages.html("map/location.html", request, place=found)


@router.get("/map/live")
async def live(request: Request) -> Response:
    """What changes, for one open map."""
    room, chosen, query = room_of(request), _filter(request), request.query_params
    zoom, pk, since = query.get("zoom", "0"), query.get("pk"), query.get("since")
    if not (zoom.isascii() and zoom.isdecimal() and int(zoom[:3]) <= grid.LAST):
        raise _bad(f"zoom: a whole number from 0 to {grid.LAST}")
    if pk is not None and not (pk.isascii() and pk.isdecimal() and len(pk) < 19):
        raise _bad("pk: the number of a location")
    moment = None if since is None else _numbers(since, 1)
    if since is not None and moment is None:
        raise _bad("since: milliseconds since 1970")
    await _fresh(room)
    try:
        events = await room.live.stream(chosen, int(zoom), None if pk is None else int(pk), moment[0] / 1000 if moment else None)
    except TooManyListeners:
        return PlainTextResponse("too many open maps", 503, {"Retry-After": "30"})
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def _without_strays(values: NDArray[np.float64]) -> tuple[float, float]:
    """The range of some coordinates in web mercator: a few wrong ones must not show the whole world."""
    low, high = np.quantile(values, [0.05, 0.95])
    margin = max(2 * (high - low), 1 / 64)
    near = values[(values >= low - margin) & (values <= high + margin)]
    return float(near.min()), float(near.max())


def _first_view(room: MapRoom) -> list[float]:
    """Where most locations are: west, south, east, north in degrees."""
    order, _ = room.live.network.ordered()
    if not len(order):
        return [19.0, 59.5, 32.0, 70.2]
    at = room.live.network.locations
    west, east = _without_strays(at.x[order])
    north, south = _without_strays(at.y[order])
    (w, n), (e, s) = grid.unproject(west, north), grid.unproject(east, south)
    return [round(value, 4) for value in (w - 0.1, s - 0.1, e + 0.1, n + 0.1)]


@router.get("/")
async def page(request: Request) -> Response:
    """The map with its list; without JavaScript the list, the filters and the details work as links and a form."""
    room, pages = room_of(request), web_of(request).pages
    try:
        chosen, status = Filter.read(request.query_params), 200
    except BadFilter:
        chosen, status = Filter(), 400
    await _fresh(room)
    place = await _location(request) if "loc" in request.query_params else None
    question = request.query_params.get("q", "").strip()
    if question:
        slots = room.live.views.get(chosen).visible(np.array(room.live.network.words.find_slots(question, 1000), np.int64))
    else:
        slots = _slots_in(room, chosen, _WORLD)
    rows = await _rows(request, room, chosen, slots[:_LISTED])
    present = np.unique(room.live.network.connectors.kind[: room.live.network.connectors.length])
    config = {
        "library": room.library, "tiles": room.base.tiles, "bounds": _first_view(room), "last": grid.LAST,
        "outlinesLast": OUTLINES_LAST, "municipalitiesZoom": MUNICIPALITIES_ZOOM, "municipalities": MUNICIPALITIES,
        "attribution": room.base.attribution, "attributionUrl": room.base.attribution_url,
    }  # fmt: skip
    if "loc" in request.query_params and place is None:
        status = 404
    return pages.html(
        "map/map.html", request, status=status, csp={"worker-src": "'self'", **room.base.csp}, config=config, place=place, rows=rows,
        count=len(slots), limit=_LISTED, nothing=_nothing(room), chosen=chosen, question=question,
        kinds=[offers.KINDS[kind] for kind in present.tolist()], powers=offers.POWERS,
        operators=sorted(room.live.network.operators, key=lambda operator: operator[1].casefold()),
        missing="loc" in request.query_params and place is None, library=room.library,
    )  # fmt: skip
