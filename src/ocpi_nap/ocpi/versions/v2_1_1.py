"""OCPI 2.1.1 as data."""

from ocpi_nap.ocpi.versions.version import Version

V2_1_1 = Version(
    number="2.1.1",
    modules=("locations",),  # it has tariffs, but a NAP does not collect them in this version (R173)
    has_roles=False,
    token_encoding="raw",
    patch_needs_time=False,
    party_in_object=False,
    ids_have_case=True,
    hours_are_a_choice=True,
    required={
        "location": ("id", "type", "address", "city", "postal_code", "country", "coordinates", "last_updated"),
        "evse": ("uid", "status", "connectors", "last_updated"),
        "connector": ("id", "standard", "format", "power_type", "voltage", "amperage", "last_updated"),
        "tariff": ("id", "currency", "elements", "last_updated"),
    },
)
