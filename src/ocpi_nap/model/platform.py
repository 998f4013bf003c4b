"""A CPO platform as the NAP knows it: the onboarding record, its operators and its settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

State = Literal["unregistered", "registering", "registered", "registered-unverified", "unknown", "failed", "lost", "unregistered-by-peer"]
TokenEncoding = Literal["raw", "base64", "auto"]
Environment = Literal["test", "production"]
Party = tuple[str, str]
"""(country_code, party_id), both upper case."""

CONNECTED: frozenset[State] = frozenset({"registered", "registered-unverified"})
"""States in which we crawl the platform."""


class PlatformSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Per-platform switches (`--set key=value`); numbers in the units their names give. D, R, I: requirements.md, interop.md."""

    strict_patch: bool = False  # D9: refuse a PATCH without last_updated (2.2.1 on)
    strict_validation: bool = False  # D10: enforce every required field
    strict_put: bool = False  # I-75: a PUT Location without evses empties the list
    assume_publish: bool = False  # D15
    accept_announced_roles: bool = False  # D4
    owner_rule: Literal["platform", "evse_id", "operator_name", "auto"] = "auto"  # D5: owner of pulled 2.1.1 objects
    pull_scope: Literal["platform", "per_operator"] = "platform"  # R133
    version_pin: str | None = None  # D3
    treat_2_2_as_2_2_1: bool = False  # I-25
    token_encoding_fallback: bool = False  # D1
    registration: Literal["credentials", "none"] = "credentials"  # I-45: none is a static token, without a credentials module
    static_endpoints: dict[str, str] = {}  # I-45: instead of version details; needs version_pin
    versions_auth: Literal["token", "none"] = "token"  # I-7
    list_credentials_twice: bool = False  # I-27
    extra_headers: dict[str, str] = {}  # I-8
    allowed_hosts: list[str] = []  # R115: further hosts that may get the token
    page_size: int = 100  # R112
    send_paging_parameters: bool = True  # I-55
    max_pages: int = 10_000  # R117
    max_requests_per_day: int = 0  # I-8; 0 is no limit
    page_timeout_seconds: int = 120  # I-68
    crawl_minutes: int = 360  # I-68: the longest pull of one list
    delta_interval_minutes: int = 60  # R130
    full_interval_minutes: int = 1440  # R130
    delta_overlap_minutes: int = 10  # R120
    full_only: bool = False  # R123
    delta_evses_partial: bool = False  # I-62
    naive_timezone: str = "UTC"  # I-95
    inbound_limit_per_second: int = 5000  # R197, per worker; 0 is no limit
    publish_after_disconnect_hours: int = 24  # D19
    rotate_days: int = 0  # R104; 0 is off


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """An operator (CPO) whose data comes over a platform."""

    country_code: str
    party_id: str
    name: str
    url: str | None = None
    details: dict[str, Any] | None = None
    source: Literal["configured", "announced"] = "configured"

    @property
    def id(self) -> str:
        """``CC*PPP``, the operator id of the public API (contract section 1)."""
        return f"{self.country_code}*{self.party_id}"

    @property
    def party(self) -> Party:
        """(country code, party id)."""
        return (self.country_code, self.party_id)


class Platform(msgspec.Struct, kw_only=True):
    """The onboarding record and the state of the connection. Tokens are not part of it: they stay in the registry."""

    id: int
    name: str
    environment: Environment
    versions_url: str
    country_code: str
    party_id: str
    token_encoding: TokenEncoding
    learnt_encoding: Literal["raw", "base64"] | None = None
    settings: PlatformSettings = PlatformSettings()
    state: State = "unregistered"
    paused: bool = False
    version: str | None = None
    endpoints: dict[str, str] = {}
    peer_roles: list[dict[str, Any]] = []
    operators: list[Operator] = []
    last_error: dict[str, Any] | None = None
    disconnected_at: datetime | None = None

    @property
    def party(self) -> Party:
        """PLATFORM_COUNTRY_CODE and PLATFORM_PARTY_ID."""
        return (self.country_code, self.party_id)

    @property
    def parties(self) -> frozenset[Party]:
        """Whose objects this platform may write (D4); announced operators are in the list only when they are accepted."""
        return frozenset(o.party for o in self.operators)
