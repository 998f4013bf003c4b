"""`ocpi-nap simulate`: CPO platforms to try a NAP with."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from ocpi_nap.cli.children import stop_on_signal
from ocpi_nap.cli.errors import CliError
from ocpi_nap.model.ids import parse_operator
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.simulator.faults import FAULTS
from ocpi_nap.simulator.finland import FIRST_PORT, PLATFORMS
from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform


def simulate(
    version: Annotated[str | None, typer.Option(help="Simulate one platform of this OCPI version; without it, Finland's three.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the (first) platform.")] = FIRST_PORT,
    state_dir: Annotated[Path, typer.Option(help="Where the platforms remember their tokens and statuses.")] = Path("data/simulator"),
    name: Annotated[str, typer.Option(help="The platform's name.")] = "sim",
    token: Annotated[str, typer.Option(help="Its CREDENTIALS_TOKEN_A.")] = "sim-token-a",
    token_encoding: Annotated[str, typer.Option(help="raw or base64")] = "raw",
    operator: Annotated[list[str] | None, typer.Option(help='"FI*SIM;Simulated;https://sim.example", repeatable')] = None,
    locations: Annotated[int, typer.Option(help="How many locations.")] = 100,
    evses: Annotated[int, typer.Option(help="How many EVSEs.")] = 500,
    connectors: Annotated[int, typer.Option(help="How many connectors.")] = 510,
    tariffs: Annotated[int, typer.Option(help="How many tariffs.")] = 20,
    rate: Annotated[float, typer.Option(help="Status changes a second.")] = 1.0,
    page_size: Annotated[int, typer.Option(help="Largest page.")] = 250,
    seed: Annotated[int, typer.Option(help="Another seed, another network.")] = 1,
    fault: Annotated[list[str] | None, typer.Option(help="A deviation by name, repeatable; `--faults` lists them.")] = None,
    faults: Annotated[bool, typer.Option("--faults", help="List the deviations that can be simulated, and end.")] = False,
    register_at: Annotated[str | None, typer.Option(help="Register ourselves at this NAP's versions URL.")] = None,
    register_token: Annotated[str | None, typer.Option(help="With this token A (`ocpi-nap platform issue-token`).")] = None,
) -> None:
    """Run simulated CPO platforms until Ctrl-C, and print how to onboard them."""
    if faults:
        for known in FAULTS.values():
            print(f"{known.name:26} {known.reference:6} {known.text}")
        return
    unknown = sorted(set(fault or ()) - set(FAULTS))
    if unknown or (fault and version is None):
        raise CliError(f"--fault {unknown[0]}: unknown; `--faults` lists all." if unknown else "--fault needs --version.")
    if version is None:
        specs = list(PLATFORMS)
    else:
        if version not in VERSIONS or token_encoding not in ("raw", "base64"):
            raise CliError(f"--version is one of {', '.join(VERSIONS)}; --token-encoding is raw or base64.")
        encoding: Literal["raw", "base64"] = "base64" if token_encoding == "base64" else "raw"
        try:
            parties = [parse_operator(text) for text in operator or ["FI*SIM;Simulated operator;https://sim.example"]]
            network = NetworkSpec(version, tuple(SimulatedOperator(p.party_id, p.name, p.url or "", p.country_code) for p in parties),
                                  locations, evses, connectors, tariffs, seed)  # fmt: skip
        except ValueError as error:
            raise CliError(f"{error}.") from None
        specs = [PlatformSpec(name, network, parties[0].country_code, parties[0].party_id, token, encoding, page_size, rate,
                              tuple(fault or ()))]  # fmt: skip
    if register_at is not None and (version is None or register_token is None):
        raise CliError("--register-at needs --version and --register-token.")
    asyncio.run(_run(specs, host, port, state_dir, (register_at, register_token or "") if register_at else None))


async def _run(specs: list[PlatformSpec], host: str, port: int, state_dir: Path, register: tuple[str, str] | None) -> None:
    stop = stop_on_signal()
    async with AsyncExitStack() as stack:
        for offset, spec in enumerate(specs):
            platform = await start(stack, spec, host, port + offset, state_dir)
            print(f"{spec.name}: OCPI {spec.network.version} at {platform.versions_url}; onboard it with")
            print(f"  {onboarding_command(spec, platform.versions_url)}", flush=True)
            if register is not None and not platform.registered.is_set():
                try:
                    await platform.register(*register)
                except OcpiError as error:
                    raise CliError(f"The NAP did not register us: {error.message}.") from None
        await stop.wait()


async def start(stack: AsyncExitStack, spec: PlatformSpec, host: str, port: int, state_dir: Path) -> SimulatedPlatform:
    """Start one platform; CliError when its port is taken."""
    memory = state_dir / f"{spec.name}.json"
    platform = SimulatedPlatform(spec, host=host, port=port, state_file=memory, say=lambda text: print(text, flush=True))
    try:
        return await stack.enter_async_context(platform)
    except OSError as error:
        raise CliError(f"Port {port} on {host} cannot be used: {error.strerror}.", "Choose another one with --port.") from None


def onboarding_command(spec: PlatformSpec, versions_url: str) -> str:
    """The `platform add` that onboards a simulated platform."""
    operators = " ".join(f'--operator "{o.id};{o.name};{o.url}"' for o in spec.network.operators)
    return (
        f"ocpi-nap platform add {spec.name} --versions-url {versions_url} --token {spec.token_a} --token-encoding {spec.token_encoding} "
        f"--party-id {spec.party_id} --country-code {spec.country_code} --environment test {operators}"
    )
