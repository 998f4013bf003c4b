"""SQL of console accounts, their sessions, rate limits and the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from ocpi_nap.store.database import Database

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
"""Each may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account; ``totp_secret`` is sealed by the vault."""

    id: int
    name: str
    role: Role
    password_hash: str | None
    subject: str | None
    totp_secret: bytes | None
    totp_counter: int
    disabled: bool
    created_at: datetime
    last_sign_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser."""

    hash: bytes
    csrf: str
    stage: Literal["code", "full"]
    account_id: int
    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the account's role includes ``role``."""
        return ROLES.index(self.role) >= ROLES.index(role)


def usable_name(name: str) -> bool:
    """Whether an account may be called so: 1 to 100 visible characters."""
    return bool(name.strip()) and len(name) <= 100 and name.isprintable()


_ACCOUNT = "id, name, role, password_hash, subject, totp_secret, totp_counter, disabled, created_at, last_sign_in_at"


async def account_by_name(db: Database, name: str) -> Account | None:
    """An account by its name, upper and lower case alike."""
    row = await db.fetch_one(f"SELECT {_ACCOUNT} FROM account WHERE lower(name) = lower(%s)", (name,))
    return Account(*row) if row else None


async def account_by_id(db: Database, account_id: int) -> Account | None:
    """An account by its id."""
    row = await db.fetch_one(f"SELECT {_ACCOUNT} FROM account WHERE id = %s", (account_id,))
    return Account(*row) if row else None


async def accounts(db: Database) -> list[Account]:
    """All accounts by name."""
    return [Account(*row) for row in await db.fetch_all(f"SELECT {_ACCOUNT} FROM account ORDER BY lower(name)")]


async def any_account(db: Database) -> bool:
    """Whether somebody could sign in with a password."""
    return await db.fetch_one("SELECT 1 FROM account LIMIT 1") is not None


async def add_account(db: Database, name: str, role: str, password_hash: str | None) -> bool:
    """Add an account; False when the name is taken."""
    return bool(await db.execute(
        "INSERT INTO account (name, role, password_hash) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (name, role, password_hash)
    ))  # fmt: skip


async def change_account(db: Database, account_id: int, values: dict[str, Any], *, end_sessions: bool) -> None:
    """Set columns of an account; its sessions end when what they rest on has changed."""
    sets = ", ".join(f"{name} = %({name})s" for name in values)
    async with db.transaction() as conn:
        await conn.execute(f"UPDATE account SET {sets} WHERE id = %(id)s".encode(), {**values, "id": account_id})
        if end_sessions:
            await conn.execute("DELETE FROM console_session WHERE account_id = %s", (account_id,))


async def decide_account(db: Database, seen: Account, role: str, disabled: bool) -> bool:
    """Set the role of an account and whether it is kept out, which ends its sessions; False when either was not as ``seen`` any more."""
    async with db.transaction() as conn:
        done = await conn.execute(
            "UPDATE account SET role = %s, disabled = %s WHERE id = %s AND role = %s AND disabled = %s",
            (role, disabled, seen.id, seen.role, seen.disabled),
        )
        if done.rowcount and disabled:
            await conn.execute("DELETE FROM console_session WHERE account_id = %s", (seen.id,))
    return bool(done.rowcount)


async def account_of_subject(db: Database, subject: str, name: str, role: str) -> Account:
    """The account of an OpenID Connect subject with the role that its token gives now; made at the first sign-in."""
    async with db.transaction() as conn:
        query = f"UPDATE account SET role = %s WHERE subject = %s RETURNING {_ACCOUNT}"
        row = await (await conn.execute(query.encode(), (role, subject))).fetchone()
        for candidate in (name, f"{name} ({subject})"):
            if row is None:
                row = await (await conn.execute(
                    f"INSERT INTO account (name, role, subject) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING {_ACCOUNT}".encode(),
                    (candidate, role, subject),
                )).fetchone()  # fmt: skip
    assert row is not None
    return Account(*row)


async def use_code(db: Database, account_id: int, counter: int) -> bool:
    """Mark a one-time code as used; False when it, or a later one, was used before."""
    used = "UPDATE account SET totp_counter = %s WHERE id = %s AND totp_counter < %s"
    return bool(await db.execute(used, (counter, account_id, counter)))


_IDLE, _LONGEST = "2 hours", "12 hours"


async def add_session(db: Database, digest: bytes, csrf: str, account_id: int, stage: str, address: str) -> None:
    """Start a session; whoever awaits the second factor has five minutes."""
    async with db.transaction() as conn:
        await conn.execute("DELETE FROM console_session WHERE expires_at < now()")
        await conn.execute(
            "INSERT INTO console_session (hash, csrf, account_id, stage, address, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, now() + %s::interval)",
            (digest, csrf, account_id, stage, address, "5 minutes" if stage == "code" else _LONGEST),
        )
        if stage == "full":
            await conn.execute("UPDATE account SET last_sign_in_at = now() WHERE id = %s", (account_id,))


async def find_session(db: Database, digest: bytes) -> Session | None:
    """The live session of a cookie; looking at it keeps it alive, written down at most once a minute."""
    row = await db.fetch_one(
        "SELECT s.hash, s.csrf, s.stage, a.id, a.name, a.role, s.seen_at < now() - interval '1 minute'"
        "  FROM console_session s JOIN account a ON a.id = s.account_id"
        f" WHERE s.hash = %s AND s.expires_at > now() AND s.seen_at > now() - interval '{_IDLE}' AND NOT a.disabled",
        (digest,),
    )
    if row is None:
        return None
    if row[6]:
        await db.execute("UPDATE console_session SET seen_at = now() WHERE hash = %s", (digest,))
    return Session(bytes(row[0]), *row[1:6])


async def end_session(db: Database, digest: bytes) -> None:
    """Sign a browser out."""
    await db.execute("DELETE FROM console_session WHERE hash = %s", (digest,))


async def end_other_sessions(db: Database, account_id: int, digest: bytes) -> int:
    """Sign an account's other browsers out; returns how many."""
    return await db.execute("DELETE FROM console_session WHERE account_id = %s AND hash <> %s", (account_id, digest))


async def attempts(db: Database, key: str, minutes: int) -> int:
    """How often something was tried in the last minutes."""
    row = await db.fetch_one("SELECT count(*) FROM attempt WHERE key = %s AND at > now() - %s * interval '1 minute'", (key, minutes))
    return int(row[0]) if row else 0


async def note_attempts(db: Database, *keys: str) -> None:
    """Count a try under each key; tries of yesterday are forgotten."""
    async with db.transaction() as conn:
        await conn.execute("DELETE FROM attempt WHERE at < now() - interval '1 day'")
        await conn.execute("INSERT INTO attempt (key) SELECT unnest(%s::text[])", (list(keys),))


async def note_act(db: Database, who: str, act: str, what: str, address: str, details: dict[str, Any] | None = None) -> None:
    """Append to the audit log."""
    await db.execute(
        "INSERT INTO audit (who, act, what, address, details) VALUES (%s, %s, %s, %s, %s)",
        (who[:200], act[:100], what[:300], address[:100], Jsonb(details) if details else None),
    )


AuditRow = tuple[int, datetime, str, str, str, str, dict[str, Any] | None]


async def audit_page(db: Database, before: int | None, who: str | None, size: int) -> list[AuditRow]:
    """Acts (id, at, who, act, what, address, details), the newest first, those before an id."""
    rows = await db.fetch_all(
        "SELECT id, at, who, act, what, address, details FROM audit"
        f" WHERE id < %(before)s{' AND who = %(who)s' if who else ''} ORDER BY id DESC LIMIT %(size)s",
        {"before": (1 << 63) - 1 if before is None else before, "who": who, "size": size},
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows]
