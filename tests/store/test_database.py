"""The store's foundations: migrations, transactions, notifications, and the embedded server's life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ocpi_nap.store.database import Database
from ocpi_nap.store.migrate import available, migrate, pending

_HOLDER = """
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from ocpi_nap.store.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    if sys.stdin.readline() == "revive\\n":
        server.revive()
        print(server.dsn, flush=True)
        sys.stdin.readline()
"""


async def test_migrations_apply_once(dsn: str) -> None:
    assert migrate(dsn) == []
    assert pending(dsn) == []
    assert available()[0] == "0001_registry"


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with database.transaction() as conn:
            await conn.execute("INSERT INTO feed_position VALUES ('x', '1', 1)")
            await conn.execute("SELECT 1/0")
    assert await database.fetch_all("SELECT * FROM feed_position") == []


async def test_notifications_arrive(database: Database) -> None:
    stream = database.listen("feed")
    assert await anext(stream) == ""
    await database.notify("feed", "hello")
    assert await anext(stream) == "hello"
    await stream.aclose()


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder outside of pytest's own: the next run of it on this machine closes that to all other users, one of which the server is where
    tests run as root."""
    with tempfile.TemporaryDirectory(prefix="ocpi-nap-test-") as folder:
        yield Path(folder)


def _holder(home: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_embedded_server_is_shared_and_outlives_a_kill(home: Path) -> None:
    """Two processes share it; one is killed, the other goes on; the last one out stops it."""
    first, dsn = _holder(home)
    second, same = _holder(home)
    assert dsn == same != ""
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT current_setting('synchronous_commit'), current_setting('fsync')").fetchone() == ("on", "on")
    second.communicate("\n")
    assert second.returncode == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


def test_an_embedded_server_that_another_process_started_again_is_stopped(home: Path) -> None:
    """The last one out stops it, also where the server that it joined was killed meanwhile."""
    watching, dsn = _holder(home)
    joined, _ = _holder(home)
    server = psutil.Process(int((home / "postgres/postmaster.pid").read_text().split()[0]))
    server.kill()
    server.wait(30)
    assert watching.stdin is not None and watching.stdout is not None
    print("revive", file=watching.stdin, flush=True)
    assert watching.stdout.readline().strip() == dsn
    with psycopg.connect(dsn):
        watching.communicate("\n")
        assert watching.returncode == 0
    joined.communicate("\n")
    assert joined.returncode == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
