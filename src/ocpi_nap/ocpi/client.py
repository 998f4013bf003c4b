"""Our requests to platforms: tokens only to their own hosts, bounded answers, and errors that say what came back."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from ocpi_nap.model import jsontext
from ocpi_nap.model.platform import Party
from ocpi_nap.ocpi import headers, net, tokens

_REDIRECTS = (301, 302, 307, 308)
_MOST_REDIRECTS = 5
PAGE_LIMIT = 200 * 1024 * 1024
"""Largest body of a pulled page (I-54); other answers are bounded by SMALL_LIMIT."""
SMALL_LIMIT = 10 * 1024 * 1024


class PeerError(Exception):
    """A request to a platform that did not work: where, and what came back, in a short text without tokens."""

    def __init__(self, message: str, *, url: str = "", http_status: int | None = None, status_code: int | None = None,
                 retry_after: str | None = None) -> None:  # fmt: skip
        self.message = jsontext.clean_text(message[:300])
        super().__init__(self.message)
        self.url = url
        self.http_status = http_status
        self.status_code = status_code
        self.retry_after = retry_after


class Unreachable(PeerError):
    """No connection: the request was not sent."""


class Broken(PeerError):
    """The connection broke after the request was sent: whether it took effect is unknown."""


class TimedOut(PeerError):
    """No complete answer in time: whether the request took effect is unknown."""


class HttpFailure(PeerError):
    """An HTTP status that is not 2xx (I-9, I-11)."""


class OcpiFailure(PeerError):
    """HTTP 2xx, but an OCPI status code that is not 1xxx (R31)."""


class NotOcpi(PeerError):
    """HTTP 2xx with something that is no OCPI envelope (I-65)."""


class RefusedUrl(PeerError):
    """A URL we do not call (R14, R70)."""


@dataclass(frozen=True)
class Peer:
    """How one platform is called."""

    token: str
    encoding: str | None
    """``raw``, ``base64``, or None: no Authorization header (I-7)."""
    own_party: Party
    peer_party: Party
    version: str | None = None
    hosts: frozenset[str] = frozenset()
    """Further hosts that may get the token, as net.host_of writes them."""
    extra_headers: dict[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    private: bool = False
    sent: Callable[[], None] = lambda: None
    """Called before each request, retries and redirects too."""
    correlation_id: str | None = None
    """Kept by the retries of one request (R15); None: every request gets its own."""

    def correlated(self) -> Peer:
        """For one request and its retries."""
        return self if self.correlation_id else replace(self, correlation_id=str(uuid.uuid4()))


@dataclass(slots=True)
class Answer:
    """A successful answer."""

    url: str
    status: int
    headers: CIMultiDictProxy[str]
    status_code: int
    message: str | None
    data: Any
    """Decoded; for a page (`get_page`) the text of its ``data`` as it came, which is decoded object by object."""
    timestamp: Any = None
    """Of the envelope, as it came."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer as they went over the wire, for whoever must see more than the outcome."""

    method: str
    url: str
    sent: dict[str, str]
    """Headers, the token among them."""
    sent_body: bytes | None
    status: int | None = None
    """None: no answer."""
    headers: CIMultiDictProxy[str] | None = None
    body: bytes = b""
    """Unpacked; empty where it was not read: of redirects, and when ``error`` says why."""
    error: str = ""
    seconds: float = 0.0
    attempts: int = 0
    """How often it was sent: where a connection that was used before breaks, the HTTP library repeats a GET once, without a word."""


def _why_unreachable(error: aiohttp.ClientConnectorError) -> str:
    """In words for people, who do not know the library's."""
    place = f"no connection to {error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"{place}: the name cannot be looked up ({error.os_error.strerror or error.os_error})"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{place}: the certificate is not trusted ({error.certificate_error})"
    number = None if isinstance(error, aiohttp.ClientSSLError) else error.os_error.errno
    return f"{place}: {error.os_error if number is None else os.strerror(number)}"


class OcpiClient:
    """HTTP for all platforms. ``record`` is given every exchange, each redirect by itself.

    Only GETs use a connection again: the library repeats a PUT or DELETE on one that breaks, but credentials may be renewed only once.
    """

    def __init__(self, sessions: dict[tuple[bool, bool], aiohttp.ClientSession], record: Callable[[Exchange], None] | None) -> None:
        self._sessions = sessions
        self._record = record

    @classmethod
    async def open(cls, record: Callable[[Exchange], None] | None = None, *, tls: ssl.SSLContext | None = None) -> OcpiClient:
        """Sessions without cookies; redirects, decompression and limits are ours. One that is recorded keeps no connections, so that one
        that breaks was broken by the platform. ``tls``: whose certificates are trusted, where not those of the system."""
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_count_attempt)

        def session(private: bool, again: bool) -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                limit=100, limit_per_host=8, force_close=not again or record is not None, ssl=tls or True,
                socket_factory=None if private else net.public_socket,
            )  # fmt: skip
            return aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
                trace_configs=[trace] if record is not None else None,
            )  # fmt: skip

        return cls({(private, again): session(private, again) for private in (False, True) for again in (False, True)}, record)

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    @staticmethod
    def object_url(base: str, *ids: str) -> str:
        """An object's URL below an endpoint; the endpoint's own query stays behind the ids (R60)."""
        path, mark, query = base.partition("?")
        return "/".join([path.rstrip("/"), *(quote(part, safe="") for part in ids)]) + mark + query

    async def get(self, peer: Peer, url: str, *, functional: bool = True) -> Answer:
        """GET; raises PeerError."""
        return await self.request("GET", peer, url, functional=functional)

    async def get_page(self, peer: Peer, url: str) -> Answer:
        """GET a page of a list, which may be large, without decoding its objects; raises PeerError."""
        return await self.request("GET", peer, url, functional=True, page=True)

    async def post(self, peer: Peer, url: str, body: Any, *, functional: bool = False) -> Answer:
        """POST a JSON body; raises PeerError."""
        return await self.request("POST", peer, url, body=body, functional=functional)

    async def put(self, peer: Peer, url: str, body: Any, *, functional: bool = False) -> Answer:
        """PUT a JSON body; raises PeerError."""
        return await self.request("PUT", peer, url, body=body, functional=functional)

    async def patch(self, peer: Peer, url: str, body: Any, *, functional: bool = True) -> Answer:
        """PATCH with a JSON body; raises PeerError."""
        return await self.request("PATCH", peer, url, body=body, functional=functional)

    async def delete(self, peer: Peer, url: str, *, functional: bool = False) -> Answer:
        """DELETE; raises PeerError."""
        return await self.request("DELETE", peer, url, functional=functional)

    async def request(self, method: str, peer: Peer, url: str, *, body: Any = None, functional: bool, page: bool = False) -> Answer:
        """One request with its redirects, within the peer's timeout in total."""
        try:
            async with asyncio.timeout(peer.timeout):
                return await self._follow(method, peer, url, body, functional, page)
        except TimeoutError:
            if self._record is not None:
                self._record(Exchange(method, url, {}, None, error=f"no complete answer within {peer.timeout:g} s", seconds=peer.timeout))
            raise TimedOut(f"no complete answer within {peer.timeout:g} s", url=url) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, net.RefusedAddress):
                raise RefusedUrl(f"{error.host} is not called: {error.os_error}", url=url) from None
            raise Unreachable(_why_unreachable(error)[:200], url=url) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Broken(f"the connection broke: {type(error).__name__} {error}"[:200], url=url) from None
        except net.Refused as error:
            raise RefusedUrl(str(error), url=url) from None

    async def _follow(self, method: str, peer: Peer, url: str, body: Any, functional: bool, page: bool) -> Answer:
        peer = peer.correlated()
        sent = headers.outgoing(peer.version, functional=functional, own_party=peer.own_party, peer_party=peer.peer_party,
                                correlation_id=peer.correlation_id)  # fmt: skip
        sent |= {"Accept": "application/json", "Accept-Encoding": "gzip"} | peer.extra_headers
        if peer.encoding is not None:
            sent["Authorization"] = tokens.outbound_header(peer.token, peer.encoding)
        data = None
        if body is not None:
            data = jsontext.dump(body)
            sent["Content-Type"] = "application/json"
        target = url
        for _ in range(_MOST_REDIRECTS + 1):
            target = net.check_form(target, allow_private=peer.private)
            peer.sent()
            sent["X-Request-ID"] = str(uuid.uuid4())
            exchange = Exchange(method, target, dict(sent), data)
            started = time.monotonic()
            try:
                asked = self._sessions[peer.private, method == "GET"].request(
                    method, URL(target, encoded=True), headers=sent, data=data, allow_redirects=False, trace_request_ctx=exchange
                )
                async with asked as response:
                    exchange.status, exchange.headers = response.status, response.headers
                    location = response.headers.get("Location")
                    moved = response.status in _REDIRECTS and location and (response.status in (307, 308) or method in ("GET", "HEAD"))
                    if not moved:
                        exchange.body = await _bounded_body(response, PAGE_LIMIT if page else SMALL_LIMIT)
            except (aiohttp.ClientError, OSError, ValueError, NotOcpi) as error:
                self._note(exchange, started, str(error) or type(error).__name__)
                raise
            self._note(exchange, started)
            if not moved:
                return _judge(target, response, exchange.body, _page_envelope if page else _envelope, _secrets(peer, body))
            target = net.check_form(net.follow(target, str(location), peer.hosts), allow_private=peer.private)
        raise HttpFailure(f"more than {_MOST_REDIRECTS} redirects", url=url)

    def _note(self, exchange: Exchange, started: float, error: str = "") -> None:
        if self._record is not None:
            exchange.error, exchange.seconds = error, time.monotonic() - started
            self._record(exchange)


async def _count_attempt(session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestHeadersSentParams) -> None:
    context.trace_request_ctx.attempts += 1


async def _bounded_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, unpacked, at most ``limit`` bytes: a gzip bomb ends where the limit does (R200)."""
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    unpack = zlib.decompressobj(wbits=47) if packed in ("gzip", "x-gzip", "deflate") else None
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(1 << 18):
        while chunk:
            if unpack is None:
                part, chunk = chunk, b""
            else:
                try:
                    part = unpack.decompress(chunk, 1 << 20)
                except zlib.error:
                    raise NotOcpi("the answer's compression is broken", url=str(response.url), http_status=response.status) from None
                chunk = unpack.unconsumed_tail
            size += len(part)
            if size > limit:
                raise NotOcpi(f"the answer is larger than {limit} bytes", url=str(response.url), http_status=response.status)
            chunks.append(part)
    return b"".join(chunks)


class _PageEnvelope(msgspec.Struct):
    status_code: Any = None
    status_message: Any = None
    timestamp: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_pages = msgspec.json.Decoder(_PageEnvelope)


def _envelope(body: bytes) -> dict[str, Any]:
    """The decoded envelope; empty when it is none."""
    try:
        found = jsontext.parse(body)
    except jsontext.NotJson:
        return {}
    return found if isinstance(found, dict) else {}


def _page_envelope(body: bytes) -> dict[str, Any]:
    """The envelope with ``data`` as text; what only the tolerant decoder reads is written anew, and an object that is a tower is cut: the
    others of the page are not lost for it (R127)."""
    try:
        try:
            found = _pages.decode(body.removeprefix(b"\xef\xbb\xbf"))
        except RecursionError:
            found = _pages.decode(jsontext.cut(body.removeprefix(b"\xef\xbb\xbf")))
        head = {"status_code": found.status_code, "status_message": found.status_message, "timestamp": found.timestamp}
        return {**head, "data": bytes(found.data)}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        slow = _envelope(body)
        return slow | {"data": jsontext.dump(slow.get("data"))} if slow else {}


_TOKEN_MEMBER = re.compile(r'("token"\s*:\s*")[^"]*')


def _secrets(peer: Peer, body: Any) -> list[str]:
    """What no error may quote, though the platform echoes it (R12)."""
    tokens_sent = [peer.token, *([str(body["token"])] if isinstance(body, dict) and "token" in body else [])]
    encoded = [tokens.outbound_header(token, "base64").removeprefix("Token ") for token in tokens_sent]
    return [*tokens_sent, *encoded, *peer.extra_headers.values()]


def _quoted(text: str, hidden: list[str]) -> str:
    for secret in hidden:
        if secret:
            text = text.replace(secret, "…")
    return _TOKEN_MEMBER.sub(r"\1…", text)


def _judge(
    url: str, response: aiohttp.ClientResponse, body: bytes, read: Callable[[bytes], dict[str, Any]], hidden: list[str]
) -> Answer:
    """Success is HTTP 2xx and an OCPI code 1xxx (R31); anything else is an error that quotes the answer."""
    status = response.status
    known = read(body)
    code, message = _code(known.get("status_code")), known.get("status_message")
    message = message if isinstance(message, str) and message else None
    if 200 <= status < 300 and code is not None and 1000 <= code <= 1999:
        return Answer(url, status, response.headers, code, message, known.get("data"), known.get("timestamp"))
    said = _quoted(message[:1000] if message else body[:400].decode("utf-8", "replace"), hidden)[:200]
    if not 200 <= status < 300:
        detail = f"HTTP {status}" + (f" with OCPI {code}" if code else "") + (f": {said}" if said else "")
        raise HttpFailure(detail, url=url, http_status=status, status_code=code, retry_after=response.headers.get("Retry-After"))
    if code is None:
        raise NotOcpi(f"HTTP {status}, but no OCPI envelope: {said}", url=url, http_status=status)
    raise OcpiFailure(f"OCPI {code}: {said}", url=url, http_status=status, status_code=code)


_CODE = re.compile(r"\d{1,9}", re.ASCII)


def _code(value: Any) -> int | None:
    """The status code, also as text (I-12)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and _CODE.fullmatch(value.strip()) else None


def unauthorised(error: PeerError) -> bool:
    """Whether an error may mean that the token was read in the wrong form: a refusal in whatever shape (field lessons 1, I-9, I-10).

    Platforms answer a token they cannot read with 400, 401, 403 or 500, or with 200 and any failure: one library says 3000.
    """
    if isinstance(error, HttpFailure):
        return error.http_status in (400, 401, 403, 500)
    return isinstance(error, OcpiFailure | NotOcpi)
