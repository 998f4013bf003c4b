"""The check of every fragment before it is published: against types that are made from the table, at the speed of msgspec.

Required members, unknown members, literals of the official lists, forms, lengths and ranges are checked, that exactly one class
is chosen where the schema has a choice, and that no character occurs that XML cannot carry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ocpi_nap.feed.datex2.table import Class, Simple, Table, wrapper

_FORMS = {
    "dateTime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)\Z",
    "time": r"^(([01]\d|2[0-3]):[0-5]\d:[0-5]\d|24:00:00)\Z",
    "date": r"^\d{4}-\d\d-\d\d\Z",
    "duration": r"^-?P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?\Z",
    "language": r"^[a-z]{2}\Z",
}
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPED, _NONCHARACTERS = b"\\u00", b"\xef\xbf"
"""What a forbidden character looks like in JSON, and some allowed ones: they make us look closer."""


class NotPublishable(ValueError):
    """An object would break the publication; the message says where and why."""


class Guard:
    """Checks objects in official JSON shape against a table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._made: dict[str, Any] = {}
        self._open: list[str] = []

    def check(self, class_name: str) -> Callable[[Any], bytes]:
        """A function that encodes an object of a class as JSON and raises NotPublishable if it is not valid."""
        decode = msgspec.json.Decoder(self._type(class_name)).decode
        encode = msgspec.json.Encoder(decimal_format="number").encode

        def check(value: Any) -> bytes:
            try:
                encoded = encode(value)
                decode(encoded)
            except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
                raise NotPublishable(str(error)) from None
            if _ESCAPED in encoded or _NONCHARACTERS in encoded:
                _check_characters(value)
            return encoded

        return check

    def _type(self, name: str) -> Any:
        if name in self._table.choices:
            return self._kept(f"any {name}", lambda: self._choice(self._table.choices[name]))
        if name in self._table.classes:
            return self._class(name)
        return self._kept(name, lambda: _simple(self._table.simple[name]))

    def _class(self, name: str) -> Any:
        return self._kept(name, lambda: self._object(name, self._table.classes[name]))

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        if name in self._made:
            return self._made[name]
        if self._open.count(name) == 2:  # an organisation has parts that are organisations: one level of them
            return _NOTHING
        self._open.append(name)
        made = make()
        self._open.pop()
        if name not in self._open:
            self._made[name] = made
        return made

    def _object(self, name: str, described: Class) -> Any:
        fields: list[Any] = []
        for attribute in described.attributes:
            kind = _one_of([attribute.fixed.rpartition(":")[2]]) if attribute.fixed else self._type(attribute.type)
            fields.append((attribute.key, kind) if attribute.required else (attribute.key, kind, msgspec.UNSET))
        for element in described.elements:
            kind = self._type(element.type)
            if element.many:
                kind = _limited(list[kind], min_length=element.least)  # type: ignore[valid-type]
            fields.append((element.key, kind) if element.least else (element.key, kind, msgspec.UNSET))
        return msgspec.defstruct(wrapper(name), fields, kw_only=True, forbid_unknown_fields=True, gc=False)

    def _choice(self, names: list[str]) -> Any:
        keys = [wrapper(name) for name in names]
        if len(names) == 1:
            return _struct("Choice", [(keys[0], self._class(names[0]))])

        def one(self: Any) -> None:
            if sum(getattr(self, key) is not msgspec.UNSET for key in keys) != 1:
                raise ValueError(f"exactly one of {', '.join(keys)} is required")

        fields = [(key, self._class(name), msgspec.UNSET) for key, name in zip(keys, names, strict=True)]
        return msgspec.defstruct("Choice", fields, kw_only=True, forbid_unknown_fields=True, namespace={"__post_init__": one})


def _simple(simple: Simple) -> Any:
    match simple.base:
        case "wrapped":
            fields: list[Any] = [("value", _one_of(simple.values + (["extendedG"] if simple.extended else [])))]
            if simple.extended:
                fields.append(("extendedValueG", _one_of(simple.extended), msgspec.UNSET))
            return _struct("Literal", fields)
        case "enum":
            return _one_of(simple.values)
        case "multilingual":
            language, most = _limited(str, pattern=_FORMS["language"]), _limited(str, max_length=simple.longest)
            one = _struct("Text", [("lang", language), ("value", most)])
            return _struct("Texts", [("values", _limited(list[one], min_length=1))])  # type: ignore[valid-type]
        case "boolean":
            return bool
        case "integer":
            return _limited(int, ge=None if simple.min is None else int(simple.min), le=None if simple.max is None else int(simple.max))
        case "number":
            most = None if simple.digits is None else 10 ** (simple.digits - (simple.decimals or 0))
            return _limited(float, gt=None if most is None else -most, lt=most)
        case _:
            pattern = _FORMS.get(simple.base) or (rf"^(?:{simple.pattern})\Z" if simple.pattern else None)
            return _limited(str, pattern=pattern, max_length=simple.longest)


def _limited(kind: Any, **limits: Any) -> Any:
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Annotated[kind, Meta(**given)] if given else kind


def _one_of(values: list[str]) -> Any:
    return Literal[tuple(values)]


def _struct(name: str, fields: list[Any]) -> Any:
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, gc=False)


_NOTHING = _struct("Nothing", [])


def _check_characters(value: Any) -> None:
    if isinstance(value, str):
        found = _FORBIDDEN.search(value)
        if found:
            raise NotPublishable(f"the character U+{ord(found[0]):04X} cannot be written in XML")
    elif isinstance(value, dict):
        for item in value.values():
            _check_characters(item)
    elif isinstance(value, list):
        for item in value:
            _check_characters(item)
