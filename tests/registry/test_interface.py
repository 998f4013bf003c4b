"""Tokens, headers, versions and details as platforms meet them (R5–R9, R17–R24, R27, R39, R49–R54, R75, R76, I-1 to I-5)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import psycopg
import pytest

from ocpi_nap.ocpi.tokens import hash_token
from tests.interface import Ocpi
from tests.registry.stage import envelope
from tests.versions import VERSIONS, each

ROUTING = ("ocpi-from-country-code", "ocpi-from-party-id", "ocpi-to-country-code", "ocpi-to-party-id")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def forms(token: str) -> list[str]:
    """Every form of a token that is read (D2, I-1 to I-3)."""
    encoded = base64.b64encode(token.encode()).decode()
    safe = base64.urlsafe_b64encode(token.encode()).decode()
    line = base64.b64encode(f"{token}\r\n".encode()).decode()
    return [f"Token {token}", f"token {token}", f"TOKEN   {token}", token, f"Token {encoded}", encoded, f"Token {encoded.rstrip('=')}",
            f"Token {safe}", f"Token {line}"]  # fmt: skip


@pytest.mark.holds("R5", "R6", "R9", "R53", "I-1", "I-2", "I-3")
@each
async def test_every_form_of_a_token(ocpi: Ocpi, version: str) -> None:
    """Plain and encoded, whatever the version; encoded twice is no token."""
    token = await ocpi.platform(version)
    await ocpi.platform(version, "XYZ")
    for header in forms(token):
        for name in ("authorization", "Authorization", "AUTHORIZATION"):
            reply = await ocpi.send("GET", f"{version}/credentials", token="", headers={"authorization": "", name: header})
            assert envelope(reply)["token"] == token, header
    twice = base64.b64encode(base64.b64encode(token.encode())).decode()
    for header in (f"Token {twice}", f"Bearer {token}", f"Basic {token}", f"Token {token.upper()}", f"Token {token} x"):
        envelope(await ocpi.send("GET", "versions", token="", headers={"authorization": header}), 401, 2000)


@pytest.mark.holds("R5", "R97", "I-4")
@each
async def test_a_plain_token_that_is_base64(ocpi: Ocpi, version: str) -> None:
    """2.1.1's own example: the literal reading comes first, and GET credentials answers that one."""
    token = "IpbJOXxkxOAuKR92z0nEcmVF3Qw09VG7I7d/WCg0koM="
    await ocpi.platform(version)
    await ocpi.db.execute("UPDATE token SET hash = %s", (hash_token(token),))
    for header in (token, base64.b64encode(token.encode()).decode()):
        assert envelope(await ocpi.send("GET", f"{version}/credentials", token=header))["token"] == token
    readable = base64.b64encode(b"plain-text").decode()
    await ocpi.db.execute("UPDATE token SET hash = %s", (hash_token(readable),))
    assert envelope(await ocpi.send("GET", f"{version}/credentials", token=readable))["token"] == readable


@pytest.mark.holds("R7", "R12", "R17", "R18", "R27", "R21")
@each
async def test_without_a_token(ocpi: Ocpi, version: str) -> None:
    """401 with the scheme, before anything else is looked at; the answer quotes nothing."""
    requests = [("GET", "versions", b""), ("GET", version, b""), ("GET", "nothing", b""), ("PUT", f"{version}/credentials", b"{"),
                ("BREW", f"{version}/locations/FI/%FF/x", b"{"), ("PUT", f"{version}/locations", b"x" * 200_000)]  # fmt: skip
    for method, path, body in requests:
        reply = await ocpi.send(method, path, body, token="unknown-secret")
        envelope(reply, 401, 2000)
        assert reply.headers["www-authenticate"] == "Token" and b"unknown-secret" not in reply.body
        routed = "locations" in path and version != "2.1.1"
        assert ("ocpi-from-party-id" in reply.headers) is routed and "ocpi-to-party-id" not in reply.headers


ERRORS: list[tuple[str, str, Any, int]] = [
    ("GET", "versions", b"", 200), ("POST", "versions", b"", 405), ("GET", "nothing", b"", 404),
    ("GET", "{}/locations/FI/ABC/L1", b"", 404), ("PUT", "{}/locations/FI/ABC/L1", b"{", 400),
    ("PUT", "{}/locations/FI/ABC/L1", {}, 200), ("PUT", "{}/locations/FI/XYZ/L1", {}, 404),
    ("DELETE", "{}/locations/FI/ABC/L1", b"", 405), ("PUT", "{}/locations/FI/ABC/L1", b"x" * 100_001, 413),
    ("PUT", "{}/credentials", {}, 200), ("PATCH", "{}/credentials", {}, 405), ("GET", "2.0/credentials", b"", 404),
    ("GET", "{}/locations/FI/%FF/L1", b"", 404),
]  # fmt: skip


@pytest.mark.holds("R17", "R18", "R20", "R21", "R23", "R27", "R54", "I-14")
@each
async def test_ids_and_routing_on_every_answer(ocpi: Ocpi, version: str) -> None:
    """Both ids repeated or made, on errors too; routing headers on functional modules from 2.2.1 on, never elsewhere."""
    token = await ocpi.platform(version)
    for method, path, body, status in ERRORS:
        path = path.format(version)
        sent = {"x-request-id": "r-1", "x-correlation-id": "c-1", "ocpi-from-country-code": "FI", "ocpi-from-party-id": "ABC"}
        reply = await ocpi.send(method, path, body, token=token, headers=sent)
        assert reply.status == status and json.loads(reply.body)["timestamp"]
        assert (reply.headers["x-request-id"], reply.headers["x-correlation-id"]) == ("r-1", "c-1")
        found = tuple(reply.headers.get(name) for name in ROUTING)
        assert found == (("FI", "NAP", "FI", "ABC") if "/locations" in path and version != "2.1.1" else (None,) * 4)
        bare = await ocpi.send(method, path, body, token=token)
        assert UUID.fullmatch(bare.headers["x-request-id"]) and UUID.fullmatch(bare.headers["x-correlation-id"])
        if "ocpi-to-party-id" in bare.headers:
            assert (bare.headers["ocpi-to-country-code"], bare.headers["ocpi-to-party-id"]) == ("FI", "PLT")
    for odd in ("x" * 256, "", "a b", "é", "tab\t"):
        reply = await ocpi.send("GET", "versions", token=token, headers={"x-request-id": odd})
        assert UUID.fullmatch(reply.headers["x-request-id"])
    assert (await ocpi.send("GET", "versions", token=token, headers={"x-request-id": "x" * 255})).headers["x-request-id"] == "x" * 255


@pytest.mark.holds("R22", "R24", "I-15")
@pytest.mark.parametrize("version", VERSIONS[1:])
async def test_routing_headers_decide_nothing(ocpi: Ocpi, version: str) -> None:
    """Missing, wrong or unreadable: the token says who calls, the object whose it is."""
    from tests.e2e.cpo import location

    token = await ocpi.platform(version, "ABC", "DEF")
    wrong = [{}, {"ocpi-from-party-id": "XYZ", "ocpi-from-country-code": "SE"}, {"ocpi-to-party-id": "ZZZ", "ocpi-from-party-id": "\u00e9"}]
    for n, headers in enumerate(wrong):
        for party in ("ABC", "DEF"):
            body = location(version, n, party)
            reply = await ocpi.send("PUT", f"{version}/locations/FI/{party}/L{n}", body, token=token, headers=headers)
            assert reply.status == 201
    envelope(await ocpi.send("GET", f"{version}/credentials", token=token, headers=wrong[1]))


@pytest.mark.holds("R49", "R50", "R51", "R52", "R53", "R64", "I-19", "I-27", "R37")
@each
async def test_versions_and_details(ocpi: Ocpi, version: str) -> None:
    """Absolute URLs of the setting, not of the request; Receivers only; any slash; other methods and versions refused."""
    token = await ocpi.platform(version)
    for path in ("versions", "versions/"):
        listed = envelope(await ocpi.send("GET", path, token=token, headers={"host": "internal.example:8080"}))
        assert {entry["version"]: entry["url"] for entry in listed} == {v: f"https://nap.example/ocpi/{v}" for v in VERSIONS}
    base = f"https://nap.example/ocpi/{version}"
    details = envelope(await ocpi.send("GET", f"{version}/", token=token))
    found = [(e["identifier"], e.get("role"), e["url"]) for e in details["endpoints"]]
    if version == "2.1.1":
        assert found == [("credentials", None, f"{base}/credentials"), ("locations", None, f"{base}/locations")]
    else:
        assert found == [("credentials", "SENDER", f"{base}/credentials"), ("locations", "RECEIVER", f"{base}/locations"),
                         ("tariffs", "RECEIVER", f"{base}/tariffs")]  # fmt: skip
    assert details["version"] == version
    for method, path in (("POST", "versions"), ("DELETE", "versions"), ("PUT", version)):
        reply = await ocpi.send(method, path, {}, token=token)
        envelope(reply, 405, 2000)
        assert reply.headers["allow"] == "GET"
    for path in ("2.0", "2.2", "9.9/credentials"):
        envelope(await ocpi.send("GET", path, token=token), 404, 3002)
    twice = await ocpi.platform(version, "TWO", list_credentials_twice=True)
    roles = [e.get("role") for e in envelope(await ocpi.send("GET", version, token=twice))["endpoints"] if e["identifier"] == "credentials"]
    assert roles == ([None] if version == "2.1.1" else ["SENDER", "RECEIVER"])


@pytest.mark.holds("R53", "R75", "R76")
@each
async def test_a_pending_token(ocpi: Ocpi, version: str) -> None:
    """While our POST is open: the chosen version, its details and GET credentials; afterwards, known or not, everything."""
    token = await ocpi.platform(version)
    await ocpi.db.execute("UPDATE token SET state = 'pending'")
    await ocpi.db.execute("UPDATE platform SET state = 'registering'")
    assert [entry["version"] for entry in envelope(await ocpi.send("GET", "versions", token=token))] == [version]
    envelope(await ocpi.send("GET", version, token=token))
    other = next(v for v in VERSIONS if v != version)
    envelope(await ocpi.send("GET", other, token=token), 404, 2000)
    assert envelope(await ocpi.send("GET", f"{version}/credentials", token=token))["token"] == token
    for method in ("POST", "PUT", "DELETE"):
        envelope(await ocpi.send(method, f"{version}/credentials", {}, token=token), 405, 2000)
    modules = ["locations"] if version == "2.1.1" else ["locations", "tariffs"]
    for module in modules:
        envelope(await ocpi.send("GET", f"{version}/{module}/FI/ABC/X", token=token), 401, 2000)
    await ocpi.db.execute("UPDATE platform SET state = 'unknown'")
    for module in modules:
        assert (await ocpi.send("GET", f"{version}/{module}/FI/ABC/X", token=token)).status == 404


@pytest.mark.holds("R39")
@each
async def test_our_faults(ocpi: Ocpi, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """500, or 503 with Retry-After while the database is away; always an envelope with 3000."""
    token = await ocpi.platform(version)
    for error, status in ((RuntimeError("bug"), 500), (psycopg.OperationalError("gone"), 503)):

        async def fails(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        for owner, name in ((ocpi.receiver, "get"), (ocpi.app._authenticator, "authenticate")):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, fails)
                reply = await ocpi.send("GET", f"{version}/locations/FI/ABC/L1", token=token)
            envelope(reply, status, 3000)
            assert ("retry-after" in reply.headers) is (status == 503) and b"bug" not in reply.body
