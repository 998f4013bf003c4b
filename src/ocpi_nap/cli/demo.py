"""`ocpi-nap demo`: the service with Finland's network on three simulated platforms, onboarded and live."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated

import typer

from ocpi_nap.cli.context import Context, load_settings, open_context
from ocpi_nap.cli.errors import CliError
from ocpi_nap.cli.ports import base_url, check_port
from ocpi_nap.cli.progress import PullProgress
from ocpi_nap.cli.pulling import pull_platform
from ocpi_nap.cli.simulate import start
from ocpi_nap.feed.events.broker import free_port
from ocpi_nap.registry import handshake, onboarding
from ocpi_nap.settings import Settings
from ocpi_nap.simulator.finland import FIRST_PORT, PLATFORMS
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform

_API = "/api/charging-network/v1"
_START_SECONDS = 60


def demo(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Web worker processes.")] = 2,
    simulator_port: Annotated[int, typer.Option(help="Port of the first simulated platform.")] = FIRST_PORT,
) -> None:
    """Serve with Finland's network simulated on three platforms; Ctrl-C ends it, the next start goes on with the data kept."""
    os.environ.setdefault("OCPI_NAP_PUBLIC_URL", base_url(host, port))
    os.environ.setdefault("OCPI_NAP_ALLOW_PRIVATE_NETWORKS", "1")
    os.environ.setdefault("OCPI_NAP_LOG_LEVEL", "WARNING")
    settings = _with_ports(load_settings(), host, port, simulator_port)
    asyncio.run(_demo(settings, host, port, workers, simulator_port))


def _command() -> str:
    """How the reader calls us."""
    return os.path.relpath(sys.argv[0]) if "/" in sys.argv[0] else "ocpi-nap"


def _with_ports(settings: Settings, host: str, port: int, simulator_port: int) -> Settings:
    """The settings, every port looked at before anything starts: what answers on a port that is taken might look like us."""
    check_port(host, port, f"Choose another one: {_command()} demo --port {port + 1}")
    for number in range(len(PLATFORMS)):
        advice = f"The simulated platforms need {len(PLATFORMS)}: choose the first one with --simulator-port."
        check_port("127.0.0.1", simulator_port + number, advice)
    if settings.mqtt_url is None and settings.mqtt_port == 0:
        os.environ["OCPI_NAP_MQTT_PORT"] = str(free_port(settings.mqtt_host))
        return load_settings()
    if settings.mqtt_url is None:
        check_port(settings.mqtt_host, settings.mqtt_port, "It is for MQTT: OCPI_NAP_MQTT_PORT=0 takes a free one.")
    return settings


async def _demo(settings: Settings, host: str, port: int, workers: int, simulator_port: int) -> None:
    main = asyncio.current_task()
    assert main is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, main.cancel)
    url = base_url(host, port)
    stopped = False
    try:
        async with AsyncExitStack() as stack:
            context = await stack.enter_async_context(open_context(settings))
            server = await stack.enter_async_context(_served(url, ["--host", host, "--port", str(port), "--workers", str(workers)]))
            platforms = [
                await start(stack, spec, "127.0.0.1", simulator_port + n, settings.data_dir / "simulator")
                for n, spec in enumerate(PLATFORMS)
            ]
            await _onboard_all(context, platforms)
            _explain(url, settings)
            await asyncio.to_thread(server.wait)
            raise CliError(f"The service ended by itself (exit status {server.returncode}).")
    except asyncio.CancelledError:
        stopped = True
    if stopped:
        print("\nStopped. The data is kept: the next start goes on with it.")


@asynccontextmanager
async def _served(url: str, arguments: list[str]) -> AsyncIterator[subprocess.Popen[bytes]]:
    """`ocpi-nap serve` as a process that our Ctrl-C does not reach: we stop it after the platforms."""
    command = [sys.executable, "-m", "ocpi_nap", "serve", *arguments]
    server = await asyncio.to_thread(subprocess.Popen, command, start_new_session=True)
    try:
        for _ in range(_START_SECONDS * 10):
            if server.poll() is not None:
                raise CliError("The service did not start; the lines above say why.")
            if await asyncio.to_thread(healthy, url):
                break
            await asyncio.sleep(0.1)
        else:
            raise CliError(f"The service did not answer within {_START_SECONDS} s.")
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def healthy(url: str) -> bool:
    """Whether a service answers there and its database does."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def _onboard_all(context: Context, platforms: list[SimulatedPlatform]) -> None:
    known = {platform.name: platform for platform in await context.registry.platforms()}
    simulated = {platform.spec.name for platform in platforms}
    if known and simulated.isdisjoint(known):
        raise CliError(f"This database is in use: it has the platform {min(known)}, and none of the demo's.",
                       "Choose another folder for the demo with OCPI_NAP_DATA_DIR.")  # fmt: skip
    for platform in platforms:
        name = platform.spec.name
        if name not in known:
            await context.registry.add(_record(platform.spec, platform.versions_url))
        elif known[name].versions_url != platform.versions_url:
            raise CliError(f"{name} was onboarded at {known[name].versions_url}.", "Give the same --simulator-port as before.")
        if name in known and known[name].state == "registered":
            print(f"{name}: registered before with OCPI {known[name].version}", flush=True)
            continue
        await _register_and_pull(context, name)
    for platform in platforms:
        await context.registry.set_paused(platform.spec.name, False)


async def _register_and_pull(context: Context, name: str) -> None:
    await context.registry.set_paused(name, True)  # we pull it ourselves, to show the progress
    await handshake.register(context.registry, name, force=True)
    with PullProgress(name, enabled=sys.stderr.isatty()) as progress:
        reports = await pull_platform(context, name, full=True, progress=progress.update)
    for module, report in reports.items():
        print(f"{name}: {report.counts.new + report.counts.changed + report.counts.unchanged} {module} pulled", flush=True)


def _record(spec: PlatformSpec, versions_url: str) -> onboarding.OnboardingRecord:
    operators = [{"party_id": o.party_id, "country_code": o.country_code, "name": o.name, "url": o.url} for o in spec.network.operators]
    return onboarding.check(
        name=spec.name, versions_url=versions_url, token=spec.token_a, token_encoding=spec.token_encoding, party_id=spec.party_id,
        country_code=spec.country_code, environment="test", operators=operators,
    )  # fmt: skip


def _explain(url: str, settings: Settings) -> None:
    command = _command()
    lines = f"""
The network is live. Open
  {url}/             the map
  {url}/swagger/     the API
  {url}/console      the staff's side, after: {command} user add me --role admin

Read it
  curl --compressed {url}{_API}/operators
  curl --compressed {url}{_API}/locations
  curl --compressed {url}{_API}/locations/statuses/all
  curl --compressed {url}{_API}/tariffs

Watch it
  mosquitto_sub -h 127.0.0.1 -p {settings.mqtt_port} -t 'status-v1/#' -v

Look behind it
  {command} platform list
  {command} platform show {PLATFORMS[0].name}
  OCPI_NAP_ALLOW_PRIVATE_NETWORKS=1 {command} platform pull {PLATFORMS[0].name} --full

Ctrl-C stops everything."""
    print(lines, flush=True)
