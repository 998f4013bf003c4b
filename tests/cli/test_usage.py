"""A command that cannot be understood is answered with a sentence, never with a traceback."""

from __future__ import annotations

import sys

import pytest

from ocpi_nap.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["platform", "nonsense"], "No such command 'nonsense'."),
        (["platform", "remove", "acme", "--loud"], "No such option: --loud"),
        (["platform", "remove"], "Missing argument"),
        (["serve", "--port", "many"], "Invalid value for '--port': "),
    ],
)
def test_usage(arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ocpi-nap", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith(sentence) and len(told.err.splitlines()) == 1
