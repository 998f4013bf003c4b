"""Last-Modified and If-Modified-Since: nobody is told that nothing changed when something did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi_nap.feed.dates import date_of, is_date_of, last_modified, unchanged_since
from ocpi_nap.store.database import Database
from tests.asgi import call
from tests.feed.conftest import serving, settled
from tests.feed.network import Network

BASE = "/api/charging-network/v1"
PATHS = ("locations", "locations/all", "locations/statuses", "locations/statuses/all")


@dataclass
class Body:
    etag: str
    dated: int


_STEP = st.tuples(st.integers(0, 2500), st.integers(-4, 4), st.booleans())


@given(st.lists(_STEP, max_size=30))
def test_any_bodies(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever the clocks of the operators say, and however many bodies a second sees: a date that was sent with one of them is never
    good for a later one, is never to come, and is good again for the same body once its second is over."""
    now, body = 1_800_000_000.0, Body("first", 0)
    sent: list[tuple[str, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ocpi_nap.feed.dates.time.time", lambda: now)
        body.dated = date_of(body.etag, datetime.fromtimestamp(now - 60, UTC))
        for number, (later, ahead, changed) in enumerate(steps):
            now += later / 1000
            moment = datetime.fromtimestamp(now + ahead, UTC)
            tag = str(number) if changed else body.etag
            body = Body(tag, date_of(tag, moment, body))
            for other, header in sent:
                if other != body.etag:
                    assert not unchanged_since(header, body.dated) and not is_date_of(header, body.dated)
            header = last_modified(body.dated)
            assert parsedate_to_datetime(header).timestamp() <= now
            sent.append((body.etag, header))
        now += 2
        header = last_modified(body.dated)
        assert unchanged_since(header, body.dated) and is_date_of(header, body.dated)


@pytest.mark.parametrize("value", ["", "x", "2026-02-01", "Sun, 01 Feb 2026", "Sun, 32 Feb 2026 12:00:00 GMT", "1" * 400])
def test_dates_that_cannot_be_read(value: str) -> None:
    assert not unchanged_since(value, 0)


async def test_what_comes_late(database: Database, tmp_path: Path) -> None:
    """Changes that are older, by the clocks of their operators, than what was there before, and some that are ahead of our clock."""
    made = await Network.create(database)
    await database.execute("UPDATE change SET at = '2026-01-01'")  # the operator is older than what its network tells
    await made.put([1])
    await settled(database)
    async with serving(database, tmp_path) as app:
        replies = {path: await call(app, f"{BASE}/{path}") for path in PATHS}
        for path, reply in replies.items():
            assert reply.headers["last-modified"] == "Sun, 01 Feb 2026 12:01:00 GMT", path
            assert (await call(app, f"{BASE}/{path}", headers={"if-modified-since": reply.headers["last-modified"]})).status == 304, path
        ahead = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        for number, stamp in ((2, "2026-01-31T12:00:00Z"), (3, ahead), (4, "2026-02-01T12:00:00Z")):
            await made.put([number], last_updated=stamp)
            await settled(database)
            for path, reply in replies.items():
                known = {"if-modified-since": reply.headers["last-modified"]}
                now = replies[path] = await call(app, f"{BASE}/{path}", headers=known)
                assert now.status == 200 and now.content != reply.content, (path, number)
                assert parsedate_to_datetime(now.headers["last-modified"]) <= datetime.now(UTC)
