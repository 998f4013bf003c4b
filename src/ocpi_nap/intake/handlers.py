"""What the queued jobs do: the pull of a platform that is due, a repair after a push, new tokens, a task of the console."""

from __future__ import annotations

import logging

from ocpi_nap.intake.crawl import AlreadyRunning
from ocpi_nap.intake.jobs import CrawlJob, RepairJob, RotateJob, TaskJob
from ocpi_nap.intake.pulling import pull_platform
from ocpi_nap.intake.repair import repair_location
from ocpi_nap.intake.tasks import run_task
from ocpi_nap.ocpi.client import PeerError
from ocpi_nap.registry import Registry, RegistryError, handshake, rotation
from ocpi_nap.store.crawls import put_off_full

log = logging.getLogger(__name__)


class RegistryJobHandlers:
    """Implements intake.jobs.JobHandlers. A platform that is gone meanwhile, or cannot be reached, is logged and no failure of the job."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def crawl(self, job: CrawlJob) -> None:
        """Pull the platform; where its endpoints answer 404 or 410, they are looked up again first (R62)."""
        platform = await self._registry.platform_by_id(job.platform_id)
        if platform is None or platform.paused:
            return
        full = job.full or platform.settings.full_only
        try:
            reports = await pull_platform(self._registry, platform, full=full)
            moved = any(report.http_status in (404, 410) for report in reports.values())
            if moved and await handshake.refresh_endpoints(self._registry, platform.name):
                reports = await pull_platform(self._registry, await self._registry.platform(platform.name), full=full)
        except AlreadyRunning as error:
            if full:  # it is what withdraws, and what a new registration begins with: it must not wait for its next turn
                async with self._registry.db.connection() as conn:
                    await put_off_full(conn, platform.id)
            log.info("no pull of %s: %s", platform.name, error)
            return
        except RegistryError as error:
            log.info("no pull of %s: %s", platform.name, error)
            return
        for module, report in reports.items():
            log.info("pulled %s %s: %s", platform.name, module, report.as_dict())

    async def repair(self, job: RepairJob) -> None:
        """Fetch one Location that a push spoke of (D6)."""
        platform = await self._registry.platform_by_id(job.platform_id)
        if platform is None or platform.paused:
            return
        try:
            peer = await self._registry.connected_peer(platform)
            await repair_location(self._registry.db, self._registry.client, peer, platform, job.address, area=self._registry.area)
        except (RegistryError, PeerError) as error:
            log.info("location %s of %s could not be fetched: %s", job.address.id, platform.name, error)

    async def rotations_due(self) -> list[int]:
        """Platforms whose tokens are to be renewed."""
        return await rotation.due(self._registry)

    async def rotate(self, job: RotateJob) -> None:
        """New tokens for both sides (R104)."""
        platform = await self._registry.platform_by_id(job.platform_id)
        if platform is None:
            return
        try:
            await handshake.rotate(self._registry, platform.name)
        except RegistryError as error:
            log.warning("the tokens of %s were not rotated: %s", platform.name, error)

    async def task(self, job: TaskJob) -> None:
        """What somebody asked for in the console."""
        await run_task(self._registry, job.task_id)
