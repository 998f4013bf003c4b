"""The operator register: what OCPI cannot say of operators and locations, fact by fact, and how each is written.

The facts are those items of the annex of Regulation (EU) 2025/655 that no version of OCPI carries, or not all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_LIST = re.compile(r"\s*[|]\s*")
LONGEST = 1024
MEANS_OF_PAYMENT = (
    "emv", "nfc", "qrCode", "website", "mobileAccount", "paymentCreditCard", "paymentDebitCard", "paymentValueCard", "prepay",
    "cashBillsOnly", "cashCoinsOnly", "cashCoinsAndBills", "tollTag",
)  # fmt: skip
BRANDS = (
    "americanExpress", "applePay", "cirrus", "dinersClub", "discoverCard", "giroCard", "maestro", "masterCard", "visa", "vpay", "other",
)  # fmt: skip
SERVICES = ("fullService", "physicalAttendance", "selfService", "unattended")


def _text(given: str) -> str:
    if not given.isprintable() or len(given) > LONGEST:
        raise ValueError(f"a text of at most {LONGEST} characters on one line is required")
    return given


def _form(pattern: str, wanted: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.ASCII)

    def read(given: str) -> str:
        if not compiled.fullmatch(given):
            raise ValueError(f"{wanted} is required (got {given[:40]!r})")
        return given

    return read


def _link(given: str) -> str:
    if not _URL.fullmatch(_text(given)):
        raise ValueError(f"an absolute http(s) URL is required (got {given[:60]!r})")
    return given


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    folded = {name.lower(): name for name in known}

    def read(given: str) -> str:
        if given.lower() not in folded:
            raise ValueError(f"one of {', '.join(known)} is required (got {given[:40]!r})")
        return folded[given.lower()]

    return read


def _list(each: Callable[[str], str]) -> Callable[[str], list[str]]:
    def read(given: str) -> list[str]:
        return list(dict.fromkeys(each(part) for part in _LIST.split(given.strip("| ")) if part))

    return read


def _yes_or_no(given: str) -> bool:
    if given.lower() not in ("yes", "true", "1", "no", "false", "0"):
        raise ValueError(f"yes or no is required (got {given[:40]!r})")
    return given.lower() in ("yes", "true", "1")


def _watts(given: str) -> int:
    if not given.isascii() or not given.isdigit() or not 1000 <= int(given) <= 100_000_000:
        raise ValueError(f"watts are required, from 1000 to 100000000 (got {given[:40]!r})")
    return int(given)


@dataclass(frozen=True, slots=True)
class Field:
    """One fact: which AFIR item it is, what it means, and how its text is read (ValueError says what is wrong)."""

    item: str
    meaning: str
    read: Callable[[str], Any]


FIELDS: dict[str, Field] = {
    "legal_name": Field("A1", "Legal name of the operator.", _text),
    "organisation_number": Field(
        "A1", "Number in the national register of companies.", _form(r"[0-9A-Za-z][0-9A-Za-z /.-]{0,39}", "a number")
    ),
    "vat_number": Field("A1", "VAT identification number.", _form(r"[A-Z]{2}[0-9A-Z+*]{2,13}", "a VAT number as in FI12345678")),
    "service_type": Field("A4", f"Staff: {', '.join(SERVICES)}.", _one_of(SERVICES)),
    "helpdesk_phone": Field(
        "A5", "Helpdesk, as in `+358 9123456`.", _form(r"\+[1-9]\d{0,2} \d{4,15}(-\d{1,8})?", "a number as in +358 9123456")
    ),
    "helpdesk_email": Field("A5", "E-mail address of the helpdesk.", _form(r"[^@\s,;|]{1,64}@[^@\s,;|]+\.[^@\s,;|]+", "an e-mail address")),
    "helpdesk_url": Field("A5", "Page of the helpdesk.", _link),
    "roofed": Field("A6", "Covered parking, yes or no.", _yes_or_no),
    "lighting": Field("A6", "Illuminated parking, yes or no.", _yes_or_no),
    "catering": Field("A6", "Food and drink, yes or no.", _yes_or_no),
    "toilet": Field("A6", "Toilets, yes or no.", _yes_or_no),
    "rest_area": Field("A6", "A place to rest, yes or no.", _yes_or_no),
    "nuts1": Field("A10", "NUTS 1 region.", _form(r"[A-Z]{2}[0-9A-Z]", "a NUTS 1 code as in FI1")),
    "payment_means": Field("A20–A22", f"Ad hoc payment, a list: {', '.join(MEANS_OF_PAYMENT)}.", _list(_one_of(MEANS_OF_PAYMENT))),
    "payment_brands": Field("A23", f"Accepted brands, a list: {', '.join(BRANDS)}.", _list(_one_of(BRANDS))),
    "payment_service_providers": Field("A23", "Accepted payment service providers, a list.", _list(_text)),
    "station_power": Field("B5", "Maximum power of the station in watts; used where the location is one station.", _watts),
    "mobility_service_providers": Field("B7", "Mobility service providers whose customers can charge, a list.", _list(_text)),
    "roaming_platforms": Field("B7", "Roaming platforms, a list.", _list(_text)),
}
"""Every fact there is, in the order of the AFIR annex. A list is written with ``|`` between its members."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of an operator, or of one location, with where it came from. A value of None takes the fact away."""

    country_code: str
    party_id: str
    location: str
    """The OCPI location id; "" for the operator as a whole."""
    field: str
    value: Any
    source: str = ""
    author: str = ""
    at: datetime | None = None


def read(name: str, given: str) -> Any:
    """The value of a fact; ValueError for a fact there is not or a text that does not fit. An empty text is None."""
    if name not in FIELDS:
        raise ValueError(f"there is no such fact: {', '.join(FIELDS)}")
    text = given.strip()
    return FIELDS[name].read(text) if text else None


def written(value: Any) -> str:
    """A value as `read` takes it; "" for None."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return "|".join(value) if isinstance(value, list) else str(value)
