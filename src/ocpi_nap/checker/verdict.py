"""Whether a platform is ready for production, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ocpi_nap.checker.state import Run

_REASONS = 6


@dataclass(frozen=True)
class Verdict:
    """``incomplete``: nothing speaks against it, but the objects were not seen."""

    outcome: Literal["ready", "not-ready", "incomplete"]
    sentence: str
    reasons: list[str]


def judge(run: Run) -> Verdict:
    """Ready when the objects were read and no requirement was missed that a NAP cannot do without."""
    errors, warnings = run.findings.of("error"), run.findings.of("warning")
    reasons = [f"{found.check.requirement} [{found.check.id}]" for found in errors[:_REASONS]]
    if len(errors) > _REASONS:
        reasons.append(f"and {len(errors) - _REASONS} more")
    if errors:
        return Verdict("not-ready", f"Not ready for production: {_number(len(errors), 'requirement')} not met.", reasons)
    if not run.objects_read:
        why = "The token opens only versions and credentials, so locations and tariffs were not looked at."
        return Verdict("incomplete", "Not decided: the objects were not checked.", [why, "Check again with --register, or with a token C."])
    told = f", with {_number(len(warnings), 'deviation')} to mend" if warnings else ""
    left = [] if run.options.register else ["The exchange of credentials was not tried: --register does."]
    return Verdict("ready", f"Ready for production{told}.", left)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
