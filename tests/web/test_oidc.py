"""Signing in at a real OpenID Connect provider that runs in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import oidc_provider_mock
import pytest
from oidc_provider_mock import User

from ocpi_nap.web.console.oidc import role_of
from ocpi_nap.web.context import OidcOptions, SiteOptions
from tests.web.conftest import URL, Site

PEOPLE = [
    User(sub="s-aino", claims={"preferred_username": "aino", "realm_access": {"roles": ["nap-ops", "other"]}}),
    User(sub="s-eero", claims={"preferred_username": "eero", "realm_access": {"roles": ["other"]}}),
]


@pytest.fixture
def provider() -> Iterator[str]:
    """The issuer's URL."""
    with oidc_provider_mock.run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def options(provider: str) -> SiteOptions:
    roles = {"operator": frozenset({"nap-ops"}), "admin": frozenset({"nap-admins"})}
    oidc = OidcOptions(provider, "nap", "secret", "City account", role_claim="realm_access.roles", roles=roles)
    return SiteOptions(public_url=URL, oidc=oidc)


async def at_provider(site: Site, sub: str, **answer: str) -> str:
    """Start at our button, answer the provider's form; returns where it sends the browser back to."""
    start = await site.client.get("/console/oidc/start?next=/console/issues%3Fkind%3Drefused")
    assert start.status_code == 302
    asked = parse_qs(urlsplit(start.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["state"] and asked["nonce"]
    async with httpx2.AsyncClient() as browser:
        back = await browser.post(start.headers["location"], data={"sub": sub, **answer})
    assert back.status_code in (302, 303), back.text
    return str(back.headers["location"])


async def test_the_claim_gives_the_role(site: Site) -> None:
    assert "City account" in (await site.client.get("/console/sign-in")).text
    answer = await site.client.get(await at_provider(site, "s-aino"))
    assert answer.status_code == 303 and answer.headers["location"] == "/console/issues?kind=refused", answer.text
    page = (await site.client.get("/console/account")).text
    assert "aino" in page and "operator" in page and "OpenID Connect" in page
    assert ("aino", "signed in", "OpenID Connect") in await site.acts()


async def test_without_a_role_nobody_gets_in(site: Site) -> None:
    answer = await site.client.get(await at_provider(site, "s-eero"))
    assert answer.status_code == 403 and "no role" in answer.text
    assert (await site.client.get("/console/account")).status_code == 303


async def test_an_answer_for_another_browser_is_refused(site: Site) -> None:
    back = await at_provider(site, "s-aino")
    site.client.cookies.clear()
    assert (await site.client.get(back)).status_code == 403
    denied = await site.client.get(await at_provider(site, "s-aino", action="deny"))
    assert denied.status_code == 403
    assert (await site.client.get("/console/account")).status_code == 303


async def test_a_code_counts_once(site: Site) -> None:
    back = await at_provider(site, "s-aino")
    state = dict(site.client.cookies)
    assert (await site.client.get(back)).status_code == 303
    site.client.cookies.clear()
    site.client.cookies.update({"oidc": state["oidc"]})
    assert (await site.client.get(back)).status_code == 403


def test_roles() -> None:
    options = OidcOptions("https://id.example", "nap", "")
    assert role_of({"roles": ["viewer", "admin"]}, options) == "admin"
    assert role_of({"roles": "viewer"}, options) == "viewer"
    for claims in ({}, {"roles": None}, {"roles": []}, {"roles": [["admin"]]}, json.loads('{"roles": {"admin": 1}}')):
        assert role_of(claims, options) is None


class TestUnreachable:
    """The provider is down."""

    @pytest.fixture
    def options(self) -> SiteOptions:
        return SiteOptions(public_url=URL, oidc=OidcOptions("http://127.0.0.1:9", "nap", ""))

    async def test_it_says_so(self, site: Site) -> None:
        answer = await site.client.get("/console/oidc/start")
        assert answer.status_code == 502 and "does not answer" in answer.text
