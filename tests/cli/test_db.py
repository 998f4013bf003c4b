"""Dump and restore with the embedded PostgreSQL's own programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest


def run(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OCPI_NAP_DATABASE_URL": dsn}
    return subprocess.run(
        [sys.executable, "-m", "ocpi_nap", "db", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_dump_and_restore(dsn: str, tmp_path: Path) -> None:
    values = "('acme', 'test', 'https://cpo.example', 'FI', 'ACM', 'raw')"
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            f"INSERT INTO platform (name, environment, versions_url, country_code, party_id, token_encoding) VALUES {values}".encode()
        )
        file = tmp_path / "nap.dump"
        assert run(dsn, "dump", str(file)).returncode == 0
        assert file.stat().st_mode & 0o077 == 0
        conn.execute("DELETE FROM platform")
        done = run(dsn, "restore", str(file))
        assert done.returncode == 0, done.stderr
        assert conn.execute("SELECT name FROM platform").fetchall() == [("acme",)]
    missing = run(dsn, "restore", str(tmp_path / "none"))
    assert missing.returncode == 1 and missing.stderr.startswith("There is no file")


@pytest.mark.parametrize("command", [["db", "upgrade"], ["serve", "--port", "0"], ["platform", "list"]])
def test_what_cannot_be_opened(tmp_path: Path, command: list[str]) -> None:
    """One plain sentence, whichever command meets it first."""
    occupied = tmp_path / "file"
    occupied.write_text("")
    for variables, sentence in (
        ({"OCPI_NAP_DATABASE_URL": "postgresql://127.0.0.1:9/none"}, "The database could not be opened"),
        ({"OCPI_NAP_DATABASE_URL": "nonsense"}, "The database could not be opened"),
        ({"OCPI_NAP_DATA_DIR": str(occupied)}, "OCPI_NAP_DATA_DIR cannot be used"),
        ({"OCPI_NAP_DATA_DIR": str(occupied / "below")}, "OCPI_NAP_DATA_DIR cannot be used"),
    ):
        environment = {**os.environ, "OCPI_NAP_DATA_DIR": str(tmp_path / "data"), **variables}
        done = subprocess.run([sys.executable, "-m", "ocpi_nap", *command], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.startswith(sentence) and "Traceback" not in done.stderr, done.stderr
