"""Any object as sent, as held and as published; statuses as they arrive."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.feed.fragments.drawing import location_views
from ocpi_nap.feed.views import LocationView, TariffView, tariff_view
from ocpi_nap.model.ids import fold
from ocpi_nap.model.timestamps import format_z
from ocpi_nap.store import feed
from ocpi_nap.store import inspect as sql
from ocpi_nap.store.inspect import Found
from ocpi_nap.store.registry import load_platforms
from ocpi_nap.web.console import published
from ocpi_nap.web.console.guard import Viewer
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console")
_LIVE = 50
_LAST_PK = 2**63 - 1
STATUS_KINDS = {"AVAILABLE": "good", "CHARGING": "info", "RESERVED": "info", "BLOCKED": "warn", "OUTOFORDER": "bad", "INOPERATIVE": "bad"}


@router.get("/inspector")
async def search(request: Request, session: Viewer, q: str = "", platform: str = "") -> Response:
    """Find an object by its id, the name that issues give it, or the id on an EVSE's label."""
    web, q = web_of(request), q.strip().replace("\0", "")
    found = await _find(request, q, platform) if q else []
    if len(found) == 1:
        return RedirectResponse(f"/console/inspector/{found[0].kind}/{found[0].pk}", status_code=303)
    names = [p.name for p in await load_platforms(web.db)]
    return web.pages.html("console/inspector.html", request, q=q, platform=platform, found=found, names=names)


async def _find(request: Request, q: str, platform: str) -> list[Found]:
    db, parts = web_of(request).db, q.split("/")
    if parts[0] in ("locations", "tariffs") and len(parts) >= 4:
        kind = "location" if parts[0] == "locations" else "tariff"
        party = f"{parts[1].upper()}*{parts[2].upper()}"
        # An id may hold slashes itself: the longest reading that leads somewhere.
        for end in range(len(parts), 3, -1):
            text = "/".join(parts[3:end])
            found = await sql.find_by_id(db, sorted({text, fold(text)}), platform=platform, party=party, kinds=(kind,))
            if found:
                return found
        return []
    keys = sorted({q, fold(q)})
    by_id = await sql.find_by_id(db, keys, platform=platform, kinds=("location", "tariff"))
    return by_id or await sql.find_by_evse(db, sorted({q, q.upper()}))


def _decoded(data: Any) -> Any:
    try:
        return json.loads(bytes(data))
    except ValueError:
        return bytes(data).decode("utf-8", "replace")


def _sent(row: dict[str, Any]) -> Any:
    """The object as the CPO sent it, its EVSEs put back and their later statuses shown apart."""
    raw = _decoded(row["raw"])
    if isinstance(raw, dict) and "evses" in row:
        raw = {**raw, "evses": [_decoded(evse["raw"]) for evse in row["evses"]]}
    return raw


def _held(row: dict[str, Any]) -> Any:
    """The canonical form."""
    doc = _decoded(row["doc"])
    if "evses" in row:
        doc = {**doc, "evses": [_held_evse(evse) for evse in row["evses"]]}
    return doc


def _held_evse(evse: dict[str, Any]) -> dict[str, Any]:
    shown = {**_decoded(evse["doc"]), "status": evse["status"]}
    if evse["gone"]:
        shown["withdrawn_connectors"] = [
            {**_decoded(c["doc"]), "withdrawn_at": format_z(c["withdrawn_at"]), "withdrawn_reason": c["withdrawn_reason"]}
            for c in evse["gone"]
        ]  # fmt: skip
    return shown


@router.get("/inspector/location/{pk}")
async def show_location(request: Request, session: Viewer, pk: int, form: str = "") -> Response:
    """One location; ``form`` is the publication whose part of it is shown."""
    web = web_of(request)
    row = await sql.location_row(web.db, pk) if pk <= _LAST_PK else None
    if row is None:
        raise HTTPException(404)
    found = await location_views(web.db, list(web.options.publish_environments), [pk], prices=True)
    return await _object_page(request, "location", row, found[0][0] if found else None, form)


@router.get("/inspector/tariff/{pk}")
async def show_tariff(request: Request, session: Viewer, pk: int, form: str = "") -> Response:
    """One tariff; ``form`` as above."""
    web = web_of(request)
    row = await sql.tariff_row(web.db, pk) if pk <= _LAST_PK else None
    if row is None:
        raise HTTPException(404)
    rows = await feed.load_tariffs(web.db, list(web.options.publish_environments), [pk])
    return await _object_page(request, "tariff", row, tariff_view(rows[0]) if rows else None, form)


async def _object_page(
    request: Request, kind: str, row: dict[str, Any], view: LocationView | TariffView | None, form: str
) -> Response:  # fmt: skip
    web = web_of(request)
    path = f"{kind}s/{row['country_code']}/{row['party_id']}/{row['id']}"
    why = await published.reasons(web.db, web.options.publish_environments, row, view)
    parts = published.reader(web.options.datex).parts(view) if view is not None and not why else []
    return web.pages.html(
        "console/object.html", request, kind=kind, row=row, path=path, sent=_sent(row), held=_held(row), why=why, parts=parts,
        chosen=next((part for part in parts if part.name == form), parts[0] if parts else None),
        history=await sql.history(web.db, kind, row["pk"]), looked_back=sql.LOOKED_BACK, kinds=STATUS_KINDS,
    )  # fmt: skip


@router.get("/live")
async def show_live(request: Request, session: Viewer, platform: str = "") -> Response:
    """The page that follows the statuses."""
    web = web_of(request)
    names = [p.name for p in await load_platforms(web.db)]
    rows = await sql.live(web.db, platform, _LIVE)
    return web.pages.html("console/live.html", request, rows=rows, platform=platform, names=names, kinds=STATUS_KINDS)


@router.get("/live/rows")
async def live_rows(request: Request, session: Viewer, platform: str = "") -> Response:
    """The latest statuses, as the fragment that the page asks for."""
    web = web_of(request)
    rows = await sql.live(web.db, platform, _LIVE)
    return web.pages.html("console/live-rows.html", request, rows=rows, kinds=STATUS_KINDS)
