"""A pull of one platform on command."""

from __future__ import annotations

import sys

from ocpi_nap.cli.context import Context
from ocpi_nap.intake import pulling
from ocpi_nap.intake.crawl import Progress, PullReport


async def pull_platform(context: Context, name: str, *, full: bool, progress: Progress | None = None, confirm: bool = False) -> PullReport:
    """Pull tariffs and locations now, after a pull that is running already, and wait for the end; RegistryError without connection."""

    def waiting() -> None:
        print(f"Another pull of {name} is under way; waiting for its end.", file=sys.stderr)

    platform = await context.registry.platform(name)
    return await pulling.pull_platform(context.registry, platform, full=full, progress=progress, confirm=confirm, on_wait=waiting)
