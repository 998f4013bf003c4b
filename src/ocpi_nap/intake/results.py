"""What a merge gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocpi_nap.store.rows import Change, LocationRow, TariffRow


@dataclass(slots=True)
class Merged:
    """The row to store, whether the addressed object is new, and what the public will see."""

    row: LocationRow | TariffRow
    created: bool = False
    changed: bool = False
    changes: list[Change] = field(default_factory=list)
