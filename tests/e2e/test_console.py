"""A CPO applies, an operator approves, registers and watches the pull: in a real browser, against the simulator."""

from __future__ import annotations

import re

from playwright.async_api import expect

from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform
from tests.e2e.browser import accessible, chromium, needs_chromium, sign_in, watch
from tests.e2e.conftest import Nap

pytestmark = needs_chromium

OPERATOR = SimulatedOperator("SIM", "Simu Charging", "https://simu.example")
SPEC = PlatformSpec("simu", NetworkSpec("2.2.1", (OPERATOR,), 60, 200, 210, 20, 7), "FI", "SIM", "token-a-of-simu", "base64", 50, 20.0,
                    ("enums-unknown",))  # fmt: skip


async def account(nap: Nap, name: str, role: str) -> str:
    """Add an account; returns its password."""
    said = await nap.cli("user", "add", name, "--role", role)
    return re.findall(r"Password: (\S+)", said)[0]


async def test_from_the_request_to_the_data(nap: Nap) -> None:
    password = await account(nap, "maija", "operator")
    async with SimulatedPlatform(SPEC) as platform, chromium() as browser:
        # The CPO applies, and sees while typing that it works.
        cpo = await (await browser.new_context(locale="en-GB")).new_page()
        said = watch(cpo)
        await cpo.goto(f"{nap.url}/onboarding")
        await accessible(cpo)
        await cpo.get_by_role("button", name="Send the request").click()
        await expect(cpo.get_by_text("Nothing was sent yet")).to_be_visible()
        await accessible(cpo)
        await cpo.get_by_label("Company").fill("Simu Charging")
        await cpo.get_by_label("Contact person").fill("Matti")
        await cpo.get_by_label("Email").fill("ocpi@simu.example")
        await cpo.get_by_label("Party id of the platform").fill("SIM")
        await cpo.locator("[name=op0_party_id]").fill("SIM")
        await cpo.locator("[name=op0_name]").fill("Simu Charging")
        test = cpo.get_by_role("group", name="Test environment")
        await test.get_by_label("Versions URL").fill(platform.versions_url)
        await test.get_by_label("Token A").fill("not the token")
        await expect(test.get_by_text("refuses the token")).to_be_visible(timeout=20_000)
        await test.get_by_label("Token A").fill(SPEC.token_a)
        await expect(test.get_by_text("It works: the token is read in Base64")).to_be_visible(timeout=20_000)
        await cpo.get_by_role("button", name="Send the request").click()
        await expect(cpo.get_by_text("We have received your request")).to_be_visible()
        reference = re.findall(r"Request ([A-Z0-9]{4}-[A-Z0-9]{4})", await cpo.title())[0]
        await accessible(cpo)

        # The operator approves it.
        staff = await (await browser.new_context(locale="en-GB")).new_page()
        said_to_staff = watch(staff)
        await sign_in(staff, nap.url, "maija", password)
        await accessible(staff)
        await staff.get_by_role("link", name="Requests").click()
        await accessible(staff)
        await staff.get_by_role("link", name=reference).click()
        await accessible(staff)
        await staff.get_by_role("button", name="Approve").click()
        await staff.get_by_role("link", name="simu-charging-test").click()
        await accessible(staff)

        # Registers, and watches.
        await staff.get_by_role("button", name="Register", exact=True).click()
        task = staff.locator("#task")
        await expect(task.get_by_text("done")).to_be_visible(timeout=60_000)
        await expect(task.get_by_text("Token C works")).to_be_visible()
        await task.get_by_role("link", name="Show the platform as it is now").click()
        await expect(staff.locator(".heading").get_by_text("registered")).to_be_visible()
        await staff.get_by_role("button", name="Pull all").click()
        await expect(task.get_by_text("done")).to_be_visible(timeout=60_000)
        await expect(task.get_by_text("Locations: 60 of 60")).to_be_visible()
        await accessible(staff)
        await staff.reload()
        await expect(staff.get_by_role("region", name="Pulls").get_by_text("complete").first).to_be_visible()

        # What came is there to be looked at, live.
        await staff.get_by_role("link", name="Live").click()
        await expect(staff.get_by_role("region", name="Latest statuses").get_by_role("row").nth(1)).to_be_visible(timeout=30_000)
        await accessible(staff)
        await staff.get_by_role("region", name="Latest statuses").get_by_role("link").first.click()
        await expect(staff.get_by_role("heading", name="What the public reads")).to_be_visible()
        await accessible(staff)
        for form in ("datex2-3.6.json", "datex2-3.7.xml"):
            await staff.get_by_label("Publication").select_option(form)
            await staff.wait_for_url(f"**form={form}")
            await expect(staff.get_by_label("What the public reads")).to_contain_text("nergyInfrastructureStation")
        await accessible(staff)

        # What OCPI cannot say is added by hand, and from a file.
        await staff.get_by_role("navigation", name="Console").get_by_role("link", name="Operators").click()
        await staff.get_by_role("link", name="Simu Charging").click()
        await staff.get_by_label("Legal name").fill("Simu Charging Oy")
        await staff.get_by_label("Helpdesk phone").fill("09 123456")
        await staff.get_by_role("button", name="Save").click()
        await expect(staff.get_by_text("A number as in +358 9123456 is required")).to_be_visible()
        await accessible(staff)
        await staff.get_by_label("Helpdesk phone").fill("+358 9123456")
        await staff.get_by_label("Source of what you change").fill("their letter")
        await staff.get_by_role("button", name="Save").click()
        await expect(staff.get_by_text("Said by maija").first).to_contain_text("from their letter")
        await accessible(staff)
        await staff.get_by_role("navigation", name="Console").get_by_role("link", name="Operators").click()
        await staff.get_by_role("link", name="Import facts").click()
        async with staff.expect_download() as downloading:
            await staff.get_by_role("link", name="Template").click()
        lines = (await (await downloading.value).path()).read_text().splitlines()
        assert lines[0].startswith("operator,location,legal_name,") and lines[1].startswith("FI*SIM,")
        for cell, answer in (("perhaps", "line 2, column toilet"), ("yes", "1 facts changed, of 1 in the file")):
            text = f"operator,toilet\nFI*SIM,{cell}\n"
            await staff.get_by_label("File").set_input_files({"name": "facts.csv", "mimeType": "text/csv", "buffer": text.encode()})
            await staff.get_by_role("button", name="Import").click()
            await expect(staff.get_by_text(answer)).to_be_visible()
            await accessible(staff)
        for name in ("Operators", "Issues", "Inspector", "Audit log"):
            await staff.get_by_role("navigation", name="Console").get_by_role("link", name=name).click()
            await expect(staff.get_by_role("heading", name=name, level=1)).to_be_visible()
            await accessible(staff)
            if name == "Issues":
                await expect(staff.get_by_role("region", name="Issues by platform and rule")).to_be_visible()

        # An act that ends something asks first.
        await staff.goto(f"{nap.url}/console/platforms/simu-charging-test")
        await staff.get_by_role("button", name="Unregister").click()
        await staff.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await expect(staff.locator(".heading").get_by_text("registered")).to_be_visible()
        await staff.get_by_role("button", name="Unregister").click()
        await staff.get_by_role("dialog").get_by_role("button", name="Unregister").click()
        await expect(task.get_by_text("done")).to_be_visible(timeout=60_000)

        # The CPO reads on its status page what became of the request.
        await cpo.reload()
        await expect(cpo.get_by_text("Your request is approved")).to_be_visible()
        assert not [text for text in said + said_to_staff if "422" not in text]


async def test_on_a_telephone(nap: Nap) -> None:
    """Nothing is wider than a narrow screen, in light and dark."""
    password = await account(nap, "maija", "admin")
    await nap.cli("platform", "add", "telephone", "--versions-url", "http://127.0.0.1:9/versions", "--token", "t", "--party-id", "TEL",
                  "--country-code", "FI", "--environment", "test", "--operator", "FI*TEL;Tel")  # fmt: skip
    await nap.cli("register", "set", "FI*TEL", "legal_name=Tel Oy", "toilet=yes", "--by", "Maija M.", "--source", "letter " + "x" * 150)
    async with chromium() as browser:
        for scheme in ("light", "dark"):
            context = await browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="en-GB")  # type: ignore[arg-type]
            page = await context.new_page()
            await page.goto(nap.url)
            await accessible(page)
            await sign_in(page, nap.url, "maija", password)
            for path in ("/", "/onboarding", "/console/platforms", "/console/new-platform", "/console/issues", "/console/account",
                         "/console/operators/import", "/console/operators/FI*TEL", "/console/accounts", "/console/new-account"):
                await page.goto(nap.url + path)
                wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, path
                await accessible(page)
