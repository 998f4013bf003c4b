"""The web application in this process, over a fresh database, with a client that keeps cookies as a browser does."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.registry import Registry
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import Role
from ocpi_nap.store.database import Database
from ocpi_nap.web import passwords
from ocpi_nap.web.context import SiteOptions
from ocpi_nap.web.site import create_site
from tests.interface import Ocpi
from tests.web.mapping import Cpo, evse, place

URL = "http://nap.example"
PASSWORD = "correct horse battery"
QUICK = passwords.hash_password(PASSWORD)


@dataclass
class Site:
    """The application, what it works on, and a browser's client."""

    app: FastAPI
    db: Database
    registry: Registry
    client: httpx2.AsyncClient

    async def form(self, page: str, action: str, **values: str) -> httpx2.Response:
        """Open a page and send its form with this action, the hidden fields as they are there."""
        return await self.send((await self.client.get(page)).text, action, page, **values)

    async def send(self, text: str, action: str, page: str = "the page", **values: str) -> httpx2.Response:
        """Send a form of a page that was read before, as a browser does."""
        found = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', text, re.DOTALL)
        assert found is not None, f"{page} has no form for {action}: {text[:2000]}"
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', found[0]))
        data = {**{name: html.unescape(value) for name, value in hidden.items()}, **values}
        return await self.client.post(action, data=data, headers={"origin": URL})

    async def sign_in(self, role: Role = "admin", name: str = "") -> str:
        """Make an account and sign in; returns the name."""
        name = name or f"the {role}"
        await sql.add_account(self.db, name, role, QUICK)
        answer = await self.form("/console/sign-in", "/console/sign-in", name=name, password=PASSWORD)
        assert answer.status_code == 303, answer.text
        return name

    async def acts(self) -> list[tuple[str, str, str]]:
        """Who did what to what, in order."""
        return [(row[2], row[3], row[4]) for row in reversed(await sql.audit_page(self.db, None, None, 100))]


@pytest.fixture
def options() -> SiteOptions:
    """What `site` is made with; a test module may override it."""
    return SiteOptions(public_url=URL, site_name="Test NAP")


@pytest.fixture
async def site(database: Database, tmp_path: Path, options: SiteOptions) -> AsyncIterator[Site]:
    """The site over a fresh database."""
    ocpi_client = await OcpiClient.open()
    identity = OwnIdentity(f"{URL}/ocpi/versions", "FI", "NAP", {"name": "Nap"})
    registry = Registry(database, Vault.open(tmp_path), ocpi_client, identity, allow_private=True)
    app = create_site(database, registry, options)
    transport = httpx2.ASGITransport(app, client=("192.0.2.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
        yield Site(app, database, registry, client)
    await ocpi_client.close()


@pytest.fixture
async def cpo(ocpi: Ocpi) -> Cpo:
    """The platform of FI*ABC."""
    return Cpo(ocpi, await ocpi.platform("2.2.1"))


@pytest.fixture
async def network(cpo: Cpo) -> Cpo:
    """Two locations in Helsinki, one in Äänekoski."""
    await cpo.put(place("L1", evse(1), evse(2, "CHARGING", ("IEC_62196_T2_COMBO", 150_000), ("CHADEMO", 50_000))))
    await cpo.put(place("L2", evse(3, "OUTOFORDER")))
    await cpo.put(place("L3", evse(4, "CHARGING"), evse(5, "REMOVED")))
    return cpo
