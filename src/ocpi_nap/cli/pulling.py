"""A pull of one platform on command."""

from __future__ import annotations

import sys

from ocpi_nap.cli.context import Context
from ocpi_nap.intake.crawl import Progress, PullReport, pull
from ocpi_nap.model.platform import Party
from ocpi_nap.ocpi.client import Peer


async def pull_platform(context: Context, name: str, *, full: bool, progress: Progress | None = None, confirm: bool = False) -> PullReport:
    """Pull tariffs and locations now, after a pull that is running already, and wait for the end; RegistryError without connection."""
    platform = await context.registry.platform(name)
    base = await context.registry.connected_peer(platform)

    def peer(party: Party | None) -> Peer:
        return context.registry.peer(platform, base.token, party=party)

    def waiting() -> None:
        print(f"Another pull of {name} is under way; waiting for its end.", file=sys.stderr)

    return await pull(context.db, context.client, peer, platform, full=full, progress=progress, confirm=confirm, on_wait=waiting,
                      area=context.registry.area)  # fmt: skip
