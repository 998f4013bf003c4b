"""The public REST API (contract sections 0 to 4), its OpenAPI document, health and metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import psycopg
from fastapi import FastAPI, Query, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from ocpi_nap import __version__
from ocpi_nap.feed import render, schema
from ocpi_nap.feed.editions.bulkfeed import FORMATS, BulkFeed
from ocpi_nap.feed.editions.files import EditionResponse
from ocpi_nap.feed.editions.whole import WholeFeed
from ocpi_nap.feed.events import changes, stream
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.keys import id_prefix
from ocpi_nap.feed.fragments.reader import FeedReader, NotReady
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.http import METHODS, Body, Failures, NotAcceptable, PublicRules, listed, make_body, plain, refuses_gzip, respond, weights
from ocpi_nap.feed.limits import Limits, RateLimit
from ocpi_nap.feed.pages import BadCursor, PagedFeed
from ocpi_nap.feed.parameters import BadParameter, read_operator
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.feed.selections import read_selection
from ocpi_nap.feed.terms import StatedTerms, Terms
from ocpi_nap.model.timestamps import from_micros
from ocpi_nap.store.database import OUTAGES, Database

log = logging.getLogger(__name__)

BASE = "/api/charging-network/v1"
_GEOJSON = "application/geo+json;charset=UTF-8"
_JSON = "application/json"
_SERVED = Counter("ocpi_nap_api_answers_total", "Answers of the public API", ["path", "status"])
_TOOK = Histogram("ocpi_nap_api_seconds", "Time to answer", ["path"], buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2))

Cursor = Annotated[str | None, Query(description="`pagination.nextCursor` of the page before.")]
Limit = Annotated[str | None, Query(description="`500`, or `ALL`, which leads to `/all`.")]
Operators = Annotated[str | None, Query(description="Only these operators, separated by commas.", examples=["FI*ABC"])]
Box = Annotated[str | None, Query(description="Only what lies in this box: west,south,east,north in degrees.")]
Since = Annotated[str | None, Query(alias="modifiedSince", description="Only what changed then or later: a time with its zone.")]
Encoding = Annotated[str | None, Query(description="`json` unless named: `xml` of DATEX II, `parquet`, `fgb`, `csv` of locations.")]
SELECTABLE = ("/locations", "/locations/statuses")
_TAG = "charging-network-v1"
_NOT_FOUND = b'{"message": "Not Found"}'
"""The text of the gateway, with its blank."""
_REPLACED = 10
"""How often an edition may be replaced before a reader has opened it."""


class _GeoJson(JSONResponse):
    """For the OpenAPI document: answers are rendered elsewhere."""

    media_type = _GEOJSON.split(";")[0]


@dataclass(frozen=True)
class ApiOptions:
    """What the composition root decides."""

    strict_gzip: bool = False
    bulk_seconds: float = 300
    patience: float = 0.5
    """Seconds that a request waits for what was committed before it to be rendered."""
    publish_environments: tuple[str, ...] = ("production", "test")
    """Of the changes; what pages and snapshots show, the renderer decides by the same setting."""
    stream_listeners: int = 2000
    stream_kept: int = 10_000
    limits: Limits = field(default_factory=Limits)
    terms: Terms = field(default_factory=Terms)


class Api:
    """The feeds of one worker."""

    def __init__(self, reader: FeedReader, folder: Path, forms: Sequence[Form[Any]], options: ApiOptions) -> None:
        self.reader = reader
        self.options = options
        self.folder = folder
        self.feeds = {form.path: PagedFeed(reader, form) for form in forms if form.paged}
        self.wholes: dict[str, dict[str, WholeFeed]] = {}
        for form in forms:
            self.wholes.setdefault(form.path, {})[form.encoding] = WholeFeed(reader, folder, form)
        self.bulk: dict[str, WholeFeed] = {kind: BulkFeed(reader, folder, kind, options.bulk_seconds) for kind in FORMATS}
        self._operators: Body | None = None
        self._operators_text = ""

    async def page(self, request: Request, path: str, cursor: str | None, limit: str | None, *, selectable: bool = False) -> Response:
        """One page of a feed, the whole where it has no pages; `limit=ALL` leads to the whole, its query dropped."""
        if limit == "ALL":
            return RedirectResponse(f"{BASE}{path}/all", status_code=302)
        if refuses_gzip(request):
            return NotAcceptable()
        if limit not in (None, "500"):
            return plain("Limit must be one of: 500 or ALL", 400)
        if path not in self.feeds:
            return await self.everything(request, path)
        try:
            selection = read_selection(request.query_params) if selectable else None
            await self.reader.sync()
            body = await self.feeds[path].page(cursor or None, selection)
        except BadParameter as error:
            return plain(str(error), 400)
        except BadCursor:
            return plain("Invalid cursor", 400)
        return respond(request, body)

    async def everything(self, request: Request, path: str) -> Response:
        """A whole publication, from its file."""
        if self.options.strict_gzip and refuses_gzip(request):
            return NotAcceptable()
        bulk = self.bulk if path == render.LOCATIONS.path else {}
        encodings = self.wholes[path] | bulk
        encoding = choose_encoding(request, encodings)
        if encoding is None:
            return plain(f"Format must be one of: {', '.join(encodings)}", 400)
        if encoding in bulk:
            return await self.table(request, encoding)
        response = await self._edition(request, encodings[encoding])
        if "xml" in encodings:
            response.headers["Vary"] = "Accept, Accept-Encoding"
        return response

    async def table(self, request: Request, kind: str) -> Response:
        """All locations in a bulk format, from its file."""
        response = await self._edition(request, self.bulk[kind])
        response.headers["Content-Disposition"] = f'attachment; filename="locations.{kind}"'
        return response

    async def _edition(self, request: Request, whole: WholeFeed) -> Response:
        await self.reader.sync()
        for _ in range(_REPLACED):
            edition = await whole.edition()
            if not edition.rows and whole.form.never_empty:
                return plain("There is nothing to publish yet, and a DATEX II table cannot be empty", 503, {"Retry-After": "10"})
            with suppress(FileNotFoundError):  # replaced just now
                return EditionResponse(request, self.folder, edition)
        raise NotReady

    def age(self) -> float:
        """Seconds that what a copy begins with may be old: usually a minute, and more while an edition is held back or cannot be made."""
        return max(whole["json"].age() for path, whole in self.wholes.items() if path in self.feeds)

    async def location(self, request: Request, operator: str, location_id: str) -> Response:
        """One feature; 404 when nothing is published under that id."""
        if refuses_gzip(request):
            return NotAcceptable()
        try:
            prefix = id_prefix(*read_operator(operator), location_id)
        except BadParameter:
            raise HTTPException(404) from None
        await self.reader.sync()
        with self.reader.reading() as reading:
            for _, modified, _, _, fragment in reading.scan(render.LOCATIONS.name, prefix=prefix):
                content = bytes(fragment)
                if content and json.loads(content)["properties"]["id"] == location_id:
                    return respond(request, make_body(content, from_micros(max(modified, reading.state.floor)), _GEOJSON))
        raise HTTPException(404)

    async def operators(self, request: Request) -> Response:
        """All operators; the list changes rarely."""
        if refuses_gzip(request):
            return NotAcceptable()
        await self.reader.sync()
        with self.reader.reading() as reading:
            text, moment = reading.state.operators, reading.state.operators_at
        if self._operators is None or self._operators_text != text:
            self._operators = make_body(text.encode(), from_micros(int(moment * 1e6)), _JSON, self._operators)
            self._operators_text = text
        return respond(request, self._operators)


def choose_encoding(request: Request, offered: Collection[str]) -> str | None:
    """Where there is a choice by `format`, else XML where Accept names it and nothing that is liked as well: browsers name HTML before
    it, and get JSON. None when there is no such format."""
    wanted = request.query_params.get("format")
    if wanted is not None and len(offered) > 1:
        return wanted.lower() if wanted.lower() in offered else None
    if "xml" in offered:
        named = weights(listed(request, "accept"))
        xml = max(named.get(kind, 0.0) for kind in ("application/xml", "text/xml"))
        better = max(named.get(kind, 0.0) for kind in (_JSON, "text/html"))
        if xml > better and xml >= max(named.get(kind, 0.0) for kind in ("*/*", "application/*")):
            return "xml"
    return next(iter(offered))


def _all_metrics() -> bytes:
    """Of all processes of this node, where `serve` has told them a folder to share."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*.db"):
        pid = path.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():  # ended, and perhaps started again under another number
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _add_feed(app: FastAPI, api: Api, path: str) -> None:
    """The two routes of a publication, paged or whole on its base path; selections where they make sense."""
    summary, model = schema.PUBLICATIONS.get(path, (path[1:], None))
    media_types = [whole.form.media_type for whole in api.wholes[path].values()]
    bulk = [media_type for media_type, _ in FORMATS.values()] if path == render.LOCATIONS.path else []
    selectable, several = path in SELECTABLE, len(media_types) + len(bulk) > 1

    async def page(request: Request, cursor: Cursor = None, limit: Limit = None) -> Response:
        return await api.page(request, path, cursor, limit)

    async def selected(
        request: Request, cursor: Cursor = None, limit: Limit = None, operator: Operators = None, bbox: Box = None,
        modified_since: Since = None,
    ) -> Response:  # fmt: skip
        return await api.page(request, path, cursor, limit, selectable=True)

    async def whole(request: Request) -> Response:
        return await api.everything(request, path)

    async def whole_as(request: Request, format: Encoding = None) -> Response:
        return await api.everything(request, path)

    async def base_as(request: Request, limit: Limit = None, format: Encoding = None) -> Response:
        return await api.page(request, path, None, limit)

    base = (selected if selectable else page) if path in api.feeds else base_as
    name = path[1:].replace("/", "_")
    in_parts = {} if path in api.feeds else schema.PARTS
    of_base = schema.data(model, *media_types) | schema.MOVED | schema.WRONG | schema.NO_GZIP | in_parts
    of_all = schema.data(model, *media_types, *bulk) | schema.PARTS | (schema.WRONG if several else {})
    if api.options.strict_gzip:
        of_all |= schema.NO_GZIP
    for route, answer, title, operation, responses in (
        (path, base, summary, name, of_base),
        (f"{path}/all", whole_as if several else whole, f"{summary} (all)", f"{name}_all", of_all),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            app.add_api_route(f"{BASE}{route}", answer, methods=[method], responses=responses, summary=title, operation_id=operation,
                              response_class=_GeoJson if media_types[0] == _GEOJSON else Response,
                              include_in_schema=method == "GET", tags=[_TAG])  # fmt: skip


def _add_table(app: FastAPI, api: Api, kind: str) -> None:
    media_type, name = FORMATS[kind]

    async def table(request: Request) -> Response:
        return await api.table(request, kind)

    responses = schema.data(None, media_type) | schema.PARTS
    for method in ("GET", "HEAD"):
        app.add_api_route(f"{BASE}/locations/all.{kind}", table, methods=[method], responses=responses, response_class=Response,
                          summary=f"Locations as a table: {name}", operation_id=f"locations_{kind}", tags=[_TAG],
                          include_in_schema=method == "GET")  # fmt: skip


def create_api(
    db: Database, folder: Path, *, options: ApiOptions, forms: Sequence[Form[Any]] = FORMS, store: FragmentStore | None = None
) -> Any:
    """The ASGI application of everything public; ``folder`` has the node's fragments and snapshots, ``store`` is that of a renderer
    in this process."""
    api = Api(FeedReader(db, folder / "fragments", store, patience=options.patience), folder / "snapshots", forms, options)
    app = FastAPI(
        title="Charging network API", version=__version__, openapi_url="/swagger/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False,
        description="Locations, statuses and prices of public recharging points, collected from operators over OCPI.",
    )  # fmt: skip
    app.router.redirect_slashes = False

    for path in api.wholes:
        _add_feed(app, api, path)
    for kind in FORMATS:
        _add_table(app, api, kind)

    @app.head(f"{BASE}/operators", include_in_schema=False)
    @app.get(f"{BASE}/operators", responses=schema.data(list[schema.Operator], _JSON) | schema.NO_GZIP, response_class=Response,
             summary="Operators", tags=[_TAG])  # fmt: skip
    async def operators(request: Request) -> Response:
        return await api.operators(request)

    @app.head(f"{BASE}/locations/{{operator}}/{{location_id:path}}", include_in_schema=False)
    @app.get(f"{BASE}/locations/{{operator}}/{{location_id:path}}", response_class=_GeoJson, summary="One location", tags=[_TAG],
             responses=schema.data(schema.Feature, _GEOJSON) | schema.NO_GZIP | schema.MISSING)  # fmt: skip
    async def location(request: Request, operator: str, location_id: str) -> Response:
        return await api.location(request, operator, location_id)

    hub = stream.Hub(db, most_listeners=options.stream_listeners, kept_events=options.stream_kept)
    app.include_router(changes.router(changes.ChangeFeed(db, options.publish_environments, api.age), f"{BASE}/changes"))
    app.include_router(stream.router(hub, db, f"{BASE}/stream/statuses"))
    app.state.end_streams = hub.close
    _add_service(app, db)
    _add_rules(app, db, options)
    return app


def _add_service(app: FastAPI, db: Database) -> None:
    """Health, metrics, documentation."""

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        try:
            await db.fetch_one("SELECT 1")
        except psycopg.Error:
            return JSONResponse({"status": "the database does not answer"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(_all_metrics), media_type=CONTENT_TYPE_LATEST)

    @app.head("/swagger/", include_in_schema=False)
    @app.get("/swagger/", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="openapi.json", title=app.title, swagger_js_url="swagger-ui-bundle.js",
                                   swagger_css_url="swagger-ui.css", swagger_favicon_url="favicon-32x32.png")  # fmt: skip

    @app.head("/swagger", include_in_schema=False)
    @app.get("/swagger", include_in_schema=False)
    async def swagger_folder() -> RedirectResponse:
        return RedirectResponse("/swagger/")

    app.mount("/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")]))  # Swagger UI itself


def _add_rules(app: FastAPI, db: Database, options: ApiOptions) -> None:
    """How errors are answered, and what every answer goes through."""

    async def not_ready(request: Request, error: Exception) -> Response:
        return plain("The data is being prepared", 503, {"Retry-After": "5"})

    async def away(request: Request, error: Exception) -> Response:
        log.warning("%s could not be answered: %s", request.url.path, error)
        return plain("The database does not answer: try again later", 503, {"Retry-After": "5"})

    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return Response(_NOT_FOUND, 404, media_type=_JSON)
        allowed = {"Allow": METHODS} if error.status_code == 405 else {}
        return plain(HTTPStatus(error.status_code).phrase.capitalize(), error.status_code, allowed)

    app.add_exception_handler(NotReady, not_ready)
    app.add_exception_handler(HTTPException, refused)  # type: ignore[arg-type]
    for outage in OUTAGES:
        app.add_exception_handler(outage, away)
    app.add_middleware(Failures)
    app.add_middleware(RateLimit, db=db, limits=options.limits, base=BASE)
    app.add_middleware(StatedTerms, terms=options.terms, base=BASE)
    app.add_middleware(_Measured)
    app.add_middleware(PublicRules, further={f"{BASE}/stream/statuses": b",Last-Event-ID"})


class _Measured:
    """Counts and times answers by route, for /metrics."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(BASE):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")  # not that of the request, of which there are as many as locations
                _SERVED.labels(path, message["status"]).inc()
                _TOOK.labels(path).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, counted)
