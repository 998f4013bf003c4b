"""A CPO platform for tests: speaks one OCPI version over real HTTP, calls back inside our POST, and pushes what a test says."""

from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp
from aiohttp import web

OK = {"status_code": 1000, "timestamp": "2026-11-24T10:00:00Z"}


def location(version: str, number: int, party: str = "ABC") -> dict[str, Any]:
    """One valid Location in the version's own shape."""
    connector: dict[str, Any] = {"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE"}
    if version == "2.1.1":
        connector |= {"voltage": 230, "amperage": 32, "tariff_id": "T1"}
    else:
        connector |= {"max_voltage": 230, "max_amperage": 32, "max_electric_power": 22000, "tariff_ids": ["T1"]}
    connector["last_updated"] = "2026-01-01T10:00:00Z"
    evse = {
        "uid": f"U{number}",
        "evse_id": f"FI*{party}*E{number}",
        "status": "AVAILABLE",
        "capabilities": ["RFID_READER"],
        "connectors": [connector],
        "last_updated": "2026-01-01T10:00:00Z",
    }
    found: dict[str, Any] = {
        "id": f"L{number}",
        "name": f"Asema {number}",
        "address": "Mannerheimintie 1",
        "city": "Helsinki",
        "postal_code": "00100",
        "country": "FIN",
        "coordinates": {"latitude": "60.169900", "longitude": "24.938400"},
        "evses": [evse],
        "time_zone": "Europe/Helsinki",
        "last_updated": "2026-01-01T10:00:00Z",
    }
    if version == "2.1.1":
        return {**found, "type": "ON_STREET"}
    return {**found, "country_code": "FI", "party_id": party, "publish": True}


def tariff(version: str, party: str = "ABC") -> dict[str, Any]:
    """One valid Tariff."""
    found: dict[str, Any] = {
        "country_code": "FI",
        "party_id": party,
        "id": "T1",
        "currency": "EUR",
        "elements": [{"price_components": [{"type": "ENERGY", "price": 0.29, "vat": 25.5, "step_size": 1}]}],
        "last_updated": "2026-01-01T10:00:00Z",
    }
    return {**found, "tax_included": "NO"} if version == "2.3.0" else found


class Cpo:
    """Run with `start`; `requests` lists what the NAP asked, `token_b` is what to push with after registration."""

    def __init__(self, version: str, *, encoding: str = "raw", count: int = 5, page: int = 2) -> None:
        self.version, self.encoding, self.page = version, encoding, page
        self.token_a, self.token_c = "token-a-of-the-cpo", "token-c-of-the-cpo"
        self.token_b = ""
        self.locations = [location(version, n) for n in range(count)]
        self.tariffs = [tariff(version)]
        self.callbacks: list[int] = []
        self.url = ""
        self.extra_endpoints: list[dict[str, str]] = []
        self._runner: web.AppRunner | None = None
        self.session: aiohttp.ClientSession

    async def start(self) -> Cpo:
        app = web.Application()
        app.router.add_get("/versions", self._versions)
        app.router.add_get("/page", self._page)
        app.router.add_get("/details", self._details)
        app.router.add_route("*", "/credentials", self._credentials)
        app.router.add_get("/locations", self._list)
        app.router.add_get("/tariffs", self._list)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.session = aiohttp.ClientSession()
        return self

    async def stop(self) -> None:
        await self.session.close()
        assert self._runner is not None
        await self._runner.cleanup()

    def header(self, token: str) -> dict[str, str]:
        text = base64.b64encode(token.encode()).decode() if self.encoding == "base64" else token
        return {"Authorization": f"Token {text}"}

    def _authorised(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") in [self.header(t)["Authorization"] for t in (self.token_a, self.token_c)]

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async def _versions(self, request: web.Request) -> web.Response:
        if not self._authorised(request):
            return web.json_response({"status_code": 2000}, status=401)
        return web.json_response({**OK, "data": [{"version": self.version, "url": f"{self.url}/details"}]})

    async def _details(self, request: web.Request) -> web.Response:
        if not self._authorised(request):
            return web.json_response({"status_code": 2000}, status=401)
        names = ("credentials", "locations", "tariffs")
        endpoints = [{"identifier": name, "role": "SENDER", "url": f"{self.url}/{name}"} for name in names] + self.extra_endpoints
        return web.json_response({**OK, "data": {"version": self.version, "endpoints": endpoints}})

    async def _credentials(self, request: web.Request) -> web.Response:
        if not self._authorised(request):
            return web.json_response({"status_code": 2000}, status=401)
        if request.method == "DELETE":
            return web.json_response(OK)
        body = await request.json()
        self.token_b = body["token"]
        self.our_credentials = body
        async with self.session.get(body["url"], headers=self.header(self.token_b)) as answer:
            self.callbacks.append(answer.status)
            versions = (await answer.json())["data"]
        async with self.session.get(versions[0]["url"], headers=self.header(self.token_b)) as answer:
            self.callbacks.append(answer.status)
            self.endpoints = {e["identifier"]: e["url"] for e in (await answer.json())["data"]["endpoints"]}
        party = {"party_id": "ABC", "country_code": "FI", "business_details": {"name": "Abc"}}
        roles: dict[str, Any] = party if self.version == "2.1.1" else {"roles": [{"role": "CPO", **party}]}
        return web.json_response({**OK, "data": {"token": self.token_c, "url": f"{self.url}/versions", **roles}})

    async def _list(self, request: web.Request) -> web.Response:
        items = self.locations if request.path == "/locations" else self.tariffs
        offset = int(request.query.get("offset", 0))
        page = items[offset : offset + self.page]
        headers = {"X-Total-Count": str(len(items)), "X-Limit": str(self.page)}
        if offset + self.page < len(items):
            headers["Link"] = f'<{self.url}{request.path}?offset={offset + self.page}&limit={self.page}>; rel="next"'
        return web.json_response({**OK, "data": page}, headers=headers)

    async def push(self, method: str, path: str, body: Any = None, module: str = "locations") -> tuple[int, dict[str, Any]]:
        """A request to our Receiver: HTTP status and envelope."""
        url = f"{self.endpoints[module]}/{path}"
        data = None if body is None else json.dumps(body)
        async with self.session.request(method, url, data=data, headers=self.header(self.token_b)) as answer:
            return answer.status, await answer.json()

    async def post_credentials(self, body: Any) -> tuple[int, dict[str, Any]]:
        """A registration that this platform starts."""
        return await self._ours("POST", body)

    async def delete_credentials(self) -> tuple[int, dict[str, Any]]:
        """This platform leaves."""
        return await self._ours("DELETE", None)

    async def _ours(self, method: str, body: Any) -> tuple[int, dict[str, Any]]:
        url, headers = self.endpoints["credentials"], self.header(self.token_b)
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()
