"""docs/conformance.md: what the collected tests say they hold."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.conformance.table import VERSIONS, Entry, read

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/conformance.md"
HEAD = """# Conformance

Each requirement (R) and each deviation of the field that we meet (I), with the tests that hold it in each version it applies to.
`make conformance` writes this page from the marks on the tests (`@pytest.mark.holds`), and `make test` fails when a number has no test
in one of its versions or when the page is stale.
"""
Held = dict[str, dict[str, set[str]]]
"""Number → link to a test → versions."""


class Collector:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def collect() -> list[pytest.Item]:
    """All tests of the project, not run."""
    collector, said = Collector(), io.StringIO()
    with redirect_stdout(said):
        status = pytest.main(["--collect-only", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(ROOT / "tests")], plugins=[collector])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"The tests could not be collected.\n{said.getvalue()[-4000:]}")
    return collector.items


def held(items: Iterable[pytest.Item]) -> tuple[Held, list[str]]:
    """What the marks say, and what is wrong with them."""
    known = {entry.number: entry for entries in read().values() for entry in entries}
    found: Held = defaultdict(lambda: defaultdict(set))
    problems: set[str] = set()
    for item in items:
        for mark in item.iter_markers("holds"):
            versions = _versions(item, mark)
            if not versions:
                problems.add(f"{_name(item)}: no parameter `version`, so its mark must say versions=…")
            if "shared" in getattr(item, "fixturenames", ()):
                problems.add(f"{_name(item)}: a test that is skipped without ../shared holds nothing")
            for number in mark.args:
                if number not in known:
                    problems.add(f"{_name(item)}: {number} is not in numbers.txt")
                else:
                    found[number][_link(item, mark)].update(set(versions) & set(known[number].versions))
    return found, sorted(problems)


def _versions(item: pytest.Item, mark: pytest.Mark) -> tuple[str, ...]:
    """Given with the mark (``"all"`` for each), or the parameter ``version`` or that of the fixture ``cpo``."""
    given = mark.kwargs.get("versions")
    if given is not None:
        return VERSIONS if given == "all" else tuple(given)
    params = item.callspec.params if hasattr(item, "callspec") else {}
    value = params.get("version", params.get("cpo"))
    value = value[0] if isinstance(value, tuple) else value
    return (value,) if value in VERSIONS else ()


def _name(item: pytest.Item) -> str:
    return str(getattr(item, "originalname", item.name))


def _link(item: pytest.Item, mark: pytest.Mark) -> str:
    """The test's name, with its case where the mark is on that case alone, leading to its file."""
    callspec = getattr(item, "callspec", None)
    name = _name(item)
    if callspec is not None and mark in callspec.marks:
        case = callspec.id
        for version in VERSIONS:
            case = case.replace(version, "").strip("-")
        name += f"[{case}]" if case else ""
    return f"[`{name}`](../{item.path.relative_to(ROOT).as_posix()})"


def missing(found: Held) -> list[str]:
    """Numbers without a test in a version they apply to."""
    return [
        f"{entry.number} {entry.title}: no test in {version}"
        for entries in read().values() for entry in entries if not entry.reason
        for version in entry.versions if not any(version in versions for versions in found.get(entry.number, {}).values())
    ]  # fmt: skip


def render(found: Held) -> str:
    """The page."""
    parts = [HEAD]
    for section, entries in read().items():
        parts.append(f"\n## {section}\n\n| | What is held | Versions | Tests |\n|---|---|---|---|\n")
        parts += [_row(entry, found.get(entry.number, {})) for entry in entries]
    return "".join(parts)


def _row(entry: Entry, tests: dict[str, set[str]]) -> str:
    """Tests of all its versions first, then those of single versions after their names."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for link, versions in sorted(tests.items()):
        if versions:
            groups[tuple(sorted(versions))].append(link)
    cells = [
        ("" if versions == entry.versions else f"{', '.join(versions)}: ") + ", ".join(links)
        for versions, links in sorted(groups.items(), key=lambda group: (-len(group[0]), group[0]))
    ]
    text = "; ".join(cells) or "–"
    if entry.reason:
        text = entry.reason if not cells else f"{text}; {entry.reason}"
    applies = "all" if entry.versions == VERSIONS else ", ".join(entry.versions)
    return f"| {entry.number} | {entry.title} | {applies} | {text} |\n"
