"""`ocpi-nap platform …`: onboarding, registration and pulls of CPO platforms."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ocpi_nap.cli.context import Context, run
from ocpi_nap.cli.errors import CliError
from ocpi_nap.cli.progress import PullProgress
from ocpi_nap.cli.pulling import pull_platform
from ocpi_nap.intake.crawl import MODULES, ModuleReport
from ocpi_nap.model.platform import Platform
from ocpi_nap.model.timestamps import format_z
from ocpi_nap.ocpi import tokens
from ocpi_nap.registry import handshake, onboarding, recovery, static
from ocpi_nap.registry.outcomes import NEXT
from ocpi_nap.store.registry import load_events

platform_app = typer.Typer(help="CPO platforms.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The platform's name.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


_EXAMPLE = (
    "For example: ocpi-nap platform add acme --versions-url https://cpo.example/ocpi/versions --token TOKEN_A --party-id ACM "
    '--country-code FI --environment test --operator "FI*ABC;Acme Charging;https://acme.example"'
)


@platform_app.command(epilog=_EXAMPLE)
def add(
    name: Annotated[str | None, typer.Argument(help="Your own name for the platform.")] = None,
    versions_url: Annotated[str | None, typer.Option(help="VERSIONS_URL")] = None,
    token: Annotated[str | None, typer.Option(help="CREDENTIALS_TOKEN_A")] = None,
    token_encoding: Annotated[str, typer.Option(help="raw, base64 or auto")] = "auto",
    party_id: Annotated[str | None, typer.Option(help="PLATFORM_PARTY_ID")] = None,
    country_code: Annotated[str | None, typer.Option(help="PLATFORM_COUNTRY_CODE")] = None,
    environment: Annotated[str, typer.Option(help="test or production")] = "production",
    operator: Annotated[list[str] | None, typer.Option(help='"FI*ABC;Operator name;https://abc.example", repeatable')] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable")] = None,
    file: Annotated[Path | None, typer.Option(help="YAML file with several platforms instead")] = None,
) -> None:
    """Keep the onboarding record of a platform."""
    if file is not None:
        records = onboarding.read_file(file)
    else:
        given = {"NAME": name, "--versions-url": versions_url, "--party-id": party_id, "--country-code": country_code}
        for label, value in given.items():
            if value is None:
                raise CliError(f"{label} is required.", "`ocpi-nap platform add --help` shows an example.")
        records = [onboarding.check(
            name=name or "", versions_url=versions_url or "", token=token, token_encoding=token_encoding, party_id=party_id or "",
            country_code=country_code or "", environment=environment, operators=operator or [],
            settings=setting_pairs(settings),
        )]  # fmt: skip

    async def act(context: Context) -> None:
        for record in records:
            platform = await context.registry.add(record)
            operators = ", ".join(o.id for o in platform.operators)
            print(f"Platform {platform.name} ({platform.environment}) is added with {operators}.")
            print(f"Next: ocpi-nap platform register {platform.name}")

    run(act)


def setting_pairs(items: list[str] | None) -> dict[str, str]:
    """`--set key=value` options as a mapping; CliError when one has no `=`."""
    pairs = [item.partition("=") for item in items or []]
    for key, sign, _ in pairs:
        if not sign:
            raise CliError(f"--set {key}: key=value is required.")
    return {key.strip(): value for key, _, value in pairs}


@platform_app.command()
def change(
    name: Name,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable")] = None,
    versions_url: Annotated[str | None, typer.Option(help="VERSIONS_URL")] = None,
    token_encoding: Annotated[str | None, typer.Option(help="raw, base64 or auto")] = None,
    operator: Annotated[list[str] | None, typer.Option(help='Add or rename "FI*ABC;Operator name;https://abc.example"')] = None,
    remove_operator: Annotated[list[str] | None, typer.Option(help="FI*ABC; its data is published no more")] = None,
) -> None:
    """Change the onboarding record; the registration stays."""
    changed = onboarding.check_change(
        versions_url=versions_url, token_encoding=token_encoding, settings=setting_pairs(settings), operators=operator or [],
        without=remove_operator or [],
    )  # fmt: skip
    run(lambda context: context.registry.change(name, changed))
    print(f"{name} is changed.")


@platform_app.command()
def register(
    name: Name,
    force: Annotated[bool, typer.Option(help="Start over, whatever the state.")] = False,
    token: Annotated[str | None, typer.Option(help="A new CREDENTIALS_TOKEN_A first.")] = None,
) -> None:
    """Exchange credentials with the platform."""

    async def act(context: Context) -> None:
        if token is not None:
            await handshake.replace_token_a(context.registry, name, token)
        platform = await handshake.register(context.registry, name, force=force, say=print)
        print(f"{name} is {platform.state} with OCPI {platform.version}; its network is pulled as soon as `ocpi-nap serve` runs.")

    run(act)


@platform_app.command()
def rotate(name: Name, upgrade: Annotated[bool, typer.Option(help="Take the highest version that both sides have now.")] = False) -> None:
    """Exchange new tokens with the platform."""
    platform = run(lambda context: handshake.rotate(context.registry, name, upgrade=upgrade, say=print))
    print(f"{name} has new tokens on both sides, with OCPI {platform.version}.")


@platform_app.command()
def refresh(name: Name) -> None:
    """Read the platform's versions and endpoints again."""
    changed = run(lambda context: handshake.refresh_endpoints(context.registry, name))
    print(f"{name}: {'endpoints changed' if changed else 'the endpoints are as before'}.")


@platform_app.command("set-token")
def set_token(
    name: Name,
    token_b: Annotated[str | None, typer.Option(help="The token they use on us; `new` makes one and prints it.")] = None,
    token_c: Annotated[str | None, typer.Option(help="The token that we send them.")] = None,
) -> None:
    """Take tokens that were agreed outside the protocol, without a new registration."""
    if token_b is None and token_c is None:
        raise CliError("--token-b or --token-c is required.")
    made = tokens.generate() if token_b == "new" else None
    platform = run(lambda context: static.set_tokens(context.registry, name, token_b=made or token_b, token_c=token_c, say=print))
    print(f"{name} is {platform.state} with the given tokens.")
    if made is not None:
        print(made)


@platform_app.command()
def unregister(name: Name) -> None:
    """End the registration, whatever the platform answers."""
    run(lambda context: handshake.unregister(context.registry, name, say=print))


@platform_app.command()
def pause(name: Name) -> None:
    """Stop pulling the platform; pushes are still taken."""
    run(lambda context: context.registry.set_paused(name, True))
    print(f"{name} is paused.")


@platform_app.command()
def resume(name: Name) -> None:
    """Pull the platform again."""
    run(lambda context: context.registry.set_paused(name, False))
    print(f"{name} is pulled again.")


@platform_app.command()
def remove(name: Name) -> None:
    """Forget the platform and everything that came over it."""
    run(lambda context: context.registry.remove(name))
    print(f"{name} and its data are removed.")


@platform_app.command("issue-token")
def issue_token(name: Name) -> None:
    """Print a token A for a registration that the CPO starts."""
    print(run(lambda context: context.registry.issue_token(name)))


def _as_dict(platform: Platform) -> dict[str, Any]:
    return {
        "name": platform.name, "environment": platform.environment, "state": platform.state, "paused": platform.paused,
        "version": platform.version, "versions_url": platform.versions_url, "country_code": platform.country_code,
        "party_id": platform.party_id, "token_encoding": platform.token_encoding, "learnt_encoding": platform.learnt_encoding,
        "operators": [{"id": o.id, "country_code": o.country_code, "party_id": o.party_id, "name": o.name, "url": o.url,
                       "source": o.source} for o in platform.operators],
        "endpoints": platform.endpoints, "settings": {**msgspec.structs.asdict(platform.settings), "extra_headers": sorted(
            platform.settings.extra_headers)}, "last_error": platform.last_error,
    }  # fmt: skip


@platform_app.command()
def show(name: Name, as_json: Json = False) -> None:
    """One platform: state, version, operators, last error, what to do, and what happened last."""

    async def read(context: Context) -> tuple[Platform, list[tuple[datetime, str, str]]]:
        await recovery.settle(context.registry)
        found = await context.registry.platform(name)
        return found, await load_events(context.db, found.id)

    platform, events = run(read)
    happened = [{"at": format_z(at), "step": step, "message": message} for at, step, message in events]
    advice = (platform.last_error or {}).get("advice") or NEXT[platform.state].format(name)
    if as_json:
        print(json.dumps({**_as_dict(platform), "advice": advice, "events": happened}, ensure_ascii=False, indent=2))
        return
    print(f"{platform.name}: {platform.state}{', paused' if platform.paused else ''} ({platform.environment})")
    print(f"  OCPI {platform.version or '-'}, platform {platform.country_code}*{platform.party_id}, {platform.versions_url}")
    for operator in platform.operators:
        print(f"  operator {operator.id} {operator.name} {operator.url or ''}".rstrip())
    if platform.last_error:
        print(f"  last error ({platform.last_error['at']}, step {platform.last_error['step']}): {platform.last_error['message']}")
    if advice:
        print(f"  {advice}")
    for event in happened:
        print(f"  {event['at']} {event['step']}: {event['message']}")


@platform_app.command("list")
def list_platforms(as_json: Json = False) -> None:
    """All platforms."""

    async def read(context: Context) -> list[Platform]:
        await recovery.settle(context.registry)
        return await context.registry.platforms()

    platforms = run(read)
    if as_json:
        print(json.dumps([_as_dict(platform) for platform in platforms], ensure_ascii=False, indent=2))
        return
    for platform in platforms:
        print(f"{platform.name:20} {platform.environment:10} {platform.state:22} {platform.version or '-':6} "
              f"{', '.join(o.id for o in platform.operators)}")  # fmt: skip


@platform_app.command("pull")
def pull_now(
    name: Name,
    full: Annotated[bool, typer.Option(help="Everything, not only what changed; withdraws what is gone.")] = False,
    as_json: Json = False,
    confirm: Annotated[bool, typer.Option("--confirm-withdrawals", help="Let a mass withdrawal pass.")] = False,
) -> None:
    """Pull the platform's tariffs and locations now, and wait for the end."""

    async def act(context: Context) -> dict[str, Any]:
        with PullProgress(name, enabled=sys.stderr.isatty() and not as_json) as progress:
            reports = await pull_platform(context, name, full=full, progress=progress.update, confirm=confirm)
        return {module: report.as_dict() for module, report in reports.items()}

    reports = run(act)
    if as_json:  # both lists, whatever the version and the platform's endpoints: a program need not ask which there are
        print(json.dumps({m: {"pulled": m in reports, **reports.get(m, ModuleReport().as_dict())} for m in MODULES}, indent=2))
    else:
        for module, report in reports.items():
            counts = ", ".join(f"{report[key]} {key}" for key in ("new", "changed", "unchanged", "withdrawn", "refused"))
            print(f"{module}: {counts}{'' if report['complete'] else ' – incomplete'}")
            if report["withheld"]:
                print(f"  {report['withheld']} would vanish and were held back: pull again, or with --confirm-withdrawals")
    broken = [f"{module}: {report['error']}" for module, report in reports.items() if not report["complete"]]
    if broken:
        raise CliError(f"The pull of {name} is incomplete; nothing was withdrawn.", *broken)
