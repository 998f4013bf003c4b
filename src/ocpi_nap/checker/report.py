"""The report as data (also the JSON file) and as text for a terminal. Secrets and control characters are taken out of all of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from textwrap import fill
from typing import Any

from ocpi_nap.checker.checks import AREAS, CHECKS, Area
from ocpi_nap.checker.findings import Finding
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.state import Run
from ocpi_nap.checker.verdict import judge
from ocpi_nap.model.timestamps import format_z

Json = dict[str, Any]

_MOST_REQUESTS = 500
_COUNTED = {"locations": "Locations", "evses": "EVSEs", "connectors": "connectors", "tariffs": "tariffs", "pushes": "pushes"}
_WIDTH = 110
_HEADINGS = {"error": "Not met", "warning": "To mend", "note": "To know"}


def build(run: Run) -> Json:
    """Everything there is to tell: verdict, every check with its outcome, and the requests."""
    verdict, found = judge(run), {finding.check.id: finding for finding in run.findings}
    discovered = run.discovered
    report = {
        "verdict": {"outcome": verdict.outcome, "sentence": verdict.sentence, "reasons": verdict.reasons},
        "checked": {
            "versions_url": run.options.versions_url, "at": format_z(datetime.now(UTC).replace(microsecond=0)),
            "by": f"ocpi-nap {package_version('ocpi-nap')}", "version": discovered.version if discovered else None,
            "offered": discovered.offered if discovered else [], "endpoints": discovered.endpoints if discovered else {},
            "token_encoding": (discovered.encoding or "none") if discovered else None, "registered": run.options.register,
            "counts": {name: run.counts[name] for name in _COUNTED if name in run.counts},
        },
        "summary": {severity: len(run.findings.of(severity)) for severity in ("error", "warning", "note")},
        "areas": [{"id": area, "title": title, "ran": run.findings.was_run(area), "checks": _checks(run, area, found)}
                  for area, title in AREAS.items()],
        "requests": [_request(seen) for seen in run.recorder.seen[:_MOST_REQUESTS]],
        "requests_in_all": len(run.recorder.seen),
    }  # fmt: skip
    masked: Json = run.mask.all(report)
    return masked


def _checks(run: Run, area: Area, found: dict[str, Finding]) -> list[Json]:
    rows = [_check(run, check_id, found.get(check_id)) for check_id, check in CHECKS.items() if check.area == area]
    order = ("error", "warning", "note", "passed", "not run")
    return sorted(rows, key=lambda row: order.index(row["outcome"]))


def _check(run: Run, check_id: str, finding: Finding | None) -> Json:
    check = CHECKS[check_id]
    row: Json = {"id": check.id, "outcome": "", "requirement": check.requirement, "references": check.references}
    if finding is None:
        applies = run.version is None or run.version.number in check.versions
        return row | {"outcome": "passed" if applies and run.findings.was_run(check.area) else "not run"}
    secret = {name.lower() for name in run.options.settings.extra_headers}
    return row | {
        "outcome": finding.severity, "mend": check.mend, "count": finding.count, "examples": finding.examples,
        "object": run.mask.short(finding.part),
        "exchanges": [run.mask.exchange(seen, secret) for seen in finding.exchanges],
    }  # fmt: skip


def _request(seen: Seen) -> Json:
    return {"number": seen.number, "method": seen.method, "url": seen.url, "outcome": seen.outcome, "seconds": round(seen.seconds, 3)}


def findings(report: Json, outcome: str) -> list[Json]:
    """The checks of the report with that outcome."""
    return [check for area in report["areas"] for check in area["checks"] if check["outcome"] == outcome]


def counted(report: Json) -> str:
    """What was read, in words."""
    return ", ".join(f"{count:,} {_COUNTED[name]}" for name, count in report["checked"]["counts"].items())


def text(report: Json) -> Iterator[str]:
    """Lines for a terminal."""
    checked = report["checked"]
    yield f"{checked['versions_url']}: OCPI {checked['version'] or '–'}" + (f"; {counted(report)}" if checked["counts"] else "")
    for outcome, heading in _HEADINGS.items():
        for place, check in enumerate(findings(report, outcome)):
            if place == 0:
                yield f"\n{heading}"
            yield from _told(check)
    passed, left = len(findings(report, "passed")), len(findings(report, "not run"))
    yield f"\n{passed} checks passed" + (f", {left} were not run" if left else "") + f"; {report['requests_in_all']} requests"
    yield f"\n{report['verdict']['sentence']}"
    for reason in report["verdict"]["reasons"]:
        yield fill(reason, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _told(check: Json) -> Iterator[str]:
    times = f"  ({check['count']} times)" if check["count"] > 1 else ""
    yield f"\n  {check['id']}{times}"
    yield fill(f"{check['requirement']}  [{check['references']}]", _WIDTH, initial_indent="    ", subsequent_indent="    ")
    for example in check["examples"][:3]:
        yield fill(" ".join(example.split()), _WIDTH, initial_indent="    saw  ", subsequent_indent="         ")
    yield fill(check["mend"], _WIDTH, initial_indent="    do   ", subsequent_indent="         ")
