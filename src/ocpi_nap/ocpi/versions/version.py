"""What a version is: data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ocpi_nap.model.ids import fold

Names = tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """One OCPI version as the engine, the routes and the client need it."""

    number: str
    modules: Names
    """Functional modules we offer and pull."""
    has_roles: bool
    """Credentials carry roles, endpoints carry InterfaceRoles, requests carry routing headers."""
    token_encoding: Literal["raw", "base64"]
    """How a token goes into the Authorization header where nothing else was agreed (R2, R3)."""
    patch_needs_time: bool
    """A PATCH carries last_updated (R153), and an empty one is wrong."""
    party_in_object: bool
    """Locations and tariffs carry country_code and party_id."""
    required: Mapping[str, Names]
    """Per level, the wire names of cardinality 1 or +: a PATCH may not null them (D14)."""
    ids_have_case: bool = False
    """Ids are strings, not CiStrings: `A` and `a` are two objects (R45)."""
    open_enums: bool = False
    """Values outside an OpenEnum's list are legal (R41)."""
    hours_are_a_choice: bool = False
    """Opening hours carry ``twentyfourseven`` or ``regular_hours``, not always the flag."""
    also_reads: Names = ()
    """Version numbers that a platform may be set to have served as this one (D3, I-25)."""

    def id_key(self, text: str) -> str:
        """The look-up form of an id (R45)."""
        return text if self.ids_have_case else fold(text)

    def requires(self, level: str, name: str) -> bool:
        """Whether a member is required."""
        return name in self.required[level]

    @property
    def order(self) -> tuple[int, ...]:
        """For numeric comparison (R56)."""
        return tuple(int(part) for part in self.number.split("."))

    @property
    def core(self) -> Mapping[str, Names]:
        """Per level, the canonical attributes without which the addressed object is refused (D10)."""
        return _CORE

    @property
    def required_attributes(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """Per level, (wire name, canonical attribute) of what must be there; identity is the URL's business."""
        return _attributes(self)


_CORE: Mapping[str, Names] = {
    "location": ("address", "city", "country", "coordinates"),
    "evse": ("status", "connectors"),
    "connector": ("standard", "format", "power_type"),
    "tariff": ("currency", "elements"),
}
_RENAMED = {"voltage": "max_voltage", "amperage": "max_amperage", "type": "location_type_211"}
_IDENTITY = frozenset(("country_code", "party_id", "id", "uid"))
_CACHE: dict[str, Mapping[str, tuple[tuple[str, str], ...]]] = {}


def _attributes(version: Version) -> Mapping[str, tuple[tuple[str, str], ...]]:
    found = _CACHE.get(version.number)
    if found is None:
        found = _CACHE[version.number] = {
            level: tuple((name, _RENAMED.get(name, name)) for name in names if name not in _IDENTITY)
            for level, names in version.required.items()
        }
    return found
