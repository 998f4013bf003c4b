"""A CPO's Sender interface that misbehaves as a test says, and a platform that is registered with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from ocpi_nap.intake.crawl import ModuleReport, pull
from ocpi_nap.model.platform import Operator, Party, Platform, PlatformSettings
from ocpi_nap.ocpi.client import Peer
from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.store import registry as sql
from tests.aiohttp_server import served
from tests.interface import Ocpi

Answer = web.StreamResponse
Handler = Callable[[web.Request, list[Any]], Any]


def page(items: list[Any], **headers: str) -> web.Response:
    """An OCPI list answer; header names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"status_code": 1000, "data": items, "timestamp": "2026-01-01T00:00:00Z"}, headers=named)


def by_offset(size: int) -> Handler:
    """Well-behaved paging."""

    def answer(request: web.Request, items: list[Any]) -> web.Response:
        offset = int(request.query.get("offset", 0))
        more = {"Link": f'<{request.url.update_query(offset=offset + size)}>; rel="next"'} if offset + size < len(items) else {}
        return page(items[offset : offset + size], X_Total_Count=str(len(items)), X_Limit=str(size), **more)

    return answer


class Sender:
    """Serves ``locations`` and ``tariffs`` with the handler of the moment; ``asked`` keeps the requests."""

    def __init__(self, ocpi: Ocpi, url: str, version: str) -> None:
        self.ocpi, self.url, self.version = ocpi, url, version
        self.locations: list[Any] = []
        self.tariffs: list[Any] = []
        self.handler: Handler = by_offset(2)
        self.asked: list[web.Request] = []
        self.name = f"s{version}"
        self.found: Any = None
        """Given for any id that is asked for."""

    async def serve(self, request: web.Request) -> Answer:
        self.asked.append(request)
        items = self.tariffs if request.path == "/tariffs" else self.locations
        if request.path.startswith("/locations/"):
            wanted = request.path.removeprefix("/locations/")
            found = [item for item in self.locations if self.found is item or item["id"] == wanted]
            return page(found[0]) if found else web.json_response({"status_code": 2003}, status=404)
        answer = self.handler(request, items)
        return await answer if hasattr(answer, "__await__") else answer

    async def platform(self) -> Platform:
        return (await sql.load_platforms(self.ocpi.db, name=self.name))[0]

    def peer(self, platform: Platform, party: Party | None = None) -> Peer:
        return self.ocpi.registry.peer(platform, "token-c", party=party)

    async def token_b(self) -> str:
        """A token to push with."""
        platform = await self.platform()
        async with self.ocpi.db.transaction() as conn:
            await conn.execute("DELETE FROM token WHERE platform_id = %s", (platform.id,))
            await sql.add_token(conn, platform.id, "B", "active", hash_token("token.b"))
        return "token.b"

    async def pull(self, *, full: bool = True, confirm: bool = False) -> dict[str, ModuleReport]:
        platform = await self.platform()
        client = self.ocpi.registry.client
        return await pull(self.ocpi.db, client, lambda party: self.peer(platform, party), platform, full=full, confirm=confirm,
                          area=self.ocpi.registry.area)  # fmt: skip


@asynccontextmanager
async def sender(
    ocpi: Ocpi, version: str = "2.2.1", parties: tuple[str, ...] = ("ABC",), *, name: str | None = None, **settings: Any
) -> AsyncIterator[Sender]:
    """Start it, with a registered platform that has its endpoints."""
    made = Sender(ocpi, "", version)
    made.name = name or made.name
    PlatformSettings(**settings)
    async with served(made.serve) as made.url:
        values = {
            "name": made.name, "environment": "test", "versions_url": f"{made.url}/versions", "country_code": "FI", "party_id": "PLT",
            "token_encoding": "raw", "version": version, "state": "registered",
        }  # fmt: skip
        operators = [Operator(country_code="FI", party_id=party, name=party) for party in parties]
        endpoints = {name: f"{made.url}/{name}" for name in ("locations", "tariffs")}
        async with ocpi.db.transaction() as conn:
            platform = await sql.insert_platform(conn, values)
            await sql.insert_operators(conn, platform, "test", operators)
            await sql.update_platform(conn, platform, {"settings": settings, "endpoints": endpoints})
        yield made


def asked(cpo: Sender, path: str = "/locations") -> list[dict[str, str]]:
    """The query parameters of the requests since the last call."""
    found = [dict(parse_qsl(urlsplit(request.path_qs).query)) for request in cpo.asked if request.path == path]
    cpo.asked.clear()
    return found


async def held(ocpi: Ocpi) -> list[str]:
    """Ids of the Locations that were not withdrawn."""
    return [name for (name,) in await ocpi.db.fetch_all("SELECT id FROM location WHERE withdrawn_at IS NULL ORDER BY id")]


def raw(body: bytes, **headers: str) -> web.Response:
    """Any bytes with HTTP 200."""
    return web.Response(body=body, headers=headers)


def envelope_of(text: str) -> bytes:
    return json.dumps({"status_code": 1000, "data": []}).replace("[]", text).encode()
