"""A user of the map in a real browser: filters, searches, opens a location, and sees its status change."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page, Request, expect

from ocpi_nap.web.map.live import Live
from tests.e2e.browser import accessible, chromium, needs_chromium
from tests.e2e.cpo import tariff
from tests.interface import Ocpi
from tests.web.conftest import Site
from tests.web.mapping import Cpo, evse, place, up_to_date

pytestmark = [needs_chromium, pytest.mark.timeout(300)]
PATIENCE = 30_000


@dataclass
class Nap:
    """Where the site is served."""

    url: str


@pytest.fixture
async def nap(site: Site, cpo: Cpo) -> AsyncIterator[Nap]:
    """The site over HTTP, following the database."""
    server = uvicorn.Server(uvicorn.Config(site.app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1))
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        live: Live = site.app.state.map.live
        await up_to_date(live)
        tasks = [asyncio.create_task(server.serve([own])), asyncio.create_task(live.run())]
        yield Nap(f"http://127.0.0.1:{own.getsockname()[1]}")
        live.close()
        server.should_exit = True
        await asyncio.gather(*tasks)


@pytest.fixture
async def cpo(ocpi: Ocpi) -> Cpo:
    """Thirty locations in Helsinki, Turku and Äänekoski."""
    made = Cpo(ocpi, await ocpi.platform("2.2.1"))
    await made.put(tariff("2.2.1"), "tariffs")
    fast = ("IEC_62196_T2_COMBO", 150_000)
    for number in range(30):
        latitude, longitude = 60.45 + number % 6 * 0.004, 22.27 + number // 6 * 0.008
        spot = {"latitude": f"{latitude:.5f}", "longitude": f"{longitude:.5f}"}
        await made.put(place(f"T{number}", evse(100 + number, ("AVAILABLE", "CHARGING", "OUTOFORDER")[number % 3]), coordinates=spot))
    await made.put(place("L1", evse(1, "CHARGING", fast), evse(2, "CHARGING", fast), name="Kauppatori"))
    await made.put(place("L3", evse(3), name="Äänekosken asema"))
    return made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


class Visitor:
    """A page with what it asked for and what it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.tiles: list[str] = []
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, request: Request) -> None:
        if "/map/tiles/" in request.url:
            self.tiles.append(request.url)
        if not request.url.startswith("http://127.0.0.1:"):
            self.foreign.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 404" not in message.text:
            self.complaints.append(message.text)

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await self.page.wait_for_selector("#map[data-ready]", timeout=PATIENCE)

    async def until(self, condition: str) -> None:
        """Wait inside the page (Playwright's own waiting needs eval, which the page's policy forbids)."""
        wait = f"async () => {{ while (!({condition})) await new Promise((go) => requestAnimationFrame(go)); }}"
        await asyncio.wait_for(self.page.evaluate(wait), PATIENCE / 1000)

    async def states(self) -> list[int]:
        """States of the single locations that are drawn, as their colours are: changes first, then the tile."""
        found: list[int] = await self.page.evaluate(
            """() => nap.map.queryRenderedFeatures({ layers: ["spots"] }).map((f) => f.state.state ?? f.properties.state)"""
        )
        return found


async def visitor(browser: Browser, **options: object) -> Visitor:
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options})  # type: ignore[arg-type]
    return Visitor(await context.new_page())


async def test_filter_search_open_and_watch(browser: Browser, nap: Nap, cpo: Cpo) -> None:
    user = await visitor(browser)
    page = user.page
    await user.open(nap.url + "/")
    await expect(page.locator("#list .count")).to_have_text("32 locations on the map", timeout=PATIENCE)

    await page.get_by_text("Filters", exact=True).click()
    await page.get_by_label("CCS").check()
    await expect(page.locator("#list .count")).to_have_text("1 location on the map", timeout=PATIENCE)
    assert re.search(r"[?&]connector=ccs", page.url)
    await page.get_by_text("Filters", exact=True).click()

    await page.get_by_role("combobox").fill("kauppat")
    await expect(page.locator("#found [role=option]")).to_have_count(1, timeout=PATIENCE)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Kauppatori")).to_be_focused(timeout=PATIENCE)
    await expect(page.locator(".tally")).to_have_text(re.compile("2\\s*in use"))
    await expect(page.locator(".tariff")).to_contain_text("incl. VAT 25.5%")
    await user.until("nap.map.getZoom() >= 12 && !nap.map.isMoving() && nap.map.loaded()")
    assert await user.states() == [1]

    await page.evaluate("new Promise((done) => { nap.map.once('idle', () => done()); nap.map.triggerRepaint(); })")
    before = len(user.tiles)
    await cpo.status("L1/U1", "AVAILABLE")
    await expect(page.locator(".tally")).to_have_text(re.compile("1\\s*free.*1\\s*in use", re.DOTALL), timeout=PATIENCE)
    await expect(page.locator("#said")).to_contain_text("free")
    await user.until("nap.map.queryRenderedFeatures({ layers: ['spots'] })[0]?.state.state === 0")
    assert len(user.tiles) == before, "the colour changes without a new tile"

    link = page.url
    assert "loc=FI*ABC*L1" in link and "connector=ccs" in link and "at=60." in link
    await page.keyboard.press("Escape")
    await expect(page.locator("#details")).to_be_hidden()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Kauppatori")).to_be_visible(timeout=PATIENCE)

    second = await visitor(browser)
    await second.open(link)
    await expect(second.page.get_by_role("heading", name="Kauppatori")).to_be_visible()
    assert await second.page.get_by_label("CCS").is_checked()
    assert abs(await second.page.evaluate("nap.map.getZoom()") - await page.evaluate("nap.map.getZoom()")) < 0.1
    await second.page.locator(".languages a[lang=fi]").click()
    await second.page.wait_for_selector("#map[data-ready]", timeout=PATIENCE)
    await expect(second.page.locator("html")).to_have_attribute("lang", "fi")
    await expect(second.page.get_by_role("heading", name="Kauppatori")).to_be_visible()
    for one in (user, second):
        assert one.complaints == [] and one.foreign == []


async def test_new_locations_appear_on_an_open_map(browser: Browser, nap: Nap, cpo: Cpo) -> None:
    user = await visitor(browser)
    await user.open(nap.url + "/?at=62.603,25.726,14")
    await expect(user.page.locator("#list .count")).to_have_text("1 location on the map", timeout=PATIENCE)
    spot = {"latitude": "62.6050", "longitude": "25.7300"}
    await cpo.put(place("N1", evse(50), name="Uusi asema", coordinates=spot))
    await expect(user.page.get_by_role("link", name=re.compile("Uusi asema"))).to_be_visible(timeout=PATIENCE)
    await user.until("nap.map.queryRenderedFeatures({ layers: ['spots'] }).length === 2")


async def test_by_keyboard_and_without_barriers(browser: Browser, nap: Nap, cpo: Cpo) -> None:
    """The list is reached and used without a mouse, and axe finds nothing serious on any face of the page."""
    for options in ({}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}, "has_touch": True}):
        user = await visitor(browser, **options)
        page = user.page
        await user.open(nap.url + "/?at=60.46,22.28,12")
        await expect(page.locator("#list a").first).to_contain_text("Turku", timeout=PATIENCE)
        await accessible(page)
        await page.locator(".choose summary").focus()
        await page.keyboard.press("Enter")
        await accessible(page)
        await page.keyboard.press("Enter")
        await page.get_by_role("combobox").press_sequentially("turku")
        await expect(page.locator("#found [role=option]").first).to_be_visible(timeout=PATIENCE)
        await accessible(page)
        await page.keyboard.press("Escape")
        await page.locator("#list a").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#place h2")).to_be_focused(timeout=PATIENCE)
        await accessible(page)
        await page.locator("#back").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#list a:focus")).to_have_count(1, timeout=PATIENCE)
        assert user.complaints == []
        await page.context.close()


@pytest.mark.parametrize("size", [(640, 450), (740, 340), (320, 480)])
async def test_on_a_low_screen(browser: Browser, nap: Nap, cpo: Cpo, size: tuple[int, int]) -> None:
    """A window at 200 %, a telephone on its side, a small one: all locations are in view, and the list can be tabbed to."""
    user = await visitor(browser, viewport={"width": size[0], "height": size[1]})
    page = user.page
    await user.open(nap.url + "/")
    await expect(page.locator("#list .count")).to_have_text("32 locations on the map", timeout=PATIENCE)
    await page.locator(".choose summary").focus()
    await page.keyboard.press("Tab")
    await expect(page.locator("#list a:focus")).to_have_count(1)
    box = await page.locator("#list a:focus").bounding_box()
    assert box is not None and 0 <= box["y"] < size[1] and await page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert user.complaints == []


async def test_without_javascript(browser: Browser, nap: Nap, cpo: Cpo) -> None:
    """List, filters and details are links and a form."""
    page = (await visitor(browser, java_script_enabled=False)).page
    await page.goto(nap.url + "/")
    await page.get_by_text("Filters", exact=True).click()
    await page.locator(".chip", has_text="CCS").click()
    await page.get_by_role("button", name="Show").click()
    await page.get_by_role("link", name=re.compile("Kauppatori")).click()
    await expect(page.get_by_role("heading", name="Kauppatori")).to_be_visible()
    assert "connector=ccs" in page.url and "loc=FI*ABC*L1" in page.url
