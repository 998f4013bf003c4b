"""The console's pages of issues: groups that stay exact, pages by key, export."""

from __future__ import annotations

import asyncio
import csv
import io
import re

from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.model.issues import Issue
from ocpi_nap.registry import onboarding
from tests.web.conftest import Site

COUNTED = "SELECT platform_id, rule, refused, count(*), sum(count), max(last_seen) FROM issue GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
KEPT = "SELECT platform_id, rule, refused, records, count, last_seen FROM issue_group ORDER BY 1, 2, 3"


async def platform(site: Site, name: str = "acme", party: str = "ABC") -> int:
    record = onboarding.check(name=name, versions_url="http://127.0.0.1:9/v", token=None, party_id="ACM", country_code="FI",
                              operators=[f"FI*{party};Acme"])  # fmt: skip
    return (await site.registry.add(record)).id


async def fill(site: Site, platform_id: int, count: int, rule: str = "wrong_type", *, refused: bool = False) -> None:
    log = IssueLog(site.db)
    for n in range(count):
        issue = Issue(f"evses[{n}].status", rule, "not what OCPI says", "=cmd()")
        log.add(platform_id, f"locations/FI/ABC/L{n:04}", [issue], refused=refused)
    await log.flush()


async def test_groups_stay_exact_whoever_writes(site: Site) -> None:
    first, second = await platform(site), await platform(site, "other", "ABD")
    for _ in range(2):
        await asyncio.gather(*(fill(site, p, 30, rule, refused=refused) for p in (first, second) for rule in ("a", "b")
                               for refused in (True, False)))  # fmt: skip
    assert await site.db.fetch_all(COUNTED) == await site.db.fetch_all(KEPT)
    await site.db.execute("UPDATE issue SET refused = true WHERE object = 'locations/FI/ABC/L0001'")
    await site.db.execute("DELETE FROM issue WHERE object = 'locations/FI/ABC/L0002' OR rule = 'b'")
    kept = [row[:5] for row in await site.db.fetch_all(KEPT)]
    assert kept == [row[:5] for row in await site.db.fetch_all(COUNTED)]
    await site.registry.remove("acme")
    assert {row[0] for row in await site.db.fetch_all(KEPT)} == {second}


async def test_groups_and_filters(site: Site) -> None:
    await site.sign_in("viewer")
    first = await platform(site)
    await fill(site, first, 3, "wrong_type")
    await fill(site, first, 2, "required_missing", refused=True)
    page = (await site.client.get("/console/issues")).text
    assert "wrong type" in page and "required missing" in page and "5 issues" in page
    page = (await site.client.get("/console/issues?platform=acme&kind=refused")).text
    assert "required missing" in page and "wrong type" not in page
    assert (await site.client.get("/console/issues?platform=nobody")).status_code == 404


async def test_pages_of_groups(site: Site) -> None:
    await site.sign_in("viewer")
    first = await platform(site)
    log = IssueLog(site.db)
    for n in range(130):
        log.add(first, "locations/FI/ABC/L1", [Issue("a", f"rule_{n:03}", "x")], refused=n % 2 == 0)
    await log.flush()
    page = (await site.client.get("/console/issues")).text
    more = re.search(r'href="\?([^"]+after=[^"]+)"', page)
    assert more is not None and "130 issues" in page
    rest = (await site.client.get(f"/console/issues?{more[1].replace('&amp;', '&')}")).text
    named = [re.findall(r"<strong>(rule \d+)</strong>", text) for text in (page, rest)]
    assert len(named[0]) == 100 and len(named[1]) == 30 and len({*named[0], *named[1]}) == 130


async def test_pages_by_key_reach_every_issue_once(site: Site) -> None:
    await site.sign_in("viewer")
    await fill(site, await platform(site), 230)
    seen: list[str] = []
    url = "/console/issues/records?platform=acme&rule=wrong_type&kind=tolerated"
    while url:
        page = (await site.client.get(url)).text
        seen += re.findall(r'<td class="wrap"><a [^>]+><code>(locations/[^<]+)', page)
        more = re.search(r'href="\?([^"]+after=[^"]+)"', page)
        url = f"/console/issues/records?{more[1].replace('&amp;', '&')}" if more else ""
    assert seen == [f"locations/FI/ABC/L{n:04}" for n in range(230)]
    some = (await site.client.get("/console/issues/records?platform=acme&begins=locations/FI/ABC/L002")).text
    assert some.count("<code>locations/") == 10 and "L0029" in some
    for broken in ("x", "W10=", "WzEsMiwzXQ=="):
        assert (await site.client.get(f"/console/issues/records?platform=acme&after={broken}")).status_code == 404


async def test_export(site: Site) -> None:
    name = await site.sign_in("viewer")
    await fill(site, await platform(site), 12)
    await fill(site, await platform(site, "other", "ABD"), 5)
    answer = await site.client.get("/console/issues/export.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 17 and rows[0]["object"] == "locations/FI/ABC/L0000" and rows[0]["refused"] == "false"
    assert rows[0]["sample"] == "'=cmd()", "no formula in a spreadsheet"
    some = await site.client.get("/console/issues/export.csv?platform=other&rule=wrong_type&kind=tolerated")
    assert len(list(csv.DictReader(io.StringIO(some.text)))) == 5
    assert (name, "exported issues", "all platforms") in await site.acts()
