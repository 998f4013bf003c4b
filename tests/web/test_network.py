"""The console's operators, inspector and live pages, over what a CPO really pushes."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

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


async def inspect(site: Site, q: str, form: str = "") -> str:
    """The page of an object."""
    found = await site.client.get("/console/inspector", params={"q": q})
    return (await site.client.get(found.headers["location"], params={"form": form})).text


def drawn(page: str) -> str:
    """What the public reads, as the page has it."""
    return html.unescape(re.findall(r'<pre tabindex="0" aria-label="What the public reads">(.*?)</pre>', page, re.DOTALL)[0])


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


async def test_an_object_in_each_publication(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("operator")
    await delivered(ocpi)
    register = "/console/operators/FI*ABC"
    await site.form(register, register, legal_name="Abc Lataus & Pojat Oy")
    page = await inspect(site, "L1")
    forms = re.findall(r'<option value="([\w.-]+)"', page)
    encodings = [f"{name}.{encoding}" for name in ("datex2-3.6", "statuses-datex2-3.6", "datex2-3.7", "statuses-datex2-3.7")
                 for encoding in ("json", "xml")]  # fmt: skip
    assert forms == ["locations-1", "statuses-1", *encodings] and "kept out" not in page and "not in it" not in page
    shown = {form: drawn(await inspect(site, "L1", form)) for form in forms}
    assert json.loads(shown["locations-1"])["type"] == "Feature"
    assert [row["evseId"] for row in json.loads(shown["statuses-1"])] == ["FI*ABC*E1"]
    for form in encodings:
        if form.endswith(".json"):
            assert isinstance(json.loads(shown[form]), dict) and shown[form].startswith("{\n  ")
        else:
            assert re.match(r"<(egi|aegi):energyInfrastructureSite(Status)? ?[^>]*>\n  <", shown[form]), shown[form][:200]
    for form in encodings[:2] + encodings[4:6]:
        assert "Abc Lataus &amp; Pojat Oy" in shown[form] or "Abc Lataus & Pojat Oy" in shown[form], form
    assert "energyRate" in shown["datex2-3.7.json"], "with the tariff that its connector names"
    assert drawn(await inspect(site, "L1", "no-such-form")) == shown["locations-1"]


async def test_why_an_object_is_kept_out(site: Site, ocpi: Ocpi) -> None:
    await site.sign_in("viewer")
    token = await delivered(ocpi)
    await ocpi.send("PUT", "2.2.1/tariffs/FI/ABC/T1", {**tariff("2.2.1"), "currency": "€"}, token=token)
    page = await inspect(site, "T1")
    assert "It is kept out of some publications" in page and "is not one of ISO 4217" in page
    assert "DATEX II 3.7 XML – not in it" in page and "JSON – not in it</option>" in page
    assert "It is not in this publication" in await inspect(site, "T1", "tariffs-datex2-3.7.xml")
    web = site.app.state.web
    site.app.state.web = replace(web, options=replace(web.options, publish_environments=("nowhere",)))
    assert "which is not published" in await inspect(site, "L1") and "which is not published" in await inspect(site, "T1")
    site.app.state.web = web
    await ocpi.send("PUT", PATH, {**location("2.2.1", 1), "publish": False}, token=token)
    page = await inspect(site, "L1")
    assert "publish is false" in page and "It is not published." in page
    await ocpi.send("PUT", PATH, location("2.2.1", 1), token=token)
    assert "It is in no publication" not in await inspect(site, "L1")
    await ocpi.send("PATCH", f"{PATH}/U1", {"status": "REMOVED", "last_updated": "2026-03-01T10:00:00Z"}, token=token)
    assert "None of its EVSEs is public" in await inspect(site, "L1")
    await ocpi.send("DELETE", "2.2.1/tariffs/FI/ABC/T1", token=token)
    assert "It is withdrawn:" in await inspect(site, "T1")


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
