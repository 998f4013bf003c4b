"""What holds for every page: languages, headers, static files, errors."""

from __future__ import annotations

import re

import pytest

from ocpi_nap.web.site import serves
from ocpi_nap.web.texts import LANGUAGES, TEXTS, choose_language
from tests.web.conftest import Site


def test_every_language_says_everything() -> None:
    keys = set(TEXTS["en"])
    for language, texts in TEXTS.items():
        assert set(texts) == keys, language
        for key, text in texts.items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", TEXTS["en"][key])), (language, key)


@pytest.mark.parametrize(
    ("asked", "chosen", "accepted", "language"),
    [("sv", "fi", "en", "sv"), ("xx", "fi", "en", "fi"), (None, None, "de, sv;q=0.5, fi;q=0.9", "fi"), (None, None, "de", "en"),
     (None, None, "fi;q=x", "en"), (None, None, "", "en")],
)  # fmt: skip
def test_language(asked: str | None, chosen: str | None, accepted: str, language: str) -> None:
    assert choose_language(asked, chosen, accepted) == language


async def test_a_chosen_language_stays(site: Site) -> None:
    first = await site.client.get("/?lang=fi")
    assert '<html lang="fi">' in first.text
    assert '<html lang="fi">' in (await site.client.get("/")).text
    for code in LANGUAGES:
        assert f'href="?lang={code}"' in first.text


async def test_pages_run_no_foreign_or_inline_code(site: Site) -> None:
    answer = await site.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style", answer.text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


async def test_static_files_may_be_kept_for_ever(site: Site) -> None:
    page = (await site.client.get("/")).text
    urls = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(urls) >= 3
    for url in urls:
        answer = await site.client.get(url)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
    assert (await site.client.get("/static/../pages.py")).status_code == 404
    assert (await site.client.get("/static/style.0000000000000000.css")).status_code == 404


async def test_an_unknown_page(site: Site) -> None:
    answer = await site.client.get("/console/nothing-here", follow_redirects=True)
    assert answer.status_code == 404 and "<html" in answer.text


def test_paths() -> None:
    for path in ("/", "/onboarding", "/console/platforms", "/static/style.x.css", "/map/tiles"):
        assert serves(path), path
    for path in ("/api/charging-network/v1/locations", "/swagger/", "/healthz", "/consoles", "/metrics"):
        assert not serves(path), path
