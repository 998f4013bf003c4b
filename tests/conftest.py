"""What every test can ask for: a real PostgreSQL with a fresh migrated database, and a real MQTT broker."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from fasteners import InterProcessLock

from ocpi_nap.store.database import Database
from ocpi_nap.store.embedded import EmbeddedPostgres
from ocpi_nap.store.migrate import migrate
from tests.interface import Ocpi, interface

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the project; tests that read it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the reference folder ../shared is not here")
    return SHARED


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of one embedded PostgreSQL for all workers of this run, with a migrated template database."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if base.name.startswith("popen-") else base
    home = Path(tempfile.gettempdir()) / f"ocpi-nap-tests-{root.parent.name}-{root.name}"
    with EmbeddedPostgres(home) as server:
        with InterProcessLock(home / "template.lock"), psycopg.connect(server.dsn, autocommit=True) as conn:
            known = conn.execute("SELECT 1 FROM pg_database WHERE datname = 'template_nap'").fetchone()
            if known is None:
                conn.execute("ALTER SYSTEM SET fsync = off")
                conn.execute("SELECT pg_reload_conf()")
                conn.execute("CREATE DATABASE template_nap")
                migrate(_dsn(server.dsn, "template_nap"))
        yield server.dsn
    shutil.rmtree(home, ignore_errors=True) if not (home / "postgres" / "postmaster.pid").exists() else None


def _dsn(dsn: str, name: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


@pytest.fixture
def dsn(postgres: str) -> Iterator[str]:
    """DSN of a fresh, migrated database of this test."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template_nap STRATEGY file_copy".encode())
        yield _dsn(postgres, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open Database on a fresh, migrated database."""
    db = await Database.open(dsn)
    yield db
    await db.close()


@pytest.fixture
async def ocpi(database: Database, tmp_path: Path) -> AsyncIterator[Ocpi]:
    """The OCPI interface in this process, over a fresh database."""
    async with interface(database, tmp_path) as made:
        yield made
