"""What a write transaction changes in the fragments: rows with their blocks, and what else must be in step with them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import zstandard

from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.coordinates import NOWHERE
from ocpi_nap.feed.fragments.keys import AFTER_ALL, KINDS, LONGEST, NUMBER, Kind, key_party, row_number
from ocpi_nap.feed.fragments.tables import HEAD, HIDDEN, LOG_KEPT, PACKED, PLAIN, RowRecord, State, decode_row, encode_row

_PACKING_LEVEL = 1
_SERIAL_BITS = 24
"""Of a serial for the block in its transaction, the rest for the transaction: 16 million changes of a form in one."""


class Rendered(msgspec.Struct):
    """A row's fragments by form (None: not published), each with the time of its last change in µs."""

    kind: str
    pk: int
    key: bytes
    fragments: Sequence[tuple[Form[Any], int, bytes | None]]
    place: tuple[int, int] = (NOWHERE, NOWHERE)
    tariffs: list[bytes] | None = None
    """Keys of the tariffs that they show; None: as before."""


class _Blocks:
    """The blocks of a form while rows change: whatever block a changed row is in, or was in, gets a new serial."""

    def __init__(self, cursor: Any, form: Form[Any], first: int) -> None:
        self._cursor = cursor
        self._form = form
        self._first = NUMBER.pack(first)
        self._next = first + 1

    def changed(self, key: bytes, before: bool, now: bool) -> None:
        """A row was written or removed that was published before, is published now."""
        if not (before or now) or not self._form.ends_block(key):
            self._renew(key, key_party(key))
        elif before and now:
            self._put(key)
        else:  # a block is parted in two, or two are joined
            if now:
                self._put(key)
            elif self._cursor.set_key(key):
                self._cursor.delete()
            self._renew(key + b"\0", key_party(key))

    def _renew(self, start: bytes, party: bytes) -> None:
        """The block that holds the keys of an operator from one on."""
        cursor = self._cursor
        found = cursor.set_range(start) and cursor.key().startswith(party)
        if not found or cursor.value() < self._first:  # once a transaction will do
            self._put(cursor.key() if found else party + AFTER_ALL)

    def _put(self, last: bytes) -> None:
        self._cursor.put(last, NUMBER.pack(self._next))
        self._next += 1


class Batch:
    """What a write transaction changes."""

    def __init__(self, tables: dict[str, Any], txn: Any, state: State, generation: int) -> None:
        self._tables = tables
        self._txn = txn
        self.state = state
        self._generation = generation
        self._current = generation == state.generation
        self._changed: set[str] = set()
        self._blocks: dict[str, _Blocks] = {}
        self._packer: Any = None

    def put(self, row: Rendered) -> None:
        """Keep a row's fragments; what is as before is not written. A change of a form with pages goes into the log."""
        told = False
        for form, modified, fragment in row.fragments:
            table = self._tables[f"form/{form.name}"]
            value = self._value(form, modified, row.place, fragment)
            before = self._txn.get(row.key, db=table)
            if before == value:
                continue
            self._txn.put(row.key, value, db=table)
            self._change(form, row.key, before, bool(fragment))
            told = told or form.paged
        if told:
            self._log(row.kind, row.key)
        self._record(row)

    def _value(self, form: Form[Any], modified: int, place: tuple[int, int], fragment: bytes | None) -> bytes:
        if not fragment:
            return HEAD.pack(modified, *place, HIDDEN)
        if form.paged:
            return HEAD.pack(modified, *place, PLAIN) + fragment
        self._packer = self._packer or zstandard.ZstdCompressor(_PACKING_LEVEL)
        return HEAD.pack(modified, *place, PACKED) + bytes(self._packer.compress(fragment))

    def _change(self, form: Form[Any], key: bytes, before: bytes | None, now: bool) -> None:
        self._changed.add(form.name)
        if form.name not in self._blocks:
            cursor = self._txn.cursor(self._tables[f"block/{form.name}"])
            self._blocks[form.name] = _Blocks(cursor, form, self._txn.id() << _SERIAL_BITS)
        self._blocks[form.name].changed(key, before is not None and before[HEAD.size - 1] != HIDDEN, now)

    def _record(self, row: Rendered) -> None:
        rows, number = self._tables[f"row/{row.kind}"], NUMBER.pack(row.pk)
        found = self._txn.get(number, db=rows)
        old = decode_row(found) if found is not None else None
        tariffs = (old.tariffs if old else []) if row.tariffs is None else row.tariffs
        if old is not None and old.key == row.key and old.tariffs == tariffs:
            return
        self._name(number, old.tariffs if old else [], tariffs)
        self._txn.put(number, encode_row(RowRecord(row.key, tariffs)), db=rows)

    def _name(self, number: bytes, old: list[bytes], new: list[bytes]) -> None:
        naming = self._tables["naming"]
        for gone in set(old) - set(new):
            self._txn.delete(gone[:LONGEST], number, db=naming)
        for added in set(new) - set(old):
            self._txn.put(added[:LONGEST], number, db=naming)

    def drop(self, kind: Kind, pk: int, forms: Iterable[Form[Any]]) -> None:
        """Forget a row that is gone from the database."""
        rows, number = self._tables[f"row/{kind}"], NUMBER.pack(pk)
        found = self._txn.get(number, db=rows)
        if found is None:
            return
        row = decode_row(found)
        for form in forms:
            before = self._txn.pop(row.key, db=self._tables[f"form/{form.name}"])
            if before is not None:
                self._change(form, row.key, before, False)
        self._name(number, row.tariffs, [])
        self._txn.delete(number, db=rows)
        self._txn.delete(row_number(kind, pk), db=self._tables["stale"])
        self._log(kind, row.key)

    def raise_floor(self, moment: int, forms: Iterable[str]) -> None:
        """All of these forms are at least of this moment (µs): their editions are made again."""
        if moment > self.state.floor:
            self.state.floor = moment
            self._changed.update(forms)

    def mark_stale(self, kind: Kind, pks: Iterable[int]) -> None:
        """Their fragments that are not in pages wait for the next edition."""
        table = self._tables["stale"]
        for pk in pks:
            self._txn.put(row_number(kind, pk), b"", db=table)

    def unmark_stale(self, kind: Kind, pks: Iterable[int]) -> None:
        """They are rendered for the next edition."""
        table = self._tables["stale"]
        for pk in pks:
            self._txn.delete(row_number(kind, pk), db=table)

    def put_parties(self, parties: dict[bytes, bytes]) -> None:
        """Keep what is known of each operator."""
        table = self._tables["parties"]
        self._txn.drop(table, delete=False)
        for key, value in parties.items():
            self._txn.put(key, value, db=table)

    def _log(self, kind: str, key: bytes) -> None:
        if not self._current:
            return
        table, state = self._tables["log"], self.state
        state.sequence += 1
        self._txn.put(NUMBER.pack(state.sequence), bytes([KINDS.index(kind)]) + key, db=table, append=True)
        if state.sequence > LOG_KEPT:
            self._txn.delete(NUMBER.pack(state.sequence - LOG_KEPT), db=table)

    def switch(self, identity: str, forms: Iterable[str]) -> None:
        """The filled generation is the one that is read from now on."""
        self.state = State(self._generation, uuid.uuid4().hex, identity, revisions=dict.fromkeys(forms, 1),
                           operators=self.state.operators, operators_at=self.state.operators_at,
                           releases=self.state.releases, floor=self.state.floor)  # fmt: skip
        self._current = True
        self._changed.clear()

    def finish(self) -> None:
        """Write the state down, as part of the transaction."""
        if not self._current:
            return
        for form in self._changed:
            self.state.revisions[form] = self.state.revisions.get(form, 0) + 1
        self._txn.put(b"state", msgspec.json.encode(self.state))
