"""The console's pages of platforms, and the acts on them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ocpi_nap.intake.contacts import CountingAuthenticator
from ocpi_nap.intake.crawl import Module
from ocpi_nap.intake.tasks import run_task
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.registry import onboarding
from ocpi_nap.registry.auth import TokenAuthenticator
from ocpi_nap.registry.hints import Hints
from ocpi_nap.store import crawls
from ocpi_nap.store import registry as registry_sql
from ocpi_nap.store.activity import count_operators
from ocpi_nap.store.tasks import load_task
from ocpi_nap.web.console.settings import GROUPS
from tests.web.conftest import Site

RECORD = {
    "name": "acme", "environment": "test", "versions_url": "http://127.0.0.1:9/versions", "token": "token-a-of-acme",
    "token_encoding": "raw", "country_code": "FI", "party_id": "ACM", "operators": "FI*ABC;Acme Charging;https://acme.example\nFI*ABD;Other",
}  # fmt: skip


def plain_settings(page: str) -> dict[str, str]:
    """The values of the settings as the page's form has them."""
    found = dict(re.findall(r'name="(set_\w+)"[^>]*? value="([^"]*)"', page))
    checked = set(re.findall(r'type="checkbox" name="(set_\w+)"[^>]* checked', page))
    chosen = re.findall(r'<select name="(set_\w+)".*?<option value="(\w+)" selected', page, re.DOTALL)
    boxes = set(re.findall(r'type="checkbox" name="(set_\w+)"', page))
    return {**{k: v for k, v in found.items() if k not in boxes or k in checked}, **dict(chosen)}


async def add_acme(site: Site, **values: str) -> None:
    page = (await site.client.get("/console/new-platform")).text
    answer = await site.form("/console/new-platform", "/console/new-platform", **{**plain_settings(page), **RECORD, **values})
    assert answer.status_code == 303, answer.text


async def connect(site: Site, name: str = "acme") -> int:
    """Make a platform look registered."""
    platform = await site.registry.platform(name)
    async with site.db.transaction() as conn:
        values = {"state": "registered", "version": "2.2.1", "outbound_c": site.registry.vault.seal("their-token-c"),
                  "endpoints": {"locations": "http://127.0.0.1:9/locations"}}  # fmt: skip
        await registry_sql.update_platform(conn, platform.id, values)
        await registry_sql.add_token(conn, platform.id, "B", "active", hash_token("token-b"))
    return platform.id


def test_every_setting_has_words() -> None:
    named = [name for group in GROUPS.values() for name in group]
    assert sorted(named) == sorted(field.name for field in msgspec.structs.fields(PlatformSettings))


async def test_a_platform_is_added_and_shown(site: Site) -> None:
    name = await site.sign_in("operator")
    await add_acme(site)
    listed = (await site.client.get("/console/platforms")).text
    assert "acme" in listed and "FI*ABC" in listed and "not registered" in listed
    page = (await site.client.get("/console/platforms/acme")).text.replace("<wbr>", "")
    assert "http://127.0.0.1:9/versions" in page and "Acme Charging" in page and "token-a-of-acme" not in page
    assert (name, "added platform", "acme") in await site.acts()
    assert (await site.client.get("/console/platforms/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("name", "two words", "One word"), ("versions_url", "ftp://x", "absolute"), ("token", "with space", "visible ASCII"),
     ("party_id", "A B", ""), ("operators", "nonsense", ""), ("set_page_size", "many", ""), ("set_page_size", "0", "at least 1")],
)  # fmt: skip
async def test_errors_stand_beside_their_field_and_nothing_is_lost(site: Site, field: str, value: str, words: str) -> None:
    await site.sign_in("operator")
    page = (await site.client.get("/console/new-platform")).text
    sent = {**plain_settings(page), **RECORD, "set_full_interval_minutes": "777", field: value}
    answer = await site.form("/console/new-platform", "/console/new-platform", **sent)
    assert answer.status_code == 422
    error = re.search(rf'id="e-{field}">.*?</svg>\s*(.*?)</p>', answer.text, re.DOTALL)
    assert error is not None and words in error[1], answer.text
    assert ('value="777"' in answer.text and "Acme Charging" in answer.text) or field == "operators"
    assert await site.registry.platforms() == []


async def test_all_that_is_wrong_is_told_at_once(site: Site) -> None:
    await site.sign_in("operator")
    page = (await site.client.get("/console/new-platform")).text
    wrong = {"name": "two words", "versions_url": "https://[x/", "token": "with space", "party_id": "A B", "operators": "nonsense\nFI*ABC;",
             "set_page_size": "0", "set_max_pages": "", "set_crawl_minutes": "-1"}  # fmt: skip
    sent = {**plain_settings(page), **RECORD, **wrong}
    answer = await site.form("/console/new-platform", "/console/new-platform", **sent)
    assert answer.status_code == 422
    assert set(re.findall(r'id="e-(\w+)"', answer.text)) == set(wrong)
    assert "One word without spaces or slashes is required." in answer.text
    for url in ("https://[x/", "https://x:port/", "ftp://x"):
        alone = await site.form("/console/new-platform", "/console/new-platform", **{**plain_settings(page), **RECORD, "versions_url": url})
        assert alone.status_code == 422 and 'id="e-versions_url"' in alone.text, url
    await add_acme(site)
    edit = "/console/platforms/acme/edit"
    values = {**plain_settings((await site.client.get(edit)).text), "versions_url": "", "operators": "", "set_page_size": "many"}
    changed = await site.form(edit, edit, token_encoding="raw", **values)
    assert changed.status_code == 422
    assert set(re.findall(r'id="e-(\w+)"', changed.text)) == {"versions_url", "operators", "set_page_size"}


async def test_the_second_of_two_editors_is_told(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site)
    edit = "/console/platforms/acme/edit"
    page = (await site.client.get(edit)).text
    csrf, version = (re.findall(rf'name="{name}" value="([^"]*)"', page)[0] for name in ("csrf", "version"))
    values = {**plain_settings(page), "versions_url": RECORD["versions_url"], "token_encoding": "raw", "csrf": csrf, "version": version}
    first = {**values, "operators": "FI*ABC;Acme Renamed", "set_page_size": "250"}
    assert (await site.client.post(edit, data=first)).status_code == 303
    platform = await site.registry.platform("acme")
    assert [o.name for o in platform.operators] == ["Acme Renamed"] and platform.settings.page_size == 250
    second = {**values, "operators": "FI*ABC;My own name", "set_page_size": "300"}
    told = await site.client.post(edit, data=second)
    assert told.status_code == 409 and "Somebody else changed" in told.text and "My own name" in told.text
    assert (await site.registry.platform("acme")).settings.page_size == 250
    again = {**second, "version": re.findall(r'name="version" value="(\d+)"', told.text)[0]}
    assert (await site.client.post(edit, data=again)).status_code == 303
    assert (await site.registry.platform("acme")).settings.page_size == 300


async def test_values_of_further_headers_are_not_shown(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site, set_extra_headers="X-Api-Key=very-secret")
    edit = "/console/platforms/acme/edit"
    page = (await site.client.get(edit)).text
    assert "very-secret" not in page and "X-Api-Key=(kept)" in page
    values = {**plain_settings(page), "versions_url": RECORD["versions_url"], "token_encoding": "raw", "operators": RECORD["operators"]}
    assert (await site.form(edit, edit, **values)).status_code == 303
    platform = await site.registry.platform("acme")
    assert site.registry.peer(platform, "t").extra_headers == {"X-Api-Key": "very-secret"}


async def test_registration_runs_as_a_task_and_says_how_it_failed(site: Site) -> None:
    name = await site.sign_in("operator")
    await add_acme(site)
    assert (await site.form("/console/platforms/acme", "/console/platforms/acme/register")).status_code == 303
    waiting = await site.client.get("/console/platforms/acme/task")
    assert "waits for its turn" in waiting.text and "x-poll" not in waiting.headers
    busy = await site.form("/console/platforms/acme", "/console/platforms/acme/register")
    assert busy.status_code == 409 and "under way" in busy.text
    await run_task(site.registry, 1)
    over = await site.client.get("/console/platforms/acme/task")
    assert over.headers["x-poll"] == "done" and "Asking http://127.0.0.1:9/versions" in over.text and "failed" in over.text
    page = (await site.client.get("/console/platforms/acme")).text
    assert "registration failed" in page and "Check the URL" in page
    assert (name, "started registration", "acme") in await site.acts()


async def test_a_pull_that_fails_says_so(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site)
    await connect(site)
    assert (await site.form("/console/platforms/acme", "/console/platforms/acme/pull", full="1")).status_code == 303
    await run_task(site.registry, 1)
    assert "incomplete" in (await site.client.get("/console/platforms/acme/task")).text
    page = (await site.client.get("/console/platforms/acme")).text
    assert "incomplete" in page
    assert "incomplete" in (await site.client.get("/console/platforms/acme/crawls")).text


async def test_acts_need_the_operator_role(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site)
    site.client.cookies.clear()
    await site.sign_in("viewer")
    page = (await site.client.get("/console/platforms/acme")).text
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    assert page.count("<form") == 1, "only the sign-out"
    for act in ("register", "rotate", "pull", "unregister", "pause", "issue-token", "withheld", "edit"):
        assert (await site.client.post(f"/console/platforms/acme/{act}", data={"csrf": csrf})).status_code == 403, act
    for path in ("/console/new-platform", "/console/platforms/acme/edit"):
        assert (await site.client.get(path)).status_code == 403


async def test_pause_and_token(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site)
    shown = await site.form("/console/platforms/acme", "/console/platforms/acme/issue-token")
    token = re.findall(r"<code>([^<]{20,})</code>", shown.text)[0]
    assert await site.db.fetch_one("SELECT 1 FROM token WHERE hash = %s AND kind = 'A'", (hash_token(token),))
    await connect(site)
    assert (await site.form("/console/platforms/acme", "/console/platforms/acme/pause", paused="1")).status_code == 303
    assert (await site.registry.platform("acme")).paused
    refused = await site.form("/console/platforms/acme", "/console/platforms/acme/rotate")
    assert refused.status_code == 303


async def test_test_becomes_production(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site, name="acme-test", set_page_size="42")
    page = (await site.client.get("/console/new-platform?of=acme-test")).text
    assert 'value="acme-production"' in page and 'value="42"' in page and "FI*ABC;Acme Charging" in page
    values = {**plain_settings(page), **RECORD, "name": "acme-production", "environment": "production"}
    answer = await site.form("/console/new-platform?of=acme-test", "/console/new-platform", **values)
    assert answer.status_code == 303
    assert {p.name: p.environment for p in await site.registry.platforms()} == {"acme-test": "test", "acme-production": "production"}


async def withholding(site: Site, platform_id: int, module: Module = "locations") -> int:
    """A complete full crawl that held something back."""
    crawl = await crawls.start_crawl(site.db, platform_id, module, "platform", True, datetime.now(UTC))
    names = ("pages", "objects", "new", "changed", "unchanged", "withdrawn", "refused", "ignored", "issues")
    await crawls.finish_crawl(site.db, crawl, {**dict.fromkeys(names, 1), "withheld": 55}, True, None, None)
    return crawl


async def test_withheld_withdrawals_are_decided(site: Site) -> None:
    name = await site.sign_in("operator")
    await add_acme(site)
    platform_id = await connect(site)
    await withholding(site, platform_id)
    await site.db.execute(
        "INSERT INTO location (platform_id, country_code, party_id, id_key, id, source_version, via, raw, doc, received_at, created_at,"
        " modified_at, publish) VALUES (%s, 'FI', 'ABC', 'l1', 'L1', '2.2.1', 'pull', '{}', '{}', now(), now(), now(), true)",
        (platform_id,),
    )
    key = (platform_id, "FI", "ABC", "l1")
    pk = (await crawls.known_objects(site.db, "locations", platform_id))[key].pk
    await crawls.mark_missed(site.db, "locations", [pk], datetime.now(UTC))
    assert "55 withheld" in (await site.client.get("/console/platforms")).text
    assert "55 locations would be withdrawn" in (await site.client.get("/console/platforms/acme")).text
    assert (await crawls.known_objects(site.db, "locations", platform_id))[key].missed
    assert (await site.form("/console/platforms/acme", "/console/platforms/acme/withheld")).status_code == 303
    assert "would be withdrawn" not in (await site.client.get("/console/platforms/acme")).text
    assert not (await crawls.known_objects(site.db, "locations", platform_id))[key].missed, "the next full pull holds it back again"
    assert (name, "refused withdrawals", "acme") in await site.acts()
    await withholding(site, platform_id)
    text = (await site.client.get("/console/platforms/acme")).text
    form = next(f for f in re.findall(r"<form.*?</form>", text, re.DOTALL) if "withdraw them" in f)
    answer = await site.client.post("/console/platforms/acme/pull", data=dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)))
    assert answer.status_code == 303
    task = await site.db.fetch_one("SELECT arguments FROM task")
    assert task is not None and task[0] == {"full": True, "confirm": True}


async def test_the_second_to_decide_on_withdrawals_is_told(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site)
    await withholding(site, await connect(site))
    seen = (await site.client.get("/console/platforms/acme")).text
    confirming = next(f for f in re.findall(r"<form.*?</form>", seen, re.DOTALL) if "withdraw them" in f)
    assert (await site.send(seen, "/console/platforms/acme/withheld")).status_code == 303
    for page, act in ((seen, "withheld"), (confirming, "pull")):
        late = await site.send(page, f"/console/platforms/acme/{act}")
        assert late.status_code == 409 and "decided meanwhile" in late.text, act
    assert await site.db.fetch_all("SELECT 1 FROM task") == []


async def test_a_task_whose_process_ended_is_done_anew_and_says_so(site: Site) -> None:
    await site.sign_in("operator")
    await add_acme(site)
    await connect(site)
    assert (await site.form("/console/platforms/acme", "/console/platforms/acme/pull", full="1")).status_code == 303
    await site.db.execute("UPDATE task SET state = 'running', started_at = now(), progress = '{\"tariffs\": {\"objects\": 1}}'")
    await run_task(site.registry, 1)
    told = (await site.client.get("/console/platforms/acme/task")).text
    assert "ended in the middle; it is done anew" in told and "incomplete" in told

    # What was over but for the last word is not done twice.
    for kind, state in (("register", "registered"), ("unregister", "unregistered")):
        await site.db.execute(
            "INSERT INTO task (platform_id, kind, arguments, asked_by, state) VALUES (1, %s, '{}', 'a', 'running')", (kind,)
        )
        await site.db.execute("UPDATE platform SET state = %s", (state,))
        row = await site.db.fetch_one("SELECT max(id) FROM task")
        assert row is not None
        await run_task(site.registry, row[0])
        task = await load_task(site.db, row[0])
        assert task is not None and task.state == "done" and task.lines[-1] == "It had been done already", task


async def test_contacts_and_pushes_are_counted(site: Site) -> None:
    await site.sign_in("viewer")
    record = onboarding.check(name="acme", versions_url="http://127.0.0.1:9/v", token=None, party_id="ACM", country_code="FI",
                              operators=["FI*ABC;Acme"])  # fmt: skip
    await site.registry.add(record)
    platform_id = await connect(site)
    counting = CountingAuthenticator(TokenAuthenticator(site.db, Hints(site.db, site.registry.vault)), site.db)
    for _ in range(7):
        assert await counting.authenticate(["token-b"], cached=True) is not None
    assert await counting.authenticate(["wrong"], cached=True) is None
    await counting.flush()
    await site.db.execute("UPDATE push_minute SET minute = minute - interval '1 minute'")
    page = (await site.client.get("/console/platforms/acme")).text
    assert re.search(r"<strong>7</strong> in all", page) and "<rect" in page
    assert "fresh" in (await site.client.get("/console/platforms")).text
    past = datetime.now(UTC) - timedelta(days=3)
    await site.db.execute("UPDATE platform_contact SET last_push = %s WHERE platform_id = %s", (past, platform_id))
    assert "stale" in (await site.client.get("/console/platforms")).text
    await count_operators(site.db)
    assert await site.db.fetch_one("SELECT locations, evses FROM operator_count") == (0, 0)
