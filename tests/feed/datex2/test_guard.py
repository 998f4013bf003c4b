"""The check of each fragment, the XML writer's escapes, and the samples against the official schemas."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from ocpi_nap.feed.datex2.guard import Guard, NotPublishable
from ocpi_nap.feed.datex2.sampling import OfficialSchemas, Sampler, SchemasMissing
from ocpi_nap.feed.datex2.table import load
from ocpi_nap.feed.datex2.xml import XmlWriter
from ocpi_nap.feed.fragments.renderer import Renderer
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.publications import FORMS
from ocpi_nap.store.database import Database
from tests.feed.conftest import settled
from tests.feed.datex2.samples import FACTS, RICH, rich
from tests.feed.datex2.support import forms, location
from tests.feed.network import Network

GUARD = Guard(load("3.7"))
CONNECTOR = {"connectorType": {"value": "iec62196T2"}, "maxPowerAtSocket": 22000}


@pytest.mark.parametrize(
    "broken",
    [
        {"connectorType": {"value": "T2"}}, {"maxPowerAtSocket": None}, {"maxPowerAtSocket": "22000"}, {"colour": 1},
        {"otherConnector": "x" * 1025}, {"otherConnector": "a\u0000"}, {"otherConnector": "a\ufffe"}, {"otherConnector": "\ud800"},
        {"connectorType": {"value": "extendedG", "extendedValueG": "mine"}}, {"countryOfDomesticSocket": ["FIN"]},
    ],
)  # fmt: skip
def test_what_breaks_a_publication_is_found(broken: dict[str, Any]) -> None:
    check = GUARD.check("aegi:Connector")
    check(CONNECTOR)
    with pytest.raises(NotPublishable):
        check({key: value for key, value in {**CONNECTOR, **broken}.items() if value is not None})


def test_exactly_one_class_is_chosen() -> None:
    check = GUARD.check("aegi:EnergyInfrastructureSite")
    base = {"idG": "FI*ABC*1", "versionG": "1"}
    check(base | {"operatingHours": {"afacOpenAllHours": {}}})
    hours = {"idG": "x", "versionG": "1", "overallPeriod": {"overallStartTime": "2020-01-01T00:00:00Z"}}
    for wrong in ({}, {"afacOpenAllHours": {}, "afacOperatingHoursSpecification": hours}):
        with pytest.raises(NotPublishable):
            check(base | {"operatingHours": wrong})


def test_text_comes_back_as_it_was() -> None:
    """Mark-up, quotes, emoji and a literal backslash-u are text like any other."""
    text = "a<b>&c\"d'e]]>\\u0000 😀 ä"
    check, write = GUARD.check("aegi:Connector"), XmlWriter(load("3.7")).writer("aegi:connector", "aegi:Connector")
    value = {**CONNECTOR, "otherConnector": text}
    check(value)
    root = etree.fromstring(f"<r {XmlWriter(load('3.7')).declarations()}>{write(value)}</r>")
    assert root[0][1].text == text


def test_control_characters_never_reach_a_publication() -> None:
    """They are taken out of texts and ids, not the object."""
    view = location({**RICH, "name": "A\u0001\u009fsema\n1", "city": "Hel\u2028sinki"})
    for name, form in forms().items():
        if form.rows == "location":
            fragment = form.fragment(view)
            assert fragment is not None, name
            assert not any(c < 32 for c in fragment) and b"\\u00" not in fragment


def test_what_the_guard_finds_is_kept_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the mapping costs one object, not the publication."""
    view, _ = rich(**FACTS | {"nuts1": "no such region"})
    rejected: list[Any] = []
    made = forms(rejected)
    assert made["datex2-3.7.json"].fragment(view) is None and made["datex2-3.7.xml"].fragment(view) is None
    ((found, publication, message),) = rejected
    assert found is view and publication == "datex2-3.7" and "nutsCode" in message
    assert made["datex2-3.6.json"].fragment(view) is not None


async def test_samples_against_the_official_schemas(database: Database, tmp_path: Path, shared: Path) -> None:
    """A valid store is found valid; an object that slipped through is named."""
    made = await Network.create(database)
    await made.put(range(5))
    await made.put_tariff()
    await settled(database)
    store = FragmentStore.open(tmp_path, writable=True)
    renderer = Renderer(database, store, FORMS, environments=("production",))
    await renderer.catch_up()
    await renderer.refresh()
    schemas = OfficialSchemas(shared / "datex2" / "schemas")
    found: list[tuple[str, int, str]] = []
    looked = asyncio.Event()

    async def tell(form: Any, pk: int, message: str) -> None:
        found.append((form.name, pk, message))

    sampler = Sampler(store, FORMS, schemas, tell)
    assert [sampler.check(form) for form in FORMS if "datex2" in form.path] == [[]] * 10
    spoilt = next(form for form in FORMS if form.name == "datex2-3.7.json")
    wrong = replace(spoilt, head=lambda envelope: spoilt.head(envelope).replace(b'"lang":"en"', b'"lang":"English"'))
    assert "together" not in sampler.check(wrong)[0][1] and len(sampler.check(wrong)) == 5
    looked.set()
    await sampler.run(looked)
    assert found == []
    store.close()
    with pytest.raises(SchemasMissing, match="is not there"):
        OfficialSchemas(tmp_path)
