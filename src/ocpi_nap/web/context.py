"""What the pages share, given by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from ocpi_nap.registry import Registry
from ocpi_nap.store.database import Database
from ocpi_nap.web.pages import Pages


@dataclass(frozen=True)
class SiteOptions:
    """What the settings decide about the pages."""

    public_url: str = "http://127.0.0.1:8000"
    site_name: str = "National Access Point"
    onboarding: bool = True

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over https, so that cookies may say so."""
        return self.public_url.startswith("https:")


@dataclass(frozen=True)
class Web:
    """Everything the routes work with; `web_of(request)` gives it."""

    db: Database
    registry: Registry
    pages: Pages
    options: SiteOptions


def web_of(request: Request) -> Web:
    """The context of the application that serves the request."""
    web: Web = request.app.state.web
    return web
