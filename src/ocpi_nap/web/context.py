"""What the pages share, given by the composition root."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from ocpi_nap.feed.datex2.common import DatexOptions
from ocpi_nap.feed.limits import Network
from ocpi_nap.registry import Registry
from ocpi_nap.store.accounts import ROLES
from ocpi_nap.store.database import Database
from ocpi_nap.web.pages import Pages


@dataclass(frozen=True)
class OidcOptions:
    """An OpenID Connect provider: where it is, who we are there, and which claim values give which role."""

    issuer: str
    client_id: str
    client_secret: str
    title: str = "Single sign-on"
    scope: str = "openid profile email"
    role_claim: str = "roles"
    roles: dict[str, frozenset[str]] = field(default_factory=lambda: {role: frozenset({role}) for role in ROLES})


@dataclass(frozen=True)
class SiteOptions:
    """What the settings decide about the pages."""

    public_url: str = "http://127.0.0.1:8000"
    site_name: str = "National Access Point"
    onboarding: bool = True
    publish_environments: tuple[str, ...] = ("production", "test")
    map_tiles: str = ""
    map_attribution: str = ""
    oidc: OidcOptions | None = None
    datex: DatexOptions = field(default_factory=DatexOptions)
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For says where a visitor comes from."""
    check_patience: float = 6.0
    """Seconds that the onboarding page gives a CPO's server to answer."""

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
