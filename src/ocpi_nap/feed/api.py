"""The public REST API (contract sections 0 to 4), its OpenAPI document, health and metrics."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import psycopg
from fastapi import FastAPI, Query, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from ocpi_nap import __version__
from ocpi_nap.feed import changes, render, schema, stream
from ocpi_nap.feed.bulkfeed import FORMATS, BulkFeed
from ocpi_nap.feed.files import EditionResponse
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments import FragmentStore, id_prefix
from ocpi_nap.feed.http import NotAcceptable, PublicRules, refuses_gzip, respond
from ocpi_nap.feed.limits import Limits, RateLimit
from ocpi_nap.feed.pages import BadCursor, Body, PagedFeed, from_micros, make_body
from ocpi_nap.feed.parameters import BadParameter, read_operator
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.feed.reader import FeedReader, NotReady
from ocpi_nap.feed.schema import HEADERS, TOO_MANY
from ocpi_nap.feed.selections import read_selection
from ocpi_nap.feed.terms import StatedTerms, Terms
from ocpi_nap.feed.whole import WholeFeed
from ocpi_nap.store.database import Database

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
        if limit not in (None, "500"):
            return _bad("Limit must be one of: 500 or ALL")
        if path not in self.feeds:
            return await self.everything(request, path, gzip_required=True)
        try:
            selection = read_selection(request.query_params) if selectable else None
            await self.reader.sync()
            body = await self.feeds[path].page(cursor or None, selection)
        except BadParameter as error:
            return _bad(str(error))
        except BadCursor:
            return _bad("Invalid cursor")
        return respond(request, body, gzip_required=True)

    async def everything(self, request: Request, path: str, *, gzip_required: bool = False) -> Response:
        """A whole publication, from its file."""
        if (gzip_required or self.options.strict_gzip) and refuses_gzip(request):
            return NotAcceptable()
        bulk = self.bulk if path == render.LOCATIONS.path else {}
        encodings = self.wholes[path] | bulk
        encoding = choose_encoding(request, encodings)
        if encoding is None:
            return _bad(f"Format must be one of: {', '.join(encodings)}")
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
        while True:
            edition = await whole.edition()
            try:
                return EditionResponse(request, self.folder, edition)
            except FileNotFoundError:  # replaced just now
                continue

    async def location(self, request: Request, operator: str, location_id: str) -> Response:
        """One feature; 404 when nothing is published under that id."""
        try:
            prefix = id_prefix(*read_operator(operator), location_id)
        except BadParameter:
            raise HTTPException(404) from None
        await self.reader.sync()
        with self.reader.reading() as reading:
            for _, modified, _, _, fragment in reading.scan(render.LOCATIONS.name, prefix=prefix):
                content = bytes(fragment)
                if content and json.loads(content)["properties"]["id"] == location_id:
                    return respond(request, make_body(content, from_micros(modified), _GEOJSON), gzip_required=True)
        raise HTTPException(404)

    async def operators(self, request: Request) -> Response:
        """All operators; the list changes rarely."""
        await self.reader.sync()
        with self.reader.reading() as reading:
            text, moment = reading.state.operators, reading.state.operators_at
        if self._operators is None or self._operators_text != text:
            self._operators = make_body(text.encode(), from_micros(int(moment * 1e6)), _JSON)
            self._operators_text = text
        return respond(request, self._operators, gzip_required=True)


def _bad(text: str) -> Response:
    return PlainTextResponse(text, status_code=400, media_type="text/plain")


def choose_encoding(request: Request, offered: Collection[str]) -> str | None:
    """By `format`, else XML for clients that name it in Accept and are no browsers; None when there is no such format."""
    wanted = request.query_params.get("format")
    if wanted is not None:
        return wanted.lower() if wanted.lower() in offered else None
    accepted = request.headers.get("accept", "")
    if "xml" in offered and "xml" in accepted and not any(kind in accepted for kind in ("json", "html")):
        return "xml"
    return next(iter(offered))


def _described(model: Any, *media_types: str) -> dict[int | str, dict[str, Any]]:
    found: dict[str, Any] = {"headers": HEADERS} | ({} if model is None else {"model": model})
    if model is None or media_types == (_JSON,):
        found["content"] = {media_type.split(";")[0]: {} for media_type in media_types}
    return {
        200: found,
        304: {"description": "Unchanged since the ETag or time you gave."},
        400: {"description": "A parameter is wrong.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        406: {"description": "The request does not accept gzip.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        429: TOO_MANY,
    }


def _all_metrics() -> bytes:
    """Of all processes of this node, where `serve` has told them a folder to share."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _add_feed(app: FastAPI, api: Api, path: str) -> None:
    """The two routes of a publication, paged or whole on its base path; selections where they make sense."""
    summary, model = schema.PUBLICATIONS.get(path, (path[1:], None))
    media_types = [whole.form.media_type for whole in api.wholes[path].values()]
    selectable = path in SELECTABLE

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

    everything = whole if len(media_types) == 1 and path != render.LOCATIONS.path else whole_as
    base = (selected if selectable else page) if path in api.feeds else base_as
    name = path[1:].replace("/", "_")
    responses = _described(model, *media_types)
    for route, answer, title, operation in (
        (path, base, summary, name), (f"{path}/all", everything, f"{summary} (all)", f"{name}_all"),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            app.add_api_route(f"{BASE}{route}", answer, methods=[method], responses=responses, summary=title, operation_id=operation,
                              response_class=Response, include_in_schema=method == "GET", tags=[_TAG])  # fmt: skip


def _add_table(app: FastAPI, api: Api, kind: str) -> None:
    media_type, name = FORMATS[kind]

    async def table(request: Request) -> Response:
        return await api.table(request, kind)

    responses = _described(None, media_type)
    del responses[400], responses[406]
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
    @app.get(f"{BASE}/operators", responses=_described(list[schema.Operator], _JSON), response_class=Response,
             summary="Operators", tags=[_TAG])  # fmt: skip
    async def operators(request: Request) -> Response:
        return await api.operators(request)

    @app.head(f"{BASE}/locations/{{operator}}/{{location_id:path}}", include_in_schema=False)
    @app.get(f"{BASE}/locations/{{operator}}/{{location_id:path}}", response_class=Response, summary="One location", tags=[_TAG],
             responses=_described(schema.Feature, _GEOJSON) | {404: {"description": "There is no such location."}})  # fmt: skip
    async def location(request: Request, operator: str, location_id: str) -> Response:
        return await api.location(request, operator, location_id)

    hub = stream.Hub(db, most_listeners=options.stream_listeners, kept_events=options.stream_kept)
    app.include_router(changes.router(changes.ChangeFeed(db, options.publish_environments), f"{BASE}/changes"))
    app.include_router(stream.router(hub, db, f"{BASE}/stream/statuses"))
    app.state.end_streams = hub.close

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        try:
            await db.fetch_one("SELECT 1")
        except psycopg.Error:
            return JSONResponse({"status": "the database does not answer"}, status_code=503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(_all_metrics), media_type=CONTENT_TYPE_LATEST)

    @app.get("/swagger/", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="openapi.json", title=app.title, swagger_js_url="swagger-ui-bundle.js",
                                   swagger_css_url="swagger-ui.css", swagger_favicon_url="favicon-32x32.png")  # fmt: skip

    @app.get("/swagger", include_in_schema=False)
    async def swagger_folder() -> RedirectResponse:
        return RedirectResponse("/swagger/")

    app.mount("/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")]))  # Swagger UI itself

    async def not_ready(request: Request, error: Exception) -> Response:
        return PlainTextResponse("The data is being prepared", status_code=503, headers={"Retry-After": "5"})

    async def on_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 404:
            return JSONResponse({"message": "Not Found"}, status_code=404)
        text = "Method not allowed" if status == 405 else "Internal server error"
        return PlainTextResponse(text, status_code=status, headers=getattr(error, "headers", None))

    app.add_exception_handler(NotReady, not_ready)
    app.add_exception_handler(HTTPException, on_error)
    app.add_exception_handler(Exception, on_error)
    app.add_middleware(RateLimit, db=db, limits=options.limits, base=BASE)
    app.add_middleware(StatedTerms, terms=options.terms, base=BASE)
    app.add_middleware(_Measured)
    app.add_middleware(PublicRules)
    return app


class _Measured:
    """Counts and times answers by path, for /metrics."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(BASE):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = message["status"] != 404
                path = scope["path"] if known else "unknown"
                _SERVED.labels(path, message["status"]).inc()
                _TOOK.labels(path).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, counted)
