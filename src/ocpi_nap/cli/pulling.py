"""A pull of one platform on command."""

from __future__ import annotations

from ocpi_nap.cli.context import Context
from ocpi_nap.cli.errors import CliError
from ocpi_nap.intake.crawl import AlreadyRunning, Progress, PullReport, pull
from ocpi_nap.model.platform import Party
from ocpi_nap.ocpi.client import Peer


async def pull_platform(context: Context, name: str, *, full: bool, progress: Progress | None = None, confirm: bool = False) -> PullReport:
    """Pull tariffs and locations now and wait for the end; CliError when a pull is running already, RegistryError without connection."""
    platform = await context.registry.platform(name)
    base = await context.registry.connected_peer(platform)

    def peer(party: Party | None) -> Peer:
        return context.registry.peer(platform, base.token, party=party)

    try:
        return await pull(context.db, context.client, peer, platform, full=full, progress=progress, confirm=confirm)
    except AlreadyRunning as error:
        raise CliError(f"{str(error)[0].upper()}{str(error)[1:]}.", "Wait for it to end and try again.") from None
