"""Run all benchmarks, print the table, keep the figures in bench/history/ (named by version, commit and time).

python -m bench.run [--seconds 10] [--only pushes,crawl,freshness,streams,reading,snapshots,datex] [--no-history]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from bench import crawl, datex, freshness, pushes, reading, snapshots, streams, wrk
from bench.nap import running
from ocpi_nap import __version__

_HISTORY = Path(__file__).parent / "history"
_PARTS = ("pushes", "crawl", "freshness", "streams", "reading", "snapshots", "datex")
# name, what it is, target, at least (True) or at most
_ROWS: tuple[tuple[str, str, float | None, bool], ...] = (
    ("patch_per_second", "PATCH of an EVSE status, durable, 64 connections: a second", 4000, True),
    ("patch_p99_ms", "… p99, ms", 50, False),
    ("floor_per_second", "the floor: bare Starlette, one UPDATE a request: a second", None, True),
    ("floor_p99_ms", "… p99, ms", None, False),
    ("patch_to_floor", "PATCH against the floor", 1, True),
    ("put_per_second", "PUT of a Location with 5 EVSEs, all changed: a second", 1000, True),
    ("put_new_per_second", "… first PUTs, mostly new", 1000, True),
    ("crawl_new_per_second", "crawl, new locations a second", 4000, True),
    ("crawl_unchanged_per_second", "crawl, unchanged locations a second", 20000, True),
    ("mqtt_changes_per_second", "64 platforms pushing: changes a second", 500, True),
    ("mqtt_p50_ms", "… on MQTT after, median, ms", None, False),
    ("mqtt_p99_ms", "… on MQTT after, p99, ms", 100, False),
    ("streams_per_second", "the same with 500 event streams and a follower of /changes: changes a second", 500, True),
    ("streams_sse_p50_ms", "… on an event stream after, median, ms", None, False),
    ("streams_sse_p99_ms", "… on an event stream after, p99, ms", 150, False),
    ("streams_changes_p99_ms", "… in /changes after, p99, ms", 150, False),
    ("streams_mqtt_p99_ms", "… on MQTT after, p99, ms", 150, False),
    ("page_per_second", "page of 500 locations, warm, gzip: a second", 1000, True),
    ("page_p99_ms", "… p99, ms", None, False),
    ("page_cold_ms", "… made anew, ms", 20, False),
    ("statuses_all_per_second", "all 19,800 statuses, warm, gzip: a second", 500, True),
    ("locations_all_per_second", "all 3,800 locations, warm, gzip: a second", None, True),
    ("datex_3.6_table_s", "DATEX II 3.6 table of 10,000 sites from scratch, JSON and XML together: CPU s", 10, False),
    ("datex_3.6_changed_s", "… with 1 % of them changed", 1, False),
    ("datex_3.6_status_json_s", "DATEX II 3.6 statuses of 50,000 EVSEs from scratch, JSON: CPU s", 0.5, False),
    ("datex_3.6_status_xml_s", "… XML", 1.5, False),
    ("datex_3.7_table_s", "DATEX II 3.7 table of 10,000 sites from scratch, JSON and XML together: CPU s", 10, False),
    ("datex_3.7_changed_s", "… with 1 % of them changed", 1, False),
    ("datex_3.7_status_json_s", "DATEX II 3.7 statuses of 50,000 EVSEs from scratch, JSON: CPU s", 0.5, False),
    ("datex_3.7_status_xml_s", "… XML", 1.5, False),
    ("worker_memory_mb", "memory of a worker with Finland's network, MB", 250, False),
    ("renderer_memory_mb", "… of the process that renders", 250, False),
    *(
        (f"snapshot_{count}_{name}", label.format(count), None, False)
        for count in snapshots.SIZES
        for name, label in (
            ("cpu_s", "snapshots of {:,} locations, 1 % changed: CPU s"), ("s", "… s"), ("memory_mb", "… memory above idle, MB"),
            ("bulk_cpu_s", "… the bulk formats, all made anew: CPU s"), ("bulk_memory_mb", "… memory of that process, MB"),
        )
    ),
)


def main() -> None:
    """The command line of the benchmarks."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=10, help="length of each load")
    options.add_argument("--locations", type=int, default=20_000, help="size of the crawled network")
    options.add_argument("--only", default=",".join(_PARTS), help="parts to run")
    options.add_argument("--no-history", action="store_true", help="do not keep the figures")
    given = options.parse_args()
    wrk.find()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_measure(given.only.split(","), given.seconds, given.locations))
    _show(figures)
    if not given.no_history:
        print(f"Kept in {_keep(figures)}")


async def _measure(parts: list[str], seconds: int, locations: int) -> dict[str, Any]:
    """Each part on a service and database of its own."""
    figures: dict[str, Any] = {}
    for part in parts:
        print(f"{part} …", flush=True)
        if part == "datex":  # needs no service
            figures |= await asyncio.to_thread(datex.run)
            continue
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            async with running(folder / "data") as nap:
                match part:
                    case "pushes":
                        figures |= await pushes.run(nap, folder, seconds)
                    case "crawl":
                        figures |= await crawl.run(nap, locations)
                    case "freshness":
                        figures |= await freshness.run(nap, seconds)
                    case "streams":
                        figures |= await streams.run(nap, folder, seconds)
                    case "reading":
                        figures |= await reading.run(nap, seconds)
                    case "snapshots":
                        figures |= await snapshots.run(folder)
                    case _:
                        raise SystemExit(f"unknown part {part}: one of {', '.join(_PARTS)}")
    return figures


def _show(figures: dict[str, Any]) -> None:
    table = Table("", "measured", "target", title=f"ocpi-nap {__version__}, {os.cpu_count()} cores, load generator included")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, label, target, least in _ROWS:
        if name not in figures:
            continue
        value = figures[name]
        met = target is None or (value >= target if least else value <= target)
        aim = "" if target is None else f"{'≥' if least else '≤'} {target:,g}"
        table.add_row(label, f"{value:,.2f}" if value < 10 else f"{value:,.0f}", aim if met else f"{aim} missed")
    console = Console(width=110)
    console.print(table)
    failed = {name: value for name, value in figures.items() if name.endswith("_failed") and value}
    if failed:
        console.print(f"Failed requests: {failed}")


def _keep(figures: dict[str, Any]) -> Path:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
    moment = datetime.now(UTC)
    record = {
        "version": __version__, "commit": commit, "at": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "cores": os.cpu_count(),
        "machine": platform.machine(), "python": platform.python_version(), "figures": figures,
    }  # fmt: skip
    _HISTORY.mkdir(exist_ok=True)
    path = _HISTORY / f"{__version__}-{commit or 'unknown'}-{moment:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
