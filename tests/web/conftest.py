"""The web application in this process, over a fresh database, with a client that keeps cookies as a browser does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.registry import Registry
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store.database import Database
from ocpi_nap.web.context import SiteOptions
from ocpi_nap.web.site import create_site

URL = "http://nap.example"


@dataclass
class Site:
    """The application, what it works on, and a browser's client."""

    app: FastAPI
    db: Database
    registry: Registry
    client: httpx.AsyncClient


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
    transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield Site(app, database, registry, client)
    await ocpi_client.close()
