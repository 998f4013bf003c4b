"""Our side of a registration, in memory: versions, credentials and Receivers of one NAP that knows one platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocpi_nap.model import jsontext, timestamps
from ocpi_nap.model.ids import fold
from ocpi_nap.model.platform import Party, PlatformSettings
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.credentials import OwnIdentity, read_credentials
from ocpi_nap.ocpi.errors import Invalid, MethodNotAllowed, NotFound, UnknownLocation
from ocpi_nap.ocpi.ports import Access, Caller, NodeKey, Written
from ocpi_nap.ocpi.routes import OcpiApp, OcpiOptions

LARGEST_BODY = 10 * 1024 * 1024
_MOST_KEPT = 2000
_KEPT_BODY = 200_000


@dataclass
class Inbound:
    """One request of the platform to us, and our answer."""

    method: str
    path: str
    """Below the root, as it came."""
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    answer: bytes = b""
    token: str | None = None
    """Whose it is: the token B that was presented, if any of ours."""

    @property
    def ids(self) -> list[str]:
        """The path's parts after version and module."""
        return self.path.split("?")[0].strip("/").split("/")[2:]

    def json(self) -> Any:
        """The body, None when it is no JSON."""
        try:
            return jsontext.parse(self.body)
        except jsontext.NotJson:
            return None


@dataclass
class Us:
    """State of the connection as a NAP would hold it; implements ocpi.ports.Authenticator and Credentials."""

    settings: PlatformSettings
    platform: Party
    identity: OwnIdentity
    tokens_b: dict[str, Access] = field(default_factory=dict)
    version: str | None = None
    parties: set[Party] = field(default_factory=set)
    token_c: str | None = None
    ended: bool = False
    """The platform ended the registration itself."""
    known: dict[str, dict[str, datetime]] | None = None
    """Per folded Location or tariff id: times by folded EVSE uid, "" for the object itself. None before the first pull has ended: until
    then everything is taken, because nobody can say what is unknown."""
    inbound: list[Inbound] = field(default_factory=list)

    async def authenticate(self, readings: Sequence[str], *, cached: bool) -> Caller | None:
        for place, reading in enumerate(readings):
            access = self.tokens_b.get(reading)
            if access is not None:
                return Caller(
                    platform_id=1, platform_name="platform", token_id=place, access=access, party=self.platform,
                    parties=frozenset(self.parties), version=self.version, settings=self.settings,
                )  # fmt: skip
        return None

    # credentials

    async def get(self, caller: Caller, version: str, readings: Sequence[str]) -> dict[str, Any]:
        return self.identity.credentials(version, next(reading for reading in readings if reading in self.tokens_b))

    async def post(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        raise MethodNotAllowed("the registration is under way from our side", allow="GET, PUT, DELETE")

    async def put(self, caller: Caller, version: str, body: Any) -> dict[str, Any]:
        """The platform renews its tokens while we look."""
        self.token_c = read_credentials(body, need_url=True).token
        token = tokens.generate()
        self.tokens_b[token] = "full"
        return self.identity.credentials(version, token)

    async def delete(self, caller: Caller, version: str) -> None:
        self.ended = True
        self.tokens_b.clear()


class MemoryReceiver:
    """Takes pushes as the NAP does, as far as parties, order and addresses go; implements ocpi.ports.Receiver."""

    def __init__(self, us: Us) -> None:
        self._us = us

    async def put(self, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Written:
        times = self._place(module, key)
        return self._write(module, key, self._object(body), times, created=times is None)

    async def patch(self, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Written:
        times = self._place(module, key)
        if times is None:
            raise UnknownLocation(f"unknown location {key.id}"[:200])
        return self._write(module, key, self._object(body), times, created=False)

    async def delete(self, caller: Caller, version: str, module: str, key: NodeKey) -> None:
        self._party(key)

    async def get(self, caller: Caller, version: str, module: str, key: NodeKey) -> bytes:
        raise NotFound("the checker keeps no objects")

    def _party(self, key: NodeKey) -> None:
        if self._us.parties and (key.country_code.upper(), key.party_id.upper()) not in self._us.parties:
            raise NotFound(f"party {key.country_code}*{key.party_id} is not one of this platform"[:200])

    def _place(self, module: str, key: NodeKey) -> dict[str, datetime] | None:
        """Times of the Location; None when it is new."""
        self._party(key)
        if self._us.known is None:
            return {}
        times = self._us.known.get(fold(key.id))
        if module == "locations" and times is None and key.evse_uid is not None:
            raise UnknownLocation(f"unknown location {key.id}"[:200])
        return times

    @staticmethod
    def _object(body: Any) -> dict[str, Any]:
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if isinstance(body, dict) and isinstance(body.get("data"), dict) and not {"id", "uid"} & set(body):
            body = body["data"]
        if not isinstance(body, dict):
            raise Invalid("an object is required")
        return body

    def _write(self, module: str, key: NodeKey, body: dict[str, Any], times: dict[str, datetime] | None, *, created: bool) -> Written:
        if times is None:
            assert self._us.known is not None
            times = self._us.known.setdefault(fold(key.id), {})
        node = fold("/".join(part for part in (key.evse_uid, key.connector_id) if part))
        name, own = ("uid", key.evse_uid) if key.evse_uid is not None and key.connector_id is None else ("id", key.connector_id or key.id)
        if body.get(name) is not None and fold(str(body[name])) != fold(str(own)):
            raise Invalid(f"{name}: differs from URL (got {str(body[name])[:60]})")
        moment, _ = timestamps.parse(body.get("last_updated"))
        before = times.get(node)
        if moment is not None and before is not None and moment < before:
            raise Invalid(f"last_updated: older than stored value (got {body.get('last_updated')})"[:200])
        if moment is not None:
            times[node] = moment
        return Written(created)


def application(us: Us, ocpi_url: str, own_party: Party) -> ASGIApp:
    """The OCPI interface over it, each request kept in ``us.inbound``."""
    options = OcpiOptions("/ocpi", ocpi_url, own_party[0], own_party[1], LARGEST_BODY)
    app = OcpiApp(us, us, MemoryReceiver(us), options)

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        raw = scope.get("raw_path") or scope["path"].encode()
        entry = Inbound(scope["method"], raw.decode("latin-1").removeprefix("/ocpi"), headers)
        readings = tokens.inbound_readings(headers.get("authorization"))
        entry.token = next((reading for reading in readings if reading in us.tokens_b), None)
        if len(us.inbound) < _MOST_KEPT:
            us.inbound.append(entry)

        async def heard() -> Message:
            message = await receive()
            if len(entry.body) < _KEPT_BODY:
                entry.body += message.get("body", b"")
            return message

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            else:
                entry.answer = message.get("body", b"")[:1000]
            await send(message)

        await app(scope, heard, told)

    return recorded
