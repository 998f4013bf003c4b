"""One transaction for many documents: lock, load, merge, save, tell. Pushes and crawls both write through here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ocpi_nap.intake.merge import merge
from ocpi_nap.intake.operations import Operation
from ocpi_nap.intake.results import Merged
from ocpi_nap.intake.tariffs import merge_tariff
from ocpi_nap.ocpi.errors import Internal, NotAuthenticated, OcpiError
from ocpi_nap.store import network
from ocpi_nap.store.database import OUTAGES, Conn, Database
from ocpi_nap.store.registry import tokens_that_hold
from ocpi_nap.store.rows import Change, LocationKey, LocationRow, TariffRow

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What became of one operation of a batch; ``error`` when it was refused."""

    created: bool = False
    changed: bool = False
    error: OcpiError | None = None


async def write_documents(db: Database, operations: Sequence[Operation]) -> list[Outcome]:
    """Apply the operations in order, in one transaction; a refused one leaves the others alone (R127, R158)."""
    async with db.transaction() as conn:
        return await _write(conn, operations)


async def write_apart(db: Database, operations: Sequence[Operation]) -> list[Outcome]:
    """As `write_documents`; where the batch as a whole cannot be written, each by itself, so that only what is to blame fails (R127)."""
    try:
        return await write_documents(db, operations)
    except OUTAGES:
        raise
    except Exception:
        log.exception("a batch of %d documents could not be written", len(operations))
    outcomes = []
    for operation in operations:
        try:
            outcomes += await write_documents(db, [operation])
        except OUTAGES:
            raise
        except Exception:
            log.exception("%s could not be written", operation.object_path)
            outcomes.append(Outcome(error=Internal("the object could not be stored")))
    return outcomes


async def _write(conn: Conn, operations: Sequence[Operation]) -> list[Outcome]:
    rows: dict[tuple[str, LocationKey], LocationRow | TariffRow] = {}
    for module in ("locations", "tariffs"):
        keys = sorted({op.key for op in operations if op.module == module})
        if not keys:
            continue
        await network.lock(conn, module, keys)
        if module == "locations":
            rows |= {(module, k): row for k, row in (await network.load_locations(conn, keys, for_update=True)).items()}
        else:
            rows |= {(module, k): row for k, row in (await network.load_tariffs(conn, keys)).items()}
    outcomes, changes = _merge_all(operations, rows, await _holding(conn, operations))
    locations = [row for row in rows.values() if isinstance(row, LocationRow)]
    tariffs = [row for row in rows.values() if isinstance(row, TariffRow)]
    await network.save_locations(conn, sorted(locations, key=lambda row: row.key))
    await network.save_tariffs(conn, sorted(tariffs, key=lambda row: row.key))
    await network.record(conn, changes)
    return outcomes


async def _holding(conn: Conn, operations: Sequence[Operation]) -> set[int]:
    """The tokens of pushes that hold now: who called was looked up before, and may have left since (R106)."""
    tokens = {op.context.token_id for op in operations if op.context.token_id is not None}
    return await tokens_that_hold(conn, tokens) if tokens else set()


def _merge_all(
    operations: Sequence[Operation], rows: dict[tuple[str, LocationKey], LocationRow | TariffRow], holding: set[int]
) -> tuple[list[Outcome], list[Change]]:
    outcomes, changes = [], []
    for operation in operations:
        if operation.context.token_id is not None and operation.context.token_id not in holding:
            outcomes.append(Outcome(error=NotAuthenticated("a valid credentials token is required")))
            continue
        place = (operation.module, operation.key)
        row = rows.get(place)
        try:
            merged = _merge_one(operation, row)
        except OcpiError as error:
            outcomes.append(Outcome(error=error))
            continue
        except Exception:
            log.exception("merging %s failed", operation.object_path)
            outcomes.append(Outcome(error=Internal("the object could not be processed")))
            if row is not None:  # a half-merged row must not be written
                rows.pop(place)
            continue
        rows[place] = merged.row
        changes += merged.changes
        outcomes.append(Outcome(created=merged.created, changed=merged.changed))
    return outcomes, changes


def _merge_one(operation: Operation, row: LocationRow | TariffRow | None) -> Merged:
    if operation.level == "tariff":
        assert not isinstance(row, LocationRow)
        return merge_tariff(operation, row)
    assert not isinstance(row, TariffRow)
    return merge(operation, row)
