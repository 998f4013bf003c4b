"""PATCH: lists, nulls and what it would break, and by the URLs of another version than the one agreed (R152–R159)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.cpo import location
from tests.intake.pusher import Pusher, at
from tests.versions import VERSIONS, each, from_2_2_1

OTHERS = [(one, other) for one in VERSIONS for other in VERSIONS if one != other]


@pytest.mark.parametrize(("version", "other"), OTHERS)
@pytest.mark.holds("R45", "R140", "R141", "R152")
async def test_by_the_urls_of_another_version(cpo: Pusher, version: str, other: str) -> None:
    """D22: what is pushed by the URLs of another version than the agreed one meets the objects that are held, whatever their ids."""
    await cpo.start()
    changes = len((await cpo.ocpi.stored())["location"])
    for path, patch in (
        ("L1/U1", {"status": "CHARGING"}), ("L1/U1", {"floor_level": "4"}), ("L1/U1/1", {"format": "CABLE"}), ("L1", {"name": "other"}),
    ):  # fmt: skip
        reply = await cpo.ocpi.send("PATCH", f"{other}/locations/FI/ABC/{path}", {**patch, "last_updated": at(1)}, token=cpo.token)
        assert (reply.status, reply.json()["status_code"]) == (200, 1000), (path, reply.body)
        for number in (version, other):
            read = await cpo.ocpi.send("GET", f"{number}/locations/FI/ABC/{path}", token=cpo.token)
            assert patch.items() <= read.json()["data"].items(), (number, path)
    whole = await cpo.ocpi.send("PUT", f"{other}/locations/FI/ABC/L1", {**location(other, 1), "last_updated": at(2)}, token=cpo.token)
    assert whole.status == 200
    assert len((await cpo.ocpi.stored())["location"]) == changes and await cpo.published() == {"L1": ["FI*ABC*EU1"]}


@pytest.mark.parametrize(("version", "other"), OTHERS)
@pytest.mark.holds("R163", "R164")
async def test_a_patch_by_another_version_publishes_nothing(cpo: Pusher, version: str, other: str) -> None:
    """What is shown stays shown, and what is private stays private, when a version that knows no `publish` meets one that does."""
    body = await cpo.start()
    if version != "2.1.1":
        await cpo.ok("PUT", "L1", {**body, "publish": False, "last_updated": at(1)})
    shown = await cpo.published()
    reply = await cpo.ocpi.send("PATCH", f"{other}/locations/FI/ABC/L1", {"name": "n", "last_updated": at(2)}, token=cpo.token)
    assert reply.json()["status_code"] == 1000
    assert await cpo.published() == shown == ({"L1": ["FI*ABC*EU1"]} if version == "2.1.1" else {})


@each
@pytest.mark.holds("R152", "R155", "I-72", "I-73")
async def test_lists_in_patches(cpo: Pusher, version: str) -> None:
    """Lists of values are replaced; EVSEs and connectors are merged by id, complete new ones added, none removed."""
    body = await cpo.start("U1", "U2")
    connector = body["evses"][0]["connectors"][0]
    await cpo.ok("PATCH", "L1/U1", {"capabilities": ["RESERVABLE"], "last_updated": at(1)})
    await cpo.ok("PATCH", "L1", {"facilities": ["HOTEL"], "evses": [], "last_updated": at(1)})
    changed = {"id": "1", "format": "CABLE", "last_updated": at(2)}
    added = {**connector, "id": "2", "last_updated": at(2)}
    await cpo.ok("PATCH", "L1/U1", {"connectors": [changed, added, {"id": "3", "format": "CABLE"}], "last_updated": at(2)})
    await cpo.ok("PATCH", "L1/U2", {"connectors": [], "floor_level": "3", "last_updated": at(2)})
    whole = {**body["evses"][0], "uid": "U3", "last_updated": at(3)}
    nested = [{"uid": "U1", "status": "CHARGING", "connectors": [{"id": "1", "terms_and_conditions": "https://t"}], "last_updated": at(3)}]
    await cpo.ok("PATCH", "L1", {"evses": [*nested, {"uid": "U9", "status": "BLOCKED"}, whole], "last_updated": at(3)})
    first, second, third = (await cpo.read("L1"))["evses"]
    assert (first["capabilities"], first["status"]) == (["RESERVABLE"], "CHARGING")
    assert [(c["id"], c["format"], c["standard"]) for c in first["connectors"]] == [
        ("1", "CABLE", "IEC_62196_T2"), ("2", "SOCKET", "IEC_62196_T2"),
    ]  # fmt: skip
    assert first["connectors"][0]["terms_and_conditions"] == "https://t"
    assert (second["floor_level"], len(second["connectors"]), second["status"]) == ("3", 1, "AVAILABLE")
    assert third["uid"] == "U3"
    assert {"unknown_evse", "unknown_connector"} <= await cpo.rules()
    cleared = [{"id": "1", "terms_and_conditions": None, "standard": None}]
    await cpo.ok("PATCH", "L1/U1", {"connectors": cleared, "last_updated": at(4)})
    connector = (await cpo.read("L1/U1"))["connectors"][0]
    assert "terms_and_conditions" not in connector and connector["standard"] == "IEC_62196_T2"


@each
@pytest.mark.holds("R156", "R158", "I-98")
async def test_nulls_in_patches(cpo: Pusher, version: str) -> None:
    """null clears what is optional, is refused for what is required, and never takes EVSEs or connectors away."""
    await cpo.start()
    await cpo.ok("PATCH", "L1", {"name": None, "evses": None, "last_updated": at(1)})
    await cpo.ok("PATCH", "L1/U1", {"capabilities": None, "evse_id": None, "last_updated": at(1)})
    await cpo.ok("PATCH", "L1/U1/1", {"terms_and_conditions": None, "tariff_id": None, "tariff_ids": None, "last_updated": at(1)})
    read = await cpo.read("L1")
    evse = read["evses"][0]
    assert "name" not in read and "capabilities" not in evse and len(evse["connectors"]) == 1
    assert not {"tariff_id", "tariff_ids"} & evse["connectors"][0].keys()
    for path, name in (
        ("L1", "address"), ("L1", "coordinates"), ("L1", "country"), ("L1/U1", "status"), ("L1/U1", "connectors"),
        ("L1/U1/1", "power_type"), ("L1/U1/1", "voltage" if version == "2.1.1" else "max_voltage"),
    ):  # fmt: skip
        answer = await cpo.refused("PATCH", path, {name: None, "last_updated": at(2)})
        assert answer["status_message"].startswith(f"{name}: ")
        await cpo.refused("PATCH", path, {name: None, "images": [], "x_other": 1, "last_updated": at(2)})
    await cpo.ok("PATCH", "L1", {"evses": [{"uid": "U1", "status": "BLOCKED", "connectors": None}], "last_updated": at(3)})
    evse = (await cpo.read("L1"))["evses"][0]
    assert (evse["status"], len(evse["connectors"])) == ("BLOCKED", 1)


@each
@pytest.mark.holds("R159", "R147", "R158", "I-84", "I-94")
async def test_patches_are_checked(cpo: Pusher, version: str) -> None:
    """What a PATCH would break is refused with its name; what was missing before is not its fault."""
    body = await cpo.start()
    for path, patch, name in (
        ("L1", {"coordinates": {"latitude": "north", "longitude": "24"}}, "coordinates"), ("L1", {"city": "  "}, "city"),
        ("L1/U1/1", {"standard": 7}, "standard"), ("L1/U1/1", {"format": []}, "format"),
    ):  # fmt: skip
        answer = await cpo.refused("PATCH", path, {**patch, "last_updated": at(1)})
        assert answer["data"]["errors"][0]["path"] == name
    connector = {k: v for k, v in body["evses"][0]["connectors"][0].items() if k != "power_type"}
    nested = {**body, "evses": [{**body["evses"][0], "connectors": [connector]}, {**body["evses"][0], "uid": "U2", "connectors": []}]}
    await cpo.ok("PUT", "L1", {**nested, "last_updated": at(2)})
    await cpo.ok("PATCH", "L1/U1/1", {"format": "CABLE", "last_updated": at(3)})
    await cpo.ok("PATCH", "L1/U2", {"status": "BLOCKED", "floor_level": "1", "last_updated": at(3)})
    await cpo.refused("PATCH", "L1/U1/1", {"format": 5, "last_updated": at(4)})
    earlier = await cpo.read("L1")
    for path, sent in (("L1", {**body, "city": None}), ("L1/U1", {**body["evses"][0], "connectors": []}), ("L1/U1/1", connector)):
        await cpo.refused("PUT", path, {**sent, "last_updated": at(5)})
    assert await cpo.read("L1") == earlier


def own_names(version: str) -> dict[str, str]:
    """The members that 2.1.1 calls otherwise, by their newer names."""
    newer = ("max_voltage", "max_amperage", "tariff_ids")
    return dict(zip(newer, ("voltage", "amperage", "tariff_id") if version == "2.1.1" else newer, strict=True))


@pytest.mark.parametrize(("version", "other"), OTHERS)
@pytest.mark.holds("R141", "R152", "R155", "R156", "I-92")
async def test_a_patch_by_another_version_takes_its_names(cpo: Pusher, version: str, other: str) -> None:
    """Every member is there once, in the names of the version that is asked for, and says what came last; nothing else is lost."""
    body = await cpo.start("U1", "U2")
    body |= {"help_phone": "+358 1", "x_own": {"y": 1}, "last_updated": at(1)}
    body["evses"][0] |= {"parking": [{"parking_id": "P"}], "x_own": 2, "last_updated": at(1)}
    await cpo.ok("PUT", "L1", body)

    async def send(method: str, path: str, sent: dict[str, Any], day: int) -> None:
        reply = await cpo.ocpi.send(
            method, f"{other}/locations/FI/ABC/{path}", {**sent, "last_updated": at(day)}, token=cpo.token
        )  # fmt: skip
        assert (reply.status, reply.json()["status_code"]) == (200, 1000), (path, reply.body)

    async def read(number: str, path: str) -> dict[str, Any]:
        found: dict[str, Any] = (await cpo.ocpi.send("GET", f"{number}/locations/FI/ABC/{path}", token=cpo.token)).json()["data"]
        return found

    theirs = own_names(other)
    await send("PATCH", "L1/U1/1", {theirs["max_voltage"]: 400}, 2)
    await send("PATCH", "L1/U1", {"floor_level": "3", "connectors": [{"id": "1", theirs["tariff_ids"]: None}]}, 3)
    kind = {"2.1.1": "type"}
    await send("PATCH", "L1", {kind.get(other, "parking_type"): "PARKING_LOT", "evses": [{"uid": "U2", "floor_level": "1"}]}, 3)
    connector = {**location(other, 1)["evses"][0]["connectors"][0], theirs["max_amperage"]: 63}
    await send("PUT", "L1/U2/1", connector, 4)
    for number in (version, other):
        names, first, second = own_names(number), await read(number, "L1/U1/1"), await read(number, "L1/U2/1")
        assert (first[names["max_voltage"]], first[names["max_amperage"]], second[names["max_amperage"]]) == (400, 32, 63), number
        strange = own_names("2.2.1" if number == "2.1.1" else "2.1.1").values()
        assert not first.keys() & strange and not second.keys() & strange and names["tariff_ids"] not in first, number
        place = await read(number, "L1")
        assert place.get(kind.get(number, "parking_type")) == "PARKING_LOT", number
        assert number == "2.1.1" or "type" not in place, number
        assert place["x_own"] == {"y": 1} and place["evses"][0]["x_own"] == 2
        assert [evse["floor_level"] for evse in place["evses"]] == ["3", "1"]
    node, (first_evse, _) = await cpo.canonical()
    assert node.help_phone == "+358 1" and [found.parking_id for found in first_evse.parking] == ["P"]


@from_2_2_1
@pytest.mark.holds("R152", "I-92")
async def test_a_patch_in_the_names_of_2_1_1(cpo: Pusher, version: str) -> None:
    """A sender that says `tariff_id` on a newer version says it instead of what it said before."""
    await cpo.start()
    await cpo.ok("PATCH", "L1/U1/1", {"tariff_id": "T9", "voltage": 400, "last_updated": at(1)})
    (found,) = (await cpo.canonical())[1][0].connectors
    assert (found.tariff_ids, found.max_voltage) == (["T9"], 400)
    await cpo.ok("PATCH", "L1/U1/1", {"tariff_ids": ["T1"], "voltage": None, "last_updated": at(2)})
    (found,) = (await cpo.canonical())[1][0].connectors
    assert (found.tariff_ids, found.max_voltage) == (["T1"], None)
