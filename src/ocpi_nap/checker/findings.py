"""What was found: occurrences of checks, with examples and the exchange that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ocpi_nap.checker.checks import CHECKS, RANK, Area, Check, Severity
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.model import jsontext

_EXAMPLES = 5
_EXCHANGES = 2
_PART = 6000


@dataclass
class Finding:
    """A requirement that was not met."""

    check: Check
    severity: Severity
    count: int = 0
    examples: list[str] = field(default_factory=list)
    exchanges: list[Seen] = field(default_factory=list)
    part: str = ""
    """JSON of the first object, or part of one, that shows it."""


class Findings:
    """Collects occurrences; `ran` says which areas were looked at, so that silence means passed."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}
        self._ran: set[Area] = set()

    def add(
        self, check_id: str, example: str = "", seen: Seen | None = None, *, severity: Severity | None = None,
        part: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """One occurrence; the worst severity counts. ``part`` is the object, or part of it, that is meant."""
        check = CHECKS[check_id]
        severity = severity or check.severity
        found = self._found.setdefault(check_id, Finding(check, severity))
        if RANK[severity] < RANK[found.severity]:
            found.severity = severity
        found.count += 1
        if example and len(found.examples) < _EXAMPLES and example not in found.examples:
            found.examples.append(example[:400])
        if part is not None and not found.part:
            found.part = jsontext.dump({name: value for name, value in part.items() if name != "evses"}).decode("utf-8", "replace")[:_PART]
        if seen is not None and len(found.exchanges) < _EXCHANGES and seen not in found.exchanges:
            found.exchanges.append(seen)

    def ran(self, *areas: Area) -> None:
        """These areas were looked at."""
        self._ran.update(areas)

    def was_run(self, area: Area) -> bool:
        """Whether the area was looked at."""
        return area in self._ran

    def __contains__(self, check_id: object) -> bool:
        return check_id in self._found

    def __iter__(self) -> Iterator[Finding]:
        """In the order of the table, the worst first within an area."""
        order = {check_id: place for place, check_id in enumerate(CHECKS)}
        return iter(sorted(self._found.values(), key=lambda f: (RANK[f.severity], order[f.check.id])))

    def of(self, severity: Severity) -> list[Finding]:
        """Those of a severity."""
        return [found for found in self if found.severity == severity]
