"""The onboarding record of a platform as a form: a new platform, a change, and production after test."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ocpi_nap.model.platform import Platform, PlatformSettings
from ocpi_nap.ocpi import net
from ocpi_nap.registry import RegistryError, onboarding
from ocpi_nap.registry.onboarding import RecordChange
from ocpi_nap.registry.outcomes import ChangedMeanwhile, FieldsWrong
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store import console as sql
from ocpi_nap.web.console.guard import Operator, note
from ocpi_nap.web.console.platforms import platform_of
from ocpi_nap.web.console.settings import GROUPS
from ocpi_nap.web.context import web_of

router = APIRouter(prefix="/console")

_TYPES = {field.name: field.type for field in msgspec.structs.fields(PlatformSettings)}
_KEPT = "(kept)"
"""Stands for the value of a further header, which may be a secret."""
_FIELDS = {
    "NAME": "name", "VERSIONS_URL": "versions_url", "CREDENTIALS_TOKEN_A": "token", "TOKEN_ENCODING": "token_encoding",
    "PLATFORM_PARTY_ID": "party_id", "PLATFORM_COUNTRY_CODE": "country_code", "ENVIRONMENT": "environment",
}  # fmt: skip


def error_field(message: str) -> str:
    """The form field that an error of the registry names at its start."""
    setting = re.match(r"--set (\w+):", message)
    if setting:
        return f"set_{setting[1]}"
    head = message.split(":")[0]
    return _FIELDS.get(head, "operators")


def field_errors(error: RegistryError, url: str, *, allow_private: bool) -> dict[str, str]:
    """What is wrong, by form field; the URL is looked at even where other fields keep it from being called."""
    errors: dict[str, str] = {}
    try:
        net.check_form(url, allow_private=allow_private)
    except net.Refused as refused:
        if url:
            errors["versions_url"] = plain(f"{refused}.")
    for message in error.problems if isinstance(error, FieldsWrong) else [error.message]:
        name = error_field(message)
        if name == "versions_url":
            errors.pop(name, None)
        errors[name] = f"{errors[name]} {plain(message)}" if name in errors else plain(message)
    return errors


def plain(message: str) -> str:
    """The error as it stands beside its field, which shows what was given."""
    text = re.sub(r"^(?:--set \w+|[A-Z_]+|operator [A-Z_]+): ", "", message)
    if not message.lower().startswith("operator"):  # one of several lines
        text = re.sub(r" \(got .*\)\.$", ".", text, flags=re.DOTALL)
    return text[:1].upper() + text[1:]


def _setting_values(settings: PlatformSettings) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _TYPES:
        value = getattr(settings, name)
        if name == "extra_headers":  # their values may be keys
            value = ", ".join(f"{k}={_KEPT}" for k in value)
        elif isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        values[f"set_{name}"] = "" if value is None else value
    return values


def _sent_settings(form: dict[str, str], vault: Vault, source: Platform | None = None) -> dict[str, Any]:
    """Values of the settings that the form has; an unticked box is False, headers that are kept are those of ``source``."""
    found: dict[str, Any] = {}
    if source is not None:
        for header, sealed in source.settings.extra_headers.items():
            text = form.get("set_extra_headers", "")
            form = {**form, "set_extra_headers": text.replace(f"{header}={_KEPT}", f"{header}={vault.unseal(sealed.encode())}")}
    for name, kind in _TYPES.items():
        value = form.get(f"set_{name}", "")
        if kind is bool:
            found[name] = value == "1"
        elif value or kind in (list[str], dict[str, str], str):
            found[name] = value
        elif name == "version_pin":
            found[name] = None
        elif f"set_{name}" in form and kind is int:
            found[name] = ""  # refused where the others are
    return found


def _operator_lines(platform: Platform) -> str:
    return "\n".join(f"{o.id};{o.name};{o.url or ''}".rstrip(";") for o in platform.operators)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def choices(kind: Any) -> list[tuple[str, str]] | None:
    """Options of a setting that takes one of a few words."""
    if get_origin(kind) is None or not all(isinstance(word, str) for word in get_args(kind)) or get_origin(kind) in (list, dict):
        return None
    return [(word, word) for word in get_args(kind)]


def record_form(request: Request, *, title: str, action: str, values: dict[str, Any], errors: dict[str, str], status: int = 200,
                platform: Platform | None = None, version: int = 0, conflict: str = "") -> Response:  # fmt: skip
    """The form, for a new platform or a change of one."""
    kinds = {name: ("bool" if kind is bool else "int" if kind is int else "text") for name, kind in _TYPES.items()}
    return web_of(request).pages.html(
        "console/record.html", request, status=status, heading=title, action=action, values=values, errors=errors, platform=platform,
        version=version, conflict=conflict, groups=GROUPS, kinds=kinds, options={name: choices(kind) for name, kind in _TYPES.items()},
        open_settings=any(name.startswith("set_") for name in errors),
    )  # fmt: skip


@router.get("/new-platform")
async def new(request: Request, session: Operator, of: str = "") -> Response:
    """An empty record, or that of a test platform to be taken to production."""
    values: dict[str, Any] = {"environment": "test", "token_encoding": "auto", **_setting_values(PlatformSettings())}
    title = "Add a platform"
    if of:
        source = await platform_of(request, of)
        title = f"{of} in production"
        values |= {
            "name": re.sub(r"-?test$", "", source.name) + "-production", "environment": "production", "versions_url": source.versions_url,
            "token_encoding": source.token_encoding, "party_id": source.party_id, "country_code": source.country_code,
            "operators": _operator_lines(source), **_setting_values(source.settings), "of": of,
        }  # fmt: skip
    return record_form(request, title=title, action="/console/new-platform", values=values, errors={})


@router.post("/new-platform")
async def add(request: Request, session: Operator) -> Response:
    """Keep a new record."""
    form, web = request.state.form, web_of(request)
    source = await platform_of(request, form["of"]) if form.get("of") else None
    try:
        record = onboarding.check(
            name=form.get("name", ""), versions_url=form.get("versions_url", ""), token=form.get("token") or None,
            token_encoding=form.get("token_encoding", ""), party_id=form.get("party_id", ""), country_code=form.get("country_code", ""),
            environment=form.get("environment", ""), operators=_lines(form.get("operators", "")),
            settings=_sent_settings(form, web.registry.vault, source),
        )  # fmt: skip
        await web.registry.add(record)
    except RegistryError as error:
        title = f"{form['of']} in production" if form.get("of") else "Add a platform"
        errors = field_errors(error, form.get("versions_url", ""), allow_private=web.registry.allow_private)
        return record_form(request, title=title, action="/console/new-platform", values=form, errors=errors, status=422)
    await note(request, "added platform", record.name, environment=record.environment)
    return RedirectResponse(f"/console/platforms/{record.name}", status_code=303)


@router.get("/platforms/{name}/edit")
async def edit(request: Request, session: Operator, name: str) -> Response:
    """The record of a platform."""
    platform = await platform_of(request, name)
    facts = await sql.facts(web_of(request).db, platform.id)
    return record_form(request, title=f"Change {name}", action=f"/console/platforms/{name}/edit", values=_record_values(platform),
                       errors={}, platform=platform, version=facts.record_version)  # fmt: skip


def _record_values(platform: Platform) -> dict[str, Any]:
    return {"versions_url": platform.versions_url, "token_encoding": platform.token_encoding, "operators": _operator_lines(platform),
            **_setting_values(platform.settings)}  # fmt: skip


@router.post("/platforms/{name}/edit")
async def change(request: Request, session: Operator, name: str) -> Response:
    """Change the record, unless somebody else did since the form was opened."""
    platform, form, web = await platform_of(request, name), request.state.form, web_of(request)
    version = int(form["version"]) if form.get("version", "").isdecimal() else -1
    errors, conflict, status = {}, "", 422
    try:
        await web.registry.change(name, _change(platform, form, web.registry.vault), version=version)
    except ChangedMeanwhile:
        version = (await sql.facts(web.db, platform.id)).record_version
        conflict, status = "Somebody else changed this platform since you opened the form.", 409
    except RegistryError as error:
        errors = field_errors(error, form.get("versions_url", ""), allow_private=web.registry.allow_private)
    else:
        await note(request, "changed platform", name)
        return RedirectResponse(f"/console/platforms/{name}", status_code=303)
    return record_form(request, title=f"Change {name}", action=f"/console/platforms/{name}/edit", values=form, errors=errors, status=status,
                       platform=platform, version=version, conflict=conflict)  # fmt: skip


def _change(platform: Platform, form: dict[str, str], vault: Vault) -> RecordChange:
    lines, url, encoding = _lines(form.get("operators", "")), form.get("versions_url", ""), form.get("token_encoding")
    problems = [] if lines else ["OPERATOR: at least one operator is required."]
    problems += [] if url else ["VERSIONS_URL: must not be empty."]
    try:
        wanted = onboarding.check_change(
            versions_url=url if url != platform.versions_url else None,
            token_encoding=encoding if encoding != platform.token_encoding else None,
            settings=_sent_settings(form, vault, platform), operators=lines, without=[],
        )  # fmt: skip
    except FieldsWrong as error:
        raise FieldsWrong(problems + error.problems) from None
    if problems:
        raise FieldsWrong(problems)
    kept = {operator.party for operator in wanted.operators}
    same = {(o.party, o.name, o.url or None) for o in platform.operators}
    wanted.without = [operator.party for operator in platform.operators if operator.party not in kept]
    wanted.operators = [o for o in wanted.operators if (o.party, o.name, o.url or None) not in same]
    return wanted


