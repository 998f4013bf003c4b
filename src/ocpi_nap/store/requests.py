"""SQL of onboarding requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from ocpi_nap.store.database import Database

State = Literal["open", "approved", "refused"]


@dataclass(frozen=True, slots=True)
class OnboardingRequest:
    """A request; ``record`` has country_code, party_id, operators, environments (versions_url, token_encoding each) and message."""

    id: int
    reference: str
    state: State
    company: str
    contact: dict[str, str]
    record: dict[str, Any]
    test_token: bytes | None
    production_token: bytes | None
    platforms: list[str]
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    created_at: datetime

    def token(self, environment: str) -> bytes | None:
        """The sealed token A of an environment."""
        return self.test_token if environment == "test" else self.production_token


_COLUMNS = (
    "id, reference, state, company, contact, record, test_token, production_token, platforms, reason, decided_by, decided_at, created_at"
)


async def add_request(
    db: Database, reference: str, link: bytes, company: str, contact: dict[str, str], record: dict[str, Any],
    test_token: bytes | None, production_token: bytes | None,
) -> bool:  # fmt: skip
    """Keep a request; False when the reference is taken."""
    return bool(await db.execute(
        "INSERT INTO onboarding_request (reference, link, company, contact, record, test_token, production_token)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (reference) DO NOTHING",
        (reference, link, company, Jsonb(contact), Jsonb(record), test_token, production_token),
    ))  # fmt: skip


async def request_by_link(db: Database, link: bytes) -> OnboardingRequest | None:
    """The request of a status link."""
    row = await db.fetch_one(f"SELECT {_COLUMNS} FROM onboarding_request WHERE link = %s", (link,))
    return OnboardingRequest(*row) if row else None


async def request_by_id(db: Database, request_id: int) -> OnboardingRequest | None:
    """One request."""
    row = await db.fetch_one(f"SELECT {_COLUMNS} FROM onboarding_request WHERE id = %s", (request_id,))
    return OnboardingRequest(*row) if row else None


async def request_page(db: Database, state: str, before: int | None, size: int) -> list[OnboardingRequest]:
    """Requests in a state, the newest first, those before an id."""
    rows = await db.fetch_all(
        f"SELECT {_COLUMNS} FROM onboarding_request WHERE state = %s AND id < coalesce(%s, 9223372036854775807) ORDER BY id DESC LIMIT %s",
        (state, before, size),
    )
    return [OnboardingRequest(*row) for row in rows]


async def decide(db: Database, request_id: int, state: State, who: str, reason: str | None) -> bool:
    """Decide an open request; False when somebody else was faster."""
    return bool(await db.execute(
        "UPDATE onboarding_request SET state = %s, decided_by = %s, decided_at = now(), reason = %s WHERE id = %s AND state = 'open'",
        (state, who, reason, request_id),
    ))  # fmt: skip


async def reopen(db: Database, request_id: int) -> None:
    """Take an approval back whose platforms could not be made."""
    await db.execute(
        "UPDATE onboarding_request SET state = 'open', decided_by = NULL, decided_at = NULL WHERE id = %s AND platforms = '{}'",
        (request_id,),
    )  # fmt: skip


async def finish(db: Database, request_id: int, platforms: list[str]) -> None:
    """Note what a decided request became, and forget its tokens."""
    await db.execute(
        "UPDATE onboarding_request SET platforms = %s, test_token = NULL, production_token = NULL WHERE id = %s", (platforms, request_id)
    )
