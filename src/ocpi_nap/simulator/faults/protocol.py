"""Faults of transport, versions and credentials (interoperability rows I-1 to I-46)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from ocpi_nap.ocpi.errors import Invalid, MethodNotAllowed
from ocpi_nap.simulator.faults.fault import FROM_221, Answered, Fault, Json, Lost, Reply, refusal

API_KEY = "sim-api-key"
SLOW_SECONDS = 3.0


def _when(condition: Any, change: Any) -> Any:
    """``change`` on the replies for which ``condition`` holds."""

    def applied(reply: Reply) -> None:
        if condition(reply):
            change(reply)

    return applied


def _is(*kinds: str) -> Any:
    return lambda reply: reply.kind in kinds


def _set(reply: Reply, **values: Any) -> None:
    for name, value in values.items():
        setattr(reply, name, value)


def _refusal(status: int) -> Any:
    """A refused token is told with another HTTP status."""
    return _when(lambda r: r.status == 401, lambda r: _set(r, status=status))


def _unauthorised_as_200(code: int, message: str) -> Any:
    return _when(lambda r: r.status == 401,
                 lambda r: _set(r, status=200, envelope={**r.envelope, "status_code": code, "status_message": message}))  # fmt: skip


def _gateway(reply: Reply) -> None:
    if reply.status >= 400:
        reply.content_type, reply.body = "text/html", b"<html><h1>Not here</h1></html>"


def _without_token(reply: Reply) -> None:
    if reply.kind == "versions" and "Authorization" in reply.request.headers:
        raise Answered(web.json_response({"error": "this page is public"}, status=400))


def _api_key(reply: Reply) -> None:
    if reply.request.headers.get("x-api-key") != API_KEY:
        raise Answered(web.json_response({"error": "no API key"}, status=403))


def _codes_as_text(reply: Reply) -> None:
    reply.envelope |= {"status_code": str(reply.envelope["status_code"]), "status_message": None}
    reply.envelope.pop("timestamp", None)


def _slash(reply: Reply) -> None:
    for endpoint in reply.data["endpoints"]:
        endpoint["url"] += "/"


def _redirect(status: int, host: str = "") -> Any:
    """Everything lives under /moved; the first URL leads there."""

    def redirect(reply: Reply) -> None:
        if "moved" not in reply.request.query:
            target = reply.page_url(moved="1")
            raise Answered(web.Response(status=status, headers={"Location": target.replace("127.0.0.1", host) if host else target}))

    return redirect


def _bom(reply: Reply) -> None:
    reply.body = b"\xef\xbb\xbf" + msgspec.json.encode(reply.envelope)


def _nan(reply: Reply) -> None:
    if reply.is_list and reply.data:
        reply.body = msgspec.json.encode(reply.envelope).replace(b'"data":[{', b'"data":[{"power":NaN,', 1)


def _roles(role: str | None) -> Any:
    def change(reply: Reply) -> None:
        if reply.kind != "details":
            return
        for endpoint in reply.data["endpoints"]:
            endpoint.pop("role", None)
            if role is not None:
                endpoint["role"] = role

    return change


def _credentials_receiver(reply: Reply) -> None:
    if reply.kind == "details":
        for endpoint in reply.data["endpoints"]:
            if endpoint["identifier"] == "credentials":
                endpoint["role"] = "RECEIVER"


def _endpoints_twice(reply: Reply) -> None:
    if reply.kind == "details":
        reply.data["endpoints"] += [{**endpoint, "url": f"{reply.base}/mirror"} for endpoint in reply.data["endpoints"]]


def _without(module: str) -> Any:
    def change(reply: Reply) -> None:
        if reply.kind == "details":
            reply.data["endpoints"] = [e for e in reply.data["endpoints"] if e["identifier"] != module]

    return change


def _relative(reply: Reply) -> None:
    entries = reply.data if reply.kind == "versions" else reply.data["endpoints"] if reply.kind == "details" else []
    for entry in entries:
        entry["url"] = entry["url"].removeprefix(reply.base)


def _only_2_2(reply: Reply) -> None:
    if reply.kind == "versions":
        reply.data = [{**entry, "version": "2.2"} for entry in reply.data]


def _no_mutual(reply: Reply) -> None:
    if reply.kind == "versions":
        reply.data = [{**entry, "version": "2.0"} for entry in reply.data]


def _odd_versions(reply: Reply) -> None:
    if reply.kind == "versions":
        reply.data = [{"version": "9.9", "url": f"{reply.base}/9.9"}, {"version": None}, "2.5", *reply.data]


def _answered_credentials(reply: Reply) -> bool:
    return reply.kind == "credentials" and reply.request.method in ("POST", "PUT")


def _in_credentials(change: Any) -> Any:
    return _when(_answered_credentials, lambda reply: change(reply.data))


def _null_details(data: Json) -> None:
    for holder in data.get("roles", [data]):
        holder["business_details"] = None


def _long_parties(data: Json) -> None:
    for holder in data.get("roles", [data]):
        holder["party_id"] = f" {holder['party_id'].lower()}-charging"


def _our_party(data: Json) -> None:
    if "roles" not in data:
        data |= {"party_id": "NAP", "country_code": "FI"}


def _refuse_post(reply: Reply) -> None:
    if reply.kind == "credentials" and reply.request.method == "POST":
        raise MethodNotAllowed("already registered", allow="GET, PUT, DELETE")


def _refuse_put(reply: Reply) -> None:
    if reply.kind == "credentials" and reply.request.method == "PUT":
        raise Answered(refusal(501, 3000, message="not implemented"))


def _refuse_delete(reply: Reply) -> None:
    if reply.kind == "credentials" and reply.request.method == "DELETE":
        raise Answered(refusal(501, 3000, message="not implemented"))


def _code(code: int) -> Any:
    def refuse(reply: Reply) -> None:
        if reply.kind == "credentials" and reply.request.method == "POST":
            error = Invalid("we cannot use your endpoints")
            error.status_code = code
            raise error

    return refuse


def _lose_answer(reply: Reply) -> None:
    if _answered_credentials(reply):
        raise Lost


async def _slow(reply: Reply) -> None:
    if reply.is_list or reply.kind in ("locations", "tariffs"):
        await asyncio.sleep(SLOW_SECONDS)


FAULTS = [
    Fault("refused-with-400", "I-1", "a wrong token is answered with 400", wire=_refusal(400)),
    Fault("refused-with-403", "I-1", "a wrong token is answered with 403", wire=_refusal(403)),
    Fault("refused-with-500", "I-1", "a wrong token is answered with 500", wire=_refusal(500)),
    Fault("errors-as-200", "I-10", "a wrong token is answered with 200 and OCPI 2001", wire=_unauthorised_as_200(2001, "Unauthorized")),
    Fault("errors-as-3000", "I-10", "a token that cannot be read is answered with 200 and OCPI 3000", told_as="errors-as-200",
          wire=_unauthorised_as_200(3000, "Generic server error")),
    Fault("wrong-token-accepted", "R7", "versions and details can be read with any token, so that its form cannot be learnt from them",
          versions=FROM_221),
    Fault("versions-refuse-token", "I-7", "the versions endpoint refuses requests that carry a token", before=_without_token,
          settings={"versions_auth": "none"}),
    Fault("api-key", "I-8", f"every request needs the header x-api-key: {API_KEY}", before=_api_key,
          settings={"extra_headers": {"x-api-key": API_KEY}}),
    Fault("errors-not-ocpi", "I-9", "errors come as HTML of a gateway", wire=_gateway),
    Fault("codes-as-text", "I-12", "status_code as text, no timestamp, status_message null", wire=_codes_as_text),
    Fault("data-missing", "I-13", "an empty list has no data member",
          wire=_when(lambda r: r.is_list and r.data == [], lambda r: r.envelope.pop("data"))),
    Fault("no-request-ids", "I-14", "answers do not repeat X-Request-ID and X-Correlation-ID",
          wire=lambda r: [r.headers.pop(name, None) for name in ("X-Request-ID", "X-Correlation-ID")]),
    Fault("trailing-slashes", "I-16", "endpoint URLs end with a slash", after=_when(_is("details"), _slash)),
    Fault("redirect-307", "I-17", "every endpoint answers 307 first", before=_redirect(307)),
    Fault("redirect-308", "I-17", "every endpoint answers 308 first", before=_redirect(308)),
    Fault("redirect-elsewhere", "I-17", "endpoints redirect to another host", before=_redirect(307, "localhost"), tolerated=False),
    Fault("content-type", "I-21", "answers are text/plain", wire=lambda r: _set(r, content_type="text/plain")),
    Fault("byte-order-mark", "I-22", "bodies begin with a byte order mark", wire=_bom),
    Fault("nan", "I-22", "numbers such as NaN, which is not JSON", wire=_nan, tolerated=False, told_as="not-json"),
    Fault("odd-versions", "I-23", "versions that nobody knows are listed, and broken entries", after=_odd_versions),
    Fault("only-2.2", "I-25", "only version 2.2 is offered", after=_only_2_2, settings={"treat_2_2_as_2_2_1": True}, versions=("2.2.1",)),
    Fault("no-mutual-version", "R57", "only version 2.0 is offered", after=_no_mutual, tolerated=False),
    Fault("credentials-receiver", "I-26", "the credentials endpoint has the role RECEIVER", after=_credentials_receiver, versions=FROM_221),
    Fault("roles-missing", "I-26", "endpoints have no role", after=_roles(None), versions=FROM_221),
    Fault("roles-unknown", "I-26", "endpoints have the role CPO", after=_roles("CPO"), versions=FROM_221),
    Fault("endpoints-twice", "I-28", "every endpoint is listed twice", after=_endpoints_twice),
    Fault("no-locations-endpoint", "R61", "there is no locations endpoint", after=_without("locations"), tolerated=False),
    Fault("no-credentials-endpoint", "I-45", "there is no credentials module: the token A is good for everything",
          after=_without("credentials"), settings={"registration": "none"}),
    Fault("versions-wrapped", "I-29", "the versions come as an object",
          after=_when(_is("versions"), lambda r: _set(r, data={"versions": r.data}))),
    Fault("details-in-list", "I-29", "the version details come as a list of one",
          after=_when(_is("details"), lambda r: _set(r, data=[r.data]))),
    Fault("relative-urls", "I-30", "URLs are relative", after=_relative),
    Fault("no-call-back", "I-31", "the platform does not call back during the registration", needs="register"),
    Fault("cannot-call-back", "I-31", "the registration is answered with 3001", before=_code(3001), tolerated=False, needs="register",
          told_as="refused-credentials"),
    Fault("endpoints-not-found", "I-46", "the registration is answered with 3003", before=_code(3003), tolerated=False, needs="register",
          told_as="refused-credentials"),
    Fault("created", "I-32", "the registration is answered with 201", needs="register",
          after=_when(_answered_credentials, lambda r: _set(r, status=201))),
    Fault("credentials-in-list", "I-32", "the credentials come in a list of one", needs="register",
          after=_when(_answered_credentials, lambda r: _set(r, data=[r.data]))),
    Fault("business-details-null", "I-32", "business_details is null", after=_in_credentials(_null_details), needs="register"),
    Fault("already-registered", "I-33", "the registration is answered with 405", before=_refuse_post, tolerated=False, needs="register"),
    Fault("token-a-lives", "I-5", "token A works after the registration, too", needs="register"),
    Fault("no-put", "I-34", "credentials cannot be renewed: 501", before=_refuse_put, needs="register"),
    Fault("same-token", "I-34", "a renewal gives the same token again", needs="register"),
    Fault("credentials-answer-lost", "I-35", "the connection breaks before the registration is answered", after=_lose_answer,
          tolerated=False, needs="register"),
    Fault("delete-forgotten", "I-37", "after the end of the registration the token still works", needs="register"),
    Fault("no-delete", "I-38", "the registration cannot be ended: 501", before=_refuse_delete, needs="register"),
    Fault("our-party", "I-39", "the answer names our party instead of theirs", after=_in_credentials(_our_party), versions=("2.1.1",),
          needs="register"),
    Fault("roles-not-sent", "I-39", "the credentials carry neither roles nor a party", needs="register",
          after=_in_credentials(lambda d: [d.pop(n, None) for n in ("roles", "party_id", "country_code", "business_details")])),
    Fault("long-party-ids", "I-41", "party ids in lower case, with spaces, longer than three", after=_in_credentials(_long_parties),
          needs="register"),
    Fault("scheme-in-token", "I-1", "token C comes as `Token …`", needs="register",
          after=_in_credentials(lambda d: d.update(token=f"Token {d['token']}"))),
    Fault("empty-token", "R78", "token C is empty", after=_in_credentials(lambda d: d.update(token="")), tolerated=False, needs="register"),
    Fault("slow-pages", "I-68", "every page takes three seconds", before=_slow),
]  # fmt: skip
