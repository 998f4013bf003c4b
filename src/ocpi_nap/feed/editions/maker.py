"""Makes the editions of publications from the node's own fragments.

Any node makes the same bytes of the same data: nothing in them comes from a clock, and where blocks end depends on the keys alone. Blocks
that are as they were in the edition before are copied from its files, compressed as they are; the others are compressed, one at a time,
so that the cost follows what changed and the memory does not grow with the network.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from prometheus_client import Counter, Gauge

from ocpi_nap.feed.dates import date_of
from ocpi_nap.feed.editions.blockindex import BlockIndex, IndexWriter, Kept
from ocpi_nap.feed.editions.edition import Edition, Held, describe, described
from ocpi_nap.feed.editions.segments import NOTHING, EditionWriter, Spoilt
from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.fragments.keys import key_operator
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.fragments.tables import Block, Reading
from ocpi_nap.model.timestamps import from_micros

log = logging.getLogger(__name__)

_BUILT_AT = Gauge("ocpi_nap_snapshot_built_at", "Unix time when the edition that is served was made", ["form"], multiprocess_mode="livemax")
_SECONDS = Gauge("ocpi_nap_snapshot_seconds", "CPU time that its making took", ["form"], multiprocess_mode="livemax")
_ROWS = Gauge("ocpi_nap_snapshot_rows", "Rows in it", ["form"], multiprocess_mode="livemax")
_HELD = Gauge("ocpi_nap_snapshot_held", "1: a newer edition is held back because it would lose too many locations", ["form"],
              multiprocess_mode="livemax")  # fmt: skip
_BYTES = Counter("ocpi_nap_snapshot_bytes_total", "Bytes of editions, uncompressed, that were compressed or copied", ["form", "how"])

MOST_LOST = 0.1
"""Share of the locations that an edition may lose …"""
FEW = 10
"""… unless they are no more than this."""
AGREES_AFTER = 3600.0
"""Seconds after which a build that would still lose them is believed."""


@dataclass(frozen=True, slots=True)
class _Survey:
    """What must be known before a publication is written."""

    rows: int
    """How many are published."""
    latest: int
    """When any row last changed (µs)."""
    operators: tuple[str, ...]
    """Those that have published rows."""


class EditionMaker:
    """Makes editions, in a thread."""

    def __init__(self, store: FragmentStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def make(self, form: Form[Any], rendered: tuple[int, int] | None = None) -> str | None:
        """Make the edition of a form if something in it changed: `built`, `held` or None. ``rendered`` is how far the change feed
        was read when nothing waited to be rendered: it may be read further by now, which forms without pages do not show yet."""
        began, now = time.thread_time(), time.time()
        with self._store.reading() as reading:
            before = described(self._folder, form.name)
            state = reading.state
            revision = (state.filling, state.revisions.get(form.name))
            reached = state.position if form.paged or rendered is None else rendered
            if before is not None and (before.filling, before.revision) == revision and not before.held:
                if before.position != reached:
                    before.position, before.read_at = reached, now
                    describe(self._folder, before)
                return None
            index = self._index(before, state.filling)
            survey = _survey(reading, form, index)
            held = judge(form, before, survey.rows, state.releases, now)
            _HELD.labels(form.name).set(0 if held is None else 1)
            if held is not None and before is not None:
                self._hold(before, held)
                return "held"
            edition = self._write(reading, form, survey, index, before)
            edition.position, edition.read_at, edition.seconds = reached, now, edition.seconds + time.thread_time() - began
        describe(self._folder, edition)
        _BUILT_AT.labels(form.name).set(edition.built_at)
        _SECONDS.labels(form.name).set(edition.seconds)
        _ROWS.labels(form.name).set(edition.rows)
        return "built"

    def _index(self, before: Edition | None, filling: str) -> BlockIndex | None:
        """Of which blocks the edition before is made, if that says anything of the blocks in this filling of the store."""
        if before is None or before.filling != filling or not before.index:
            return None
        return BlockIndex.open(self._folder / before.index, {coding: size for coding, (_, size) in before.files.items()})

    def _hold(self, before: Edition, held: Held) -> None:
        if before.held is None:
            log.error(
                "the snapshot of %s is held back: %d rows instead of %d. `ocpi-nap snapshots release` publishes it, or it is published"
                " when it still holds no more in an hour", before.name, held.rows, before.rows,
            )  # fmt: skip
        describe(self._folder, msgspec.structs.replace(before, held=held))

    def _write(self, reading: Reading, form: Form[Any], survey: _Survey, index: BlockIndex | None, before: Edition | None) -> Edition:
        if index is not None and before is not None:
            try:
                return self._put_together(reading, form, survey, index, before)
            except Spoilt as error:
                log.warning("the snapshot of %s is made without the one before: %s", form.name, error)
        return self._put_together(reading, form, survey, None, before)

    def _put_together(
        self, reading: Reading, form: Form[Any], survey: _Survey, index: BlockIndex | None, before: Edition | None
    ) -> Edition:
        """With an index the edition before is copied from."""
        latest, changed = survey.latest, max(survey.latest, reading.state.floor)
        envelope = Envelope(
            modified_at=from_micros(latest), published_at=from_micros(changed), groups=survey.operators, pagination={"limit": survey.rows}
        )
        with ExitStack() as stack:
            copied_from = {} if index is None or before is None else {coding: file for coding, (file, _) in before.files.items()}
            writer = stack.enter_context(EditionWriter(self._folder, form.name, copied_from))
            kept = stack.enter_context(IndexWriter(self._folder, form.name))
            _compose(reading, form, envelope, index, writer, kept)
            tag, files = writer.finish()
            index_name = kept.finish(writer.mark)
        _BYTES.labels(form.name, "copied").inc(writer.copied)
        _BYTES.labels(form.name, "compressed").inc(writer.length - writer.copied)
        state = reading.state
        return Edition(
            name=form.name, media_type=form.media_type, filling=state.filling, revision=state.revisions.get(form.name, 0),
            position=state.position, read_at=0.0, etag=tag, length=writer.length, dated=date_of(tag, from_micros(changed), before),
            rows=survey.rows, built_at=time.time(), seconds=writer.waited, files=files, index=index_name,
        )  # fmt: skip


K = TypeVar("K", bound=tuple[Any, ...])


def _walk(reading: Reading, form: Form[Any], newest: int, before: Iterable[K]) -> Iterator[tuple[Block, K | None]]:
    """The blocks of a form as they are now, each with what is known of it in the edition ``before`` if nothing in it changed since: of
    tuples that begin with a serial, the greatest of which is ``newest``."""
    old = iter(before)
    for block in reading.blocks(form.name):
        found = None
        if block.serial <= newest:
            for kept in old:  # both are in feed order
                if kept[0] == block.serial:
                    found = kept
                    break
        yield block, found


def _survey(reading: Reading, form: Form[Any], index: BlockIndex | None) -> _Survey:
    operators: list[str] = []
    total = latest = 0
    party = b""
    newest, records = (0, iter(())) if index is None else (index.newest, index.records())
    for block, kept in _walk(reading, form, newest, records):
        rows, moment = reading.count_rows(form.name, block) if kept is None else kept[2:4]
        total += rows
        latest = max(latest, moment)
        if rows and block.party != party:
            party = block.party
            operators.append(key_operator(party))
    return _Survey(total, latest, tuple(operators))


def _compose(
    reading: Reading, form: Form[Any], envelope: Envelope, index: BlockIndex | None, writer: EditionWriter, kept: IndexWriter
) -> None:
    """Write a publication as `Form.join` has it: blocks, and between them what is written anew for each edition."""
    between, party = form.head(envelope), b""
    newest, blocks = (0, iter(())) if index is None else (index.newest, iter(index))
    for block, old in _walk(reading, form, newest, blocks):
        if old is None:
            fragments, latest = reading.block_rows(form.name, block)
            rows = len(fragments)
        else:
            rows, latest = old.rows, old.latest
        if not rows:
            kept.add(Kept(block.serial, False, 0, latest, NOTHING))
            continue
        lead = block.party == party if form.group_head is not None else bool(party)
        if block.party != party and form.group_head is not None:
            between += (form.group_tail if party else b"") + form.opening(key_operator(block.party), envelope, first=not party)
        party = block.party
        if between:
            kept.add(Kept(0, False, 0, 0, writer.add(between)))
            between = b""
        if old is not None and old.lead == lead:
            writer.copy(old.segment, old.gzip, old.zstd)
            kept.add(old)
            continue
        if old is not None:
            fragments, _ = reading.block_rows(form.name, block)
        segment = writer.add((form.separator if lead else b"") + form.separator.join(fragments))
        kept.add(Kept(block.serial, lead, rows, latest, segment))
    if party:
        between += form.group_tail
    elif form.empty is not None:
        between += form.empty(envelope)
    kept.add(Kept(0, False, 0, 0, writer.add(between + form.tail(envelope))))


def judge(form: Form[Any], before: Edition | None, rows: int, releases: int, now: float) -> Held | None:
    """Whether an edition with so many rows is held back: it would lose a tenth of the locations, and nobody said that this is right."""
    if form.rows != "location" or before is None:
        return None
    lost = before.rows - rows
    if lost <= FEW or lost <= MOST_LOST * before.rows:
        return None
    if before.held is None:
        return Held(now, rows, releases)
    if releases != before.held.releases or now - before.held.since >= AGREES_AFTER:
        return None
    before.held.rows = rows
    return before.held
