"""One's own account: password, second factor, other sessions."""

from __future__ import annotations

import pyotp
import segno
from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import Account, Session
from ocpi_nap.web import passwords
from ocpi_nap.web.console.guard import Viewer, note
from ocpi_nap.web.console.signin import code_counter
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console/account")


async def _account(request: Request, session: Session) -> Account:
    account = await sql.account_by_id(web_of(request).db, session.account_id)
    assert account is not None
    return account


async def _page(request: Request, session: Session, *, errors: dict[str, str] | None = None, secret: str = "", done: str = "") -> Response:
    account = await _account(request, session)
    web = web_of(request)
    picture = ""
    if secret:
        uri = pyotp.TOTP(secret).provisioning_uri(name=account.name, issuer_name=web.options.site_name)
        picture = Markup(segno.make(uri, error="m").svg_inline(scale=4, border=3, dark="#000", light="#fff"))
    status = 422 if errors else 200
    return web.pages.html("console/account.html", request, status=status, account=account, errors=errors or {}, secret=secret,
                          picture=picture, done=done)  # fmt: skip


@router.get("")
async def show(request: Request, session: Viewer, done: str = "") -> Response:
    """The page."""
    return await _page(request, session, done=done)


@router.post("/password")
async def change_password(request: Request, session: Viewer) -> Response:
    """A new password; the old one is asked for, other sessions end."""
    form, web, account = request.state.form, web_of(request), await _account(request, session)
    errors = {}
    if not await passwords.matches(account.password_hash, form.get("password", "")):
        errors["password"] = "This is not your password."
    weak = passwords.problem(form.get("new_password", ""))
    if weak:
        errors["new_password"] = weak
    elif form.get("new_password") != form.get("again"):
        errors["again"] = "The two differ."
    if errors:
        return await _page(request, session, errors=errors)
    await sql.change_account(web.db, account.id, {"password_hash": passwords.hash_password(form["new_password"])}, end_sessions=False)
    await sql.end_other_sessions(web.db, account.id, session.hash)
    await note(request, "changed password", account.name)
    return RedirectResponse("/console/account?done=password", status_code=303)


@router.post("/code/new")
async def new_code(request: Request, session: Viewer) -> Response:
    """Show a fresh secret; it counts once a code from it was given."""
    return await _page(request, session, secret=pyotp.random_base32())


@router.post("/code")
async def turn_code_on(request: Request, session: Viewer) -> Response:
    """Turn the second factor on, proven by a code."""
    form, web = request.state.form, web_of(request)
    secret = form.get("secret", "")
    usable = len(secret) == 32 and secret.isascii() and secret.isalnum()
    if not usable or code_counter(secret, form.get("code", "")) is None:
        return await _page(request, session, errors={"code": "The code is wrong: wait for the next one."}, secret=secret if usable else "")
    values = {"totp_secret": web.registry.vault.seal(secret), "totp_counter": 0}
    await sql.change_account(web.db, session.account_id, values, end_sessions=False)
    await sql.end_other_sessions(web.db, session.account_id, session.hash)
    await note(request, "turned second factor on", session.name)
    return RedirectResponse("/console/account?done=code", status_code=303)


@router.post("/code/off")
async def turn_code_off(request: Request, session: Viewer) -> Response:
    """Turn the second factor off; the password is asked for."""
    account = await _account(request, session)
    if not await passwords.matches(account.password_hash, request.state.form.get("off_password", "")):
        return await _page(request, session, errors={"off_password": "This is not your password."})
    await sql.change_account(web_of(request).db, session.account_id, {"totp_secret": None}, end_sessions=False)
    await note(request, "turned second factor off", session.name)
    return RedirectResponse("/console/account?done=code-off", status_code=303)
