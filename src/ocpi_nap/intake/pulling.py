"""A pull of one registered platform, with the connection that the registry has of it."""

from __future__ import annotations

from collections.abc import Callable

from ocpi_nap.intake.crawl import Progress, PullReport, pull
from ocpi_nap.model.platform import Party, Platform
from ocpi_nap.ocpi.client import Peer
from ocpi_nap.registry import Registry


async def pull_platform(
    registry: Registry, platform: Platform, *, full: bool, progress: Progress | None = None, confirm: bool = False,
    on_wait: Callable[[], None] | None = None,
) -> PullReport:  # fmt: skip
    """Pull its tariffs and locations as `crawl.pull` does; raises RegistryError where it is not registered, and AlreadyRunning."""
    base = await registry.connected_peer(platform)

    def peer(party: Party | None) -> Peer:
        return registry.peer(platform, base.token, party=party)

    return await pull(
        registry.db, registry.client, peer, platform, full=full, progress=progress, confirm=confirm, on_wait=on_wait,
        area=registry.area,
    )  # fmt: skip
