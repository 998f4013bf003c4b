"""The answers of the onboarding page, checked field by field; errors are keys of the texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ocpi_nap.model import ids
from ocpi_nap.ocpi import net
from ocpi_nap.registry import RegistryError, onboarding

ENVIRONMENTS = ("test", "production")
MOST_OPERATORS = 50
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PARTS = ("country_code", "party_id", "name", "url")


@dataclass
class Answers:
    """What a CPO said: the record without tokens, the tokens, and what is wrong by field."""

    company: str = ""
    contact: dict[str, str] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def operator_rows(form: dict[str, str]) -> int:
    """How many operators the form has room for."""
    text = form.get("rows", "1")
    return min(MOST_OPERATORS, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 4 else 1


def read_answers(form: dict[str, str], tokens: dict[str, str], *, allow_private: bool) -> Answers:
    """Check everything; ``tokens`` are those of the environments, typed now or kept from before."""
    found = Answers(form.get("company", "")[:200], {"name": form.get("contact", "")[:200], "email": form.get("email", "")[:200]})
    errors = found.errors
    for name in ("company", "contact"):
        if not form.get(name):
            errors[name] = "apply.error.required"
    if not _EMAIL.fullmatch(found.contact["email"]):
        errors["email"] = "apply.error.email"
    country, party = form.get("country_code", ""), form.get("party_id", "")
    _check(errors, "country_code", "apply.error.country", lambda: ids.country_code(country, "-"))
    _check(errors, "party_id", "apply.error.party", lambda: ids.party_id(party, "-"))
    operators = _operators(form, errors)
    environments: dict[str, dict[str, str]] = {}
    for name in ENVIRONMENTS:
        url, token = form.get(f"{name}_versions_url", ""), tokens.get(name, "")
        if not url and not token:
            continue
        _check_environment(name, url, token, errors, allow_private)
        encoding = form.get(f"{name}_token_encoding", "auto")
        environments[name] = {"versions_url": url, "token_encoding": encoding if encoding in ("auto", "raw", "base64") else "auto"}
        found.tokens[name] = token
    if not environments:
        errors["test_versions_url"] = "apply.error.environment"
    found.record = {
        "country_code": country.upper(), "party_id": party.upper(), "operators": operators, "environments": environments,
        "message": form.get("message", "")[:2000],
    }  # fmt: skip
    return found


def _check(errors: dict[str, str], name: str, text: str, test: Any) -> None:
    try:
        test()
    except ValueError:
        errors[name] = text


def _operators(form: dict[str, str], errors: dict[str, str]) -> list[dict[str, str]]:
    """The rows that say something; an empty form has its first row wrong."""
    rows, seen = [], set()
    for number in range(operator_rows(form)):
        row = {part: form.get(f"op{number}_{part}", "")[:300] for part in _PARTS}
        if number and not any(row.values()):
            continue
        _check(errors, f"op{number}_country_code", "apply.error.country", lambda row=row: ids.country_code(row["country_code"], "-"))
        _check(errors, f"op{number}_party_id", "apply.error.party", lambda row=row: ids.party_id(row["party_id"], "-"))
        if not row["name"]:
            errors[f"op{number}_name"] = "apply.error.required"
        try:
            ids.operator("FI", "ABC", "x", row["url"] or None)
        except ValueError:
            errors[f"op{number}_url"] = "apply.error.website"
        key = (row["country_code"].upper(), row["party_id"].upper())
        if key in seen:
            errors.setdefault(f"op{number}_party_id", "apply.error.twice")
        seen.add(key)
        rows.append(row)
    return rows


def _check_environment(name: str, url: str, token: str, errors: dict[str, str], allow_private: bool) -> None:
    try:
        net.check_form(url, allow_private=allow_private)
    except (net.Refused, ValueError):
        errors[f"{name}_versions_url"] = "apply.error.url"
    if not token:
        errors[f"{name}_token"] = "apply.error.token_missing"
        return
    try:
        onboarding.check(name="x", versions_url="https://x.example", token=token, party_id="ABC", country_code="FI", operators=["FI*ABC;x"])
    except RegistryError:
        errors[f"{name}_token"] = "apply.error.token"
