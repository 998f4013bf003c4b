"""What a CPO asks to be done to one object, checked and lifted as far as that is possible without the stored state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ocpi_nap.model import jsontext
from ocpi_nap.model.areas import Area
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.objects import Connector, Evse, Location, Tariff
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.errors import Invalid
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import Version, lift_connector, lift_evse, lift_location, lift_tariff
from ocpi_nap.ocpi.versions.readers import MOST_ISSUES, sample
from ocpi_nap.store.rows import LocationKey

Module = Literal["locations", "tariffs"]
Level = Literal["location", "evse", "connector", "tariff"]

MOST_EVSES = 10_000
"""Of one Location, those that are gone too: the largest real ones have a few hundred, and each write reads them all."""


@dataclass(slots=True)
class Context:
    """Who sends, in which version, over which way, and when it reached us."""

    platform_id: int
    version: Version
    settings: PlatformSettings
    via: Literal["push", "pull"]
    received_at: datetime
    crawl_started: datetime | None = None
    token_id: int | None = None
    """Of a push: the token must still hold when it is written (R106)."""
    partial_evses: bool = False
    """EVSEs that a pulled Location leaves out stay (I-62)."""
    area: Area | None = None
    """Where Locations should be; None: anywhere."""


@dataclass(slots=True)
class SentEvse:
    """One EVSE as sent: its raw members, and what they lift to."""

    raw: dict[str, Any]
    node: Evse
    path: str


@dataclass(slots=True)
class Operation:
    """One PUT, PATCH or DELETE (or one pulled object, which is a PUT)."""

    method: Literal["put", "patch", "delete"]
    level: Level
    address: NodeKey
    key: LocationKey
    context: Context
    raw: dict[str, Any] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    location: Location | None = None
    evses: list[SentEvse] | None = None
    """None: the key was absent (D12)."""
    evse: Evse | None = None
    connector: Connector | None = None
    tariff: Tariff | None = None
    pulled_hash: bytes | None = None
    raw_bytes: bytes = b""

    @property
    def module(self) -> Module:
        """Of which list the object is."""
        return "tariffs" if self.level == "tariff" else "locations"

    @property
    def object_path(self) -> str:
        """How issues name the object: ``locations/FI/ABC/LOC1/EVSE1``."""
        address = self.address
        parts = [self.module, address.country_code, address.party_id, address.id, address.evse_uid, address.connector_id]
        return "/".join(part for part in parts if part is not None)


def cleaned(raw: Any) -> list[Issue]:
    """What was cleaned in an object before it came here (R47)."""
    if not isinstance(raw, jsontext.Cleaned):
        return []
    return [Issue(path, "control_characters", "control characters or lone surrogates: cleaned") for path in raw.paths]


def require(errors: list[Issue]) -> None:
    """Refuse when core data is missing (D10, R147)."""
    if errors:
        raise Invalid("; ".join(error.text() for error in errors)[:255], errors=errors)


def require_unbroken(errors: list[Issue], before: Callable[[], list[Issue]]) -> None:
    """Refuse a PATCH that breaks core data (R159); what was missing already, as tolerated below the addressed level, is not its fault."""
    if errors:
        known = {error.path for error in before()}
        require([error for error in errors if error.path not in known])


def prepare_put(operation: Operation) -> Operation:
    """Lift the body of a PUT; raises Invalid when the addressed level lacks core data."""
    context, raw = operation.context, operation.raw
    version, settings = context.version, context.settings
    if operation.level == "location":
        lifted = lift_location(raw, version, settings, context.area)
        require(lifted.errors)
        operation.location = lifted.node
        operation.issues += lifted.issues
        operation.evses = _sent_evses(operation)
        operation.raw_bytes = jsontext.dump({name: value for name, value in raw.items() if name != "evses"})
        return operation
    operation.raw_bytes = jsontext.dump(raw)
    if operation.level == "evse":
        lifted_evse = lift_evse(raw, version, settings)
        require(lifted_evse.errors)
        operation.evse = lifted_evse.node
        operation.issues += lifted_evse.issues
    elif operation.level == "connector":
        lifted_connector = lift_connector(raw, version, settings)
        require(lifted_connector.errors)
        operation.connector = lifted_connector.node
        operation.issues += lifted_connector.issues
    else:
        lifted_tariff = lift_tariff(raw, version, settings)
        require(lifted_tariff.errors)
        operation.tariff = lifted_tariff.node
        operation.issues += lifted_tariff.issues
    return operation


def too_many_evses(number: int) -> Invalid:
    """More EVSEs than a Location can have."""
    message = f"more than {MOST_EVSES}"
    return Invalid(f"evses: {message}", errors=[Issue("evses", "too_many", message, str(number))])


def _sent_evses(operation: Operation) -> list[SentEvse] | None:
    """The nested EVSEs, the smallest broken part dropped with an issue; None when ``evses`` is absent (D12)."""
    raw = operation.raw
    if "evses" not in raw:
        if operation.context.settings.strict_put or operation.context.via == "pull":
            return []
        operation.issues.append(Issue("evses", "evses_absent", "absent in a PUT: the stored EVSEs are kept"))
        return None
    items = raw["evses"] or []
    if not isinstance(items, list | dict):
        operation.issues.append(Issue("evses", "wrong_type", "not a list: the stored EVSEs are kept", sample(items)))
        return None
    if isinstance(items, dict):
        items = [items]
    if len(items) > MOST_EVSES:
        raise too_many_evses(len(items))
    sent = []
    for position, item in enumerate(items):
        path = f"evses[{position}]"
        found = sent_evse(item, path, operation)
        if found is not None:
            sent.append(found)
    return sent


def sent_evse(item: Any, path: str, operation: Operation) -> SentEvse | None:
    """One nested EVSE, or None with an issue when it cannot be used: no object, or nothing to identify it by."""
    if not isinstance(item, dict):
        if item is not None:
            operation.issues.append(Issue(path, "wrong_type", "not an object: dropped", sample(item)))
        return None
    lifted = lift_evse(item, operation.context.version, operation.context.settings)
    problems = [*lifted.issues, *lifted.errors]
    if len(operation.issues) < MOST_ISSUES:
        operation.issues += [Issue(f"{path}.{i.path}" if i.path else path, i.rule, i.message, i.sample) for i in problems]
    if not lifted.node.uid or len(lifted.node.uid) > 255:
        operation.issues.append(Issue(f"{path}.uid", "required_missing", "an EVSE without usable uid: dropped"))
        return None
    return SentEvse(item, lifted.node, path)
