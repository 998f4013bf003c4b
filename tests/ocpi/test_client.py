"""Our requests: their headers, where a token may go, what counts as success (R1, R13–R31, R60, R65, R70, I-9 to I-18)."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi import net, paging
from ocpi_nap.ocpi.client import HttpFailure, NotOcpi, OcpiClient, OcpiFailure, Peer, PeerError, RefusedUrl, Unreachable, unauthorised
from ocpi_nap.ocpi.discovery import discover
from ocpi_nap.ocpi.links import next_link
from ocpi_nap.ocpi.paging import Crawler
from tests.aiohttp_server import served
from tests.versions import each

IDS = ("X-Request-ID", "X-Correlation-ID")
ROUTING = ("OCPI-from-country-code", "OCPI-from-party-id", "OCPI-to-country-code", "OCPI-to-party-id")
OK = {"status_code": 1000, "data": [], "timestamp": "2026-01-01T00:00:00Z"}
Handler = Callable[[web.Request], web.StreamResponse]


class Server:
    """Answers with the handler of the moment; keeps the requests."""

    def __init__(self) -> None:
        self.handler: Handler = lambda r: web.json_response(OK)
        self.requests: list[web.Request] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        await request.read()
        return self.handler(request)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    async with served(server.serve, tls) as server.url:
        yield server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


@pytest.fixture
async def client() -> AsyncIterator[OcpiClient]:
    made = await OcpiClient.open()
    yield made
    await made.close()


def peer(version: str, **more: Any) -> Peer:
    encoding = "raw" if version == "2.1.1" else "base64"
    return Peer(token="t-1", encoding=encoding, own_party=("FI", "NAP"), peer_party=("FI", "PLT"), version=version, private=True, **more)


async def stay(_: float) -> None:
    return None


@pytest.mark.holds("R1", "R2", "R3", "R15", "R16", "R19", "R20", "R23", "R25")
@each
async def test_headers(server: Server, client: OcpiClient, version: str) -> None:
    """The token on every request, fresh message ids, routing headers on functional modules from 2.2.1 on only, content types."""
    calling = peer(version)
    await client.get(calling, f"{server.url}/versions", functional=False)
    await client.post(calling, f"{server.url}/credentials", {"token": "b"})
    await client.put(calling, f"{server.url}/credentials", {"token": "b"})
    await client.delete(calling, f"{server.url}/credentials")
    await client.get(calling, f"{server.url}/locations")
    await client.get(replace(calling, peer_party=("FI", "ABC")), f"{server.url}/locations")
    expected = "Token t-1" if version == "2.1.1" else "Token dC0x"
    assert [request.headers["Authorization"] for request in server.requests] == [expected] * 6
    assert all(request.headers["Accept"] == "application/json" for request in server.requests)
    assert [request.headers.get("Content-Type") for request in server.requests[1:3]] == ["application/json"] * 2
    ids = [request.headers[name] for request in server.requests for name in IDS]
    assert len(set(ids)) == len(ids) == 12 and all(len(value) == 36 for value in ids)
    assert not any(name in request.headers for request in server.requests[:4] for name in ROUTING)
    sent = [[request.headers.get(name) for name in ROUTING] for request in server.requests[4:]]
    routed = [["FI", "NAP", "FI", "PLT"], ["FI", "NAP", "FI", "ABC"]]
    assert sent == ([[None] * 4] * 2 if version == "2.1.1" else routed)


@pytest.mark.holds("R15", "R16", "I-20", "I-65")
@each
async def test_retries_are_correlated(server: Server, client: OcpiClient, version: str) -> None:
    """A page that is asked for again, in its form after a redirect too: a new request id, the same correlation id."""
    answers: list[Handler] = [
        lambda r: web.Response(status=503), lambda r: web.Response(status=429, headers={"Retry-After": "1"}),
        lambda r: web.Response(text='{"status_code": 1000, "data": [{'),
        lambda r: web.Response(status=307, headers={"Location": "/locations?moved=1"}), lambda r: web.json_response(OK),
    ]  # fmt: skip
    server.handler = lambda r: answers.pop(0)(r)
    pages = [page async for page in Crawler(client, peer(version), f"{server.url}/locations", PlatformSettings(), sleep=stay).pages()]
    assert pages == [] and len(server.requests) == 5
    assert len({request.headers["X-Request-ID"] for request in server.requests}) == 5
    assert len({request.headers["X-Correlation-ID"] for request in server.requests}) == 1


ANSWERS: list[tuple[str, Any, type[PeerError] | None]] = [
    ("plain", OK, None), ("19xx", {**OK, "status_code": 1999}, None), ("code as text", {**OK, "status_code": "1000"}, None),
    ("no message, no timestamp", {"status_code": 1000, "data": []}, None), ("message null", {**OK, "status_message": None}, None),
    ("more members", {**OK, "x": {"y": 1}}, None), ("no data", {"status_code": 1000}, None),
    ("2000", {**OK, "status_code": 2000}, OcpiFailure), ("3000", {**OK, "status_code": 3000}, OcpiFailure),
    ("200", {**OK, "status_code": 200}, OcpiFailure), ("a list", [], NotOcpi), ("no code", {"data": []}, NotOcpi),
    ("code null", {**OK, "status_code": None}, NotOcpi), ("code true", {**OK, "status_code": True}, NotOcpi),
]  # fmt: skip


@pytest.mark.holds("R30", "R31", "I-10", "I-12", "I-13")
@pytest.mark.parametrize(("body", "error"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS])
@each
async def test_what_is_success(server: Server, client: OcpiClient, version: str, body: Any, error: type[PeerError] | None) -> None:
    """HTTP 2xx with 1xxx, however it is written; anything else says what came."""
    server.handler = lambda r: web.json_response(body, status=201)
    if error is None:
        assert (await client.get(peer(version), server.url)).status == 201
    else:
        with pytest.raises(error):
            await client.get(peer(version), server.url)
    server.handler = lambda r: web.json_response(body, status=404)
    with pytest.raises(HttpFailure):
        await client.get(peer(version), server.url)


@pytest.mark.holds("I-10", "I-1")
@each
@pytest.mark.parametrize("code", [2000, 2001])
async def test_unauthorised_as_200(server: Server, client: OcpiClient, version: str, code: int) -> None:
    """During discovery it is a 401: the other form of the token is tried."""

    def answer(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Token t-1":
            return web.json_response({"status_code": code, "status_message": "Unauthorized"})
        names = ("credentials", "locations")
        endpoints = [{"identifier": name, "role": "SENDER", "url": f"{server.url}/{name}"} for name in names]
        return web.json_response({**OK, "data": {"endpoints": endpoints, "versions": [{"version": version, "url": f"{server.url}/v"}]}})

    server.handler = answer
    found = await discover(client, peer(version), f"{server.url}/versions", ["base64", "raw"], PlatformSettings())
    assert found.encoding == "raw"


@pytest.mark.holds("I-9", "I-11")
@each
async def test_errors_that_are_not_ocpi(server: Server, client: OcpiClient, version: str) -> None:
    """The HTTP status counts first; what came is quoted, and an envelope is read where there is one."""
    answers = [('{"error": "denied"}', "application/json", 401), ("<html>no</html>", "text/html", 404), ("", "text/plain", 500)]
    for text, kind, status in answers:
        server.handler = lambda r, t=text, k=kind, s=status: web.Response(text=t, content_type=k, status=s)  # type: ignore[misc]
        with pytest.raises(HttpFailure) as caught:
            await client.get(peer(version), server.url)
        assert caught.value.http_status == status and text in caught.value.message
        assert unauthorised(caught.value) is (status != 404)
    server.handler = lambda r: web.json_response({"status_code": 2001, "status_message": "limit"}, status=422)
    with pytest.raises(HttpFailure, match="OCPI 2001: limit"):
        await client.get(peer(version), server.url)


@pytest.mark.holds("R14", "R65", "I-17")
@each
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects(server: Server, client: OcpiClient, version: str, status: int) -> None:
    """At most five, with the token each time; a POST by 307 and 308 only; never to a host that is not the platform's."""

    def hop(request: web.Request) -> web.Response:
        left = int(request.query.get("left", 0))
        return web.Response(status=status, headers={"Location": f"/x?left={left - 1}"}) if left else web.json_response(OK)

    server.handler = hop
    assert (await client.get(peer(version), f"{server.url}/x?left=5")).url.endswith("left=0")
    assert len({request.headers["Authorization"] for request in server.requests}) == 1
    with pytest.raises(HttpFailure):
        await client.get(peer(version), f"{server.url}/x?left=6")
    if status in (307, 308):
        await client.post(peer(version), f"{server.url}/x?left=1", {"a": 1})
        assert [request.method for request in server.requests[-2:]] == ["POST", "POST"]
    else:
        with pytest.raises(HttpFailure):
            await client.post(peer(version), f"{server.url}/x?left=1", {"a": 1})
    async with serving() as other:
        server.handler = lambda r: web.Response(status=status, headers={"Location": other.url})
        with pytest.raises(RefusedUrl, match="another host"):
            await client.get(peer(version), server.url)
        assert other.requests == []
        allowed = peer(version, hosts=frozenset({net.host_of(other.url)}))
        assert (await client.get(allowed, server.url)).status == 200


@pytest.mark.holds("R60", "I-16")
@each
async def test_urls_as_given(server: Server, client: OcpiClient, version: str) -> None:
    """Queries, escapes and trailing slashes are sent as they stand; object URLs get one slash and quoted ids."""
    for path in ("/a/?key=x%2Fy&z=", "/a//b/", "/%7Euser/%2A"):
        await client.get(peer(version), server.url + path)
        assert server.requests[-1].raw_path == path
    quoted = "/loc/FI%2A1%2F2/%C3%84%20"
    for base, expected in (("/loc", quoted), ("/loc/", quoted), ("/loc/?k=1", f"{quoted}?k=1")):
        await client.get(peer(version), client.object_url(server.url + base, "FI*1/2", "Ä "))
        assert server.requests[-1].raw_path == expected


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS with a certificate that only its own client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cpo.test")])
    now, here = datetime.datetime.now(datetime.UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([here, *map(x509.DNSName, names)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "cpo.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(path)
    return served, ssl.create_default_context(cafile=str(path))


@pytest.mark.holds("R13", "R14", "R65", "R115", "I-18")
@each
async def test_tls(client: OcpiClient, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody vouches for ends the call before the token is sent; http becomes https on the same host, and is not
    followed to another."""
    served, trusting = certificate(tmp_path)
    async with serving(served) as server:
        with pytest.raises(Unreachable):
            await client.get(peer(version), server.url)
        assert server.requests == []
        ours = await OcpiClient.open(tls=trusting)
        plain = server.url.replace("https", "http")

        def answer(request: web.Request) -> web.Response:
            if request.path == "/moved":
                return web.Response(status=307, headers={"Location": f"{plain}/versions"})
            endpoints = [{"identifier": name, "role": "SENDER", "url": f"{plain}/{name}"} for name in ("credentials", "locations")]
            return web.json_response({**OK, "data": {"versions": [{"version": version, "url": f"{plain}/v"}], "endpoints": endpoints}})

        monkeypatch.setattr(net, "_is_public", lambda address: True)
        async with serving() as other:
            elsewhere = other.url.replace("127.0.0.1", "localhost")
            server.handler = lambda r: web.Response(status=307, headers={"Location": f"{elsewhere}/versions"})
            strict = replace(peer(version, hosts=frozenset({net.host_of(elsewhere)})), private=False)
            with pytest.raises(RefusedUrl, match="not https"):
                await ours.get(strict, f"{server.url}/moved")
            assert other.requests == []
        server.handler = answer
        found = await discover(ours, peer(version), f"{server.url}/moved", ["raw"], PlatformSettings())
        assert found.endpoints == {name: f"{server.url}/{name}" for name in ("credentials", "locations")}
        await ours.close()


@pytest.mark.holds("R14", "R70", "I-18")
@each
@pytest.mark.parametrize(
    "url",
    ["http://cpo.example/x", "https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/x",
     "https://localhost/x", "ftp://cpo.example/x", "/x", "x", "", "https://user:password@cpo.example/x", "https://cpo.example:x/"],
)  # fmt: skip
async def test_urls_that_are_not_called(client: OcpiClient, version: str, url: str) -> None:
    """Where private networks are not allowed: https to the public Internet only."""
    with pytest.raises(RefusedUrl):
        await client.get(replace(peer(version), private=False), url)


@pytest.mark.holds("R70", "R14", versions="all")
@pytest.mark.parametrize(
    ("address", "public"),
    [("8.8.8.8", True), ("2a00:1450::1", True), ("10.1.2.3", False), ("127.0.0.1", False), ("169.254.169.254", False), ("0.0.0.0", False),
     ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False), ("fd00::1", False),
     ("fe80::1%eth0", False), ("fec0::1", False), ("ff02::1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False),
     ("64:ff9b::808:808", True), ("2002:7f00:1::", False)],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    """Those of the public Internet, and of an IPv4 address in another form what it stands for."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    info = (family, socket.SOCK_STREAM, 0, "", (address, 443))
    if public:
        net.public_socket(info).close()
    else:
        with pytest.raises(net.RefusedAddress):
            net.public_socket(info)


class Names:
    """Gives a name the next of its addresses each time it is looked up, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.left, self.asked = list(addresses), 0
        real = socket.getaddrinfo

        def look_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
            if host not in ("rebind.example", b"rebind.example"):
                return real(host, port, *rest, **more)
            self.asked += 1
            address = self.left.pop(0) if len(self.left) > 1 else self.left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.holds("R70", "R14")
@each
async def test_a_name_that_changes_its_address(client: OcpiClient, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public when it is looked at, our own when it is connected to: no connection is made."""
    connected: list[Any] = []
    inside = await asyncio.start_server(lambda reader, writer: connected.append(writer), "127.0.0.1", 0)
    port = inside.sockets[0].getsockname()[1]
    names = Names(monkeypatch, "8.8.8.8", "127.0.0.1")
    url = f"https://rebind.example:{port}/versions"
    await net.check_address(url, allow_private=False)
    with pytest.raises(RefusedUrl, match="private network"):
        await client.get(replace(peer(version), private=False, timeout=5), url)
    assert names.asked >= 2 and connected == []
    inside.close()


@pytest.mark.holds("R70", "R14", "R65")
@each
async def test_redirects_into_our_network(tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform of the public Internet that leads to a name with an address of ours, to plain http, or to a user's password."""
    served, trusting = certificate(tmp_path, "rebind.example")
    ours = await OcpiClient.open(tls=trusting)
    async with serving(served) as server:
        port = server.url.rpartition(":")[2]
        for names, location, told in (
            (("127.0.0.1",), f"https://rebind.example:{port}/x", "private network"),
            (("8.8.8.8",), "http://rebind.example/x", "not https"),
            (("8.8.8.8",), "https://a:b@rebind.example/x", "password"),
            (("8.8.8.8",), "https://[/x", "usable"),
        ):
            Names(monkeypatch, *names)
            server.handler = lambda r, to=location: web.Response(status=307, headers={"Location": to})  # type: ignore[misc]
            server.requests.clear()
            # The first hop is let through, as a public platform's would be; what it leads to is judged as any other.
            monkeypatch.setattr(net, "_is_public", _only_the_first(net._is_public))
            with pytest.raises(RefusedUrl, match=told):
                hosts = frozenset({"rebind.example", f"rebind.example:{port}"})
                await ours.get(replace(peer(version), private=False, timeout=5, hosts=hosts), server.url)
            assert len(server.requests) == 1
            monkeypatch.undo()
    await ours.close()


def _only_the_first(judge: Callable[[str], bool]) -> Callable[[str], bool]:
    answers = [True]
    return lambda address: answers.pop() if answers else judge(address)


@pytest.mark.holds("I-49", "R114", "R200", versions="all")
def test_links_of_blanks_and_brackets() -> None:
    """Read once from left to right, whatever they are made of."""
    for text in ("rel" + " " * 8000, "rel=" + " " * 8000 + "x", "<" * 8000, "<a" * 4000, '<a>; rel="' + "\u201c" * 8000, ", " * 4000):
        assert next_link([text] * 4) is None
    assert next_link(["<" * 8000 + 'https://a.example/2>; rel="next"']) == "https://a.example/2"


@pytest.mark.holds("R129", "I-20", versions="all")
@pytest.mark.parametrize(
    "text",
    ["", "x", "-5", "1e9", "9" * 400, "Mon, 01 Jan 0001 00:00:00 -2359", "1 1 1 1 1", "a.b.c.d", "Fri, 31 Dec 9999 23:59:59 -1200",
     "0.0.0.0 0 0 0 0", "Mon", "\u00b2", "1 Jan 2026 1.2.3.4 +0"],
)  # fmt: skip
def test_waits_that_are_none(text: str) -> None:
    """Whatever stands in Retry-After: a number of seconds, ten minutes at most."""
    assert 0 <= paging._wait(text, 1) <= 600
