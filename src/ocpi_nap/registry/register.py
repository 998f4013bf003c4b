"""The operator register from a CSV file or from single facts, checked as a whole before anything is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from ocpi_nap.model import register
from ocpi_nap.model.ids import country_code, party_id
from ocpi_nap.model.register import Fact
from ocpi_nap.registry.outcomes import ChangedMeanwhile, RegistryError
from ocpi_nap.store.database import Database
from ocpi_nap.store.register import Subject, facts_of_subject, hold, put_facts, unknown_subjects

CLEAR = "-"
"""A cell that takes a fact away; an empty one leaves it as it is."""
_MOST_SHOWN = 20
_LONGEST_ID = 255


class FactsRefused(RegistryError):
    """Facts of which nothing was written; ``problems`` says what is wrong with each, and where it stands."""

    def __init__(self, sentence: str, problems: list[str]) -> None:
        more = f"\n… and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        told = f": {problems[0]}." if len(problems) == 1 else ":\n" + "\n".join(problems[:_MOST_SHOWN]) + more
        super().__init__(sentence + told)
        self.problems = problems


def operator_id(text: str) -> tuple[str, str]:
    """``FI*ABC``; ValueError for anything else."""
    country, star, party = text.partition("*")
    if not star:
        raise ValueError(f"an operator as in FI*ABC is required (got {text[:40]!r})")
    return country_code(country, "operator"), party_id(party, "operator")


def location_id(text: str) -> str:
    """The id of a location without spaces around it, "" for none; ValueError for what cannot be one."""
    found = text.strip()
    if "\0" in found or len(found) > _LONGEST_ID:
        raise ValueError(f"the id of a location is required (got {found[:40]!r})")
    return found


def read_csv(path: Path, *, author: str, source: str | None = None) -> list[tuple[str, Fact]]:
    """(place, fact) of a file: see `parse_csv`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RegistryError(f"{path} could not be read: {error.strerror}.") from None
    return parse_csv(data, str(path), author=author, source=source or path.name)


def parse_csv(data: bytes, path: str, *, author: str, source: str) -> list[tuple[str, Fact]]:
    """(place, fact) of a CSV file with a header line: operator, perhaps location, and names of facts. Commas or semicolons part the
    columns. Raises RegistryError with every line and column that is wrong; ``path`` is what it calls the file."""
    try:
        text = data.decode("utf-8-sig")
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
                _row(line, names, row, source, author, facts, problems)
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
    column = "operator"
    try:
        country, party = operator_id(cells.pop("operator"))
        column = "location"
        location = location_id(cells.pop("location", ""))
    except ValueError as error:
        problems.append(f"line {line}, column {column}: {error}")
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
        location = location_id(location)
    except ValueError as error:
        raise RegistryError(f"{error}.") from None
    for pair in pairs:
        name, sign, given = pair.partition("=")
        try:
            if not sign:
                raise ValueError("name=value is required")
            value = register.read(name.strip(), given)
            facts.append((operator, Fact(country, party, location, name.strip(), value, source, author)))
        except ValueError as error:
            problems.append(f"{name.strip()[:40]}: {error}")
    _refuse(problems, "Nothing was changed")
    return facts


def version(facts: Iterable[Fact]) -> str:
    """Differs when a fact of a subject does, or who said it."""
    shown = sorted((fact.field, repr(fact.value), fact.source, fact.author, fact.at and fact.at.timestamp()) for fact in facts)
    return sha256(repr(shown).encode()).hexdigest()[:32]


async def store(db: Database, facts: list[tuple[str, Fact]], *, seen: tuple[Subject, str] | None = None) -> int:
    """Write all of them or none; returns how many differ from before. Raises RegistryError for operators and locations that no platform
    delivers, ChangedMeanwhile when the facts of a subject have another `version` than the one that the writer has seen."""
    places: dict[Subject, str] = {}
    for place, fact in facts:
        places.setdefault((fact.country_code, fact.party_id, fact.location), place)
    async with db.transaction() as conn:
        await hold(conn)
        if seen is not None and version(await facts_of_subject(conn, seen[0])) != seen[1]:
            raise ChangedMeanwhile("Somebody else changed these facts since you opened the form.")
        unknown = await unknown_subjects(conn, list(places))
        problems = [
            f"{places[subject]}: no platform delivers the {kind} {'*'.join(part for part in subject if part)}"
            for subject, kind in unknown.items()
        ]
        _refuse(problems, "Nothing was changed")
        return await put_facts(conn, (fact for _, fact in facts))


def _refuse(problems: list[str], sentence: str) -> None:
    if problems:
        raise FactsRefused(sentence, problems)
