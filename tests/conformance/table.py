"""The numbers of the conformance page with their versions and titles, as numbers.txt has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("2.1.1", "2.2.1", "2.3.0")
APPLIES = {"all": VERSIONS, "22+": VERSIONS[1:], "23": VERSIONS[2:], "2.1.1": VERSIONS[:1], "2.2.1": VERSIONS[1:2]}
_LINE = re.compile(r"(R\d+|I-\d+) +(\S+) +(.+)")


@dataclass(frozen=True)
class Entry:
    """One requirement (R) or row of the field's deviations (I)."""

    number: str
    versions: tuple[str, ...]
    title: str
    reason: str
    """Why no test can show it; else empty."""


def read() -> dict[str, list[Entry]]:
    """The entries of each section, in order; raises ValueError for a line that is none."""
    sections: dict[str, list[Entry]] = {}
    for line in Path(__file__).with_name("numbers.txt").read_text().splitlines():
        if line.startswith("## "):
            section = sections.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            found = _LINE.fullmatch(line)
            if found is None:
                raise ValueError(f"numbers.txt: {line}")
            title, _, reason = (part.strip() for part in found[3].partition("|"))
            section.append(Entry(found[1], APPLIES[found[2]], title, reason))
    return sections
