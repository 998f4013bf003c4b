"""The content of requests and answers, whatever the module (R26–R48)."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import msgspec
import pytest

from ocpi_nap.model import objects
from ocpi_nap.ocpi.versions import VERSIONS, lower_location
from tests.asgi import Reply
from tests.e2e.cpo import location, tariff
from tests.interface import Ocpi, due_now
from tests.versions import each

LATER = "2026-03-01T00:00:00Z"


def answer(reply: Reply, status: int = 200, code: int = 1000) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(reply.body)
    assert (reply.status, body["status_code"]) == (status, code), body
    return body


async def kept(ocpi: Ocpi, token: str, version: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    """PUT a Location, and what GET then answers."""
    place = f"{version}/locations/FI/ABC/{body['id']}"
    answer(await ocpi.send("PUT", place, body, token=token), status)
    data: dict[str, Any] = answer(await ocpi.send("GET", place, token=token))["data"]
    return data


async def issues(ocpi: Ocpi) -> set[tuple[str, str]]:
    await ocpi.issues.flush()
    return set(await ocpi.db.fetch_all("SELECT path, rule FROM issue"))


@pytest.mark.holds("R26", "I-21", "I-22")
@each
async def test_any_content_type(ocpi: Ocpi, version: str) -> None:
    """JSON is JSON, with a byte order mark too."""
    token, body = await ocpi.platform(version), json.dumps(location(version, 1)).encode()
    for kind in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "", "nonsense"):
        reply = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", body, token=token, headers={"content-type": kind})
        assert reply.status in (200, 201)
    assert (await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", codecs.BOM_UTF8 + body, token=token)).status == 200


@pytest.mark.holds("R29", "R34", "R36")
@each
async def test_statuses_and_data(ocpi: Ocpi, version: str) -> None:
    """201 for new, 200 for known, 404 for what is not held; data with GET only."""
    token, evse = await ocpi.platform(version), location(version, 1)["evses"][0]
    base = f"{version}/locations/FI/ABC/L1"
    patch = {"status": "BLOCKED", "last_updated": LATER}
    written = [
        ("PUT", base, location(version, 1), 201), ("PUT", base, location(version, 1), 200),
        ("PUT", f"{base}/U2", {**evse, "uid": "U2"}, 201), ("PUT", f"{base}/U2", {**evse, "uid": "U2"}, 200),
        ("PUT", f"{base}/U2/9", {**evse["connectors"][0], "id": "9"}, 201),
        ("PATCH", f"{base}/U2", patch, 200), ("PATCH", base, {"name": "x", "last_updated": LATER}, 200),
    ]  # fmt: skip
    if version != "2.1.1":
        place = f"{version}/tariffs/FI/ABC/T1"
        answer(await ocpi.send("GET", place, token=token), 404, 2000)
        written += [("PUT", place, tariff(version), 201), ("PUT", place, tariff(version), 200), ("DELETE", place, b"", 200)]
    for method, place, body, status in written:
        assert "data" not in answer(await ocpi.send(method, place, body, token=token), status)
    for place in ("L9", "L1/U9", "L1/U2/7", "L9/U9"):
        answer(await ocpi.send("GET", f"{version}/locations/FI/ABC/{place}", token=token), 404, 2003)
    assert answer(await ocpi.send("GET", f"{base}/U2/9", token=token))["data"]["id"] == "9"


TIMES: list[tuple[Any, str | None]] = [
    ("2026-02-01T10:00:00Z", "2026-02-01T10:00:00Z"), ("2026-02-01T10:00:00", "2026-02-01T10:00:00Z"),
    ("2026-02-01t10:00:00z", "2026-02-01T10:00:00Z"), ("2026-02-01 10:00:00", "2026-02-01T10:00:00Z"),
    ("2026-02-01T12:00:00+02:00", "2026-02-01T10:00:00Z"), ("2026-02-01T12:00:00.123456789+0200", "2026-02-01T10:00:00.123Z"),
    ("2026-02-01T10:00:00.5Z", "2026-02-01T10:00:00.5Z"), ("2026-02-01T10:00:00.123456Z", "2026-02-01T10:00:00.123Z"),
    ("2026-13-01T10:00:00Z", None), ("yesterday", None), (1769940000, None), ([], None),
]  # fmt: skip


@pytest.mark.holds("R28", "R44")
@pytest.mark.parametrize(("sent", "shown"), TIMES, ids=[str(sent) for sent, _ in TIMES])
@each
async def test_timestamps(ocpi: Ocpi, version: str, sent: Any, shown: str | None) -> None:
    """Read in many forms, given back in one; what is none counts as missing, on every level, and is recorded."""
    token, body = await ocpi.platform(version), location(version, 1)
    evse, connector = body["evses"][0], body["evses"][0]["connectors"][0]
    for node in (body, evse, connector):
        node["last_updated"] = sent
    read = await kept(ocpi, token, version, body)
    times = [node["last_updated"] for node in (read, read["evses"][0])]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", time) and len(time) <= 25 for time in times)
    if shown is not None:
        assert [*times, read["evses"][0]["connectors"][0]["last_updated"]] == [shown] * 3
    rules = {rule for path, rule in await issues(ocpi) if path.endswith("last_updated")}
    offset = isinstance(sent, str) and "+0" in sent
    assert rules == ({"timestamp_offset"} if offset else set() if shown is not None else {"timestamp_invalid", "required_invalid"})


@pytest.mark.holds("R40")
@each
async def test_undocumented_members(ocpi: Ocpi, version: str) -> None:
    """On every level, in credentials too: taken, and kept with the object."""
    token, body = await ocpi.platform(version), location(version, 1)
    extra = {"x_vendor": {"a": [1, None, {"b": 2.50}]}, "power": "x"}
    for node in (body, body["coordinates"], body["evses"][0], body["evses"][0]["connectors"][0]):
        node |= extra
    read = await kept(ocpi, token, version, body)
    for node in (read, read["coordinates"], read["evses"][0], read["evses"][0]["connectors"][0]):
        assert {name: node[name] for name in extra} == extra


@pytest.mark.holds("R41", "R42")
@each
async def test_open_enumerations(ocpi: Ocpi, version: str) -> None:
    """Values that nobody knows are kept; from 2.3.0 on they are no deviation where the enumeration is open."""
    token, body = await ocpi.platform(version), location(version, 1)
    body["evses"][0] |= {"capabilities": ["MOON_READER", "RFID_READER"], "parking_restrictions": ["MOON"]}
    body["evses"][0]["connectors"][0]["standard"] = "MOON_PLUG"
    body |= {"facilities": ["MOON"], ("type" if version == "2.1.1" else "parking_type"): "MOON_BASE",
             "images": [{"url": "https://x.example/a.png", "category": "MOON", "type": "png"}]}  # fmt: skip
    read = await kept(ocpi, token, version, body)
    evse = read["evses"][0]
    assert (evse["capabilities"], evse["parking_restrictions"], evse["connectors"][0]["standard"]) == (
        ["MOON_READER", "RFID_READER"], ["MOON"], "MOON_PLUG",
    )  # fmt: skip
    assert read["images"][0]["category"] == "MOON" and read["facilities"] == ["MOON"]
    assert bool({path for path, rule in await issues(ocpi) if "enum" in rule}) is (version != "2.3.0")


@pytest.mark.holds("R42", "R43", "I-98")
@each
async def test_null_absent_and_empty(ocpi: Ocpi, version: str) -> None:
    """All mean: nothing there, and the default where there is one; only false is false."""
    token, base = await ocpi.platform(version), location(version, 1)
    lists = ("images", "directions", "facilities", "related_locations")
    stored = []
    for number, value in enumerate(("absent", None, [])):
        body = {**base, "id": f"N{number}"}
        if value != "absent":
            body |= dict.fromkeys(lists, value) | {"name": None, "charging_when_closed": None, "opening_times": None}
            body["evses"] = [{**base["evses"][0], "capabilities": value, "images": value, "floor_level": None}]
        else:
            body = {name: item for name, item in body.items() if name != "name"}
            body["evses"] = [{name: item for name, item in base["evses"][0].items() if name != "capabilities"}]
        answer(await ocpi.send("PUT", f"{version}/locations/FI/ABC/N{number}", body, token=token), 201)
        row = await ocpi.db.fetch_one(
            "SELECT l.doc, e.doc FROM evse e JOIN location l ON l.pk = location_pk WHERE id = %s", (body["id"],)
        )  # fmt: skip
        assert row is not None
        doc, evse = objects.decode_location(bytes(row[0])), objects.decode_evse(bytes(row[1]))
        stored.append(lower_location(msgspec.structs.replace(doc, id="N"), [evse], VERSIONS[version]))
    assert stored[0] == stored[1] == stored[2]
    read = await kept(ocpi, token, version, {**base, "id": "N9", "charging_when_closed": False})
    assert read["charging_when_closed"] is False


@pytest.mark.holds("R45", "I-81")
@each
async def test_case_of_ids(ocpi: Ocpi, version: str) -> None:
    """EVSE and connector ids as Location ids: folded from 2.2.1 on, the first spelling kept; party codes in every version."""
    token, body = await ocpi.platform(version), location(version, 1)
    body["evses"][0] |= {"uid": "Ab", "connectors": [{**body["evses"][0]["connectors"][0], "id": "Xy"}]}
    await kept(ocpi, token, version, body)
    folded = version != "2.1.1"
    for place in ("L1/aB", "L1/Ab/xY", "l1/Ab"):
        reply = await ocpi.send("GET", f"{version}/locations/FI/ABC/{place}", token=token)
        assert (reply.status == 200) is folded, place
    patch = {"status": "BLOCKED", "last_updated": LATER}
    assert (await ocpi.send("PATCH", f"{version}/locations/fi/Abc/L1/AB", patch, token=token)).status == (200 if folded else 404)
    read = answer(await ocpi.send("GET", f"{version}/locations/fi/abc/L1", token=token))["data"]
    assert (read["evses"][0]["uid"], read["evses"][0]["connectors"][0]["id"]) == ("Ab", "Xy")
    if folded:
        again = {**body, "id": "l1", "last_updated": "2026-04-01T00:00:00Z"}
        again["evses"] = [{**body["evses"][0], "uid": "aB", "connectors": [{**body["evses"][0]["connectors"][0], "id": "xY"}]}]
        answer(await ocpi.send("PUT", f"{version}/locations/FI/ABC/l1", again, token=token), 200)
        evse = {**again["evses"][0], "last_updated": "2026-04-02T00:00:00Z"}
        answer(await ocpi.send("PUT", f"{version}/locations/FI/ABC/l1/aB", evse, token=token), 200)
        connector = {**evse["connectors"][0], "last_updated": "2026-04-03T00:00:00Z"}
        answer(await ocpi.send("PUT", f"{version}/locations/FI/ABC/l1/aB/xY", connector, token=token), 200)
        read = answer(await ocpi.send("GET", f"{version}/locations/FI/ABC/l1", token=token))["data"]
        assert (read["id"], read["evses"][0]["uid"], read["evses"][0]["connectors"][0]["id"]) == ("L1", "Ab", "Xy")


@pytest.mark.holds("R46", "I-117")
@pytest.mark.parametrize("version", ["2.2.1", "2.3.0"])
async def test_no_value_available(ocpi: Ocpi, version: str) -> None:
    """#NA in a text: taken as missing, which is a reason to refuse only for core data."""
    token = await ocpi.platform(version)
    body = {**location(version, 1), "postal_code": "#NA", "name": "#NA", "time_zone": "#NA"}
    await kept(ocpi, token, version, body)
    refused = await ocpi.send("PUT", f"{version}/locations/FI/ABC/L2", {**location(version, 2), "city": "#NA"}, token=token)
    answer(refused, 200, 2001)


@pytest.mark.holds("R47", "I-22", "I-120")
@each
async def test_characters(ocpi: Ocpi, version: str) -> None:
    """Control characters go and lone surrogates are replaced, recorded both; everything else is text."""
    token, body = await ocpi.platform(version), location(version, 1)
    text = json.dumps({**body, "name": "A\u0000b\u0007 <b>é 日本 😀</b>", "city": "Hel\ud800sinki"}).encode()
    answer(await ocpi.send("PUT", f"{version}/locations/FI/ABC/L1", text, token=token), 201)
    read = answer(await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token))["data"]
    assert (read["name"], read["city"]) == ("Ab <b>é 日本 😀</b>", "Hel\ufffdsinki")
    assert {("name", "control_characters"), ("city", "control_characters")} <= await issues(ocpi)


@pytest.mark.holds("R48", "R85", "R130")
@each
async def test_what_was_due_meanwhile(ocpi: Ocpi, version: str) -> None:
    """After a downtime everything is pulled at once, with what is pushed meanwhile; nobody sends missed pushes again."""
    await ocpi.platform(version)
    due = {(True,), (False,)}
    assert {(full,) for _, full in await due_now(ocpi.db)} == due
    assert await due_now(ocpi.db) == []
    await ocpi.db.execute("UPDATE schedule SET due_at = now() - interval '3 days'")
    assert {(full,) for _, full in await due_now(ocpi.db)} == due
    times = await ocpi.db.fetch_all("SELECT full_pull, due_at > now() + interval '50 minutes' FROM schedule ORDER BY 1")
    assert times == [(False, True), (True, True)]
