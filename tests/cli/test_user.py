"""`ocpi-nap user`: accounts by command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocpi_nap.cli import app


@pytest.fixture
def run(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("OCPI_NAP_DATABASE_URL", dsn)
    monkeypatch.setenv("OCPI_NAP_DATA_DIR", str(tmp_path))
    return CliRunner()


def test_accounts(run: CliRunner) -> None:
    added = run.invoke(app, ["user", "add", "Maija", "--role", "operator"])
    assert added.exit_code == 0 and "Password: " in added.output
    assert run.invoke(app, ["user", "add", "maija"]).exit_code != 0, "names differ by more than case"
    assert run.invoke(app, ["user", "add", "x", "--role", "king"]).exit_code != 0
    assert run.invoke(app, ["user", "role", "Maija", "admin"]).exit_code == 0
    assert run.invoke(app, ["user", "disable", "Maija"]).exit_code == 0
    listed = run.invoke(app, ["user", "list"]).output
    assert "Maija" in listed and "admin" in listed and "disabled" in listed
    assert run.invoke(app, ["user", "disable", "Maija", "--undo"]).exit_code == 0
    assert "Password" not in run.invoke(app, ["user", "list"]).output
    assert "new password" in run.invoke(app, ["user", "password", "Maija"]).output
    assert run.invoke(app, ["user", "role", "nobody", "admin"]).exit_code != 0
