"""Identifiers: how they compare, and how an operator is written on the command line."""

from __future__ import annotations

import re

from ocpi_nap.model.platform import Operator

_UPPER = {c: c + 32 for c in range(65, 91)}
_COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)
_PARTY = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def fold(text: str) -> str:
    """ASCII case folding: CiString is ASCII, other letters stay as they are."""
    return text.lower() if text.isascii() else text.translate(_UPPER)


_EVSE_ID = re.compile(r"([A-Z]{2})[*-]?([A-Z0-9]{3})[*-]?(E[A-Z0-9*-]+)", re.ASCII)


def normal_evse_id(text: str) -> str | None:
    """An EVSE id as ``CC*PPP*E…``, upper case, whatever its separators (ISO 15118-2 annex H); None when it is none."""
    found = _EVSE_ID.fullmatch(text if text.isupper() and " " not in text else "".join(text.split()).upper())
    return f"{found[1]}*{found[2]}*{found[3].replace('-', '*')}" if found else None


def country_code(text: str, field: str) -> str:
    """An ISO 3166-1 alpha-2 code in upper case; ValueError names the field."""
    if not _COUNTRY.fullmatch(text.strip()):
        raise ValueError(f"{field}: two letters are required, as in FI (got {text[:20]!r})")
    return text.strip().upper()


def party_id(text: str, field: str) -> str:
    """A party id in upper case (three characters by the specification, up to 16 tolerated: I-41); ValueError names the field."""
    if not _PARTY.fullmatch(text.strip()):
        raise ValueError(f"{field}: letters and digits are required, as in ABC (got {text[:20]!r})")
    return text.strip().upper()


def is_party(country: str, party: str) -> bool:
    """Whether this can be an operator's id (see `country_code`, `party_id`)."""
    return bool(_COUNTRY.fullmatch(country) and _PARTY.fullmatch(party))


def operator(country: str, party: str, name: str, url: str | None, field: str = "operator") -> Operator:
    """A checked operator; ValueError names the field."""
    if not name.strip():
        raise ValueError(f"{field} NAME: must not be empty")
    if url is not None and url.strip() and not _URL.fullmatch(url.strip()):
        raise ValueError(f"{field} URL: an absolute http(s) URL is required (got {url[:60]!r})")
    return Operator(
        country_code=country_code(country, f"{field} COUNTRY_CODE"),
        party_id=party_id(party, f"{field} PARTY_ID"),
        name=name.strip(),
        url=(url or "").strip() or None,
    )


def parse_operator(text: str) -> Operator:
    """``FI*ABC;Operator name;https://abc.example`` (the URL may be left out); ValueError names the field."""
    party, _, rest = text.partition(";")
    name, _, url = rest.partition(";")
    country, star, code = party.partition("*")
    if not star:
        raise ValueError(f"OPERATOR: COUNTRY_CODE*PARTY_ID;NAME;URL is required (got {text[:60]!r})")
    return operator(country, code, name, url or None)
