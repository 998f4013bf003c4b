"""What of each object is kept to compare it with a later answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from ocpi_nap.checker.recorder import Key, Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.model import jsontext, timestamps


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a list."""

    key: Key
    updated: datetime | None
    content: bytes
    """Digest of everything but the times."""
    evses: int


class Inventory:
    """The newest entry of each object."""

    def __init__(self, run: Run) -> None:
        self._zone = timestamps.zone(run.options.settings.naive_timezone)
        self.entries: dict[Key, Entry] = {}

    def take(self, item: bytes, _seen: Seen) -> None:
        """One entry of a list as it came; what is no object with an id is passed over."""
        try:
            value = jsontext.parse(item)
        except jsontext.NotJson:
            return
        if isinstance(value, dict) and isinstance(value.get("id"), str | int):
            self.add(value)

    def add(self, value: dict[str, Any]) -> None:
        """One object with an id, decoded."""
        key = (str(value.get("country_code", "")), str(value.get("party_id", "")), str(value["id"]))
        evses = value.get("evses")
        digest = blake2b(jsontext.dump(_timeless(value)), digest_size=16).digest()
        moment, _ = timestamps.parse(value.get("last_updated"), self._zone)
        entry = Entry(key, moment, digest, len(evses) if isinstance(evses, list) else 0)
        before = self.entries.get(key)
        if before is None or before.updated is None or (moment is not None and moment >= before.updated):
            self.entries[key] = entry


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items() if name != "last_updated"}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
