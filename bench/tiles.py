"""The public map: how fast tiles, list and search are answered, with a network of Finland's size and with 100,000 locations.

    python -m bench.tiles [LOCATIONS ...]

The rows are copied into the database as a pull would have written them; the service is the real one, asked over HTTP, while statuses
change 100 times a second.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from bench.nap import Nap, running
from ocpi_nap.model import objects
from ocpi_nap.model.objects import Connector, Evse, GeoLocation, Location
from ocpi_nap.simulator.towns import SITES, STREETS, TOWNS
from ocpi_nap.web.map import grid

EVSES = 5
"""EVSEs a location, as in Finland."""
_COPY_LOCATIONS = b"""COPY location (pk, platform_id, country_code, party_id, id_key, id, source_version, via, raw, doc, received_at,
 created_at, modified_at, publish) FROM STDIN"""
_COPY_EVSES = b"""COPY evse (location_pk, uid_key, uid, ordinal, public_id, source_version, via, raw, doc, received_at, created_at,
 modified_at) FROM STDIN"""
_STATUSES, _WEIGHTS = ("AVAILABLE", "CHARGING", "OUTOFORDER", "UNKNOWN"), (75, 18, 5, 2)


async def fill(nap: Nap, count: int) -> None:
    """Locations spread over Finland's towns and the country between them."""
    chance, now, db = random.Random(1), datetime.now(UTC), nap.context.db
    kinds = [
        Connector(id="1", standard="IEC_62196_T2", format="SOCKET", power_type="AC_3_PHASE", max_electric_power=22_000),
        Connector(id="1", standard="IEC_62196_T2_COMBO", format="CABLE", power_type="DC", max_electric_power=300_000),
    ]
    platform = await nap.number(
        "INSERT INTO platform (name, environment, versions_url, country_code, party_id, token_encoding) "
        "VALUES ('bench', 'production', 'https://cpo.example', 'FI', 'BEN', 'raw') RETURNING id"
    )
    await db.execute(
        "INSERT INTO operator (platform_id, country_code, party_id, environment, name) VALUES (%s, 'FI', 'BEN', 'production', 'Bench')",
        (platform,),
    )
    first = await nap.number("SELECT coalesce(max(pk), 0) + 1 FROM location")
    async with db.transaction() as conn:
        async with conn.cursor().copy(_COPY_LOCATIONS) as rows:
            for number in range(count):
                town = chance.choices(TOWNS, [t.thousands for t in TOWNS])[0]
                spread = 0.02 if number % 3 else 1.2
                latitude, longitude = town.latitude + chance.gauss(0, spread / 2), town.longitude + chance.gauss(0, spread)
                doc = Location(
                    country_code="FI", party_id="BEN", id=f"B{number}", name=f"{town.name} {chance.choice(SITES)}", city=town.name,
                    address=f"{chance.choice(STREETS)} {chance.randint(1, 99)}", postal_code=town.postal_code,
                    country="FIN", coordinates=GeoLocation(latitude=latitude, longitude=longitude),
                )  # fmt: skip
                who = (first + number, platform, "FI", "BEN", f"b{number}", f"B{number}")
                await rows.write_row((*who, "2.3.0", "pull", b"{}", objects.encode(doc), now, now, now, True))
        async with conn.cursor().copy(_COPY_EVSES) as rows:
            for number in range(count * EVSES):
                connector = kinds[number // EVSES % 3 == 0]
                name = f"FI*BEN*E{number}"
                doc_evse = objects.encode(Evse(uid=name, evse_id=name, connectors=[connector]))
                await rows.write_row(
                    (first + number // EVSES, name, name, number % EVSES, name, "2.3.0", "pull", b"{}", doc_evse, now, now, now)
                )
        async with conn.cursor().copy(b"COPY evse_state (location_pk, uid_key, status, status_at, received_at, via) FROM STDIN") as rows:
            for number in range(count * EVSES):
                status = chance.choices(_STATUSES, _WEIGHTS)[0]
                await rows.write_row((first + number // EVSES, f"FI*BEN*E{number}", status, now, now, "pull"))
        await conn.execute("INSERT INTO change (kind) VALUES ('registry')")
    for table in ("location", "evse", "evse_state"):
        await db.execute(f"ANALYZE {table}")


async def change(nap: Nap, first: int, count: int) -> None:
    """Statuses change 100 times a second, for ever."""
    chance = random.Random(2)
    while True:
        started = time.monotonic()
        keys = [chance.randrange(count * EVSES) for _ in range(25)]
        pks, uids = [first + key // EVSES for key in keys], [f"FI*BEN*E{key}" for key in keys]
        statuses = chance.choices(_STATUSES, _WEIGHTS, k=25)
        async with nap.context.db.transaction() as conn:
            await conn.execute(
                "UPDATE evse_state s SET status = n.status FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS n(pk, uid, status) "
                "WHERE s.location_pk = n.pk AND s.uid_key = n.uid", (pks, uids, statuses),
            )  # fmt: skip
            await conn.execute(
                "INSERT INTO change (kind, location_pk, uid_key, status, status_at) "
                "SELECT 'status', n.pk, n.uid, n.status, now() FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS n(pk, uid, status)",
                (pks, uids, statuses),
            )  # fmt: skip
        await asyncio.sleep(max(0, 0.25 - (time.monotonic() - started)))


def resident_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def measure(nap: Nap, count: int) -> dict[str, Any]:
    """Figures for one size of network."""
    worker = nap.server.pid  # a single worker runs in the process of `serve` itself
    before = resident_mb(worker)
    await fill(nap, count)
    first = await nap.number("SELECT min(pk) FROM location")
    found: dict[str, Any] = {"locations": count, "evses": count * EVSES}
    chance = random.Random(3)
    async with aiohttp.ClientSession(nap.url, auto_decompress=False) as session:

        async def ask(path: str) -> tuple[float, int]:
            started = time.perf_counter()
            async with session.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
                size = len(await answer.read())
                assert answer.status in (200, 204), (path, answer.status)
            return (time.perf_counter() - started) * 1000, size

        started = time.perf_counter()
        while not (await ask("/map/tiles/0/0/0"))[1]:
            pass
        found["first_tile_s"] = round(time.perf_counter() - started, 2)

        async def figure(name: str, path: Callable[[], str], times: int = 200) -> None:
            taken = sorted([await ask(path()) for _ in range(times)])
            milliseconds = [one[0] for one in taken]
            found[f"{name}_p50_ms"] = round(statistics.median(milliseconds), 1)
            found[f"{name}_p99_ms"] = round(milliseconds[int(len(milliseconds) * 0.99) - 1], 1)
            found[f"{name}_largest_kb"] = round(max(one[1] for one in taken) / 1024, 1)

        def tile(low: int, high: int, query: str = "") -> str:
            z, town = chance.randint(low, high), chance.choice(TOWNS)
            x, y = grid.project(town.longitude + chance.gauss(0, 0.05), town.latitude + chance.gauss(0, 0.03))
            return f"/map/tiles/{z}/{int(x * 2**z)}/{int(y * 2**z)}{query}"

        async def still() -> None:
            await asyncio.sleep(3600)

        for state, task in (("quiet", still()), ("changing", change(nap, first, count))):
            running_task = asyncio.create_task(task)
            await figure(f"{state}_country_tile", lambda: tile(0, 6))
            await figure(f"{state}_town_tile", lambda: tile(7, 11))
            await figure(f"{state}_street_tile", lambda: tile(12, 14))
            await figure(f"{state}_filtered_tile", lambda: tile(0, 14, f"?connector=ccs&power=150&free={chance.randint(0, 1)}"))
            await figure(f"{state}_list", lambda: "/map/list?bbox=24.5,60.1,25.3,60.4", 50)
            await figure(f"{state}_search", lambda: f"/map/search?q={chance.choice(TOWNS).name[:4]}", 50)
            await figure(f"{state}_location", lambda: f"/map/location?pk={first + chance.randrange(count)}", 50)
            running_task.cancel()
            await asyncio.gather(running_task, return_exceptions=True)
    found["worker_memory_before_mb"], found["worker_memory_mb"] = round(before), round(resident_mb(worker))
    return found


async def main(sizes: list[int]) -> None:
    """Print the figures of each size as JSON."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            async with running(Path(folder), workers=1) as nap:
                print(json.dumps(await measure(nap, size), indent=1), flush=True)


if __name__ == "__main__":
    asyncio.run(main([int(argument) for argument in sys.argv[1:]] or [3_800, 100_000]))
