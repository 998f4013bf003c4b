"""The table of checks is whole: every rule of the reader leads to one, and every one can be told."""

from __future__ import annotations

import re
from pathlib import Path

import ocpi_nap.checker
import ocpi_nap.ocpi.versions
from ocpi_nap.checker.checks import AREAS, CHECKS, lists, objects, protocol, registration
from ocpi_nap.checker.rules import RULES

ROOM = Path(ocpi_nap.checker.__file__).parent
READERS = Path(ocpi_nap.ocpi.versions.__file__).parent


def test_every_rule_of_the_reader_is_known() -> None:
    source = "\n".join(path.read_text() for path in READERS.glob("*.py"))
    used = set(re.findall(r'(?:issue\(path|Issue\([^,()]+|Issue\(f"[^"]*"), "([a-z0-9_]+)"', source))
    used |= {"required_missing", "required_invalid", "timestamp_form", "timestamp_offset", "timestamp_invalid"}
    assert len(used) > 20
    assert used <= set(RULES)
    assert set(RULES.values()) <= set(CHECKS)


def test_every_check_can_be_told() -> None:
    source = "\n".join(path.read_text() for path in ROOM.glob("*.py"))
    built = {f"refused-with-{status}" for status in (400, 403, 500)} | {"redirect-307", "redirect-308", "end-is-404", "end-is-416"}
    assert {check_id for check_id in CHECKS if f'"{check_id}"' not in source} <= built


def test_every_check_is_filled_in() -> None:
    modules = (protocol, registration, lists, objects)
    rows = [check for module in modules for check in module.CHECKS]
    assert len(rows) == len(CHECKS), "an id twice"
    for check in rows:
        assert check.area in AREAS and check.requirement.endswith(".") and check.mend.endswith((".", "…", "}", "]", "true"))
        assert check.references and re.fullmatch(r"[a-z0-9.-]+", check.id), check.id
