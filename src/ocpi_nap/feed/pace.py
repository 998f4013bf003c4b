"""The pause between two looks at what changed: pushes come in many small commits, and a batch of any size has a cost of its own."""

from __future__ import annotations

import asyncio

from ocpi_nap.waiting import happens

_LEAST = 0.01
_MOST = 0.25
_LONGEST_REST = 2.0
_SHARE = 0.2


async def gather(busy: float) -> None:
    """Let changes come together for as long as the last batch took (``busy``, s), within 10 to 50 ms: under load fewer, larger batches."""
    await asyncio.sleep(min(max(2 * busy, _LEAST), _MOST))


async def rest(busy: float, wanted: asyncio.Event) -> None:
    """Leave the processor to others for four times as long as the last batch took (``busy``, s), at least 10 ms and at most 2 s, or until
    somebody wants what changed meanwhile: what changes often while nobody looks is done once."""
    await happens(wanted, within=min(max(busy / _SHARE - busy, _LEAST), _LONGEST_REST))
