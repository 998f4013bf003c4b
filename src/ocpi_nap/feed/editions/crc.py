"""CRC-32 (as in gzip, RFC 1952) of what is joined, from those of its parts: polynomials over GF(2), the highest power in the lowest bit."""

from __future__ import annotations

_POLYNOMIAL = 0xEDB88320
ONE = 1 << 31
"""The polynomial 1."""


def _nibble(value: int) -> int:
    for _ in range(4):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_BY_16 = [_nibble(value) for value in range(16)]
"""What the four bits that are shifted out leave behind."""


def multiply(a: int, b: int) -> int:
    """The product modulo the polynomial of CRC-32."""
    doubled = (a >> 1) ^ (_POLYNOMIAL if a & 1 else 0)
    fourfold = (doubled >> 1) ^ (_POLYNOMIAL if doubled & 1 else 0)
    eightfold = (fourfold >> 1) ^ (_POLYNOMIAL if fourfold & 1 else 0)
    low, high = fourfold ^ eightfold, a ^ doubled
    times = (0, eightfold, fourfold, low, doubled, doubled ^ eightfold, doubled ^ fourfold, doubled ^ low,
             a, a ^ eightfold, a ^ fourfold, a ^ low, high, high ^ eightfold, high ^ fourfold, high ^ low)  # fmt: skip
    product, by_16 = 0, _BY_16
    for _ in range(8):
        product = (product >> 4) ^ by_16[product & 15] ^ times[b & 15]
        b >>= 4
    return product


def _powers() -> list[list[int]]:
    found, base = [], 1 << 23  # x^8: one byte
    for _ in range(4):
        row = [ONE]
        for _ in range(255):
            row.append(multiply(row[-1], base))
        found.append(row)
        base = multiply(row[-1], base)
    return found


_POWERS = _powers()


def shift(length: int) -> int:
    """What the CRC of something is multiplied with when so many bytes (less than 2³²) follow it."""
    found = _POWERS[0][length & 255]
    for row in _POWERS[1:]:
        length >>= 8
        if length & 255:
            found = multiply(found, row[length & 255])
    return found
