"""Whole publications: made from the fragments, held back when they would lose much, and served as HTTP says."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from ocpi_nap.feed.editions import files, maker
from ocpi_nap.feed.editions.edition import describe, described, forget
from ocpi_nap.feed.editions.segments import EditionWriter, Segment
from ocpi_nap.feed.editions.snapshots import SnapshotBuilder
from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.feed.render import LOCATIONS, STATUSES
from ocpi_nap.feed.views import LocationView
from ocpi_nap.store import feed
from ocpi_nap.store.database import Database
from ocpi_nap.store.feed import release_snapshots
from tests.asgi import call
from tests.feed.conftest import serving, settled
from tests.feed.following import tell
from tests.feed.network import Network

ALL = "/api/charging-network/v1/locations/statuses/all"


@asynccontextmanager
async def building(db: Database, folder: Path, forms: Sequence[Form[Any]] = FORMS) -> AsyncIterator[SnapshotBuilder]:
    store = FragmentStore.open(folder / "fragments", writable=True)
    try:
        yield SnapshotBuilder(db, Renderer(db, store, forms, environments=("production",)), folder / "snapshots")
    finally:
        store.close()


def rows(folder: Path, name: str = LOCATIONS.name) -> int:
    edition = described(folder / "snapshots", name)
    assert edition is not None
    return edition.rows


async def test_codings_of_one_body(database: Database, tmp_path: Path) -> None:
    """zstd, gzip or identity by Accept-Encoding; one strong ETag and time; 304; HEAD; the gzip rule does not hold (contract section 0)."""
    await (await Network.create(database)).put(range(50))
    await settled(database)
    async with serving(database, tmp_path) as app:  # nothing was served before
        accepted = ("gzip", "zstd", "identity", "br, deflate")
        replies = {coding: await call(app, ALL, headers={"accept-encoding": coding}) for coding in accepted}
        assert [reply.headers.get("content-encoding") for reply in replies.values()] == ["gzip", "zstd", None, None]
        plain = replies["identity"].body
        whole = zstandard.ZstdDecompressor().decompress(replies["zstd"].body)
        assert gzip.decompress(replies["gzip"].body) == whole == plain
        assert len(json.loads(plain)["statuses"]) == 50 and json.loads(plain)["pagination"] == {"limit": 50}
        assert len({(reply.headers["etag"], reply.headers["last-modified"]) for reply in replies.values()}) == 1
        for reply in replies.values():
            assert reply.headers["content-length"] == str(len(reply.body)) and reply.headers["vary"] == "Accept-Encoding"
        tag, moment = replies["gzip"].headers["etag"], replies["gzip"].headers["last-modified"]
        assert tag.startswith(f'"{len(plain):x}-')
        for condition in ({"if-none-match": tag}, {"if-none-match": f"W/{tag}, *"}, {"if-modified-since": moment}):
            reply = await call(app, ALL, headers=condition)
            assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
        head = await call(app, ALL, method="HEAD", headers={"accept-encoding": ""})
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(plain)))
        for asked, coding in (("gzip;q=0, zstd", "zstd"), ("zstd;q=0.1, gzip", "gzip"), ("gzip;q=x", None), ("*", None)):
            assert (await call(app, ALL, headers={"accept-encoding": asked})).headers.get("content-encoding") == coding


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)), ("bytes=10-", 206, slice(10, None)), ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-999999", 206, slice(5, None)), ("bytes=999999-", 416, slice(0, 0)), ("bytes=9-5", 200, slice(None)),
        ("bytes=0-1,4-5", 200, slice(None)), ("lines=0-9", 200, slice(None)), ("bytes=-", 200, slice(None)),
    ],
)  # fmt: skip
async def test_ranges(database: Database, tmp_path: Path, asked: str, status: int, part: slice) -> None:
    """Of the uncompressed body (RFC 9110, 14), also conditional; who takes compression gets it whole."""
    await (await Network.create(database)).put(range(5))
    await settled(database)
    async with serving(database, tmp_path) as app:  # nothing was served before
        identity = {"accept-encoding": "identity"}
        whole = await call(app, ALL, headers=identity)
        assert whole.headers["accept-ranges"] == "bytes"
        reply = await call(app, ALL, headers={**identity, "range": asked})
        assert (reply.status, reply.body) == (status, whole.body[part])
        if status == 206:
            first, _, _ = part.indices(len(whole.body))
            assert reply.headers["content-range"] == f"bytes {first}-{first + len(reply.body) - 1}/{len(whole.body)}"
            for condition, wanted in ((whole.headers["etag"], 206), (whole.headers["last-modified"], 206), ('"1-other"', 200)):
                assert (await call(app, ALL, headers={**identity, "range": asked, "if-range": condition})).status == wanted
            assert (await call(app, ALL, headers={"range": asked})).status == 200
        if status == 416:
            assert reply.headers["content-range"] == f"bytes */{len(whole.body)}"


async def test_a_range_of_a_long_publication(app: Any, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs what it is long: nothing before the segment in which it begins is read. Where the index is lost it is as good, but dearer."""
    monkeypatch.setattr(files, "_COMPRESSED", 100)
    await (await Network.create(database)).put(range(300))
    await settled(database)
    identity = {"accept-encoding": "identity"}
    whole = (await call(app, ALL, headers=identity)).body
    edition = described(tmp_path / "snapshots", STATUSES.name)
    assert edition is not None
    path, index = tmp_path / "snapshots" / edition.files["zstd"][0], tmp_path / "snapshots" / edition.index

    async def part(first: int) -> bytes:
        reply = await call(app, ALL, headers={**identity, "range": f"bytes={first}-{first + 99}"})
        assert reply.status == 206
        return reply.body

    begins = range(0, len(whole) - 100, 997)
    assert all([await part(first) == whole[first : first + 100] for first in begins])
    content = path.read_bytes()
    path.write_bytes(content[:50] + bytes(100) + content[150:])
    assert await part(len(whole) - 100) == whole[-100:]
    path.write_bytes(content)
    index.unlink()
    assert all([await part(first) == whole[first : first + 100] for first in begins])


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_a_reader_who_leaves(app: Any, database: Database, monkeypatch: pytest.MonkeyPatch, coding: str) -> None:
    """Nothing more is read or decompressed for one who has closed the connection: the server takes what is sent without a word."""
    monkeypatch.setattr(files, "CHUNK", 100)
    monkeypatch.setattr(files, "_COMPRESSED", 100)
    monkeypatch.setattr(files, "_LONG", 200)
    await (await Network.create(database)).put(range(600))
    await settled(database)

    async def sent(*received: str) -> int:
        """How many messages the server gets."""
        count, coming = 0, iter(received)

        async def leaving(scope: Any, _: Any, send: Any) -> None:
            async def receive() -> dict[str, Any]:
                return {"type": next(coming), "body": b""}

            async def counted(message: Any) -> None:
                nonlocal count
                count += 1
                await send(message)

            await app(scope, receive, counted)

        await call(leaving, ALL, headers={"accept-encoding": coding})
        return count

    assert await sent("http.request", "http.disconnect") == 2 < await sent("http.request", "http.request") / 3


async def test_an_edition_that_would_lose_much(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held back and told; released by the command, or believed after an hour; gone when the locations are back."""
    made = await Network.create(database)
    await made.put(range(100))

    async def build() -> None:
        await settled(database)
        async with building(database, tmp_path) as builder:
            await builder.build()

    def held(name: str = LOCATIONS.name) -> int | None:
        edition = described(tmp_path / "snapshots", name)
        assert edition is not None
        return edition.held.rows if edition.held else None

    await build()
    await made.withdraw(range(10))
    await build()
    assert (rows(tmp_path), held()) == (90, None)  # a tenth is not more than a tenth
    await made.withdraw(range(30))
    await build()
    assert (rows(tmp_path), held()) == (rows(tmp_path, STATUSES.name), held(STATUSES.name)) == (90, 70)
    await made.put(range(25))
    await build()
    assert (rows(tmp_path), held()) == (95, None)
    await made.withdraw(range(40))
    await build()
    await build()
    assert (rows(tmp_path), held()) == (95, 60)
    await release_snapshots(database)
    await build()
    assert (rows(tmp_path), held()) == (60, None)
    await made.withdraw(range(100))
    await build()
    assert (rows(tmp_path), held()) == (60, 0)
    monkeypatch.setattr(maker, "AGREES_AFTER", 0.0)
    await build()
    assert (rows(tmp_path), held()) == (0, None)


async def test_readers_of_a_held_edition(database: Database, tmp_path: Path) -> None:
    """The last good one is served, without waiting for another."""
    made = await Network.create(database)
    async with serving(database, tmp_path) as app:
        await made.put(range(50))
        await settled(database)
        before = await call(app, ALL)
        await made.withdraw(range(20))
        await settled(database)
        assert (await call(app, ALL)).headers["etag"] == before.headers["etag"]
        assert len((await call(app, ALL.removesuffix("/all"))).json()["statuses"]) == 30


async def test_a_copy_that_begins_meanwhile(database: Database, tmp_path: Path) -> None:
    """The first cursor of /changes reaches back to what a held edition shows, however old that is."""
    made = await Network.create(database)
    await made.put(range(100))
    log_writer = EventLogWriter(database)
    await tell(log_writer)
    async with serving(database, tmp_path) as app:
        whole = ALL.replace("/statuses", "")
        assert len((await call(app, whole)).json()["features"]) == 100
        await made.withdraw(range(20))
        await tell(log_writer)
        assert len((await call(app, whole)).json()["features"]) == 100
        await database.execute("UPDATE event SET at = at - interval '30 minutes'")
        edition = described(tmp_path / "snapshots", LOCATIONS.name)
        assert edition is not None and edition.held is not None
        describe(tmp_path / "snapshots", msgspec.structs.replace(edition, read_at=edition.read_at - 1800))
        changes = "/api/charging-network/v1/changes"
        cursor = (await call(app, changes)).json()["cursor"]
        following = (await call(app, f"{changes}?since={cursor}")).json()["changes"]
        assert {change["locationId"] for change in following if change["change"] == "removed"} == {f"L{number}" for number in range(20)}


async def test_a_making_that_fails(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are made, and the last good one stays, whole."""
    made = await Network.create(database)
    await made.put(range(3))
    await settled(database)
    async with building(database, tmp_path) as builder:
        await builder.build()
        folder = tmp_path / "snapshots"
        before = {path.name for path in folder.iterdir()}
        add = EditionWriter.add

        def failing(self: EditionWriter, data: bytes) -> Segment:
            if self._name == STATUSES.name and self.length:
                raise OSError(28, "No space left on device")
            return add(self, data)

        monkeypatch.setattr(EditionWriter, "add", failing)
        await made.put([9])
        await settled(database)
        await builder.build()
    assert (rows(tmp_path), rows(tmp_path, STATUSES.name)) == (4, 3)
    kept = {path.name for path in folder.iterdir()}
    assert {name for name in before if name.startswith(STATUSES.name)} <= kept and not any(name.startswith(".") for name in kept)


async def test_a_network_that_never_rests(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that keep coming do not keep an edition from being made: here one with each look at the change feed and each fragment."""
    made = await Network.create(database)
    await made.put(range(3))
    look = feed.changes_after

    async def restless(db: Database, position: feed.Position) -> Any:
        await made.status([1], "CHARGING")
        await made.status([1], "AVAILABLE")
        await settled(db)
        return await look(db, position)

    def fragment(view: LocationView) -> bytes | None:
        with stores[0].writing() as batch:
            batch.mark_stale("location", pks)
        return LOCATIONS.fragment(view)

    monkeypatch.setattr(feed, "changes_after", restless)
    stores: list[FragmentStore] = []
    pks = [pk for (pk,) in await database.fetch_all("SELECT pk FROM location")]
    whole = replace(LOCATIONS, name="whole", path="/whole", paged=False)
    async with building(database, tmp_path, (LOCATIONS, whole)) as builder:
        await asyncio.wait_for(builder.build(), 60)
    async with building(database, tmp_path, (LOCATIONS, replace(whole, fragment=fragment))) as builder:
        stores.append(builder.store)
        await asyncio.wait_for(builder.build(), 60)
    assert (rows(tmp_path), rows(tmp_path, "whole")) == (3, 3)


async def test_a_database_that_is_away(database: Database, tmp_path: Path) -> None:
    """What was rendered is served: pages, whole publications, operators."""
    made = await Network.create(database)
    await made.put(range(3))
    await settled(database)
    async with serving(database, tmp_path) as app:
        paths = [ALL, ALL.removesuffix("/all"), ALL.replace("locations/statuses/all", "operators")]
        before = [(await call(app, path)).content for path in paths]
        await database.close()
        assert [(await call(app, path)).content for path in paths] == before


async def test_files_that_were_cut_off(app: Any, database: Database, tmp_path: Path) -> None:
    """After a crash a file may be shorter than its description says: it is not served, and made again."""
    await (await Network.create(database)).put(range(3))
    await settled(database)
    whole = await call(app, ALL)
    folder = tmp_path / "snapshots"
    edition = described(folder, STATUSES.name)
    assert edition is not None
    for file, _ in edition.files.values():
        (folder / file).write_bytes((folder / file).read_bytes()[:10])
    assert described(folder, STATUSES.name) is None
    (folder / f"{STATUSES.name}.edition").touch()
    assert (await call(app, ALL)).content == whole.content


async def test_a_publication_that_is_no_more(database: Database, tmp_path: Path) -> None:
    """Its files go, those of the others stay."""
    await settled(database)
    async with building(database, tmp_path) as builder:
        await builder.build()
    folder = tmp_path / "snapshots"
    forget(folder, {LOCATIONS.name})
    assert {path.name.split("~")[0].removesuffix(".edition") for path in folder.iterdir()} == {LOCATIONS.name}
    assert described(folder, LOCATIONS.name) is not None


async def test_what_is_dear_is_made_when_it_is_time(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A big publication is not made for each reader: the last one is served until the next is due."""
    monkeypatch.setattr("ocpi_nap.feed.editions.whole.CHEAP_SECONDS", -1.0)
    made = await Network.create(database)
    await made.put(range(3))
    await settled(database)
    async with serving(database, tmp_path, seconds=3600) as app:
        first = await call(app, ALL)
        await made.status([1], "CHARGING")
        await settled(database)
        assert (await call(app, ALL)).body == first.body
        assert (await call(app, ALL.removesuffix("/all"))).json()["statuses"][1]["status"] == "CHARGING"
    async with serving(database, tmp_path, seconds=0.05) as app:
        async with asyncio.timeout(20):
            while (await call(app, ALL)).body == first.body:
                pass


async def test_a_publication_without_pages(database: Database, tmp_path: Path) -> None:
    """Its base path is the whole, encoded by `format` or Accept; limit=ALL leads to /all (contract section 5)."""
    json_form = replace(LOCATIONS, name="whole.json", path="/locations/whole", paged=False)
    xml_form = replace(json_form, name="whole.xml", encoding="xml", media_type="application/xml", head=lambda _: b"<", tail=lambda _: b">")
    made = await Network.create(database)
    await made.put([1])
    await settled(database)
    base = "/api/charging-network/v1/locations/whole"
    async with serving(database, tmp_path, forms=(*FORMS, json_form, xml_form)) as app:
        reply = await call(app, base)
        assert [f["properties"]["id"] for f in reply.json()["features"]] == ["L1"] and reply.headers["vary"] == "Accept, Accept-Encoding"
        assert (await call(app, f"{base}/all", headers={"accept-encoding": ""})).json() == reply.json()
        assert (await call(app, base, headers={"accept-encoding": ""})).status == 406
        assert (await call(app, f"{base}?limit=ALL")).headers["location"] == f"{base}/all"
        for path, accept, kind in (
            ("?format=xml", "*/*", "xml"), ("", "application/xml", "xml"), ("", "text/html,application/xml;q=0.9", "json"),
            ("", "application/json", "json"), ("?format=JSON", "application/xml", "json"),
        ):  # fmt: skip
            assert kind in (await call(app, f"{base}{path}", headers={"accept-encoding": "gzip", "accept": accept})).headers["content-type"]
        assert (await call(app, f"{base}/all?format=csv")).body == b"Format must be one of: json, xml"
        await made.put([2])
        await settled(database)
        assert len((await call(app, base)).json()["features"]) == 2
