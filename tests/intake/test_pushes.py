"""Pushes of Locations at three levels: what each write changes, what it must not, and what is read back (requirements section 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpi_nap.model import timestamps
from tests.e2e.cpo import location, tariff
from tests.intake.pusher import Pusher, at
from tests.interface import Ocpi
from tests.versions import each


def times(found: dict[str, Any]) -> tuple[str, str, str]:
    """last_updated of the Location, its first EVSE and that one's first connector."""
    evse = found["evses"][0]
    return found["last_updated"], evse["last_updated"], evse["connectors"][0]["last_updated"]


@each
@pytest.mark.holds("R137", "R141", "R143", "R144", "R145", "R170")
async def test_three_levels(cpo: Pusher, version: str) -> None:
    """PUT creates (201) or replaces (200) at each level, GET gives it back as it was sent, repeating changes nothing."""
    body = await cpo.start()
    evse, connector = body["evses"][0], body["evses"][0]["connectors"][0]
    assert await cpo.read("L1") == body
    assert await cpo.read("L1/U1") == evse
    assert await cpo.read("L1/U1/1") == connector
    second = {**evse, "uid": "U2", "connectors": [{**connector, "id": "9"}]}
    await cpo.ok("PUT", "L1/U2", second, status=201)
    await cpo.ok("PUT", "L1/U2/8", {**connector, "id": "8"}, status=201)
    assert [c["id"] for c in (await cpo.read("L1/U2"))["connectors"]] == ["9", "8"]
    await cpo.ok("PUT", "L1/U2", {**second, "floor_level": "1", "last_updated": at(2)}, status=200)
    assert [c["id"] for c in (await cpo.read("L1/U2"))["connectors"]] == ["9"], "the list becomes the one sent"
    await cpo.ok("PUT", "L1/U2/9", {**connector, "id": "9", "format": "CABLE", "last_updated": at(3)}, status=200)
    bare = {name: value for name, value in body.items() if name not in ("name", "time_zone")}
    await cpo.ok("PUT", "L1", {**bare, "last_updated": at(4)}, status=200)
    read = await cpo.read("L1")
    assert "name" not in read and "time_zone" not in read and [e["uid"] for e in read["evses"]] == ["U1"]
    replaced = read | {"last_updated": at(5)}
    for path, again in (("L1", replaced), ("L1/U1", evse), ("L1/U1/1", connector)):
        await cpo.ok("PUT", path, again, status=200)
        state, changes = await cpo.read("L1"), (await cpo.ocpi.stored())["change"]
        await cpo.ok("PUT", path, again, status=200)
        assert await cpo.read("L1") == state and (await cpo.ocpi.stored())["change"] == changes
    await cpo.ok("PATCH", "L1/U1", {"status": "BLOCKED", "last_updated": at(6)}, status=200)
    changes = (await cpo.ocpi.stored())["change"]
    await cpo.ok("PATCH", "L1/U1", {"status": "BLOCKED", "last_updated": at(6)}, status=200)
    assert (await cpo.ocpi.stored())["change"] == changes
    for path in ("L9", "L1/U9", "L1/U1/9", "L9/U1/1"):
        await cpo.refused("GET", path, status=404, code=2003)


@each
@pytest.mark.holds("R146", "R154", "R158", "I-69", "I-70", "I-84")
async def test_parents_are_not_made(cpo: Pusher, version: str) -> None:
    """Below an unknown parent nothing is stored, whatever the method; the Location is fetched from its platform."""
    evse = location(version, 1)["evses"][0]
    for method, path, body in (
        ("PUT", "L1/U1", evse), ("PUT", "L1/U1/1", evse["connectors"][0]), ("PATCH", "L1", location(version, 1)), ("PATCH", "L1/U1", evse),
        ("PATCH", "L1/U1", {"status": "BLOCKED", "last_updated": at(1)}), ("PATCH", "L1/U1/1", {"format": "CABLE", "last_updated": at(1)}),
    ):  # fmt: skip
        answer = await cpo.refused(method, path, body, status=404, code=2003)
        assert answer["status_message"].startswith("unknown ") and "L1" in answer["status_message"]
    assert {key.id for key in cpo.ocpi.repairs} == {"L1"}
    await cpo.start()
    await cpo.refused("PUT", "L1/U9/1", evse["connectors"][0], status=404, code=2003)
    await cpo.refused("PATCH", "L1/U9", {"status": "BLOCKED", "last_updated": at(1)}, status=404, code=2003)
    await cpo.refused("PATCH", "L1/U1/9", {"format": "CABLE", "last_updated": at(1)}, status=404, code=2003)


@each
@pytest.mark.holds("R148", "R149", "R157", "R158", "I-78", "I-79", "I-84")
async def test_identity(cpo: Pusher, version: str) -> None:
    """Ids and party in a body are those of the URL, in any case from 2.2.1 on; as a number too; in a PATCH they may be repeated."""
    body = await cpo.start()
    evse, connector = body["evses"][0], body["evses"][0]["connectors"][0]
    wrong: list[tuple[str, dict[str, Any], str]] = [("L1", body, "id"), ("L1/U1", evse, "uid"), ("L1/U1/1", connector, "id")]
    for path, sent, name in wrong:
        for method, other in (("PUT", {**sent, name: "X9"}), ("PATCH", {name: "X9", "last_updated": at(1)})):
            answer = await cpo.refused(method, path, other)
            assert answer["data"]["errors"][0]["path"] == name
    await cpo.ok("PUT", "L1/U1/1", {**connector, "id": 1})
    await cpo.ok("PATCH", "L1/U1", {"uid": "U1", "status": "BLOCKED", "last_updated": at(1)})
    await cpo.ok("PATCH", "L1/U1/1", {"id": "1", "format": "CABLE", "last_updated": at(1)})
    same_party = {"country_code": "fi", "party_id": "abc"}
    await cpo.ok("PATCH", "L1", {"id": "L1", **same_party, "name": "new", "last_updated": at(1)})
    other_party = {"country_code": "SE", "party_id": "XYZ"}
    for method, base in (("PUT", {**body, "last_updated": at(2)}), ("PATCH", {"last_updated": at(2)})):
        if version == "2.1.1":
            await cpo.ok(method, "L1", {**base, **other_party})
            assert "identity" in await cpo.rules()
        else:
            await cpo.refused(method, "L1", {**base, **other_party})
    if version == "2.1.1":
        await cpo.refused("PATCH", "L1", {"id": "l1", "last_updated": at(3)})
    else:
        await cpo.ok("PATCH", "l1", {"id": "l1", "last_updated": at(3)})
    for path in ("L1", "L1/U1", "L1/U1/1"):
        if version == "2.1.1":
            before = await cpo.ocpi.stored()
            await cpo.ok("PATCH", path, {}, status=200)
            assert await cpo.ocpi.stored() == before
        else:
            await cpo.refused("PATCH", path, {})


@each
@pytest.mark.holds("R150", "R151", "I-76", "I-77")
async def test_times_of_three_levels(cpo: Pusher, version: str) -> None:
    """A child's time moves its parents' up, only forward; staleness is judged by what the source sent for that very node."""
    body = await cpo.start()
    evse, connector = body["evses"][0], body["evses"][0]["connectors"][0]
    await cpo.ok("PATCH", "L1/U1/1", {"format": "CABLE", "last_updated": at(5)})
    assert times(await cpo.read("L1")) == (at(5), at(5), at(5))
    assert (await cpo.read("L1/U1"))["last_updated"] == at(5)
    await cpo.ok("PUT", "L1/U1/1", {**connector, "format": "CABLE", "last_updated": at(6)})  # the same again, newer
    assert times(await cpo.read("L1")) == (at(6), at(6), at(6))
    await cpo.ok("PATCH", "L1/U1", {"status": "BLOCKED", "last_updated": at(4)})  # older than its connector, newer than itself
    await cpo.ok("PATCH", "L1", {"name": "new", "last_updated": at(3)})
    assert times(await cpo.read("L1")) == (at(6), at(6), at(6)), "never backwards"
    await cpo.ok("PATCH", "L1/U1", {"status": "RESERVED", "last_updated": at(8)})
    assert times(await cpo.read("L1")) == (at(8), at(8), at(6))
    old = {**body, "name": "newer still", "last_updated": at(4)}  # newer than the Location's own, its EVSE older than ours
    await cpo.ok("PUT", "L1", old)
    read = await cpo.read("L1")
    assert (read["name"], read["evses"][0]["status"], read["evses"][0]["connectors"][0]["format"]) == ("newer still", "RESERVED", "CABLE")
    late: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "L1", {"name": "x"}), ("PUT", "L1", body), ("PATCH", "L1/U1", {"status": "CHARGING"}), ("PUT", "L1/U1", evse),
        ("PATCH", "L1/U1", {"status": "CHARGING", "floor_level": "1"}), ("PATCH", "L1/U1/1", {"format": "SOCKET"}),
        ("PUT", "L1/U1/1", connector),
    ]  # fmt: skip
    for method, path, sent in late:
        answer = await cpo.refused(method, path, {**sent, "last_updated": "2026-03-02T23:59:59Z"})
        assert answer["status_message"] == "last_updated: older than stored value"
    await cpo.ok("PATCH", "L1/U1", {"status": "CHARGING", "last_updated": at(8)})  # equal is applied (D8)
    newer_evse = {**evse, "status": "AVAILABLE", "last_updated": at(9)}  # its connector is older than the one that was patched
    await cpo.ok("PUT", "L1/U1", newer_evse)
    read = await cpo.read("L1/U1")
    assert (read["status"], read["connectors"][0]["format"], read["connectors"][0]["last_updated"]) == ("AVAILABLE", "CABLE", at(6))
    assert (await cpo.canonical())[1][0].connectors[0].format == "CABLE"


@each
@pytest.mark.holds("R153", "R201", "I-60", "I-71", "I-104")
async def test_no_time_or_one_to_come(cpo: Pusher, version: str) -> None:
    """Without last_updated the time of receipt counts, at each level; far ahead of us it does too, so that it blocks nothing later."""
    body = await cpo.start()
    started = datetime.now(UTC) - timedelta(seconds=2)
    connector = body["evses"][0]["connectors"][0]
    patches: list[tuple[str, dict[str, str]]] = [
        ("L1/U1/1", {"format": "CABLE"}), ("L1/U1", {"floor_level": "1"}), ("L1/U1", {"status": "BLOCKED"}), ("L1", {"name": "n"}),
    ]  # fmt: skip
    for path, patch in patches:
        await cpo.ok("PATCH", path, patch)
        moment, _ = timestamps.parse((await cpo.read(path))["last_updated"])
        assert moment is not None and moment >= started.replace(microsecond=0), path
    assert "required_missing" in await cpo.rules()
    ahead = timestamps.format_z(datetime.now(UTC) + timedelta(days=400))
    for path, patch in (("L1/U1", {"status": "CHARGING"}), ("L1/U1/1", {"format": "SOCKET"}), ("L1", {"name": "ahead"})):
        await cpo.ok("PATCH", path, {**patch, "last_updated": ahead})
        await cpo.ok("PATCH", path, {**patch, "last_updated": timestamps.format_z(datetime.now(UTC) + timedelta(hours=1))})
    assert "last_updated_in_future" in await cpo.rules()
    bare = [{k: v for k, v in item.items() if k != "last_updated"} for item in (connector, body["evses"][0], body)]
    bare[1]["connectors"], bare[2]["evses"] = [{**bare[0], "id": "2"}], [{**bare[1], "uid": "U2"}]
    await cpo.ok("PUT", "L1/U3", {**bare[1], "uid": "U3"}, status=201)
    await cpo.ok("PUT", "L1/U3/7", {**bare[0], "id": "7"}, status=201)
    await cpo.ok("PUT", "L2", {**bare[2], "id": "L2"}, status=201)
    for path in ("L1/U3", "L1/U3/7", "L2"):
        assert path == "L1/U3/7" or (await cpo.read(path))["last_updated"] >= timestamps.format_z(started)


@each
@pytest.mark.holds("R151", "R153", "R201", "I-71", "I-76")
async def test_times_of_receipt_say_nothing_of_their_clock(cpo: Pusher, version: str) -> None:
    """After a push without time, one that states a time a little before our receipt is applied, as from a clock of whole seconds; one
    that is older than what its source said last is refused (D8). A clock that is ahead does not block pushes without time (D9)."""
    body = await cpo.start()
    evse, connector = body["evses"][0], body["evses"][0]["connectors"][0]
    behind = timestamps.format_z(datetime.now(UTC) - timedelta(seconds=90))
    for path, first, then in (
        ("L1", {"name": "a"}, {"name": "b"}), ("L1/U1", {"status": "BLOCKED"}, {"status": "CHARGING"}),
        ("L1/U1", {"floor_level": "1"}, {"floor_level": "2"}), ("L1/U1", {"status": "RESERVED"}, {"status": "BLOCKED", "floor_level": "3"}),
        ("L1/U1/1", {"format": "CABLE"}, {"format": "SOCKET"}),
    ):  # fmt: skip
        await cpo.ok("PATCH", path, first)
        answer = await cpo.refused("PATCH", path, {**then, "last_updated": "2025-12-31T00:00:00Z"})
        assert answer["status_message"] == "last_updated: older than stored value"
        await cpo.ok("PATCH", path, {**then, "last_updated": behind})
        read = await cpo.read(path)
        assert {name: read[name] for name in then} == then, path
    bare = [without_time(item) for item in (body, evse, connector)]
    bare[0]["evses"], bare[1]["connectors"] = [bare[1]], [bare[2]]
    await cpo.ok("PUT", "L1", {**bare[0], "name": "c"})
    charging = {**evse, "status": "CHARGING", "last_updated": behind}
    await cpo.ok("PUT", "L1", {**body, "name": "d", "evses": [charging], "last_updated": behind})
    await cpo.ok("PUT", "L1/U1", bare[1])
    await cpo.ok("PUT", "L1/U1", {**evse, "status": "RESERVED", "connectors": [{**connector, "format": "CABLE"}], "last_updated": behind})
    read = await cpo.read("L1")
    assert (read["name"], read["evses"][0]["status"], read["evses"][0]["connectors"][0]["format"]) == ("d", "RESERVED", "CABLE")
    await cpo.ok("PUT", "L1/U1/1", bare[2])
    await cpo.ok("PUT", "L1/U1/1", {**connector, "format": "CABLE", "last_updated": behind})
    assert (await cpo.read("L1/U1/1"))["format"] == "CABLE"
    ahead = timestamps.format_z(datetime.now(UTC) + timedelta(hours=3))
    await cpo.ok("PUT", "L1/U1", {**evse, "last_updated": ahead})
    await cpo.ok("PATCH", "L1/U1", {"status": "CHARGING"})
    assert (await cpo.read("L1/U1"))["status"] == "CHARGING"
    if version != "2.1.1":
        price = tariff(version)
        await cpo.ok("PUT", "T1", without_time(price), module="tariffs", status=201)
        await cpo.ok("PUT", "T1", {**price, "currency": "SEK", "last_updated": behind}, module="tariffs")
        assert (await cpo.read("T1", module="tariffs"))["currency"] == "SEK"


def without_time(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "last_updated"}


@each
@pytest.mark.holds("R160", "R124", "R154")
async def test_an_omitted_evse_comes_back(cpo: Pusher, version: str) -> None:
    """A status of an EVSE that the last list left out shows it again, also the very status it had."""
    body = await cpo.start("U1", "U2")
    await cpo.ok("PUT", "L1", {**body, "evses": body["evses"][:1], "last_updated": at(1)})
    assert await cpo.published() == {"L1": ["FI*ABC*EU1"]}
    await cpo.refused("GET", "L1/U2", status=404, code=2003)
    await cpo.ok("PATCH", "L1/U2", {"status": "AVAILABLE", "last_updated": at(2)})
    assert (await cpo.read("L1/U2"))["status"] == "AVAILABLE"
    assert await cpo.published() == {"L1": ["FI*ABC*EU1", "FI*ABC*EU2"]}


@each
@pytest.mark.holds("R44", "R198")
async def test_a_status_in_local_time(cpo: Pusher, version: str) -> None:
    """The narrow way of a status records what it tolerates, as every other way does."""
    await cpo.start()
    await cpo.ok("PATCH", "L1/U1", {"status": "BLOCKED", "last_updated": "2026-03-05T02:00:00+02:00"})
    assert (await cpo.read("L1/U1"))["last_updated"] == at(5)
    assert "timestamp_offset" in await cpo.rules()


@each
@pytest.mark.holds("R147", "R181", "R158")
async def test_strict_validation(ocpi: Ocpi, version: str) -> None:
    """A platform can be set to have every required field enforced, at each level (D10)."""
    cpo = Pusher(ocpi, version, await ocpi.platform(version, strict_validation=True))
    body = await cpo.start()
    evse, connector = body["evses"][0], body["evses"][0]["connectors"][0]
    volts = "voltage" if version == "2.1.1" else "max_voltage"
    place = "postal_code" if version == "2.1.1" else "time_zone"
    for path, sent, name in (("L1", body, place), ("L1/U1", evse, "last_updated"), ("L1/U1/1", connector, volts)):
        answer = await cpo.refused("PUT", path, {key: value for key, value in sent.items() if key != name})
        assert [error["path"] for error in answer["data"]["errors"]] == [name]
    if version != "2.1.1":
        await cpo.refused("PUT", "T1", {**tariff(version), "last_updated": None}, module="tariffs")


@each
@pytest.mark.holds("I-74", "I-75")
async def test_strict_put(ocpi: Ocpi, version: str) -> None:
    """A PUT without evses keeps them, unless the platform is set to the letter of the specification."""
    for party, settings, left in (("ABC", {}, 1), ("STR", {"strict_put": True}, 0)):
        token = await ocpi.platform(version, party, **settings)
        body = location(version, 1, party)
        path = f"{version}/locations/FI/{party}/L1"
        assert (await ocpi.send("PUT", path, body, token=token)).status == 201
        bare = {name: value for name, value in body.items() if name != "evses"}
        assert (await ocpi.send("PUT", path, {**bare, "last_updated": at(1)}, token=token)).status == 200
        assert len((await ocpi.send("GET", path, token=token)).json()["data"].get("evses", [])) == left


@each
@pytest.mark.holds("I-89", "R33")
async def test_wrapped_bodies(cpo: Pusher, version: str) -> None:
    """A list of one, or `data` around the object, is unwrapped at each level and recorded; more than one is refused."""
    body = await cpo.start()
    evse = body["evses"][0]
    for path, sent in (("L1", body), ("L1/U1", evse), ("L1/U1/1", evse["connectors"][0])):
        await cpo.ok("PUT", path, [sent])
        await cpo.ok("PUT", path, {"data": sent})
        await cpo.refused("PUT", path, [sent, sent])
    await cpo.ok("PATCH", "L1/U1", {"data": {"status": "BLOCKED", "last_updated": at(1)}})
    assert (await cpo.read("L1/U1"))["status"] == "BLOCKED" and "wrapped" in await cpo.rules()


@each
@pytest.mark.holds("R161", "R162", "R142", "I-85", "I-88", "R37")
async def test_methods(cpo: Pusher, version: str) -> None:
    """DELETE and POST are no methods of Locations; a Receiver has no lists and no collections."""
    body = await cpo.start()
    for method in ("DELETE", "POST"):
        for path in ("L1", "L1/U1", "L1/U1/1", "UNKNOWN"):
            await cpo.refused(method, path, body, status=405, code=2000)
    before = await cpo.ocpi.stored()
    for method in ("GET", "PUT", "PATCH", "POST", "DELETE"):
        for path in ("locations", "locations/FI", "locations/FI/ABC"):
            reply = await cpo.ocpi.send(method, f"{version}/{path}", body, token=cpo.token)
            assert (reply.status, reply.json()["status_code"]) == (404, 2000)
    assert await cpo.ocpi.stored() == before
