"""The report: no secret, no markup of others, nothing from elsewhere; the same facts in each form."""

from __future__ import annotations

import base64
import html.parser
import json
import re
from typing import Any

import msgspec

from ocpi_nap.checker import html as html_report
from ocpi_nap.checker import report
from ocpi_nap.checker.checks import CHECKS
from ocpi_nap.simulator.faults.protocol import API_KEY
from ocpi_nap.simulator.platform import SimulatedPlatform
from tests.checker.conftest import checked, open_to_checks, platform_spec

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x' \x1b[31m\u202e"
NO_END = frozenset(("meta", "br", "hr"))


class Reader(html.parser.HTMLParser):
    """Collects tags and attributes; checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in NO_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def forms(told: report.Json) -> dict[str, str]:
    return {"html": html_report.page(told), "json": msgspec.json.encode(told).decode(), "text": "\n".join(report.text(told))}


async def test_values_of_others_are_only_text() -> None:
    async with SimulatedPlatform(platform_spec("2.2.1", "members-unknown", "errors-not-ocpi")) as platform:
        for location in platform.network.locations:
            location |= {"id": f"L{ATTACK}", "name": ATTACK, "time_zone": ATTACK, ATTACK: 1}
            location["evses"][0] |= {"evse_id": ATTACK, "uid": ATTACK, "status": ATTACK}
        told = report.build(await checked(platform, token=open_to_checks(platform)))
    told_forms = forms(told)
    page = told_forms["html"]
    read = Reader(page)
    assert not read.open and not read.tags & {"script", "img", "link", "iframe", "object", "a", "form"}
    assert read.attributes <= {"lang", "charset", "name", "content", "class", "id"}
    assert "<script" not in page and "&lt;script&gt;" in page
    own = re.sub(r"<(pre|li|summary|td)>.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|src=", own)
    assert not any("\x1b" in form for form in told_forms.values())


async def test_no_secret_is_shown() -> None:
    """Tokens A, B and C, in each form, and the keys of extra headers."""
    async with SimulatedPlatform(platform_spec("2.3.0", "api-key", "link-bare", "operator-missing", "business-details-null")) as platform:
        run = await checked(platform, register=True, settings={"extra_headers": f"x-api-key={API_KEY}"})
        seen = json.dumps([[s.sent, s.sent_body, s.text] for s in run.recorder.seen])
        tokens = {*re.findall(r"[0-9a-f]{10}(?:\.[0-9a-f]{10}){3}", seen), "sim-token-a"}
        assert len(tokens) >= 5  # A, two of B, two of C, and the one that nobody knows
        told = forms(report.build(run))
        for token in tokens:
            for form in (token, base64.b64encode(token.encode()).decode().rstrip("=")):
                assert form not in told["html"] and form not in told["json"] and form not in told["text"]
        assert all(API_KEY not in form for form in told.values())
        assert "business-details-null" in told["html"] and "‹hidden›" in told["html"]


async def test_a_token_in_an_answer_that_repeats_it() -> None:
    """A platform that quotes the token in its error."""
    from ocpi_nap.checker.recorder import Mask

    mask = Mask()
    mask.add("secret-token")
    encoded = base64.b64encode(b"secret-token").decode()
    shown = mask.text(f'unknown token secret-token ({encoded}) "token": "another-one" ')
    assert "secret-token" not in shown and encoded not in shown and "another-one" not in shown


async def test_forms_say_the_same() -> None:
    async with SimulatedPlatform(platform_spec("2.2.1", "vat-missing", "evse-ids-missing", "link-bare")) as platform:
        told = report.build(await checked(platform, token=open_to_checks(platform)))
    rows = {check["id"]: check for area in told["areas"] for check in area["checks"]}
    assert set(rows) == set(CHECKS)
    found = [check for check in rows.values() if check["outcome"] in ("error", "warning", "note")]
    shown = forms(told)
    assert {"vat-missing", "evse-ids-missing", "link-form"} <= {check["id"] for check in found}
    for check in found:
        assert check["id"] in shown["text"] and check["id"] in shown["html"]
        assert check["mend"] and check["references"] and check["count"] >= 1
    assert rows["evse-ids-missing"]["count"] == 30 and rows["evse-ids-missing"]["exchanges"][0]["status"] == 200
    assert '"uid"' in rows["evse-ids-missing"]["object"]
    assert rows["link-form"]["exchanges"][0]["headers"] and "Link" in str(rows["link-form"]["exchanges"][0]["headers"])
    assert told["verdict"]["outcome"] == "not-ready" and told["verdict"]["sentence"] in shown["text"]
    assert rows["refused-credentials"]["outcome"] == "not run" and rows["truncated"]["outcome"] == "passed"
    assert rows["prices-not-collected"]["outcome"] == "not run", "it is about another version"
