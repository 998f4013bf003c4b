"""The public REST API (contract sections 0 to 4), its OpenAPI document, health and metrics."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from ocpi_nap.feed import changes, schema, stream
from ocpi_nap.feed.http import PublicRules, respond
from ocpi_nap.feed.index import Follower
from ocpi_nap.feed.limits import Limits, RateLimit
from ocpi_nap.feed.pages import BadCursor, Body, PagedFeed, make_body
from ocpi_nap.feed.schema import HEADERS, TOO_MANY
from ocpi_nap.feed.terms import StatedTerms, Terms
from ocpi_nap.store.database import Database

BASE = "/api/charging-network/v1"
_GEOJSON = "application/geo+json;charset=UTF-8"
_JSON = "application/json"
_SERVED = Counter("ocpi_nap_api_answers_total", "Answers of the public API", ["path", "status"])
_TOOK = Histogram("ocpi_nap_api_seconds", "Time to answer", ["path"], buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2))

Cursor = Annotated[str | None, Query(description="`pagination.nextCursor` of the page before.")]
Limit = Annotated[str | None, Query(description="`500`, or `ALL`, which leads to `/all`.")]


@dataclass(frozen=True)
class ApiOptions:
    """What the composition root decides."""

    publish_environments: tuple[str, ...] = ("production", "test")
    strict_gzip: bool = False
    stream_listeners: int = 2000
    stream_kept: int = 10_000
    limits: Limits = field(default_factory=Limits)
    terms: Terms = field(default_factory=Terms)


class Api:
    """The feeds of one worker."""

    def __init__(self, db: Database, options: ApiOptions) -> None:
        self.db = db
        self.options = options
        self.follower = Follower(db, options.publish_environments)
        locations, tariffs = self.follower.locations, self.follower.tariffs
        collection = '{"type":"FeatureCollection","modifiedAt":"MODIFIED","pagination":PAGINATION,"features":['
        self.feeds = {
            "locations": PagedFeed(locations, "locations", _GEOJSON, collection),
            "locations/statuses": PagedFeed(
                locations, "statuses", _JSON, '{"modifiedAt":"MODIFIED","pagination":PAGINATION,"statuses":[', statuses=True
            ),
            "tariffs": PagedFeed(tariffs, "tariffs", _JSON, '{"modifiedAt":"MODIFIED","pagination":PAGINATION,"tariffs":['),
        }
        self.hub = stream.Hub(db, most_listeners=options.stream_listeners, kept_events=options.stream_kept)
        self._operators: tuple[int, Body] | None = None

    async def page(self, request: Request, path: str, cursor: str | None, limit: str | None) -> Response:
        """One page of a feed; `limit=ALL` leads to the whole, its query dropped."""
        if limit == "ALL":
            return RedirectResponse(f"{BASE}/{path}/all", status_code=302)
        if limit not in (None, "500"):
            return PlainTextResponse("Limit must be one of: 500 or ALL", status_code=400, media_type="text/plain")
        await self.follower.sync()
        try:
            body = await self.feeds[path].page(cursor or None)
        except BadCursor:
            return PlainTextResponse("Invalid cursor", status_code=400, media_type="text/plain")
        return respond(request, body, gzip_required=True)

    async def everything(self, request: Request, path: str) -> Response:
        """A whole feed."""
        await self.follower.sync()
        return respond(request, await self.feeds[path].everything(), gzip_required=self.options.strict_gzip)

    async def operators(self, request: Request) -> Response:
        """All operators; the list changes rarely."""
        await self.follower.sync()
        if self._operators is None or self._operators[0] != self.follower.operators_version:
            content = b"[" + b",".join(self.follower.operators) + b"]"
            before = self._operators[1] if self._operators else None
            body = make_body(content, datetime.now(UTC), _JSON)
            if before is not None and before.etag == body.etag:
                body = before
            self._operators = (self.follower.operators_version, body)
        return respond(request, self._operators[1], gzip_required=True)


def _described(model: Any, media_type: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {"content": {media_type.split(";")[0]: {}}} if media_type == _JSON else {}
    return {
        200: {"model": model, "headers": HEADERS, **content},
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


def create_api(db: Database, *, options: ApiOptions) -> Any:
    """The ASGI application of everything public."""
    api = Api(db, options)
    app = FastAPI(
        title="Charging network API", version=__version__, openapi_url="/swagger/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False,
        description="Locations, statuses and prices of public recharging points, collected from operators over OCPI.",
    )  # fmt: skip
    app.router.redirect_slashes = False

    def paged(path: str, model: Any, media_type: str, summary: str) -> None:
        async def page(request: Request, cursor: Cursor = None, limit: Limit = None) -> Response:
            return await api.page(request, path, cursor, limit)

        async def everything(request: Request) -> Response:
            return await api.everything(request, path)

        name = path.replace("/", "_")
        responses = _described(model, media_type)
        for method in ("GET", "HEAD"):
            shown = method == "GET"
            app.add_api_route(f"{BASE}/{path}", page, methods=[method], responses=responses, summary=summary, operation_id=name,
                              response_class=Response, include_in_schema=shown, tags=["charging-network-v1"])  # fmt: skip
            app.add_api_route(f"{BASE}/{path}/all", everything, methods=[method], responses=responses, summary=f"{summary} (all)",
                              operation_id=f"{name}_all", response_class=Response, include_in_schema=shown,
                              tags=["charging-network-v1"])  # fmt: skip

    paged("locations", schema.Locations, _GEOJSON, "Locations with EVSEs and connectors, as GeoJSON")
    paged("locations/statuses", schema.Statuses, _JSON, "Status of every EVSE")
    paged("tariffs", schema.Tariffs, _JSON, "Tariffs")

    @app.head(f"{BASE}/operators", include_in_schema=False)
    @app.get(f"{BASE}/operators", responses=_described(list[schema.Operator], _JSON), response_class=Response,
             summary="Operators", tags=["charging-network-v1"])  # fmt: skip
    async def operators(request: Request) -> Response:
        return await api.operators(request)

    app.include_router(changes.router(changes.ChangeFeed(db, options.publish_environments), f"{BASE}/changes"))
    app.include_router(stream.router(api.hub, db, f"{BASE}/stream/statuses"))
    app.state.end_streams = api.hub.close

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

    async def on_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 404:
            return JSONResponse({"message": "Not Found"}, status_code=404)
        text = "Method not allowed" if status == 405 else "Internal server error"
        return PlainTextResponse(text, status_code=status, headers=getattr(error, "headers", None))

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
