"""The Receiver interfaces as the intake serves them: ownership, identity, then the writer (requirements sections 5 and 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.intake.operations import Context, Level, Operation, cleaned, prepare_put
from ocpi_nap.intake.owner import UNKNOWN_PARTY
from ocpi_nap.intake.patch import unknown
from ocpi_nap.intake.present import present_location, present_node, present_tariff
from ocpi_nap.intake.times import ordering_time
from ocpi_nap.intake.writer import PushWriter
from ocpi_nap.model import timestamps
from ocpi_nap.model.areas import Area
from ocpi_nap.model.issues import Issue
from ocpi_nap.ocpi.errors import Invalid, NotAuthenticated, NotFound, OcpiError, UnknownLocation
from ocpi_nap.ocpi.ports import Caller, NodeKey, Written
from ocpi_nap.ocpi.versions import Version, keyed_as
from ocpi_nap.ocpi.versions.enums import STATUS
from ocpi_nap.ocpi.versions.readers import sample
from ocpi_nap.store import network
from ocpi_nap.store.database import Database
from ocpi_nap.store.rows import LocationKey, StatusPatch

Repair = Callable[[int, NodeKey], Awaitable[None]]
"""Queues a pull of the single Location that a push spoke of and we do not hold (D6)."""

_STATUS_MEMBERS = ({"status", "last_updated"}, {"status"})
_LITERAL_NOTHING = frozenset(("null", "undefined", ""))


class UnknownParty(NotFound):
    """The platform may not write this party's objects (R139)."""

    def __init__(self, key: NodeKey) -> None:
        super().__init__(f"unknown party {key.country_code}*{key.party_id}"[:100])
        self.party = f"{key.country_code.upper()}/{key.party_id.upper()}"[:20]


class ReceiverService:
    """Implements ocpi.ports.Receiver."""

    def __init__(self, db: Database, writer: PushWriter, issues: IssueLog, repair: Repair, area: Area | None = None) -> None:
        self._db = db
        self._writer = writer
        self._issues = issues
        self._repair = repair
        self._area = area
        self._repairs: set[asyncio.Task[None]] = set()

    async def put(self, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Written:
        """PUT of a Location, EVSE, Connector or Tariff: created or replaced (R143–R145, R179)."""
        operation = self._operation("put", caller, version, module, key, body)
        try:
            _check_identity(operation)
            prepare_put(operation)
        except OcpiError as error:
            self._refused(operation, error)
            raise
        return await self._write(operation)

    async def patch(self, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Written:
        """PATCH of a Location, EVSE or Connector; the status alone takes the fast lane (R152)."""
        operation = self._operation("patch", caller, version, module, key, body)
        try:
            _check_identity(operation)
            sent = list(operation.issues)
            status = _status_patch(operation)
        except OcpiError as error:
            self._refused(operation, error)
            raise
        if status is not None:
            if await self._writer.statuses.submit(status) == "applied":
                return self._written(operation, created=False)
            operation.issues = sent  # too late, or of an EVSE that is not held: it is judged the general way
        return await self._write(operation)

    async def delete(self, caller: Caller, version: str, module: str, key: NodeKey) -> None:
        """DELETE of a Tariff (R184)."""
        await self._write(self._operation("delete", caller, version, module, key, {}))

    async def get(self, caller: Caller, version: str, module: str, key: NodeKey) -> bytes:
        """The stored object to the platform that owns it, in the shape of the URL's version (D24, R141, R183)."""
        read = keyed_as(version, caller.version)
        place = _own(caller, read, key)
        async with self._db.connection() as conn:
            if module == "tariffs":
                tariff = (await network.load_tariffs(conn, [place])).get(place)
                if tariff is None or tariff.withdrawn_at is not None:
                    raise NotFound(f"unknown tariff {key.id}"[:255])
                return present_tariff(tariff, read)
            location = (await network.load_locations(conn, [place], for_update=False)).get(place)
        if location is None or location.withdrawn_at is not None:
            raise unknown("location", key.id)
        if key.evse_uid is None:
            return present_location(location, read)
        return present_node(location, key, read)

    def _operation(self, method: Any, caller: Caller, version: str, module: str, key: NodeKey, body: Any) -> Operation:
        read = keyed_as(version, caller.version)
        try:
            place = _own(caller, read, key)
        except UnknownParty as error:  # an operator may have been forgotten (I-80)
            self._issues.add(caller.platform_id, f"{module}/{error.party}", [UNKNOWN_PARTY], refused=True)
            raise
        received_at = datetime.now(UTC)
        context = Context(caller.platform_id, read, caller.settings, "push", received_at, area=self._area, token_id=caller.token_id)
        level: Level = "location"
        if module == "tariffs":
            level = "tariff"
        elif key.connector_id is not None:
            level = "connector"
        elif key.evse_uid is not None:
            level = "evse"
        operation = Operation(method, level, key, place, context)
        operation.raw = _object(body, operation)
        operation.issues += cleaned(body)
        return operation

    async def _write(self, operation: Operation) -> Written:
        outcome = await self._writer.documents.submit(operation)
        if outcome.error is not None:
            self._refused(operation, outcome.error)
            raise outcome.error
        return self._written(operation, created=outcome.created)

    def _written(self, operation: Operation, *, created: bool) -> Written:
        if operation.issues:
            self._issues.add(operation.context.platform_id, operation.object_path, operation.issues)
        return Written(created, operation.issues)

    def _refused(self, operation: Operation, error: OcpiError) -> None:
        """Record why (R198); an unknown Location is fetched from its owner (D6)."""
        if isinstance(error, NotAuthenticated):
            return
        platform_id = operation.context.platform_id
        issues = error.errors or [Issue("", "refused", error.message)]
        self._issues.add(platform_id, operation.object_path, issues, refused=True)
        if isinstance(error, UnknownLocation):
            task = asyncio.get_running_loop().create_task(self._queue_repair(platform_id, operation.address))
            self._repairs.add(task)
            task.add_done_callback(self._repairs.discard)

    async def _queue_repair(self, platform_id: int, address: NodeKey) -> None:
        await self._repair(platform_id, address)


def _party(code: Any) -> str:
    """A country or party code as it compares (I-41)."""
    return str(code).strip().upper()


def _own(caller: Caller, version: Version, key: NodeKey) -> LocationKey:
    """The storage key, when the platform may write this party's objects; 404 otherwise, whatever exists (R139, R140)."""
    party = (_party(key.country_code), _party(key.party_id))
    if party not in caller.parties:
        raise UnknownParty(key)
    for segment in (key.id, key.evse_uid, key.connector_id):
        if segment is not None and segment.strip().lower() in _LITERAL_NOTHING:
            raise NotFound("the path names no object")  # I-82
        if segment is not None and len(segment) > 255:
            raise Invalid("id: longer than 255 characters", errors=[Issue("id", "too_long", "longer than 255 characters")])
        if segment is not None and any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in segment):
            raise NotFound("the path holds control characters")
    return (caller.platform_id, *party, version.id_key(key.id))


def _object(body: Any, operation: Operation) -> dict[str, Any]:
    """The body as an object; a list of one or a `data` wrapper is unwrapped with an issue (I-89)."""
    if isinstance(body, list) and len(body) == 1:
        operation.issues.append(Issue("", "wrapped", "a list of one: unwrapped"))
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("data"), dict) and "id" not in body and "uid" not in body:
        operation.issues.append(Issue("", "wrapped", "wrapped in data: unwrapped"))
        body = body["data"]
    if not isinstance(body, dict):
        message = "a JSON object is required"
        raise Invalid(message, errors=[Issue("", "wrong_type", message, sample(body))])
    return body


def _check_identity(operation: Operation) -> None:
    """Ids and party in the body must be those of the URL (R148, R149, R157, R180, I-78, I-79)."""
    raw, address, version = operation.raw, operation.address, operation.context.version
    name, expected = {
        "location": ("id", address.id),
        "evse": ("uid", address.evse_uid or ""),
        "connector": ("id", address.connector_id or ""),
        "tariff": ("id", address.id),
    }[operation.level]
    problems = []
    sent = raw.get(name)
    if sent is not None and version.id_key(str(sent)) != version.id_key(expected):
        problems.append(Issue(name, "identity", "differs from URL", str(sent)[:60]))
    if operation.level in ("location", "tariff"):
        for member, value in (("country_code", address.country_code), ("party_id", address.party_id)):
            sent = raw.get(member)
            if sent is None or _party(sent) == _party(value):
                continue
            issue = Issue(member, "identity", "differs from URL", str(sent)[:60])
            if not version.party_in_object:
                operation.issues.append(issue)
            else:
                problems.append(issue)
    if problems:
        raise Invalid("; ".join(problem.text() for problem in problems)[:255], errors=problems)


def _status_patch(operation: Operation) -> StatusPatch | None:
    """The PATCH as a status update when it is nothing else, in plain spelling; None sends it the general way."""
    raw, context = operation.raw, operation.context
    if operation.level != "evse" or raw.keys() not in _STATUS_MEMBERS:
        return None
    status, sent = raw["status"], raw.get("last_updated")
    if not isinstance(status, str) or status not in STATUS:
        return None
    moment, rule = timestamps.parse(sent, timestamps.zone(context.settings.naive_timezone))
    if rule is not None and sent != "":
        operation.issues.append(Issue("last_updated", rule, timestamps.TOLERATED[moment is not None], str(sent)[:60]))
    if moment is None:
        if context.settings.strict_patch and context.version.patch_needs_time:
            message = "required in PATCH"
            raise Invalid(f"last_updated: {message}", errors=[Issue("last_updated", "required_missing", message)])
        operation.issues.append(Issue("last_updated", "required_missing", "missing in PATCH: the time of receipt counts"))
    ordering = ordering_time(moment, context.received_at, operation.issues)
    uid_key = context.version.id_key(operation.address.evse_uid or "")
    time_raw = sent if moment is not None else None
    return StatusPatch(operation.key, uid_key, status, None, ordering, time_raw, context.received_at, context.token_id)
