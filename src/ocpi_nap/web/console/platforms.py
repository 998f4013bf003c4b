"""Platforms: the list, one platform with its registration and pulls, and the acts on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.intake import tasks
from ocpi_nap.model.platform import CONNECTED, Platform
from ocpi_nap.registry import RegistryError, handshake
from ocpi_nap.store import console as sql
from ocpi_nap.store.console import Summary
from ocpi_nap.store.tasks import latest_task
from ocpi_nap.web.console.guard import Operator, Viewer, note
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console/platforms")

_CRAWLS, _EVENTS, _MINUTES = 15, 40, 60
STATES = {
    "unregistered": ("not registered", "quiet"), "registering": ("registering", "info"), "registered": ("registered", "good"),
    "registered-unverified": ("registered, token not verified", "warn"), "unknown": ("outcome unknown", "warn"),
    "failed": ("registration failed", "bad"), "lost": ("they forgot us", "bad"), "unregistered-by-peer": ("ended by them", "bad"),
}  # fmt: skip
"""What the states are called, and the kind of their badge."""


def freshness(platform: Summary) -> tuple[str, str]:
    """(text, kind): whether a platform delivers as its schedule promises."""
    if platform.state not in CONNECTED:
        return "not connected", "quiet"
    if platform.paused:
        return "paused", "warn"
    if platform.delivered is None:
        return "nothing yet", "warn"
    age = (datetime.now(UTC) - platform.delivered).total_seconds()
    promised = 60 * min(platform.delta_minutes, platform.full_minutes)
    if platform.pull_failed:
        return "last pull failed", "bad"
    return ("fresh", "good") if age < 2 * promised + 300 else ("late", "warn") if age < 10 * promised else ("stale", "bad")


async def platform_of(request: Request, name: str) -> Platform:
    """The platform that a page is about; 404 where there is none."""
    try:
        return await web_of(request).registry.platform(name)
    except RegistryError:
        raise HTTPException(404) from None


@router.get("")
async def show_all(request: Request, session: Viewer) -> Response:
    """The list."""
    web = web_of(request)
    rows = [(row, STATES.get(row.state, (row.state, "quiet")), freshness(row)) for row in await sql.summaries(web.db)]
    return web.pages.html("console/platforms.html", request, rows=rows)


@router.get("/{name}")
async def show(request: Request, session: Viewer, name: str) -> Response:
    """One platform."""
    return await platform_page(request, await platform_of(request, name))


async def platform_page(request: Request, platform: Platform, *, error: RegistryError | None = None, values: dict[str, str] | None = None,
                        errors: dict[str, str] | None = None, status: int = 200, issued: str = "") -> Response:  # fmt: skip
    """The page of a platform; with an error of an act, or a token that was just issued."""
    web = web_of(request)
    crawls = await sql.crawl_page(web.db, platform.id, None, _CRAWLS + 1)
    events = await sql.events(web.db, platform.id, _EVENTS)
    return web.pages.html(
        "console/platform.html", request, status=status, platform=platform, facts=await sql.facts(web.db, platform.id),
        task=await latest_task(web.db, platform.id), crawls=crawls[:_CRAWLS], more_crawls=len(crawls) > _CRAWLS,
        events=[(*event, _tone(event[2], event[3])) for event in events], withheld=await sql.withheld(web.db, platform.id),
        pushes=_chart(await sql.pushes_by_minute(web.db, platform.id, _MINUTES)), connected=platform.state in CONNECTED,
        state=STATES.get(platform.state, (platform.state, "quiet")), error=error, values=values or {}, errors=errors or {}, issued=issued,
    )  # fmt: skip


_BAD_STEPS = ("failed", "versions", "choose", "details", "endpoints", "token A", "rotation")


def _tone(step: str, message: str) -> str:
    if step == "registered" or (step == "verification" and "works" in message):
        return "good"
    if step == "credentials":
        return "bad" if "refused" in message or "405" in message or "cannot" in message or "Nobody" in message else ""
    return "bad" if step in _BAD_STEPS else "warn" if step in ("unregistered", "paused", "verification") else ""


def _chart(counts: list[int]) -> dict[str, Any]:
    """Bars for the pushes of the last hour: places and heights in a picture of 300 by 48."""
    most = max(counts, default=0)
    width = 300 / max(1, len(counts))
    bars = [(round(i * width, 1), 46 * n / most) for i, n in enumerate(counts) if n and most]
    return {"bars": [(x, round(48 - max(2, h), 1), round(max(2, h), 1)) for x, h in bars], "width": round(width * 0.8, 1),
            "total": sum(counts), "most": most, "rate": sum(counts[-5:]) / 300}  # fmt: skip


@router.get("/{name}/task")
async def show_task(request: Request, session: Viewer, name: str) -> Response:
    """How far the newest task of a platform is, as a fragment that the page asks for while it runs."""
    web, platform = web_of(request), await platform_of(request, name)
    task = await latest_task(web.db, platform.id)
    headers = {"X-Poll": "done"} if task is None or task.over else {}
    return web.pages.html("console/task.html", request, task=task, platform=platform, headers=headers)


@router.get("/{name}/crawls")
async def show_crawls(request: Request, session: Viewer, name: str, before: int | None = None) -> Response:
    """The whole history of pulls, page by page."""
    web, platform = web_of(request), await platform_of(request, name)
    rows = await sql.crawl_page(web.db, platform.id, before, 101)
    older = rows[99].id if len(rows) > 100 else None
    return web.pages.html("console/crawls.html", request, platform=platform, crawls=rows[:100], older=older)


async def _start(request: Request, platform: Platform, kind: Any, act: str, **arguments: Any) -> Response:
    try:
        await tasks.ask(web_of(request).registry, platform, kind, request.state.session.name, **arguments)
    except tasks.TaskRunning:
        error = RegistryError("Something is under way with this platform.", advice="Wait for its end; you can watch it below.")
        return await platform_page(request, platform, error=error, status=409)
    await note(request, act, platform.name, **arguments)
    return RedirectResponse(f"/console/platforms/{platform.name}#task", status_code=303)


@router.post("/{name}/register")
async def register(request: Request, session: Operator, name: str) -> Response:
    """Exchange credentials; with a new token A where one is given."""
    platform, token = await platform_of(request, name), request.state.form.get("token", "")
    if token:
        try:
            await handshake.replace_token_a(web_of(request).registry, name, token)
        except RegistryError as error:
            return await platform_page(request, platform, values={"token": token}, errors={"token": error.message}, status=422)
    force = platform.state in CONNECTED or platform.state in ("lost", "unregistered-by-peer")
    return await _start(request, platform, "register", "started registration", force=force)


@router.post("/{name}/rotate")
async def rotate(request: Request, session: Operator, name: str) -> Response:
    """New tokens on both sides; on demand also the highest version."""
    upgrade = request.state.form.get("upgrade") == "1"
    return await _start(request, await platform_of(request, name), "rotate", "started rotation", upgrade=upgrade)


@router.post("/{name}/pull")
async def pull(request: Request, session: Operator, name: str) -> Response:
    """Pull now; ``confirm`` lets the mass withdrawal of a pull (``crawl``) pass."""
    platform, form = await platform_of(request, name), request.state.form
    arguments = {"full": form.get("full") == "1", "confirm": form.get("confirm") == "1"}
    if arguments["confirm"] and not await _stands(request, platform, form.get("crawl", "")):
        return await _decided(request, platform)
    act = "confirmed withdrawals" if arguments["confirm"] else "started pull"
    return await _start(request, platform, "pull", act, **arguments)


async def _stands(request: Request, platform: Platform, crawl_id: str) -> bool:
    """Whether the withdrawals that a pull held back still wait for a decision."""
    return crawl_id in {str(held.crawl_id) for held in await sql.withheld(web_of(request).db, platform.id)}


async def _decided(request: Request, platform: Platform) -> Response:
    error = RegistryError("These withdrawals were decided meanwhile.", advice="What is below is how it is now; nothing was changed by you.")
    return await platform_page(request, platform, error=error, status=409)


@router.post("/{name}/unregister")
async def unregister(request: Request, session: Operator, name: str) -> Response:
    """End the registration."""
    return await _start(request, await platform_of(request, name), "unregister", "started unregistration")


@router.post("/{name}/withheld")
async def refuse_withdrawals(request: Request, session: Operator, name: str) -> Response:
    """Keep what a pull no longer had."""
    platform, form = await platform_of(request, name), request.state.form
    crawl_id = form.get("crawl", "")
    if not await _stands(request, platform, crawl_id):
        return await _decided(request, platform)
    if not await sql.refuse_withheld(web_of(request).db, platform.id, int(crawl_id), session.name):
        return await _decided(request, platform)
    await note(request, "refused withdrawals", name, pull=int(crawl_id))
    return RedirectResponse(f"/console/platforms/{name}", status_code=303)


@router.post("/{name}/pause")
async def pause(request: Request, session: Operator, name: str) -> Response:
    """Stop or resume the pulls."""
    await platform_of(request, name)
    paused = request.state.form.get("paused") == "1"
    await web_of(request).registry.set_paused(name, paused)
    await note(request, "paused" if paused else "resumed", name)
    return RedirectResponse(f"/console/platforms/{name}", status_code=303)


@router.post("/{name}/issue-token")
async def issue_token(request: Request, session: Operator, name: str) -> Response:
    """A token A for a registration that the CPO starts, shown this once."""
    platform = await platform_of(request, name)
    try:
        issued = await web_of(request).registry.issue_token(name)
    except RegistryError as error:
        return await platform_page(request, platform, error=error, status=409)
    await note(request, "issued token A", name)
    return await platform_page(request, platform, issued=issued)
