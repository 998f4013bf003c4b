"""Pictures of every page, at 1280 and 390 pixels, light and dark: `make screenshots` writes them into build/screenshots."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec, SimulatedPlatform
from tests.e2e.browser import chromium, needs_chromium, sign_in
from tests.e2e.conftest import Nap
from tests.e2e.test_console import account

pytestmark = needs_chromium

FOLDER = Path(os.environ.get("SCREENSHOTS", "build/screenshots"))
_A = SimulatedOperator("KAL", "Kaleva Lataus", "https://kaleva.example")
_B = SimulatedOperator("SUO", "Suomu Pikalataus", "https://suomu.example")
_C = SimulatedOperator("LAP", "Lappi Lataus", "https://lappi.example")
SPECS = (
    PlatformSpec("kaleva", NetworkSpec("2.2.1", (_A,), 120, 400, 420, 20, 7), "FI", "KLV", "kaleva-token", "base64", 100, 8.0),
    PlatformSpec("suomu", NetworkSpec("2.3.0", (_B,), 80, 250, 260, 20, 8), "FI", "SUO", "suomu-token", "base64", 100, 8.0,
                 ("enums-unknown", "coordinates-zero", "standard-unknown")),
    PlatformSpec("lappi", NetworkSpec("2.2.1", (_C,), 5, 10, 10, 2, 9), "FI", "LAP", "lappi-token", "base64", 100, 1.0, ("relative-urls",)),
)
PAGES = {
    "onboarding": "/onboarding", "missing": "/console-is-not-here/", "platforms": "/console/platforms",
    "platform": "/console/platforms/kaleva", "platform-failed": "/console/platforms/pohjola", "crawls": "/console/platforms/kaleva/crawls",
    "record": "/console/platforms/kaleva/edit",
    "new-platform": "/console/new-platform", "requests": "/console/requests", "request": "/console/requests/1",
    "operators": "/console/operators", "register": "/console/operators/FI*KAL", "register-import": "/console/operators/import",
    "register-location": "/console/operators/FI*KAL?location=KAL-00001",
    "issues": "/console/issues", "issue-records": "/console/issues/records?platform=kaleva",
    "inspector": "/console/inspector?q=nothing", "object": "/console/inspector/location/1",
    "object-datex2": "/console/inspector/location/1?form=datex2-3.6.xml", "live": "/console/live",
    "account": "/console/account", "audit": "/console/audit", "accounts": "/console/accounts", "new-account": "/console/new-account",
    "account-record": "/console/accounts/2",
}  # fmt: skip


MAPS = {
    "map": "/", "map-town": "/?at=60.1899,24.9384,10.4", "map-filters": "/?connector=ccs&power=50&free=1",
    "map-near": "/?at=60.45,22.6,9", "map-location": "/?loc=FI*KAL*KAL-00001", "map-location-fi": "/?loc=FI*KAL*KAL-00003&lang=fi",
    "map-gone": "/?loc=FI*KAL*nowhere&lang=sv",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder() -> None:
    """Where the pictures go."""
    FOLDER.mkdir(parents=True, exist_ok=True)


async def connect(nap: Nap, platform: SimulatedPlatform, environment: str) -> None:
    """Onboard, register and pull a simulated platform by command."""
    spec = platform.spec
    operators = [part for o in spec.network.operators for part in ("--operator", f"FI*{o.party_id};{o.name};{o.url}")]
    await nap.cli(
        "platform", "add", spec.name, "--versions-url", platform.versions_url, "--token", spec.token_a, "--party-id", spec.party_id,
        "--country-code", "FI", "--environment", environment, *operators,
    )  # fmt: skip
    await nap.cli("platform", "register", spec.name)
    await nap.cli("platform", "pull", spec.name, "--full")


async def apply(page: Page, nap: Nap, url: str) -> None:
    """Send a request."""
    await page.goto(f"{nap.url}/onboarding")
    values = {"company": "Lappi Energia Oy", "contact": "Aino Mäkelä", "email": "ocpi@lappi.example", "party_id": "LAP",
              "op0_party_id": "LAP", "op0_name": "Lappi Lataus", "op0_url": "https://lappi.example", "test_versions_url": url,
              "test_token": SPECS[2].token_a, "message": "Our test platform is reset every night."}  # fmt: skip
    for name, value in values.items():
        await page.locator(f"[name={name}]").fill(value)
    await page.locator("#check-test .notice").wait_for(timeout=30_000)
    await shoot(page, "onboarding-checked")
    await page.get_by_role("button", name="Send the request").click()
    await page.get_by_text("We have received your request").wait_for()
    await shoot(page, "onboarding-status")


async def shoot_errors(page: Page, nap: Nap) -> None:
    """Forms with all that can be wrong in them."""
    await page.goto(f"{nap.url}/onboarding")
    await page.get_by_role("button", name="Send the request").click()
    await page.get_by_text("Nothing was sent yet").wait_for()
    await shoot(page, "onboarding-errors")
    await page.goto(f"{nap.url}/console/new-platform")
    await page.locator("form.record").evaluate("form => { form.noValidate = true; }")
    for name, value in {"name": "two words", "versions_url": "cpo.example", "token": "with space", "operators": "Lappi Lataus"}.items():
        await page.locator(f"[name={name}]").fill(value)
    await page.get_by_role("button", name="Add the platform").click()
    await page.get_by_text("Nothing was saved").wait_for()
    await shoot(page, "new-platform-errors")
    await page.goto(f"{nap.url}/console/account")
    await page.get_by_role("button", name="Set up").click()
    await page.get_by_text("Scan this").wait_for()
    await shoot(page, "account-code")


async def shoot(page: Page, name: str) -> None:
    """One page at both widths, light and dark."""
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 900 if width > 1000 else 844})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png", full_page=True)
    await page.set_viewport_size({"width": 1280, "height": 900})


async def shoot_map(browser: Browser, url: str, name: str) -> None:
    """The map at both widths, light and dark, when it is drawn."""
    for width, height in ((1280, 900), (390, 844)):
        for scheme in ("light", "dark"):
            context = await browser.new_context(
                locale="en-GB", viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"  # type: ignore[arg-type]
            )
            page = await context.new_page()
            await page.goto(url)
            await page.locator("#map[data-ready]").wait_for(timeout=60_000)
            await page.locator("#list[aria-busy=false]").wait_for(state="attached")
            await page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png")
            await context.close()


async def test_pictures(nap: Nap) -> None:
    """Fill a NAP with a little of everything, and take them."""
    password = await account(nap, "maija", "admin")
    await account(nap, "antti", "operator")
    async with AsyncExitStack() as stack:
        platforms = [await stack.enter_async_context(SimulatedPlatform(spec)) for spec in SPECS]
        browser = await stack.enter_async_context(chromium())
        await asyncio.gather(connect(nap, platforms[0], "production"), connect(nap, platforms[1], "test"))
        await nap.cli("platform", "add", "pohjola", "--versions-url", "http://127.0.0.1:9/ocpi/versions", "--token", "t", "--party-id",
                      "POH", "--country-code", "FI", "--environment", "test", "--operator", "FI*POH;Pohjola Lataus")  # fmt: skip
        await nap.cli("platform", "register", "pohjola", status=1)
        await nap.cli("register", "set", "FI*KAL", "legal_name=Kaleva Lataus Oy", "helpdesk_phone=+358 9123456", "payment_means=emv|qrCode",
                      "toilet=no", "--by", "Maija M.", "--source", "form of 2 March")  # fmt: skip
        await nap.cli("register", "set", "FI*KAL", "toilet=yes", "--location", "KAL-00001", "--by", "Maija M.", "--source", "photograph")
        page = await (await browser.new_context(locale="en-GB", timezone_id="Europe/Helsinki", reduced_motion="reduce")).new_page()
        await apply(page, nap, platforms[2].versions_url)
        await page.goto(f"{nap.url}/console")
        await shoot(page, "sign-in")
        await sign_in(page, nap.url, "maija", password)
        for name, path in PAGES.items():
            await page.goto(nap.url + path)
            await shoot(page, name)
        await shoot_errors(page, nap)
        await page.goto(f"{nap.url}/console/platforms/pohjola/edit")
        await page.context.clear_cookies()
        await page.get_by_role("button", name="Save").click()
        await page.get_by_text("signed out").wait_for()
        await shoot(page, "signed-out")
        for name, path in MAPS.items():
            await shoot_map(browser, nap.url + path, name)
