"""A generated list, served with generated paging and faults: the pull ends complete with every object once, or concludes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.cpo import location
from tests.intake.sender import page, sender
from tests.interface import Ocpi
from tests.versions import each

PASSING = ("500", "cut", "reset", "html", "429", "3000")
"""The page comes when it is asked for again."""
LASTING = ("500 always", "403", "2001", "loop", "elsewhere", "no list", "cut always", "endless")
"""It never does, or leads nowhere."""
BENDING = ("empty before", "last again", "text amid", "shrinking", "too many told", "link lost", "repeated link")
"""It comes, with something odd about it."""


@dataclass(frozen=True)
class Plan:
    """How many objects, in pages of what size, told how, and what is wrong with which page."""

    count: int
    size: int
    style: str
    faults: dict[int, str] = field(default_factory=dict)


plans = st.builds(
    Plan, st.integers(0, 9), st.integers(1, 4), st.sampled_from(["link", "cursor", "total", "limit", "bare", "page total"]),
    st.dictionaries(st.integers(0, 4), st.sampled_from([*PASSING, *LASTING, *BENDING]), max_size=2),
)  # fmt: skip


class Server:
    """Serves a plan; every page is one of its offsets."""

    def __init__(self, plan: Plan, version: str) -> None:
        self.plan = plan
        self.items = [location(version, number) for number in range(plan.count)]
        self.met: set[str] = set()
        self.turns = 0

    def once(self, key: str) -> bool:
        first = key not in self.met
        self.met.add(key)
        return first

    async def answer(self, request: web.Request, _: Any) -> web.StreamResponse:
        if request.path != "/locations":
            return page([])
        offset = int(request.query.get("cursor", request.query.get("offset", 0)))
        fault = self.plan.faults.get(offset // self.plan.size, "")
        broken = self.broken(request, fault, offset)
        return broken if broken is not None else self.whole(request, fault, offset)

    def broken(self, request: web.Request, fault: str, offset: int) -> web.StreamResponse | None:
        if fault in PASSING and not self.once(f"{fault} {offset}"):
            return None
        match fault.removesuffix(" always"):
            case "500":
                return web.Response(status=500)
            case "cut":
                return web.Response(body=b'{"status_code":1000,"data":[{"id":"L0"')
            case "reset":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "html":
                return web.Response(body=b"<html>maintenance</html>")
            case "429":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "3000":
                return web.json_response({"status_code": 3000})
            case "403":
                return web.Response(status=403)
            case "2001":
                return web.json_response({"status_code": 2001})
            case "no list":
                return web.json_response({"status_code": 1000, "data": {"items": []}})
        return None

    def whole(self, request: web.Request, fault: str, offset: int) -> web.StreamResponse:
        plan, total = self.plan, len(self.items)
        found: list[Any] = self.items[offset : offset + plan.size]
        following: Any = request.url.with_query({"cursor" if plan.style == "cursor" else "offset": offset + plan.size})
        headers: dict[str, str] = {}
        linked = plan.style in ("link", "cursor")
        if linked and offset + plan.size < total:
            headers["Link"] = f'<{following}>; rel="next"'
        if plan.style in ("link", "total"):
            headers["X_Total_Count"] = str(total)
        if plan.style == "limit":
            headers["X_Limit"] = str(plan.size)
        if plan.style == "page total":
            headers |= {"X_Total_Count": str(len(found)), "X_Limit": str(plan.size)}
        if fault == "empty before" and linked and self.once(f"{fault} {offset}"):
            return page([], Link=f'<{request.url.update_query(again=1)}>; rel="next"', **{k: v for k, v in headers.items() if k != "Link"})
        if fault == "last again" and offset:
            found = [self.items[offset - 1], *found] if offset <= total else found
        if fault == "text amid":
            found = [*found, "no object"] if linked else found
        if fault == "shrinking" and "X_Total_Count" in headers and offset and plan.style != "page total":
            headers["X_Total_Count"] = str(max(0, total - 1))
        if fault == "too many told" and plan.style in ("link", "total"):
            headers["X_Total_Count"] = str(total + 3)
        if fault == "link lost" and plan.style == "link":
            headers.pop("Link", None)
        if fault == "repeated link" and "Link" in headers:
            headers["Link"] += f", {headers['Link']}"
        if fault == "loop":
            headers["Link"] = f'<{request.url}>; rel="next"'
        if fault == "elsewhere":
            headers["Link"] = '<http://192.0.2.1/x>; rel="next"'
        if fault == "endless":
            self.turns += 1
            headers["Link"] = f'<{request.url.update_query(turn=self.turns)}>; rel="next"'
        return page(found, **headers)


@each
@pytest.mark.holds("R116", "R117", "R124", "R126", "R127", "R129", "I-47", "I-48", "I-53", "I-57", "I-64", "I-65")
@given(plan=plans)
@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
async def test_any_paging(ocpi: Ocpi, version: str, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_wait(_: float) -> None:
        return None

    monkeypatch.setattr("ocpi_nap.ocpi.paging.Crawler.__init__.__kwdefaults__", {"date_from": None, "sleep": no_wait})
    for table in ("platform", "evse", "evse_state"):
        await ocpi.db.execute(f"DELETE FROM {table}")
    async with sender(ocpi, version, page_size=plan.size, max_pages=50) as cpo:
        cpo.locations = [location(version, number) for number in (90, 91)]
        assert (await cpo.pull())["locations"].complete
        server = Server(plan, version)
        cpo.handler = server.answer
        report = (await cpo.pull())["locations"]
        rows = await ocpi.db.fetch_all("SELECT id, withdrawn_at IS NULL FROM location ORDER BY id")
    held, wanted, old = {name for name, kept in rows if kept}, {item["id"] for item in server.items}, {"L90", "L91"}
    assert len(rows) == len({name for name, _ in rows})
    if report.complete:
        assert wanted <= held, "complete, and every object is there"
        assert report.counts.new == len(wanted)
        doubted = report.counts.withheld > 0 or bool({"shrinking", "too many told"} & set(plan.faults.values()))  # totals that shrink
        assert held == wanted or (doubted and held == wanted | old), json.dumps(sorted(held))
    else:
        assert report.error and report.counts.withdrawn == report.counts.withheld == 0
        assert old <= held <= wanted | old, "what came is kept, and nothing is withdrawn"
    if not plan.faults or set(plan.faults.values()) <= set(PASSING):
        assert report.complete, report.error
