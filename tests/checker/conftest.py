"""The checker in this process, and simulated platforms to check, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from ocpi_nap.checker.run import check
from ocpi_nap.checker.state import Options, Run
from ocpi_nap.cli.inside import served_inside
from ocpi_nap.model.platform import Operator
from ocpi_nap.registry.onboarding import parse_settings
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform
from tests.simulator import conftest as simulator


def platform_spec(version: str, *faults: str) -> PlatformSpec:
    """The simulator's small platform, with all of its objects on one page."""
    return simulator.platform_spec(version, *faults, page_size=250)


@asynccontextmanager
async def host(app: Any) -> AsyncIterator[str]:
    async with served_inside(app) as port:
        yield f"http://127.0.0.1:{port}"


async def no_wait(seconds: float) -> None:
    """Instead of waiting."""


def options(platform: SimulatedPlatform, *, settings: dict[str, Any] | None = None, **more: Any) -> Options:
    """What a NAP's staff would type for the platform."""
    operators = tuple(
        Operator(country_code=o.country_code, party_id=o.party_id, name=o.name, url=o.url) for o in platform.spec.network.operators
    )
    given: dict[str, Any] = {"token": platform.spec.token_a, "party": ("FI", "PLT"), "operators": operators, "slow_after": 1000.0}
    return Options(versions_url=platform.versions_url, settings=parse_settings(settings or {}), **{**given, **more})


async def checked(
    platform: SimulatedPlatform, *, settings: dict[str, Any] | None = None,
    wait: Callable[[float], Awaitable[None]] = no_wait, **more: Any,
) -> Run:  # fmt: skip
    """One check, without waiting."""
    return await check(options(platform, settings=settings, **more), host, sleep=no_wait, wait=wait)


def names(run: Run, *severities: str) -> set[str]:
    """The findings, of these severities or of all."""
    return {found.check.id for found in run.findings if not severities or found.severity in severities}


def open_to_checks(platform: SimulatedPlatform) -> str:
    """A token C as if we were registered, so that objects can be checked without the exchange."""
    platform.state.token_c = "sim-token-c"
    return platform.state.token_c
