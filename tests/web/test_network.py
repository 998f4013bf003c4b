"""The console's operators, inspector and live pages, over what a CPO really pushes."""

from __future__ import annotations

from tests.e2e.cpo import location, tariff
from tests.interface import Ocpi
from tests.web.conftest import Site

PATH = "2.2.1/locations/FI/ABC/L1"


async def delivered(ocpi: Ocpi) -> str:
    """A platform that has pushed a location and a tariff; returns its token."""
    token = await ocpi.platform("2.2.1", "ABC")
    assert (await ocpi.send("PUT", PATH, location("2.2.1", 1), token=token)).status == 201
    assert (await ocpi.send("PUT", "2.2.1/tariffs/FI/ABC/T1", tariff("2.2.1"), token=token)).status == 201
    return token


async def test_an_object_as_sent_as_held_and_as_published(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("viewer")
    token = await delivered(ocpi)
    status = {"status": "CHARGING", "last_updated": "2026-02-01T10:00:00Z"}
    assert (await ocpi.send("PATCH", f"{PATH}/U1", status, token=token)).status == 200
    for q in ("L1", "l1", "locations/FI/ABC/L1", "locations/FI/ABC/L1/U1", "FI*ABC*E1"):
        found = await site.client.get("/console/inspector", params={"q": q})
        assert found.status_code == 303, q
        page = (await site.client.get(found.headers["location"])).text
        assert "Mannerheimintie 1" in page and "What the public reads" in page and "&#34;Feature&#34;" in page
        assert "charging" in page and "published" in page
    gone = {"status": "REMOVED", "last_updated": "2026-03-01T10:00:00Z"}
    assert (await ocpi.send("PATCH", f"{PATH}/U1", gone, token=token)).status == 200
    page = (await site.client.get(found.headers["location"])).text
    assert "not published" in page and "removed" in page
    price = await site.client.get("/console/inspector", params={"q": "T1"})
    page = (await site.client.get(price.headers["location"])).text
    assert "0.29" in page and "published" in page
    assert "Nothing has this id" in (await site.client.get("/console/inspector?q=nothing")).text
    for kind in ("location", "tariff"):
        assert (await site.client.get(f"/console/inspector/{kind}/999")).status_code == 404


async def test_statuses_arrive(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("viewer")
    token = await delivered(ocpi)
    assert "No status has changed" in (await site.client.get("/console/live")).text
    for status, at in (("CHARGING", "2026-02-01T10:00:00Z"), ("BLOCKED", "2026-02-01T10:01:00Z")):
        await ocpi.send("PATCH", f"{PATH}/U1", {"status": status, "last_updated": at}, token=token)
    rows = (await site.client.get("/console/live/rows", headers={"x-fragment": "1"})).text
    assert rows.index("blocked") < rows.index("charging") and "FI*ABC*E1" in rows and "<html" not in rows
    assert "blocked" not in (await site.client.get("/console/live/rows?platform=other")).text
    site.client.cookies.clear()
    assert (await site.client.get("/console/live/rows", headers={"x-fragment": "1"})).status_code == 401
