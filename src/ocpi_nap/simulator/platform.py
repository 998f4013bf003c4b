"""A CPO platform on HTTP: versions, credentials and the Sender interfaces of one OCPI version, and pushes to the NAP."""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from ocpi_nap.model import timestamps
from ocpi_nap.ocpi import envelope, tokens
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.errors import CannotUsePeer, Invalid, MethodNotAllowed, NotAuthenticated, NotFound, OcpiError
from ocpi_nap.simulator import state as states
from ocpi_nap.simulator.faults import FAULTS, Answered, Listing, Lost, Push, Reply
from ocpi_nap.simulator.network import Json, Network, NetworkSpec
from ocpi_nap.simulator.state import SimulatedState

log = logging.getLogger(__name__)

_SAVE_EVERY = 10.0
_TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True)
class PlatformSpec:
    """One simulated platform, as its operator would describe it to a NAP."""

    name: str
    network: NetworkSpec
    country_code: str
    party_id: str
    token_a: str
    token_encoding: Literal["raw", "base64"] = "raw"
    page_size: int = 250
    changes_per_second: float = 1.0
    faults: tuple[str, ...] = ()
    """Names of simulator.faults."""


@dataclass
class Pushed:
    """How the pushes went."""

    accepted: int = 0
    refused: int = 0
    unreachable: int = 0
    last_error: str = ""


class SimulatedPlatform:
    """Use as `async with SimulatedPlatform(spec, port=8011) as platform`; ``versions_url`` is what the NAP is given."""

    def __init__(
        self, spec: PlatformSpec, *, host: str = "127.0.0.1", port: int = 0, state_file: Path | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        self.spec = spec
        self._host, self._port, self._file, self._say = host, port, state_file, say
        self.state = states.load(state_file) or SimulatedState(epoch=datetime.now(UTC), token_a=spec.token_a)
        self.network = Network(spec.network, self.state.epoch)
        for place, (status, last_updated) in self.state.statuses.items():
            i, j = place.split("/")
            self.network.set_status(int(i), int(j), status, last_updated)
        self.pushed = Pushed()
        self.registered = asyncio.Event()
        if self.state.token_b is not None:
            self.registered.set()
        self.url = ""
        self.faults = spec.faults
        if "no-credentials-endpoint" in self.faults:
            self.state.token_c = spec.token_a
        self._struck: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._chance = random.Random()

    @property
    def versions_url(self) -> str:
        """What a NAP is given."""
        return f"{self.url}/ocpi/versions"

    async def __aenter__(self) -> SimulatedPlatform:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._remember())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        states.save(self._file, self.state)
        await self._session.close()
        await self._runner.cleanup()

    # what the NAP asks

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Answer in stages, each of which the faults may change."""
        reply = Reply(request, self.url, self._struck)
        faults = [FAULTS[name] for name in self.faults]
        try:
            try:
                path = request.path.strip("/").split("/")[1:] if request.path.startswith("/ocpi/") else []
                reply.kind = self._kind(path)
                for fault in faults:
                    waiting = fault.before(reply) if fault.before else None
                    if waiting is not None:
                        await waiting
                reply.data = await self._answer(reply, path)
                for fault in faults:
                    if fault.after is not None:
                        fault.after(reply)
                body = envelope.success(reply.data)
            except OcpiError as error:
                reply.status, body = error.http_status, envelope.failure(error)
                reply.headers = dict(error.headers)
            for name in ("X-Request-ID", "X-Correlation-ID"):
                if name in request.headers:
                    reply.headers[name] = request.headers[name]
            if any(fault.wire for fault in faults):
                body = self._rewritten(reply, body)
        except Answered as answered:
            return answered.response
        except Lost:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=reply.status, body=body, content_type=reply.content_type or None, headers=reply.headers)

    def _rewritten(self, reply: Reply, body: bytes) -> bytes:
        reply.envelope = msgspec.json.decode(body)
        for name in self.faults:
            change = FAULTS[name].wire
            if change is not None:
                change(reply)
        return reply.body or msgspec.json.encode(reply.envelope)

    def _kind(self, path: list[str]) -> Any:
        match path:
            case ["versions"]:
                return "versions"
            case [number] if number == self.spec.network.version:
                return "details"
            case [_, ("credentials" | "locations" | "tariffs") as module]:
                return module
            case [_, "locations" | "tariffs", *_]:
                return "object"
        return "other"

    async def _answer(self, reply: Reply, path: list[str]) -> Any:
        request, token = reply.request, self._token(reply)
        number = self.spec.network.version
        if path == ["versions"]:
            return [{"version": number, "url": f"{self.url}/ocpi/{number}"}]
        if path == [number]:
            return self._details(number)
        if path == [number, "credentials"]:
            return await self._credentials(request, token)
        if len(path) >= 2 and path[0] == number and path[1] in ("locations", "tariffs"):
            if token != self.state.token_c:
                raise NotAuthenticated("token C is required")
            if request.method != "GET":
                raise MethodNotAllowed("only GET", allow="GET")
            return self._objects(reply, path[1:])
        raise NotFound("nothing here")

    def _token(self, reply: Reply) -> str:
        """The caller's token, if it is one of ours and in the one encoding that this platform reads."""
        given = reply.request.headers.get("Authorization", "")
        if not given and reply.kind == "versions" and "versions-refuse-token" in self.faults:
            return ""
        if reply.kind in ("versions", "details") and "wrong-token-accepted" in self.faults:
            return ""
        token_a = self.state.token_a if not self.state.token_a_used or "token-a-lives" in self.faults else None
        for token in (self.state.token_c, token_a):
            if token is not None and given == tokens.outbound_header(token, self.spec.token_encoding):
                return token
        raise NotAuthenticated("a valid credentials token is required")

    def _details(self, number: str) -> Json:
        modules = ["locations", "tariffs"] if self.spec.network.tariffs else ["locations"]
        urls = {name: f"{self.url}/ocpi/{number}/{name}" for name in ("credentials", *modules)}
        role = {"role": "SENDER"} if self.network.version.has_roles else {}
        return {"version": number, "endpoints": [{"identifier": name, **role, "url": url} for name, url in urls.items()]}

    def _objects(self, reply: Reply, path: list[str]) -> Any:
        """A page of locations or tariffs, or one object of them by id."""
        request = reply.request
        objects = self.network.locations if path[0] == "locations" else self.network.tariffs
        if len(path) > 1:
            found: Any = next((item for item in self._sent(path[0], objects) if item["id"] == path[1]), None)
            for level, identity in zip((("evses", "uid"), ("connectors", "id")), path[2:], strict=False):
                found = next((part for part in (found or {}).get(level[0]) or () if part[level[1]] == identity), None)
            if found is None:
                raise NotFound("no such object")
            return found
        since = _moment(request.query.get("date_from"))
        if since is not None and "date-from-ignored" not in self.faults:
            objects = [item for item in objects if item["last_updated"] >= timestamps.format_ms(since)]
        offset, limit = _count(request, "offset", 0), min(max(1, _count(request, "limit", self.spec.page_size)), self.spec.page_size)
        offset = int(request.query.get("cursor", f"c{offset}")[1:])
        objects = self._sent(path[0], objects)
        reply.headers |= {"X-Total-Count": str(len(objects)), "X-Limit": str(limit)}
        if offset + limit < len(objects):
            reply.headers["Link"] = f'<{reply.page_url(offset=offset + limit, limit=limit)}>; rel="next"'
        reply.listing = Listing(objects, offset, limit)
        return objects[offset : offset + limit]

    def _sent(self, module: str, objects: list[Json]) -> list[Json]:
        """The objects as they go out: as they are, or changed copies."""
        changes = [change for name in self.faults if (change := getattr(FAULTS[name], module[:-1])) is not None]
        if changes:
            objects = copy.deepcopy(objects)
            for item in objects:
                for change in changes:
                    change(item)
        return objects

    @property
    def sent_locations(self) -> list[Json]:
        """All locations as the NAP gets them."""
        return self._sent("locations", self.network.locations)

    # the handshake

    async def _credentials(self, request: web.Request, token: str) -> Json:
        registered = token == self.state.token_c
        if request.method == "GET":
            return self._own_credentials(token)
        if request.method == "DELETE" and registered:
            self.state.token_b = None
            if "delete-forgotten" not in self.faults:
                self.state.token_c = None
            self.registered.clear()
            self._keep("unregistered by the NAP")
            return {}
        if request.method != ("PUT" if registered else "POST"):
            raise MethodNotAllowed(
                "already registered" if registered else "not registered", allow="GET, PUT, DELETE" if registered else "GET, POST"
            )
        try:
            body = msgspec.json.decode(await request.read(), type=dict)
            token_b, url = str(body["token"]), str(body["url"])
        except (msgspec.MsgspecError, KeyError):
            raise Invalid("a credentials object with token and url is required") from None
        receivers = {} if "no-call-back" in self.faults else await self._call_back(token_b, url)
        kept = self.state.token_c if registered and "same-token" in self.faults else None
        self.state.token_b, self.state.token_c, self.state.receivers = token_b, kept or tokens.generate(), receivers
        self.state.token_a_used, self.state.nap_url = True, url
        self.registered.set()
        self._keep("registered" if not registered else "new credentials of the NAP taken")
        return self._own_credentials(self.state.token_c)

    async def register(self, versions_url: str, token: str) -> None:
        """Start the registration ourselves with a token A that the NAP issued; raises OcpiError with its answer."""
        endpoints = await self._call_back(token, versions_url)
        self.state.token_c = tokens.generate()
        answer = await self._call("POST", endpoints["credentials"], token, self._own_credentials(self.state.token_c))
        self.state.token_b, self.state.receivers, self.state.token_a_used = answer["data"]["token"], endpoints, True
        self.state.nap_url = versions_url
        self.registered.set()
        self._keep("registered")

    async def renew(self, versions_url: str) -> None:
        """New tokens for both sides by PUT; raises OcpiError with the NAP's answer."""
        assert self.state.token_b is not None
        endpoints = await self._call_back(self.state.token_b, versions_url)
        self.state.token_c = tokens.generate()
        answer = await self._call("PUT", endpoints["credentials"], self.state.token_b, self._own_credentials(self.state.token_c))
        self.state.token_b, self.state.receivers, self.state.nap_url = answer["data"]["token"], endpoints, versions_url
        self._keep("new credentials agreed")

    def _own_credentials(self, token: str) -> Json:
        operators = self.spec.network.operators
        roles = [{"role": "CPO", "country_code": o.country_code, "party_id": o.party_id,
                  "business_details": {"name": o.name, "website": o.url}} for o in operators]  # fmt: skip
        shape = {"roles": roles} if self.network.version.has_roles else {k: v for k, v in roles[0].items() if k != "role"}
        return {"token": token, "url": self.versions_url, **shape}

    async def _call_back(self, token: str, versions_url: str) -> dict[str, str]:
        """Their versions and endpoints, fetched while their POST is open; raises CannotUsePeer (3001) or Invalid."""
        versions = await self._call("GET", versions_url, token)
        urls = {entry["version"]: entry["url"] for entry in versions["data"]}
        if self.spec.network.version not in urls:
            raise Invalid("no mutual version")
        details = await self._call("GET", urls[self.spec.network.version], token)
        return {entry["identifier"]: entry["url"] for entry in details["data"]["endpoints"]}

    async def _call(self, method: str, url: str, token: str, body: Any = None) -> Json:
        return await self._send(method, url, self._headers(token), body)

    def _headers(self, token: str) -> dict[str, str]:
        ids = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4())}
        return {"Authorization": tokens.outbound_header(token, self.spec.token_encoding), "Content-Type": "application/json", **ids}

    async def _send(self, method: str, url: str, headers: dict[str, str], body: Any) -> Json:
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, URL(url, encoded=True), data=data, headers=headers) as answer:
                found: Json = msgspec.json.decode(await answer.read(), type=dict)
                if answer.status >= 300 or found.get("status_code") != 1000:
                    raise Invalid(f"{method} {url}: HTTP {answer.status}, {found.get('status_code')} {found.get('status_message', '')}")
                return found
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise CannotUsePeer(f"{method} {url}: {error or type(error).__name__}") from None

    # the live network

    async def _live(self) -> None:
        """Change statuses at the given rate for ever; every change is pushed once the NAP is registered."""
        if self.spec.changes_per_second <= 0:
            return
        while True:
            await asyncio.sleep(self._chance.expovariate(self.spec.changes_per_second))
            place = None
            while place is None:  # most draws pick the status that the EVSE has already
                place = self.network.change_status(self._chance, datetime.now(UTC))
            i, j = place
            evse = self.network.locations[i]["evses"][j]
            self.state.statuses[f"{i}/{j}"] = (evse["status"], evse["last_updated"])
            if self.registered.is_set():
                await self._push_live(i, evse)

    async def push(self, i: int, evse: Json, *, whole: bool = False) -> int:
        """PATCH the status of an EVSE, or PUT it; returns the OCPI status code, raises OcpiError when it did not work."""
        if "locations" not in self.state.receivers:  # "no-call-back": looked up when it is needed
            assert self.state.token_b is not None
            self.state.receivers = await self._call_back(self.state.token_b, self.state.nap_url)
        party = self.network.location_party(i)
        ids = [party.country_code, party.party_id, self.network.locations[i]["id"], evse["uid"]]
        body = evse if whole else {"status": evse["status"], "last_updated": evse["last_updated"]}
        headers = {"OCPI-from-country-code": self.spec.country_code, "OCPI-from-party-id": self.spec.party_id}
        push = Push("PUT" if whole else "PATCH", self.state.receivers["locations"], ids, dict(body), headers)
        assert self.state.token_b is not None
        push.headers = self._headers(self.state.token_b) | push.headers
        for name in self.faults:
            change = FAULTS[name].push
            if change is not None:
                change(push)
        answer = await self._send(push.method, OcpiClient.object_url(push.base, *push.ids), push.headers, push.body)
        return int(answer["status_code"])

    async def _push_live(self, i: int, evse: Json) -> None:
        """Now and then PUT the whole EVSE, as platforms do. A lost push is healed by the next pull."""
        try:
            await self.push(i, evse, whole=self._chance.random() < 0.05)
            self.pushed.accepted += 1
        except CannotUsePeer as error:
            self.pushed.unreachable += 1
            self.pushed.last_error = error.message
        except OcpiError as error:
            self.pushed.refused += 1
            self.pushed.last_error = error.message
            log.info("%s: %s", self.spec.name, error.message)

    async def _remember(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            await asyncio.to_thread(states.save, self._file, self.state)

    def _keep(self, what: str) -> None:
        states.save(self._file, self.state)
        self._say(f"{self.spec.name}: {what}")


def _count(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() else default


def _moment(text: str | None) -> datetime | None:
    with suppress(ValueError):
        return timestamps.parse(text)[0] if text else None
    return None
