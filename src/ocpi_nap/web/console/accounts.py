"""The accounts of the console: who has one, with which role, and who is kept out. For admins."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import Account, Role
from ocpi_nap.web import passwords
from ocpi_nap.web.console.guard import Admin, note
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console")

_ROLES = [(role, role.capitalize()) for role in sql.ROLES]
_MEANING = "A viewer sees everything but the audit log, an operator also decides and changes, an admin also has the accounts."


@router.get("/accounts")
async def show_all(request: Request, session: Admin) -> Response:
    """The list."""
    web = web_of(request)
    return web.pages.html("console/accounts.html", request, rows=await sql.accounts(web.db))


@router.get("/new-account")
async def new(request: Request, session: Admin) -> Response:
    """The form for another one."""
    return _new_page(request, {"role": "viewer"}, {})


def _new_page(request: Request, values: dict[str, str], errors: dict[str, str]) -> Response:
    status = 422 if errors else 200
    return web_of(request).pages.html("console/new-account.html", request, status=status, values=values, errors=errors, roles=_ROLES,
                                    meaning=_MEANING)  # fmt: skip


@router.post("/new-account")
async def add(request: Request, session: Admin) -> Response:
    """Add an account; its password is made, and shown this once."""
    form, web = request.state.form, web_of(request)
    name, role = form.get("name", ""), form.get("role", "")
    errors = {} if sql.usable_name(name) else {"name": "1 to 100 visible characters are required."}
    if role not in sql.ROLES:
        errors["role"] = "One of the three is required."
    password = passwords.generate()
    if not errors and not await sql.add_account(web.db, name, role, passwords.hash_password(password)):
        errors["name"] = "There is an account of this name already."
    if errors:
        return _new_page(request, form, errors)
    await note(request, "added account", name, role=role)
    account = await sql.account_by_name(web.db, name)
    assert account is not None
    return _page(request, account, issued=password)


async def _account(request: Request, number: int) -> Account:
    account = await sql.account_by_id(web_of(request).db, number)
    if account is None:
        raise HTTPException(404)
    return account


def _page(
    request: Request, account: Account, *, values: dict[str, str] | None = None, conflict: bool = False, issued: str = "", done: str = "",
) -> Response:  # fmt: skip
    own = account.id == request.state.session.account_id
    held = {"role": account.role, "allowed": "" if account.disabled else "1"}
    return web_of(request).pages.html(
        "console/account-record.html", request, status=409 if conflict else 200, account=account, own=own, roles=_ROLES, meaning=_MEANING,
        values=held if values is None else values, conflict=conflict, issued=issued, done=done,
    )  # fmt: skip


@router.get("/accounts/{number}")
async def show(request: Request, session: Admin, number: int, done: str = "") -> Response:
    """One account."""
    return _page(request, await _account(request, number), done=done)


async def _others(request: Request, number: int) -> Account:
    """An account that is not one's own: so there is always an admin left."""
    account = await _account(request, number)
    if account.id == request.state.session.account_id:
        raise HTTPException(403, "Your own account is changed by another admin, or by the command ocpi-nap user.")
    return account


@router.post("/accounts/{number}")
async def change(request: Request, session: Admin, number: int) -> Response:
    """Another role, or to be kept out or let in again; unless somebody else changed that since the page was opened."""
    account, form = await _others(request, number), request.state.form
    role = account.role if account.subject else _role(form.get("role", ""))
    disabled = form.get("allowed") != "1"
    seen = replace(account, role=_role(form.get("seen_role", "")), disabled=form.get("seen_allowed") != "1")
    if not await sql.decide_account(web_of(request).db, seen, role, disabled):
        return _page(request, await _account(request, number), values=form, conflict=True)
    if role != seen.role:
        await note(request, "changed role", account.name, role=role)
    if disabled != seen.disabled:
        await note(request, "disabled account" if disabled else "enabled account", account.name)
    return RedirectResponse(f"/console/accounts/{number}?done=saved", status_code=303)


def _role(text: str) -> Role:
    for role in sql.ROLES:
        if text == role:
            return role
    raise HTTPException(422, "There is no such role.")


@router.post("/accounts/{number}/password")
async def give_password(request: Request, session: Admin, number: int) -> Response:
    """A new password, shown this once; sessions end and the second factor is taken off."""
    account, new = await _others(request, number), passwords.generate()
    if account.subject:
        raise HTTPException(409, "This account signs in with OpenID Connect and has no password.")
    values = {"password_hash": passwords.hash_password(new), "totp_secret": None}
    await sql.change_account(web_of(request).db, account.id, values, end_sessions=True)
    await note(request, "gave a new password", account.name)
    return _page(request, await _account(request, number), issued=new)
