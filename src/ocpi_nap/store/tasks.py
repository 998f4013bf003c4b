"""SQL of tasks: what was asked for in the console and runs in the background."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from ocpi_nap.store.database import Conn, Database

Kind = Literal["register", "rotate", "unregister", "pull"]


@dataclass(frozen=True, slots=True)
class Task:
    """One task; ``progress`` of a pull is its report so far by module."""

    id: int
    platform_id: int
    kind: Kind
    arguments: dict[str, Any]
    state: Literal["queued", "running", "done", "failed"]
    lines: list[str]
    progress: dict[str, dict[str, Any]]
    error: dict[str, str] | None
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed")


_TASK = "id, platform_id, kind, arguments, state, lines, progress, error, asked_by, asked_at, started_at, finished_at"


async def add_task(conn: Conn, platform_id: int, kind: Kind, arguments: dict[str, Any], asked_by: str) -> int:
    """A task in state ``queued``; returns its id."""
    cursor = await conn.execute(
        "INSERT INTO task (platform_id, kind, arguments, asked_by) VALUES (%s, %s, %s, %s) RETURNING id",
        (platform_id, kind, Jsonb(arguments), asked_by),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def load_task(db: Database, task_id: int) -> Task | None:
    """One task."""
    row = await db.fetch_one(f"SELECT {_TASK} FROM task WHERE id = %s", (task_id,))
    return Task(*row) if row else None


async def latest_task(db: Database, platform_id: int) -> Task | None:
    """The newest task of a platform."""
    row = await db.fetch_one(f"SELECT {_TASK} FROM task WHERE platform_id = %s ORDER BY id DESC LIMIT 1", (platform_id,))
    return Task(*row) if row else None


async def begin_task(db: Database, task_id: int, interrupted: str) -> Task | None:
    """Take a task that is not over; None when there is nothing to do. One whose process died begins with the line ``interrupted``."""
    row = await db.fetch_one(
        "UPDATE task SET state = 'running', started_at = now(), progress = '{}',"
        " lines = CASE WHEN state = 'running' THEN %s ELSE '[]'::jsonb END"
        f" WHERE id = %s AND state IN ('queued', 'running') RETURNING {_TASK}",
        (Jsonb([interrupted]), task_id),
    )
    return Task(*row) if row else None


async def show_progress(db: Database, task_id: int, lines: list[str], progress: dict[str, Any]) -> None:
    """What a running task has said and done so far."""
    await db.execute("UPDATE task SET lines = %s, progress = %s WHERE id = %s", (Jsonb(lines), Jsonb(progress), task_id))


async def end_task(db: Database, task_id: int, error: dict[str, str] | None) -> None:
    """A task is over; old ones are forgotten."""
    state = "failed" if error else "done"
    await db.execute(
        "UPDATE task SET state = %s, error = %s, finished_at = now() WHERE id = %s", (state, Jsonb(error) if error else None, task_id)
    )
    await db.execute("DELETE FROM task WHERE asked_at < now() - interval '90 days' AND state IN ('done', 'failed')")
