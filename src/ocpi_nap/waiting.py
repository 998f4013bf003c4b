"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio


async def happens(event: asyncio.Event, *, within: float) -> bool:
    """Whether the event is set, or becomes set in so many seconds; returns as soon as it is."""
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        return False
    return True
