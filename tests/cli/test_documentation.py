"""What the documentation says is so: every setting and command, and the commands and answers for data users."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest
import typer
import yaml

from ocpi_nap.cli import app
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.model.register import FIELDS
from ocpi_nap.registry import onboarding
from ocpi_nap.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATORS = (ROOT / "docs/operators.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
METRIC = re.compile(r"\bocpi_nap_\w+")


def shown(value: object) -> str:
    if value in (None, "", [], {}):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_setting_of_a_node() -> None:
    rows = dict(re.findall(r"^\| `(OCPI_NAP_\w+)` \| (.+?) \|", OPERATORS, re.MULTILINE))
    assert rows == {f"OCPI_NAP_{name.upper()}": shown(field.default) for name, field in Settings.model_fields.items()}


def test_every_fact_of_the_register() -> None:
    section = OPERATORS.split("## The operator register")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE) == [
        (name, field.item, field.meaning) for name, field in FIELDS.items()
    ]


def test_every_setting_of_a_platform() -> None:
    section = OPERATORS.split("## Settings of a platform")[1].split("##")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE))
    plain = PlatformSettings()
    assert rows == {field.name: shown(getattr(plain, field.name)) for field in msgspec.structs.fields(PlatformSettings)}


def _metrics() -> set[str]:
    """Every metric that the program has, by the name under which it is scraped."""
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    return set(re.findall(r"(?:Counter|Gauge|Histogram)\(\s*\"(ocpi_nap_\w+)\"", source))


def test_every_metric() -> None:
    assert set(METRIC.findall(OPERATIONS.split("## Watch it")[1].split("\n## ")[0])) == _metrics()


def test_alarms_look_at_metrics_that_exist() -> None:
    rules = [rule for group in yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"] for rule in group["rules"]]
    assert rules and all(rule["annotations"]["summary"] for rule in rules)
    assert {name for rule in rules for name in METRIC.findall(rule["expr"])} <= _metrics()


def test_settings_of_the_installation_exist() -> None:
    """Those in the files to install, and in the chapter about them."""
    texts = [path.read_text() for path in (ROOT / "deploy").iterdir()] + [page.read_text() for page in PAGES]
    named = {name for text in texts for name in re.findall(r"\bOCPI_NAP_[A-Z_]+\b", text)}
    assert named <= {f"OCPI_NAP_{name.upper()}" for name in Settings.model_fields}


def _commands() -> dict[str, set[str]]:
    """Every command with its options."""
    found: dict[str, set[str]] = {}

    def walk(command: object, name: str) -> None:
        children = getattr(command, "commands", None)
        if children:
            for child, inner in children.items():
                walk(inner, f"{name} {child}")
            return
        found[name] = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]

    root = typer.main.get_command(app)
    walk(root, "ocpi-nap")
    alone = {option for parameter in root.params for option in parameter.opts}
    return found | {f"ocpi-nap {option}": {option} for option in alone}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_commands_exist(page: Path) -> None:
    """Each command line in a block or in backticks is one that the program has, with options it knows."""
    text = page.read_text()
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()] + re.findall(r"`(ocpi-nap [^`]+)`", text)
    known = _commands()
    for line in lines:
        if not line.startswith("ocpi-nap"):
            continue
        words = shlex.split(line, comments=True)
        name = max((name for name in known if " ".join(words).startswith(name)), key=len, default=None)
        assert name is not None, line
        assert {word for word in words if word.startswith("--")} <= known[name], line


def test_every_command_is_described() -> None:
    for name in _commands():
        if name not in ("ocpi-nap jobs", "ocpi-nap feed"):
            words = name.split()
            assert name in OPERATORS or f"`{words[-1]} " in OPERATORS, name


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"\bmake (\w+)\b", re.sub(r"[^`\n]*git and make[^\n]*", "", page.read_text()))) <= targets, page


def test_the_yaml_example(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", OPERATORS, re.DOTALL)
    assert example is not None
    path = tmp_path / "platforms.yaml"
    path.write_text(example[1])
    (record,) = onboarding.read_file(path)
    assert record.operators[0].id == "FI*ABC" and record.settings.page_size == 500


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_status_codes_of_the_cpo_guide() -> None:
    """The table of answers is that of the errors the interface can give."""
    from ocpi_nap.ocpi import errors

    rows = set(re.findall(r"^\| (\d+), (\d+) \|", (ROOT / "docs/cpo.md").read_text(), re.MULTILINE))
    given = {
        (str(kind.http_status), str(kind.status_code))
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.OcpiError) and kind.status_code in (2000, 2001, 2003)
    }
    assert given <= rows


def test_bench_history_is_whole() -> None:
    """Kept figures name version and commit."""
    for path in (ROOT / "bench/history").glob("*.json"):
        record = json.loads(path.read_text())
        assert record["version"] and record["commit"] and record["figures"], path.name
