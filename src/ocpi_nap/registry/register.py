"""The operator register from a CSV file or from single facts, checked as a whole before anything is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from ocpi_nap.model import register
from ocpi_nap.model.ids import country_code, party_id
from ocpi_nap.model.register import Fact
from ocpi_nap.registry.outcomes import RegistryError
from ocpi_nap.store.database import Database
from ocpi_nap.store.register import Subject, put_facts, unknown_subjects

CLEAR = "-"
"""A cell that takes a fact away; an empty one leaves it as it is."""
_MOST_SHOWN = 20


def operator_id(text: str) -> tuple[str, str]:
    """``FI*ABC``; ValueError for anything else."""
    country, star, party = text.partition("*")
    if not star:
        raise ValueError(f"an operator as in FI*ABC is required (got {text[:40]!r})")
    return country_code(country, "operator"), party_id(party, "operator")


def read_csv(path: Path, *, author: str, source: str | None = None) -> list[tuple[str, Fact]]:
    """(place, fact) of a file with a header line: operator, perhaps location, and names of facts. Commas or semicolons part the
    columns. Raises RegistryError with every line and column that is wrong."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RegistryError(f"{path} could not be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise RegistryError(f"{path} is not UTF-8 text.") from None
    header, _, _ = text.partition("\n")
    reader = csv.reader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else ",", strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise RegistryError(f"{path}, line {reader.line_num}: {error}.") from None
    if not rows:
        raise RegistryError(f"{path} is empty: a header line with operator and names of facts is required.")
    names, problems = [cell.strip().lower() for cell in rows[0][1]], _header_problems(rows[0][1])
    facts: list[tuple[str, Fact]] = []
    if not problems:
        for line, row in rows[1:]:
            if any(cell.strip() for cell in row):
                _row(line, names, row, source or path.name, author, facts, problems)
    _refuse(problems, f"{path} was not imported")
    return facts


def _header_problems(header: list[str]) -> list[str]:
    names = [cell.strip().lower() for cell in header]
    problems = [] if "operator" in names else ["line 1: there is no column operator"]
    for number, name in enumerate(names, start=1):
        if name not in ("operator", "location") and name not in register.FIELDS:
            problems.append(f"line 1, column {number}: {name!r} is no fact; there are operator, location, {', '.join(register.FIELDS)}")
        elif name in names[: number - 1]:
            problems.append(f"line 1, column {number}: {name!r} is there twice")
    return problems


def _row(
    line: int, names: list[str], row: list[str], source: str, author: str, facts: list[tuple[str, Fact]], problems: list[str]
) -> None:
    if len(row) != len(names):
        problems.append(f"line {line}: {len(row)} columns where the header has {len(names)}")
        return
    cells = dict(zip(names, (cell.strip() for cell in row), strict=True))
    location = cells.pop("location", "")
    try:
        country, party = operator_id(cells.pop("operator"))
    except ValueError as error:
        problems.append(f"line {line}, column operator: {error}")
        return
    for name, cell in cells.items():
        if not cell:
            continue
        try:
            value = None if cell == CLEAR else register.read(name, cell)
        except ValueError as error:
            problems.append(f"line {line}, column {name}: {error}")
            continue
        facts.append((f"line {line}", Fact(country, party, location, name, value, source, author)))


def read_pairs(operator: str, location: str, pairs: Iterable[str], *, author: str, source: str) -> list[tuple[str, Fact]]:
    """(place, fact) of ``name=value`` texts; no value takes the fact away. Raises RegistryError."""
    problems: list[str] = []
    facts: list[tuple[str, Fact]] = []
    try:
        country, party = operator_id(operator)
    except ValueError as error:
        raise RegistryError(f"{error}.") from None
    for pair in pairs:
        name, sign, given = pair.partition("=")
        try:
            if not sign:
                raise ValueError("name=value is required")
            value = register.read(name.strip(), given)
            facts.append((operator, Fact(country, party, location.strip(), name.strip(), value, source, author)))
        except ValueError as error:
            problems.append(f"{name.strip()[:40]}: {error}")
    _refuse(problems, "Nothing was changed")
    return facts


async def store(db: Database, facts: list[tuple[str, Fact]]) -> int:
    """Write all of them or none; raises RegistryError for operators and locations that no platform delivers."""
    places: dict[Subject, str] = {}
    for place, fact in facts:
        places.setdefault((fact.country_code, fact.party_id, fact.location), place)
    async with db.transaction() as conn:
        unknown = await unknown_subjects(conn, list(places))
        problems = [
            f"{places[subject]}: no platform delivers the {kind} {'*'.join(part for part in subject if part)}"
            for subject, kind in unknown.items()
        ]
        _refuse(problems, "Nothing was changed")
        return await put_facts(conn, (fact for _, fact in facts))


def _refuse(problems: list[str], sentence: str) -> None:
    if problems:
        more = f"\n… and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        raise RegistryError(f"{sentence}: {'; '.join(problems[:1])}." if len(problems) == 1 else sentence + ":\n" + "\n".join(
            problems[:_MOST_SHOWN]) + more)  # fmt: skip
