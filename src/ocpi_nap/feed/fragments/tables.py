"""What the tables of the fragments hold, and a consistent look at them.

The value of a row is when it last changed, where it is, and the fragment: none where the row is not published, compressed in forms
without pages. Beside each form stand its blocks: the runs of rows of which an edition is made, each with a number that is another as soon
as a row of it is, so that an edition finds what changed without looking at the rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import zstandard

from ocpi_nap.feed.fragments.keys import KINDS, LONGEST, NUMBER, Kind, key_party, row_number

LOG_KEPT = 20_000
"""Changed rows that are remembered for the readers' page caches; who is further behind takes everything for changed."""
HEAD = struct.Struct(">qiiB")
"""Time of the last change (µs), longitude and latitude (`places`), and how the fragment is kept:"""
HIDDEN, PLAIN, PACKED = range(3)

Entry = tuple[memoryview, int, int, int, memoryview | bytes]
"""Key, time of the last change in µs, longitude and latitude (`places`), fragment: empty when the row is hidden."""


class Block(NamedTuple):
    """A run of an operator's rows in feed order: those after a key up to another."""

    party: bytes
    """What their keys begin with."""
    after: bytes
    last: bytes
    """The key of its last row; behind all rows of the operator in its last block, which may be empty."""
    serial: int
    """No other block has it, and none had it before: greater than all numbers that there were when its rows last changed."""


class State(msgspec.Struct):
    """What the readable generation holds."""

    generation: int = 0
    """0: nothing yet."""
    filling: str = ""
    """A name for it that no other filling has."""
    identity: str = ""
    """Of the database, forms and settings that it was made from."""
    position: tuple[int, int] = (0, 0)
    """How far the change feed is rendered."""
    confirmed: float = 0.0
    """Unix time when nothing followed the position."""
    sequence: int = 0
    """The newest entry of the log of changed rows."""
    revisions: dict[str, int] = {}
    """By form: counts the batches that changed it."""
    releases: int = 0
    """How often held back snapshots were released."""
    operators: str = ""
    """The body of /operators."""
    operators_at: float = 0.0
    floor: int = 0
    """µs since 1970: when operators, platforms or clocks last changed, which shows in publications though no row is newer for it."""


decode_state = msgspec.json.Decoder(State).decode


class RowRecord(msgspec.Struct, array_like=True):
    """Where a row's fragments are, and the tariffs that its fragments show."""

    key: bytes
    tariffs: list[bytes] = []


encode_row = msgspec.msgpack.encode
decode_row = msgspec.msgpack.Decoder(RowRecord).decode


def state_of(txn: Any) -> State:
    """The state that a transaction sees."""
    found = txn.get(b"state")
    return decode_state(bytes(found)) if found is not None else State()


class Reading:
    """What a read transaction sees; memory views that it gives are good until its end."""

    def __init__(self, tables: dict[str, Any], txn: Any, state: State) -> None:
        self._tables = tables
        self._txn = txn
        self.state = state

    @cached_property
    def _unpack(self) -> Any:
        return zstandard.ZstdDecompressor().decompress

    def _fragment(self, value: memoryview) -> memoryview | bytes:
        coding, fragment = value[HEAD.size - 1], value[HEAD.size :]
        return fragment if coding != PACKED else bytes(self._unpack(fragment))

    def _values(self, form: str, after: bytes, prefix: bytes) -> Iterator[tuple[memoryview, memoryview]]:
        """(key, value) of a form's rows in feed order."""
        table = self._tables.get(f"form/{form}")
        if table is None:
            return
        with self._txn.cursor(table) as cursor:
            start = max(prefix, after)
            found = cursor.set_range(start) if start else cursor.first()
            if found and after and bytes(cursor.key()) == after:
                found = cursor.next()
            if not found:
                return
            size = len(prefix)
            for key, value in cursor.iternext():
                if size and key[:size] != prefix:
                    return
                yield key, value

    def scan(self, form: str, *, after: bytes = b"", prefix: bytes = b"") -> Iterator[Entry]:
        """A form's rows in feed order, hidden ones included."""
        head = HEAD.unpack_from
        for key, value in self._values(form, after, prefix):
            modified, lon, lat, _ = head(value)
            yield key, modified, lon, lat, self._fragment(value)

    def heads(self, form: str, *, after: bytes = b"", prefix: bytes = b"") -> Iterator[tuple[memoryview, int, bool]]:
        """Key, time of the last change in µs and whether it is published, of a form's rows in feed order: cheaper than with fragments."""
        head = HEAD.unpack_from
        for key, value in self._values(form, after, prefix):
            modified, _, _, coding = head(value)
            yield key, modified, coding != HIDDEN

    def blocks(self, form: str) -> Iterator[Block]:
        """The blocks of a form in feed order."""
        table = self._tables.get(f"block/{form}")
        if table is None:
            return
        party = after = b""
        with self._txn.cursor(table) as cursor:
            for key, number in cursor.iternext():
                last = bytes(key)
                if not party or not last.startswith(party):
                    party = after = key_party(last)
                yield Block(party, after, last, NUMBER.unpack(number)[0])
                after = last

    def block_rows(self, form: str, block: Block) -> tuple[list[bytes], int]:
        """The fragments of a block's published rows, and when any row of it, hidden ones included, last changed (µs)."""
        fragments, latest, head, size = [], 0, HEAD.unpack_from, HEAD.size
        for key, value in self._values(form, block.after, block.party):
            modified, _, _, coding = head(value)
            latest = max(latest, modified)
            if coding != HIDDEN:
                fragments.append(bytes(value[size:] if coding == PLAIN else self._unpack(value[size:])))
            if key == block.last:
                break
        return fragments, latest

    def count_rows(self, form: str, block: Block) -> tuple[int, int]:
        """How many of a block's rows are published, and when any row of it last changed (µs)."""
        rows, latest, head = 0, 0, HEAD.unpack_from
        for key, value in self._values(form, block.after, block.party):
            modified, _, _, coding = head(value)
            latest = max(latest, modified)
            rows += coding != HIDDEN
            if key == block.last:
                break
        return rows, latest

    def fragment(self, form: str, key: bytes) -> bytes | None:
        """One row's fragment; None when it is not published."""
        value = self._txn.get(key, db=self._tables[f"form/{form}"]) if self._tables else None
        return bytes(self._fragment(value)) or None if value is not None else None

    def changed(self, generation: int, sequence: int) -> list[tuple[str, bytes]] | None:
        """(kind, key) of the rows changed after an entry of the log; None when the log does not reach back so far."""
        state = self.state
        if generation != state.generation or sequence < state.sequence - LOG_KEPT:
            return None
        table = self._tables.get("log")
        if table is None or sequence == state.sequence:
            return []
        with self._txn.cursor(table) as cursor:
            if not cursor.set_range(NUMBER.pack(sequence + 1)):
                return []
            return [(KINDS[value[0]], bytes(value[1:])) for _, value in cursor.iternext()]

    def row(self, kind: str, pk: int, form: str) -> bytes | None:
        """One row's fragment; None when it is not published."""
        found = self._txn.get(NUMBER.pack(pk), db=self._tables[f"row/{kind}"]) if self._tables else None
        return self.fragment(form, decode_row(found).key) if found is not None else None

    def numbers(self, form: str, prefix: bytes) -> list[int]:
        """Numbers of the rows with a prefix, hidden ones included."""
        return [NUMBER.unpack(bytes(key[-8:]))[0] for key, *_ in self.heads(form, prefix=prefix)]

    def named(self, location: int) -> list[bytes]:
        """Keys of the tariffs that a location's connectors name."""
        found = self._txn.get(NUMBER.pack(location), db=self._tables["row/location"]) if self._tables else None
        return decode_row(found).tariffs if found is not None else []

    def naming(self, tariff: bytes) -> list[int]:
        """Numbers of the locations whose fragments show a tariff."""
        table = self._tables.get("naming")
        if table is None:
            return []
        with self._txn.cursor(table) as cursor:
            return [NUMBER.unpack(bytes(pk))[0] for pk in cursor.iternext_dup()] if cursor.set_key(tariff[:LONGEST]) else []

    def parties(self) -> dict[bytes, bytes]:
        """What was known of each operator when its rows were rendered."""
        table = self._tables.get("parties")
        return {} if table is None else {bytes(k): bytes(v) for k, v in self._txn.cursor(table).iternext()}

    def stale(self, count: int, after: tuple[Kind, int] = ("location", 0)) -> list[tuple[Kind, int]]:
        """(kind, number) of rows whose fragments that are not in pages wait for the next edition, those after one in order."""
        table = self._tables.get("stale")
        found: list[tuple[Kind, int]] = []
        if table is None:
            return found
        with self._txn.cursor(table) as cursor:
            if cursor.set_range(row_number(after[0], after[1] + 1)):
                for key in islice(cursor.iternext(values=False), count):
                    found.append((KINDS[key[0]], NUMBER.unpack(bytes(key[1:]))[0]))
        return found
