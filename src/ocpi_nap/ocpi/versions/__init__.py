"""What differs between OCPI versions, as data, and the one engine that lifts objects to the canonical model and back."""

from __future__ import annotations

from dataclasses import replace

from ocpi_nap.ocpi.versions.lift import (
    Lifted,
    lift_connector,
    lift_evse,
    lift_location,
    lift_tariff,
    lower_connector,
    lower_evse,
    lower_location,
    lower_tariff,
)  # fmt: skip
from ocpi_nap.ocpi.versions.v2_1_1 import V2_1_1
from ocpi_nap.ocpi.versions.v2_2_1 import V2_2_1
from ocpi_nap.ocpi.versions.v2_3_0 import V2_3_0
from ocpi_nap.ocpi.versions.version import Version

VERSIONS: dict[str, Version] = {version.number: version for version in (V2_3_0, V2_2_1, V2_1_1)}
"""Every version we speak, the newest first."""
_KEYED = {
    (version.number, other.number): replace(version, ids_have_case=other.ids_have_case)
    for version in VERSIONS.values() for other in VERSIONS.values()
}  # fmt: skip


def keyed_as(number: str, agreed: str | None) -> Version:
    """A version in which ids compare as in the one that was agreed with a platform: an object is the same by every URL (D22, R45)."""
    return _KEYED[number, agreed or number]


__all__ = [
    "VERSIONS", "Lifted", "Version", "keyed_as", "lift_connector", "lift_evse", "lift_location", "lift_tariff", "lower_connector",
    "lower_evse", "lower_location", "lower_tariff",
]  # fmt: skip
