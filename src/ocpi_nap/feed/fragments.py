"""The fragments of all publications on the node's own disk, in LMDB: one writer, many processes that read the mapped file.

One ordered table a form, in feed order (contract section 9), so that a page or a whole publication is one scan. A value is the time (µs)
when the row last changed, where it is, and the fragment, which is empty where the row is not published. All tables of one filling belong
to a generation; a new one is filled beside the old, and one record names the one that is read. It is a cache: whatever is lost is
rendered again from the database, so nothing waits for the disk; after a crash of the machine it is filled afresh.
"""

from __future__ import annotations

import shutil
import struct
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import lmdb
import msgspec

from ocpi_nap.feed.places import NOWHERE

Kind = Literal["location", "tariff"]
KINDS: tuple[Kind, ...] = ("location", "tariff")
LOG_KEPT = 20_000
"""Changed rows that are remembered for the readers' page caches; who is further behind takes everything for changed."""
_MAP_BYTES = 1 << 36
_LONGEST = 480
"""LMDB keys hold 511 bytes: of longer ids the rest does not count for the order."""
_HEAD = struct.Struct(">qii")
_NUMBER = struct.Struct(">Q")
_LAYOUT = "3"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


Entry = tuple[memoryview, int, int, int, memoryview]
"""Key, time of the last change in µs, longitude and latitude (`places`), fragment: empty when the row is hidden."""


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


_decode_state = msgspec.json.Decoder(State).decode


class RowRecord(msgspec.Struct, array_like=True):
    """Where a row's fragments are, and the tariffs that its fragments show."""

    key: bytes
    tariffs: list[bytes] = []


_encode_row = msgspec.msgpack.encode
_decode_row = msgspec.msgpack.Decoder(RowRecord).decode


def _row_number(kind: str, pk: int) -> bytes:
    return bytes([KINDS.index(kind)]) + _NUMBER.pack(pk)


def party_prefix(country_code: str, party_id: str) -> bytes:
    """What the keys of an operator's rows begin with."""
    return f"{country_code}\0{party_id}\0".encode()


def id_prefix(country_code: str, party_id: str, row_id: str) -> bytes:
    """What the keys of the rows with an id begin with."""
    return f"{country_code}\0{party_id}\0{row_id}".encode()[:_LONGEST] + b"\0"


def feed_key(country_code: str, party_id: str, row_id: str, pk: int) -> bytes:
    """Country, party, id, then the row's number."""
    return id_prefix(country_code, party_id, row_id) + _NUMBER.pack(pk)


def key_party(key: bytes) -> bytes:
    """The part of a key that is the same for all rows of an operator."""
    return key[: key.index(b"\0", key.index(b"\0") + 1) + 1]


def key_operator(key: bytes) -> str:
    """``FI*ABC``"""
    country, party, _ = key.split(b"\0", 2)
    return f"{country.decode()}*{party.decode()}"


def prepare(folder: Path) -> None:
    """Before anything opens the store: throw it away if the machine went down since it was written."""
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    mark = folder / "written-since-boot"
    written = mark.read_text() if mark.exists() else None
    if written != "closed" and written != boot:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(boot)


def close(folder: Path) -> None:
    """After everything has closed the store: all of it is on the disk, so that even the machine may go down."""
    if (folder / "data.mdb").exists():
        with lmdb.open(str(folder), map_size=_MAP_BYTES, max_dbs=1) as env:
            env.sync(True)
    (folder / "written-since-boot").write_text("closed")


class FragmentStore:
    """The environment of this process: open it once a process."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._tables: dict[int, dict[str, Any]] = {}
        self._opening = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, writable: bool = False) -> FragmentStore:
        """Open it; a reader raises lmdb.Error where there is none yet."""
        if writable:
            folder.mkdir(parents=True, exist_ok=True)
        return cls(
            lmdb.open(str(folder), map_size=_MAP_BYTES, max_dbs=1024, max_readers=1024, readonly=not writable, create=writable,
                      sync=False, metasync=False, readahead=False)
        )  # fmt: skip

    def close(self) -> None:
        self._env.close()

    def size(self) -> int:
        """Bytes in use, all generations together."""
        info, stat = self._env.info(), self._env.stat()
        return int((info["last_pgno"] + 1) * stat["psize"])

    def forget_dead_readers(self) -> None:
        """A killed reader would keep old pages from being used again."""
        self._env.reader_check()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """One consistent look at everything."""
        while True:
            with self._env.begin(buffers=True) as txn:
                state = _state(txn)
                if not state.generation or state.generation in self._tables:
                    yield Reading(self._tables.get(state.generation, {}), txn, state)
                    return
            self._open_tables(state)

    def _open_tables(self, state: State) -> None:
        """A transaction knows only the tables that were opened before it began."""
        with self._opening:
            if state.generation not in self._tables:
                names = _tables_of(state.revisions)
                with suppress(lmdb.NotFoundError):  # removed since: a newer generation is there
                    opened = {name: self._env.open_db(f"g{state.generation}/{name}".encode(), create=False) for name in names}
                    self._tables[state.generation] = opened

    @contextmanager
    def writing(self, generation: int | None = None) -> Iterator[Batch]:
        """One transaction; ``generation`` is one that is being filled, None the one that is read."""
        with self.reading():
            pass  # the tables are open now
        with self._env.begin(write=True) as txn:
            state = _state(txn)
            number = state.generation if generation is None else generation
            batch = Batch(self._tables[number], txn, state, number)
            yield batch
            batch.finish()

    def new_generation(self, forms: Iterable[str]) -> int:
        """Tables for a new filling; what an interrupted one left is removed."""
        with self._env.begin() as txn:
            current = _state(txn).generation
        self._remove(lambda generation: generation != current)
        names = _tables_of(forms)
        with self._opening, self._env.begin(write=True) as txn:
            opened = {
                name: self._env.open_db(f"g{current + 1}/{name}".encode(), txn=txn, dupsort=name == "naming") for name in names
            }  # fmt: skip
        self._tables[current + 1] = opened
        return current + 1

    def remove_generation(self, generation: int) -> None:
        """Give the space of an old generation back."""
        self._remove(lambda found: found == generation)

    def _remove(self, unwanted: Callable[[int], bool]) -> None:
        with self._env.begin() as txn:
            names = [name.decode() for name in txn.cursor().iternext(values=False)]
        for name in names:
            generation = int(name[1:].split("/")[0]) if name.startswith("g") else 0
            if not generation or not unwanted(generation):
                continue
            with self._opening, self._env.begin(write=True) as txn:
                known = self._tables.get(generation, {}).get(name.split("/", 1)[1])
                txn.drop(known if known is not None else self._env.open_db(name.encode(), txn=txn), delete=True)
        for generation in [number for number in self._tables if unwanted(number)]:
            del self._tables[generation]


def _tables_of(forms: Iterable[str]) -> list[str]:
    return [*(f"form/{form}" for form in forms), *(f"row/{kind}" for kind in KINDS), "log", "naming", "parties", "stale"]


def _state(txn: Any) -> State:
    found = txn.get(b"state")
    return _decode_state(bytes(found)) if found is not None else State()


class Reading:
    """What a read transaction sees; memory views that it gives are good until its end."""

    def __init__(self, tables: dict[str, Any], txn: Any, state: State) -> None:
        self._tables = tables
        self._txn = txn
        self.state = state

    def scan(self, form: str, *, after: bytes = b"", prefix: bytes = b"") -> Iterator[Entry]:
        """A form's rows in feed order, hidden ones included."""
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
            size, unpack, size_of_head = len(prefix), _HEAD.unpack_from, _HEAD.size
            for key, value in cursor.iternext():
                if size and key[:size] != prefix:
                    return
                modified, lon, lat = unpack(value)
                yield key, modified, lon, lat, value[size_of_head:]

    def changed(self, generation: int, sequence: int) -> list[tuple[str, bytes]] | None:
        """(kind, key) of the rows changed after an entry of the log; None when the log does not reach back so far."""
        state = self.state
        if generation != state.generation or sequence < state.sequence - LOG_KEPT:
            return None
        table = self._tables.get("log")
        if table is None or sequence == state.sequence:
            return []
        with self._txn.cursor(table) as cursor:
            if not cursor.set_range(_NUMBER.pack(sequence + 1)):
                return []
            return [(KINDS[value[0]], bytes(value[1:])) for _, value in cursor.iternext()]

    def row(self, kind: str, pk: int, form: str) -> bytes | None:
        """One row's fragment; None when it is not published."""
        found = self._txn.get(_NUMBER.pack(pk), db=self._tables[f"row/{kind}"]) if self._tables else None
        value = self._txn.get(_decode_row(found).key, db=self._tables[f"form/{form}"]) if found is not None else None
        return bytes(value[_HEAD.size :]) or None if value is not None else None

    def numbers(self, form: str, prefix: bytes) -> list[int]:
        """Numbers of the rows with a prefix, hidden ones included."""
        return [_NUMBER.unpack(bytes(key[-8:]))[0] for key, *_ in self.scan(form, prefix=prefix)]

    def named(self, location: int) -> list[bytes]:
        """Keys of the tariffs that a location's connectors name."""
        found = self._txn.get(_NUMBER.pack(location), db=self._tables["row/location"]) if self._tables else None
        return _decode_row(found).tariffs if found is not None else []

    def naming(self, tariff: bytes) -> list[int]:
        """Numbers of the locations whose fragments show a tariff."""
        table = self._tables.get("naming")
        if table is None:
            return []
        with self._txn.cursor(table) as cursor:
            return [_NUMBER.unpack(bytes(pk))[0] for pk in cursor.iternext_dup()] if cursor.set_key(tariff[:_LONGEST]) else []

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
            if cursor.set_range(_row_number(after[0], after[1] + 1)):
                for key in islice(cursor.iternext(values=False), count):
                    found.append((KINDS[key[0]], _NUMBER.unpack(bytes(key[1:]))[0]))
        return found


class Rendered(msgspec.Struct):
    """A row's fragments by form (None: not published), each with the time of its last change in µs."""

    kind: str
    pk: int
    key: bytes
    fragments: Sequence[tuple[str, int, bytes | None]]
    place: tuple[int, int] = (NOWHERE, NOWHERE)
    tariffs: list[bytes] | None = None
    """Keys of the tariffs that they show; None: as before."""


class Batch:
    """What a write transaction changes."""

    def __init__(self, tables: dict[str, Any], txn: Any, state: State, generation: int) -> None:
        self._tables = tables
        self._txn = txn
        self.state = state
        self._generation = generation
        self._current = generation == state.generation
        self._changed: set[str] = set()

    def put(self, row: Rendered, paged: Iterable[str] = ()) -> None:
        """Keep a row's fragments; what is as before is not written. A change of a form in ``paged`` goes into the log."""
        told = False
        for form, modified, fragment in row.fragments:
            table = self._tables[f"form/{form}"]
            value = _HEAD.pack(modified, *row.place) + (fragment or b"")
            if self._txn.get(row.key, db=table) == value:
                continue
            self._txn.put(row.key, value, db=table)
            self._changed.add(form)
            told = told or form in paged
        if told:
            self._log(row.kind, row.key)
        self._record(row)

    def _record(self, row: Rendered) -> None:
        rows, number = self._tables[f"row/{row.kind}"], _NUMBER.pack(row.pk)
        found = self._txn.get(number, db=rows)
        old = _decode_row(found) if found is not None else None
        tariffs = (old.tariffs if old else []) if row.tariffs is None else row.tariffs
        if old is not None and old.key == row.key and old.tariffs == tariffs:
            return
        self._name(number, old.tariffs if old else [], tariffs)
        self._txn.put(number, _encode_row(RowRecord(row.key, tariffs)), db=rows)

    def _name(self, number: bytes, old: list[bytes], new: list[bytes]) -> None:
        naming = self._tables["naming"]
        for gone in set(old) - set(new):
            self._txn.delete(gone[:_LONGEST], number, db=naming)
        for added in set(new) - set(old):
            self._txn.put(added[:_LONGEST], number, db=naming)

    def drop(self, kind: Kind, pk: int, forms: Iterable[str]) -> None:
        """Forget a row that is gone from the database."""
        rows, number = self._tables[f"row/{kind}"], _NUMBER.pack(pk)
        found = self._txn.get(number, db=rows)
        if found is None:
            return
        row = _decode_row(found)
        for form in forms:
            if self._txn.delete(row.key, db=self._tables[f"form/{form}"]):
                self._changed.add(form)
        self._name(number, row.tariffs, [])
        self._txn.delete(number, db=rows)
        self._txn.delete(_row_number(kind, pk), db=self._tables["stale"])
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
            self._txn.put(_row_number(kind, pk), b"", db=table)

    def unmark_stale(self, kind: Kind, pks: Iterable[int]) -> None:
        table = self._tables["stale"]
        for pk in pks:
            self._txn.delete(_row_number(kind, pk), db=table)

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
        self._txn.put(_NUMBER.pack(state.sequence), bytes([KINDS.index(kind)]) + key, db=table, append=True)
        if state.sequence > LOG_KEPT:
            self._txn.delete(_NUMBER.pack(state.sequence - LOG_KEPT), db=table)

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


def identity(*parts: object) -> str:
    """A text that differs when the layout or any of the parts do."""
    return msgspec.json.encode([_LAYOUT, *parts]).decode()
