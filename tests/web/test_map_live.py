"""What an open map is told of changes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from ocpi_nap.web.map.view import Filter
from tests.web.conftest import Site
from tests.web.mapping import Cpo, evse, live_of, place, tile, up_to_date


@pytest.fixture
async def open_map(site: Site, network: Cpo) -> AsyncIterator[AsyncIterator[bytes]]:
    await up_to_date(live_of(site))
    events = await live_of(site).stream(Filter(), 10, None, None)
    assert b'"cells":[]' in await anext(events)
    yield events
    live_of(site).close()


async def test_a_change_reaches_the_open_map(site: Site, network: Cpo, open_map: AsyncIterator[bytes]) -> None:
    """The event has the feature's id in the tile, and what the next tile would say."""
    await network.status("L2/U3", "AVAILABLE")
    await up_to_date(live_of(site))
    event = json.loads((await anext(open_map)).removeprefix(b"data: "))
    (feature,) = await tile(site, 10)
    said = feature["properties"]
    assert event["cells"] == [[feature["id"], said["free"], said["total"], said["state"]]] == [[feature["id"], 2, 3, 0]]


async def test_a_new_location_asks_for_new_tiles(site: Site, network: Cpo, open_map: AsyncIterator[bytes]) -> None:
    await network.put(place("L4", evse(8)))
    await up_to_date(live_of(site))
    assert (await anext(open_map)).startswith(b"event: reload\n")


async def test_the_chosen_location_is_told_apart_from_the_zoom(site: Site, network: Cpo) -> None:
    live = live_of(site)
    await up_to_date(live)
    pk = next(int(pk) for pk in live.network.locations.pk if pk)
    events = await live.stream(Filter(kinds=("tesla",)), 3, pk, None)
    await anext(events)
    await network.status("L1/U1", "CHARGING")
    await up_to_date(live)
    cells, chosen = await anext(events), await anext(events)
    assert [row[1:3] for row in json.loads(cells.removeprefix(b"data: "))["cells"]] == [[0, 0]]
    assert chosen == b"event: location\ndata: %d\n\n" % pk


async def test_a_map_that_turns_to_another_zoom_is_told_what_it_missed(site: Site, network: Cpo) -> None:

    live = live_of(site)
    await up_to_date(live)
    before = time.time()
    await network.status("L1/U1", "CHARGING")
    await up_to_date(live)
    missed = await anext(await live.stream(Filter(), 14, None, before + 3))
    assert len(json.loads(missed.split(b"data: ")[1])["cells"]) == 1
    assert b"event: reload" in await anext(await live.stream(Filter(), 14, None, before - 3600)), "longer ago than is remembered"


async def test_a_slow_reader_is_let_go(site: Site, network: Cpo) -> None:
    live = live_of(site)
    await up_to_date(live)
    events = await live.stream(Filter(), 4, None, None)
    await anext(events)
    for number in range(70):
        await network.status("L1/U1", ("AVAILABLE", "CHARGING")[number % 2])
        live._tell(np.array([0]), reload=False)
    with pytest.raises(StopAsyncIteration):
        while True:
            await asyncio.wait_for(anext(events), 5)
