"""Requests of CPOs: review, approve into platforms, refuse with a reason."""

from __future__ import annotations

import re

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.registry import RegistryError, onboarding
from ocpi_nap.registry.onboarding import OnboardingRecord
from ocpi_nap.store import requests as sql
from ocpi_nap.store.requests import OnboardingRequest
from ocpi_nap.web.console.guard import Operator, Viewer, note
from ocpi_nap.web.console.records import plain
from ocpi_nap.web.context import Web, web_of

router = APIRouter(prefix="/console/requests")
_PAGE = 50


@router.get("")
async def show_all(request: Request, session: Viewer, state: str = "open", before: int | None = None) -> Response:
    """Requests in a state, the newest first."""
    web = web_of(request)
    rows = await sql.request_page(web.db, state if state in ("open", "approved", "refused") else "open", before, _PAGE + 1)
    older = rows[_PAGE - 1].id if len(rows) > _PAGE else None
    return web.pages.html("console/requests.html", request, rows=rows[:_PAGE], state=state, older=older)


async def _request_of(request: Request, request_id: int) -> OnboardingRequest:
    found = await sql.request_by_id(web_of(request).db, request_id)
    if found is None:
        raise HTTPException(404)
    return found


def _names(found: OnboardingRequest) -> dict[str, str]:
    """Names for the platforms that it would become."""
    plain = re.sub(r"[^a-z0-9]+", "-", found.company.lower()).strip("-")[:40] or "cpo"
    return {f"name_{environment}": f"{plain}-{environment}" for environment in found.record["environments"]}


def _page(request: Request, found: OnboardingRequest, values: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    return web_of(request).pages.html("console/request.html", request, status=status, found=found, values=values, errors=errors)


@router.get("/{request_id}")
async def show(request: Request, session: Viewer, request_id: int) -> Response:
    """One request."""
    found = await _request_of(request, request_id)
    return _page(request, found, _names(found), {})


@router.post("/{request_id}/refuse")
async def refuse(request: Request, session: Operator, request_id: int) -> Response:
    """Refuse it; the reason stands on the CPO's status page."""
    found, form = await _request_of(request, request_id), request.state.form
    reason = form.get("reason", "")[:2000]
    if not reason:
        return _page(request, found, {**_names(found), **form}, {"reason": "The CPO reads why: a reason is required."}, 422)
    if not await sql.decide(web_of(request).db, request_id, "refused", session.name, reason):
        return await _too_late(request, request_id)
    await sql.finish(web_of(request).db, request_id, [])
    await note(request, "refused request", found.reference, company=found.company)
    return RedirectResponse(f"/console/requests/{request_id}", status_code=303)


async def _too_late(request: Request, request_id: int) -> Response:
    found = await _request_of(request, request_id)
    return _page(request, found, {}, {"decided": f"{found.decided_by} was faster: the request is {found.state}."}, 409)


@router.post("/{request_id}/approve")
async def approve(request: Request, session: Operator, request_id: int) -> Response:
    """Make it platforms, all or none."""
    web, found, form = web_of(request), await _request_of(request, request_id), request.state.form
    if found.state != "open":
        return await _too_late(request, request_id)
    records: list[OnboardingRecord] = []
    errors: dict[str, str] = {}
    for environment in found.record["environments"]:
        try:
            records.append(_record(web, found, environment, form.get(f"name_{environment}", "")))
        except RegistryError as error:
            errors[f"name_{environment}"] = plain(error.message)
    if errors:
        return _page(request, found, form, errors, 422)
    if not await sql.decide(web.db, request_id, "approved", session.name, None):
        return await _too_late(request, request_id)
    made: list[str] = []
    for record in records:
        try:
            await web.registry.add(record)
            made.append(record.name)
        except RegistryError as error:
            for name in made:
                await web.registry.remove(name)
            await sql.reopen(web.db, request_id)
            return _page(request, found, form, {f"name_{record.environment}": plain(error.message)}, 422)
    await sql.finish(web.db, request_id, made)
    await note(request, "approved request", found.reference, company=found.company, platforms=", ".join(made))
    return RedirectResponse(f"/console/requests/{request_id}", status_code=303)


def _record(web: Web, found: OnboardingRequest, environment: str, name: str) -> OnboardingRecord:
    answers, place = found.record, found.record["environments"][environment]
    sealed = found.token(environment)
    return onboarding.check(
        name=name, versions_url=place["versions_url"], token=web.registry.vault.unseal(sealed) if sealed else None,
        token_encoding=place["token_encoding"], party_id=answers["party_id"], country_code=answers["country_code"],
        operators=answers["operators"], environment=environment,
    )  # fmt: skip
