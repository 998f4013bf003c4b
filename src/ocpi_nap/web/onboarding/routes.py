"""`/onboarding`: the form, its checks while typing, and the page that shows what became of a request."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.store import accounts
from ocpi_nap.store import requests as sql
from ocpi_nap.web.console.guard import address_of
from ocpi_nap.web.context import Web, web_of
from ocpi_nap.web.forms import Refused, check_visitor, entries_of, read_form, visitor_token, with_visitor_token
from ocpi_nap.web.onboarding.probe import probe
from ocpi_nap.web.onboarding.questions import ENVIRONMENTS, MOST_OPERATORS, operator_rows, read_answers
from ocpi_nap.web.pages import request_language
from ocpi_nap.web.texts import translator


def _open(request: Request) -> None:
    if not web_of(request).options.onboarding:
        raise HTTPException(404)


router = APIRouter(prefix="/onboarding", dependencies=[Depends(_open)])

_A_DAY = 1440
_MOST_REQUESTS = 20
"""Requests a day from one address."""
_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"


def _page(request: Request, values: dict[str, str], errors: dict[str, str], kept: dict[str, str], *, status: int = 200,
          problem: str = "", focus: str = "", visitor: str = "") -> Response:  # fmt: skip
    token, web = visitor or visitor_token(request), web_of(request)
    text = translator(request_language(request))
    page = web.pages.html(
        "onboarding/form.html", request, status=status, values=values, errors={name: text(key) for name, key in errors.items()},
        kept=kept, rows=operator_rows(values), most=MOST_OPERATORS, token=token, problem=problem, focus=focus,
    )  # fmt: skip
    return with_visitor_token(request, page, token)


@router.get("")
async def form_page(request: Request) -> Response:
    """The empty form."""
    defaults = {"op0_country_code": web_of(request).registry.identity.country_code}
    return _page(request, {"country_code": defaults["op0_country_code"], **defaults}, {}, {})


def _tokens(web: Web, form: dict[str, str]) -> dict[str, str]:
    """The token of each environment: typed now, or kept in the form from an earlier try."""
    found = {}
    for name in ENVIRONMENTS:
        token = form.get(f"{name}_token", "") or _unkept(web, form.get("csrf", ""), form.get(f"{name}_kept", ""))
        if token:
            found[name] = token
    return found


def _kept(web: Web, visitor: str, token: str) -> str:
    """A token as the form carries it while other answers are mended: sealed, and of use in the same browser only."""
    return web.registry.vault.seal(f"{visitor} {token}").decode()


def _unkept(web: Web, visitor: str, kept: str) -> str:
    """The token again; empty for what is not ours or another browser's."""
    try:
        owner, _, token = web.registry.vault.unseal(kept.encode()).partition(" ") if kept else ("", "", "")
    except ValueError:
        return ""
    return token if owner == visitor else ""


@router.post("")
async def send(request: Request) -> Response:
    """Add an operator's row, show the page in another language, or check everything and keep the request."""
    form, web, visitor = await read_form(request), web_of(request), visitor_token(request)
    try:
        check_visitor(request, form)
    except Refused:
        if entries_of(request, form) is None:
            raise
        typed = {name: form[f"{name}_token"] for name in ENVIRONMENTS if form.get(f"{name}_token")}  # kept ones are another browser's
        kept = {name: _kept(web, visitor, token) for name, token in typed.items()}
        return _page(request, form, {}, kept, visitor=visitor, status=409, problem="apply.error.old")
    tokens = _tokens(web, form)
    kept = {name: _kept(web, visitor, token) for name, token in tokens.items()}
    if form.get("step") == "language":
        return _page(request, form, {}, kept)
    if form.get("step") == "add":
        form["rows"] = str(min(MOST_OPERATORS, operator_rows(form) + 1))
        return _page(request, form, {}, kept, focus=f"op{int(form['rows']) - 1}_country_code")
    answers = read_answers(form, tokens, allow_private=web.registry.allow_private)
    if answers.errors:
        return _page(request, form, answers.errors, kept, status=422, focus=next(iter(answers.errors)))
    key = f"request from {address_of(request)}"
    if await accounts.attempts(web.db, key, _A_DAY) >= _MOST_REQUESTS:
        return _page(request, form, {}, kept, status=429, problem="apply.error.many")
    await accounts.note_attempts(web.db, key)
    secret = secrets.token_urlsafe(32)
    sealed: list[bytes | None] = [
        web.registry.vault.seal(answers.tokens[name]) if name in answers.tokens else None for name in ENVIRONMENTS
    ]
    while True:
        reference = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(2))
        if await sql.add_request(web.db, reference, hash_token(secret), answers.company, answers.contact, answers.record, *sealed):
            break
    await accounts.note_act(web.db, answers.contact["email"], "asked to be connected", reference, address_of(request))
    return RedirectResponse(f"/onboarding/status/{secret}", status_code=303)


@router.post("/check")
async def check(request: Request) -> Response:
    """Try one environment while it is typed; the answer is a fragment."""
    form, web = await read_form(request), web_of(request)
    check_visitor(request, form)
    token = form.get("token", "") or _unkept(web, form["csrf"], form.get("kept", ""))
    verdict = await probe(web.registry, form.get("versions_url", ""), token, form.get("token_encoding", "auto"), address_of(request),
                          web.options.check_patience)  # fmt: skip
    return web.pages.html("onboarding/verdict.html", request, verdict=verdict)


@router.get("/status/{secret}")
async def status(request: Request, secret: str) -> Response:
    """What became of a request, for whoever has the link."""
    web = web_of(request)
    found = await sql.request_by_link(web.db, hash_token(secret))
    if found is None:
        raise HTTPException(404)
    states: list[Any] = [p for p in await web.registry.platforms() if p.name in found.platforms]
    headers = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
    link = f"{web.options.public_url.rstrip('/')}/onboarding/status/{secret}"
    return web.pages.html("onboarding/status.html", request, found=found, states=states, link=link, headers=headers)
