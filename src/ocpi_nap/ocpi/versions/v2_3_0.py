"""OCPI 2.3.0 as data: what 2.2.1 requires, and whether prices include taxes; its enumerations are open."""

from dataclasses import replace

from ocpi_nap.ocpi.versions.v2_2_1 import V2_2_1

V2_3_0 = replace(
    V2_2_1, number="2.3.0", open_enums=True, also_reads=(),
    required={**V2_2_1.required, "tariff": (*V2_2_1.required["tariff"], "tax_included")},
)  # fmt: skip
