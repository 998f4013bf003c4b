"""The table of everything that is checked, by name; the names are those of the simulator's faults."""

from __future__ import annotations

from ocpi_nap.checker.checks import lists, objects, protocol, registration
from ocpi_nap.checker.checks.check import AREAS, RANK, Area, Check, Severity

CHECKS: dict[str, Check] = {
    check.id: check for check in (*protocol.CHECKS, *registration.CHECKS, *lists.CHECKS, *objects.CHECKS)
}

__all__ = ["AREAS", "CHECKS", "RANK", "Area", "Check", "Severity"]
