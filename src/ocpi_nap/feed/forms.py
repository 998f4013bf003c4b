"""A publication as data: a head, fragments in groups by operator, and a tail.

A fragment depends on one row alone, so that only what changed is rendered again; a publication is a concatenation of what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Generic, Literal, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What head and tail say of the whole publication."""

    modified_at: datetime
    """When anything in it last changed."""
    published_at: datetime
    """The time of this edition (DATEX II publicationTime)."""
    generated_at: datetime | None = None
    """When this answer was put together, where that is not the time of the edition (DATEX II messageGenerationTimestamp)."""
    groups: tuple[str, ...] = ()
    """The operators (``FI*ABC``) that have fragments in it, in feed order."""
    pagination: dict[str, Any] = field(default_factory=dict)
    """The member of that name (contract section 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[R]):
    """One publication in one encoding."""

    name: str
    """Stable and unique: the key under which fragments are kept. A new number at its end makes all of them be rendered again."""
    path: str
    """Below the base of the API, without ``/all``."""
    media_type: str
    encoding: Literal["json", "xml"] = "json"
    rows: Literal["location", "tariff"]
    """The kind of row that a fragment is made of."""
    fragment: Callable[[R], bytes | None]
    """The row's part; None when the row is not in this publication."""
    made_with: str = ""
    """What its fragments depend on besides the rows: all are rendered again when it differs from before."""
    head: Callable[[Envelope], bytes]
    tail: Callable[[Envelope], bytes]
    group_head: Callable[[str, Envelope], bytes] | None = None
    """Opens an operator's group; None: the fragments stand in one list."""
    group_tail: bytes = b""
    separator: bytes = b","
    paged: bool = False
    """Served in pages too: its fragments are rendered as soon as a row changes, those of others when the next edition is made."""
    rows_per_block: int = 16
    """How many of its fragments make a block on the average: the piece of an edition that is compressed anew when a row of it changes.
    Some 48 kB are a fair price: smaller ones are compressed less well."""
    statuses: bool = True
    """Its fragments of locations show statuses, or times that move with them; else no status makes a new publication."""
    prices: bool = False
    """Its fragments of locations show tariffs: they are rendered again when a tariff changes that a connector names."""
    facts: bool = False
    """Its fragments of locations show what the operator register says."""
    never_empty: bool = False
    """Without a fragment it cannot be valid: it is not served before there is one."""
    empty: Callable[[Envelope], bytes] | None = None
    """What stands between head and tail where there are no fragments; None: nothing."""

    def join(self, envelope: Envelope, groups: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
        """The publication in pieces, from (operator, its fragments) in feed order; operators without fragments are not among them."""
        yield self.head(envelope)
        first = True
        for operator, fragments in groups:
            before, opened = self.opening(operator, envelope, first=first), False
            for fragment in fragments:
                yield before + fragment
                before, first, opened = self.separator, False, True
            if opened:
                yield self.group_tail
        if first and self.empty is not None:
            yield self.empty(envelope)
        yield self.tail(envelope)

    def opening(self, operator: str, envelope: Envelope, *, first: bool) -> bytes:
        """What stands before the first fragment of an operator; ``first``: of all operators."""
        return (b"" if first else self.separator) + (b"" if self.group_head is None else self.group_head(operator, envelope))

    def ends_block(self, key: bytes) -> bool:
        """Whether the row with this key, if it is published, is the last of its block: on every node the same, whatever came before."""
        return int.from_bytes(blake2b(key, digest_size=8).digest()) % self.rows_per_block == 0
