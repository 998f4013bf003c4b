"""Signing in: passwords, roles, form tokens, throttling, the second factor, and the log of it all."""

from __future__ import annotations

import re
import time

import pyotp
import pytest

from ocpi_nap.feed.limits import read_networks
from ocpi_nap.store import accounts as sql
from ocpi_nap.web import passwords
from ocpi_nap.web.context import SiteOptions
from tests.web.conftest import PASSWORD, QUICK, Site


async def test_a_page_asks_to_sign_in_and_comes_back(site: Site) -> None:
    await sql.add_account(site.db, "Maija", "viewer", QUICK)
    asked = await site.client.get("/console/account?done=code")
    assert asked.status_code == 303 and asked.headers["location"].startswith("/console/sign-in?next=")
    answer = await site.form(asked.headers["location"], "/console/sign-in", name="maija", password=PASSWORD)
    assert answer.headers["location"] == "/console/account?done=code"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    page = await site.client.get("/console/account")
    assert page.status_code == 200 and "Maija" in page.text and page.headers["cache-control"] == "no-store"


async def test_sign_out_ends_the_session_for_good(site: Site) -> None:
    await site.sign_in()
    cookies = dict(site.client.cookies)
    assert (await site.form("/console/account", "/console/sign-out")).status_code == 303
    site.client.cookies.update(cookies)
    assert (await site.client.get("/console/account")).status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/console//evil.example", "/console/\\evil.example"])
async def test_no_other_site_is_gone_to(site: Site, target: str) -> None:
    await sql.add_account(site.db, "a", "viewer", QUICK)
    answer = await site.form("/console/sign-in", "/console/sign-in", name="a", password=PASSWORD, next=target)
    assert answer.headers["location"] == "/console/platforms"


async def test_wrong_names_and_passwords_look_alike_and_are_limited(site: Site) -> None:
    await sql.add_account(site.db, "a", "viewer", QUICK)
    texts = set()
    for name in ("a", "nobody"):
        answer = await site.form("/console/sign-in", "/console/sign-in", name=name, password="wrong")
        assert answer.status_code == 403
        texts.add(answer.text.replace(f'value="{name}"', ""))
    assert len(texts) == 1
    for _ in range(4):
        await site.form("/console/sign-in", "/console/sign-in", name="a", password="wrong")
    answer = await site.form("/console/sign-in", "/console/sign-in", name="a", password=PASSWORD)
    assert answer.status_code == 429 and "Too many attempts" in answer.text
    assert ("a", "sign-in refused", "wrong name or password") in await site.acts()


@pytest.mark.parametrize("options", [SiteOptions(public_url="http://nap.example", trusted_proxies=read_networks("192.0.2.1"))])
async def test_behind_a_proxy_each_visitor_counts_alone(site: Site) -> None:
    """By the address that the proxy tells: thirty wrong passwords of one keep nobody else out, and it stands in the audit log."""
    await sql.add_account(site.db, "a", "viewer", QUICK)
    page = (await site.client.get("/console/sign-in")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]

    async def try_from(address: str, name: str, password: str) -> int:
        data = {"csrf": csrf, "name": name, "password": password}
        return (await site.client.post("/console/sign-in", data=data, headers={"x-forwarded-for": address})).status_code

    assert [await try_from("198.51.100.7", f"n{number}", "wrong") for number in range(31)] == [403] * 30 + [429]
    assert await try_from("198.51.100.8", "a", PASSWORD) == 303
    assert {row[5] for row in await sql.audit_page(site.db, None, None, 100)} == {"198.51.100.7", "198.51.100.8"}


async def test_a_disabled_account_is_out_at_once(site: Site) -> None:
    name = await site.sign_in("operator")
    account = await sql.account_by_name(site.db, name)
    assert account is not None
    await sql.change_account(site.db, account.id, {"disabled": True}, end_sessions=False)
    assert (await site.client.get("/console/account")).status_code == 303
    answer = await site.form("/console/sign-in", "/console/sign-in", name=name, password=PASSWORD)
    assert answer.status_code == 403


async def test_forms_of_others_are_refused(site: Site) -> None:
    await site.sign_in()
    for data, headers in (({}, {}), ({"csrf": "x"}, {})):
        assert (await site.client.post("/console/sign-out", data=data, headers=headers)).status_code == 403
    page = (await site.client.get("/console/account")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    foreign = await site.client.post("/console/sign-out", data={"csrf": csrf}, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await site.client.get("/console/account")).status_code == 200


async def test_a_role_opens_only_its_own(site: Site) -> None:
    await site.sign_in("viewer")
    answer = await site.client.get("/console/audit")
    assert answer.status_code == 403 and "operator" in answer.text
    assert "/console/audit" not in (await site.client.get("/console/account")).text


async def test_the_audit_log_tells_who_what_and_where(site: Site) -> None:
    name = await site.sign_in("operator")
    page = (await site.client.get("/console/audit")).text
    assert name in page and "signed in" in page and "192.0.2.1" in page


async def test_a_new_password_ends_other_sessions(site: Site) -> None:
    name = await site.sign_in()
    other = dict(site.client.cookies)
    site.client.cookies.clear()
    await site.sign_in(name=name)
    wrong = await site.form("/console/account", "/console/account/password", password="no", new_password="short", again="")
    assert wrong.status_code == 422 and "not your password" in wrong.text and "At least 12" in wrong.text
    new = "a much longer password"
    done = await site.form("/console/account", "/console/account/password", password=PASSWORD, new_password=new, again=new)
    assert done.status_code == 303
    assert (await site.client.get("/console/account")).status_code == 200
    site.client.cookies.clear()
    site.client.cookies.update(other)
    assert (await site.client.get("/console/account")).status_code == 303


async def test_the_second_factor(site: Site) -> None:
    name = await site.sign_in()
    setup = (await site.form("/console/account", "/console/account/code/new")).text
    secret = re.findall(r'name="secret" value="(\w{32})"', setup)[0]
    csrf = re.findall(r'name="csrf" value="([^"]+)"', setup)[0]
    assert "<svg" in setup
    wrong = await site.client.post("/console/account/code", data={"csrf": csrf, "secret": secret, "code": "123"})
    assert wrong.status_code == 422
    code = pyotp.TOTP(secret).now()
    assert (await site.client.post("/console/account/code", data={"csrf": csrf, "secret": secret, "code": code})).status_code == 303
    await site.form("/console/account", "/console/sign-out")

    half = await site.form("/console/sign-in", "/console/sign-in", name=name, password=PASSWORD)
    assert half.headers["location"] == "/console/sign-in/code?next=/console/platforms"
    assert (await site.client.get("/console/account")).status_code == 303, "the password alone opens nothing"
    assert (await site.form("/console/sign-in/code", "/console/sign-in/code", code="000000")).status_code == 403
    code = pyotp.TOTP(secret).now()
    assert (await site.form("/console/sign-in/code", "/console/sign-in/code", code=code)).status_code == 303
    assert (await site.client.get("/console/account")).status_code == 200

    site.client.cookies.clear()
    await site.form("/console/sign-in", "/console/sign-in", name=name, password=PASSWORD)
    again = await site.form("/console/sign-in/code", "/console/sign-in/code", code=code)
    assert again.status_code == 403, "no code works twice"
    assert 'id="e-code"' in again.text
    site.client.cookies.clear()
    asked = (await site.client.get("/console/issues?kind=refused")).headers["location"]
    half = await site.form(asked, "/console/sign-in", name=name, password=PASSWORD)
    later = pyotp.TOTP(secret).at(int(time.time()) + 30)
    done = await site.form(half.headers["location"], "/console/sign-in/code", code=later)
    assert done.headers["location"] == "/console/issues?kind=refused", "the page that was asked for"


async def test_without_any_account_the_page_says_how_to_make_one(site: Site) -> None:
    assert "user add NAME --role admin" in (await site.client.get("/console/sign-in")).text
    await site.sign_in()
    site.client.cookies.clear()
    assert "user add" not in (await site.client.get("/console/sign-in")).text


async def test_what_was_filled_in_outlives_the_session(site: Site) -> None:
    """Whoever is signed out while filling in a form signs in elsewhere and sends it; another site's form gets nothing kept."""
    from tests.web.test_platforms import RECORD, plain_settings

    action = "/console/new-platform"
    name = await site.sign_in("operator")
    page = (await site.client.get(action)).text
    entries = {**plain_settings(page), **RECORD, "operators": "FI*ABC;Acme & <Sons>\nFI*ABD;Other"}
    await site.db.execute("DELETE FROM console_session")
    out = await site.send(page, action, **entries)
    assert out.status_code == 401 and "signed out" in out.text and "<Sons>" not in out.text
    still_out = await site.send(out.text, action)
    assert still_out.status_code == 401 and "signed out" in still_out.text
    await site.form("/console/sign-in", "/console/sign-in", name=name, password=PASSWORD)
    kept = await site.send(still_out.text, action)
    assert kept.status_code == 409 and f"Send as {name}" in kept.text and await site.registry.platforms() == []
    assert (await site.send(kept.text, action)).status_code == 303
    platform = await site.registry.platform("acme")
    assert [o.name for o in platform.operators] == ["Acme & <Sons>", "Other"]
    assert await site.registry.outbound(platform, "a") == RECORD["token"]

    password = await site.send(page, "/console/sign-out", password="secret of mine", csrf="old")
    assert password.status_code == 409 and "secret of mine" not in password.text
    foreign = await site.client.post(action, data={**entries, "csrf": "x"}, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403 and "Acme" not in foreign.text


class TestHttps:
    """Cookies where browsers come over https."""

    @pytest.fixture
    def options(self) -> SiteOptions:
        return SiteOptions(public_url="https://nap.example")

    async def test_cookies_are_secure(self, site: Site) -> None:
        page = await site.client.get("/console/sign-in")
        assert "secure" in page.headers["set-cookie"].lower() and "strict-transport-security" in page.headers
        await sql.add_account(site.db, "a", "viewer", QUICK)
        token = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
        headers = {"cookie": f"form={token}"}
        data = {"csrf": token, "name": "a", "password": PASSWORD}
        answer = await site.client.post("/console/sign-in", data=data, headers=headers)
        assert answer.headers["set-cookie"].startswith("__Host-session=") and "Secure" in answer.headers["set-cookie"]


async def test_passwords_are_argon2id() -> None:
    stored = passwords.hash_password("some password")
    assert stored.startswith("$argon2id$")
    assert await passwords.matches(stored, "some password") and not await passwords.matches(stored, "another")
    assert not await passwords.matches(None, "anything") and not await passwords.matches("broken", "x")
    assert len(passwords.generate()) >= passwords.LEAST
