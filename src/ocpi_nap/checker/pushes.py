"""What the platform's pushes are like (I-14 to I-21, I-69 to I-92)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ocpi_nap.checker.objects import LocationCheck
from ocpi_nap.checker.receiving import Inbound, Us
from ocpi_nap.checker.recorder import Seen, read
from ocpi_nap.checker.state import Run
from ocpi_nap.model.ids import fold

_IDS = ("x-request-id", "x-correlation-id")


def check_pushes(run: Run, us: Us, locations: LocationCheck) -> None:
    """Judge every request that came on our Receivers."""
    run.findings.ran("pushes")
    pushes = [one for one in us.inbound if _module(one) and one.method not in ("GET", "HEAD", "OPTIONS")]
    run.counts["pushes"] = len(pushes)
    if not pushes:
        run.findings.add("no-pushes", f"none within {run.options.listen:g} seconds")
    for push in pushes:
        for check, example in _judge(run, push, locations):
            run.findings.add(check, f"{push.method} {push.path}: {example}"[:300], as_seen(push),
                             severity="note" if check == "push-without-headers" and not _has_roles(run) else None)  # fmt: skip


def as_seen(push: Inbound) -> Seen:
    """A request to us in the form of those to the platform, for the report."""
    body, answer = push.body[:6000].decode("utf-8", "replace"), push.answer.decode("utf-8", "replace")
    headers = dict(push.headers)
    return Seen(0, push.method, push.path, headers, body, push.status, [], answer, len(push.answer), 0.0, "", read(push.answer))


def _has_roles(run: Run) -> bool:
    return run.version is not None and run.version.has_roles


def _module(push: Inbound) -> bool:
    parts = push.path.strip("/").split("/")
    return len(parts) > 1 and parts[1] in ("locations", "tariffs")


def _judge(run: Run, push: Inbound, locations: LocationCheck) -> Iterator[tuple[str, str]]:
    if push.method == "POST":
        yield "push-post", _answer(push)
        return
    missing = [name for name in (*_IDS, *(("ocpi-from-party-id",) if _has_roles(run) else ())) if name not in push.headers]
    if missing:
        yield "push-without-headers", f"no {', '.join(missing)}"
    kind = push.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and push.method != "DELETE":
        yield "push-as-text", kind or "no Content-Type"
    body = push.json()
    if isinstance(body, list) or (isinstance(body, dict) and isinstance(body.get("data"), dict) and not {"id", "uid"} & set(body)):
        yield "push-wrapped", "data" if isinstance(body, dict) else "a list"
        body = body["data"] if isinstance(body, dict) else next((item for item in body if isinstance(item, dict)), None)
    if push.method == "PATCH" and isinstance(body, dict):
        yield from _patch(push, body)
    yield from _spelling(push, locations)
    yield from _refusal(push)


def _patch(push: Inbound, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if body.get("last_updated") is None:
        yield "push-without-time", f"members {', '.join(list(body)[:6])}"
    if len(push.ids) == 3 and "evses" in body:
        yield "push-nested", f"members {', '.join(list(body)[:6])}"


def _spelling(push: Inbound, locations: LocationCheck) -> Iterator[tuple[str, str]]:
    if len(push.ids) < 3:
        return
    known = locations.spelling.get(fold(push.ids[2]))
    if known is not None and known != push.ids[2] and "%" not in push.ids[2]:
        yield "push-lower-case", f"the Location's id is {known}"


def _refusal(push: Inbound) -> Iterator[tuple[str, str]]:
    reading = read(push.answer)
    code = reading.status_code
    if push.status < 400 and code is not None and code < 2000:
        return
    answer = _answer(push)
    if code == 2003:
        yield "push-unknown-location", answer
    elif push.status == 404 and "party" in answer:
        yield "push-foreign-party", answer
    elif "older than stored" in answer:
        yield "push-stale", answer
    elif "differs from URL" in answer:
        yield "push-other-id", answer
    else:
        yield "push-refused", answer


def _answer(push: Inbound) -> str:
    reading = read(push.answer)
    return f"HTTP {push.status}, OCPI {reading.code}: {push.answer.decode('utf-8', 'replace')[:160]}"
