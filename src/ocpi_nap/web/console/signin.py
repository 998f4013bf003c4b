"""Signing in with a password, with a second factor where the account has one, and signing out."""

from __future__ import annotations

import time
from urllib.parse import quote

import pyotp
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.store import accounts as sql
from ocpi_nap.web import passwords
from ocpi_nap.web.console.guard import SIGN_IN, Viewer, address_of, begin, current, end, note, safe_target
from ocpi_nap.web.context import web_of
from ocpi_nap.web.forms import check_visitor, read_form, visitor_token, with_visitor_token

router = APIRouter(prefix="/console")

_MINUTES = 15
_LIMITS = {"pair": 5, "address": 30, "name": 50}
"""Wrong passwords in 15 minutes: of a name from one address, of one address, of a name from anywhere."""


def _keys(request: Request, name: str) -> dict[str, str]:
    address, name = address_of(request), name.lower()[:100]
    return {"pair": f"sign-in {name} {address}", "address": f"sign-in from {address}", "name": f"sign-in of {name}"}


async def throttled(request: Request, name: str) -> bool:
    """Whether too many wrong passwords or codes came lately."""
    db = web_of(request).db
    for kind, key in _keys(request, name).items():
        if await sql.attempts(db, key, _MINUTES) >= _LIMITS[kind]:
            return True
    return False


async def _page(request: Request, *, status: int = 200, name: str = "", error: str = "", target: str = "") -> Response:
    token, web = visitor_token(request), web_of(request)
    nobody = web.options.oidc is None and not await sql.any_account(web.db)
    page = web.pages.html("console/sign-in.html", request, status=status, name=name, error=error, target=target, token=token,
                          oidc=web.options.oidc, nobody=nobody)  # fmt: skip
    return with_visitor_token(request, page, token)


def _code_page(request: Request, *, status: int = 200, error: str = "", target: str = "") -> Response:
    errors = {"code": error} if error else {}
    return web_of(request).pages.html("console/code.html", request, status=status, errors=errors, target=target)


@router.get("/sign-in")
async def sign_in_page(request: Request, next: str = "") -> Response:
    """The form; whoever is signed in already goes on."""
    session = await current(request)
    if session is not None:
        return RedirectResponse(safe_target(next) if session.stage == "full" else _code_address(next), status_code=303)
    return await _page(request, target=next)


def _code_address(target: str) -> str:
    return f"{SIGN_IN}/code?next={quote(safe_target(target))}"


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Check name and password."""
    form = await read_form(request)
    check_visitor(request, form)
    web, name, target = web_of(request), form.get("name", ""), form.get("next", "")
    if await throttled(request, name):
        return await _page(request, status=429, name=name, error=f"Too many attempts. Try again in {_MINUTES} minutes.", target=target)
    account = await sql.account_by_name(web.db, name)
    usable = account if account is not None and not account.disabled else None
    right = await passwords.matches(usable.password_hash if usable else None, form.get("password", ""))
    if usable is None or not right:
        await sql.note_attempts(web.db, *_keys(request, name).values())
        await sql.note_act(web.db, name or "–", "sign-in refused", "wrong name or password", address_of(request))
        return await _page(request, status=403, name=name, error="Name or password is wrong.", target=target)
    if usable.totp_secret is not None:
        return await begin(request, usable, "code", _code_address(target))
    await sql.note_act(web.db, usable.name, "signed in", "password", address_of(request))
    return await begin(request, usable, "full", safe_target(target))


@router.get("/sign-in/code")
async def code_page(request: Request, next: str = "") -> Response:
    """The form for the one-time code."""
    session = await current(request)
    if session is None or session.stage != "code":
        return RedirectResponse(SIGN_IN, status_code=303)
    request.state.session = session
    return _code_page(request, target=next)


@router.post("/sign-in/code")
async def sign_in_code(request: Request) -> Response:
    """Check the one-time code."""
    form, web, session = await read_form(request), web_of(request), await current(request)
    if session is None or session.stage != "code" or form.get("csrf") != session.csrf:
        return RedirectResponse(SIGN_IN, status_code=303)
    request.state.session, target = session, form.get("next", "")
    if await throttled(request, session.name):
        return _code_page(request, status=429, error=f"Too many attempts. Try again in {_MINUTES} minutes.", target=target)
    account = await sql.account_by_id(web.db, session.account_id)
    assert account is not None
    counter = code_counter(web.registry.vault.unseal(account.totp_secret), form.get("code", "")) if account.totp_secret else None
    if counter is None or not await sql.use_code(web.db, account.id, counter):
        await sql.note_attempts(web.db, *_keys(request, session.name).values())
        await sql.note_act(web.db, account.name, "sign-in refused", "wrong one-time code", address_of(request))
        return _code_page(request, status=403, error="The code is wrong or was used already.", target=target)
    await sql.end_session(web.db, session.hash)
    await sql.note_act(web.db, account.name, "signed in", "password and one-time code", address_of(request))
    return await begin(request, account, "full", safe_target(target))


def code_counter(secret: str, code: str) -> int | None:
    """The 30-second step that a code belongs to, now or one step to either side; None for a wrong code."""
    code = code.replace(" ", "")
    now = int(time.time()) // 30
    if len(code) != 6 or not code.isascii() or not code.isdigit():
        return None
    generator = pyotp.HOTP(secret)
    return next((step for step in (now, now - 1, now + 1) if generator.verify(code, step)), None)


@router.post("/sign-out")
async def sign_out(request: Request, session: Viewer) -> Response:
    """End this session."""
    await note(request, "signed out", "")
    return await end(request, session)
