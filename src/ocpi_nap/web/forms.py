"""Posted forms: their texts, the token that proves that a form came from a page of ours, and what becomes of one that comes too late."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ocpi_nap.web.context import web_of

_COOKIE = "form"
_LONGEST = 64 * 1024
_LONGEST_UPLOAD = 8 * 1024 * 1024


class Refused(HTTPException):
    """A POST that did not come from a page of ours, or from one that is too old."""

    def __init__(self) -> None:
        super().__init__(403, "error.form.old")


@dataclass(frozen=True, slots=True)
class Entries:
    """What somebody has filled in and sent too late: kept in a page from which it can be sent again."""

    action: str
    fields: dict[str, str]


class Outdated(Exception):
    """A form of ours whose token is no longer that of the session."""

    def __init__(self, entries: Entries) -> None:
        super().__init__(entries.action)
        self.entries = entries


_NOT_KEPT = frozenset({"csrf", "password", "new_password", "again", "off_password", "code"})


def entries_of(request: Request, form: dict[str, str]) -> Entries | None:
    """The entries of a form, without passwords; None when the browser does not say that a page of ours has sent it."""
    if request.headers.get("origin") is None and request.headers.get("sec-fetch-site") != "same-origin":
        return None
    action = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Entries(action, {name: value for name, value in form.items() if name not in _NOT_KEPT})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a form."""

    name: str
    data: bytes


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a POST, stripped, the last value of each name; refuses other sites' forms and bodies over 64 kB."""
    return (await _read(request, _LONGEST, files=0))[0]


async def read_upload(request: Request) -> tuple[dict[str, str], Upload | None]:
    """The same of a form with one file, None when none was chosen; refuses bodies over 8 MB."""
    return await _read(request, _LONGEST_UPLOAD, files=1)


async def _read(request: Request, longest: int, *, files: int) -> tuple[dict[str, str], Upload | None]:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refused
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > longest:
        raise HTTPException(413, "error.form.large")
    fields: dict[str, str] = {}
    upload = None
    async with request.form(max_fields=300, max_files=files) as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields[name] = value.strip()
            elif value.filename:
                upload = Upload(value.filename, await value.read())
    return fields, upload


def visitor_token(request: Request) -> str:
    """The form token of somebody who is not signed in: `with_visitor_token` puts it into a cookie, the page into its form."""
    return request.cookies.get(_COOKIE) or secrets.token_urlsafe(24)


def with_visitor_token(request: Request, response: Response, token: str) -> Response:
    """The response with the cookie that the token of its form must equal."""
    secure = web_of(request).options.secure
    response.set_cookie(_COOKIE, token, max_age=86_400, httponly=True, samesite="strict", secure=secure)
    return response


def check_visitor(request: Request, form: dict[str, str]) -> None:
    """Refuse a POST whose token is not that of the cookie."""
    token = request.cookies.get(_COOKIE, "")
    if not token or not compare_digest(token.encode(), form.get("csrf", "").encode()):
        raise Refused
