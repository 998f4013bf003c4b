"""The HTTP rules of contract section 0 on every path there is, also on errors; the OpenAPI document against what is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ocpi_nap.feed.api import ApiOptions
from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.feed.fragments.reader import FeedReader
from ocpi_nap.feed.http import CORS
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.feed.terms import Terms
from ocpi_nap.store.database import Database
from tests.asgi import Reply, call
from tests.feed.conftest import serving, settled
from tests.feed.datex2.samples import EVSE, RICH, TARIFF
from tests.feed.following import tell
from tests.feed.network import Network

BASE = "/api/charging-network/v1"
PAGED = ("locations", "locations/statuses", "tariffs")
DATEX = (
    "locations/datex2-3.6", "locations/statuses/datex2-3.6", "locations/datex2-3.7", "locations/statuses/datex2-3.7", "tariffs/datex2-3.7",
)  # fmt: skip
WHOLE = (*(f"{path}/all" for path in (*PAGED, *DATEX)), *(f"locations/all.{kind}" for kind in ("parquet", "fgb", "csv")))
NEEDS_GZIP = ("operators", "locations/FI*ABC/L1", *PAGED, *DATEX)
EVERY = (*NEEDS_GZIP, *WHOLE, "changes")


@pytest.fixture
async def whole(database: Database, tmp_path: Path) -> AsyncIterator[Any]:
    """The public API with all publications, and something in each."""
    made = await Network.create(database)
    await made.put([1])
    await made.put_tariff()
    await settled(database)
    async with serving(database, tmp_path, forms=FORMS, options=ApiOptions(terms=Terms("https://licence.example/"))) as app:
        yield app


def cors(reply: Reply) -> bool:
    return all(reply.headers.get(name.decode()) == value.decode() for name, value in CORS)


async def test_methods(whole: Any) -> None:
    """GET, HEAD with the same headers and no need of gzip, OPTIONS; anything else is 405 with what there is."""
    for path in (*(f"{BASE}/{path}" for path in EVERY), "/healthz", "/metrics", "/swagger/", "/swagger/openapi.json"):
        answer, head = await call(whole, path), await call(whole, path, method="HEAD")
        assert answer.status == head.status == 200 and answer.body and cors(answer) and cors(head), path
        if path.startswith(BASE):
            for name in ("etag", "content-type", "vary"):
                assert answer.headers.get(name) == head.headers.get(name), path
            assert (await call(whole, path, method="HEAD", headers={"accept-encoding": ""})).status == 200, path
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = await call(whole, path, method=method)
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS"), (method, path)
            assert cors(refused) and refused.headers["content-type"] == "text/plain", path
        asked = await call(whole, path, method="OPTIONS")
        assert (asked.status, asked.body, asked.headers["access-control-max-age"]) == (204, b"", "86400") and cors(asked), path


async def test_a_stream_is_asked_about(whole: Any) -> None:
    """HEAD does not listen; scripts on other sites may send the id of their last event."""
    path = f"{BASE}/stream/statuses"
    head = await call(whole, path, method="HEAD")
    assert (head.status, head.headers["content-type"], head.body) == (200, "text/event-stream; charset=utf-8", b"")
    assert (await call(whole, path, method="POST")).headers["allow"] == "GET, HEAD, OPTIONS"
    allowed = (await call(whole, path, method="OPTIONS")).headers["access-control-allow-headers"].split(",")
    assert "Last-Event-ID" in allowed and "Digitraffic-User" in allowed
    assert "Last-Event-ID" not in (await call(whole, f"{BASE}/locations", method="OPTIONS")).headers["access-control-allow-headers"]


async def test_gzip(whole: Any) -> None:
    """Pages ask for it before they look at anything else, and answer as the edge does: with nothing but the text."""
    for path in EVERY:
        for accepted in ("", "identity", "br", "*", "deflate, zstd"):
            reply = await call(whole, f"{BASE}/{path}?limit=7&cursor=!", headers={"accept-encoding": accepted})
            if path in NEEDS_GZIP:
                assert reply.status == 406 and reply.body == b"Use of gzip compression is required with Accept-Encoding: gzip header."
                assert set(reply.headers) == {"content-length"}, path
            else:
                assert reply.status == 200 and reply.headers.get("content-encoding") in (None, "zstd"), path
        for accepted in ("gzip", "br, gzip;q=0.5", "x-gzip"):
            assert (await call(whole, f"{BASE}/{path}", headers={"accept-encoding": accepted})).status == 200, path


async def test_a_header_in_two_lines(whole: Any) -> None:
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")]
        await whole({**scope, "headers": headers}, receive, send)

    assert (await call(twice, f"{BASE}/locations")).headers["content-encoding"] == "gzip"
    assert (await call(twice, f"{BASE}/locations/all")).headers["content-encoding"] == "gzip"


ACCEPT = {
    "*/*": "json", "": "json", "application/json": "json", "application/xml": "xml", "text/xml": "xml",
    "application/xml, */*": "xml", "application/xml, */*;q=0.8": "xml", "application/xml;q=0.5, */*": "json",
    "application/xml, application/json;q=0.5": "xml", "application/json;q=0.9, application/xml;q=0.95": "xml",
    "application/json, application/xml": "json", "application/json, application/xml;q=0.9": "json",
    "application/xml;q=0": "json", "application/xml;q=0, application/json;q=0.1": "json", "application/xml;q=x": "json",
    "APPLICATION/XML ; Q=1": "xml", "application/geo+json": "json", "application/*, application/xml;q=0.9": "json",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8": "json", "application/xhtml+xml": "json",
}  # fmt: skip


async def test_xml_for_those_who_ask(whole: Any) -> None:
    """By the weights of Accept; never 406 (contract section 0)."""
    for accept, kind in ACCEPT.items():
        for path in ("locations/datex2-3.6", "locations/datex2-3.7/all"):
            reply = await call(whole, f"{BASE}/{path}", headers={"accept": accept})
            assert (reply.status, reply.headers["content-type"]) == (200, f"application/{kind}"), accept
        reply = await call(whole, f"{BASE}/locations", headers={"accept": accept})
        assert reply.headers["content-type"] == "application/geo+json;charset=UTF-8"


async def test_unknown_parameters(whole: Any) -> None:
    """They are ignored (contract section 9), also those that another path knows."""
    for path in (*PAGED, "operators"):
        plain = await call(whole, f"{BASE}/{path}")
        assert (await call(whole, f"{BASE}/{path}?foo=bar&format=xml&since=x")).body == plain.body
    assert (await call(whole, f"{BASE}/tariffs/all?format=csv&cursor=x&limit=3")).body == (await call(whole, f"{BASE}/tariffs/all")).body


async def test_what_fails(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours is 500 with the headers of every other answer, and is counted by the path's pattern."""

    async def broken(self: FeedReader) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(FeedReader, "sync", broken)
    reply = await call(whole, f"{BASE}/locations/FI*ABC/L1")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (500, b"Internal server error", "text/plain")
    assert cors(reply) and "license" in reply.headers["link"]
    metrics = (await call(whole, "/metrics")).body.decode()
    pattern = f"{BASE}/locations/{{operator}}/{{location_id:path}}"
    assert f'ocpi_nap_api_answers_total{{path="{pattern}",status="500"}} 1.0' in metrics and "FI*ABC" not in metrics


async def test_a_database_that_is_away(whole: Any, database: Database) -> None:
    """What needs it says so and when to come again; an event stream ends, so that its reader comes again by itself."""
    await database.close()
    reply = await call(whole, f"{BASE}/changes?since=0")
    assert (reply.status, reply.headers["retry-after"], reply.headers["content-type"]) == (503, "5", "text/plain") and cors(reply)
    stream = await call(whole, f"{BASE}/stream/statuses?Last-Event-ID=1")
    assert (stream.status, stream.body) == (200, b"retry: 2000\n\n")
    assert stream.headers["content-type"].startswith("text/event-stream")


def _members(schema: dict[str, Any], document: dict[str, Any], value: Any, where: str) -> None:
    """Every member of a value is in its schema."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        fitting = [s for s in schema.get("anyOf", [schema]) if "$ref" in s or "properties" in s]
        assert len(fitting) == 1, (where, schema)
        if "$ref" in fitting[0]:
            _members(fitting[0], document, value, where)
            return
        for name, member in value.items():
            assert name in fitting[0]["properties"], f"{where}.{name} is not documented"
            _members(fitting[0]["properties"][name], document, member, f"{where}.{name}")
    elif isinstance(value, list):
        (listed,) = [s for s in schema.get("anyOf", [schema]) if s.get("type") == "array"]
        for item in value:
            _members(listed["items"], document, item, f"{where}[]")


async def test_the_document_says_everything(database: Database, tmp_path: Path) -> None:
    """Every path, every media type, and every member of answers that have all there can be."""
    made = await Network.create(database)
    directions = [{"language": "fi", "text": "Perällä"}]
    exceptional = {**RICH["opening_times"], "exceptional_openings": RICH["opening_times"]["exceptional_closings"]}
    logo = {"url": "https://lataus.example/l.png", "thumbnail": "https://lataus.example/t.png", "category": "OPERATOR", "type": "png",
            "width": 1, "height": 1}  # fmt: skip
    evse = {**EVSE, "directions": directions, "coordinates": {"latitude": "60.17", "longitude": "24.94"}}
    await made.put([1], **{**RICH, "opening_times": exceptional, "operator": {**RICH["operator"], "logo": logo}, "evses": [evse]})
    mix = {**RICH["energy_mix"], "environ_impact": [{"category": "CARBON_DIOXIDE", "amount": 0.5}], "supplier_name": "Tuuliyhtiö"}
    limits = {
        "start_time": "07:00", "end_time": "23:00", "start_date": "2026-01-01", "end_date": "2026-12-31", "min_kwh": 1, "max_kwh": 20.5,
        "min_current": 6, "max_current": 32, "min_power": 3.7, "max_power": 22, "min_duration": 60, "max_duration": 3600.4,
        "day_of_week": ["MONDAY"], "reservation": "RESERVATION",
    }  # fmt: skip
    await made.put_tariff(**{
        **TARIFF, "elements": [{"price_components": TARIFF["elements"][0]["price_components"], "restrictions": limits}], "energy_mix": mix,
        "tariff_alt_url": "https://lataus.example/t", "start_date_time": "2026-01-01T00:00:00Z", "end_date_time": "2027-01-01T00:00:00Z",
        "min_price": {"before_taxes": 1},
    })  # fmt: skip
    await tell(EventLogWriter(database))
    await settled(database)
    async with serving(database, tmp_path, forms=FORMS) as app:
        document = (await call(app, "/swagger/openapi.json")).json()
        for path in (*EVERY, "stream/statuses"):
            path = path.replace("FI*ABC/L1", "{operator}/{location_id}")
            responses = document["paths"][f"{BASE}/{path}"]["get"]["responses"]
            assert {"200", "429", "503"} <= set(responses), path
            assert ("406" in responses) is (path in (*NEEDS_GZIP, "locations/{operator}/{location_id}")), path
            assert ("302" in responses) is (path in (*PAGED, *DATEX)) and ("206" in responses) is (path in (*WHOLE, *DATEX)), path
        for path in ("operators", *PAGED, *(f"{path}/all" for path in PAGED), "locations/FI*ABC/L1", "changes", "changes?since=0"):
            reply = await call(app, f"{BASE}/{path}")
            pattern = path.partition("?")[0].replace("FI*ABC/L1", "{operator}/{location_id}")
            content = document["paths"][f"{BASE}/{pattern}"]["get"]["responses"]["200"]["content"]
            media_type = reply.headers["content-type"].partition(";")[0]
            schema = content[media_type]["schema"]
            jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(reply.json())
            _members(schema, document, reply.json(), path)
        for path in (*DATEX, *WHOLE):
            content = document["paths"][f"{BASE}/{path}"]["get"]["responses"]["200"]["content"]
            for accept in ("*/*", "application/xml"):
                reply = await call(app, f"{BASE}/{path}", headers={"accept": accept})
                assert reply.headers["content-type"].partition(";")[0] in content, path
        (shown,) = (await call(app, f"{BASE}/tariffs")).json()["tariffs"]
        assert shown["energyMix"] == {
            "isGreenEnergy": True, "energySources": [{"source": "WIND", "percentage": 100}],
            "environImpact": [{"category": "CARBON_DIOXIDE", "amount": 0.5}], "supplierName": "Tuuliyhtiö", "energyProductName": "Tuuli",
        }  # fmt: skip
        assert json.dumps(shown["elements"][0]["restrictions"]["maxDuration"]) == "3600"
