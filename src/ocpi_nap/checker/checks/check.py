"""What a check is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
Area = Literal[
    "connection", "tokens", "versions", "registration", "paging", "changes", "objects", "values", "publication", "tariffs", "pushes",
]  # fmt: skip

AREAS: dict[Area, str] = {
    "connection": "Connection and answers",
    "tokens": "Tokens",
    "versions": "Versions and endpoints",
    "registration": "Registration",
    "paging": "Lists and pages",
    "changes": "Changes since a date",
    "objects": "Locations, EVSEs and connectors",
    "values": "Form of values",
    "publication": "What the regulation asks for",
    "tariffs": "Tariffs and prices",
    "pushes": "Pushes",
}
"""In the order of the report."""

ALL = ("2.1.1", "2.2.1", "2.3.0")
FROM_221 = ALL[1:]

RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Check:
    """One thing that is looked at: the requirement, where it is written, and what to do when it is not met."""

    id: str
    area: Area
    severity: Severity
    """``error``: not ready; ``warning``: not as OCPI has it, but a NAP can live with it; ``note``: to know."""
    requirement: str
    references: str
    """R: requirement, I: known deviation; AFIR and OCPI sections."""
    mend: str
    versions: tuple[str, ...] = ALL
    """Where it applies."""
