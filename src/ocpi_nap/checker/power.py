"""Power of a connector: sent, computed, possible (AFIR-PWR, AFIR-CON-02)."""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_nap.checker.checks import Severity
from ocpi_nap.model.objects import Connector

_MOST = {"AC_1_PHASE": 9_200, "AC_2_PHASE": 16_000, "AC_2_PHASE_SPLIT": 16_000, "AC_3_PHASE": 44_000, "DC": 4_000_000}
_ONLY_DC = ("CHADEMO", "CHAOJI", "GBT_DC", "IEC_62196_T1_COMBO", "IEC_62196_T2_COMBO", "MCS")

Told = tuple[str, str, Severity | None]


def check_power(node: Connector, *, power_sent: bool) -> Iterator[Told]:
    """``power_sent``: whether the version has a member for it."""
    power = node.max_electric_power
    if power is None and power_sent:
        if node.derived_power is None:
            yield "power-missing", "neither max_electric_power nor voltage and current", None
        else:
            yield "power-missing", f"no max_electric_power; {node.derived_power} W by voltage and current", "note"
    elif power is None and node.derived_power is None:
        yield "power-missing", "no voltage and current", None
    elif power is not None and power <= 0:
        yield "power-missing", f"max_electric_power {power}", None
    elif power is not None and power > _MOST.get(node.power_type or "", power):
        yield "power-implausible", f"{power} W with {node.power_type}", None
    standard, kind = node.standard or "", node.power_type or ""
    if (standard in _ONLY_DC and kind.startswith("AC")) or (standard.startswith("DOMESTIC") and kind == "DC"):
        yield "standard-and-current", f"{standard} with {kind}", None
