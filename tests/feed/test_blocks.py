"""Editions made of blocks: the same bytes as those of the plain join whatever came before, and what did not change is copied."""

from __future__ import annotations

import asyncio
import gzip
import random
import shutil
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ocpi_nap.feed.editions import crc
from ocpi_nap.feed.editions.edition import Edition, described
from ocpi_nap.feed.editions.maker import EditionMaker
from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.fragments.batch import Rendered
from ocpi_nap.feed.fragments.keys import feed_key, key_operator
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.pages import grouped
from ocpi_nap.model.timestamps import from_micros

PARTIES = ("ABC", "ABCD", "XYZ")


def _head(envelope: Envelope) -> bytes:
    return f"<{envelope.modified_at}|{envelope.pagination}|{envelope.groups}|".encode()


LISTED: Form[Any] = Form(name="listed", path="/listed", media_type="text/plain", rows="tariff", fragment=lambda row: None, head=_head,
                         tail=lambda envelope: b">", paged=True, rows_per_block=3)  # fmt: skip
GROUPED = replace(LISTED, name="grouped", paged=False, separator=b";", group_tail=b"]", empty=lambda envelope: b"nothing",
                  group_head=lambda operator, envelope: f"{operator}@{envelope.published_at}[".encode())  # fmt: skip
RUN_ON = replace(LISTED, name="run-on", paged=False, separator=b"")
FORMS = (LISTED, GROUPED, RUN_ON)


@dataclass(frozen=True)
class Row:
    """What is known of a row: when it changed, and its fragment."""

    modified: int
    fragment: bytes | None


def _key(number: int) -> bytes:
    return feed_key("FI", PARTIES[number % len(PARTIES)], f"L{number}", number + 1)


class Node:
    """A store with its editions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FragmentStore.open(folder / "fragments", writable=True)
        self.rows: dict[int, Row] = {}
        names = [form.name for form in FORMS]
        with self.store.writing(self.store.new_generation(names)) as batch:
            batch.switch("test", names)
        self.maker = EditionMaker(self.store, folder / "snapshots")

    def write(self, rows: dict[int, Row | None]) -> None:
        """Put these rows; None: it is gone."""
        with self.store.writing() as batch:
            for number, row in rows.items():
                if row is None:
                    batch.drop("tariff", number + 1, FORMS)
                    self.rows.pop(number, None)
                else:
                    fragments = [(form, row.modified, row.fragment) for form in FORMS]
                    batch.put(Rendered("tariff", number + 1, _key(number), fragments))
                    self.rows[number] = row

    def expected(self, form: Form[Any]) -> bytes:
        """The publication as a page would join it."""
        rows = sorted((_key(number), row) for number, row in self.rows.items())
        shown = [(key, row.fragment) for key, row in rows if row.fragment]
        moment = from_micros(max((row.modified for _, row in rows), default=0))
        groups = tuple(dict.fromkeys(key_operator(key) for key, _ in shown))
        envelope = Envelope(modified_at=moment, published_at=moment, groups=groups, pagination={"limit": len(shown)})
        return b"".join(form.join(envelope, grouped(shown)))

    def edition(self, form: Form[Any]) -> Edition:
        found = described(self.folder / "snapshots", form.name)
        assert found is not None
        return found

    def files(self, form: Form[Any]) -> dict[str, bytes]:
        files = self.edition(form).files
        assert set(files) == {"gzip", "zstd"}
        return {coding: (self.folder / "snapshots" / file).read_bytes() for coding, (file, _) in files.items()}

    def check(self) -> None:
        """Make all editions: each is what it should be, in all codings, and there is no file too many."""
        for form in FORMS:
            self.maker.make(form)
            edition, files, expected = self.edition(form), self.files(form), self.expected(form)
            assert (edition.length, edition.rows) == (len(expected), sum(bool(row.fragment) for row in self.rows.values()))
            member = zlib.decompressobj(31)
            assert member.decompress(files["gzip"]) == expected
            assert member.eof and member.unused_data == b""  # one member: many clients read no further
            assert zstandard.ZstdDecompressor().decompress(files["zstd"], allow_extra_data=False) == expected  # and one frame
            frame = zstandard.get_frame_parameters(files["zstd"])
            assert (frame.content_size, frame.window_size) == (len(expected), 1 << 17)
        assert len(list((self.folder / "snapshots").iterdir())) == 4 * len(FORMS)


def _rows(numbers: Any, moment: int, size: int = 40) -> dict[int, Row | None]:
    return {number: Row(moment, f"({number} {moment})".encode() * (1 + number % size)) for number in numbers}


@contextmanager
def node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory() as folder:
        made = Node(Path(folder))
        try:
            yield made
        finally:
            made.store.close()


def copied(form: Form[Any], how: str) -> float:
    return REGISTRY.get_sample_value("ocpi_nap_snapshot_bytes_total", {"form": form.name, "how": how}) or 0.0


_STEP = st.dictionaries(st.integers(0, 50), st.sampled_from(["put", "hide", "drop"]), max_size=25)


@settings(max_examples=40, deadline=None)
@given(st.lists(_STEP, min_size=1, max_size=8))
def test_any_history(steps: list[dict[int, str]]) -> None:
    """After any changes, insertions, removals and hidings the bodies are those of the plain join; a node that has only the last state
    has the same ETag and the same files, byte for byte."""
    with node() as old, node() as new:
        for moment, step in enumerate(steps, 1):
            kinds = {"put": _rows([0], moment)[0], "hide": Row(moment, None), "drop": None}
            old.write({number: _rows([number], moment)[number] if kind == "put" else kinds[kind] for number, kind in step.items()})
            old.check()
        new.write(dict(sorted(old.rows.items(), reverse=True)))
        new.check()
        for form in FORMS:
            assert (new.edition(form).etag, new.files(form)) == (old.edition(form).etag, old.files(form))


def test_any_change_gives_another_etag() -> None:
    """Also one that only shows in the middle, and two rows that change places."""
    with node() as made:
        made.write(_rows(range(60), 1))
        tags = set()
        for thirtieth, other in ((None, b"y"), (b"x", b"y"), (b"y", b"y"), (b"y", b"z"), (b"z", b"y")):
            made.write({30: Row(1, thirtieth), 33: Row(1, other)})
            made.check()
            tags.add(made.edition(GROUPED).etag)
        assert len(tags) == 5


def test_what_did_not_change_is_copied() -> None:
    """Of 3,000 rows one changes, one comes, one goes: a few blocks are compressed, all others are in the new files as they were."""
    with node() as made:
        made.write(_rows(range(3000), 1))
        made.check()
        before = {form: (copied(form, "copied"), copied(form, "compressed"), made.files(form)) for form in FORMS}
        made.write({**_rows([700, 5000], 2), 1500: None})
        made.check()
        for form, (kept, anew, files) in before.items():
            length = made.edition(form).length
            assert copied(form, "copied") - kept > 0.97 * length
            assert 0 < copied(form, "compressed") - anew < 0.03 * length
            for coding, content in made.files(form).items():
                old = files[coding]
                pieces = [old[place : place + 500] for place in range(0, len(old), 500)]
                assert sum(piece in content for piece in pieces) > 0.9 * len(pieces)


@pytest.mark.parametrize("harm", ["lost", "cut", "changed", "other layout", "empty", "other files"])
def test_an_index_that_is_not_good(harm: str) -> None:
    """Everything is compressed anew, and the next edition can copy again."""
    with node() as made:
        made.write(_rows(range(300), 1))
        made.check()
        paths = {form: made.folder / "snapshots" / made.edition(form).index for form in FORMS}
        other = paths[RUN_ON].read_bytes()
        for path in paths.values():
            content = bytearray(path.read_bytes())
            if harm == "lost":
                path.unlink()
            elif harm == "other files":
                path.write_bytes(other)
            else:
                content[len(content) // 2] ^= harm == "changed"
                content[15] ^= harm == "other layout"
                path.write_bytes(content[: {"cut": -1, "empty": 0}.get(harm)])
        before = copied(LISTED, "copied")
        made.write(_rows([7], 2))
        made.check()
        assert copied(LISTED, "copied") == before
        made.write(_rows([8], 3))
        made.check()
        assert copied(LISTED, "copied") > before


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_file_with_a_wrong_byte(coding: str) -> None:
    """What is copied is checked: a fault of the disk does not go from edition to edition."""
    with node() as made:
        made.write(_rows(range(3000), 1))
        made.check()
        for form in FORMS:
            path = made.folder / "snapshots" / made.edition(form).files[coding][0]
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        made.write(_rows([7], 2))
        made.check()


def test_another_filling() -> None:
    """A store that was filled afresh says nothing of the blocks before."""
    with node() as made:
        made.write(_rows(range(300), 1))
        made.check()
        tag, before = made.edition(LISTED).etag, copied(LISTED, "copied")
        names = [form.name for form in FORMS]
        generation = made.store.new_generation(names)
        with made.store.writing(generation) as batch:
            for number, row in made.rows.items():
                batch.put(Rendered("tariff", number + 1, _key(number), [(form, row.modified, row.fragment) for form in FORMS]))
            batch.switch("again", names)
        made.check()
        assert (made.edition(LISTED).etag, copied(LISTED, "copied")) == (tag, before)


def test_checksums_are_joined() -> None:
    """As zlib has them of the whole."""
    chance = random.Random(1)
    for size in (0, 1, 2, 255, 256, 257, 65535, 65536, 1 << 20):
        first, second = chance.randbytes(chance.randrange(100)), chance.randbytes(size)
        assert crc.multiply(zlib.crc32(first), crc.shift(size)) ^ zlib.crc32(second) == zlib.crc32(first + second)


@contextmanager
def _served(bodies: dict[str, bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            coding = self.path.strip("/")
            self.send_response(200)
            self.send_header("Content-Encoding", coding)
            self.send_header("Content-Length", str(len(bodies[coding])))
            self.end_headers()
            self.wfile.write(bodies[coding])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def _run(*command: str, given: bytes = b"") -> tuple[int | None, bytes, bytes]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    out, errors = await process.communicate(given)
    return process.returncode, out, errors


async def test_clients_read_it_to_the_end() -> None:
    """Several HTTP clients and the tools of a shell: a body of many segments that was put together from copies and new parts."""
    with node() as made:
        made.write(_rows(range(3000), 1, 400))
        made.check()
        made.write(_rows([7, 1500], 2, 400))
        made.check()
        files, expected = made.files(LISTED), made.expected(LISTED)
    assert gzip.decompress(files["gzip"]) == expected and len(expected) > 1 << 20
    with _served(files) as base:
        async with aiohttp.ClientSession() as session, session.get(f"{base}/gzip") as reply:
            assert await reply.read() == expected
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{base}/gzip")).content == expected
        for coding in files if shutil.which("curl") else ():
            status, out, errors = await _run("curl", "-sS", "--fail", "--compressed", f"{base}/{coding}")
            if b"Unrecognized content encoding" not in errors:  # a curl that was built without zstd
                assert (status, out) == (0, expected), errors
    for coding in files:
        if shutil.which(coding):
            assert (await _run(coding, "-dc", given=files[coding]))[:2] == (0, expected)
