"""What is collected in memory and written a moment later: at most a second after it came, and at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)

_EVERY = 1.0


async def flush_regularly(stop: asyncio.Event, *flushes: Callable[[], Awaitable[None]]) -> None:
    """Flush every second until told to stop, and once more then. What a flush raises is logged and ends nothing."""
    while True:
        ending = await happens(stop, within=_EVERY)
        for flush in flushes:
            try:
                await flush()
            except Exception:
                log.exception("what was collected could not be written")
        if ending:
            return
