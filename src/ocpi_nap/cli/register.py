"""`ocpi-nap register …`: what OCPI cannot say of operators and locations."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ocpi_nap.cli.context import run_with_database
from ocpi_nap.cli.errors import CliError
from ocpi_nap.model.register import Fact, written
from ocpi_nap.registry import register
from ocpi_nap.store.register import list_facts

register_app = typer.Typer(help="The operator register: what OCPI cannot say.", no_args_is_help=True)
By = Annotated[str | None, typer.Option(help="Who says so; your user name otherwise.")]
Source = Annotated[str | None, typer.Option(help="Where it was taken from.")]


def _author(by: str | None) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user entry
        return "unknown"


def _store(facts: list[tuple[str, Fact]]) -> int:
    return run_with_database(lambda db: register.store(db, facts))


@register_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV: operator, location (may be left out), and names of facts in the first line.")],
    by: By = None, source: Source = None,
) -> None:  # fmt: skip
    """Take facts from a CSV file: all of them, or none when something in it is wrong."""
    facts = register.read_csv(file, author=_author(by), source=source)
    print(f"{_store(facts)} facts changed, of {len(facts)} in {file}.")


@register_app.command("set")
def set_(
    operator: Annotated[str, typer.Argument(help="FI*ABC")],
    facts: Annotated[list[str], typer.Argument(help="name=value; no value takes the fact away")],
    location: Annotated[str, typer.Option(help="Id of one location; without it for the operator as a whole.")] = "",
    by: By = None, source: Source = None,
) -> None:  # fmt: skip
    """Set facts of an operator or of one of its locations."""
    found = register.read_pairs(operator, location, facts, author=_author(by), source=source or "command line")
    print(f"{_store(found)} facts changed.")


@register_app.command()
def show(
    operator: Annotated[str | None, typer.Argument(help="FI*ABC; all without it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the facts, who said them, when, and from where."""
    try:
        country, party = register.operator_id(operator) if operator else (None, None)
    except ValueError as error:
        raise CliError(f"{error}.") from None
    found = run_with_database(lambda db: list_facts(db, country, party))
    if as_json:
        print(json.dumps([_as_dict(fact) for fact in found], ensure_ascii=False, indent=1))
        return
    for fact in found:
        subject = f"{fact.country_code}*{fact.party_id}{' ' + fact.location if fact.location else ''}"
        print(f"{subject}: {fact.field}={written(fact.value)} ({fact.author}, {fact.at:%Y-%m-%d}, {fact.source})")


def _as_dict(fact: Fact) -> dict[str, Any]:
    return {
        "operator": f"{fact.country_code}*{fact.party_id}", "location": fact.location or None, "field": fact.field, "value": fact.value,
        "author": fact.author, "source": fact.source, "at": fact.at.isoformat() if fact.at else None,
    }  # fmt: skip
