"""Whose a pulled object is (D5, R132)."""

from __future__ import annotations

from typing import Any

from ocpi_nap.model.issues import Issue
from ocpi_nap.model.platform import Party, Platform

UNKNOWN_PARTY = Issue("", "unknown_party", "not an operator of this platform: its objects are left out")


def stated_owner(raw: dict[str, Any]) -> Party | None:
    """The party that the object itself names, upper case."""
    country, party = raw.get("country_code"), raw.get("party_id")
    if isinstance(country, str) and isinstance(party, str) and country.strip() and party.strip():
        return (country.strip().upper(), party.strip().upper())
    return None


def owner(raw: dict[str, Any], platform: Platform) -> Party | None:
    """The object's (country_code, party_id), upper case; None when it has none that we could tell."""
    stated = stated_owner(raw)
    if stated is not None:
        return stated
    operators = platform.operators
    if len(operators) == 1:
        return operators[0].party
    rule = platform.settings.owner_rule
    if rule in ("evse_id", "auto"):
        found = _by_evse_id(raw, platform)
        if found is not None:
            return found
    if rule in ("operator_name", "auto"):
        found = _by_name(raw, platform)
        if found is not None:
            return found
    return platform.party


def _by_evse_id(raw: dict[str, Any], platform: Platform) -> Party | None:
    """The operator whose `CCPPP` begins an EVSE id, separators aside."""
    prefixes = {f"{o.country_code}{o.party_id}": o.party for o in platform.operators}
    evses = raw.get("evses")
    for evse in evses if isinstance(evses, list) else []:
        evse_id = evse.get("evse_id") if isinstance(evse, dict) else None
        if isinstance(evse_id, str):
            plain = evse_id.upper().translate({ord(c): None for c in "*- "})
            for prefix, party in prefixes.items():
                if plain.startswith(prefix):
                    return party
    return None


def _by_name(raw: dict[str, Any], platform: Platform) -> Party | None:
    named = raw.get("operator")
    name = named.get("name") if isinstance(named, dict) else None
    if not isinstance(name, str):
        return None
    wanted = name.strip().casefold()
    return next((o.party for o in platform.operators if o.name.strip().casefold() == wanted), None)
