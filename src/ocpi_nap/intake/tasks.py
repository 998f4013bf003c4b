"""Long acts that somebody asked for in the console: queued with the state in the database, run by any node's background process."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from pgqueuer import PsycopgDriver, Queries

from ocpi_nap.intake.crawl import ModuleReport
from ocpi_nap.intake.jobs import TaskJob, ensure_queue
from ocpi_nap.intake.pulling import pull_platform
from ocpi_nap.model.platform import CONNECTED, Platform
from ocpi_nap.registry import Registry, RegistryError, handshake
from ocpi_nap.store import tasks as sql
from ocpi_nap.store.tasks import Kind, Task
from ocpi_nap.waiting import meanwhile

log = logging.getLogger(__name__)

_EVERY = 0.5
"""Seconds between two writes of the progress."""
_INTERRUPTED = "Warning: the process that did this ended in the middle; it is done anew"


class TaskRunning(Exception):
    """Another task of the platform is not over yet."""


async def ask(registry: Registry, platform: Platform, kind: Kind, asked_by: str, **arguments: Any) -> int:
    """Queue a task; returns its id. Raises TaskRunning while an earlier one of the platform goes on."""
    async with registry.db.connection() as conn:
        await ensure_queue(conn)
        async with conn.transaction():
            await conn.execute("SELECT FROM platform WHERE id = %s FOR NO KEY UPDATE", (platform.id,))
            cursor = await conn.execute("SELECT 1 FROM task WHERE platform_id = %s AND state IN ('queued', 'running')", (platform.id,))
            if await cursor.fetchone():
                raise TaskRunning
            task_id = await sql.add_task(conn, platform.id, kind, arguments, asked_by)
            await Queries(PsycopgDriver(conn)).enqueue("task", msgspec.json.encode(TaskJob(task_id)), 2)
    return task_id


class _Telling:
    """Writes what a task says and how far a pull is, a little later and all at once."""

    def __init__(self, registry: Registry, task: Task) -> None:
        self._db, self._task_id = registry.db, task.id
        self._lines = list(task.lines)
        self._progress: dict[str, Any] = {}
        self._new = False

    def say(self, line: str) -> None:
        self._lines.append(line)
        self._new = True

    def count(self, module: str, report: ModuleReport) -> None:
        self._progress[module] = {**report.as_dict(), "total": report.total}
        self._new = True

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.flush()

    async def flush(self) -> None:
        if self._new:
            self._new = False
            await sql.show_progress(self._db, self._task_id, self._lines[-100:], self._progress)


async def run_task(registry: Registry, task_id: int) -> None:
    """Do what was asked for; how it ended stands in the task."""
    task = await sql.begin_task(registry.db, task_id, _INTERRUPTED)
    platform = await registry.platform_by_id(task.platform_id) if task else None
    if task is None or platform is None:
        return
    telling = _Telling(registry, task)
    error: dict[str, str] | None = None
    try:
        async with meanwhile(telling.run()):
            await _do(registry, platform, task, telling)
    except RegistryError as failure:
        error = {"message": failure.message, "step": failure.step, "answer": failure.answer, "advice": failure.advice}
    except Exception:
        log.exception("the task %s of %s failed", task.kind, platform.name)
        error = {"message": "Something went wrong on our side; the log tells more.", "step": "", "answer": "", "advice": ""}
    await telling.flush()
    await sql.end_task(registry.db, task_id, error)


def _was_done(task: Task, platform: Platform) -> bool:
    """Whether the process that ended had come to the end of what it did, and only did not say so."""
    if not task.lines:
        return False
    fresh = task.kind == "register" and not task.arguments.get("force") and platform.state in CONNECTED
    return fresh or (task.kind == "unregister" and platform.state == "unregistered")


async def _do(registry: Registry, platform: Platform, task: Task, telling: _Telling) -> None:
    arguments = task.arguments
    if _was_done(task, platform):
        telling.say("It had been done already")
    elif task.kind == "register":
        await handshake.register(registry, platform.name, force=bool(arguments.get("force")), say=telling.say)
    elif task.kind == "rotate":
        await handshake.rotate(registry, platform.name, upgrade=bool(arguments.get("upgrade")), say=telling.say)
    elif task.kind == "unregister":
        await handshake.unregister(registry, platform.name, say=telling.say)
    else:
        await _pull(registry, platform, telling, full=bool(arguments.get("full")), confirm=bool(arguments.get("confirm")))


async def _pull(registry: Registry, platform: Platform, telling: _Telling, *, full: bool, confirm: bool) -> None:
    def waiting() -> None:
        telling.say("Another pull is under way; waiting for its end")

    reports = await pull_platform(registry, platform, full=full, progress=telling.count, confirm=confirm, on_wait=waiting)
    for module, report in reports.items():
        telling.count(module, report)
    broken = next(((module, report) for module, report in reports.items() if not report.complete), None)
    if broken:
        module, report = broken
        raise RegistryError(f"The pull of {module} is incomplete; nothing was withdrawn.", step=module, answer=report.error or "")
