"""The progress bar of a pull."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ocpi_nap.intake.crawl import ModuleReport


class PullProgress:
    """One bar a module on stderr; silent when not enabled."""

    def __init__(self, name: str, *, enabled: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not enabled)
        self._name = name
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.__exit__(kind, error, trace)

    def update(self, module: str, report: ModuleReport) -> None:
        """Show how far a module is."""
        if module not in self._tasks:
            self._tasks[module] = self._progress.add_task(f"{self._name} {module}", total=None)
        self._progress.update(self._tasks[module], completed=report.counts.objects, total=report.total or report.counts.objects)
