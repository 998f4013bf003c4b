"""From a push to 500 event streams, to /changes and to MQTT at once, with over 500 changes a second; every change must arrive."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench.freshness import MqttListener, delays_of, platforms_of, push_all
from bench.nap import Nap

_LISTENERS = 500


async def run(nap: Nap, folder: Path, seconds: int) -> dict[str, Any]:
    """Latency from sending the PATCH to arrival; all processes read the same clock."""
    file = folder / "seen.json"
    async with AsyncExitStack() as stack:
        platforms = await platforms_of(nap, stack)
        command = [sys.executable, "-m", "bench.listeners", nap.url, str(_LISTENERS), str(file)]
        readers = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        stack.callback(_end, readers)
        assert readers.stdout is not None
        assert await asyncio.wait_for(readers.stdout.readline(), 60) == b"listening\n"
        mqtt = MqttListener()
        await mqtt.connect(nap.mqtt_port)
        sent, since, refused = await push_all(platforms, seconds)
        await asyncio.wait_for(mqtt.all_of(sent), 10)
        await asyncio.sleep(2)  # what has not come to the streams by now is missing
        await mqtt.close()
        await asyncio.wait_for(readers.communicate(b""), 60)
    found = json.loads(file.read_text())
    wanted = {f"{evse_id}|{time}" for evse_id, time in sent}
    missing = sum(len(wanted - seen.keys()) for seen in (*found["seen"], found["changes"]))
    missing += sum(max(0, len(wanted) - count) for count in found["counts"])
    figures: dict[str, Any] = {"streams_failed": refused, "streams_missing_failed": missing}
    ways = {"sse": [_keyed(seen) for seen in found["seen"]], "changes": [_keyed(found["changes"])], "mqtt": [mqtt.seen]}
    for name, readings in ways.items():
        delays = sorted(delay for seen in readings for delay in delays_of(_arrived(sent, seen), seen, since))
        figures |= {f"streams_{name}_p50_ms": delays[len(delays) // 2], f"streams_{name}_p99_ms": delays[int(len(delays) * 0.99)],
                    f"streams_{name}_most_ms": delays[-1]}  # fmt: skip
    return figures | {"streams_per_second": sum(moment >= since for moment in sent.values()) / seconds}


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


def _keyed(seen: dict[str, float]) -> dict[tuple[str, str], float]:
    return {(key.partition("|")[0], key.partition("|")[2]): moment for key, moment in seen.items()}


def _arrived(sent: dict[tuple[str, str], float], seen: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {key: moment for key, moment in sent.items() if key in seen}
