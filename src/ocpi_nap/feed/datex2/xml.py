"""Objects in official JSON shape to XML: element order, prefixes and xsi:type come from the table.

What is not in the table has no XML form and is an error; lists that are empty write nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ocpi_nap.feed.datex2.table import Attribute, Element, Table, wrapper

Write = Callable[[Any, list[str]], None]
"""Appends the XML of a value."""


def text(value: str) -> str:
    """Text of an element or attribute. Control characters have no place in XML: the mapping takes them out before."""
    if "&" in value:
        value = value.replace("&", "&amp;")
    if "<" in value:
        value = value.replace("<", "&lt;")
    if ">" in value:
        value = value.replace(">", "&gt;")
    return value.replace('"', "&quot;") if '"' in value else value


def number(value: Any) -> str:
    """Without exponent, as xs:decimal wants it."""
    if type(value) is int:
        return str(value)
    shown = str(value)
    return format(Decimal(shown), "f") if "e" in shown or "E" in shown else shown


def _boolean(value: Any) -> str:
    return "true" if value else "false"


_SHOW: dict[str, Callable[[Any], str]] = {"number": number, "integer": number, "boolean": _boolean}


class XmlWriter:
    """Writers of the classes of a table, made once."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._bodies: dict[str, tuple[Callable[[Any], str], list[tuple[str, Write]]]] = {}

    def declarations(self) -> str:
        """The namespace declarations of the document's root."""
        spaces = {**self._table.namespaces, "d2": "http://datex2.eu/schema/3/d2Payload", "xsi": "http://www.w3.org/2001/XMLSchema-instance"}
        return " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in sorted(spaces.items()))

    def writer(self, tag: str, type_name: str) -> Callable[[Any], str]:
        """A function from an object of a type to its element."""
        write = self._element(tag, type_name)

        def whole(value: Any) -> str:
            out: list[str] = []
            write(value, out)
            return "".join(out)

        return whole

    def _element(self, tag: str, type_name: str) -> Write:
        if type_name in self._table.choices:
            return self._choice(tag, type_name)
        if type_name in self._table.classes:
            return self._object(tag, type_name, "")
        return self._simple(tag, type_name)

    def _simple(self, tag: str, type_name: str) -> Write:
        simple = self._table.simple[type_name]
        opening, closing = f"<{tag}>", f"</{tag}>"
        if simple.base == "wrapped":
            ready = {value: f"{opening}{value}{closing}" for value in simple.values}
            ready["extendedG"] = ""

            def wrapped(value: Any, out: list[str]) -> None:
                shown = ready[value["value"]]
                out.append(shown or f'<{tag} _extendedValue="{text(value["extendedValueG"])}">_extended{closing}')

            return wrapped
        if simple.base == "multilingual":
            begin, end = f"{opening}<com:values>", f"</com:values>{closing}"

            def multilingual(value: Any, out: list[str]) -> None:
                for one in value["values"]:
                    begin_or_more = begin if one is value["values"][0] else ""
                    out.append(f'{begin_or_more}<com:value lang="{one["lang"]}">{text(one["value"])}</com:value>')
                out.append(end)

            return multilingual
        show = _SHOW.get(simple.base, text)

        def plain(value: Any, out: list[str]) -> None:
            out.append(f"{opening}{show(value)}{closing}")

        return plain

    def _choice(self, tag: str, type_name: str) -> Write:
        known = {wrapper(name): self._object(tag, name, f' xsi:type="{name}"') for name in self._table.choices[type_name]}

        def choice(value: Any, out: list[str]) -> None:
            ((key, item),) = value.items()
            known[key](item, out)

        return choice

    def _object(self, tag: str, class_name: str, extra: str) -> Write:
        opening, closing = f"<{tag}{extra}", f"</{tag}>"

        def write(value: Any, out: list[str]) -> None:
            attributes, members = self._bodies.get(class_name) or self._body(class_name)
            out.append(f"{opening}{attributes(value)}>")
            get = value.get
            for key, member in members:
                item = get(key)
                if item is not None:
                    member(item, out)
            out.append(closing)

        return write

    def _body(self, class_name: str) -> tuple[Callable[[Any], str], list[tuple[str, Write]]]:
        described = self._table.classes[class_name]
        found = self._attributes(described.attributes), [(member.key, self._member(member)) for member in described.elements]
        self._bodies[class_name] = found
        return found

    def _member(self, member: Element) -> Write:
        one = self._element(member.tag, member.type)
        if not member.many:
            return one

        def several(value: Any, out: list[str]) -> None:
            for item in value:
                one(item, out)

        return several

    def _attributes(self, described: list[Attribute]) -> Callable[[Any], str]:
        shown = [(a.key, f' {a.name}="', a.fixed, _SHOW.get(self._table.simple[a.type].base, text)) for a in described]

        def attributes(value: Any) -> str:
            parts = ""
            for key, begin, fixed, show in shown:
                item = value.get(key)
                if item is not None:
                    parts += f'{begin}{fixed or show(item)}"'
            return parts

        return attributes if shown else lambda value: ""
