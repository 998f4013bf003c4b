"""Which edition of a publication a worker serves, and when it asks its node for a newer one."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ocpi_nap.feed.editions.edition import Edition, described
from ocpi_nap.feed.editions.snapshots import CHANNEL
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.reader import FeedReader, NotReady

CHEAP_SECONDS = 0.5
"""An edition that took no more CPU time is made again when somebody asks for it after a change; others when it is time."""
_REST = 2
"""Times what it took, between two editions: readers wait rather than keep the node busy."""
_FIRST_PATIENCE = 10.0
"""Where there is nothing to show yet: no edition, or one of the time before the first locations came."""
_PAUSE = 10.0
"""Seconds until a node that did not answer is asked again."""
_NAP = 0.003


class WholeFeed:
    """The editions of one form, or those under another name that are made of it."""

    patience = 2.0
    """Seconds that a reader waits for a newer edition."""

    def __init__(self, reader: FeedReader, folder: Path, form: Form[Any], *, name: str = "", channel: str = CHANNEL) -> None:
        self._reader = reader
        self._folder = folder
        self.form = form
        self._name = name or form.name
        self._channel = channel
        self._known: Edition | None = None
        self._stamp = (0, 0)
        self._turn = asyncio.Lock()
        self._not_before = 0.0

    async def edition(self) -> Edition:
        """The one to serve; raises NotReady before there is one."""
        edition = self._read()
        if edition is not None and not self._worthwhile(edition):
            return edition
        async with self._turn:
            edition = self._read()
            if edition is None or self._worthwhile(edition):
                await self._ask(edition)
                edition = self._read()
        if edition is None:
            raise NotReady
        return edition

    def age(self) -> float:
        """Seconds since the edition that is served was found to be up to date; 0 before there is one."""
        edition = self._read()
        return 0.0 if edition is None else max(0.0, time.time() - edition.read_at)

    def due(self, edition: Edition) -> bool:
        """Whether a newer edition may be asked for, if anything changed."""
        return edition.seconds <= CHEAP_SECONDS

    def rest(self, edition: Edition) -> float:
        """Seconds that must lie between an edition and the next that is asked for."""
        return _REST * edition.seconds

    def _read(self) -> Edition | None:
        """The description, read again when it was replaced."""
        try:
            found = (self._folder / f"{self._name}.edition").stat()
        except OSError:
            return None
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._known, self._stamp = described(self._folder, self._name), stamp
        return self._known

    def _worthwhile(self, edition: Edition) -> bool:
        if edition.held is not None or time.monotonic() < self._not_before or not self.due(edition):
            return False
        with self._reader.reading() as reading:
            state = reading.state
            if edition.filling != state.filling or edition.revision != state.revisions.get(self.form.name):
                return True
            return not self.form.paged and bool(reading.stale(1))

    async def _ask(self, before: Edition | None) -> None:
        if before is not None:
            rest = self.rest(before)
            await asyncio.sleep(min(rest, max(0.0, before.built_at + rest - time.time())))
        with self._reader.reading() as reading:
            filling, position = reading.state.filling, reading.state.position
        await self._reader.ask(self._channel, f"{filling} {self._name}")
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience if before is not None and before.rows else _FIRST_PATIENCE):
                while True:
                    if self._answered(filling, position):
                        return
                    await asyncio.sleep(_NAP)  # another process writes it
        self._not_before = time.monotonic() + _PAUSE

    def _answered(self, filling: str, position: tuple[int, int]) -> bool:
        edition = self._read()
        if edition is None:
            return False
        return edition.held is not None or (edition.filling == filling and edition.position >= position)
