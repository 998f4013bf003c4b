"""A command that cannot be understood is answered with a sentence, never with a traceback."""

from __future__ import annotations

import socket
import sys

import pytest

from ocpi_nap import __version__
from ocpi_nap.cli import main
from tests.ports import free_ports


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["platform", "nonsense"], "No such command 'nonsense'."),
        (["platform", "remove", "acme", "--loud"], "No such option: --loud"),
        (["platform", "remove"], "Missing argument"),
        (["serve", "--port", "many"], "Invalid value for '--port': "),
        (["--verion"], "No such option: --verion"),
    ],
)
def test_usage(arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ocpi-nap", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith(sentence) and len(told.err.splitlines()) == 1


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ocpi-nap", "--version"])
    main()
    assert capsys.readouterr().out == f"ocpi-nap {__version__}\n"


@pytest.mark.parametrize(("taken", "advice"), [(0, "demo --port"), (2, "--simulator-port"), (4, "OCPI_NAP_MQTT_PORT")])
def test_the_demo_says_which_port_is_taken(
    taken: int, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it starts: what answers there, as the demo of another folder, might be taken for our own service."""
    port, *_, mqtt = ports = free_ports(5)
    for name in ("OCPI_NAP_PUBLIC_URL", "OCPI_NAP_ALLOW_PRIVATE_NETWORKS", "OCPI_NAP_LOG_LEVEL"):
        monkeypatch.setenv(name, "http://127.0.0.1" if "URL" in name else "ERROR" if "LOG" in name else "1")
    monkeypatch.setenv("OCPI_NAP_MQTT_PORT", str(mqtt))
    monkeypatch.setattr(sys, "argv", ["ocpi-nap", "demo", "--port", str(port), "--simulator-port", str(ports[1])])
    with socket.create_server(("127.0.0.1", ports[taken])), pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (1, "")
    assert told.err.startswith(f"Port {ports[taken]} on 127.0.0.1 cannot be used: Address already in use.") and advice in told.err


def test_all_that_is_wrong_with_a_record_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    record = ["two words", "--versions-url", "https://cpo.example/v", "--party-id", "A!", "--country-code", "FIN", "--operator", "nonsense"]
    monkeypatch.setattr(sys, "argv", ["ocpi-nap", "platform", "add", *record])
    with pytest.raises(SystemExit) as ended:
        main()
    lines = capsys.readouterr().err.splitlines()
    named = {line.partition(":")[0] for line in lines}
    assert ended.value.code == 1 and lines[0].startswith("NAME: ") and {"NAME", "PLATFORM_PARTY_ID", "PLATFORM_COUNTRY_CODE"} <= named


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that a missing option refers to."""
    monkeypatch.setattr(sys, "argv", ["ocpi-nap", "platform", "add", "--help"])
    main()
    assert "For example: ocpi-nap platform add acme" in capsys.readouterr().out
