"""`ocpi-nap check` as its users run it: exit status, files, and one plain sentence for what cannot be done."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocpi_nap.cli import main
from ocpi_nap.simulator.platform import SimulatedPlatform
from tests.checker.conftest import open_to_checks, platform_spec


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread, for platforms that answer while a command runs in this one."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


@pytest.fixture
def platform(loop: asyncio.AbstractEventLoop) -> Iterator[Callable[..., SimulatedPlatform]]:
    running: list[SimulatedPlatform] = []

    def start(*faults: str) -> SimulatedPlatform:
        async def enter() -> SimulatedPlatform:
            return await SimulatedPlatform(platform_spec("2.2.1", *faults)).__aenter__()

        running.append(asyncio.run_coroutine_threadsafe(enter(), loop).result(30))
        return running[-1]

    yield start
    for one in running:
        asyncio.run_coroutine_threadsafe(one.__aexit__(), loop).result(30)


class Outcome:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def ocpi_nap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the program in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ocpi_nap.cli.collect_garbage_rarely", lambda: None)
    monkeypatch.delenv("OCPI_TOKEN", raising=False)

    def run(*words: Any) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ocpi-nap", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        shown = capsys.readouterr()
        return Outcome(status, shown.out, shown.err)

    return run


def test_ready(ocpi_nap: Callable[..., Outcome], platform: Callable[..., SimulatedPlatform]) -> None:
    """Status 0, both files, and the platform as it was."""
    healthy = platform()
    done = ocpi_nap("check", healthy.versions_url, "--token", healthy.spec.token_a, "--register", "--party-id", "PLT",
                    "--operator", "FI*ABC;Abc", "--operator", "FI*DEF;Def")  # fmt: skip
    assert (done.status, done.err) == (0, "") and "Ready for production" in done.out
    told = json.loads(Path("ocpi-check.json").read_text())
    assert told["verdict"]["outcome"] == "ready" and told["checked"]["counts"]["locations"] == 12
    assert Path("ocpi-check.html").read_text().startswith("<!doctype html>")
    assert healthy.state.token_c is None


def test_not_ready(ocpi_nap: Callable[..., Outcome], platform: Callable[..., SimulatedPlatform], tmp_path: Path) -> None:
    broken = platform("core-missing", "link-loop")
    done = ocpi_nap("check", broken.versions_url, "--token", open_to_checks(broken), "--html", "a.html", "--json", "b.json")
    assert done.status == 1 and done.err == "Not ready for production: 2 requirements not met.\n"
    assert "core-missing" in done.out and "link-loop" in done.out
    assert (tmp_path / "a.html").exists() and (tmp_path / "b.json").exists()


def test_not_decided(ocpi_nap: Callable[..., Outcome], platform: Callable[..., SimulatedPlatform]) -> None:
    """Versions and details alone are no pass."""
    healthy = platform()
    done = ocpi_nap("check", healthy.versions_url, "--token", healthy.spec.token_a)
    assert done.status == 1 and "Not decided" in done.err and "--register" in done.out


def test_settings_of_the_platform(ocpi_nap: Callable[..., Outcome], platform: Callable[..., SimulatedPlatform]) -> None:
    odd = platform("only-2.2", "versions-refuse-token")
    settings = ("--set", "treat_2_2_as_2_2_1=true", "--set", "versions_auth=none")
    done = ocpi_nap("check", odd.versions_url, "--token", open_to_checks(odd), *settings)
    assert done.status == 0 and "only-2.2" in done.out and "versions-refuse-token" in done.out


def test_nobody_there(ocpi_nap: Callable[..., Outcome]) -> None:
    done = ocpi_nap("check", "http://127.0.0.1:1/versions", "--token", "token")
    assert done.status == 1 and "unreachable" in done.out and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ftp://cpo.example"], "'ftp://cpo.example' is not an absolute http(s) URL."),
        (["http://[::1"], "'http://[::1' is not a usable URL."),
        (["https://cpo.example", "--encoding", "hex"], "--encoding: raw, base64 or auto is required (got 'hex')."),
        (["https://cpo.example", "--operator", "Abc"], "OPERATOR: COUNTRY_CODE*PARTY_ID;NAME;URL is required (got 'Abc')."),
        (["https://cpo.example", "--set", "speed"], "--set speed: key=value is required."),
        (["https://cpo.example", "--set", "speed=1"], "--set speed: unknown"),
        (["https://cpo.example", "--party-id", "?"], "--party-id: letters and digits are required"),
        (["https://cpo.example", "--listen", "5"], "--listen and --public-url need --register."),
        (["https://cpo.example", "--register"], "--register needs --public-url: the platform must reach this machine."),
        (["http://127.0.0.1", "--set", "registration=none", "--register"], "A platform without credentials"),
        (["https://cpo.example", "--html", "nowhere/x.html"], "nowhere/x.html cannot be written: there is no folder nowhere."),
    ],
)
def test_what_cannot_be_done(ocpi_nap: Callable[..., Outcome], words: list[str], sentence: str) -> None:
    done = ocpi_nap("check", *words, "--token", "token")
    assert done.status == 1 and done.err.startswith(sentence) and done.err.count("\n") == 1
    assert not Path("ocpi-check.json").exists()


def test_a_port_that_is_taken(ocpi_nap: Callable[..., Outcome], platform: Callable[..., SimulatedPlatform]) -> None:
    healthy = platform()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ocpi_nap("check", healthy.versions_url, "--token", "sim-token-a", "--register", "--port", port)
    assert done.status == 1 and done.err.startswith(f"Port {port} on 127.0.0.1 cannot be used")
