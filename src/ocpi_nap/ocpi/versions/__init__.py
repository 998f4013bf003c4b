"""What differs between OCPI versions, as data, and the one engine that lifts objects to the canonical model and back."""

from __future__ import annotations

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

__all__ = [
    "VERSIONS", "Lifted", "Version", "lift_connector", "lift_evse", "lift_location", "lift_tariff", "lower_connector", "lower_evse",
    "lower_location", "lower_tariff",
]  # fmt: skip
