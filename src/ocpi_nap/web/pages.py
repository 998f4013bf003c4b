"""Templates to HTML: one Jinja2 environment with autoescape, its filters, and the language of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from heroicons.jinja import heroicon_mini, heroicon_outline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ocpi_nap import __version__
from ocpi_nap.web.assets import Assets
from ocpi_nap.web.headers import content_policy
from ocpi_nap.web.texts import LANGUAGES, choose_language, translator

LANGUAGE_COOKIE = "lang"


class Pages:
    """Renders templates for requests."""

    def __init__(self, assets: Assets, *, site_name: str, onboarding: bool, secure: bool) -> None:
        self._secure = secure
        self.environment = Environment(
            loader=PackageLoader("ocpi_nap.web"), autoescape=select_autoescape(default=True), undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self.environment.globals |= {
            "asset": assets.url, "icon": _icon, "site_name": site_name, "program_version": __version__, "languages": LANGUAGES,
            "onboarding_open": onboarding,
        }  # fmt: skip
        self.environment.filters |= {"number": _number, "time": _time, "clock": _clock, "ago": _ago, "duration": _duration, "json": _json,
                                     "breaks": _breaks}  # fmt: skip

    def text(self, template: str, request: Request, **values: Any) -> str:
        """A template's text; it finds `request`, `lang`, `t` and `user` (None outside the console) besides ``values``."""
        language = request_language(request)
        known = {"request": request, "lang": language, "t": translator(language), "user": getattr(request.state, "user", None),
                 "session": getattr(request.state, "session", None)}  # fmt: skip
        return self.environment.get_template(template).render({**known, **values})

    def html(
        self, template: str, request: Request, *, status: int = 200, csp: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, **values: Any,
    ) -> HTMLResponse:  # fmt: skip
        """A page or fragment; ``csp`` gives further sources that this page needs (`headers.content_policy`)."""
        response = HTMLResponse(self.text(template, request, **values), status_code=status, headers=dict(headers or {}))
        response.headers["Content-Security-Policy"] = content_policy(csp)
        wanted = request.query_params.get("lang")
        if wanted in LANGUAGES and wanted != request.cookies.get(LANGUAGE_COOKIE):
            response.set_cookie(LANGUAGE_COOKIE, wanted, max_age=31_536_000, samesite="lax", httponly=True, secure=self._secure)
        return response


def request_language(request: Request) -> str:
    """`?lang=`, else the cookie of an earlier choice, else what the browser prefers."""
    return choose_language(
        request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")
    )


def _icon(name: str, size: int = 20, *, outline: bool = False) -> Markup:
    """An icon of Heroicons, hidden from screen readers: the text beside it says the same."""
    draw = heroicon_outline if outline else heroicon_mini
    return Markup(draw(name, size=size, **{"class": "icon", "aria-hidden": "true"}))


def _breaks(url: str) -> Markup:
    """A URL that breaks after a slash, where it has to."""
    return Markup("/<wbr>").join(escape(part) for part in url.split("/"))


def _json(value: Any) -> str:
    """Indented, for reading."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _number(value: int | float | None) -> str:
    """1234567 as "1 234 567", with thin spaces that do not break."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def _time(value: datetime | None, *, empty: str = "–") -> Markup:
    """A moment in UTC; the script shows it in the reader's zone."""
    if value is None:
        return Markup("{}").format(empty)
    text = value.astimezone(UTC)
    return Markup('<time datetime="{}" data-local>{} UTC</time>').format(text.isoformat(), text.strftime("%Y-%m-%d %H:%M:%S"))


def _clock(value: datetime) -> Markup:
    """The time of a moment of today."""
    text = value.astimezone(UTC)
    return Markup('<time datetime="{}" data-local="clock">{}</time>').format(text.isoformat(), text.strftime("%H:%M:%S"))


def _ago(value: datetime | None, *, empty: str = "never") -> Markup:
    """How long ago: "3 min ago", the moment itself in the title."""
    if value is None:
        return Markup('<span class="quiet">{}</span>').format(empty)
    moment = value.astimezone(UTC)
    seconds = (datetime.now(UTC) - moment).total_seconds()
    text = "in " + _duration(-seconds) if seconds < -1 else "now" if seconds < 5 else _duration(seconds) + " ago"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        moment.isoformat(), moment.strftime("%Y-%m-%d %H:%M:%S"), text
    )


def _duration(seconds: float | None) -> str:
    """Seconds in the largest unit that says enough: "< 0.1 s", "0.4 s", "42 s", "3 min", "5 h", "12 days"."""
    if seconds is None:
        return "–"
    if seconds < 0.1:
        return "< 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds // 86_400)} days"
