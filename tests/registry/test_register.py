"""The operator register: every fact's form, errors by line and column, all or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocpi_nap.cli import app
from ocpi_nap.feed.datex2.table import load
from ocpi_nap.model import register as facts
from ocpi_nap.registry import RegistryError, register
from ocpi_nap.store.database import Database
from ocpi_nap.store.register import list_facts
from tests.feed.network import Network

GOOD = {
    "legal_name": ("Abc Lataus Oy", "Abc Lataus Oy"),
    "organisation_number": ("1234567-8", "1234567-8"),
    "vat_number": ("FI12345678", "FI12345678"),
    "service_type": ("Unattended", "unattended"),
    "helpdesk_phone": ("+358 9123456", "+358 9123456"),
    "helpdesk_email": ("apu@abc.example", "apu@abc.example"),
    "helpdesk_url": ("https://abc.example/apu", "https://abc.example/apu"),
    "roofed": ("yes", True),
    "lighting": ("no", False),
    "catering": ("true", True),
    "toilet": ("0", False),
    "rest_area": ("YES", True),
    "nuts1": ("FI1", "FI1"),
    "payment_means": ("qrcode | emv|emv", ["qrCode", "emv"]),
    "payment_brands": ("visa|masterCard", ["visa", "masterCard"]),
    "payment_service_providers": ("Maksu Oy", ["Maksu Oy"]),
    "station_power": ("300000", 300000),
    "mobility_service_providers": ("A|B", ["A", "B"]),
    "roaming_platforms": ("Silta", ["Silta"]),
}
BAD = {
    "vat_number": "12345678",
    "service_type": "robots",
    "helpdesk_phone": "09 123456",
    "helpdesk_email": "apu",
    "helpdesk_url": "abc.example",
    "roofed": "perhaps",
    "nuts1": "Uusimaa",
    "payment_means": "emv|shells",
    "payment_brands": "bank",
    "station_power": "300 kW",
    "legal_name": "a\nb",
    "unknown": "x",
}


def test_every_fact_is_read() -> None:
    assert {name: facts.read(name, given) for name, (given, _) in GOOD.items()} == {name: value for name, (_, value) in GOOD.items()}
    assert set(GOOD) == set(facts.FIELDS) and facts.read("legal_name", " ") is None


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"required|no such fact"):
        facts.read(name, BAD[name])


def test_literals_are_those_of_the_schema() -> None:
    simple = load("3.7").simple
    for literals, name in (
        (facts.MEANS_OF_PAYMENT, "afac:_MeansOfPaymentEnum"),
        (facts.BRANDS, "afac:_PaymentBrandsEnum"),
        (facts.SERVICES, "aegi:_ServiceTypeEnum"),
    ):
        assert set(literals) <= set(simple[name].values)


def test_errors_name_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "facts.csv"
    path.write_text("operator;helpdesk_phone;station_power\nFI*ABC;09 123;\nFIABC;;\nFI*XYZ;+358 9123456;fast\nFI*ABC;x\n", "utf-8-sig")
    with pytest.raises(RegistryError) as error:
        register.read_csv(path, author="me")
    lines = error.value.message.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == [
        "line 2, column helpdesk_phone", "line 3, column operator", "line 4, column station_power", "line 5",
    ]  # fmt: skip
    path.write_text("operator,color,legal_name,legal_name\nFI*ABC,red,x,y\n")
    with pytest.raises(RegistryError, match=r"(?s)column 2: 'color' is no fact.*column 4: 'legal_name' is there twice"):
        register.read_csv(path, author="me")
    for content, message in ((b"", "is empty"), (b"\xff\xfe", "not UTF-8"), (b'operator\n"x', "line 2")):
        path.write_bytes(content)
        with pytest.raises(RegistryError, match=message):
            register.read_csv(path, author="me")
    with pytest.raises(RegistryError, match="could not be read"):
        register.read_csv(tmp_path / "missing.csv", author="me")


async def test_all_or_nothing(database: Database, tmp_path: Path) -> None:
    """Unknown operators and locations are refused with their lines; what was there before stays."""
    network = await Network.create(database)
    await network.put([1])
    path = tmp_path / "facts.csv"
    path.write_text("operator,location,legal_name,roofed\nfi*abc,,Abc Oy,\nFI*ABC,l1,,yes\nFI*XYZ,,Xyz Oy,\nFI*ABC,L9,,no\n")
    with pytest.raises(RegistryError) as error:
        await register.store(database, register.read_csv(path, author="me"))
    assert error.value.message.splitlines()[1:] == [
        "line 4: no platform delivers the operator FI*XYZ", "line 5: no platform delivers the location FI*ABC*L9",
    ]  # fmt: skip
    assert await list_facts(database) == []
    path.write_text("operator,location,legal_name,roofed\nFI*ABC,,Abc Oy,\nFI*ABC,l1,,yes\n")
    assert await register.store(database, register.read_csv(path, author="me")) == 2
    assert await register.store(database, register.read_csv(path, author="me")) == 0
    kept = [(fact.location, fact.field, fact.value, fact.source, fact.author) for fact in await list_facts(database, "FI", "ABC")]
    assert kept == [("", "legal_name", "Abc Oy", "facts.csv", "me"), ("l1", "roofed", True, "facts.csv", "me")]
    path.write_text("operator,location,roofed\nFI*ABC,L1,-\n")
    assert await register.store(database, register.read_csv(path, author="me")) == 1
    assert [fact.field for fact in await list_facts(database)] == ["legal_name"]


async def test_only_what_shows_a_fact_is_rendered_again(database: Database) -> None:
    network = await Network.create(database, "ABC", "XYZ")
    await network.put([1, 2])
    await network.put([3], "XYZ")
    before = (await database.fetch_one("SELECT max(id) FROM change") or (0,))[0]

    async def changed(location: str, *pairs: str) -> list[str]:
        await register.store(database, register.read_pairs("FI*ABC", location, pairs, author="me", source="test"))
        rows = await database.fetch_all(
            "SELECT l.id FROM change c JOIN location l ON l.pk = c.location_pk WHERE c.id > %s ORDER BY 1", (before,)
        )
        await database.execute("DELETE FROM change WHERE id > %s", (before,))
        return [row[0] for row in rows]

    assert await changed("", "legal_name=Abc Oy", "roofed=yes") == ["L1", "L2"]
    assert await changed("L2", "roofed=no") == ["L2"]
    assert await changed("L2", "roofed=no") == []


async def test_commands(database: Database, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """import, set and show, with provenance."""
    import asyncio

    network = await Network.create(database)
    await network.put([1])
    monkeypatch.setenv("OCPI_NAP_DATABASE_URL", dsn)
    monkeypatch.setenv("OCPI_NAP_DATA_DIR", str(tmp_path))
    (tmp_path / "facts.csv").write_text("operator,legal_name\nFI*ABC,Abc Oy\n")

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["register", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert await run("import", str(tmp_path / "facts.csv"), "--by", "Maija") == f"1 facts changed, of 1 in {tmp_path}/facts.csv.\n"
    assert await run(
        "set", "FI*ABC", "payment_means=qrCode|website", "roofed=yes", "--location", "L1", "--by", "Maija", "--source", "visit"
    ) == ("2 facts changed.\n")
    text = await run("show", "FI*ABC")
    assert (
        "FI*ABC: legal_name=Abc Oy (Maija, " in text and "FI*ABC L1: payment_means=qrCode|website (Maija, " in text and ", visit)" in text
    )
    found = json.loads(await run("show", "--json"))
    assert [(fact["field"], fact["value"]) for fact in found] == [
        ("legal_name", "Abc Oy"), ("payment_means", ["qrCode", "website"]), ("roofed", True),
    ]  # fmt: skip
