"""Waiting, but not for ever: for events, for changes to come together, and beside other work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_LEAST, _MOST, _LONGEST_REST = 0.01, 0.25, 2.0
_SHARE = 0.2


async def happens(*events: asyncio.Event, within: float | None) -> bool:
    """Whether one of the events is set, or becomes set in so many seconds (None: however long it takes); returns as soon as it is."""
    if any(event.is_set() for event in events):
        return True
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for wait in waits:
            wait.cancel()


async def coalesce(busy: float) -> None:
    """Let changes come together before the next look at them: pushes come in many small commits, and a batch of any size has a cost of its
    own. For twice as long as the last batch took (``busy``, s), within 10 and 250 ms: under load there are fewer, larger batches."""
    await asyncio.sleep(min(max(2 * busy, _LEAST), _MOST))


async def rest(busy: float, *wanted: asyncio.Event) -> None:
    """Leave the processor to others for four times as long as the last batch took (``busy``, s), at least 10 ms and at most 2 s, or until
    somebody wants what changed meanwhile: what changes often while nobody looks is done once."""
    await happens(*wanted, within=min(max(busy / _SHARE - busy, _LEAST), _LONGEST_REST))


@asynccontextmanager
async def meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """What goes on beside the block and is cancelled at its end."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
