"""Pulls since a date (R120–R123, I-58 to I-62)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ocpi_nap.checker.inventory import Entry, Inventory
from ocpi_nap.checker.paging import judge_links
from ocpi_nap.checker.pulls import Pull, pull
from ocpi_nap.checker.recorder import Key, Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.model import timestamps

_PAGES = 3
"""A delta is asked for in about as many pages, so that Links with a filter are seen."""


async def check_changes(run: Run, full: Pull, known: Inventory, second: Inventory) -> None:
    """Ask for what changed since a date in the middle, and since the newest change; compare with the two pulls without date."""
    settings = run.options.settings
    moments = sorted(entry.updated for entry in known.entries.values() if entry.updated is not None)
    if not moments or settings.full_only:
        return
    run.findings.ran("changes")
    since = moments[len(moments) // 2].replace(microsecond=0)
    expected = {k for k, e in known.entries.items() if e.updated is not None and e.updated > since and full.party in (None, k[:2])}
    limit = min(settings.page_size, max(1, -(-len(expected) // _PAGES)))
    always_new = _always_new(run, known, second)
    again = Inventory(run)
    asked = msgspec.structs.replace(settings, page_size=limit) if "limit-refused" not in run.findings else settings
    delta = await pull(run, full.module, asked, party=full.party, date_from=since, each=again.take)
    if _refused(run, delta):
        return
    judge_links(run, delta)
    if not always_new:
        _compare(run, known, again, expected, since, delta)
    newest = moments[-1] + timedelta(seconds=1)
    if newest < datetime.now(UTC) + timedelta(days=1):
        await pull(run, full.module, settings, party=full.party, date_from=newest)


def _refused(run: Run, delta: Pull) -> bool:
    refusal = next((seen for seen in delta.exchanges if "date_from" in seen.query and _is_refusal(seen)), None)
    if refusal is None or delta.pages:
        return False
    run.findings.add("date-from-refused", f"{refusal.outcome} for {refusal.url}", refusal)
    return True


def _is_refusal(seen: Seen) -> bool:
    code = seen.reading.status_code
    return seen.status is not None and (400 <= seen.status < 500 or (code is not None and code >= 2000)) and seen.status != 429


def _compare(run: Run, known: Inventory, again: Inventory, expected: set[Key], since: datetime, delta: Pull) -> None:
    add = run.findings.add
    first = {key for key, _ in delta.pages[0].reading.objects or ()} if delta.pages else set()
    older = [key for key, entry in again.entries.items() if key in first and entry.updated is not None and entry.updated < since]
    shown = f"date_from={timestamps.format_z(since)}"
    if older:
        add("date-from-ignored", f"{shown}: {len(older)} of {len(again.entries)} objects are older", delta.last)
        return
    missing = [key for key in expected if key not in again.entries]
    if missing and not delta.failed and "times-in-future" not in run.findings:
        add("date-from-incomplete", f"{shown}: {len(missing)} of {len(expected)} changed objects are missing, {missing[0][2]}", delta.last)
    partial = [key for key, entry in again.entries.items() if key in known.entries and entry.evses < known.entries[key].evses]
    if partial and len(partial) * 2 >= sum(1 for key in again.entries if key in known.entries and known.entries[key].evses > 1):
        add("delta-evses-partial", f"{partial[0][2]} has {again.entries[partial[0]].evses} EVSEs, {known.entries[partial[0]].evses} before",
            delta.last)  # fmt: skip


def _always_new(run: Run, known: Inventory, again: Inventory) -> bool:
    """Whether last_updated moved although nothing else did."""
    both = [(entry, again.entries[key]) for key, entry in known.entries.items() if key in again.entries]
    moved = [(old, new) for old, new in both if old.content == new.content and old.updated != new.updated]
    if len(moved) * 2 <= len(both):
        return False
    run.findings.add("always-new", _moved(*moved[0]))
    return True


def _moved(old: Entry, new: Entry) -> str:
    times = [timestamps.format_ms(entry.updated) if entry.updated else "none" for entry in (old, new)]
    return f"{old.key[2]}: {times[0]}, a moment later {times[1]}, with the same content"
