"""What a simulated platform remembers over a restart: its connection to the NAP and the statuses that changed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec


class SimulatedState(msgspec.Struct):
    """One file a platform, written in one go."""

    epoch: datetime
    """Reference time of the generated network."""
    token_a: str
    token_a_used: bool = False
    token_b: str | None = None
    """What we send to the NAP."""
    token_c: str | None = None
    """What the NAP sends to us."""
    nap_url: str = ""
    """Their versions URL."""
    receivers: dict[str, str] = {}
    """Their endpoints by module identifier."""
    statuses: dict[str, tuple[str, str]] = {}
    """``location/EVSE`` numbers to status and last_updated."""


def load(path: Path | None) -> SimulatedState | None:
    """The state in a file; None when there is none."""
    if path is None or not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=SimulatedState)


def save(path: Path | None, state: SimulatedState) -> None:
    """Replace the file as a whole, readable only to its owner: it holds tokens."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.encode(state))
    draft.replace(path)
