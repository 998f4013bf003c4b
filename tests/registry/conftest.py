"""The NAP on real HTTP with simulated platforms to register, and a platform whose answers are given one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocpi_nap.registry import onboarding
from ocpi_nap.store.database import Database
from tests.interface import Ocpi
from tests.registry.stage import Stage, staged
from tests.simulator.conftest import nap as nap


@pytest.fixture
async def stage(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The peer offers the test's ``version``, where it has one."""
    versions = [request.getfixturevalue("version")] if "version" in request.fixturenames else []
    async with staged(database, tmp_path, *versions) as made:
        yield made


@pytest.fixture
async def cpo(ocpi: Ocpi, version: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A platform that will register itself: added to the interface's registry."""
    async with staged(ocpi.db, tmp_path, version) as made:
        made.registry = ocpi.registry
        record = onboarding.check(name="acme", versions_url=f"{made.peer.url}/versions", token=None, party_id="PLT", country_code="FI",
                                  operators=["FI*ABC;Abc"])  # fmt: skip
        await ocpi.registry.add(record)
        yield made
