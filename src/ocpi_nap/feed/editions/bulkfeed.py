"""When the bulk formats are made: when somebody asks for them, the last are old enough, and something changed."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from pathlib import Path

from prometheus_client import Counter

from ocpi_nap.feed.editions.edition import Edition, described
from ocpi_nap.feed.editions.whole import WholeFeed
from ocpi_nap.feed.fragments.reader import FeedReader
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.render import LOCATIONS
from ocpi_nap.store.database import Database
from ocpi_nap.waiting import happens, meanwhile

log = logging.getLogger(__name__)

CHANNEL = "bulk"
"""Of PostgreSQL: a worker asks its node for the bulk formats. Payload: name of the store's filling, and a name nobody reads."""
FORMATS = {
    "parquet": ("application/vnd.apache.parquet", "GeoParquet"),
    "fgb": ("application/flatgeobuf", "FlatGeobuf"),
    "csv": ("text/csv; charset=utf-8", "CSV"),
}
"""By the end of their path: media type and name."""
_BUILDS = Counter("ocpi_nap_bulk_builds_total", "Makings of the bulk formats", ["result"])


def edition_name(kind: str) -> str:
    """Under which an edition is described."""
    return f"locations-bulk-1.{kind}"


class BulkFeed(WholeFeed):
    """The editions of one bulk format."""

    patience = 10.0

    def __init__(self, reader: FeedReader, folder: Path, kind: str, seconds: float) -> None:
        super().__init__(reader, folder, LOCATIONS, name=edition_name(kind), channel=CHANNEL)
        self._seconds = seconds

    def due(self, edition: Edition) -> bool:
        """When it is old enough, and the locations that it would show are not held back."""
        if time.time() - edition.built_at < self._seconds:
            return False
        locations = described(self._folder, LOCATIONS.name)
        return locations is None or locations.held is None

    def rest(self, edition: Edition) -> float:
        """None: `due` lets enough time pass."""
        return 0.0


class BulkBuilder:
    """Makes all bulk formats in a process of their own when a worker asks."""

    def __init__(self, db: Database, renderer: Renderer, fragments: Path, snapshots: Path) -> None:
        self._db = db
        self._renderer = renderer
        self._fragments = fragments
        self._snapshots = snapshots
        for result in ("built", "failed"):  # Prometheus sees no increase in a series that begins with 1
            _BUILDS.labels(result)

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for workers that ask, until told to stop."""
        asked = asyncio.Event()

        async def watch() -> None:
            async for payload in self._db.listen(CHANNEL):
                if payload and payload.split(" ")[0] == self._filling():
                    asked.set()

        async with meanwhile(watch()):
            while not stop.is_set():
                await happens(asked, stop, within=None)
                if asked.is_set():
                    asked.clear()
                    await self.build()

    def _filling(self) -> str:
        with self._renderer.store.reading() as reading:
            return reading.state.filling

    async def build(self) -> None:
        """Make all formats, unless locations are held back or there is nothing new; the last ones stay when it fails."""
        with self._renderer.store.reading() as reading:
            state = reading.state
        locations, last = (described(self._snapshots, name) for name in (LOCATIONS.name, edition_name("csv")))
        if locations is not None and locations.held is not None and last is not None:
            return
        if last is not None and (last.filling, last.revision) == (state.filling, state.revisions.get(LOCATIONS.name)):
            return
        command = [sys.executable, "-m", "ocpi_nap.feed.editions.bulk", str(self._fragments), str(self._snapshots)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, errors = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode:
            log.error("the bulk formats could not be made: %s", errors.decode(errors="replace").strip()[-2000:])
        _BUILDS.labels("failed" if process.returncode else "built").inc()
