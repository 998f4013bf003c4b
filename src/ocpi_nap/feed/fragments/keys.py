"""Keys of the fragments: they sort in feed order (contract section 9)."""

from __future__ import annotations

import struct
from typing import Literal

Kind = Literal["location", "tariff"]
KINDS: tuple[Kind, ...] = ("location", "tariff")
LONGEST = 480
"""LMDB keys hold 511 bytes: of longer ids the rest does not count for the order."""
NUMBER = struct.Struct(">Q")
AFTER_ALL = b"\xff"
"""Behind the prefix of an operator: after all keys of its rows, which are UTF-8 there."""


def row_number(kind: str, pk: int) -> bytes:
    """A row, whatever its key."""
    return bytes([KINDS.index(kind)]) + NUMBER.pack(pk)


def party_prefix(country_code: str, party_id: str) -> bytes:
    """What the keys of an operator's rows begin with."""
    return f"{country_code}\0{party_id}\0".encode()


def id_prefix(country_code: str, party_id: str, row_id: str) -> bytes:
    """What the keys of the rows with an id begin with."""
    return f"{country_code}\0{party_id}\0{row_id}".encode()[:LONGEST] + b"\0"


def feed_key(country_code: str, party_id: str, row_id: str, pk: int) -> bytes:
    """Country, party, id, then the row's number."""
    return id_prefix(country_code, party_id, row_id) + NUMBER.pack(pk)


def key_party(key: bytes) -> bytes:
    """The part of a key that is the same for all rows of an operator."""
    return key[: key.index(b"\0", key.index(b"\0") + 1) + 1]


def key_operator(key: bytes) -> str:
    """``FI*ABC``"""
    country, party, _ = key.split(b"\0", 2)
    return f"{country.decode()}*{party.decode()}"
