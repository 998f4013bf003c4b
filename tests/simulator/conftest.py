"""A NAP in this process, on real HTTP, and simulated platforms to onboard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ocpi_nap.cli.inside import served_inside
from ocpi_nap.intake.crawl import ModuleReport, pull
from ocpi_nap.ocpi.client import Peer
from ocpi_nap.registry import Registry, handshake, onboarding
from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform
from ocpi_nap.store.database import Database
from tests.interface import Ocpi

OPERATORS = (SimulatedOperator("ABC", "Abc", "https://abc.example"), SimulatedOperator("DEF", "Def", "https://def.example"))


def platform_spec(version: str, *faults: str, locations: int = 12, page_size: int = 5) -> PlatformSpec:
    """A small platform: two operators and tariffs from 2.2.1 on, tokens in the form of the version."""
    operators = OPERATORS[:1] if version == "2.1.1" else OPERATORS
    network = NetworkSpec(version, operators, locations, locations * 5 // 2, locations * 11 // 4, 0 if version == "2.1.1" else 6)
    encoding: Any = "raw" if version == "2.1.1" else "base64"
    return PlatformSpec("sim", network, "FI", "PLT", "sim-token-a", encoding, page_size=page_size, changes_per_second=0, faults=faults)


@dataclass
class Nap:
    """The receiving side and the acts of its staff."""

    ocpi: Ocpi
    registry: Registry
    db: Database

    async def add(self, platform: SimulatedPlatform, **settings: Any) -> None:
        spec = platform.spec
        record = onboarding.check(
            name="sim", versions_url=platform.versions_url, token=spec.token_a, party_id="PLT", country_code="FI",
            operators=[f"{o.id};{o.name};{o.url}" for o in spec.network.operators], settings=settings,
        )  # fmt: skip
        await self.registry.add(record)

    async def register(self) -> str:
        return (await handshake.register(self.registry, "sim")).state

    async def pull(self, *, full: bool = True) -> dict[str, ModuleReport]:
        platform = await self.registry.platform("sim")
        base = await self.registry.connected_peer(platform)

        def peer(party: tuple[str, str] | None) -> Peer:
            return self.registry.peer(platform, base.token, party=party)

        return await pull(self.db, self.registry.client, peer, platform, full=full)  # type: ignore[return-value]

    async def counts(self) -> dict[str, int]:
        """What we hold that was not withdrawn."""
        found = {}
        for name, table in (("locations", "location"), ("evses", "evse_state"), ("tariffs", "tariff")):
            row = await self.db.fetch_one(f"SELECT count(*) FROM {table} WHERE withdrawn_at IS NULL")
            found[name] = int(row[0]) if row else 0
        return found

    @asynccontextmanager
    async def platform(self, version: str, *faults: str) -> AsyncIterator[SimulatedPlatform]:
        async with SimulatedPlatform(platform_spec(version, *faults)) as platform:
            yield platform


@asynccontextmanager
async def on_http(ocpi: Ocpi) -> AsyncIterator[Nap]:
    """The interface on a port of its own."""
    served: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await served[0](scope, receive, send)

    async with served_inside(app) as port:
        url = f"http://127.0.0.1:{port}/ocpi"
        ocpi.registry.identity = replace(ocpi.registry.identity, versions_url=f"{url}/versions")
        served.append(ocpi.served_at(url))
        yield Nap(ocpi, ocpi.registry, ocpi.db)


@pytest.fixture
async def nap(ocpi: Ocpi) -> AsyncIterator[Nap]:
    async with on_http(ocpi) as made:
        yield made
