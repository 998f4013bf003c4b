"""Who may deliver: platforms, operators, tokens, and the handshake with either side starting it.

From Python::

    record = onboarding.check(name="acme", versions_url="https://…", token="…", party_id="ACM", country_code="FI",
                              operators=["FI*ACM;Acme;https://acme.example"])
    await registry.add(record)
    await handshake.register(registry, "acme")
"""

from ocpi_nap.registry.outcomes import RegistryError
from ocpi_nap.registry.service import Registry

__all__ = ["Registry", "RegistryError"]
