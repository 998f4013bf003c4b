"""The complete exchange of credentials and back, so that the platform is afterwards as before (R73–R110)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ocpi_nap.checker.lists import check_lists
from ocpi_nap.checker.objects import LocationCheck
from ocpi_nap.checker.pushes import check_pushes
from ocpi_nap.checker.receiving import Us, application
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.state import Host, Run
from ocpi_nap.checker.versions import judge_refusal, probe
from ocpi_nap.model.platform import Party
from ocpi_nap.ocpi import tokens
from ocpi_nap.ocpi.client import Broken, HttpFailure, OcpiFailure, PeerError, TimedOut
from ocpi_nap.ocpi.credentials import OwnIdentity, PeerCredentials, read_credentials, role_party
from ocpi_nap.ocpi.errors import OcpiError

Wait = Callable[[float], Awaitable[None]]
_POST_TIMEOUT = 60.0  # R86


async def check_registration(run: Run, host: Host, wait: Wait = asyncio.sleep) -> None:
    """Register, look at everything with token C, renew it, listen to pushes, and end the registration."""
    assert run.discovered is not None
    run.findings.ran("registration")
    served: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await served[0](scope, receive, send)

    async with host(app) as base:
        country, party = run.options.own_party
        identity = OwnIdentity(f"{base}/ocpi/versions", country, party, run.options.business_details)
        us = Us(run.options.settings, run.party, identity, version=run.discovered.version)
        served.append(application(us, f"{base}/ocpi", run.options.own_party))
        run.say(f"Registering: our versions are at {identity.versions_url}")
        if not await _register(run, us):
            return
        try:
            await _verify(run)
            locations = await check_lists(run)
            await _get_credentials(run)
            if locations is not None and run.options.listen > 0:
                await _listen(run, us, locations, wait)
            await _renew(run, us)
        finally:
            if not us.ended:
                await _leave(run)


async def _register(run: Run, us: Us) -> bool:
    """POST our credentials; True when token C is known."""
    assert run.discovered is not None
    token_b = tokens.generate()
    run.mask.add(token_b)
    us.tokens_b[token_b] = "pending"
    body = us.identity.credentials(run.discovered.version, token_b)
    mark = run.recorder.mark()
    try:
        answer = await run.client.post(run.peer(timeout=_POST_TIMEOUT), run.discovered.endpoints["credentials"], body)
    except PeerError as error:
        _tell_refusal(run, error)
        return False
    seen = run.recorder.since(mark)[-1]
    theirs = _read(run, answer.data, seen)
    if theirs is None:
        return False
    if answer.status == 201:
        run.findings.add("created", seen.outcome, seen)
    _judge_credentials(run, answer.data, theirs, seen)
    if not any(one.token == token_b for one in us.inbound):
        run.findings.add("no-call-back", "no request with token B came before the answer", seen)
    us.tokens_b[token_b] = "full"
    run.parties = _parties(theirs)
    us.parties = run.parties | {operator.party for operator in run.options.operators}
    run.token = theirs.token
    return True


def _tell_refusal(run: Run, error: PeerError) -> None:
    last = run.recorder.last()
    if isinstance(error, HttpFailure) and error.http_status == 405:
        name = "already-registered"
    elif isinstance(error, TimedOut | Broken):
        name = "credentials-answer-lost"
    elif isinstance(error, HttpFailure | OcpiFailure):
        name = "refused-credentials"
    else:
        name = "registration-failed"
    run.findings.add(name, error.message, last)


def _read(run: Run, data: Any, seen: Seen) -> PeerCredentials | None:
    """Their credentials, when there is a token in them."""
    try:
        theirs = read_credentials(data, need_url=False)
    except OcpiError as error:
        inner = data[0] if isinstance(data, list) and len(data) == 1 else data
        empty = isinstance(inner, dict) and inner.get("token") in (None, "")
        run.findings.add("empty-token" if empty else "registration-failed", error.message, seen)
        return None
    run.mask.add(theirs.token)
    return theirs


def _parties(theirs: PeerCredentials) -> set[Party]:
    """Their CPO parties (D4)."""
    cpos = [role_party(role) for role in theirs.roles if str(role.get("role", "CPO")).upper() == "CPO"]
    return {party for party in cpos if all(party)}


def _judge_credentials(run: Run, data: Any, theirs: PeerCredentials, seen: Seen) -> None:
    add = run.findings.add
    if isinstance(data, list):
        add("credentials-in-list", "", seen)
        data = data[0]
    if tokens.strip_scheme(data["token"]) != data["token"]:
        add("scheme-in-token", "token begins with the scheme", seen)
    if len(theirs.token) > 64 or not all("\x21" <= sign <= "\x7e" for sign in theirs.token):
        add("token-form", f"{len(theirs.token)} characters", seen)
    url = data.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        add("credentials-url", f"url: {url}"[:120], seen)
    named = [role for role in theirs.roles if role.get("party_id") or role.get("country_code")]
    if not named:
        add("roles-not-sent", f"members {', '.join(list(data)[:8])}", seen)
    for role in named:
        _judge_role(run, role, seen)
    told = {operator.party for operator in run.options.operators}
    if told and named and _parties(theirs) != told:
        shown = [", ".join(sorted("*".join(party) for party in parties)) or "none" for parties in (_parties(theirs), told)]
        add("operators-differ", f"announced: {shown[0]}; told: {shown[1]}", seen)


def _judge_role(run: Run, role: dict[str, Any], seen: Seen) -> None:
    country, party = str(role.get("country_code") or ""), str(role.get("party_id") or "")
    name = f"{country}*{party}"[:60]
    proper = len(party) == 3 and party.isascii() and party.isalnum() and party == party.upper()
    if not proper or len(country) != 2 or not (country.isascii() and country.isalpha() and country.isupper()):
        run.findings.add("long-party-ids", name, seen)
    details = role.get("business_details")
    if not isinstance(details, dict) or not details.get("name"):
        run.findings.add("business-details-null", name, seen)
    if (country.upper(), party.upper()) == run.options.own_party:
        run.findings.add("our-party", name, seen)


async def _verify(run: Run) -> None:
    """Token C opens the details, token A nothing any more (R79, R80)."""
    assert run.discovered is not None
    url = run.discovered.details_url
    working = None
    for encoding in dict.fromkeys([run.peer().encoding, *run.options.encodings]):
        seen = await probe(run, run.plain_peer(encoding), url)
        if seen is not None and seen.succeeded:
            working = encoding
            break
    else:
        run.findings.add("token-c-refused", seen.outcome if seen is not None else "", seen)
    if working is not None:
        run.discovered = replace(run.discovered, encoding=working)
    old = await probe(run, run.peer(run.options.token), url)
    if old is not None and old.succeeded:
        run.findings.add("token-a-lives", f"{old.outcome} for {old.url}", old)


async def _get_credentials(run: Run) -> None:
    assert run.discovered is not None
    seen = await probe(run, run.peer(), run.discovered.endpoints["credentials"])
    if seen is not None and not seen.succeeded:
        run.findings.add("credentials-get", seen.outcome, seen)


async def _listen(run: Run, us: Us, locations: LocationCheck, wait: Wait) -> None:
    us.known = locations.times
    run.say(f"Waiting {run.options.listen:g} seconds for pushes")
    await wait(run.options.listen)
    check_pushes(run, us, locations)


async def _renew(run: Run, us: Us) -> None:
    """New tokens for both sides by PUT (R102, R103)."""
    assert run.discovered is not None
    run.say("Renewing the tokens")
    token_b = tokens.generate()
    run.mask.add(token_b)
    us.tokens_b[token_b] = "full"
    body = us.identity.credentials(run.discovered.version, token_b)
    before = run.token
    try:
        answer = await run.client.put(run.peer(timeout=_POST_TIMEOUT), run.discovered.endpoints["credentials"], body)
        theirs = read_credentials(answer.data, need_url=False)
    except (PeerError, OcpiError) as error:
        missing = isinstance(error, HttpFailure) and error.http_status in (404, 405, 501)
        run.findings.add("no-put" if missing else "put-failed", error.message, run.recorder.last())
    else:
        run.mask.add(theirs.token)
        run.token = theirs.token
        if theirs.token == before:
            run.findings.add("same-token", "", run.recorder.last())
    seen = await probe(run, run.peer(), run.discovered.details_url)
    if seen is not None and not seen.succeeded:
        run.findings.add("put-failed", f"afterwards the token is refused: {seen.outcome}", seen)


async def _leave(run: Run) -> None:
    """DELETE, after which nothing works any more (R106, R108)."""
    assert run.discovered is not None
    run.say("Ending the registration")
    try:
        await run.client.delete(run.peer(timeout=_POST_TIMEOUT), run.discovered.endpoints["credentials"])
    except PeerError as error:
        run.findings.add("no-delete", error.message, run.recorder.last())
        return
    seen = await probe(run, run.peer(), run.discovered.details_url)
    if seen is not None and judge_refusal(seen) == "wrong-token-accepted":
        run.findings.add("delete-forgotten", f"{seen.outcome} for {seen.url}", seen)
