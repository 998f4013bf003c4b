"""Accounts in the console: an admin adds, changes and keeps out; nobody else does, and nobody themselves."""

from __future__ import annotations

import html
import re

import httpx2
import pytest

from ocpi_nap.store import accounts as sql
from ocpi_nap.store.accounts import Account
from tests.web.conftest import PASSWORD, QUICK, Site


async def known(site: Site, name: str) -> Account:
    account = await sql.account_by_name(site.db, name)
    assert account is not None
    return account


def password_on(page: httpx2.Response) -> str:
    return html.unescape(re.findall(r"<code>([^<]+)</code>", page.text)[0])


async def sign_in_as(site: Site, name: str, password: str) -> int:
    site.client.cookies.clear()
    return (await site.form("/console/sign-in", "/console/sign-in", name=name, password=password)).status_code


async def test_an_account_is_added_and_signs_in(site: Site) -> None:
    admin = await site.sign_in("admin")
    added = await site.form("/console/new-account", "/console/new-account", name="Maija M.", role="operator")
    assert added.status_code == 200 and "shown this once" in added.text and added.headers["cache-control"] == "no-store"
    listed = (await site.client.get("/console/accounts")).text
    assert "Maija M." in listed and "(you)" in listed and password_on(added) not in listed
    assert (admin, "added account", "Maija M.") in await site.acts()
    assert await sign_in_as(site, "maija m.", password_on(added)) == 303
    assert (await site.client.get("/console/audit")).status_code == 200


@pytest.mark.parametrize(("name", "role", "words"), [
    ("", "viewer", "1 to 100 visible"), ("x" * 101, "viewer", "1 to 100 visible"), ("THE ADMIN", "viewer", "of this name already"),
    ("new", "king", "One of the three"),
])  # fmt: skip
async def test_what_cannot_be_added(site: Site, name: str, role: str, words: str) -> None:
    await site.sign_in("admin")
    answer = await site.form("/console/new-account", "/console/new-account", name=name, role=role)
    assert answer.status_code == 422 and words in answer.text
    assert len(await sql.accounts(site.db)) == 1


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_for_admins_only(site: Site, role: sql.Role) -> None:
    await site.sign_in(role)
    own = await known(site, f"the {role}")
    page = (await site.client.get("/console/account")).text
    assert "/console/accounts" not in page
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    for path in ("/console/accounts", "/console/new-account", f"/console/accounts/{own.id}"):
        assert (await site.client.get(path)).status_code == 403, path
    forms = {
        "/console/new-account": {"name": "x", "role": "admin"},
        f"/console/accounts/{own.id}": {"role": "admin", "seen_role": role, "allowed": "1", "seen_allowed": "1"},
        f"/console/accounts/{own.id}/password": {},
    }
    for path, values in forms.items():
        assert (await site.client.post(path, data={"csrf": csrf, **values})).status_code == 403, path
    assert await sql.accounts(site.db) == [await known(site, f"the {role}")] and (await known(site, f"the {role}")).role == role


async def test_another_role_and_out(site: Site) -> None:
    await sql.add_account(site.db, "maija", "viewer", QUICK)
    assert await sign_in_as(site, "maija", PASSWORD) == 303
    hers = dict(site.client.cookies)
    site.client.cookies.clear()
    admin = await site.sign_in("admin")
    mine = dict(site.client.cookies)
    path = f"/console/accounts/{(await known(site, 'maija')).id}"
    assert (await site.form(path, path, role="operator", allowed="1")).status_code == 303
    site.client.cookies.clear()
    site.client.cookies.update(hers)
    assert (await site.client.get("/console/audit")).status_code == 200, "the new role counts at once"
    site.client.cookies.clear()
    site.client.cookies.update(mine)
    assert (await site.form(path, path, role="operator")).status_code == 303
    assert "kept out" in (await site.client.get("/console/accounts")).text
    assert await sign_in_as(site, "maija", PASSWORD) == 403
    site.client.cookies.update(hers)
    assert (await site.client.get("/console/account")).status_code == 303
    site.client.cookies.clear()
    site.client.cookies.update(mine)
    assert (await site.form(path, path, role="operator", allowed="1")).status_code == 303
    acts = [(what, whom) for who, what, whom in await site.acts() if who == admin]
    assert acts[1:] == [("changed role", "maija"), ("disabled account", "maija"), ("enabled account", "maija")]
    assert await sign_in_as(site, "maija", PASSWORD) == 303


async def test_a_new_password_ends_all_of_the_old(site: Site) -> None:
    await sql.add_account(site.db, "maija", "viewer", QUICK)
    maija = await known(site, "maija")
    await sql.change_account(site.db, maija.id, {"totp_secret": site.registry.vault.seal("A" * 32)}, end_sessions=False)
    admin = await site.sign_in("admin")
    path = f"/console/accounts/{maija.id}"
    answer = await site.form(path, f"{path}/password")
    assert answer.status_code == 200 and "shown this once" in answer.text and "second factor is taken off" in answer.text
    assert (admin, "gave a new password", "maija") in await site.acts()
    assert await sign_in_as(site, "maija", PASSWORD) == 403
    assert await sign_in_as(site, "maija", password_on(answer)) == 303
    assert (await site.client.get("/console/account")).status_code == 200, "no code is asked for"


async def test_the_second_of_two_admins_is_told(site: Site) -> None:
    await sql.add_account(site.db, "maija", "viewer", QUICK)
    await site.sign_in("admin")
    path = f"/console/accounts/{(await known(site, 'maija')).id}"
    opened = (await site.client.get(path)).text
    assert (await site.form(path, path, role="admin", allowed="1")).status_code == 303
    second = await site.send(opened, path, role="operator")
    assert second.status_code == 409 and "Somebody else changed" in second.text and "It is admin now" in second.text
    assert re.search(r'<option value="operator" selected', second.text) and not re.search(r'name="allowed"[^>]* checked', second.text)
    assert (await known(site, "maija")).role == "admin"
    assert (await site.send(second.text, path, role="operator")).status_code == 303
    held = await known(site, "maija")
    assert (held.role, held.disabled) == ("operator", True)


async def test_nobody_changes_themselves(site: Site) -> None:
    """So an admin is always left."""
    name = await site.sign_in("admin")
    path = f"/console/accounts/{(await known(site, name)).id}"
    page = (await site.client.get(path)).text
    assert "your own account" in page and f'action="{path}' not in page
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    for target, values in ((path, {"role": "viewer", "seen_role": "admin", "seen_allowed": "1"}), (f"{path}/password", {})):
        refused = await site.client.post(target, data={"csrf": csrf, **values})
        assert refused.status_code == 403 and "another admin" in refused.text
    assert (await known(site, name)).role == "admin" and (await site.client.get("/console/accounts")).status_code == 200


async def test_an_account_of_the_sign_in_service(site: Site) -> None:
    """Its role is the service's to give, and it has no password; it can be kept out here."""
    account = await sql.account_of_subject(site.db, "https://issuer.example 1", "maija", "operator")
    await site.sign_in("admin")
    path = f"/console/accounts/{account.id}"
    page = (await site.client.get(path)).text
    assert "comes from the sign-in service" in page and f"{path}/password" not in page
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    assert (await site.client.post(f"{path}/password", data={"csrf": csrf})).status_code == 409
    assert (await site.form(path, path, role="admin")).status_code == 303
    held = await known(site, "maija")
    assert (held.role, held.disabled, held.password_hash) == ("operator", True, None)


async def test_what_is_not_there(site: Site) -> None:
    await site.sign_in("admin")
    assert (await site.client.get("/console/accounts/4711")).status_code == 404
    assert (await site.client.get("/console/accounts/maija")).status_code == 404
