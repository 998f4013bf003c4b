"""Why a token is refused, for the log and `platform show`: peers confuse tokens A, B and C (I-5)."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from ocpi_nap.ocpi.errors import NotAuthenticated
from ocpi_nap.ocpi.tokens import hash_token
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store import registry as sql
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)

_AGAIN = 600.0
"""Seconds in which one hint is noted once."""
_MOST = 1000


class Hints:
    """Recognises refused tokens that once were, or are, part of a connection.

    ``pause``: seconds between two readings of the tokens that we send; guessing must not keep us busy.
    """

    def __init__(self, db: Database, vault: Vault, *, pause: float = 1.0) -> None:
        self._db, self._vault, self._pause = db, vault, pause
        self._noted: dict[tuple[int, str], float] = {}
        self._sent: dict[bytes, tuple[int, str]] = {}
        self._looked = float("-inf")

    async def tell(self, readings: Sequence[str]) -> None:
        """Raise NotAuthenticated with the reason where the token is known for something else; note it once in a while."""
        digests = [hash_token(reading) for reading in readings]
        for platform_id, name, kind in await sql.find_ended_tokens(self._db, digests):
            if kind == "A":
                await self._note(platform_id, name, "a token A that the registration has used up: call with the token of our credentials")
            await self._note(platform_id, name, "a token that newer credentials have replaced")
        for digest in digests:
            found = (await self._tokens_we_send()).get(digest)
            if found is not None:
                await self._note(*found, "the token that we send to them: call with the token of our credentials")

    async def _tokens_we_send(self) -> dict[bytes, tuple[int, str]]:
        if time.monotonic() - self._looked > self._pause:
            self._looked = time.monotonic()
            self._sent = {}
            for platform_id, name, sealed in await sql.sealed_tokens(self._db):
                with suppress(ValueError):  # sealed with another key: a command that needs it says so
                    self._sent[hash_token(self._vault.unseal(sealed))] = (platform_id, name)
        return self._sent

    async def _note(self, platform_id: int, name: str, reason: str) -> None:
        key, now = (platform_id, reason), time.monotonic()
        if now - self._noted.get(key, float("-inf")) > _AGAIN:
            if len(self._noted) >= _MOST:
                self._noted.clear()
            self._noted[key] = now
            log.warning("%s called with %s", name, reason)
            async with self._db.transaction() as conn:
                await sql.add_event(conn, platform_id, "refused", f"they called with {reason}")
        raise NotAuthenticated(f"this is {reason}")
