"""Who did what, when, from where."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ocpi_nap.store.accounts import audit_page
from ocpi_nap.web.console.guard import Operator
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console/audit")
_PAGE = 100


@router.get("")
async def show(request: Request, session: Operator, before: int | None = None, who: str = "") -> Response:
    """A page of the audit log, the newest first."""
    web = web_of(request)
    rows = await audit_page(web.db, before, who or None, _PAGE + 1)
    older = rows[_PAGE - 1][0] if len(rows) > _PAGE else None
    return web.pages.html("console/audit.html", request, rows=rows[:_PAGE], older=older, who=who)
