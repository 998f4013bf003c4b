"""Three platforms that together have the size and make-up of Finland's network: 3,800 locations, 19,800 EVSEs, 20,100
connectors, 3,000 tariffs, about 5 status changes a second."""

from __future__ import annotations

from ocpi_nap.simulator.network import NetworkSpec, SimulatedOperator
from ocpi_nap.simulator.platform import PlatformSpec

_TUNTURI = SimulatedOperator("TUN", "Tunturi Lataus (simulated)", "https://tunturi.example")
_KALEVA = SimulatedOperator("KAL", "Kaleva Lataus (simulated)", "https://kaleva.example")
_SUOMU = SimulatedOperator("SUO", "Suomu Pikalataus (simulated)", "https://suomu.example")
_REVONTULI = SimulatedOperator("REV", "Revontuli Energia (simulated)", "https://revontuli.example")

PLATFORMS = (
    PlatformSpec(
        "tunturi", NetworkSpec("2.1.1", (_TUNTURI,), locations=800, evses=3_900, connectors=3_960, tariffs=0, seed=211),
        "FI", "TUN", "tunturi-token-a", "raw", changes_per_second=1.0,
    ),
    PlatformSpec(
        "kaleva", NetworkSpec("2.2.1", (_KALEVA, _SUOMU), locations=1_900, evses=10_100, connectors=10_250, tariffs=1_900, seed=221),
        "FI", "KLV", "kaleva-token-a", "base64", changes_per_second=2.5,
    ),
    PlatformSpec(
        "revontuli", NetworkSpec("2.3.0", (_REVONTULI,), locations=1_100, evses=5_800, connectors=5_890, tariffs=1_100, seed=230),
        "FI", "REV", "revontuli-token-a", "base64", changes_per_second=1.5,
    ),
)  # fmt: skip
FIRST_PORT = 8011
"""The platforms listen on this port and the next ones, so that a NAP finds them again after a restart."""
