"""The web application: public pages and console, mounted by `app.py` for the paths that `serves` names."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.registry import Registry
from ocpi_nap.store.database import Database
from ocpi_nap.web.assets import PREFIX, Assets
from ocpi_nap.web.console import account, accounts, audit, issues, network, oidc, operators, platforms, records, requests, signin
from ocpi_nap.web.console.guard import HOME, SIGN_IN, SignInNeeded, sign_in_redirect
from ocpi_nap.web.context import SiteOptions, Web, web_of
from ocpi_nap.web.forms import Entries, Outdated
from ocpi_nap.web.headers import SafeHeaders
from ocpi_nap.web.map import routes as map_routes
from ocpi_nap.web.map.base import BaseMap, Outlines, add_library
from ocpi_nap.web.map.live import Live
from ocpi_nap.web.onboarding import routes as apply
from ocpi_nap.web.pages import Pages, request_language
from ocpi_nap.web.texts import TEXTS

log = logging.getLogger(__name__)

_FOLDERS = frozenset({"", "static", "onboarding", "console", "map"})
"""First segments of the paths that are pages; everything else is the public API's."""


def serves(path: str) -> bool:
    """Whether a path belongs to the web application."""
    return path[1:].partition("/")[0] in _FOLDERS


def create_site(db: Database, registry: Registry, options: SiteOptions) -> FastAPI:
    """The ASGI application of all pages."""
    assets = Assets()
    assets.add_package("ocpi_nap.web")
    library = add_library(assets)
    pages = Pages(assets, site_name=options.site_name, onboarding=options.onboarding, secure=options.secure)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.web = Web(db, registry, pages, options)
    base = BaseMap.of(options.map_tiles, options.map_attribution)
    live = Live(db, options.publish_environments)
    app.state.map = map_routes.MapRoom(live, base, Outlines("outlines"), Outlines("municipalities"), library)

    @app.get(PREFIX + "{name:path}")
    async def static(request: Request) -> Response:
        found = assets.serve(request)
        if found is None:
            raise HTTPException(404)
        return found

    @app.get("/console")
    async def console() -> Response:
        return RedirectResponse(HOME, status_code=303)

    for module in (map_routes, apply, signin, oidc, account, accounts, platforms, records, requests, issues, operators, network, audit):
        app.include_router(module.router)
    app.add_exception_handler(SignInNeeded, _on_sign_in_needed)
    app.add_exception_handler(Outdated, _on_outdated)
    app.add_exception_handler(RequestValidationError, _on_wrong_address)
    app.add_exception_handler(HTTPException, _on_error)
    app.add_exception_handler(Exception, _on_error)
    app.add_middleware(SafeHeaders, https=options.secure)
    return app


async def _on_sign_in_needed(request: Request, error: Exception) -> Response:
    entries = error.entries if isinstance(error, SignInNeeded) else None
    return _kept(request, entries, 401) if entries else sign_in_redirect(request)


async def _on_outdated(request: Request, error: Exception) -> Response:
    assert isinstance(error, Outdated)
    return _kept(request, error.entries, 409)


def _kept(request: Request, entries: Entries, status: int) -> Response:
    """What was filled in before a session ended, to be sent with the next one's token by a click."""
    return web_of(request).pages.html("console/again.html", request, status=status, entries=entries, sign_in=SIGN_IN)


async def _on_wrong_address(request: Request, _: Exception) -> Response:
    """A parameter in the address that is not what it must be: no page of ours links there."""
    return await _on_error(request, HTTPException(404))


async def _on_error(request: Request, error: Exception) -> Response:
    """An error as a page; what went wrong inside is told to the log only."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if 400 <= status < 500 and status not in (404, 405):
        message = str(getattr(error, "detail", ""))
        known = TEXTS[request_language(request)].get(message, message)
        return web_of(request).pages.html("refused.html", request, status=status, message=known)
    kind = "404" if status in (404, 405) else "500"
    return web_of(request).pages.html("error.html", request, status=status, kind=kind)
