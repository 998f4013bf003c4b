"""Signing in with OpenID Connect: the role from a claim, the account made at the first sign-in.

`provider`, which holds the library, is imported when somebody signs in so: a NAP without a provider starts without it.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import ROLES, Role
from ocpi_nap.web.console.guard import HOME, SIGN_IN, address_of, begin, safe_target
from ocpi_nap.web.context import OidcOptions, web_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/console/oidc")

_COOKIE = "oidc"
_LONGEST_TARGET = 1000
_PATIENCE = 600
"""Seconds for signing in at the provider."""
_SILENT = "The sign-in service does not answer. Try again later or sign in with a password."


def _options(request: Request) -> OidcOptions:
    options = web_of(request).options.oidc
    if options is None:
        raise HTTPException(404)
    return options


@router.get("/start")
async def start(request: Request, next: str = "") -> Response:
    """Send the browser to the provider; state, nonce, code verifier and where to go afterwards wait in a sealed cookie."""
    from ocpi_nap.web.console import provider

    web, options = web_of(request), _options(request)
    request.scope["session"] = {}
    try:
        response = await provider.redirect(request, options, _callback(request))
    except provider.Silent as error:
        log.warning("the OpenID Connect provider does not answer: %s", error)
        return _failed(request, _SILENT, status=502)
    target = safe_target(next) if len(next) <= _LONGEST_TARGET else HOME
    state = json.dumps({"at": time.time(), "session": request.scope["session"], "next": target})
    sealed = web.registry.vault.seal(state).decode()
    response.set_cookie(_COOKIE, sealed, max_age=_PATIENCE, httponly=True, samesite="lax", secure=web.options.secure, path="/console/oidc")
    return response


@router.get("/callback")
async def callback(request: Request) -> Response:
    """Take the code, check the ID token, and sign in with the role that its claim gives."""
    from ocpi_nap.web.console import provider

    web, options = web_of(request), _options(request)
    request.scope["session"], target = _opened(request)
    try:
        claims = await provider.claims(request, options)
    except provider.Unconfirmed as error:
        log.info("a sign-in at the OpenID Connect provider failed: %s", error)
        return _failed(request, "The sign-in service did not confirm who you are. Try again.")
    except provider.Silent as error:
        log.warning("the OpenID Connect provider does not answer: %s", error)
        return _failed(request, _SILENT, status=502)
    subject = str(claims.get("sub") or "")
    name = str(claims.get("preferred_username") or claims.get("email") or subject)[:100]
    role = role_of(claims, options)
    if not subject or role is None:
        await sql.note_act(web.db, name or "–", "sign-in refused", "no role in the claims", address_of(request))
        return _failed(request, "Your account at the sign-in service has no role in this console. Ask its administrator.")
    account = await sql.account_of_subject(web.db, f"{options.issuer} {subject}", name, role)
    if account.disabled:
        await sql.note_act(web.db, account.name, "sign-in refused", "the account is disabled", address_of(request))
        return _failed(request, "This account is disabled.")
    await sql.note_act(web.db, account.name, "signed in", "OpenID Connect", address_of(request), {"role": role})
    response = await begin(request, account, "full", target)
    response.delete_cookie(_COOKIE, path="/console/oidc", httponly=True, samesite="lax", secure=web.options.secure)
    return response


def _callback(request: Request) -> str:
    return web_of(request).options.public_url.rstrip("/") + "/console/oidc/callback"


def _opened(request: Request) -> tuple[dict[str, Any], str]:
    """What `start` put into the cookie, the session and where to go; an empty session when it is not ours or too old."""
    try:
        state = json.loads(web_of(request).registry.vault.unseal(request.cookies.get(_COOKIE, "").encode()))
        return (dict(state["session"]), safe_target(state["next"])) if time.time() - state["at"] < _PATIENCE else ({}, HOME)
    except (ValueError, KeyError, TypeError):
        return {}, HOME


def _failed(request: Request, text: str, status: int = 403) -> Response:
    page = web_of(request).pages.html("console/oidc-failed.html", request, status=status, message=text, sign_in=SIGN_IN)
    page.delete_cookie(_COOKIE, path="/console/oidc")
    return page


def role_of(claims: dict[str, Any], options: OidcOptions) -> Role | None:
    """The highest role that the claim's values stand for; the claim may lie deeper (``realm_access.roles``)."""
    value: Any = claims
    for part in options.role_claim.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    given = {str(item) for item in (value if isinstance(value, list) else [value]) if item is not None}
    return next((role for role in reversed(ROLES) if given & options.roles.get(role, frozenset())), None)


