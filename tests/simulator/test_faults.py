"""Every fault that a platform can be given: it is onboarded with all its objects, or it is told what is wrong (interop.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.ocpi import paging
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.registry import RegistryError, handshake
from ocpi_nap.simulator.faults import FAULTS, Fault
from ocpi_nap.simulator.platform import SimulatedPlatform
from tests.simulator.conftest import Nap
from tests.versions import each


def cases(needs: str, tolerated: bool) -> list[Any]:
    """Each such fault in each version it can occur in."""
    chosen = [fault for fault in FAULTS.values() if fault.needs in needs.split("|") and fault.tolerated is tolerated]
    return [
        pytest.param(fault, version, id=f"{fault.name}-{version}", marks=pytest.mark.holds(fault.reference))
        for fault in chosen for version in fault.versions
    ]  # fmt: skip


def expected(platform: SimulatedPlatform) -> dict[str, int]:
    """What the NAP must hold of it."""
    locations = platform.sent_locations
    evses = sum(len(location["evses"] or ()) for location in locations)
    return {"locations": len(locations), "evses": evses, "tariffs": len(platform.network.tariffs)}


@pytest.mark.parametrize(("fault", "version"), cases("|register", True))
async def test_tolerated(nap: Nap, fault: Fault, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform with the fault registers, and its pull is complete."""
    if fault.name == "rate-limit-bare":
        monkeypatch.setattr(paging, "_wait", lambda *_: 0.0)
    async with nap.platform(version, fault.name) as platform:
        await nap.add(platform, **fault.settings)
        assert await nap.register() == "registered"
        reports = await nap.pull()
        assert all(report.complete for report in reports.values()), reports
        assert await nap.counts() == expected(platform)
        again = await nap.pull()
        assert all(report.complete for report in again.values()), again
        assert await nap.counts() == expected(platform)
        if fault.name in ("no-put", "same-token"):
            await renew(nap, refused=fault.name == "no-put")
        if fault.name in ("delete-forgotten", "no-delete"):
            assert (await handshake.unregister(nap.registry, "sim")).state == "unregistered"


async def renew(nap: Nap, *, refused: bool) -> None:
    """Whether it can be done or not, the connection works afterwards (R103, I-34)."""
    if refused:
        with pytest.raises(RegistryError, match="The old tokens stay"):
            await handshake.rotate(nap.registry, "sim")
    else:
        await handshake.rotate(nap.registry, "sim")
    assert all(report.complete for report in (await nap.pull()).values())


@pytest.mark.parametrize(("fault", "version"), cases("|register", False))
async def test_told(nap: Nap, fault: Fault, version: str) -> None:
    """Registration fails at a step that is named with what to do, or the pull says what is missing; what came is kept."""
    async with nap.platform(version, fault.name) as platform:
        await nap.add(platform, **fault.settings)
        try:
            assert await nap.register() == "registered"
        except RegistryError as error:
            assert error.step and error.message and error.advice
            shown = await nap.registry.platform("sim")
            assert shown.state in ("failed", "unknown") and shown.last_error is not None
            return
        reports = await nap.pull()
        assert any(report.error or report.counts.refused for report in reports.values()), reports
        assert sum(report.counts.withdrawn for report in reports.values()) == 0
        if any(report.counts.refused for report in reports.values()):
            refused = sum(report.counts.refused for report in reports.values())
            assert (await nap.counts())["locations"] == len(platform.sent_locations) - refused > 0


@each
async def test_lists_that_become_empty(nap: Nap, version: str) -> None:
    """D17, I-64: nothing is withdrawn until it is certain."""
    async with nap.platform(version) as platform:
        await nap.add(platform)
        await nap.register()
        await nap.pull()
        platform.faults = ("list-empty",)
        held = await nap.pull()
        assert held["locations"].complete and held["locations"].counts.withheld == 12 and held["locations"].counts.withdrawn == 0
        assert await nap.counts() == expected(platform) | {"tariffs": 0}  # so few may go at once


@each
async def test_no_deltas(nap: Nap, version: str) -> None:
    """A platform that refuses date_from is told so; its objects stay."""
    async with nap.platform(version, "date-from-refused") as platform:
        await nap.add(platform)
        await nap.register()
        await nap.pull()
        report = (await nap.pull(full=False))["locations"]
        assert not report.complete and report.error and "date_from" in report.error
        assert await nap.counts() == expected(platform)


@pytest.mark.parametrize(("fault", "version"), cases("delta", True))
async def test_tolerated_deltas(nap: Nap, fault: Fault, version: str) -> None:
    """A pull since a date is complete and takes nothing away; what changed is taken."""
    async with nap.platform(version) as platform:
        await nap.add(platform, **fault.settings)
        await nap.register()
        await nap.pull()
        platform.faults = (fault.name,)
        now = format_ms(datetime.now(UTC))
        for number in range(len(platform.network.locations)):
            platform.network.set_status(number, 0, "RESERVED", now)
        report = (await nap.pull(full=False))["locations"]
        assert report.complete and report.counts.objects >= len(platform.network.locations)
        assert await nap.counts() == expected(platform)
        assert await status_of(nap, platform.network.locations[0]["evses"][0]["uid"]) == "RESERVED"


async def pushing(nap: Nap, platform: SimulatedPlatform, fault: Fault) -> tuple[dict[str, Any], int]:
    """Register and pull in health, then push one status with the fault."""
    await nap.add(platform, **fault.settings)
    await nap.register()
    await nap.pull()
    platform.faults = (fault.name,)
    evse = platform.network.locations[0]["evses"][0]
    evse = {**evse, "status": "RESERVED", "last_updated": format_ms(datetime.now(UTC))}
    return evse, await platform.push(0, evse)


async def status_of(nap: Nap, uid: str) -> str:
    row = await nap.db.fetch_one("SELECT status FROM evse JOIN evse_state USING (location_pk, uid_key) WHERE uid = %s", (uid,))
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(("fault", "version"), cases("push", True))
async def test_tolerated_pushes(nap: Nap, fault: Fault, version: str) -> None:
    """A push with the fault takes effect."""
    async with nap.platform(version) as platform:
        evse, code = await pushing(nap, platform, fault)
        assert code == 1000 and await status_of(nap, evse["uid"]) == "RESERVED"


@pytest.mark.parametrize(("fault", "version"), cases("push", False))
async def test_refused_pushes(nap: Nap, fault: Fault, version: str) -> None:
    """A push with the fault is refused with a reason, and changes nothing."""
    async with nap.platform(version) as platform:
        before = platform.network.locations[0]["evses"][0]
        with pytest.raises(OcpiError) as caught:
            await pushing(nap, platform, fault)
        assert " 2" in caught.value.message, caught.value.message
        assert await status_of(nap, before["uid"]) == before["status"] != "RESERVED"
