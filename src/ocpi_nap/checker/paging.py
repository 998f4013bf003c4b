"""How lists are cut into pages (R111–R131, I-47 to I-68)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from ocpi_nap.checker.inventory import Inventory
from ocpi_nap.checker.pulls import Pull, link_of, one_page, pull
from ocpi_nap.checker.recorder import Key, Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.ocpi import net

_ONE_LINK = r'<[^<>]+>(?:\s*;\s*[A-Za-z*-]+\s*=\s*"[^"]*")+'
_LINKS = re.compile(rf"{_ONE_LINK}(?:\s*,\s*{_ONE_LINK})*")
_TARGETS = re.compile(r"<([^<>]*)>")
_SMALL = 50
_FAR = 1000
_SAMPLE_PAGES = 4


def number(text: str | None) -> int | None:
    """The whole number in a header, None where there is none."""
    return int(text) if text is not None and text.strip().isascii() and text.strip().isdigit() and len(text) < 15 else None


@dataclass(frozen=True)
class _Facts:
    """Headers of a page."""

    seen: Seen
    count: int
    total: int | None
    limit: int | None
    link: str | None


def _facts(found: Pull) -> list[_Facts]:
    return [
        _Facts(page, len(page.reading.objects or ()), number(page.header("X-Total-Count")), number(page.header("X-Limit")), link_of(page))
        for page in found.pages
    ]


async def check_paging(run: Run, full: Pull, again: Inventory) -> None:
    """Judge the pull of everything, then ask for small pages (what comes goes into ``again``) and past the end."""
    run.findings.ran("paging")
    _judge_lists(run, full)
    judge_links(run, full)
    walk = await _walk(run, full, again)
    if walk is not None:
        judge_links(run, walk)
        _compare(run, full, walk)
    _judge_headers(run, full, walk)
    _judge_repeats(run, full)
    if walk is not None and "pages-overlap" not in run.findings and "object-twice" not in run.findings:
        _judge_repeats(run, walk)
    _judge_totals(run, full, walk)
    await _past_the_end(run, full)
    for found in (full, walk):
        if found is not None:
            _judge_failure(run, found)


async def _walk(run: Run, full: Pull, again: Inventory) -> Pull | None:
    """The same list in pages small enough that there are several, the last one not full; a sample of large lists."""
    count = len(full.keys)
    if count < 2 or "paging-in-body" in run.findings:
        return None
    limit = min(-(-count // 3), _SMALL)
    limit += count % limit == 0
    settings = msgspec.structs.replace(run.options.settings, page_size=limit, max_pages=_SAMPLE_PAGES, send_paging_parameters=True)
    return await pull(run, full.module, settings, party=full.party, each=again.take)


def _judge_lists(run: Run, found: Pull) -> None:
    """Whether data is a list of objects."""
    for page in found.pages:
        data = page.reading.data
        if page.reading.objects is None and page.reading.has_data:
            members = f"data has the members {', '.join(list(data)[:6])}" if isinstance(data, dict) else f"data is {type(data).__name__}"
            nested = isinstance(data, dict) and any(isinstance(value, list) for value in data.values()) and "id" not in data
            run.findings.add("paging-in-body" if nested else "not-a-list", members, page)
        for place, (key, _) in enumerate(page.reading.objects or ()):
            if key is None:
                run.findings.add("bad-objects", f"entry {place + 1} of {page.url}", page)


def judge_links(run: Run, found: Pull) -> None:
    """Where the Links of a pull lead, and how they are written (R113–R117, I-49 to I-53)."""
    asked: set[str] = set()
    answers = {seen.url: seen for seen in found.exchanges} | {page.url: page for page in found.pages}
    for page in found.pages:
        asked.add(page.url)
        values = page.all_headers("Link")
        text = ", ".join(value for value in values if value.strip())
        if values and not text:
            run.findings.add("link-empty", f"Link is empty on {page.url}", page)
        target = link_of(page)
        if text and target is not None:
            _judge_link(run, page, text, target, asked, answers)
        elif text and not _LINKS.fullmatch(text.strip()):
            run.findings.add("link-form", f"Link: {text}", page)


def _judge_link(run: Run, page: Seen, text: str, target: str, asked: set[str], answers: dict[str, Seen]) -> None:
    add, shown = run.findings.add, f"Link: {text}"
    if not _LINKS.fullmatch(text.strip()):
        add("link-form", shown, page)
    elif len(_TARGETS.findall(text)) > 1:
        add("links-several", shown, page)
    if not target.startswith(("http://", "https://")):
        add("link-relative", shown, page)
    try:
        url = net.follow(page.url, target, run.hosts)
    except (net.Refused, ValueError):
        add("link-elsewhere", shown, page)
        return
    if url in asked:
        add("link-loop", shown, page)
    elif url in answers and not answers[url].succeeded:
        add("link-fails", f"{shown}, answered with {answers[url].outcome}", page)
    elif "offset=" not in url:
        add("link-cursor", shown, page)
    elif "date_from" in page.query and "date_from=" not in url:
        add("link-without-filter", shown, page)


def _judge_headers(run: Run, full: Pull, walk: Pull | None) -> None:
    """Which headers pages have; judged on a pull of several pages where there is one."""
    chosen = walk if walk is not None and len(walk.pages) > 1 and len(full.pages) < 2 else full
    facts = _facts(chosen)
    if not facts or facts[0].seen.reading.objects is None:
        return
    filled = [page for page in facts if page.count]
    unlinked = len(filled) > 1 and not any(page.link for page in facts)
    repeated = unlinked and _keys(facts[1].seen) == _keys(facts[0].seen)
    guessed = f"{len(facts)} pages of {chosen.module}, found by asking for the next offset"
    bare = [page for page in facts if page.total is None or page.limit is None]
    if unlinked and not repeated and all(page.total is None and page.limit is None for page in facts):
        run.findings.add("paging-headers-missing", guessed, facts[0].seen)
        return
    if unlinked and not repeated:
        run.findings.add("link-missing", guessed, facts[0].seen)
    if bare:
        names = [name for name, value in (("X-Total-Count", bare[0].total), ("X-Limit", bare[0].limit)) if value is None]
        run.findings.add("total-missing", f"no {' and no '.join(names)} on {bare[0].seen.url}", bare[0].seen)


def _judge_totals(run: Run, full: Pull, walk: Pull | None) -> None:
    """X-Total-Count and X-Limit against what came."""
    received = len({digest for page in full.pages for _, digest in page.reading.objects or ()})
    for found in (full, walk):
        if found is not None:
            for page in _facts(found):
                _judge_numbers(run, found, page, received)
    for page in _facts(full):
        if page.link is not None and full.limit is not None and page.count < min(full.limit, _SMALL):
            run.findings.add("small-pages", f"{page.count} objects on a page, {full.limit} were asked for", page.seen)
    if full.failed.startswith("only ") and "first-page-only" not in run.findings:
        run.findings.add("total-too-high", f"{full.module}: {full.failed}", full.pages[-1] if full.pages else None)


def _judge_numbers(run: Run, found: Pull, page: _Facts, received: int) -> None:
    """The total is that of all ``received`` objects; the limit of the last page is that of the others."""
    if page.total is None:
        return
    more = page.link is not None or (page.total < received and not found.failed)
    if page.count and page.total <= page.count < received and more:
        shown = f"X-Total-Count: {page.total} on a page of {page.count} objects, of {received} in all"
        run.findings.add("total-of-the-page", shown, page.seen)
    asked = found.limit if found.limit is not None else page.count
    largest = max(len(other.reading.objects or ()) for other in found.pages) if len(found.pages) > 1 else asked
    if page.limit == page.count < largest and page.link is None:
        shown = f"X-Limit: {page.limit} on the last page, with {page.count} objects; {asked} were asked for"
        run.findings.add("limit-of-the-page", shown, page.seen)


def _compare(run: Run, full: Pull, walk: Pull) -> None:
    """The same objects, in the same order, in pages of the size that was asked for."""
    add, pages, limit = run.findings.add, walk.pages, walk.limit or 0
    if not pages:
        return
    first = _keys(pages[0])
    asked = [seen for seen in (*full.exchanges, *walk.exchanges) if "limit" in seen.query]
    refused = next((seen for seen in asked if seen.reading.status_code == 2001), None)
    if refused is not None:
        add("limit-refused", f"{refused.outcome} for {refused.url}", refused)
    elif len(first) > limit:
        add("paging-ignored", f"{len(first)} objects came, {limit} were asked for", pages[0])
        return
    if len(pages) > 1 and first and _keys(pages[1]) == first and pages[1].url != pages[0].url and link_of(pages[0]) is None:
        add("first-page-only", f"{pages[1].url} gives the objects of {pages[0].url}", pages[1])
        return
    before = full.keys[: len(first)]
    if set(before) != set(first):
        add("order-unstable", f"first {len(first)} {full.module}: {_named(before)}, then {_named(first)}", pages[0])
    if not walk.failed and not full.failed and (gone := [key for key in full.keys if key not in set(walk.keys)]):
        add("objects-vanish", f"{len(gone)} {full.module} of the first pull were not in the second: {_named(gone)}", walk.last)


def _judge_repeats(run: Run, found: Pull) -> None:
    """An object on two pages, or twice with different content."""
    known: dict[Key, bytes] = {}
    for page in found.pages:
        here = {key: digest for key, digest in page.reading.objects or () if key is not None}
        entries = [key for key, _ in page.reading.objects or () if key is not None]
        if len(entries) > len(here):
            twice = next(key for key in entries if entries.count(key) > 1)
            run.findings.add("object-twice", f"{twice[2]} on {page.url}", page)
        shared = [key for key in here if key in known]
        if shared and len(shared) < len(here):
            same = all(known[key] == here[key] for key in shared)
            run.findings.add("pages-overlap" if same else "object-twice", f"{_named(shared)} again on {page.url}", page)
        known |= here


async def _past_the_end(run: Run, full: Pull) -> None:
    if not full.keys or "first-page-only" in run.findings:
        return
    query: dict[str, Any] = {"offset": len(full.keys) + _FAR} | ({} if "limit-refused" in run.findings else {"limit": 10})
    seen = await one_page(run, full.module, party=full.party, **query)
    if seen is None or seen.status is None or seen.status == 429:
        return
    if seen.status in (404, 416):
        run.findings.add(f"end-is-{seen.status}", f"{seen.outcome} for {seen.url}", seen)
    elif not seen.succeeded and seen.status != 500 and seen.reading.form != "truncated":
        run.findings.add("end-refused", f"{seen.outcome} for {seen.url}", seen)
    elif seen.reading.objects:
        run.findings.add("paging-ignored", f"{len(seen.reading.objects)} objects came past the end: {seen.url}", seen)


def _judge_failure(run: Run, found: Pull) -> None:
    """A list that could not be read to its end, unless a finding says why."""
    if not found.failed:
        return
    if found.cut:
        if found.limit == run.options.settings.page_size:
            run.findings.add("list-failed", f"{found.module}: {found.failed}; --set max_pages=… allows more", found.last, severity="note")
    elif not any(error.check.area == "paging" for error in run.findings.of("error")):
        run.findings.add("list-failed", f"{found.module}: {found.failed}", found.last)


def _keys(page: Seen) -> list[Key]:
    return [key for key, _ in page.reading.objects or () if key is not None]


def _named(keys: list[Key]) -> str:
    return ", ".join(key[2] for key in keys[:3]) + (" …" if len(keys) > 3 else "")
