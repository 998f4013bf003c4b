"""The console's operators, and the operator register by form and by file."""

from __future__ import annotations

import re

from ocpi_nap.model.register import FIELDS
from ocpi_nap.store.activity import count_operators
from ocpi_nap.store.register import list_facts
from ocpi_nap.web.console.operators import GROUPS
from tests.interface import Ocpi
from tests.web.conftest import Site
from tests.web.test_network import delivered

PAGE = "/console/operators/FI*ABC"
IMPORT = "/console/operators/import"


async def held(site: Site) -> dict[tuple[str, str], tuple[object, str, str]]:
    """(location, fact): value, author and source."""
    return {(fact.location, fact.field): (fact.value, fact.author, fact.source) for fact in await list_facts(site.db)}


async def send(site: Site, text: bytes, source: str = "") -> str:
    """Import a file; returns the page that answers."""
    csrf = re.findall(r'name="csrf" value="([^"]*)"', (await site.client.get(IMPORT)).text)[0]
    files = {"file": ("facts.csv", text, "text/csv")} if text else {}
    answer = await site.client.post(IMPORT, data={"csrf": csrf, "source": source}, files=files)
    if answer.status_code == 303:
        answer = await site.client.get(answer.headers["location"])
    return answer.text


async def test_operators_with_what_they_have(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("viewer")
    await delivered(ocpi)
    await count_operators(site.db)
    page = (await site.client.get("/console/operators")).text
    assert "FI*ABC" in page and page.count('<td class="right">1</td>') == 3
    assert "FI*ABC" in (await site.client.get("/console/operators?q=fi*ab")).text
    assert "No operator matches" in (await site.client.get("/console/operators?q=100%25")).text


def test_every_fact_is_in_the_form() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(FIELDS)


async def test_facts_of_an_operator_and_of_a_location(site: Site, ocpi: Ocpi) -> None:
    name = await site.sign_in("operator")
    await delivered(ocpi)
    values = {"legal_name": "Abc Lataus Oy", "toilet": "no", "payment_means": "emv | qrCode", "source": "form of 2 March"}
    assert (await site.form(PAGE, PAGE, **values)).status_code == 303
    said = (name, "form of 2 March")
    expected: dict[tuple[str, str], tuple[object, str, str]] = {
        ("", "legal_name"): ("Abc Lataus Oy", *said), ("", "toilet"): (False, *said), ("", "payment_means"): (["emv", "qrCode"], *said),
    }  # fmt: skip
    assert await held(site) == expected
    page = (await site.client.get(PAGE)).text
    assert 'value="Abc Lataus Oy"' in page and f"Said by {name}" in page and "from form of 2 March" in page and 'value="emv|qrCode"' in page
    # What was not changed keeps who said it; an emptied field is taken away.
    again = {"legal_name": "Abc Lataus Oy", "toilet": "no", "payment_means": "", "helpdesk_phone": "+358 9123456"}
    assert (await site.form(PAGE, PAGE, **again)).status_code == 303
    del expected["", "payment_means"]
    expected["", "helpdesk_phone"] = ("+358 9123456", name, "console")
    assert await held(site) == expected
    of_location = f"{PAGE}?location=L1"
    assert "Its operator’s: Abc Lataus Oy" in (await site.client.get(of_location)).text
    assert (await site.form(of_location, of_location, toilet="yes")).status_code == 303
    expected["L1", "toilet"] = (True, name, "console")
    assert await held(site) == expected
    assert "?location=L1" in (await site.client.get(PAGE)).text
    acts = [(act, what) for _, act, what in await site.acts() if "register" in act]
    assert acts == [("changed operator register", "FI*ABC")] * 2 + [("changed operator register", "FI*ABC L1")]
    absent = await site.client.get(f"{PAGE}?location=L9")
    assert absent.status_code == 404 and "No platform delivers the location L9" in absent.text
    for operator in ("FI*XYZ", "nonsense", "FI*A%00"):
        assert (await site.client.get(f"/console/operators/{operator}")).status_code == 404


async def test_errors_of_facts_stand_beside_their_field(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("operator")
    await delivered(ocpi)
    answer = await site.form(PAGE, PAGE, legal_name="Kept Oy", helpdesk_phone="09 123", station_power="300 kW", payment_brands="bank")
    assert answer.status_code == 422 and 'value="Kept Oy"' in answer.text and 'value="300 kW"' in answer.text
    for field, words in (("helpdesk_phone", "as in +358"), ("station_power", "Watts are required"), ("payment_brands", "One of")):
        error = re.search(rf'id="e-{field}">.*?</svg>\s*(.*?)</p>', answer.text, re.DOTALL)
        assert error is not None and words in error[1]
    assert answer.text.count('class="error"') == 3 and await held(site) == {}
    csrf = re.findall(r'name="csrf" value="([^"]*)"', answer.text)[0]
    files = {"file": ("facts.csv", b"operator,toilet\nFI*ABC,yes\n", "text/csv")}
    longest = await site.client.post(IMPORT, data={"csrf": csrf, "source": "x" * 201}, files=files)
    assert longest.status_code == 422 and 'id="e-source"' in longest.text and await held(site) == {}


async def test_the_second_of_two_editors_of_facts_is_told(site: Site, ocpi: Ocpi) -> None:
    name = await site.sign_in("operator")
    await delivered(ocpi)
    page = (await site.client.get(PAGE)).text
    hidden = {key: re.findall(rf'name="{key}" value="([^"]*)"', page)[0] for key in ("csrf", "version")}
    assert (await site.client.post(PAGE, data={**hidden, "legal_name": "First Oy"})).status_code == 303
    told = await site.client.post(PAGE, data={**hidden, "legal_name": "Second Oy"})
    assert told.status_code == 409 and "Somebody else changed" in told.text
    assert 'value="Second Oy"' in told.text and "Now <strong>First Oy</strong>" in told.text
    assert await held(site) == {("", "legal_name"): ("First Oy", name, "console")}
    # Whoever had an error to mend meanwhile is told as well.
    wrong = await site.client.post(PAGE, data={**hidden, "legal_name": "Second Oy", "helpdesk_phone": "no"})
    seen = re.findall(r'name="version" value="([^"]*)"', wrong.text)[0]
    assert wrong.status_code == 422 and seen == hidden["version"]
    assert (await site.client.post(PAGE, data={**hidden, "version": seen, "legal_name": "Second Oy"})).status_code == 409
    version = re.findall(r'name="version" value="([^"]*)"', told.text)[0]
    assert (await site.client.post(PAGE, data={**hidden, "version": version, "legal_name": "Second Oy"})).status_code == 303
    assert await held(site) == {("", "legal_name"): ("Second Oy", name, "console")}


async def test_facts_from_a_file(site: Site, ocpi: Ocpi) -> None:
    name = await site.sign_in("operator")
    await delivered(ocpi)
    template = await site.client.get("/console/operators/template.csv")
    first, second = template.text.splitlines()
    assert first == ",".join(["operator", "location", *FIELDS]) and second == "FI*ABC" + "," * (len(FIELDS) + 1)
    assert "0 facts changed, of 0" in await send(site, template.content)
    page = await send(site, b"operator;location;legal_name;toilet\nFI*ABC;;Abc Oy;\nFI*ABC;L1;;yes\n", "letter")
    assert "2 facts changed, of 2" in page
    kept = {("", "legal_name"): ("Abc Oy", name, "letter"), ("L1", "toilet"): (True, name, "letter")}
    assert await held(site) == kept
    bad = {
        b"operator,toilet,station_power\nFI*ABC,perhaps,300 kW\n": ("line 2, column toilet", "line 2, column station_power"),
        b"operator,toilets\nFI*ABC,yes\n": ("line 1, column 2",),
        b"operator,location,toilet\nFI*ABC,L1,no\nFI*ABC,L9,no\n": ("line 3: no platform delivers the location",),
        b"operator,location,toilet\nFI*ABC,L\x00,no\n": ("line 2, column location",),
        b"operator,legal_name\nFI*ABC,\xff\n": ("is not UTF-8",),
        b"": ("No file was chosen",),
    }
    for text, words in bad.items():
        page = await send(site, text, "my source")
        assert "Nothing was imported" in page and all(word in page for word in words) and 'value="my source"' in page, (text, page)
        assert await held(site) == kept
    assert [(act, what) for _, act, what in await site.acts() if "register" in act] == [("imported operator register", "facts.csv")] * 2


async def test_the_register_is_changed_by_operators_only(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("viewer")
    await delivered(ocpi)
    page = (await site.client.get(PAGE)).text
    assert "Legal name" in page and "Save" not in page and (await site.client.get(IMPORT)).status_code == 403
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    assert (await site.client.post(PAGE, data={"csrf": csrf, "legal_name": "x"})).status_code == 403
    files = {"file": ("facts.csv", b"operator,legal_name\nFI*ABC,x\n", "text/csv")}
    assert (await site.client.post(IMPORT, data={"csrf": csrf}, files=files)).status_code == 403
    site.client.cookies.clear()
    await site.sign_in("operator")
    assert (await site.client.post(IMPORT, data={"csrf": "no"}, files=files)).status_code == 403
    huge = {"file": ("facts.csv", b"x" * (9 << 20), "text/csv")}
    assert (await site.client.post(IMPORT, data={"csrf": "no"}, files=huge)).status_code == 413
    assert await held(site) == {}
