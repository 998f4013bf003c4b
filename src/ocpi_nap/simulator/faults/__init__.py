"""Deviations that a simulated platform can be given, by name: the fault modes of `ocpi-nap simulate --fault`."""

from __future__ import annotations

from ocpi_nap.simulator.faults import paging, protocol, values
from ocpi_nap.simulator.faults.fault import Answered, Fault, Json, Listing, Lost, Push, Reply

FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*protocol.FAULTS, *paging.FAULTS, *values.VALUES, *values.PUSHES)}

__all__ = ["FAULTS", "Answered", "Fault", "Json", "Listing", "Lost", "Push", "Reply"]
