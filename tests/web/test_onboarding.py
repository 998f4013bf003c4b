"""The onboarding page: questions, checks while typing, secrets, limits; and the requests in the console."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.registry import Registry
from ocpi_nap.web.context import SiteOptions
from ocpi_nap.web.onboarding.probe import probe
from tests.e2e.cpo import Cpo
from tests.web.conftest import URL, Site

TOKEN = "token-a-of-the-cpo"
ANSWERS = {
    "company": "Acme Charging Oy", "contact": "Maija", "email": "ocpi@acme.example", "country_code": "FI", "party_id": "ACM",
    "op0_country_code": "FI", "op0_party_id": "ABC", "op0_name": "Acme", "op0_url": "https://acme.example",
    "test_versions_url": "http://127.0.0.1:9/versions", "test_token": TOKEN, "test_token_encoding": "raw",
    "production_token_encoding": "auto", "message": "Hello", "step": "send",
}  # fmt: skip


@pytest.fixture
def options() -> SiteOptions:
    return SiteOptions(public_url=URL, check_patience=0.3)


@pytest.fixture
async def cpo() -> AsyncIterator[Cpo]:
    made = await Cpo("2.2.1", encoding="base64").start()
    yield made
    await made.stop()


async def apply(site: Site, **changes: str) -> httpx2.Response:
    return await site.form("/onboarding", "/onboarding", **{**ANSWERS, **changes})


async def check(site: Site, **values: str) -> str:
    """What the page says while it is typed, as text."""
    page = (await site.client.get("/onboarding")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    answer = await site.client.post("/onboarding/check", data={"csrf": csrf, **values})
    assert answer.status_code == 200, answer.text
    return html.unescape(re.sub(r"<[^>]+>", "", answer.text)).strip()


async def test_a_request_is_kept_and_followed(site: Site) -> None:
    sent = await apply(site)
    assert sent.status_code == 303, sent.text
    link = sent.headers["location"]
    page = await site.client.get(link)
    assert re.search(r"Request [A-Z2-9]{4}-[A-Z2-9]{4}", page.text) and "Acme Charging Oy" in page.text
    assert TOKEN not in page.text and page.headers["referrer-policy"] == "no-referrer"
    assert (await site.client.get(link[:-1])).status_code == 404
    stored = await site.db.fetch_one("SELECT test_token, production_token, link FROM onboarding_request")
    assert stored is not None and stored[0] is not None and TOKEN.encode() not in bytes(stored[0]) and stored[1] is None
    assert link.encode() not in bytes(stored[2])


@pytest.mark.parametrize(
    "field", ["company", "contact", "email", "country_code", "party_id", "op0_country_code", "op0_party_id", "op0_name"]
)
async def test_what_is_missing_is_marked_and_nothing_is_lost(site: Site, field: str) -> None:
    answer = await apply(site, **{field: ""})
    assert answer.status_code == 422 and f'id="e-{field}"' in answer.text
    for name, value in ANSWERS.items():
        if name not in (field, "step", "test_token") and "encoding" not in name:
            assert html.escape(value) in answer.text, name
    assert TOKEN not in answer.text, "secrets are never shown again"
    again = {**dict(re.findall(r'<input type="hidden" name="(\w+)"[^>]*? value="([^"]*)"', answer.text)), **ANSWERS, "test_token": ""}
    assert (await site.client.post("/onboarding", data=again)).status_code == 303, "the token was kept"
    row = await site.db.fetch_one("SELECT test_token FROM onboarding_request")
    assert row is not None and site.registry.vault.unseal(row[0]) == TOKEN


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"test_versions_url": "", "test_token": ""}, "test_versions_url"), ({"test_versions_url": "ftp://x"}, "test_versions_url"),
     ({"test_token": ""}, "test_token"), ({"test_token": "with space"}, "test_token"), ({"email": "nobody"}, "email"),
     ({"op0_url": "acme"}, "op0_url"), ({"rows": "2", "op1_country_code": "FI", "op1_party_id": "abc", "op1_name": "x"}, "op1_party_id")],
)  # fmt: skip
async def test_what_is_wrong_is_marked(site: Site, changes: dict[str, str], field: str) -> None:
    answer = await apply(site, **changes)
    assert answer.status_code == 422 and f'id="e-{field}"' in answer.text
    assert await site.db.fetch_all("SELECT 1 FROM onboarding_request") == []


async def test_operators_are_added_without_losing_anything(site: Site) -> None:
    more = await apply(site, step="add")
    assert more.status_code == 200 and 'name="op1_party_id"' in more.text and "Acme Charging Oy" in more.text
    assert TOKEN not in more.text
    sent = await apply(site, rows="2", op1_country_code="FI", op1_party_id="ABD", op1_name="Other")
    assert sent.status_code == 303


async def test_another_language_takes_the_answers_along(site: Site) -> None:
    page = (await site.client.get("/onboarding")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    swedish = await site.client.post("/onboarding?lang=sv", data={"csrf": csrf, **ANSWERS, "step": "language"})
    assert swedish.status_code == 200 and '<html lang="sv">' in swedish.text and "Acme Charging Oy" in swedish.text
    assert "test_kept" in swedish.text and TOKEN not in swedish.text and 'class="error"' not in swedish.text


async def test_a_page_that_was_open_too_long_loses_nothing(site: Site) -> None:
    page = (await site.client.get("/onboarding")).text
    site.client.cookies.clear()
    old = await site.send(page, "/onboarding", **ANSWERS)
    assert old.status_code == 409 and "open for too long" in old.text and "Acme Charging Oy" in old.text and TOKEN not in old.text
    kept = dict(re.findall(r'<input type="hidden" name="(\w+)"[^>]*? value="([^"]*)"', old.text))
    again = await site.send(old.text, "/onboarding", **{**ANSWERS, **kept, "test_token": ""})
    assert again.status_code == 303, again.text
    row = await site.db.fetch_one("SELECT test_token FROM onboarding_request")
    assert row is not None and site.registry.vault.unseal(row[0]) == TOKEN
    site.client.cookies.clear()
    foreign = await site.client.post("/onboarding", data=ANSWERS)
    assert foreign.status_code == 403 and "Acme" not in foreign.text
    finnish = await site.client.post("/onboarding?lang=fi", data=ANSWERS)
    assert "vanhentunut" in finnish.text


async def test_the_page_in_three_languages(site: Site) -> None:
    texts = {code: (await site.client.get(f"/onboarding?lang={code}")).text for code in ("en", "fi", "sv")}
    assert "Versions URL" in texts["en"] and "Alustan maatunnus" in texts["fi"] and "Laddplattform" in texts["sv"].title()
    answer = await apply(site, company="")
    assert "Fyll i detta" in answer.text


async def test_checks_tell_what_works(site: Site, cpo: Cpo) -> None:
    url = f"{cpo.url}/versions"
    works = await check(site, versions_url=url, token=cpo.token_a, token_encoding="auto")
    assert "Base64" in works and "2.2.1" in works
    assert "refuses the token" in await check(site, versions_url=url, token="wrong", token_encoding="auto")
    assert "refuses the token" in await check(site, versions_url=url, token=cpo.token_a, token_encoding="raw")
    assert "asks for a token" in await check(site, versions_url=url, token="")
    assert "404" in await check(site, versions_url=f"{cpo.url}/nowhere", token=cpo.token_a)
    assert await check(site, versions_url="", token="") == ""


async def test_what_the_checker_finds_is_told(site: Site, cpo: Cpo) -> None:
    """A platform that works and departs from OCPI is told what to mend; a web page is no platform."""
    cpo.extra_endpoints = [{"identifier": "tokens", "url": "/relative"}]
    told = await check(site, versions_url=f"{cpo.url}/versions", token=cpo.token_a, token_encoding="base64")
    assert "It works" in told and "To mend before production" in told
    assert "URLs are absolute." in told and "Write URLs with https and host." in told
    for token in ("", "t"):
        assert "not as OCPI has it" in await check(site, versions_url=f"{cpo.url}/page", token=token)


async def test_all_that_does_not_answer_looks_alike(site: Site, registry_public: Registry) -> None:
    said = {await check(site, versions_url=url, token="t") for url in ("http://127.0.0.1:9/versions", "http://nowhere.invalid/versions")}
    assert said == {"We could not reach an OCPI platform at this address."}
    for url in ("https://127.0.0.1/versions", "https://10.0.0.1/versions", "https://[::1]/versions", "https://localhost.:8443/x",
                "https://169.254.169.254/latest/meta-data"):  # fmt: skip
        verdict = await probe(registry_public, url, "t", "raw", "192.0.2.7", 0.2)
        assert verdict is not None and verdict.key in ("check.unreachable", "check.url"), url
    for url in ("http://cpo.example/versions", "https://cpo.example:22/versions", "https://user:pw@cpo.example/", "https://cpo.example:x/"):
        verdict = await probe(registry_public, url, "t", "raw", "192.0.2.7", 0.2)
        assert verdict is not None and verdict.key == "check.url", url


@pytest.fixture
async def registry_public(site: Site) -> AsyncIterator[Registry]:
    """A registry that calls only the public Internet, as in production."""
    client = await OcpiClient.open()
    yield Registry(site.db, site.registry.vault, client, site.registry.identity, allow_private=False)
    await client.close()


async def test_checks_are_limited(site: Site) -> None:
    await site.db.execute("INSERT INTO attempt (key) SELECT 'check from 192.0.2.1' FROM generate_series(1, 60)")
    assert "paused" in await check(site, versions_url="http://127.0.0.1:9/versions", token="t")


async def test_a_kept_token_is_of_no_use_elsewhere(site: Site, cpo: Cpo) -> None:
    page = (await apply(site, company="")).text
    kept = re.findall(r'name="test_kept"[^>]*value="([^"]+)"', page)[0]
    here = await check(site, versions_url=f"{cpo.url}/versions", kept=kept, token_encoding="base64")
    assert "It works" in here
    site.client.cookies.clear()
    elsewhere = await check(site, versions_url=f"{cpo.url}/versions", kept=kept, token_encoding="base64")
    assert "asks for a token" in elsewhere


async def test_requests_are_limited(site: Site) -> None:
    for _ in range(20):
        assert (await apply(site)).status_code == 303
    assert (await apply(site)).status_code == 429


class TestSwitchedOff:
    @pytest.fixture
    def options(self) -> SiteOptions:
        return SiteOptions(public_url=URL, onboarding=False)

    async def test_it_is_not_there(self, site: Site) -> None:
        for path in ("/onboarding", "/onboarding/status/x"):
            assert (await site.client.get(path)).status_code == 404
        assert "/onboarding" not in (await site.client.get("/")).text


async def test_an_approved_request_becomes_platforms(site: Site) -> None:
    both = {"production_versions_url": "http://127.0.0.1:9/live", "production_token": "token-of-production"}
    link = (await apply(site, **both)).headers["location"]
    name = await site.sign_in("operator")
    listed = (await site.client.get("/console/requests")).text
    assert "Acme Charging Oy" in listed
    page = (await site.client.get("/console/requests/1")).text
    assert "acme-charging-oy-test" in page and TOKEN not in page
    act = "/console/requests/1/approve"
    taken = await site.form("/console/requests/1", act, name_test="same", name_production="same")
    assert taken.status_code == 422 and "exists already" in taken.text and await site.registry.platforms() == []
    done = await site.form("/console/requests/1", act, name_test="acme-test", name_production="acme")
    assert done.status_code == 303
    platforms = {p.name: p for p in await site.registry.platforms()}
    assert {n: p.environment for n, p in platforms.items()} == {"acme-test": "test", "acme": "production"}
    assert await site.registry.outbound(platforms["acme"], "a") == "token-of-production"
    row = await site.db.fetch_one("SELECT test_token, production_token FROM onboarding_request")
    assert row == (None, None), "tokens are forgotten once they are the platforms'"
    assert "is approved" in (await site.client.get(link)).text
    assert any(act[:2] == (name, "approved request") for act in await site.acts())


async def test_a_refusal_needs_a_reason_which_the_cpo_reads(site: Site) -> None:
    link = (await apply(site)).headers["location"]
    await site.sign_in("operator")
    page = (await site.client.get("/console/requests/1")).text
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    assert (await site.form("/console/requests/1", "/console/requests/1/refuse", reason="")).status_code == 422
    assert (await site.form("/console/requests/1", "/console/requests/1/refuse", reason="No <data> in Finland")).status_code == 303
    status = (await site.client.get(link)).text
    assert "not approved" in status and "No &lt;data&gt; in Finland" in status and 'href="/onboarding"' in status
    for act in ("approve", "refuse"):
        late = await site.client.post(f"/console/requests/1/{act}", data={"csrf": csrf, "reason": "x", "name_test": "a"})
        assert late.status_code == 409 and "was faster" in late.text
    assert await site.registry.platforms() == []
