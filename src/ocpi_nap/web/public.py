"""The start page."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ocpi_nap.web.context import web_of

router = APIRouter()


@router.get("/")
async def home(request: Request) -> Response:
    """What this service is, and where to go."""
    return web_of(request).pages.html("home.html", request)
