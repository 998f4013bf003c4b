"""The command is killed between any two network calls: what is left is a state with advice, and the connection can be mended (R84)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.registry.onboarding import RecordChange
from ocpi_nap.simulator.faults import FAULTS, Fault, Lost, Reply
from ocpi_nap.simulator.platform import SimulatedPlatform
from tests.registry.commands import Commands, serving
from tests.simulator.conftest import Nap
from tests.versions import VERSIONS, each

CALLS = {"register": ["versions", "details", "POST", "verification"], "rotate": ["versions", "details", "PUT", "verification"],
         "unregister": ["DELETE"]}  # fmt: skip


@contextmanager
def struck(platform: SimulatedPlatform, number: int, taken: bool, process: Callable[[], BaseProcess | None]) -> Iterator[None]:
    """The process is killed at the platform's n-th request, before or after that took effect; the answer never leaves."""
    seen = 0

    def strike() -> None:
        victim = process()
        assert victim is not None and victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        raise Lost

    def arrived(_: Reply) -> None:
        nonlocal seen
        seen += 1
        if not taken and seen == number:
            strike()

    def answered(_: Reply) -> None:
        if taken and seen == number:
            strike()

    FAULTS["killer"] = Fault("killer", "R84", "the NAP's process dies", before=arrived, wire=answered)
    platform.faults = ("killer",)
    try:
        yield
    finally:
        platform.faults = ()
        del FAULTS["killer"]


@dataclass
class Scene:
    """A simulated platform and the commands of the NAP's staff, the next of which may be killed at one of its calls."""

    nap: Nap
    platform: SimulatedPlatform
    command: Commands

    async def killed(self, command: str, call: str, taken: bool) -> None:
        """Run it and kill it at a call, after which the platform has ``taken`` effect or not; its answer never leaves."""
        with struck(self.platform, CALLS[command].index(call) + 1, taken, lambda: self.command.running):
            status, out = await self.command("platform", command, "sim")
        assert status == -signal.SIGKILL, out

    async def pulls(self) -> bool:
        """Whether what we hold as token C works on them."""
        return all(report.complete for report in (await self.nap.pull()).values())

    async def pushes(self) -> bool:
        """Whether what they hold as token B opens the Receiver: a Location is taken."""
        platform, location = self.platform, dict(self.platform.network.locations[0])
        party = platform.network.location_party(0)
        assert platform.state.token_b is not None
        receivers = await platform._call_back(platform.state.token_b, platform.state.nap_url or self.nap.registry.identity.versions_url)
        url = OcpiClient.object_url(receivers["locations"], party.country_code, party.party_id, location["id"])
        answer = await platform._call("PUT", url, platform.state.token_b, location | {"last_updated": format_ms(datetime.now(UTC))})
        return bool(answer["status_code"] == 1000)

    async def tokens(self) -> list[str]:
        rows = await self.nap.db.fetch_all("SELECT state FROM token WHERE expires_at IS NULL ORDER BY id")
        return [state for (state,) in rows]

    async def fresh_token_a(self) -> str:
        """The CPO unregisters us on their side and gives a new token A."""
        state = self.platform.state
        state.token_a, state.token_a_used, state.token_b, state.token_c = "sim-token-a-2", False, None, None
        return state.token_a


@pytest.fixture
async def scene(nap: Nap, tmp_path: Path, version: str) -> AsyncIterator[Scene]:
    public = nap.registry.identity.versions_url.removesuffix("/ocpi/versions")
    environment = {"OCPI_NAP_DATABASE_URL": nap.db.dsn, "OCPI_NAP_DATA_DIR": str(tmp_path), "OCPI_NAP_PUBLIC_URL": public,
                   "OCPI_NAP_ALLOW_PRIVATE_NETWORKS": "1"}  # fmt: skip
    async with nap.platform(version) as platform:
        await nap.add(platform)
        await nap.registry.change("sim", RecordChange(token_encoding=platform.spec.token_encoding))  # no calls in vain
        yield Scene(nap, platform, Commands(environment, tmp_path))


@pytest.mark.holds("R84", "R74", "R83")
@each
async def test_registration(scene: Scene, version: str) -> None:
    """Before our POST nothing has left; afterwards it may have been taken, and the platform's pushes are."""
    for call in ("versions", "details"):
        await scene.killed("register", call, taken=True)
        shown = await scene.command.show("sim")
        assert (shown["state"], await scene.tokens()) == ("failed", []) and "register sim" in shown["advice"]
    await scene.killed("register", "POST", taken=False)
    shown = await scene.command.show("sim")
    assert (shown["state"], shown["last_error"]["step"]) == ("unknown", "interrupted") and "register sim" in shown["advice"]
    status, out = await scene.command("platform", "register", "sim")
    assert status == 0, out
    assert await scene.tokens() == ["active"] and await scene.pulls() and await scene.pushes()
    assert (await scene.command.show("sim"))["advice"] == ""


@pytest.mark.holds("R84", "R83", "R76", "R109")
@each
async def test_registration_that_they_have_taken(scene: Scene, version: str) -> None:
    """They hold token B, and token A is used up: what they push is taken, and a new token A mends it."""
    await scene.killed("register", "POST", taken=True)
    assert (await scene.command.show("sim"))["state"] == "unknown"
    status, out = await scene.command("platform", "register", "sim")
    assert status == 1 and "used up" in out and "new token A" in out
    shown = await scene.command.show("sim")
    assert shown["state"] == "unknown" and "new token A" in shown["advice"] and await scene.tokens() == ["pending"]
    assert await scene.pushes()
    status, out = await scene.command("platform", "register", "sim", "--token", await scene.fresh_token_a())
    assert status == 0, out
    assert await scene.tokens() == ["active"] and await scene.pulls() and await scene.pushes()


@pytest.mark.holds("R80", "R84")
@pytest.mark.parametrize(("command", "version"), [(command, version) for command in ("register", "rotate") for version in VERSIONS])
async def test_token_c_not_proven(scene: Scene, command: str, version: str) -> None:
    """Agreed, but killed before token C was tried: the first pull that works proves it."""
    if command == "rotate":
        assert await scene.nap.register() == "registered"
    await scene.killed(command, "verification", taken=True)
    shown = await scene.command.show("sim")
    assert shown["state"] == "registered-unverified" and "pull" in shown["advice"]
    assert await scene.pulls() and await scene.pushes()
    assert (await scene.command.show("sim"))["state"] == "registered"


@pytest.mark.holds("R84", "R102", "R103")
@each
async def test_rotation(scene: Scene, version: str) -> None:
    """Until the platform has taken new credentials the old ones work, and the command can be run again."""
    await scene.nap.register()
    for call in ("versions", "details", "PUT"):
        await scene.killed("rotate", call, taken=False)
        assert await scene.pulls() and await scene.pushes()
        shown = await scene.command.show("sim")
        assert shown["state"] == "registered"
    assert shown["last_error"]["step"] == "interrupted" and "rotate sim" in shown["advice"]
    status, out = await scene.command("platform", "rotate", "sim")
    assert status == 0, out
    assert await scene.pulls() and await scene.pushes()
    assert await scene.tokens() == ["active"] and (await scene.command.show("sim"))["last_error"] is None


@pytest.mark.holds("R84", "I-35", "I-6")
@each
async def test_rotation_that_they_have_taken(scene: Scene, version: str) -> None:
    """The new token C went down with the process: their pushes work, the pull says what is wrong, tokens by hand mend it."""
    await scene.nap.register()
    await scene.killed("rotate", "PUT", taken=True)
    assert await scene.pushes() and not await scene.pulls()
    shown = await scene.command.show("sim")
    assert shown["state"] == "registered-unverified" and "register" in shown["advice"]
    status, out = await scene.command("platform", "rotate", "sim")
    assert status == 1 and "token was refused" in out
    status, out = await scene.command("platform", "set-token", "sim", "--token-c", scene.platform.state.token_c or "")
    assert status == 0, out
    assert await scene.pulls() and await scene.pushes()
    shown = await scene.command.show("sim")
    assert (shown["state"], shown["last_error"]) == ("registered", None)


@pytest.mark.holds("R84", "R108")
@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "taken"])
@each
async def test_leaving(scene: Scene, version: str, taken: bool) -> None:
    """Until the platform has answered we are registered, and `show` says that leaving was begun; run again, it ends."""
    await scene.nap.register()
    await scene.killed("unregister", "DELETE", taken=taken)
    shown = await scene.command.show("sim")
    assert shown["state"] == "registered" and "unregister sim" in shown["advice"]
    status, out = await scene.command("platform", "unregister", "sim")
    assert status == 0, out
    shown = await scene.command.show("sim")
    assert (shown["state"], shown["last_error"], await scene.tokens()) == ("unregistered", None, [])


async def ended(process: BaseProcess) -> None:
    await asyncio.to_thread(process.join, 30)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.holds("R84", "R88", "R100", "R109")
@each
async def test_they_register_and_renew(scene: Scene, version: str, tmp_path: Path) -> None:
    """Our server dies in the call-backs of their POST, then of their PUT: everything is as before, and the same request works again."""
    nap, platform = scene.nap, scene.platform
    token_a, url = await nap.registry.issue_token("sim"), nap.registry.identity.versions_url
    for number in (1, 2):
        async with serving(nap.db.dsn, tmp_path) as (theirs, process):
            with struck(platform, number, True, lambda process=process: process), pytest.raises(OcpiError):
                await platform.register(theirs, token_a)
            await ended(process)
        assert (await scene.command.show("sim"))["state"] == "unregistered" and await scene.tokens() == ["issued"]
    await platform.register(url, token_a)
    assert await scene.tokens() == ["active"] and await scene.pulls() and await scene.pushes()
    for number in (1, 2):
        token_c = platform.state.token_c
        async with serving(nap.db.dsn, tmp_path) as (theirs, process):
            with struck(platform, number, True, lambda process=process: process), pytest.raises(OcpiError):
                await platform.renew(theirs)
            await ended(process)
        platform.state.token_c = token_c
        assert await scene.tokens() == ["active"] and await scene.pulls() and await scene.pushes()
    await platform.renew(url)
    assert await scene.pulls() and await scene.pushes() and (await scene.command.show("sim"))["state"] == "registered"


@pytest.mark.holds("R84", "R94", "R109", "I-5")
@each
async def test_they_lose_our_answer(scene: Scene, version: str) -> None:
    """Registered here and not there: token A is told as used up, and the operator ends it and issues another."""
    nap, platform = scene.nap, scene.platform
    token_a, url = await nap.registry.issue_token("sim"), nap.registry.identity.versions_url
    await platform.register(url, token_a)
    platform.state.token_b = None
    with pytest.raises(OcpiError, match="token A that the registration has used up"):
        await platform.register(url, token_a)
    assert "used up" in (await scene.command.show("sim"))["events"][0]["message"]
    assert (await scene.command("platform", "issue-token", "sim"))[0] == 1
    assert (await scene.command("platform", "unregister", "sim"))[0] == 0
    status, token_a = await scene.command("platform", "issue-token", "sim")
    assert status == 0
    await platform.register(url, token_a.strip())
    assert await scene.pulls() and await scene.pushes()
