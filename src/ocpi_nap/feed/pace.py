"""The pause between two looks at what changed: pushes come in many small commits, and a batch of any size has a cost of its own."""

from __future__ import annotations

import asyncio

_LEAST = 0.01
_MOST = 0.05


async def gather(busy: float) -> None:
    """Let changes come together for as long as the last batch took (``busy``, s), within 10 to 50 ms: under load fewer, larger batches."""
    await asyncio.sleep(min(max(busy, _LEAST), _MOST))
