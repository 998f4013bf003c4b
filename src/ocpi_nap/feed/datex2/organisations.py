"""Operator, owner and helpdesk as organisations of the AFIR package (items A1, A2, A5)."""

from __future__ import annotations

import re

from ocpi_nap.feed.datex2 import common
from ocpi_nap.feed.datex2.common import DatexOptions, Json, kept, texts
from ocpi_nap.feed.views import LocationView
from ocpi_nap.model.objects import BusinessDetails

_CALLING = {
    "AUT": "43", "BEL": "32", "CHE": "41", "CZE": "420", "DEU": "49", "DNK": "45", "EST": "372", "FIN": "358", "ALA": "358", "FRA": "33",
    "GBR": "44", "ISL": "354", "ITA": "39", "LTU": "370", "LVA": "371", "NLD": "31", "NOR": "47", "POL": "48", "SWE": "46",
}  # fmt: skip


def phone(given: str, country: str | None) -> str:
    """``+358 9123456``: the form that AFIR asks for; what cannot be read as a number stays as it is."""
    digits = re.sub(r"[^\d+]", "", given.replace("(0)", ""))
    digits = "+" + digits[2:] if digits.startswith("00") else digits
    if digits.startswith("+") and digits[1:].isdecimal():
        code = next((code for code in sorted(_CALLING.values(), key=len, reverse=True) if digits[1:].startswith(code)), None)
        return f"+{code} {digits[1 + len(code) :]}" if code else digits
    code = _CALLING.get(country or "")
    if digits.startswith("0") and digits.isdecimal() and code:
        return f"+{code} {digits[1:]}"
    return common.clean(given)


def operator(view: LocationView, options: DatexOptions) -> Json:
    """The operator by its commercial name; the legal name is the register's, else the owner's."""
    details, facts, doc = view.operator, view.facts, view.doc
    legal = facts.get("legal_name") or (doc.owner.name if doc.owner else None)
    return {"afacAnOrganisation": kept({
        "name": texts(common.operator_name(view), options.language) or texts(view.operator_id, options.language),
        "legalName": texts(legal, options.language), "linkToGeneralInformation": common.url(details.get("website")),
        "linkToLogo": _logo(view),
        "nationalOrganisationNumber": facts.get("organisation_number"), "vatIdentificationNumber": facts.get("vat_number"),
        "externalIdentifier": [{"identifier": view.operator_id, "otherTypeOfIdentifier": "operatorId"}],
        "subOrganisation": [part for part in [_organisation(doc.suboperator, options)] if part],
    })}  # fmt: skip


def _logo(view: LocationView) -> str | None:
    """The operator's own, else a picture of the location that is one."""
    logo = view.operator.get("logo")
    own = common.url(logo.get("url")) if isinstance(logo, dict) else None
    return own or next((image.url for image in view.doc.images if image.category == "OPERATOR" and common.url(image.url)), None)


def owner(view: LocationView, options: DatexOptions) -> Json | None:
    """The owner as sent."""
    return _organisation(view.doc.owner, options)


def _organisation(details: BusinessDetails | None, options: DatexOptions) -> Json | None:
    name = texts(details.name, options.language) if details else None
    if details is None or name is None:
        return None
    return {"afacAnOrganisation": kept({"name": name, "linkToGeneralInformation": common.url(details.website)})}


def provider(name: str, options: DatexOptions) -> Json:
    """A mobility service provider or roaming platform (item B7)."""
    return {"afacAnOrganisation": {"name": texts(name, options.language)}}


def helpdesk(view: LocationView, options: DatexOptions) -> Json | None:
    """The helpdesk: the register's phone, else the location's."""
    facts, doc = view.facts, view.doc
    number = facts.get("helpdesk_phone") or doc.help_phone
    contact = kept({"telephoneNumber": phone(number, doc.country) if number else None, "eMail": facts.get("helpdesk_email")})
    link = common.url(facts.get("helpdesk_url"))
    if not contact and not link:
        return None
    unit = {"contactInformation": [{"afacContactInformation": contact}]} if contact else None
    name = texts(common.operator_name(view), options.language) or texts(view.operator_id, options.language)
    return {"afacAnOrganisation": kept({"name": name, "linkToGeneralInformation": link, "organisationUnit": [unit] if unit else None})}
