"""`ocpi-nap …` as a process of its own that can be killed; forked from one that has everything imported, to be quick."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["ocpi_nap.cli", "ocpi_nap.cli.serve", "tests.simulator.conftest"])


def _run(arguments: list[str], environment: dict[str, str], out: str) -> None:
    from ocpi_nap.cli import main

    os.environ.update(environment)
    os.dup2(os.open(out, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 1)
    os.dup2(1, 2)
    sys.argv = ["ocpi-nap", *arguments]
    main()


@dataclass
class Commands:
    """The command line of a NAP with this environment; ``running`` is the command under way."""

    environment: dict[str, str]
    folder: Path
    running: BaseProcess | None = None
    outputs: list[Path] = field(default_factory=list)

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Run a command to its end; its exit status (negative: killed) and what it printed."""
        path = self.folder / f"command-{len(self.outputs)}"
        self.outputs.append(path)
        self.running = _context.Process(target=_run, args=(list(arguments), self.environment, str(path)))  # type: ignore[attr-defined]
        self.running.start()
        await asyncio.to_thread(self.running.join)
        status = self.running.exitcode
        assert status is not None
        return status, path.read_text() if path.exists() else ""

    async def show(self, name: str) -> dict[str, Any]:
        """`platform show --json`."""
        status, out = await self("platform", "show", name, "--json")
        assert status == 0, out
        shown: dict[str, Any] = json.loads(out)
        return shown


async def _serve(dsn: str, folder: str, pipe: Any) -> None:
    from ocpi_nap.store.database import Database
    from tests.interface import interface
    from tests.simulator.conftest import on_http

    database = await Database.open(dsn)
    async with interface(database, Path(folder)) as ocpi, on_http(ocpi) as nap:
        pipe.send(nap.registry.identity.versions_url)
        await asyncio.Event().wait()


def _serve_process(dsn: str, folder: str, pipe: Any) -> None:
    asyncio.run(_serve(dsn, folder, pipe))


@asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncIterator[tuple[str, BaseProcess]]:
    """The OCPI interface in a process of its own that can be killed, over the same database; gives its versions URL."""
    ours, theirs = multiprocessing.Pipe()
    process = _context.Process(target=_serve_process, args=(dsn, str(folder), theirs))  # type: ignore[attr-defined]
    process.start()
    try:
        yield await asyncio.to_thread(ours.recv), process
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
