"""What a running service offers beside the main path: a simulated platform, MQTT over WebSocket, documentation, health, commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.conftest import Nap
from tests.e2e.cpo import Cpo, location
from tests.e2e.reading import API, count, first_over_websocket, read
from tests.feed.test_outbox import MOSQUITTO
from tests.ports import free_port
from tests.versions import each


@asynccontextmanager
async def simulated(nap: Nap, folder: Path, port: int, *arguments: str) -> AsyncIterator[list[str]]:
    """`ocpi-nap simulate` with one small platform; yields the arguments that onboard it."""
    command = [
        sys.executable, "-m", "ocpi_nap", "simulate", "--port", str(port), "--state-dir", str(folder), "--locations", "20", "--evses", "60",
        "--connectors", "70", "--tariffs", "5", "--rate", "20", *arguments,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, env=nap.environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        first = await asyncio.wait_for(process.stdout.readline(), 20)
        assert b"onboard it with" in first
        yield shlex.split((await process.stdout.readline()).decode())[3:]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0


class Wire:
    """A connection of bytes, and the answers on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, nap: Nap) -> Wire:
        return cls(*await asyncio.open_connection("127.0.0.1", int(nap.url.rpartition(":")[2])))

    async def ask(self, head: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Send a request, its body once the head was read; status and envelope."""
        self._writer.write(head.replace("\n", "\r\n").encode() + (b"\r\nExpect: 100-continue" if body else b"") + b"\r\n\r\n")
        if body:
            assert b" 100 " in await self._head()
            self._writer.write(body)
        answer = (await self._head()).decode()
        length = re.search(r"content-length: (\d+)", answer)
        assert length is not None
        return int(answer.split()[1]), json.loads(await self._reader.readexactly(int(length[1])))

    async def _head(self) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)


async def test_http_as_clients_write_it(nap: Nap) -> None:
    """Field lessons 2 and 8, R27: an offer of h2c changes nothing, non-ASCII paths are read, no HTTP is told as an envelope."""
    cpo = await Cpo("2.2.1", encoding="base64").start()
    await nap.onboard(cpo)
    body = json.dumps(location("2.2.1", 5) | {"id": "Pöytä"}).encode()
    head = f"PUT /ocpi/2.2.1/locations/FI/ABC/Pöytä HTTP/1.1\nHost: nap\nAuthorization: {cpo.header(cpo.token_b)['Authorization']}\n"
    head += f"Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAEAAEAAAAIAAAAB\nContent-Length: {len(body)}"
    wire = await Wire.open(nap)
    for expected in (201, 200):
        status, envelope = await wire.ask(head, body)
        assert (status, envelope["status_code"]) == (expected, 1000)
    assert (await cpo.push("GET", "FI/ABC/P%C3%B6yt%C3%A4"))[1]["data"]["id"] == "Pöytä"
    status, envelope = await (await Wire.open(nap)).ask("no HTTP")
    assert (status, envelope["status_code"]) == (400, 2000)
    await cpo.stop()


@each
async def test_a_simulated_platform(nap: Nap, tmp_path: Path, version: str) -> None:
    """The simulator is onboarded as it says, pulled, and its live changes reach MQTT over WebSocket; it resumes after a restart."""
    port, options = free_port(), ("--version", version, "--token-encoding", "raw" if version == "2.1.1" else "base64")
    async with simulated(nap, tmp_path, port, *options) as arguments:
        await nap.cli("platform", "add", *arguments)
        await nap.cli("platform", "register", "sim")
        async with asyncio.timeout(30):
            while await count(nap, "locations/statuses", "statuses") < 60:
                pass
        assert await count(nap, "locations", "features") == 20
        assert await count(nap, "tariffs", "tariffs") == (0 if version == "2.1.1" else 5)
        topic, payload = await asyncio.wait_for(first_over_websocket(nap), 20)
        assert topic.startswith("status-v1/FI/SIM/SIM-") and set(payload) == {"status", "time"}
        await _conforms(nap)
    async with simulated(nap, tmp_path, port, *options):
        assert "0 withdrawn" in await nap.cli("platform", "pull", "sim", "--full")  # its token C still works


def _certificate(folder: Path) -> None:
    """A key and a certificate for localhost that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, bare))


async def test_a_broker_of_its_own_with_tls(dsn: str, tmp_path: Path) -> None:
    """Published to and relayed at /mqtt as OCPI_NAP_MQTT_URL says, over TLS with a login."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian package mosquitto)")
    _certificate(tmp_path)
    port, broker_port, simulator_port = free_port(), free_port(), free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {broker_port} 127.0.0.1\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\nallow_anonymous true\nuser root\n"
    )
    broker = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", str(config), stderr=subprocess.DEVNULL)
    environment = {
        **os.environ, "OCPI_NAP_DATA_DIR": str(tmp_path / "data"), "OCPI_NAP_DATABASE_URL": dsn, "OCPI_NAP_ALLOW_PRIVATE_NETWORKS": "1",
        "OCPI_NAP_PUBLIC_URL": f"http://127.0.0.1:{port}", "SSL_CERT_FILE": str(tmp_path / "cert.pem"),
        "OCPI_NAP_MQTT_URL": f"mqtts://nap:secret@localhost:{broker_port}",
    }  # fmt: skip
    nap = Nap(f"http://127.0.0.1:{port}", broker_port, environment, tmp_path / "serve.log", workers=1)
    try:
        nap.start()
        options = ("--version", "2.2.1", "--token-encoding", "base64")
        async with simulated(nap, tmp_path / "simulator", simulator_port, *options) as arguments:
            await nap.cli("platform", "add", *arguments)
            await nap.cli("platform", "register", "sim")
            topic, payload = await asyncio.wait_for(first_over_websocket(nap), 40)
        assert topic.startswith("status-v1/FI/SIM/") and set(payload) == {"status", "time"}
        for wrong in ("http://localhost:1883", "mqtt://", "localhost"):
            assert "OCPI_NAP_MQTT_URL is not valid" in await replace(nap, environment=environment | {"OCPI_NAP_MQTT_URL": wrong}).cli(
                "serve", "--port", str(free_port()), status=1
            )
    finally:
        nap.stop()
        broker.terminate()
        await asyncio.wait_for(broker.wait(), 10)


async def _conforms(nap: Nap) -> None:
    """Every answer is what the OpenAPI document says."""
    document = json.loads((await read(nap, "/swagger/openapi.json"))[2])
    for path in ("operators", "locations", "locations/all", "locations/statuses", "locations/statuses/all", "tariffs", "tariffs/all",
                 "changes?since=0"):  # fmt: skip
        described = document["paths"][f"{API}/{path.partition('?')[0]}"]["get"]["responses"]
        assert set(described) >= {"200", "429", "503"} and "RateLimit" in described["200"]["headers"]
        answers = described["200"]["content"]
        schemas = [content["schema"] for content in answers.values() if content.get("schema")]
        assert schemas, path
        body = json.loads((await read(nap, f"{API}/{path}"))[2])
        for schema in schemas:
            jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(body)


async def test_documentation_health_and_metrics(nap: Nap) -> None:
    """Swagger UI with its assets from here, /healthz, /metrics, and pages that are not there."""
    status, kind, page = await read(nap, "/swagger/")
    assert (status, kind) == (200, "text/html; charset=utf-8") and b"https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert asset.encode() in page
        assert (await read(nap, f"/swagger/{asset}"))[0] == 200
    assert json.loads((await read(nap, "/healthz"))[2]) == {"status": "ok"}
    await read(nap, "/ocpi/versions")
    for number in range(2):  # as many paths as there are locations, or as somebody makes up, are one route
        await read(nap, f"{API}/locations/FI*ABC/none{number}")
        await read(nap, f"{API}/made-up/{number}")
    for _ in range(3):  # whichever worker answers, it tells of all
        metrics = (await read(nap, "/metrics"))[2].decode()
        assert 'ocpi_nap_ocpi_requests_total{method="GET",module="-",status="401",version="-"} 1.0' in metrics
        assert f'ocpi_nap_api_answers_total{{path="{API}/locations/{{operator}}/{{location_id:path}}",status="404"}} 2.0' in metrics
        assert 'ocpi_nap_api_answers_total{path="other",status="404"} 2.0' in metrics
    assert (await read(nap, "/nothing"))[0] == 404


GUIDE = Path(__file__).resolve().parents[2] / "docs/data.md"


async def test_the_guide_for_data_users(nap: Nap, tmp_path: Path) -> None:
    """Each address in docs/data.md answers as printed there (… stands for anything), and the Python examples run."""
    cpo = await Cpo("2.3.0", count=1).start()
    await nap.onboard(cpo)
    async with asyncio.timeout(30):
        while not await count(nap, "locations", "features") or not await count(nap, "tariffs", "tariffs"):
            pass
    guide = GUIDE.read_text().replace("http://127.0.0.1:8000", nap.url)
    examples = re.findall(r"```console\n\$ curl (.*?)\"?(http\S+?)\"?\n(.*?)\n```", guide, re.DOTALL)
    assert len(examples) == 11
    for options, url, printed in examples:
        accepted = {"Accept-Encoding": "gzip" if "--compressed" in options else "identity"}
        status, _, body = await read(nap, url.removeprefix(nap.url), **accepted)
        answer = str(status) if "http_code" in options else body.decode()
        assert re.fullmatch(".*".join(re.escape(part) for part in printed.split("…")), answer, re.DOTALL), (url, answer)
    codes = [code for code in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "/stream/" not in code and "status-v1" not in code]
    for code, printed in zip(codes, ("Abc Lataus 1 22000\n", "Asema 0 1/1 free\n"), strict=True):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE, cwd=tmp_path)
        out, _ = await process.communicate()
        assert out.decode() == printed
    await cpo.stop()


async def test_commands(nap: Nap) -> None:
    """Every command says in one plain sentence on stderr what is wrong, and ends with status 0 only when it worked."""
    add = ["platform", "add", "acme", "--versions-url", f"{nap.url}/none", "--token", "a", "--party-id", "PLT", "--country-code", "FI"]
    wrong = await nap.cli(*add, status=1)
    assert wrong.startswith("OPERATOR: at least one operator is required")
    assert (await nap.cli(*add[:3], status=1)).startswith("--versions-url is required")
    assert "page_size" in await nap.cli(*add, "--operator", "FI*ABC;Abc", "--set", "page_size=x", status=1)
    await nap.cli(*add, "--operator", "FI*ABC;Abc;https://abc.example", "--environment", "test", "--set", "strict_patch=true")
    assert "exists already" in await nap.cli(*add, "--operator", "FI*XYZ;Xyz", status=1)
    failed = await nap.cli("platform", "register", "acme", status=1)
    assert failed.splitlines()[1].startswith("Step: versions") and "Traceback" not in failed
    shown = json.loads(await nap.cli("platform", "show", "acme", "--json"))
    assert (shown["state"], shown["environment"], shown["settings"]["strict_patch"]) == ("failed", "test", True)
    assert shown["last_error"]["step"] == "versions"
    assert "not registered" in await nap.cli("platform", "pull", "acme", status=1)
    assert "no platform named" in await nap.cli("platform", "show", "nobody", status=1)
    assert "acme" in await nap.cli("platform", "list")
    await nap.cli("platform", "change", "acme", "--set", "page_size=7", "--operator", "FI*XYZ;Xyz", "--remove-operator", "FI*ABC")
    shown = json.loads(await nap.cli("platform", "show", "acme", "--json"))
    assert (shown["settings"]["page_size"], shown["settings"]["strict_patch"]) == (7, True)
    assert [operator["id"] for operator in shown["operators"]] == ["FI*XYZ"]
    assert "page_size" in await nap.cli("platform", "change", "acme", "--set", "page_size=0", status=1)
    key = Path(nap.environment["OCPI_NAP_DATA_DIR"]) / "token.key"
    kept = key.read_bytes()
    key.write_bytes(Fernet.generate_key())
    lost = await nap.cli("platform", "register", "acme", status=1)
    assert lost.startswith("The stored token cannot be read: token.key") and "Traceback" not in lost
    key.write_bytes(kept)
    await nap.cli("platform", "pause", "acme")
    assert json.loads(await nap.cli("platform", "list", "--json"))[0]["paused"] is True
    await nap.cli("platform", "resume", "acme")
    token = (await nap.cli("platform", "issue-token", "acme")).strip()
    assert len(token) >= 32 and token not in await nap.cli("platform", "show", "acme")
    await nap.cli("platform", "remove", "acme")
    assert json.loads(await nap.cli("platform", "list", "--json")) == []
    await nap.cli("db", "upgrade")


async def test_a_platform_that_registers_itself(nap: Nap, tmp_path: Path) -> None:
    """`simulate --register-at` with a token A from `issue-token`: the receiving side of the exchange."""
    port = free_port()
    await nap.cli(
        "platform", "add", "sim", "--versions-url", f"http://127.0.0.1:{port}/ocpi/versions", "--party-id", "SIM", "--country-code", "FI",
        "--operator", "FI*SIM;Simulated",
    )  # fmt: skip
    token = (await nap.cli("platform", "issue-token", "sim")).strip()
    command = [
        sys.executable, "-m", "ocpi_nap", "simulate", "--version", "2.3.0", "--port", str(port), "--state-dir", str(tmp_path),
        "--register-at", f"{nap.url}/ocpi/versions", "--register-token", token, "--locations", "5", "--evses", "5", "--connectors", "5",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, env=nap.environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"registered" not in await process.stdout.readline():
                pass
            while await count(nap, "locations", "features") < 5:
                pass
        shown: dict[str, Any] = json.loads(await nap.cli("platform", "show", "sim", "--json"))
        assert (shown["state"], shown["version"]) == ("registered", "2.3.0")
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("workers", [1, 2])
async def test_open_maps_do_not_keep_it_from_ending(nap: Nap, workers: int) -> None:
    """Their streams end as answers do, not cut off when the server has waited long enough, and everything ends in order."""
    if workers != nap.workers:
        nap.stop()
        nap.workers = workers
        nap.start()
    async with aiohttp.ClientSession() as session, session.get(f"{nap.url}/map/live?zoom=5") as answer:
        assert (await answer.content.readline()).startswith(b"retry:")
        assert await asyncio.to_thread(nap.stop) == 0
        await answer.content.read()
    log = nap.log.read_text()
    assert "ERROR" not in log and "Traceback" not in log and "WARNING" not in log
