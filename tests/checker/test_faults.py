"""The checker tells every fault that a simulated platform can be given by its name, and a healthy platform nothing to mend."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from ocpi_nap.checker.checks import CHECKS
from ocpi_nap.checker.verdict import judge
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.simulator.faults import FAULTS, Fault, protocol
from ocpi_nap.simulator.platform import SimulatedPlatform
from tests.checker.conftest import checked, names, open_to_checks, platform_spec
from tests.versions import each

ALWAYS = {"not-https", "green-energy-missing", "prices-not-collected", "helpdesk-missing"}
"""Notes that every simulated platform on this machine gets."""
UNLISTED = {"list-failed", "tariffs-unread"}
ALSO = {
    "api-key": {"errors-not-ocpi"},
    "bad-objects": {"core-missing", "evses-missing", "foreign-objects", "hours-missing", "last-updated-missing", "name-missing",
                    "operator-missing", "paging-ignored", "postal-code-missing", "publish-missing", "required-missing", "text-as-number",
                    "unknown-members", "wrong-type"},
    "codes-as-text": {"envelope-timestamp"},
    "empty-texts": {"name-missing"},
    "end-is-404": {"link-missing", "total-missing"},
    "end-is-416": {"link-missing", "total-missing"},
    "enums-unknown": {"power-missing"},
    "evse-ids-twice": {"evse-id-party"},
    "evses-missing": {"nulls"},
    "long-party-ids": {"operators-differ"},
    "maintenance": UNLISTED,
    "nan": UNLISTED,
    "object-twice": {"location-time-not-raised"},
    "our-party": {"operators-differ"},
    "paging-ignored": {"total-missing"},
    "paging-in-body": {"tariffs-unread"},
    "per-operator": {"paging-ignored"},
    "removed-bare": {"nulls"},
    "required-missing": {"postal-code-missing"},
    "restrictions-in-list": {"nulls"},
    "total-too-high": {"tariffs-unread"},
    "versions-refuse-token": {"errors-not-ocpi"},
    "wrong-token-accepted": {"no-token-accepted"},
}  # fmt: skip
"""What else the simulated form of a fault shows, and rightly so."""

CASES = [pytest.param(fault, version, id=f"{fault.name}-{version}") for fault in FAULTS.values() for version in fault.versions]


def test_every_fault_has_a_check() -> None:
    assert {fault.finding for fault in FAULTS.values()} <= set(CHECKS)


@pytest.mark.parametrize(("fault", "version"), CASES)
async def test_fault_is_told(fault: Fault, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, with a request that shows it, and nothing that is not there."""
    monkeypatch.setattr(protocol, "SLOW_SECONDS", 0.2)
    async with SimulatedPlatform(platform_spec(version, fault.name)) as platform:
        more: dict[str, Any] = {"register": True} if fault.needs in ("register", "push") else {"token": open_to_checks(platform)}
        if fault.name == "slow-pages":
            more["slow_after"] = 0.1
        if fault.needs == "push":
            more["listen"] = 1.0

        async def a_push(seconds: float) -> None:
            evse = platform.network.locations[0]["evses"][0]
            with suppress(OcpiError):
                await platform.push(0, {**evse, "status": "RESERVED", "last_updated": format_ms(datetime.now(UTC))})

        run = await checked(platform, settings=fault.settings, wait=a_push, **more)
        assert fault.finding in names(run)
        assert names(run) - {fault.finding} - ALWAYS <= ALSO.get(fault.name, set())
        if not fault.tolerated:
            assert judge(run).outcome == "not-ready"


@each
async def test_healthy_platform(version: str) -> None:
    """Nothing to mend; the platform is registered, pulled, renewed and left as it was."""
    async with SimulatedPlatform(platform_spec(version)) as platform:
        told: list[str] = []
        pushes: list[int] = []

        async def a_push(seconds: float) -> None:
            evse = platform.network.locations[0]["evses"][0]
            for whole in (False, True):
                pushes.append(await platform.push(0, {**evse, "last_updated": format_ms(datetime.now(UTC))}, whole=whole))

        run = await checked(platform, register=True, listen=1.0, wait=a_push)
        told += names(run, "error", "warning")
        assert told == [] and names(run) <= ALWAYS
        assert judge(run).outcome == "ready"
        assert run.counts["locations"] == 12 and run.counts["evses"] == 30 and run.counts["pushes"] == 2 and pushes == [1000, 1000]
        assert platform.state.token_c is None and platform.state.token_b is None and not platform.registered.is_set()
        assert all(run.findings.was_run(check.area) for check in CHECKS.values() if check.area != "tariffs" or version != "2.1.1")


@each
async def test_without_registration(version: str) -> None:
    """A token A leaves the question open; a token C answers it; neither changes anything."""
    async with SimulatedPlatform(platform_spec(version)) as platform:
        run = await checked(platform)
        assert judge(run).outcome == "incomplete" and "functional-closed" in names(run, "note")
        assert not names(run, "error", "warning")
        assert not run.findings.was_run("objects")
        run = await checked(platform, token=open_to_checks(platform))
        assert judge(run).outcome == "ready" and names(run) <= ALWAYS
        assert not platform.state.token_a_used and {seen.method for seen in run.recorder.seen} == {"GET"}


@pytest.mark.parametrize(("encoding", "outcome"), [("raw", "not-ready"), ("base64", "incomplete"), ("auto", "incomplete")])
async def test_encoding(encoding: str, outcome: str) -> None:
    async with SimulatedPlatform(platform_spec("2.2.1")) as platform:
        run = await checked(platform, encoding=encoding)
        assert judge(run).outcome == outcome
        assert ("versions-refused" in names(run)) is (outcome == "not-ready")


async def test_a_platform_that_reads_tokens_in_the_form_of_another_version() -> None:
    """R3: from 2.2.1 on tokens come in Base64."""
    from dataclasses import replace

    async with SimulatedPlatform(replace(platform_spec("2.3.0"), token_encoding="raw")) as platform:
        run = await checked(platform)
        assert "token-encoding" in names(run, "warning")
