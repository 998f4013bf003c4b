"""What the tolerant reader reports (rules of ocpi/versions), as findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ocpi_nap.checker.findings import Findings
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.model.issues import Issue
from ocpi_nap.ocpi.versions import Version

RULES = {
    "bare_price": "prices-as-text",
    "coordinate_invalid": "coordinates-unusable",
    "coordinates_abroad": "coordinates-abroad",
    "coordinates_swapped": "coordinates-swapped",
    "country_alpha2": "country-alpha-2",
    "country_form": "country-alpha-2",
    "currency_unknown": "currency-unknown",
    "decimal_comma": "coordinates-with-comma",
    "duplicate_id": "connector-ids-twice",
    "energy_mix_sum": "energy-mix-sum",
    "enum_spelling": "enums-lower-case",
    "hours_contradict": "hours-odd",
    "hours_incomplete": "hours-odd",
    "id_inferred": "connector-ids-missing",
    "negative_price": "prices-implausible",
    "not_a_list": "list-form",
    "not_an_object": "not-an-object",
    "not_integral": "not-whole",
    "number_as_text": "text-as-number",
    "out_of_range": "wrong-type",
    "plain_text": "directions-as-text",
    "power_in_kilowatts": "power-in-kilowatts",
    "power_of_one_phase": "power-of-one-phase",
    "required_invalid": "core-missing",
    "required_missing": "required-missing",
    "step_size": "step-size",
    "tariffs_inlined": "tariffs-inlined",
    "text_as_boolean": "booleans-as-text",
    "text_as_number": "numbers-as-text",
    "time_zone_invalid": "time-zone-form",
    "timestamp_form": "times-odd",
    "timestamp_invalid": "times-unreadable",
    "timestamp_offset": "times-with-offset",
    "too_long": "texts-too-long",
    "uid_inferred": "uid-missing",
    "unknown_enum": "enums-unknown",
    "voltage_line_to_line": "voltage-line-to-line",
    "weekday_invalid": "hours-odd",
    "wrapped": "not-an-object",
    "wrong_type": "wrong-type",
}
"""Rule → check. `_required` and `_special` refine it."""

_OWN = {
    "last_updated": "last-updated-missing", "connectors": "connectors-missing", "id": "connector-ids-missing", "publish": "publish-missing",
}  # fmt: skip
_TIMES_TOLD_FROM_THE_WIRE = {"timestamp_form", "timestamp_offset"}


def tell(found: Findings, issues: Iterable[Issue], raw: dict[str, Any], label: str, level: str, version: Version, seen: Seen) -> None:
    """Add the issues of one object; ``label`` names it in examples, ``raw`` is what came."""
    for issue in issues:
        path = issue.path.rsplit("]", 1)[-1].strip(".") if level == "evse" and issue.path.startswith("connectors[") else issue.path
        deep = "connector" if level == "evse" and issue.path.startswith("connectors[") and path else level
        check = _check(issue, path, deep, version, raw)
        if check is not None:
            found.add(check, f"{label}: {issue.text()}"[:300], seen, part=raw)


def _check(issue: Issue, path: str, level: str, version: Version, raw: dict[str, Any]) -> str | None:
    rule, name = issue.rule, path.partition("[")[0].partition(".")[0]
    if rule in _TIMES_TOLD_FROM_THE_WIRE:
        return None
    if rule == "not_a_list" and name == "directions" and isinstance(raw.get(name), str):
        return None  # told as plain text
    if name == "opening_times":
        return "hours-odd"
    if rule in ("required_missing", "required_invalid"):
        if name != path and name != "coordinates":
            return None if name == "operator" else "required-missing"
        return _required(issue, name, level, version)
    if rule == "unknown_enum" and name == "standard":
        return "standard-unknown"
    if rule == "coordinate_invalid" and "," in issue.sample:
        return "coordinates-with-comma"
    if rule == "text_as_number" and level == "tariff" and "price" in path:
        return "prices-as-text"
    return RULES.get(rule, "wrong-type")


def _required(issue: Issue, name: str, level: str, version: Version) -> str | None:
    if name in _OWN:
        return None if issue.rule == "required_invalid" and name == "last_updated" else _OWN[name]
    if issue.rule == "required_invalid" and issue.sample not in ("", "#NA") and not issue.sample.isspace():
        if name == "coordinates":
            return "coordinates-unusable"
        return "prices-unusable" if name == "elements" else None  # why it cannot be used is told by another issue
    if name == "elements" and issue.message.startswith("no usable"):
        return "prices-unusable"
    attribute = dict(version.required_attributes[level]).get(name, name)
    return "core-missing" if attribute in version.core[level] else "required-missing"
