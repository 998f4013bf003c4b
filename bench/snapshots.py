"""Snapshots of 3,800, 38,000 and 380,000 locations with 1 % changed since the last: CPU time, time and memory of making them all.

The store is filled directly: the fragments of one simulated network, rendered, and repeated under other ids. Each size is measured in a
process of its own: `python -m bench.snapshots LOCATIONS FOLDER` prints its figures.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ocpi_nap.feed.editions.maker import EditionMaker
from ocpi_nap.feed.fragments.batch import Rendered
from ocpi_nap.feed.fragments.keys import feed_key
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.feed.views import LocationView, location_view
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.model import jsontext, objects
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.model.timestamps import to_micros
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.simulator.network import Network, NetworkSpec, SimulatedOperator
from ocpi_nap.store.feed import FeedEvse, FeedLocation

SIZES = (3_800, 38_000, 380_000)
_SAMPLES = 3800
_AT_ONCE = 1000
_NOW = datetime(2026, 11, 1, tzinfo=UTC)


def samples() -> list[LocationView]:
    """Simulated locations as the renderer sees them, with 5.2 EVSEs each as in Finland."""
    operators = (SimulatedOperator("SIM", "Simulated", ""),)
    network = Network(NetworkSpec("2.2.1", operators, _SAMPLES, int(_SAMPLES * 5.2), int(_SAMPLES * 5.3), 3000), _NOW)
    context = Context(1, VERSIONS["2.2.1"], PlatformSettings(), "push", _NOW)
    found = []
    for number, sent in enumerate(network.locations):
        raw = jsontext.parse(jsontext.dump(sent))
        operation = prepare_put(Operation("put", "location", NodeKey("FI", "SIM", raw["id"]), (1, "FI", "SIM", raw["id"]), context, raw))
        assert operation.location is not None
        row = FeedLocation(number, "FI", "SIM", raw["id"], objects.encode(operation.location), operation.raw_bytes, _NOW, _NOW, None, True,
                           "Simulated", None, None)  # fmt: skip
        for evse in operation.evses or ():
            row.evses.append(FeedEvse(evse.node.evse_id or evse.node.uid, objects.encode(evse.node), jsontext.dump(evse.raw), _NOW, _NOW,
                                      evse.raw["status"], _NOW, True, None))  # fmt: skip
        found.append(location_view(row))
    return found


def fill(store: FragmentStore, count: int, second: int, numbers: range, views: list[LocationView], generation: int | None) -> None:
    """Put the locations with these numbers, the samples over and over under operators of 10,000, as last changed in a second."""
    forms = [form for form in FORMS if form.rows == "location"]
    drawn = [(view, [(form, form.fragment(view)) for form in forms]) for view in views]
    moment = to_micros(_NOW) + second * 1_000_000
    stamp = f"2026-11-01T00:00:{second:02d}.".encode()
    for start in range(0, len(numbers), _AT_ONCE):
        with store.writing(generation) as batch:
            for number in numbers[start : start + _AT_ONCE]:
                view, parts = drawn[number % len(drawn)]
                fragments = [
                    (form, moment, None if part is None else part.replace(b"2026-11-01T00:00:00.", stamp)) for form, part in parts
                ]  # fmt: skip
                key = feed_key("FI", f"S{number * 100 // count:02d}", f"{view.row.id}-{number}", number + 1)
                batch.put(Rendered("location", number + 1, key, fragments))
    if generation is not None:
        with store.writing(generation) as batch:
            batch.switch("bench", [form.name for form in FORMS])


def measure(count: int, folder: Path) -> dict[str, float]:
    """Fill, make everything, change 1 %, make what changed."""
    store = FragmentStore.open(folder / "fragments", writable=True)
    views = samples()
    fill(store, count, 0, range(count), views, store.new_generation([form.name for form in FORMS]))
    maker = EditionMaker(store, folder / "snapshots")
    for form in FORMS:
        maker.make(form)
    fill(store, count, 1, range(0, count, 100), views, None)
    peak = _Peak()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    results = [maker.make(form) for form in FORMS if form.rows == "location"]
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    assert set(results) == {"built"}, results
    grown = peak.stop()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu, "s": seconds, "memory_mb": grown, "store_mb": store.size() / 1e6, **_bulk(folder)}


def _bulk(folder: Path) -> dict[str, float]:
    """The bulk formats, in their own process: CPU time and memory."""
    command = [sys.executable, "-m", "ocpi_nap.feed.editions.bulk", str(folder / "fragments"), str(folder / "snapshots")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command)
    peak = _Peak(process.pid)
    assert process.wait() == 0
    most, after = peak.stop(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"bulk_cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "bulk_memory_mb": most}


class _Peak:
    """How much memory of its own (not mapped files) a process takes at most, above what it had."""

    def __init__(self, pid: int | str = "self") -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._start = self._most = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _now(self) -> float:
        found = re.search(r"RssAnon:\s+(\d+)", self._status.read_text() if self._status.exists() else "")
        return int(found[1]) / 1024 if found else 0.0

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._most = max(self._most, self._now())

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._most - self._start


async def run(folder: Path) -> dict[str, Any]:
    """All sizes, one process after the other."""
    found: dict[str, Any] = {}
    for count in SIZES:
        command = [sys.executable, "-m", "bench.snapshots", str(count), str(folder / str(count))]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
        found |= {f"snapshot_{count}_{name}": value for name, value in json.loads(out).items()}
    return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), Path(sys.argv[2]))))
