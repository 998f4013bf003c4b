"""A deviation from OCPI that was tolerated or refused (requirements R172, R198)."""

from __future__ import annotations

import msgspec


class Issue(msgspec.Struct, frozen=True):
    """One deviation in one object: where, which rule, in words, and a shortened sample of what came."""

    path: str
    """JSON path inside the object, e.g. ``evses[0].connectors[1].voltage``; "" for the object itself."""
    rule: str
    """Short stable name, e.g. ``number_as_text``, ``unknown_enum``, ``required_missing``."""
    message: str
    sample: str = ""

    def text(self) -> str:
        """The form used in OCPI status messages: ``path: what is wrong (got sample)``."""
        got = f" (got {self.sample})" if self.sample else ""
        return f"{self.path or 'object'}: {self.message}{got}"[:255]
