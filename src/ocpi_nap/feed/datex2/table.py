"""What the schemas of a DATEX II version say, read from the table that `derive` made of the official XSD files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec


class Simple(msgspec.Struct, frozen=True):
    """A type without members. ``wrapped`` is an enumeration, written as {"value": …} in JSON."""

    base: str
    values: list[str] = []
    extended: list[str] = []
    """Literals beyond the list: ``extendedG`` with ``extendedValueG`` in JSON, ``_extended`` with an attribute in XML."""
    longest: int | None = None
    pattern: str | None = None
    min: float | None = None
    max: float | None = None
    digits: int | None = None
    decimals: int | None = None


class Attribute(msgspec.Struct, frozen=True, array_like=True):
    """An XML attribute."""

    key: str
    name: str
    type: str
    required: bool
    fixed: str


class Element(msgspec.Struct, frozen=True, array_like=True):
    """A member that is an XML element: its JSON name, its XML name with prefix, its type."""

    key: str
    tag: str
    type: str
    least: int
    many: bool


class Class(msgspec.Struct, frozen=True):
    """A class with its inherited members, in the order of XML."""

    attributes: list[Attribute]
    elements: list[Element]


class Table(msgspec.Struct, frozen=True):
    """The classes that we write. A type of `choices` is written as one of the classes below it: by ``xsi:type`` in XML, by a
    member that is named after the class in JSON."""

    version: str
    namespaces: dict[str, str]
    simple: dict[str, Simple]
    choices: dict[str, list[str]]
    classes: dict[str, Class]


def wrapper(class_name: str) -> str:
    """``egi:ElectricChargingPoint`` to ``egiElectricChargingPoint``."""
    return class_name.replace(":", "")


@cache
def load(version: str) -> Table:
    """The table of 3.6 or 3.7."""
    path = Path(__file__).with_name(f"table_{version.replace('.', '_')}.json")
    converted: Any = msgspec.json.decode(path.read_bytes())
    return msgspec.convert(converted, Table, strict=False)
