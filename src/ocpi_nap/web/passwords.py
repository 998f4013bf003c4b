"""Passwords: argon2id hashes, generated ones, and what is long enough."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()
_at_once: asyncio.Semaphore | None = None
LEAST = 12


def problem(password: str) -> str | None:
    """What is wrong with a new password, or None."""
    if len(password) < LEAST:
        return f"At least {LEAST} characters are required."
    return "At most 200 characters are possible." if len(password) > 200 else None


def generate() -> str:
    """A password with 120 random bits."""
    return secrets.token_urlsafe(15)


def hash_password(password: str) -> str:
    """What is stored of a password (argon2id)."""
    return _hasher.hash(password)


@cache
def _nobody() -> str:
    """Checked where there is no account, so that the time to answer does not tell which names exist."""
    return hash_password(secrets.token_urlsafe())


async def matches(stored: str | None, password: str) -> bool:
    """Whether a password is the stored one; one at a time, since each check takes 64 MiB and tens of milliseconds."""
    global _at_once
    _at_once = _at_once or asyncio.Semaphore(1)
    async with _at_once:
        right = await asyncio.to_thread(_verify, stored, password)
    return right and stored is not None


def _verify(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
