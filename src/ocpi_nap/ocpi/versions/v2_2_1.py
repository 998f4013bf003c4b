"""OCPI 2.2.1 as data."""

from ocpi_nap.ocpi.versions.version import Version

V2_2_1 = Version(
    number="2.2.1",
    modules=("locations", "tariffs"),
    has_roles=True,
    token_encoding="base64",
    patch_needs_time=True,
    party_in_object=True,
    also_reads=("2.2",),
    required={
        "location": (
            "country_code", "party_id", "id", "publish", "address", "city", "country", "coordinates", "time_zone", "last_updated",
        ),
        "evse": ("uid", "status", "connectors", "last_updated"),
        "connector": ("id", "standard", "format", "power_type", "max_voltage", "max_amperage", "last_updated"),
        "tariff": ("country_code", "party_id", "id", "currency", "elements", "last_updated"),
    },
)  # fmt: skip
