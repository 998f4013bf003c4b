"""`ocpi-nap check`: what a CPO's platform is like, before it is onboarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
import typer

from ocpi_nap.app import identity
from ocpi_nap.checker import html, report
from ocpi_nap.checker.run import check as run_check
from ocpi_nap.checker.state import Host, Options
from ocpi_nap.cli.context import load_settings
from ocpi_nap.cli.errors import CliError
from ocpi_nap.cli.inside import served_inside
from ocpi_nap.cli.platform import setting_pairs
from ocpi_nap.model import ids
from ocpi_nap.ocpi import net
from ocpi_nap.registry.onboarding import parse_settings

_HERE = ("127.0.0.1", "0.0.0.0", "::1", "::", "localhost")


def check(
    versions_url: Annotated[str, typer.Argument(help="VERSIONS_URL of the platform.")],
    token: Annotated[str, typer.Option(envvar="OCPI_TOKEN", help="A token A, or a token C that opens locations and tariffs.")],
    encoding: Annotated[str, typer.Option(help="How the platform reads tokens: raw, base64, or auto, which tries.")] = "auto",
    register: Annotated[bool, typer.Option("--register", help="Go through the exchange of credentials and back.")] = False,
    listen: Annotated[float, typer.Option(min=0, help="With --register: seconds to wait for pushes.")] = 0,
    public_url: Annotated[str | None, typer.Option(help="With --register: base URL at which the platform reaches this machine.")] = None,
    host: Annotated[str, typer.Option(help="With --register: address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="With --register: port to listen on; 0 takes a free one.")] = 0,
    party_id: Annotated[str | None, typer.Option(help="PLATFORM_PARTY_ID.")] = None,
    country_code: Annotated[str, typer.Option(help="PLATFORM_COUNTRY_CODE.")] = "FI",
    operator: Annotated[list[str] | None, typer.Option(help='"FI*ABC;Operator name;https://abc.example", repeatable.')] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, a setting of the platform, repeatable.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one request.")] = 60,
    html_file: Annotated[Path, typer.Option("--html", help="Where the report goes, for people.")] = Path("ocpi-check.html"),
    json_file: Annotated[Path, typer.Option("--json", help="Where the report goes, for programs.")] = Path("ocpi-check.json"),
) -> None:
    """Check a CPO's platform against OCPI and what a NAP needs; status 0 only when it is ready for production."""
    node = load_settings()
    own = identity(node)
    try:
        options = Options(
            versions_url=net.check_form(versions_url, allow_private=True), token=_token(token), encoding=_encoding(encoding),
            settings=parse_settings(setting_pairs(settings)), operators=tuple(ids.parse_operator(item) for item in operator or ()),
            party=_party(country_code, party_id), register=register, listen=listen, timeout=timeout,
            own_party=(own.country_code, own.party_id), business_details=own.business_details, area=node.where,
        )  # fmt: skip
    except (ValueError, net.Refused) as error:
        raise CliError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    if not register and (listen or public_url is not None):
        raise CliError("--listen and --public-url need --register.")
    if register and public_url is None and not options.private:
        raise CliError("--register needs --public-url: the platform must reach this machine.")
    if options.settings.static_endpoints or (register and options.settings.registration == "none"):
        raise CliError("A platform without credentials cannot be registered with; one without versions cannot be checked.")
    for path in (html_file, json_file):
        if not path.parent.is_dir():
            raise CliError(f"{path} cannot be written: there is no folder {path.parent}.")
    try:
        run = asyncio.run(run_check(options, _host(host, port, public_url), say=lambda text: print(text, flush=True)))
    except OSError as error:
        raise CliError(f"Port {port} on {host} cannot be used: {error.strerror}.", "Choose another one with --port.") from None
    told = report.build(run)
    print("\n".join(["", *report.text(told), ""]))
    _write(html_file, html.page(told))
    _write(json_file, msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n")
    print(f"The report is in {html_file} and {json_file}.", flush=True)
    if told["verdict"]["outcome"] != "ready":
        raise CliError(told["verdict"]["sentence"])


def _host(host: str, port: int, public_url: str | None) -> Host:
    """Serves our side on this machine; the platform reaches it at the public URL, if one is given."""

    @asynccontextmanager
    async def serve(app: Any) -> AsyncIterator[str]:
        async with served_inside(app, host, port) as taken:
            name = "127.0.0.1" if host in _HERE else host
            yield public_url.rstrip("/") if public_url is not None else f"http://{name}:{taken}"

    return serve


def _token(text: str) -> str:
    if not text or len(text) > 255 or not all("\x21" <= sign <= "\x7e" for sign in text):
        raise ValueError("--token: 1 to 255 visible ASCII characters without spaces are required")
    return text


def _encoding(text: str) -> Literal["raw", "base64", "auto"]:
    if text not in ("raw", "base64", "auto"):
        raise ValueError(f"--encoding: raw, base64 or auto is required (got {text[:20]!r})")
    return cast(Literal["raw", "base64", "auto"], text)


def _party(country_code: str, party_id: str | None) -> tuple[str, str]:
    if party_id is None:
        return ("", "")
    return (ids.country_code(country_code, "--country-code"), ids.party_id(party_id, "--party-id"))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}.") from None
