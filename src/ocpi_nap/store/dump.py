"""The whole database to a file and back, by PostgreSQL's own programs of the embedded version."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psycopg

from ocpi_nap.store.embedded import tool
from ocpi_nap.store.migrate import available

_FORGET = """
BEGIN;
SET LOCAL lock_timeout = '20s';
SET LOCAL client_min_messages = warning;
DO $$
DECLARE act text;
BEGIN
    FOR act IN
        SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'
        UNION ALL
        SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc p
         WHERE pronamespace = 'public'::regnamespace
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')
        UNION ALL
        SELECT format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype) FROM pg_type
         WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
    LOOP
        EXECUTE act;
    END LOOP;
END $$;
"""
"""Tables of a newer release go, too: what hangs on the others would keep them, and their migration would meet them again."""
_JUDGE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM public.schema_migration WHERE name <> ALL (string_to_array('{known}', ' '))) THEN
        RAISE EXCEPTION 'the dump is of a newer release of ocpi-nap';
    END IF;
END $$;
COMMIT;
"""
_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
"""pg_restore says this first, to older servers too."""


class DumpError(RuntimeError):
    """A program of PostgreSQL could not do it; the text is what it said, the first lines of it."""


def dump(dsn: str, file: Path) -> None:
    """Write everything to a file that only its owner may read; until it is whole it has another name. Raises DumpError."""
    part = file.with_name(f"{file.name}.part")
    command = [tool("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--file={part}", dsn]
    try:
        with _said() as said:
            _end(subprocess.run(command, stderr=said, check=False, umask=0o077).returncode, said)
        part.replace(file)
    except OSError as error:
        raise DumpError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def others_connected(dsn: str) -> int:
    """How many connections of a service or of other commands there are to the database."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'ocpi-nap'"
        ).fetchone()
    return int(row[0]) if row else 0


def restore(dsn: str, file: Path) -> None:
    """Put a dump in the place of everything that is there, in one transaction; raises DumpError, and nothing has changed then."""
    command = [tool("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(file)]
    taker = [tool("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", dsn]
    with _said() as said, _said() as answered:
        giver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said)
        psql = subprocess.Popen(taker, stdin=subprocess.PIPE, stderr=answered)
        assert giver.stdout is not None and psql.stdin is not None
        with suppress(BrokenPipeError), psql.stdin as into:  # psql has ended: why, it says itself
            into.write(_FORGET.encode())
            heading = True
            for line in giver.stdout:
                heading = heading and not line.startswith(b"COPY ")
                if not heading or line != _UNKNOWN_BEFORE_17:
                    into.write(line)
            if giver.wait() == 0:  # otherwise psql ends without a COMMIT
                into.write(_JUDGE.format(known=" ".join(available())).encode())
        giver.stdout.close()
        answer = psql.wait()
        _end(answer, answered)
        _end(giver.wait(), said)


@contextmanager
def _said() -> Iterator[IO[bytes]]:
    """For what a program writes on standard error: a file, as nobody reads a pipe meanwhile."""
    with tempfile.TemporaryFile() as file:
        yield file


def _end(status: int, said: IO[bytes]) -> None:
    if status:
        said.seek(0)
        lines = said.read(20_000).decode(errors="replace").strip().splitlines()
        raise DumpError("\n".join(lines[:5]) or f"it ended with status {status}")
