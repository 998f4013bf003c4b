"""What answers show by themselves, over https too."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from ocpi_nap.checker.recorder import Recorder, read
from ocpi_nap.checker.state import Options, Run
from ocpi_nap.checker.transport import check_transport
from ocpi_nap.ocpi.client import Exchange, OcpiClient
from ocpi_nap.ocpi.discovery import Discovered
from tests.checker.conftest import names

BASE = "https://cpo.example/ocpi"


def exchange(url: str, data: Any, **headers: str) -> Exchange:
    body = msgspec.json.encode({"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z", "data": data})
    sent = {"X-Request-ID": "1", "X-Correlation-ID": "2"}
    came = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json", **sent, **headers}))
    return Exchange("GET", url, sent, None, 200, came, body, attempts=1)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (exchange(f"{BASE}/versions", [{"version": "2.2.1", "url": f"{BASE}/2.2.1"}]), False),
        (exchange(f"{BASE}/versions", [{"version": "2.2.1", "url": "http://cpo.example/ocpi/2.2.1"}]), True),
        (exchange(f"{BASE}/2.2.1", {"endpoints": [{"identifier": "locations", "url": "http://10.0.0.1/locations"}]}), True),
        (exchange(f"{BASE}/locations", [{"id": "1", "url": "http://x"}], Link=f'<{BASE}/locations?offset=1>; rel="next"'), False),
        (exchange(f"{BASE}/locations", [], Link='<http://cpo.example/ocpi/locations?offset=1>; rel="next"'), True),
        (exchange("http://cpo.example/ocpi/versions", []), True),
    ],
)
async def test_plain_urls(seen: Exchange, told: bool) -> None:
    """I-18: a platform behind a proxy that ends TLS."""
    recorder = Recorder()
    recorder(seen)
    client = await OcpiClient.open()
    found = Discovered("2.2.1", {"locations": f"{BASE}/locations"}, "raw", ["2.2.1"], f"{BASE}/2.2.1")
    run = Run(Options(versions_url=f"{BASE}/versions", token="token"), client, recorder, discovered=found)
    check_transport(run)
    await client.close()
    assert names(run, "error") == ({"not-https"} if told else set())


@pytest.mark.parametrize(
    ("body", "form"),
    [(b"", "empty"), (b'{"status_code":1000,"da', "truncated"), (b"<html>", "not-json"), (b'{"status_code":1000,"data":[NaN]}', "not-json"),
     (b'\xef\xbb\xbf{"status_code":1000}', "json"), (b"[1]", "json")],
)  # fmt: skip
def test_forms_of_bodies(body: bytes, form: str) -> None:
    assert read(body).form == form
