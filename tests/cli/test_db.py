"""Dump and restore with the embedded PostgreSQL's own programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from ocpi_nap.store.dump import DumpError, dump
from ocpi_nap.store.migrate import available, migrate, pending


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


def add_platform(conn: psycopg.Connection[tuple[str, ...]], name: str) -> None:
    conn.execute(
        "INSERT INTO platform (name, environment, versions_url, country_code, party_id, token_encoding)"
        " VALUES (%s, 'test', 'https://cpo.example', 'FI', 'ACM', 'raw')",
        (name,),
    )


def platforms(conn: psycopg.Connection[tuple[str, ...]]) -> list[str]:
    return [name for (name,) in conn.execute("SELECT name FROM platform ORDER BY name")]


def test_back_to_an_older_release(dsn: str, tmp_path: Path) -> None:
    """What a newer release has added to the schema goes: its migration would meet it again, and it may hang on what is replaced."""
    file = tmp_path / "nap.dump"
    with psycopg.connect(dsn, autocommit=True) as conn:
        add_platform(conn, "acme")
        dump(dsn, file)
        conn.execute("CREATE TABLE later (platform_id int NOT NULL REFERENCES platform)")
        conn.execute("INSERT INTO later SELECT id FROM platform")
        conn.execute("INSERT INTO schema_migration (name) VALUES ('9999_later')")
        refused = run(dsn, "upgrade")
        assert refused.returncode == 1 and "newer release" in refused.stderr
        done = run(dsn, "restore", str(file))
        assert done.returncode == 0, done.stderr
        assert platforms(conn) == ["acme"] and conn.execute("SELECT to_regclass('later')").fetchone() == (None,)
    assert run(dsn, "upgrade").returncode == 0


def test_an_older_dump_is_brought_up_to_date(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was written before all but the first migrations."""
    file = tmp_path / "nap.dump"
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        with monkeypatch.context() as release:
            release.setattr("ocpi_nap.store.migrate.available", lambda: available()[:2])
            assert len(migrate(dsn)) == 2
        add_platform(conn, "acme")
        dump(dsn, file)
        migrate(dsn)
        assert pending(dsn) == []
        done = run(dsn, "restore", str(file))
        assert done.returncode == 0, done.stderr
        assert platforms(conn) == ["acme"] and pending(dsn) == []


def test_what_is_not_restored(dsn: str, tmp_path: Path) -> None:
    """A dump of a newer release, one that is cut off, no dump at all, and any while the service runs: nothing changes."""
    newer, cut, none = tmp_path / "newer.dump", tmp_path / "cut.dump", tmp_path / "none.dump"
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("INSERT INTO schema_migration (name) VALUES ('9999_later')")
        dump(dsn, newer)
        conn.execute("DELETE FROM schema_migration WHERE name = '9999_later'")
        dump(dsn, cut)
        cut.write_bytes(cut.read_bytes()[:-3000])
        none.write_text("INSERT INTO platform")
        add_platform(conn, "acme")
        for file, words in ((newer, "newer release"), (cut, "pg_restore"), (none, "pg_restore")):
            done = run(dsn, "restore", str(file))
            assert done.returncode == 1 and "nothing was changed" in done.stderr and words in done.stderr, (file, done.stderr)
            assert platforms(conn) == ["acme"] and pending(dsn) == []
        conn.execute("SET application_name = 'ocpi-nap'")
        busy = run(dsn, "restore", str(cut))
        assert busy.returncode == 1 and busy.stderr.startswith("The database is in use: stop the service first")


def test_a_dump_is_whole_or_not_there(dsn: str, tmp_path: Path) -> None:
    old = tmp_path / "nap.dump"
    old.write_text("of yesterday")
    for place, sentence in ((tmp_path, f"{tmp_path} is a folder"), (tmp_path / "none" / "nap.dump", "The database was not dumped")):
        done = run(dsn, "dump", str(place))
        assert done.returncode == 1 and done.stderr.startswith(sentence), done.stderr
    with pytest.raises(DumpError, match="does not exist"):
        dump(psycopg.conninfo.make_conninfo(dsn, dbname="nobody"), old)
    assert old.read_text() == "of yesterday" and list(tmp_path.iterdir()) == [old]


def test_why_the_embedded_one_cannot_be_set_up(tmp_path: Path) -> None:
    """Files may grow to 200 kB only, as if the disk were full: the reason is told in one line, not by all that PostgreSQL says."""
    environment = {**os.environ, "OCPI_NAP_DATA_DIR": str(tmp_path / "data")}
    environment.pop("OCPI_NAP_DATABASE_URL", None)
    program = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); from ocpi_nap.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "db", "upgrade"], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("The database could not be opened: the embedded PostgreSQL could not be set up in") and "could not" in line[90:]


@pytest.mark.parametrize("command", [["db", "upgrade"], ["db", "restore", __file__], ["serve", "--port", "0"], ["platform", "list"]])
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
