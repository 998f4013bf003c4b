"""The one engine that reads and writes objects by tables of fields; what differs between versions is in the tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ocpi_nap.model import timestamps
from ocpi_nap.model.objects import GeoLocation, Node
from ocpi_nap.ocpi.versions.readers import Reader, Reading, says

_TIMES = ("last_updated",)
"""Members whose other spellings are not kept: a node whose time alone is new has not changed (I-59)."""


class Field(NamedTuple):
    """One member: its wire name, the canonical attribute, how it is read, and the versions whose own name it is."""

    name: str
    attribute: str
    read: Reader
    versions: frozenset[str]
    single: bool = False
    """The wire has room for one value of a canonical list."""


ALL = frozenset(("2.1.1", "2.2.1", "2.3.0"))
FROM_221 = frozenset(("2.2.1", "2.3.0"))
ONLY_230 = frozenset(("2.3.0",))
ONLY_211 = frozenset(("2.1.1",))
ONLY_221 = frozenset(("2.2.1",))


def same(read: Reader, *names: str, versions: frozenset[str] = ALL) -> list[Field]:
    """Fields whose wire name is the canonical one."""
    return [Field(name, name, read, versions) for name in names]


class Table:
    """The members of one class; the reader accepts every version's name on every version (objects.md section 6)."""

    def __init__(self, node: type[Node], fields: Iterable[Field], alike: tuple[str, str] | None = None) -> None:
        self.node = node
        self.fields = list(fields)
        self._by_name = {field.name: (field.attribute, field.read, field.versions, field.single) for field in self.fields}
        self.rivals: dict[str, list[Field]] = {}
        for field in self.fields:
            self.rivals.setdefault(field.attribute, []).append(field)
        self.rivals = {name: rivals for name, rivals in self.rivals.items() if len(rivals) > 1}
        self.spellings: dict[str, str] = {}
        """By wire name, the name that another version has for the same."""
        for one, other in [*((rivals[0].name, rivals[1].name) for rivals in self.rivals.values()), *([alike] if alike else [])]:
            self.spellings |= {one: other, other: one}

    def read(self, raw: dict[str, Any], path: str, reading: Reading) -> Any:
        """The canonical node; unknown members, and the loser of two spellings of one, go to ``extra``."""
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        by_name = self._by_name
        for name, value in raw.items():
            found = by_name.get(name)
            if found is None:
                extra[name] = value
            elif value is not None:
                attribute, read, versions, single = found
                own = reading.version in versions
                if not own and attribute in self.rivals and self._loses(name, attribute, raw, reading.version):
                    extra[name] = value
                    continue
                where = f"{path}.{name}" if path else name
                result = read(value, where, reading)
                if result is not None:
                    values[attribute] = result
                said = result is value or name in _TIMES or (value == [] and not result) or says(result, value)
                if not said or not own or (single and type(value) is list):
                    reading.raw_enums[where] = value
        if extra:
            values["extra"] = extra
        return self.node(**values)

    def _loses(self, name: str, attribute: str, raw: dict[str, Any], version: str) -> bool:
        """True when another spelling of the same attribute is present and is the version's own."""
        present = [field for field in self.rivals[attribute] if raw.get(field.name) is not None]
        best = next((field for field in present if version in field.versions), present[0])
        return best.name != name

    def nested(self, value: Any, path: str, reading: Reading) -> Any:
        """As a reader of a member that holds one such object."""
        if type(value) is list and len(value) == 1:
            reading.issue(path, "wrapped", "a list of one where an object is required", value)
            value = value[0]
        if type(value) is not dict:
            if value != "" and value != [] and value is not None:
                reading.issue(path, "wrong_type", "not an object: dropped", value)
            return None
        return self.read(value, path, reading) if value else None

    def write(self, node: Node, version: str, *, whole: bool = False) -> dict[str, Any]:
        """The wire object in a version's own names; what the version cannot say is left out, unknown members come back.

        ``whole``: what it cannot say is there too, in the name of another version.
        """
        wire: dict[str, Any] = {}
        for field in self._written(version, whole):
            value = getattr(node, field.attribute)
            if value is None or value == [] or value == "":
                continue
            single = field.single and (len(value) == 1 or not whole)
            wire[field.name] = self._wire(value[0] if single else value, version, whole)
        for name, value in node.extra.items():
            wire.setdefault(name, value)  # a spelling that lost in `read` says nothing against the one that counted
        return wire

    def _written(self, version: str, whole: bool) -> list[Field]:
        own = [field for field in self.fields if version in field.versions]
        if not whole:
            return own
        said = {field.attribute for field in own}
        others: dict[str, Field] = {}
        for field in self.fields:
            if field.attribute not in said:
                others.setdefault(field.attribute, field)
        return [*own, *others.values()]

    def _wire(self, value: Any, version: str, whole: bool) -> Any:
        if isinstance(value, list):
            return [self._wire(item, version, whole) for item in value]
        if isinstance(value, Node):
            return TABLES[type(value)].write(value, version, whole=whole)
        if isinstance(value, datetime):
            return timestamps.format_z(value)
        if isinstance(value, float):
            return next((text for text in (f"{value:.6f}", f"{value:.7f}") if float(text) == value), f"{Decimal(repr(value)):f}")
        return value


_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def restore(wire: dict[str, Any], kept: dict[str, Any]) -> None:
    """Put what was mapped or dropped back as it came (`Reading.raw_enums`); other spellings of the same member go."""
    for path, value in kept.items():
        *way, last = [name or int(index) for name, index in _STEP.findall(path)]
        parent: Any = wire
        for step in way:
            parent = parent.setdefault(step, {}) if isinstance(parent, dict) else parent[step]
        for rival in _RIVALS.get(last, ()) if isinstance(parent, dict) else ():
            parent.pop(rival, None)
        if value is None:
            parent.pop(last, None)
        else:
            parent[last] = value


TABLES: dict[type[Node], Table] = {}
_RIVALS: dict[Any, set[str]] = {}
"""By wire name, the other names of the same member."""


def table(node: type[Node], *groups: list[Field], alike: tuple[str, str] | None = None) -> Table:
    """Declare the table of a class. ``alike``: names with attributes of their own that say the same in different versions."""
    TABLES[node] = declared = Table(node, [field for group in groups for field in group], alike)
    for rivals in declared.rivals.values():
        for field in rivals:
            _RIVALS.setdefault(field.name, set()).update(other.name for other in rivals if other is not field)
    return declared


def usable_coordinates(geo: GeoLocation | None) -> bool:
    """Both numbers there, and not the 0/0 of an empty form (I-94)."""
    return geo is not None and geo.latitude is not None and geo.longitude is not None and (geo.latitude, geo.longitude) != (0, 0)

