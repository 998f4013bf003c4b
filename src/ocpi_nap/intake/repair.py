"""Fetching one Location that a push spoke of and we do not hold (D6, R134)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ocpi_nap.intake.batches import write_documents
from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.intake.owner import stated_owner
from ocpi_nap.intake.requests import Requests
from ocpi_nap.model.areas import Area
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.platform import Platform
from ocpi_nap.ocpi.client import OcpiClient, Peer
from ocpi_nap.ocpi.errors import Invalid, OcpiError
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.store.database import Database

_PATIENCE = 30.0
"""Seconds for one Location: a platform that is slow must not hold up the others' repairs (R200); the next full pull heals the same."""


async def repair_location(
    db: Database, client: OcpiClient, peer: Peer, platform: Platform, address: NodeKey, *, area: Area | None = None
) -> bool:  # fmt: skip
    """GET one Location; False when the platform does not have it, or may not be asked today (I-8)."""
    url = platform.endpoints.get("locations")
    if url is None or platform.version is None:
        return False
    requests = Requests(db, platform)
    if await requests.used_up():
        return False
    patient = replace(peer, timeout=min(peer.timeout, _PATIENCE), sent=requests.count)
    try:
        answer = await client.get(patient, client.object_url(url, address.id))
    finally:
        await requests.note()
    raw = answer.data[0] if isinstance(answer.data, list) and len(answer.data) == 1 else answer.data
    if not isinstance(raw, dict):
        return False
    issues = IssueLog(db)
    version = VERSIONS[platform.version]
    context = Context(platform.id, version, platform.settings, "pull", datetime.now(UTC), area=area)
    party = (address.country_code.upper(), address.party_id.upper())
    key = (platform.id, *party, version.id_key(address.id))
    operation = Operation("put", "location", NodeKey(*party, address.id), key, context, raw)
    other = stated_owner(raw) not in (None, party) or version.id_key(str(raw.get("id", address.id))) != version.id_key(address.id)
    try:
        if other:
            raise Invalid("another object", errors=[Issue("id", "identity", "differs from what was asked for")])
        prepare_put(operation)
        (outcome,) = await write_documents(db, [operation])
        if outcome.error is not None:
            raise outcome.error
        issues.add(platform.id, operation.object_path, operation.issues)
    except OcpiError as error:
        issues.add(platform.id, operation.object_path, error.errors, refused=True)
        return False
    finally:
        await issues.flush()
    await db.notify("feed", "")
    return True
