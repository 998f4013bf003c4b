"""The fragments of all publications on the node's own disk, in LMDB: one writer, many processes that read the mapped file.

One ordered table a form, in feed order (contract section 9), so that a page or a whole publication is one scan. All tables of one filling
belong to a generation; a new one is filled beside the old, and one record names the one that is read. It is a cache: whatever is lost is
rendered again from the database, so nothing waits for the disk; after a crash of the machine it is filled afresh.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from ocpi_nap.feed.fragments.batch import Batch
from ocpi_nap.feed.fragments.keys import KINDS
from ocpi_nap.feed.fragments.tables import Reading, State, state_of

_MAP_BYTES = 1 << 36
_LAYOUT = "4"
_CLOSED = f"{_LAYOUT} closed"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def prepare(folder: Path) -> None:
    """Before anything opens the store: throw it away if the machine went down since it was written, or if it has another layout."""
    boot = f"{_LAYOUT} {_BOOT.read_text().strip() if _BOOT.exists() else ''}"
    mark = folder / "written-since-boot"
    written = mark.read_text() if mark.exists() else None
    if written not in (_CLOSED, boot):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(boot)


def close(folder: Path) -> None:
    """After everything has closed the store: all of it is on the disk, so that even the machine may go down."""
    if (folder / "data.mdb").exists():
        with lmdb.open(str(folder), map_size=_MAP_BYTES, max_dbs=1) as env:
            env.sync(True)
    (folder / "written-since-boot").write_text(_CLOSED)


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
        """Close the environment; what was read or written with it must not be used any more."""
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
                state = state_of(txn)
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
            state = state_of(txn)
            number = state.generation if generation is None else generation
            batch = Batch(self._tables[number], txn, state, number)
            yield batch
            batch.finish()

    def new_generation(self, forms: Iterable[str]) -> int:
        """Tables for a new filling; what an interrupted one left is removed."""
        with self._env.begin() as txn:
            current = state_of(txn).generation
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
    tables = [f"{table}/{form}" for form in forms for table in ("form", "block")]
    return [*tables, *(f"row/{kind}" for kind in KINDS), "log", "naming", "parties", "stale"]


def identity(*parts: object) -> str:
    """A text that differs when the layout or any of the parts do."""
    return msgspec.json.encode([_LAYOUT, *parts]).decode()
