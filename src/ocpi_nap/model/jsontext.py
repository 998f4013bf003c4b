"""JSON as CPOs send it: exact numbers, broken characters cleaned, everything else refused as not JSON (R32, R47, R190)."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SUSPECT = re.compile(rb"\\u(?:00[01]|[dD][89a-fA-F])|[\x7f]")
_DEEPEST = 64
_LARGE = 1 << 18
_MOST_CONTAINERS, _MOST_VALUES = 250_000, 1_000_000
"""In one document: a thousand EVSEs have some ten thousand containers and fifty thousand values. More would cost, in Python's own objects,
hundreds of times the bytes that came."""
_BOM = b"\xef\xbb\xbf"


class NotJson(ValueError):
    """The bytes are not a JSON document (or one nested too deeply)."""


class Cleaned(dict[str, Any]):
    """An object in whose texts characters were removed or replaced; ``paths`` says in which (R47)."""

    paths: list[str]


def parse(data: bytes) -> Any:
    """Decode; floats become Decimal with their exact text, control characters go, lone surrogates become U+FFFD (see Cleaned).

    Raises NotJson for anything that is not strict JSON in UTF-8, for an empty body, for nesting deeper than 64, and for more than a
    million values.
    """
    if data.startswith(_BOM):
        data = data[3:]
    if len(data) > _LARGE and (data.count(b"{") + data.count(b"[") > _MOST_CONTAINERS or data.count(b",") > _MOST_VALUES):
        raise NotJson("too many values")
    try:
        if (b"\\u" in data or b"\x7f" in data) and _SUSPECT.search(data):
            return _cleaned(_parse_slowly(data))
        value = _decoder.decode(data)
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, ValueError) as error:
        raise NotJson(str(error)[:120]) from None
    if not _surely_shallow(data):
        _check_depth(value)
    return value


_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)
_MOST_BRACKETS = 1_000_000
_KEPT_DEPTH = 2 * _DEEPEST


def cut(data: bytes) -> bytes:
    """The text with null for what is nested deeper than 128, for a decoder that gives up on such: whatever of it was too deep for `parse`
    still is. The text itself where it has more than a million brackets."""
    parts: list[bytes] = []
    kept = depth = 0
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        return data
    found = _TO_BRACKET.match(data)
    while found is not None:
        at = found.start(1)
        if data[at] in b"[{":
            depth += 1
            if depth == _KEPT_DEPTH + 1:
                parts += (data[kept:at], b"null")
        else:
            if depth == _KEPT_DEPTH + 1:
                kept = at + 1
            depth -= 1
        found = _TO_BRACKET.match(data, found.end())
    return b"".join((*parts, data[kept:]))


load = _decoder.decode
"""Decode what `dump` wrote of objects that were parsed: it may be nested a little deeper, and larger, than what may come."""

_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _surely_shallow(data: bytes) -> bool:
    """Whether the innermost brackets can be taken out until none are left, at most 64 times; brackets in strings may say no."""
    brackets = data.translate(None, _ALL_BUT_BRACKETS)
    for _ in range(_DEEPEST):
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return not brackets


def _refuse_constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON")


def _parse_slowly(data: bytes) -> Any:
    """The standard library's decoder: the only one at hand that lets a lone surrogate through to be replaced."""
    value = json.loads(data.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise NotJson("nested too deeply")


_MOST_PATHS = 20


def _cleaned(value: Any) -> Any:
    paths: list[str] = []
    found = _clean(value, "", paths)
    if paths and isinstance(found, dict):
        found = Cleaned(found)
        found.paths = paths[:_MOST_PATHS]
    return found


def _clean(value: Any, path: str, paths: list[str]) -> Any:
    if isinstance(value, str):
        text = clean_text(value)
        if text != value and len(paths) < _MOST_PATHS:
            paths.append(path)
        return text
    if isinstance(value, list):
        return [_clean(item, f"{path}[{position}]", paths) for position, item in enumerate(value)]
    if isinstance(value, dict):
        inside = f"{path}." if path else ""
        return {_clean(name, path, paths): _clean(item, f"{inside}{clean_text(name)}", paths) for name, item in value.items()}
    return value


def clean_text(text: str) -> str:
    """The text without control characters (tab and line breaks stay); lone surrogates replaced (R47)."""
    return _CONTROL.sub(lambda match: "\ufffd" if match.group() >= "\ud800" else "", text)


def dump(value: Any) -> bytes:
    """Encode compactly; a Decimal is written as the number it was read from."""
    return _encoder.encode(value)
