"""`ocpi-nap snapshots`: the whole publications of this node, and the release of those that are held back."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from ocpi_nap.cli.context import load_settings, run_with_database
from ocpi_nap.cli.errors import CliError
from ocpi_nap.feed.editions.edition import Edition, described
from ocpi_nap.store.feed import release_snapshots

snapshots_app = typer.Typer(no_args_is_help=True, help="The whole publications.")


@snapshots_app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Show the whole publications that this node serves."""
    folder = load_settings().feed_dir / "snapshots"
    names = sorted(path.stem for path in folder.glob("*.edition"))
    found = [edition for edition in (described(folder, name) for name in names) if edition is not None]
    if not found and not as_json:
        raise CliError("There are no snapshots: they are made while `ocpi-nap serve` runs.")
    rows = [_row(edition) for edition in found]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        state = f", held back since {row['held_for_seconds']:.0f} s with {row['held_rows']} rows" if row["held_rows"] is not None else ""
        print(f"{row['name']}: {row['rows']} rows, {row['bytes']:,} bytes, made {row['age_seconds']:.0f} s ago{state}")


def _row(edition: Edition) -> dict[str, Any]:
    held = edition.held
    return {
        "name": edition.name, "rows": edition.rows, "bytes": edition.length, "age_seconds": round(time.time() - edition.built_at, 1),
        "held_rows": held.rows if held else None, "held_for_seconds": round(time.time() - held.since, 1) if held else None,
    }  # fmt: skip


@snapshots_app.command()
def release() -> None:
    """Publish what is held back because it has much fewer locations, on all nodes."""
    run_with_database(release_snapshots)
    print("Snapshots that are held back will be published with the next making.")
