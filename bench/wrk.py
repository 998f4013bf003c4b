"""The load generator: wrk, from the PATH or out of Debian's package (no root needed), and what it prints as figures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TOOLS = Path(__file__).parent / ".tools"
_PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
_SCALE = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """One run: answers a second, latency in milliseconds, and how many answers were not 2xx or 3xx or did not come."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


def find() -> tuple[str, dict[str, str]]:
    """wrk's path and the environment it runs in."""
    found = shutil.which("wrk")
    if found is not None:
        return found, dict(os.environ)
    if not (_TOOLS / "usr/bin/wrk").exists():
        _TOOLS.mkdir(exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", "-q", *_PACKAGES], cwd=_TOOLS, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise SystemExit("The load generator wrk is needed: install it (Debian, Ubuntu, Homebrew: package wrk).") from None
        for package in _TOOLS.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, _TOOLS], check=True)
    libraries = ":".join(str(path) for path in (_TOOLS / "usr/lib").glob("*-linux-gnu*"))
    return str(_TOOLS / "usr/bin/wrk"), {**os.environ, "LD_LIBRARY_PATH": libraries}


def run(url: str, *, seconds: int, connections: int, script: Path | None = None, arguments: tuple[str, ...] = (),
        headers: tuple[str, ...] = ()) -> Load:  # fmt: skip
    """Load one server with one thread of wrk."""
    tool, environment = find()
    command = [tool, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    command += ["-s", str(script)] if script else []
    done = subprocess.run([*command, url, "--", *arguments], env=environment, check=True, capture_output=True, text=True)
    return _read(done.stdout)


def _read(text: str) -> Load:
    def quantile(label: str) -> float:
        match = re.search(rf"{label}%\s+([\d.]+)(us|ms|s|m)\b", text)
        assert match is not None, text
        return float(match[1]) * _SCALE[match[2]]

    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    count = re.search(r"(\d+) requests in", text)
    assert rate is not None and count is not None, text
    failed = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed += sum(int(n) for n in errors.groups()) if errors else 0
    return Load(float(rate[1]), quantile("50"), quantile("99"), int(count[1]), failed)
