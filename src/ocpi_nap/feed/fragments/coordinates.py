"""Coordinates as whole numbers of ten millionths of a degree: a centimetre, which is more than OCPI can say."""

from __future__ import annotations

NOWHERE = -(1 << 31)
"""In place of a coordinate that is not known: in no box."""
_SCALE = 10_000_000


def to_e7(degrees: object) -> int:
    """Degrees (a number) to ten millionths; NOWHERE when it cannot be one."""
    try:
        value = round(float(degrees) * _SCALE)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return NOWHERE
    return value if abs(value) <= 180 * _SCALE else NOWHERE
