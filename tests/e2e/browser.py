"""A real browser: Debian's Chromium driven by Playwright, with accessibility checks by axe."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium")
WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
"""The map is drawn in software: no machine needs a graphics card."""
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, without its sandbox only where root would not be let have one."""
    async with async_playwright() as playwright:
        arguments = [*WEBGL, "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        await browser.close()


def watch(page: Page) -> list[str]:
    """What the page complains about in the console: errors of scripts, and what the content policy refused."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


async def accessible(page: Page) -> None:
    """No serious finding of axe on the page as it is now."""
    found = await Axe().run(page)
    serious = [
        f"{violation['id']}: {violation['help']}: {[node['html'][:200] for node in violation['nodes'][:3]]}"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert not serious, f"{page.url}: {serious}"


async def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """Through the form."""
    await page.goto(f"{url}/console")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Platforms").wait_for()
