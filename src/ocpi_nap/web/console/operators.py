"""Operators with what they have, and the operator register: what OCPI cannot say of them, by form and by CSV file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.model import register as model
from ocpi_nap.model.register import Fact, written
from ocpi_nap.registry import RegistryError, register
from ocpi_nap.registry.outcomes import ChangedMeanwhile
from ocpi_nap.store import inspect as sql
from ocpi_nap.store import register as register_sql
from ocpi_nap.store.register import Subject
from ocpi_nap.web.console.guard import Operator, Uploader, Viewer, note
from ocpi_nap.web.console.platforms import STATES
from ocpi_nap.web.context import Web, web_of
from ocpi_nap.web.forms import Upload

router = APIRouter(prefix="/console/operators")
_PAGE, _PLACES, _PROBLEMS = 100, 200, 200
_SOURCE = "console"
GROUPS = {
    "Company": ("legal_name", "organisation_number", "vat_number"),
    "Help": ("service_type", "helpdesk_phone", "helpdesk_email", "helpdesk_url"),
    "Place": ("roofed", "lighting", "catering", "toilet", "rest_area", "nuts1", "station_power"),
    "Paying without a contract": ("payment_means", "payment_brands", "payment_service_providers"),
    "Roaming": ("mobility_service_providers", "roaming_platforms"),
}
_LABELS = {
    "vat_number": "VAT number", "helpdesk_email": "Helpdesk e-mail", "helpdesk_url": "Helpdesk page", "nuts1": "NUTS 1 region",
    "roofed": "Covered parking", "lighting": "Illuminated parking", "catering": "Food and drink", "toilet": "Toilets",
    "service_type": "Staff", "station_power": "Power of the station",
}  # fmt: skip
_HELP = {
    "organisation_number": "In the national register of companies", "vat_number": "As in FI12345678",
    "helpdesk_phone": "As in +358 9123456",
    "helpdesk_url": "As in https://abc.example/help", "nuts1": "As in FI1", "station_power": "In watts, where the location is one station",
    "payment_means": f"Parted by |, any of {', '.join(model.MEANS_OF_PAYMENT)}",
    "payment_brands": f"Parted by |, any of {', '.join(model.BRANDS)}", "payment_service_providers": "Names, parted by |",
    "mobility_service_providers": "Those whose customers can charge, parted by |", "roaming_platforms": "Names, parted by |",
}  # fmt: skip
_YES_NO = ("roofed", "lighting", "catering", "toilet", "rest_area")


@dataclass(frozen=True, slots=True)
class Field:
    """A fact as the form has it."""

    name: str
    label: str
    help: str
    options: list[tuple[str, str]] | None


def _field(name: str) -> Field:
    item, said = f"AFIR data item {model.FIELDS[name].item}", _HELP.get(name)
    help = f"{said} ({item})." if said else f"{item}."
    options = None
    if name in _YES_NO:
        options = [("", "Not known"), ("yes", "Yes"), ("no", "No")]
    elif name == "service_type":
        options = [("", "Not known"), *((word, word) for word in model.SERVICES)]
    return Field(name, _LABELS.get(name, name.replace("_", " ").capitalize()), help, options)


FORM = {group: [_field(name) for name in names] for group, names in GROUPS.items()}


@router.get("")
async def show_operators(request: Request, session: Viewer, q: str = "", after: str = "") -> Response:
    """Operators in the order of their ids."""
    web = web_of(request)
    parts = after.replace("\0", "").split("*", 2)
    key = (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")
    rows = await sql.operators(web.db, q.replace("\0", ""), key, _PAGE + 1)
    last = rows[_PAGE - 1] if len(rows) > _PAGE else None
    more = f"{last.country_code}*{last.party_id}*{last.platform}" if last else ""
    return web.pages.html("console/operators.html", request, rows=rows[:_PAGE], more=more, q=q, states=STATES)


@router.get("/template.csv")
async def template(request: Request, session: Viewer) -> Response:
    """A file to fill in: every fact has a column, every operator a line."""
    known = await register_sql.known_operators(web_of(request).db)
    text = io.StringIO()
    writer = csv.writer(text)
    columns = ["operator", "location", *model.FIELDS]
    writer.writerow(columns)
    writer.writerows([f"{country}*{party}", *[""] * (len(columns) - 1)] for country, party in known)
    headers = {"Content-Disposition": 'attachment; filename="operator-register.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/import")
async def show_import(request: Request, session: Operator, changed: int | None = None, of: int | None = None) -> Response:
    """Where a file is chosen."""
    return _import_page(request, changed=changed, of=of)


def _import_page(request: Request, *, status: int = 200, source: str = "", problems: list[str] | None = None,
                 errors: dict[str, str] | None = None, changed: int | None = None, of: int | None = None) -> Response:  # fmt: skip
    problems = problems or []
    return web_of(request).pages.html(
        "console/register-import.html", request, status=status, values={"source": source}, errors=errors or {},
        problems=problems[:_PROBLEMS], further=max(len(problems) - _PROBLEMS, 0), changed=changed, of=of, names=list(model.FIELDS),
    )  # fmt: skip


@router.post("/import")
async def import_file(request: Request, session: Uploader) -> Response:
    """All facts of a file, or none of them."""
    form, upload, web = request.state.form, request.state.upload, web_of(request)
    source = form.get("source", "")
    if problem := _source_problem(source):
        return _import_page(request, status=422, source=source, errors={"source": f"{problem[0].upper()}{problem[1:]}."})
    try:
        facts = _facts_of(upload, session.name, source)
        changed = await register.store(web.db, facts)
    except register.FactsRefused as error:
        return _import_page(request, status=422, source=source, problems=error.problems)
    except RegistryError as error:
        return _import_page(request, status=422, source=source, problems=[error.message])
    assert upload is not None
    await note(request, "imported operator register", upload.name[:200], facts=len(facts), changed=changed)
    return RedirectResponse(f"/console/operators/import?changed={changed}&of={len(facts)}", status_code=303)


def _facts_of(upload: Upload | None, author: str, source: str) -> list[tuple[str, Fact]]:
    if upload is None:
        raise RegistryError("No file was chosen.")
    name = upload.name if _source_problem(upload.name) is None else "file"
    return register.parse_csv(upload.data, name, author=author, source=source or name)


def _source_problem(text: str) -> str | None:
    return None if text.isprintable() and len(text) <= 200 else "at most 200 characters on one line are required"


async def _subject(web: Web, operator: str, location: str) -> tuple[Subject, bool]:
    """The operator or location of an address, and whether a platform delivers it; 404 for an operator that none does."""
    try:
        country, party = register.operator_id(operator)
        subject = (country, party, register.location_id(location))
    except ValueError:
        raise HTTPException(404) from None
    async with web.db.connection() as conn:
        unknown = (await register_sql.unknown_subjects(conn, [subject])).get(subject)
    if unknown == "operator":
        raise HTTPException(404)
    return subject, unknown is None


async def _facts(web: Web, subject: Subject) -> list[Fact]:
    async with web.db.connection() as conn:
        return await register_sql.facts_of_subject(conn, subject)


@router.get("/{operator}")
async def show(request: Request, session: Viewer, operator: str, location: str = "", saved: str = "") -> Response:
    """What the register has of an operator, or of one of its locations, with who said it."""
    web = web_of(request)
    subject, delivered = await _subject(web, operator, location)
    if not delivered:
        found = await _facts(web, (subject[0], subject[1], ""))
        return await _page(request, (subject[0], subject[1], ""), found, status=404, missing=subject[2])
    return await _page(request, subject, await _facts(web, subject), saved=bool(saved))


async def _page(
    request: Request, subject: Subject, facts: list[Fact], *, status: int = 200, values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None, conflict: str = "", missing: str = "", saved: bool = False, version: str = "",
) -> Response:  # fmt: skip
    """The form; ``version`` is that of the facts which its reader has seen, those of ``facts`` when empty."""
    web, (country, party, location) = web_of(request), subject
    whole = await _facts(web, (country, party, "")) if location else []
    held: dict[str, Any] = {fact.field: written(fact.value) for fact in facts}
    return web.pages.html(
        "console/register.html", request, status=status, operator=f"{country}*{party}", location=location, form=FORM,
        values=held if values is None else values, errors=errors or {}, said={fact.field: fact for fact in facts},
        inherited={fact.field: written(fact.value) for fact in whole}, held=held,
        version=version or register.version(facts), conflict=conflict, missing=missing, saved=saved,
        places=await register_sql.places_with_facts(web.db, country, party, _PLACES + 1), most=_PLACES,
        rows=await sql.operators_of(web.db, country, party),
    )  # fmt: skip


@router.post("/{operator}")
async def change(request: Request, session: Operator, operator: str, location: str = "") -> Response:
    """Keep what was changed in the form, unless somebody else changed these facts since it was opened."""
    web, form = web_of(request), request.state.form
    subject, delivered = await _subject(web, operator, location)
    held = await _facts(web, subject)
    facts, errors = _changed(subject, held, form, session.name)
    conflict, status = "", 422
    if not delivered:
        raise HTTPException(404)
    if not errors:
        try:
            await register.store(web.db, facts, seen=(subject, form.get("version", "")))
        except ChangedMeanwhile as error:
            held, conflict, status = await _facts(web, subject), error.message, 409
        else:
            if facts:
                names = [fact.field for _, fact in facts]
                await note(request, "changed operator register", " ".join(filter(None, ("*".join(subject[:2]), subject[2]))), facts=names)
            target = request.url.include_query_params(saved="1")
            return RedirectResponse(f"{target.path}?{target.query}", status_code=303)
    seen = "" if conflict else form.get("version", "")  # who mends an error has still not seen what others changed meanwhile
    return await _page(request, subject, held, status=status, values=form, errors=errors, conflict=conflict, version=seen)


def _changed(subject: Subject, held: list[Fact], form: dict[str, str], author: str) -> tuple[list[tuple[str, Fact]], dict[str, str]]:
    """(place, fact) of the fields that differ from what is held, and what is wrong by field; what is not in the form stays."""
    before = {fact.field: fact.value for fact in held}
    facts: list[tuple[str, Fact]] = []
    errors: dict[str, str] = {}
    source = form.get("source", "")
    if problem := _source_problem(source):
        errors["source"] = f"{problem[0].upper()}{problem[1:]}."
    for name in model.FIELDS:
        if name not in form:
            continue
        try:
            value = model.read(name, form[name])
        except ValueError as error:
            errors[name] = f"{str(error)[0].upper()}{str(error)[1:]}."
            continue
        value = None if value == [] else value
        if value != before.get(name):
            facts.append((name, Fact(*subject, name, value, source or _SOURCE, author)))
    return facts, errors
