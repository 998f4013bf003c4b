"""The credentials object in every version, ours and theirs (R66–R72, R92, I-32, I-39)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ocpi_nap.model.platform import Party
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.errors import Invalid, TooLittle
from ocpi_nap.ocpi.versions import VERSIONS

_MOST_ROLES = 1000


@dataclass(frozen=True)
class OwnIdentity:
    """Who we are in credentials."""

    versions_url: str
    country_code: str
    party_id: str
    business_details: dict[str, Any]

    @property
    def party(self) -> Party:
        """Country code and party id."""
        return (self.country_code, self.party_id)

    def offer(self, version: str) -> str:
        """What a platform is told of our endpoints with our credentials, as text to compare (R63)."""
        return " ".join((self.versions_url, version, *VERSIONS[version].modules))

    def credentials(self, version: str, token: str) -> dict[str, Any]:
        """Our credentials object: flat in 2.1.1, exactly one role NAP from 2.2.1 on (R66, R67)."""
        party = {"party_id": self.party_id, "country_code": self.country_code, "business_details": self.business_details}
        if not VERSIONS[version].has_roles:
            return {"token": token, "url": self.versions_url, **party}
        return {"token": token, "url": self.versions_url, "roles": [{"role": "NAP", **party}]}


@dataclass(frozen=True)
class PeerCredentials:
    """What we take from theirs."""

    token: str
    url: str | None
    roles: list[dict[str, Any]]


def role_party(role: dict[str, Any]) -> Party:
    """The party of a role as they write it, in our form: upper case, trimmed (I-41)."""
    country, party = (role.get(name) for name in ("country_code", "party_id"))
    return (str(country or "").strip().upper(), str(party or "").strip().upper())


def _plain(value: Any) -> Any:
    """With numbers that every JSON library and database takes."""
    if isinstance(value, Decimal):
        return float(value) if abs(value.adjusted()) < 300 else None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def read_credentials(data: Any, *, need_url: bool, need_roles: bool = False) -> PeerCredentials:
    """Their object of any version (R69); raises TooLittle for what is missing, Invalid for what is empty or of a wrong type (R92)."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise Invalid("a credentials object is required")
    token, url = data.get("token"), data.get("url")
    roles = _roles(data)
    needed = [("token", token), *([("url", url)] if need_url else []), *([("roles", roles or data.get("roles"))] if need_roles else [])]
    missing = [name for name, value in needed if value is None]
    if missing:
        raise TooLittle(f"{' and '.join(missing)}: required in a credentials object")
    if not isinstance(token, str) or not 0 < len(token) <= 255 or not all("\x21" <= c <= "\x7e" or c == " " for c in token):
        raise Invalid("token: a string of 1 to 255 visible characters is required")
    if need_url and not (isinstance(url, str) and url):
        raise Invalid("url: a string is required")
    if not tokens.strip_scheme(token):
        raise Invalid("token: there is nothing behind its scheme")
    if need_roles and not roles:
        raise Invalid("roles: at least one role is required")
    return PeerCredentials(tokens.strip_scheme(token), url if isinstance(url, str) else None, [_plain(role) for role in roles])


def _roles(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Their roles; a flat object of 2.1.1 is one."""
    roles = data.get("roles")
    if isinstance(roles, dict):
        roles = [roles]
    if isinstance(roles, list):
        return [role for role in roles[:_MOST_ROLES] if isinstance(role, dict) and role]
    flat = {name: data[name] for name in ("party_id", "country_code", "business_details") if data.get(name) is not None}
    return [{"role": "CPO", **flat}] if "party_id" in flat else []
