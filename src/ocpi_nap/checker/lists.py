"""Locations and tariffs of the platform: read, judged, and asked for again."""

from __future__ import annotations

from collections.abc import Callable

from ocpi_nap.checker.changes import check_changes
from ocpi_nap.checker.inventory import Inventory
from ocpi_nap.checker.objects import LocationCheck
from ocpi_nap.checker.paging import check_paging
from ocpi_nap.checker.pulls import Pull, one_page, pull
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.checker.tariffs import TariffCheck
from ocpi_nap.model.platform import Party


async def check_lists(run: Run) -> LocationCheck | None:
    """Everything about the objects; None when the token does not open them."""
    assert run.discovered is not None and run.version is not None
    tariffs = TariffCheck(run)
    locations = LocationCheck(run, tariffs)
    if "tariffs" in run.version.modules and "tariffs" in run.discovered.endpoints:
        pulled, _ = await _pull_all(run, "tariffs", tariffs.take)
        tariffs.failed = pulled.failed
    run.say("Reading locations")
    full, per_operator = await _pull_all(run, "locations", locations.take)
    if not full.pages and _closed(run, full):
        run.findings.add("functional-closed", full.last.outcome if full.last is not None else full.failed, full.last)
        return None
    run.objects_read = True
    run.findings.ran("objects", "values", "publication")
    if full.pages and not full.keys and not full.failed and not full.pages[0].reading.has_entries:
        run.findings.add("list-empty", f"{full.module}: no objects", full.last)
    again = Inventory(run)
    await check_paging(run, full, again)
    if per_operator:
        await _check_filter(run, full)
    await _check_unknown(run)
    await check_changes(run, full, locations.inventory, again)
    locations.finish()
    tariffs.finish()
    return locations


async def _pull_all(run: Run, module: str, take: Callable[[bytes, Seen], None]) -> tuple[Pull, bool]:
    """A list of everything, or of each operator where the platform filters (I-67); gives the (first) pull, and whether it filters."""
    settings = run.options.settings
    parties: list[Party] = [operator.party for operator in run.options.operators] or sorted(run.parties)
    each = settings.pull_scope == "per_operator" and bool(parties)
    if not each:
        full = await pull(run, module, settings, each=take)
        if full.keys or full.failed or not parties or run.party == parties[0]:
            return full, False
    pulls = [await pull(run, module, settings, party=party, each=take) for party in parties]
    filled = next((found for found in pulls if found.keys), pulls[0])
    return filled, True


async def _check_filter(run: Run, full: Pull) -> None:
    """Whether the list of the platform itself lacks what that of an operator holds."""
    seen = await one_page(run, full.module, limit=run.options.settings.page_size, offset=0)
    whole = {key for key, _ in seen.reading.objects or ()} if seen is not None and seen.succeeded else None
    if whole is not None and not whole.issuperset(full.keys[:10]):
        run.findings.add("per-operator", f"OCPI-to-party-id decides which {full.module} come", seen)


def _closed(run: Run, full: Pull) -> bool:
    """Whether a refusal is what a token A deserves (R8)."""
    last = full.last
    if run.options.register or last is None:
        return False
    if last.status in (400, 401, 403, 500):
        return True
    return last.status == 200 and last.reading.status_code in (2000, 2001)


async def _check_unknown(run: Run) -> None:
    """GET of an object that does not exist (R34)."""
    assert run.discovered is not None
    url = run.client.object_url(run.discovered.endpoints["locations"].partition("?")[0], "NO-SUCH-LOCATION")
    seen = await one_page(run, "locations", url=url)
    if seen is not None and seen.status not in (None, 404, 429) and not (300 <= (seen.status or 0) < 400):
        run.findings.add("unknown-object-status", f"{seen.outcome} for {seen.url}", seen)
