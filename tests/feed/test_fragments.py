"""The fragments of a node: in step with the database through every change, crash and new start, and the same on every node."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from ocpi_nap import waiting
from ocpi_nap.feed import publications
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments import store as fragment_store
from ocpi_nap.feed.fragments.reader import FeedReader
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.render import LOCATIONS, STATUSES, TARIFFS
from ocpi_nap.feed.views import LocationView
from ocpi_nap.store import feed
from ocpi_nap.store.database import Database
from tests.asgi import Reply, call
from tests.e2e.cpo import location
from tests.feed.conftest import serving, settled
from tests.feed.network import Network

BASE = "/api/charging-network/v1"
ENVIRONMENTS = ("production", "test")
FORMS = (LOCATIONS, STATUSES, TARIFFS)
"""Those with pages: they are rendered as soon as a row changes."""


async def get(app: Any, db: Database, path: str, **headers: str) -> Reply:
    await settled(db)
    return await call(app, f"{BASE}/{path}", headers=headers or None)


async def ids(app: Any, db: Database, path: str = "locations") -> list[str]:
    return [feature["properties"]["id"] for feature in (await get(app, db, path)).json()["features"]]


@asynccontextmanager
async def rendering(
    db: Database, folder: Path, forms: Sequence[Form[Any]] = FORMS, environments: tuple[str, ...] = ENVIRONMENTS
) -> AsyncIterator[Renderer]:
    store = FragmentStore.open(folder, writable=True)
    try:
        yield Renderer(db, store, forms, environments=environments)
    finally:
        store.close()


def content(renderer: Renderer) -> dict[str, list[tuple[Any, ...]]]:
    """All rows: key, time, place, fragment."""
    with renderer.store.reading() as reading:
        return {f.name: [(bytes(key), *rest, bytes(part)) for key, *rest, part in reading.scan(f.name)] for f in renderer.forms}


async def filled(db: Database, folder: Path, **options: Any) -> dict[str, list[tuple[Any, ...]]]:
    """What a node has that starts now."""
    await settled(db)
    async with rendering(db, folder, **options) as renderer:
        await renderer.catch_up()
        return content(renderer)


async def test_what_is_pushed_is_in_the_next_answer(app: Any, database: Database) -> None:
    """Pages, whole publications, hidden, withdrawn and revived locations, and times that move when something goes."""
    made = await Network.create(database, "ABC")
    await made.put(range(3))
    assert await ids(app, database) == ["L0", "L1", "L2"]
    for status in ("CHARGING", "BLOCKED", "AVAILABLE"):
        await made.status([1], status)
        for path in ("locations/statuses", "locations/statuses/all"):
            rows = (await get(app, database, path)).json()["statuses"]
            assert [row["status"] for row in rows] == ["AVAILABLE", status, "AVAILABLE"], path
    before = (await get(app, database, "locations")).json()["modifiedAt"]
    await made.withdraw([1])
    assert await ids(app, database) == await ids(app, database, "locations/all") == ["L0", "L2"]
    assert (await get(app, database, "locations")).json()["modifiedAt"] > before
    await made.put([0], publish=False)
    assert await ids(app, database) == ["L2"]
    await made.put([0, 1])
    assert await ids(app, database) == await ids(app, database, "locations/all") == ["L0", "L1", "L2"]


async def test_pages_stay_whole_while_rows_come_and_go(app: Any, database: Database) -> None:
    """Contract section 0: a cursor stays good; each page is kept until something in it changes, then only it."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put(range(1100), "ABC")
    await made.put([2000], "XYZ")
    first = await get(app, database, "locations")
    page = first.json()
    assert (len(page["features"]), page["pagination"]["limit"]) == (500, 500)
    cursor = page["pagination"]["nextCursor"]
    assert cursor.replace("-", "").replace("_", "").isalnum()
    await made.put([90001])  # an id that sorts into a later page
    second = await get(app, database, f"locations?cursor={cursor}&limit=500")
    assert (await get(app, database, "locations")).headers["etag"] == first.headers["etag"]
    await made.status([int(page["features"][3]["properties"]["id"][1:])], "CHARGING")
    assert (await get(app, database, "locations")).headers["etag"] != first.headers["etag"]
    assert (await get(app, database, f"locations?cursor={cursor}")).headers["etag"] == second.headers["etag"]
    seen, following = list(page["features"]), second.json()
    while True:
        seen += following["features"]
        if "nextCursor" not in following["pagination"]:
            break
        following = (await get(app, database, f"locations?cursor={following['pagination']['nextCursor']}")).json()
    names = [(f["properties"]["operator"]["partyId"], f["properties"]["id"]) for f in seen]
    assert names == sorted(names) and len(set(names)) == 1102


async def test_a_renamed_operator_is_rendered_anew(app: Any, database: Database) -> None:
    """Its rows are, in pages and in /operators, and nobody else's."""
    made = await Network.create(database, "ABC", "XYZ")
    await made.put([1], "ABC")
    await made.put([2], "XYZ")
    await get(app, database, "locations")
    await made.rename("XYZ", "Other")
    operators = (await get(app, database, "operators")).json()
    assert [operator["details"]["name"] for operator in operators] == ["Operator ABC", "Other"]
    features = (await get(app, database, "locations")).json()["features"]
    assert [f["properties"]["operator"]["details"]["name"] for f in features] == ["Operator ABC", "Other"]
    await made.erase()
    assert await ids(app, database) == [] and (await get(app, database, "operators")).json() == []


async def test_production_wins_over_test(app: Any, database: Database) -> None:
    """One party on two platforms: its rows of the test platform come back when production is gone."""
    trial, real = await Network.create(database, environment="test"), await Network.create(database)
    await trial.put([1, 2])
    await real.put([2, 3])
    assert await ids(app, database) == ["L2", "L3"]
    await real.erase()
    assert await ids(app, database) == ["L1", "L2"]


async def test_production_that_is_only_prepared_hides_nothing(app: Any, database: Database) -> None:
    """Its record is there before the CPO is: what the test platform delivers is shown until production is registered."""
    trial = await Network.create(database, environment="test")
    await trial.connect()
    await trial.put([1, 2])
    real = await Network.create(database)
    assert await ids(app, database) == ["L1", "L2"]
    await real.connect()
    await real.put([2, 3])
    assert await ids(app, database) == ["L2", "L3"]


async def test_two_nodes_have_the_same(database: Database, tmp_path: Path) -> None:
    """One that followed every change, and one that starts now: fragments and answers, byte for byte. The first may know better since
    when they are as they are."""
    made = await Network.create(database)
    await database.execute("UPDATE change SET at = '2026-01-01'")
    async with serving(database, tmp_path / "old") as old:
        await made.put(range(20))
        await made.put_tariff()
        await ids(old, database)
        await made.status(range(5), "CHARGING")
        await made.withdraw([7])
        await made.rename("ABC", "Renamed")
        async with serving(database, tmp_path / "new") as new:
            for path in ("operators", "locations", "locations/all", "locations/statuses/all", "tariffs", "tariffs/all"):
                one, other = await get(old, database, path), await get(new, database, path)
                assert (one.content, one.headers["etag"]) == (other.content, other.headers["etag"]), path
                if path != "operators":  # what it says has no time of its own
                    dates = [parsedate_to_datetime(reply.headers["last-modified"]) for reply in (one, other)]
                    assert dates[0] <= dates[1], path


async def test_only_tariffs_that_a_connector_names(database: Database, tmp_path: Path) -> None:
    """As a setting (contract section 4): a tariff comes and goes with the connectors of public locations that name it, on every node."""
    made = await Network.create(database, "ABC", "XYZ")
    for name in ("T1", "T2", "T3"):
        await made.put_tariff(id=name)
    evse = location("2.3.0", 1)["evses"][0]
    other = [{**evse, "connectors": [{**evse["connectors"][0], "tariff_ids": ["T2", "unknown"]}]}]
    async with serving(database, tmp_path / "old", forms=publications.FORMS, referenced_only=True) as old:

        async def shown(app: Any) -> list[str]:
            ids = [row["id"] for row in (await get(app, database, "tariffs")).json()["tariffs"]]
            assert [row["id"] for row in (await get(app, database, "tariffs/all")).json()["tariffs"]] == ids
            rates = re.findall(rb'"idG":"RATE[*]FI[*]ABC[*](T.)"', (await get(app, database, "tariffs/datex2-3.7")).content)
            assert [rate.decode() for rate in rates] == ids
            return ids

        assert await shown(old) == []
        await made.put([1, 2])
        assert await shown(old) == ["T1"]
        await made.put([1], evses=other)
        assert await shown(old) == ["T1", "T2"]
        await made.withdraw([2])
        assert await shown(old) == ["T2"]
        await made.put_tariff(id="T2", currency="SEK")
        assert await shown(old) == ["T2"]
        await made.put([1], evses=other, publish=False)
        assert await shown(old) == []
        await made.put([1], evses=other)
        await made.put([2], "XYZ")  # names the T1 of another operator, who has none
        async with serving(database, tmp_path / "new", forms=publications.FORMS, referenced_only=True) as new:
            assert await shown(old) == await shown(new) == ["T2"]


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from ocpi_nap.feed.fragments.batch import Batch
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.render import LOCATIONS, STATUSES, TARIFFS
from ocpi_nap.store.database import Database

put, left = Batch.put, [int(sys.argv[3])]

def killing(self, row):
    put(self, row)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    Batch.put = killing
    renderer = Renderer(await Database.open(sys.argv[1]), FragmentStore.open(Path(sys.argv[2]), writable=True),
                        (LOCATIONS, STATUSES, TARIFFS), environments=("production", "test"))
    await renderer.catch_up()

asyncio.run(main())
"""


async def _kill(dsn: str, folder: Path, after: int) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, dsn, str(folder), str(after))
    assert await process.wait() == -signal.SIGKILL


async def test_a_renderer_killed_in_the_middle(database: Database, dsn: str, tmp_path: Path) -> None:
    """While it fills the store, and while it writes a batch: readers see the state before, and the next start goes on."""
    made = await Network.create(database)
    await made.put(range(30))
    await settled(database)
    await _kill(dsn, tmp_path / "killed", 12)
    async with rendering(database, tmp_path / "killed") as renderer:
        assert content(renderer) == {form.name: [] for form in FORMS}
        await renderer.catch_up()
    before = await filled(database, tmp_path / "killed")
    assert before == await filled(database, tmp_path / "fresh")
    await made.status(range(30), "CHARGING")
    await settled(database)
    await _kill(dsn, tmp_path / "killed", 12)
    async with rendering(database, tmp_path / "killed") as renderer:
        assert content(renderer) == before
        with renderer.store.reading() as reading:
            generation = reading.state.generation
        await renderer.catch_up()
        with renderer.store.reading() as reading:
            assert reading.state.generation == generation  # it went on, and did not begin again
        assert content(renderer) == await filled(database, tmp_path / "other")


async def test_a_long_stretch_of_changes(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed often meanwhile is rendered once; a stretch that names many objects is read in parts, of all kinds."""
    shown: list[str] = []

    def fragment(view: LocationView) -> bytes | None:
        shown.append(view.row.id)
        return LOCATIONS.fragment(view)

    made = await Network.create(database, "ABC")
    await made.put(range(5))
    forms = (replace(LOCATIONS, fragment=fragment), STATUSES, TARIFFS)
    async with rendering(database, tmp_path / "one", forms) as renderer:
        await settled(database)
        await renderer.catch_up()
        shown.clear()
        for status in ("CHARGING", "BLOCKED", "AVAILABLE", "CHARGING"):
            await made.status([1, 3], status)
        await settled(database)
        await renderer.catch_up()
        assert shown == ["L1", "L3"]
        monkeypatch.setattr(feed, "_OBJECTS_AT_ONCE", 2)
        await made.status(range(5), "BLOCKED")
        await made.put_tariff()
        await made.withdraw([2])
        await settled(database)
        await renderer.catch_up()
        assert content(renderer) == await filled(database, tmp_path / "two")


async def test_a_reader_ends_the_rest_of_the_renderer(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may rest for long after much work; who asks for what changed meanwhile does not wait for the end of the rest."""
    monkeypatch.setattr(waiting, "_LEAST", 3600.0)
    monkeypatch.setattr(waiting, "_LONGEST_REST", 3600.0)
    made = await Network.create(database, "ABC")
    await made.put([0])
    async with rendering(database, tmp_path) as renderer:
        stop = asyncio.Event()
        running = asyncio.create_task(renderer.run(stop))
        reader = FeedReader(database, tmp_path, renderer.store, patience=60)
        for status in ("CHARGING", "BLOCKED"):
            await made.status([0], status)
            await asyncio.wait_for(reader.sync(), 30)
            assert any(status.encode() in row[-1] for row in content(renderer)[STATUSES.name])
        stop.set()
        await asyncio.wait_for(running, 30)


async def test_what_makes_a_store_be_filled_anew(database: Database, tmp_path: Path) -> None:
    """Other settings, other forms, a change feed that no longer reaches back, another database; nothing else does."""
    await (await Network.create(database)).put(range(3))
    trial = await Network.create(database, "XYZ", environment="test")
    await trial.put([9], "XYZ")
    folder = tmp_path / "fragments"

    async def filling(**options: Any) -> str:
        await settled(database)
        async with rendering(database, folder, **options) as renderer:
            await renderer.catch_up()
            with renderer.store.reading() as reading:
                return reading.state.filling

    fillings = [await filling(), await filling()]
    assert fillings[0] == fillings[1]
    fillings.append(await filling(environments=("production",)))
    assert [len(rows) for rows in (await filled(database, folder, environments=("production",))).values()] == [4, 4, 0]
    async with rendering(database, folder, environments=("production",)) as renderer:
        assert sum(bool(fragment) for *_, fragment in content(renderer)[LOCATIONS.name]) == 3
    forms = (replace(LOCATIONS, name="locations-2"), STATUSES)
    fillings.append(await filling(forms=forms))
    assert list(await filled(database, folder, forms=forms)) == ["locations-2", STATUSES.name]
    store = FragmentStore.open(folder, writable=True)
    with store.writing() as batch:
        batch.state.confirmed -= 8 * 86400
    store.close()
    fillings.append(await filling(forms=forms))
    await database.execute("CREATE TABLE moved (LIKE change INCLUDING ALL)")
    await database.execute("DROP TABLE change")
    await database.execute("ALTER TABLE moved RENAME TO change")
    fillings.append(await filling(forms=forms))
    assert len(set(fillings)) == 5


async def test_a_machine_that_went_down(tmp_path: Path) -> None:
    """What was not brought to the disk may be spoilt, so it is thrown away, as is what has another layout; what was closed is kept, as
    after a kill."""
    folder = tmp_path / "fragments"

    def write() -> None:
        fragment_store.prepare(folder)
        FragmentStore.open(folder, writable=True).close()

    write()
    write()
    assert (folder / "data.mdb").exists()  # killed, the machine runs on
    fragment_store.close(folder)
    fragment_store.prepare(folder)
    assert (folder / "data.mdb").exists()
    for mark in ("4 another boot", "another layout closed", "closed"):
        write()
        (folder / "written-since-boot").write_text(mark)
        fragment_store.prepare(folder)
        assert not (folder / "data.mdb").exists(), mark


async def test_forms_without_pages_wait_for_their_edition(database: Database, tmp_path: Path) -> None:
    """Their fragments are made once however often a row changed, and show the tariffs that connectors name as these change."""
    drawn: list[str] = []

    def fragment(view: LocationView) -> bytes:
        drawn.append(view.row.id)
        prices = {name: tariff.doc.elements[0].price_components[0].price for name, tariff in view.tariffs.items()}
        return json.dumps([view.row.id, {name: str(price) for name, price in prices.items()}]).encode()

    form = replace(LOCATIONS, name="prices", path="/prices", paged=False, prices=True, fragment=fragment)
    made = await Network.create(database)
    await made.put([1, 2])
    await made.put_tariff()
    async with rendering(database, tmp_path, (LOCATIONS, form)) as renderer:

        async def shown() -> list[Any]:
            await settled(database)
            await renderer.catch_up()
            await renderer.refresh()
            return [json.loads(fragment) for *_, fragment in content(renderer)["prices"]]

        assert await shown() == [["L1", {"T1": "0.29"}], ["L2", {"T1": "0.29"}]]
        drawn.clear()
        for status in ("CHARGING", "BLOCKED", "CHARGING"):
            await made.status([1], status)
            await settled(database)
            await renderer.catch_up()
        assert drawn == []
        await shown()
        assert drawn == ["L1"]
        elements = [{"price_components": [{"type": "ENERGY", "price": 0.35, "step_size": 1}]}]
        await made.put_tariff(elements=elements)
        assert await shown() == [["L1", {"T1": "0.35"}], ["L2", {"T1": "0.35"}]]


async def test_a_row_that_cannot_be_shown(database: Database, tmp_path: Path) -> None:
    """It is left out; the others are served."""

    def fragment(view: LocationView) -> bytes | None:
        if view.row.id == "L1":
            raise ValueError("broken")
        return LOCATIONS.fragment(view)

    made = await Network.create(database)
    await made.put(range(3))
    await database.execute("UPDATE location SET doc = 'x' WHERE id = 'L2'")
    async with serving(database, tmp_path, forms=(replace(LOCATIONS, fragment=fragment), STATUSES)) as app:
        assert await ids(app, database) == ["L0"]
        assert len((await get(app, database, "locations/statuses")).json()["statuses"]) == 2
