"""Schema migrations: the SQL files of `migrations`, in the order of their names, each once."""

from __future__ import annotations

from importlib.resources import files

import psycopg

from ocpi_nap.store import locks


class SchemaTooNew(RuntimeError):
    """A newer release has migrated the database: this one does not know what its tables mean."""


def available() -> list[str]:
    """Names of all migrations, in order."""
    folder = files("ocpi_nap.store") / "migrations"
    return sorted(item.name.removesuffix(".sql") for item in folder.iterdir() if item.name.endswith(".sql"))


def migrate(dsn: str) -> list[str]:
    """Apply what is missing, all or nothing, one node at a time; returns the names of what was applied. Raises SchemaTooNew."""
    applied = []
    with psycopg.connect(dsn) as conn:
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (locks.MIGRATE,))
        conn.execute("CREATE TABLE IF NOT EXISTS schema_migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())")
        done = {name for (name,) in conn.execute("SELECT name FROM schema_migration")}
        unknown = sorted(done.difference(available()))
        if unknown:
            raise SchemaTooNew(f"the database is of a newer release: it has the migration {unknown[-1]}")
        for name in available():
            if name not in done:
                text = (files("ocpi_nap.store") / "migrations" / f"{name}.sql").read_text(encoding="utf-8")
                conn.execute(text.encode())
                conn.execute("INSERT INTO schema_migration (name) VALUES (%s)", (name,))
                applied.append(name)
    return applied


def pending(dsn: str) -> list[str]:
    """Names of the migrations that a database still lacks."""
    with psycopg.connect(dsn) as conn:
        exists = conn.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
        done = {name for (name,) in conn.execute("SELECT name FROM schema_migration")} if exists and exists[0] else set()
    return [name for name in available() if name not in done]
