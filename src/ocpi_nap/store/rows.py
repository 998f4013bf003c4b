"""Rows of the network tables as plain mutable records: what the intake merges and the store writes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

EVSES_OF = """unnest({pks}::bigint[]) AS k(pk)
  CROSS JOIN LATERAL (SELECT * FROM evse WHERE location_pk = k.pk OFFSET 0) AS e
  CROSS JOIN LATERAL (SELECT * FROM evse_state AS s WHERE s.location_pk = e.location_pk AND s.uid_key = e.uid_key OFFSET 0) AS s
"""
"""Tables ``e`` and ``s`` of the locations ``{pks}``, always looked up by index: until its first statistics PostgreSQL takes a few hundred
keys for half of the table, and would read all of it for each batch of a new network."""

LocationKey = tuple[int, str, str, str]
"""(platform id, country code, party id, id key): what identifies a location or a tariff (R140)."""


@dataclass(slots=True)
class GoneConnector:
    """A row of ``gone_connector``: a connector as it was when its EVSE no longer had it."""

    uid_key: str
    id_key: str
    id: str
    source_version: str
    via: str
    raw: bytes
    doc: bytes
    received_at: datetime
    withdrawn_at: datetime
    withdrawn_reason: str


@dataclass(slots=True)
class EvseRow:
    """One row of ``evse`` and its row of ``evse_state``."""

    uid_key: str
    uid: str
    ordinal: int
    public_id: str
    source_version: str
    via: str
    raw: bytes
    doc: bytes
    received_at: datetime
    created_at: datetime
    modified_at: datetime
    status: str
    status_raw: str | None
    status_at: datetime
    source_last_updated: datetime | None
    last_updated_raw: str | None
    state_received_at: datetime
    state_via: str
    withdrawn_at: datetime | None = None
    withdrawn_reason: str | None = None
    doc_dirty: bool = False
    state_dirty: bool = False
    gone: list[GoneConnector] = field(default_factory=list)
    """Connectors that this write took away."""


@dataclass(slots=True)
class ObjectRow:
    """What the rows of ``location`` and ``tariff`` have in common."""

    platform_id: int
    country_code: str
    party_id: str
    id_key: str
    id: str
    source_version: str
    via: str
    raw: bytes
    doc: bytes
    source_last_updated: datetime | None
    received_at: datetime
    created_at: datetime
    modified_at: datetime

    @property
    def key(self) -> LocationKey:
        """What identifies it."""
        return (self.platform_id, self.country_code, self.party_id, self.id_key)


@dataclass(slots=True)
class LocationRow(ObjectRow):
    """One row of ``location`` with its EVSEs by uid key; ``pk`` is 0 until it is stored."""

    publish: bool
    pk: int = 0
    pulled_hash: bytes | None = None
    withdrawn_at: datetime | None = None
    withdrawn_reason: str | None = None
    evses: dict[str, EvseRow] = field(default_factory=dict)
    dirty: bool = False


@dataclass(slots=True)
class TariffRow(ObjectRow):
    """One row of ``tariff``; ``pk`` is 0 until it is stored."""

    pk: int = 0
    pulled_hash: bytes | None = None
    withdrawn_at: datetime | None = None
    withdrawn_reason: str | None = None
    dirty: bool = False


@dataclass(slots=True)
class Change:
    """A row for the change feed; ``row`` gives the primary key once the row is stored."""

    kind: str
    row: LocationRow | TariffRow
    uid_key: str | None = None
    status: str | None = None
    status_at: datetime | None = None


@dataclass(slots=True)
class StatusPatch:
    """A PATCH of nothing but an EVSE's status: the hottest write."""

    key: LocationKey
    uid_key: str
    status: str
    status_raw: str | None
    last_updated: datetime
    last_updated_raw: str | None
    received_at: datetime
    token_id: int | None = None
    """With which it came: it must hold. None: not from outside."""
