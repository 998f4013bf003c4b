"""A CPO platform whose answers a test replaces one by one, and a registry that is to connect to it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.ocpi.tokens import outbound_header
from ocpi_nap.registry import Registry, handshake, onboarding
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store.database import Database
from tests.aiohttp_server import served
from tests.asgi import Reply

Answer = web.StreamResponse
Act = Callable[[web.Request], Any]


def good(data: Any, code: int = 1000, http: int = 200, **more: Any) -> web.Response:
    return web.json_response({"status_code": code, "data": data, "timestamp": "2026-01-01T00:00:00Z", **more}, status=http)


class Peer:
    """A platform whose answers a test replaces one by one; ``asked`` holds (method, path, Authorization)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.encoding = "raw"
        self.token_a, self.token_c = "token-a", "token-c"
        self.versions = ["2.1.1", "2.2.1"]
        self.answers: dict[str, Act] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.requests: list[web.Request] = []
        self.posted: list[dict[str, Any]] = []
        self.put: list[dict[str, Any]] = []

    async def serve(self, request: web.Request) -> Answer:
        header = request.headers.get("Authorization")
        self.asked.append((request.method, request.path, header))
        self.requests.append(request)
        if request.method == "POST" and request.path.startswith("/credentials"):
            self.posted.append(await request.json())
        if request.method == "PUT" and request.path.startswith("/credentials"):
            self.put.append(await request.json())
        place = "/details" if request.path[1:] in self.versions else request.path
        act = self.answers.get(f"{request.method} {place}")
        if act is not None:
            answer = act(request)
            return await answer if asyncio.iscoroutine(answer) else answer
        if header not in [outbound_header(token, self.encoding) for token in (self.token_a, self.token_c)]:
            return web.json_response({"status_code": 2000, "status_message": "no"}, status=401)
        if request.path == "/versions":
            return good([{"version": v, "url": f"{self.url}/{v}"} for v in self.versions])
        if request.path.startswith("/credentials"):
            return good({"token": self.token_c, "url": f"{self.url}/versions", "roles": [self.role("ABC")]})
        return good({"version": request.path[1:], "endpoints": self.endpoints("credentials", "locations", "tariffs")})

    def endpoints(self, *names: str, role: str = "SENDER") -> list[dict[str, str]]:
        return [{"identifier": name, "role": role, "url": f"{self.url}/{name}"} for name in names]

    @staticmethod
    def role(party: str) -> dict[str, Any]:
        return {"role": "CPO", "country_code": "FI", "party_id": party, "business_details": {"name": party}}


@dataclass
class Stage:
    registry: Registry
    peer: Peer

    async def add(self, encoding: str = "raw", **settings: Any) -> Platform:
        record = onboarding.check(
            name="acme", versions_url=f"{self.peer.url}/versions", token="token-a", token_encoding=encoding, party_id="PLT",
            country_code="FI", operators=["FI*ABC;Abc;https://abc.example"], settings=settings,
        )  # fmt: skip
        return await self.registry.add(record)

    async def register(self, encoding: str = "raw", **settings: Any) -> Platform:
        await self.add(encoding, **settings)
        return await handshake.register(self.registry, "acme")


def lost(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def staged(database: Database, folder: Path, *versions: str) -> AsyncIterator[Stage]:
    """The peer offers these versions, else 2.1.1 and 2.2.1."""
    peer = Peer("")
    peer.versions = list(versions) or peer.versions
    identity = OwnIdentity("http://127.0.0.1:9/ocpi/versions", "FI", "NAP", {"name": "Nap"})
    async with served(peer.serve) as peer.url:
        client = await OcpiClient.open()
        yield Stage(Registry(database, Vault.open(folder), client, identity, allow_private=True), peer)
        await client.close()


def credentials(cpo: Stage, version: str, token: str = "token-c", **other: Any) -> dict[str, Any]:
    """The object with which the platform registers itself; ``token-c`` is the one that its side knows."""
    role = cpo.peer.role("ABC")
    shape = {k: v for k, v in role.items() if k != "role"} if version == "2.1.1" else {"roles": [role]}
    return {"token": token, "url": f"{cpo.peer.url}/versions", **shape, **other}


def envelope(reply: Reply, status: int = 200, code: int = 1000) -> Any:
    """The ``data`` of an answer that has this HTTP status and OCPI code, in the form of R27 and R28."""
    body = json.loads(reply.body)
    assert (reply.status, body["status_code"]) == (status, code), body
    assert reply.headers["content-type"] == "application/json" and isinstance(body["status_code"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    return body.get("data")
