"""`ocpi-nap demo`: Finland's network served, stopped by Ctrl-C without a trace, and resumed."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from ocpi_nap.simulator.network import STATUS_MIX
from tests.ports import free_ports

API = "/api/charging-network/v1"


def read(url: str) -> Any:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request) as answer:
        body = answer.read()
    return json.loads(gzip.decompress(body))


async def run(environment: dict[str, str], port: int) -> tuple[asyncio.subprocess.Process, str]:
    """Start it and return what it printed up to the end of its explanation."""
    ports = ["--port", str(port), "--simulator-port", str(port + 1)]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("ocpi-nap")), "demo", *ports, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(90):
        while "Ctrl-C stops everything" not in printed:
            line = (await process.stdout.readline()).decode()
            assert line, printed
            printed += line
    return process, printed


async def stop(process: asyncio.subprocess.Process) -> str:
    process.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out
    return out.decode()


async def test_the_demo(tmp_path: Path) -> None:
    """Exact sizes, the mix of statuses, the commands it prints, a clean end, and the same data after a new start."""
    port, *_simulated, mqtt_port = free_ports(5)
    environment = {**os.environ, "OCPI_NAP_DATA_DIR": str(tmp_path / "data"), "OCPI_NAP_MQTT_PORT": str(mqtt_port)}
    process, printed = await run(environment, port)
    url = f"http://127.0.0.1:{port}{API}"
    assert f"curl --compressed {url}/locations" in printed and "status-v1/#" in printed
    features = (await asyncio.to_thread(read, f"{url}/locations/all"))["features"]
    evses = [evse for feature in features for evse in feature["properties"]["evses"]]
    sizes = len(features), len(evses), sum(len(evse["connectors"]) for evse in evses)
    assert sizes == (3800, 19800, 20100)
    tariffs = {tariff["id"] for tariff in (await asyncio.to_thread(read, f"{url}/tariffs/all"))["tariffs"]}
    assert len(tariffs) == 3000
    assert {i for evse in evses for connector in evse["connectors"] for i in connector["tariffIds"] or ()} <= tariffs
    statuses = (await asyncio.to_thread(read, f"{url}/locations/statuses/all"))["statuses"]
    assert {row["evseId"] for row in statuses} == {evse["id"] for evse in evses}
    mix = Counter(row["status"] for row in statuses)
    for status, count in STATUS_MIX.items():
        share = count / sum(STATUS_MIX.values())
        assert abs(mix[status] / len(statuses) - share) < 0.02, status
    for feature in features:
        longitude, latitude = feature["geometry"]["coordinates"]
        assert 59 < latitude < 70.5 and 19 < longitude < 32
    commands = re.findall(r"^ +(.*ocpi-nap platform .*)$", printed, re.M)
    assert len(commands) == 3
    for command in commands:
        done = await asyncio.create_subprocess_shell(command, env=environment, stdout=asyncio.subprocess.DEVNULL)
        assert await done.wait() == 0, command
    assert "Stopped" in await stop(process)

    process, printed = await run(environment, port)
    assert printed.count("registered before") == 3
    again = (await asyncio.to_thread(read, f"{url}/locations/statuses/all"))["statuses"]
    assert len(again) == 19800
    await stop(process)
