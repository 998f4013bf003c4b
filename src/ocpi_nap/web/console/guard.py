"""Who is signed in, what they may do, and the note of what they did."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.feed.limits import client_address
from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import Account, Role, Session
from ocpi_nap.web.context import web_of
from ocpi_nap.web.forms import Entries, Outdated, Refused, Upload, entries_of, read_form, read_upload

HOME = "/console/platforms"
SIGN_IN = "/console/sign-in"


class SignInNeeded(Exception):
    """Nobody is signed in; the site sends the browser to the sign-in page, or keeps what was filled in meanwhile."""

    def __init__(self, entries: Entries | None = None) -> None:
        super().__init__()
        self.entries = entries


class Forbidden(HTTPException):
    """The account's role does not allow it."""

    def __init__(self, role: Role) -> None:
        super().__init__(403, f"This needs the role {role}.")


def _cookie(request: Request) -> str:
    return "__Host-session" if web_of(request).options.secure else "session"


def address_of(request: Request) -> str:
    """Where a request comes from: behind a trusted proxy, what that says."""
    found = client_address(request.scope, web_of(request).options.trusted_proxies)
    return str(found) if found else "unknown"


async def current(request: Request) -> Session | None:
    """The session of the request's cookie."""
    value = request.cookies.get(_cookie(request))
    return await sql.find_session(web_of(request).db, hash_token(value)) if value else None


async def begin(request: Request, account: Account, stage: str, target: str) -> Response:
    """Sign in (or await the second factor): a new session, the browser sent on with its cookie."""
    value, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    await sql.add_session(web_of(request).db, hash_token(value), csrf, account.id, stage, address_of(request))
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(_cookie(request), value, httponly=True, samesite="lax", secure=web_of(request).options.secure, path="/")
    return response


async def end(request: Request, session: Session) -> Response:
    """Sign out."""
    await sql.end_session(web_of(request).db, session.hash)
    response = RedirectResponse(SIGN_IN, status_code=303)
    response.delete_cookie(_cookie(request), httponly=True, samesite="lax", secure=web_of(request).options.secure, path="/")
    return response


def require(role: Role, *, upload: bool = False) -> Callable[[Request], Awaitable[Session]]:
    """A dependency: the session of an account that has the role; a POST must carry the session's form token. ``upload``: its form
    may bring a file, ``request.state.upload``."""

    async def read(request: Request) -> tuple[dict[str, str], Upload | None]:
        return await read_upload(request) if upload else (await read_form(request), None)

    async def check(request: Request) -> Session:
        session = await current(request)
        if session is None or session.stage != "full":
            kept = request.method == "POST" and not upload  # a file has to be chosen again anyway
            raise SignInNeeded(entries_of(request, await read_form(request)) if kept else None)
        request.state.session = session
        if not session.may(role):
            raise Forbidden(role)
        if request.method == "POST":
            request.state.form, request.state.upload = await read(request)
            if not compare_digest(session.csrf.encode(), request.state.form.get("csrf", "").encode()):
                entries = entries_of(request, request.state.form)
                raise Outdated(entries) if entries else Refused
        return session

    return check


Viewer = Annotated[Session, Depends(require("viewer"))]
Operator = Annotated[Session, Depends(require("operator"))]
Admin = Annotated[Session, Depends(require("admin"))]
Uploader = Annotated[Session, Depends(require("operator", upload=True))]


async def note(request: Request, act: str, what: str, **details: Any) -> None:
    """Append what the signed-in account did to the audit log."""
    session: Session = request.state.session
    await sql.note_act(web_of(request).db, session.name, act, what, address_of(request), details)


def safe_target(target: str | None) -> str:
    """Where to go after the sign-in: a page of the console, whatever the address says."""
    return target if target and target.startswith("/console/") and "\\" not in target and "//" not in target else HOME


def sign_in_redirect(request: Request) -> Response:
    """To the sign-in page and back; a fragment only learns that it is over."""
    if request.headers.get("x-fragment"):
        return Response(status_code=401)
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET" or target.rstrip("/") == "/console":
        target = HOME
    return RedirectResponse(f"{SIGN_IN}?next={quote(target)}", status_code=303)
