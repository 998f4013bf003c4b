"""Issues: every rejected or repaired input, by platform and rule, one by one, and as a file."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ocpi_nap.store import issues as sql
from ocpi_nap.store.issues import Filter, Record
from ocpi_nap.store.registry import load_platforms
from ocpi_nap.web.console.guard import Viewer, note
from ocpi_nap.web.console.platforms import platform_of
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console/issues")
_PAGE = 100
_KINDS = {"refused": True, "tolerated": False}


@router.get("")
async def show_groups(
    request: Request, session: Viewer, platform: str = "", kind: str = "", rule: str = "", after: str = ""
) -> Response:  # fmt: skip
    """Groups by platform and rule."""
    web = web_of(request)
    names = [p.name for p in await load_platforms(web.db)]
    chosen = (await platform_of(request, platform)).id if platform else None
    refused, key = _KINDS.get(kind), decode_key(after, (bool, int, str, str))
    rows = await sql.groups(web.db, chosen, refused=refused, rule=rule or None, after=key, size=_PAGE + 1)
    objects, times = await sql.totals(web.db, chosen, refused=refused, rule=rule or None)
    more = encode_key(rows[_PAGE - 1].key) if len(rows) > _PAGE else ""
    return web.pages.html("console/issues.html", request, rows=rows[:_PAGE], names=names, platform=platform, kind=kind, rule=rule,
                          objects=objects, times=times, more=more, first=not after)  # fmt: skip


def encode_key(key: tuple[Any, ...]) -> str:
    """The key of a page's end as text for an address."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def decode_key(text: str, kinds: tuple[type, ...]) -> Any:
    """The key of a page's end, a value of each kind; 404 for one that is not ours."""
    if not text:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, binascii.Error, UnicodeError):
        raise HTTPException(404) from None
    fits = isinstance(key, list) and [type(part) for part in key] == list(kinds)
    if not fits or any("\0" in part for part in key if isinstance(part, str)):
        raise HTTPException(404)
    return tuple(key)


async def _filter(request: Request, platform: str, rule: str, kind: str, begins: str) -> Filter:
    found = await platform_of(request, platform)
    return Filter(found.id, rule or None, _KINDS.get(kind, False), begins.replace("\0", ""))


@router.get("/records")
async def show_records(
    request: Request, session: Viewer, platform: str, rule: str = "", kind: str = "tolerated", begins: str = "", after: str = ""
) -> Response:  # fmt: skip
    """Single issues of a rule, or of the objects whose names begin so."""
    web = web_of(request)
    rows = await sql.records(web.db, await _filter(request, platform, rule, kind, begins), decode_key(after, (str, str, str)), _PAGE + 1)
    more = encode_key(rows[_PAGE - 1].key) if len(rows) > _PAGE else ""
    return web.pages.html("console/issue-records.html", request, rows=rows[:_PAGE], more=more, platform=platform, rule=rule, kind=kind,
                          begins=begins, first=not after)  # fmt: skip


@router.get("/export.csv")
async def export(
    request: Request, session: Viewer, platform: str = "", rule: str = "", kind: str = "tolerated", begins: str = ""
) -> Response:  # fmt: skip
    """The same as a file; without a platform everything of all."""
    web = web_of(request)
    if platform:
        chosen = [(platform, await _filter(request, platform, rule, kind, begins))]
    else:
        chosen = [(p.name, Filter(p.id)) for p in await load_platforms(web.db)]
    await note(request, "exported issues", platform or "all platforms")

    async def lines() -> AsyncIterator[str]:
        yield _csv([("platform", "object", "path", "rule", "message", "sample", "refused", "first_seen", "last_seen", "count")])
        for name, wanted in chosen:
            async for page in sql.every_record(web.db, wanted):
                yield _csv([_cells(name, record) for record in page])

    headers = {"Content-Disposition": f'attachment; filename="issues{"-" + _plain(platform) if platform else ""}.csv"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def _plain(name: str) -> str:
    return "".join(c for c in name if c.isascii() and (c.isalnum() or c in "-_."))


def _cells(platform: str, record: Record) -> tuple[str, ...]:
    texts = (platform, *record.key, record.message, record.sample)
    times = (record.first_seen.isoformat(), record.last_seen.isoformat())
    return (*(_safe(text) for text in texts), str(record.refused).lower(), *times, str(record.count))


def _safe(text: str) -> str:
    """What a CPO sent must not become a formula in a spreadsheet."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _csv(rows: list[tuple[str, ...]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
