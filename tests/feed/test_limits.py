"""Limits and terms in every answer (contract section 0)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from ocpi_nap.feed import limits
from ocpi_nap.feed.events.relay import MqttRelay
from ocpi_nap.feed.limits import Counts, Limits, client_key, read_networks
from ocpi_nap.feed.terms import Terms, read_sunsets
from ocpi_nap.store.database import Database
from tests.asgi import call
from tests.feed.conftest import Api

BASE = "/api/charging-network/v1"
READER = "192.0.0.9"  # a global address that nobody has


class From:
    """The application as an address sees it."""

    def __init__(self, app: Any, address: str) -> None:
        self._app, self._address = app, address

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "client": (self._address, 1)}, receive, send)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The clock of the limits stands still until it is set."""
    moment = [1_800_000_000.0]

    def set_to(value: float) -> None:
        moment[0] = value

    monkeypatch.setattr(limits.time, "time", lambda: moment[0])
    return set_to


async def test_more_than_allowed(api: Api, steady: Callable[[float], None]) -> None:
    """429 as the contract writes it, with what remains in each answer; the next window is a new one."""
    app = await api(limits=Limits("public", 5, 8))
    reader = From(app, READER)
    for used in range(1, 6):
        reply = await call(reader, f"{BASE}/operators")
        assert reply.status == 200 and reply.headers["ratelimit-policy"] == '"anonymous";q=5;w=300'
        assert reply.headers["ratelimit"] == f'"anonymous";r={5 - used};t=300'
    for method in ("HEAD", "OPTIONS"):
        assert (await call(reader, f"{BASE}/operators", method=method)).status in (200, 204)
    refused = await call(reader, f"{BASE}/operators")
    assert (refused.status, refused.headers["content-type"], refused.headers["retry-after"]) == (429, "text/plain", "300")
    assert refused.body == b"Request rate is limited to 5 requests in a 5 minute window."
    assert refused.headers["access-control-allow-origin"] == "*"
    named = {"digitraffic-user": "example/1.0"}
    assert [(await call(reader, f"{BASE}/operators", headers=named)).status for _ in range(3)] == [200, 200, 429]
    for free in (app, From(app, "10.0.0.7"), From(app, "::1")):
        reply = await call(free, f"{BASE}/operators")
        assert reply.status == 200 and "ratelimit" not in reply.headers
    assert (await call(reader, "/healthz")).status == 200
    steady(1_800_000_300.0)
    assert (await call(reader, f"{BASE}/operators")).status == 200


async def test_switches(api: Api) -> None:
    for whose, address, status in (("off", READER, 200), ("all", "127.0.0.1", 429), ("public", "127.0.0.1", 200), ("public", READER, 429)):
        app = await api(limits=Limits(whose, 0, 0))  # type: ignore[arg-type]
        assert (await call(From(app, address), f"{BASE}/operators")).status == status, (whose, address)


async def test_counts_of_all_nodes(database: Database, steady: Callable[[float], None]) -> None:
    """Two workers add up; an old window is forgotten."""
    here, there = Counts(database, "api", 300), Counts(database, "api", 300)
    assert [here.add("a"), here.add("a"), there.add("a"), there.add("b")] == [1, 2, 1, 1]
    await here.share()
    await there.share()
    assert here.add("a") == 3 and there.add("a") == 4
    await here.share()
    await there.share()
    assert here.add("a") == 5 and there.add("a") == 6 and here.add("b") == 1
    for moment in (1_800_000_300.0, 1_800_000_600.0):
        steady(moment)
        assert here.add("a") == 1
        await here.share()
    assert await database.fetch_all("SELECT client, requests FROM request_count WHERE window_start < to_timestamp(1800000300)") == []


async def test_without_the_database(dsn: str, steady: Callable[[float], None]) -> None:
    """Counting goes on alone."""
    db = await Database.open(dsn)
    counts = Counts(db, "api", 300)
    counts.add("a")
    await db.close()
    await counts.share()
    assert counts.add("a") == 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "key"),
    [
        (READER, None, READER),
        (READER, "192.0.0.10", READER),  # not our proxy: its word does not count
        ("10.1.2.3", "192.0.0.10", "192.0.0.10"),
        ("10.1.2.3", "192.0.0.99, 192.0.0.10", "192.0.0.10"),  # what the reader itself wrote before
        ("10.1.2.3", "192.0.0.10, 10.9.9.9", "192.0.0.10"),
        ("10.1.2.3", "rubbish", None),
        ("10.1.2.3", "192.0.0.10, rubbish", None),
        ("10.1.2.3", None, None),
        ("2001:4860:1:2:3::4", None, "2001:4860:1:2::/64"),
        ("::ffff:192.0.0.9", None, READER),
        ("unix", None, None),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str | None, key: str | None) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"client": (peer, 1), "headers": headers}
    assert client_key(scope, Limits("public", trusted=read_networks("10.0.0.0/8"))) == key
    assert client_key({"client": None, "headers": headers}, Limits("public")) is None


async def test_connections_to_the_broker(database: Database, steady: Callable[[float], None]) -> None:
    """The relay refuses the sixth connection in a minute before it opens one."""
    relay = MqttRelay("mqtt://127.0.0.1:1")
    relay.limit(database, Limits("public"), 5)
    answers = []
    for _ in range(6):
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any, messages: list[Any] = messages) -> None:
            messages.append(message)

        await relay({"type": "websocket", "path": "/mqtt", "client": (READER, 1), "headers": [], "subprotocols": ["mqtt"]}, receive, send)
        answers.append(messages[0])
    assert [answer["type"] for answer in answers] == ["websocket.accept"] * 5 + ["websocket.http.response.start"]
    assert answers[5]["status"] == 429


TERMS = Terms("https://licence.example/by", "https://nap.example", "Väylä", {f"{BASE}/tariffs": date(2027, 6, 30)})


@pytest.mark.parametrize("path", ["operators", "locations", "locations/all", "locations/statuses/all", "tariffs", "changes", "nothing"])
async def test_terms(api: Api, path: str) -> None:
    """Licence and source in each answer, 304 and errors too; the bare 406 has none."""
    app = await api(terms=TERMS)
    link = '<https://licence.example/by>; rel="license", <https://nap.example>; rel="via"; title*=UTF-8\'\'V%C3%A4yl%C3%A4'
    reply = await call(app, f"{BASE}/{path}")
    assert reply.headers["link"] == link
    assert (reply.headers.get("deprecation"), reply.headers.get("sunset")) == (
        ("true", "Wed, 30 Jun 2027 00:00:00 GMT") if path == "tariffs" else (None, None)
    )
    if "etag" in reply.headers:
        unchanged = await call(app, f"{BASE}/{path}", headers={"if-none-match": reply.headers["etag"]})
        assert (unchanged.status, unchanged.headers["link"]) == (304, link)
    bare = await call(app, f"{BASE}/{path}", headers={"accept-encoding": "identity"})
    assert "link" not in bare.headers if bare.status == 406 else bare.headers["link"] == link


@pytest.mark.parametrize("text", ["x", "/a=yesterday", "a=2027-01-01", "/a=2027-13-01"])
def test_settings_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError):
        read_sunsets(text)
    with pytest.raises(ValueError):
        read_networks(text)
