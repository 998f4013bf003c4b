"""Values as platforms send them: what is stored, refused or dropped, what the canonical form says, and what is recorded (interop 6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.cpo import location
from tests.intake.pusher import Pusher
from tests.intake.values import CASES
from tests.interface import Ocpi
from tests.versions import FROM_221, VERSIONS, each


def cases(*numbers: str) -> list[Any]:
    """One test a number and version, with all its cases."""
    return [
        pytest.param(version, number, id=f"{number}-{version}", marks=pytest.mark.holds(number))
        for number in numbers for version in VERSIONS
        if any(version in case.versions for case in CASES[number])
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "number"), cases(*CASES))
async def test_values(cpo: Pusher, version: str, number: str) -> None:
    """Each case as a PUT of the Location that has it: the answer, the canonical form, the rules that are recorded."""
    for case in [case for case in CASES[number] if version in case.versions]:
        await cpo.ocpi.db.execute("DELETE FROM location")
        await cpo.ocpi.db.execute("DELETE FROM issue")
        body = location(version, 1)
        body["evses"][0]["evse_id"] = "FI*ABC*E1"
        target = {"location": body, "evse": body["evses"][0], "connector": body["evses"][0]["connectors"][0]}[case.level]
        target.update(case.change)
        if case.code != 1000:
            await cpo.refused("PUT", "L1", body)
            continue
        await cpo.ok("PUT", "L1", body, status=201)
        assert case.says(await cpo.canonical()) == case.wanted, case.name
        assert case.rules <= await cpo.rules(), case.name
        await cpo.read("L1")


@each
@pytest.mark.holds("I-112", "R42", "R43")
async def test_ids_have_a_limit(cpo: Pusher, version: str) -> None:
    """Ids up to 255 characters are stored whole; longer ones are refused. What is absent and what is null is the same."""
    for length, code in ((36, 1000), (255, 1000), (256, 2001)):
        name = "L" * length
        body = {**location(version, 1), "id": name, "charging_when_closed": None, "images": None}
        if code == 1000:
            await cpo.ok("PUT", name, body, status=201)
            node, _ = await cpo.canonical(name)
            assert (node.charging_when_closed, node.images) == (None, [])
        else:
            await cpo.refused("PUT", name, body)


@pytest.mark.parametrize("version", FROM_221)
@pytest.mark.holds("I-113", "R163")
async def test_assume_publish(ocpi: Ocpi, version: str) -> None:
    """A platform that never says publish can be set to be published (D15)."""
    for party, settings, shown in (("ABC", {}, False), ("YES", {"assume_publish": True}, True)):
        token = await ocpi.platform(version, party, **settings)
        body = {name: value for name, value in location(version, 1, party).items() if name != "publish"}
        assert (await ocpi.send("PUT", f"{version}/locations/FI/{party}/L1", body, token=token)).status == 201
        assert await ocpi.db.fetch_all("SELECT publish FROM location WHERE party_id = %s", (party,)) == [(shown,)]


@each
@pytest.mark.holds("I-118", "I-116")
async def test_operator_of_the_register(cpo: Pusher, version: str) -> None:
    """Without operator the public form names the registered one; tariffs that nobody knows are named all the same."""
    body = location(version, 1)
    body.pop("operator", None)
    await cpo.ok("PUT", "L1", body, status=201)
    (feature,) = await cpo.features()
    assert feature["properties"]["operator"]["details"]["name"] == "ABC"
    assert feature["properties"]["evses"][0]["connectors"][0]["tariffIds"] == ["T1"]
