"""How often the registry is looked at for pushes."""

from __future__ import annotations

import asyncio
from typing import Any

from ocpi_nap.ocpi.ports import Caller
from ocpi_nap.registry.auth import TokenAuthenticator
from ocpi_nap.store.database import Database
from tests.interface import Ocpi


class Watched(Database):
    """A database that counts looks."""

    def __init__(self, db: Database) -> None:
        super().__init__(db.dsn, db.pool)
        self.looks = 0

    async def fetch_one(self, query: str, params: Any = None) -> tuple[Any, ...] | None:
        self.looks += 1
        return await super().fetch_one(query, params)


async def pushes(authenticator: TokenAuthenticator, token: str, count: int) -> list[Caller | None]:
    return await asyncio.gather(*(authenticator.authenticate([token], cached=True) for _ in range(count)))


async def test_pushes_that_come_together(ocpi: Ocpi) -> None:
    """One look serves them all, and those that come soon after; known or not."""
    token, db = await ocpi.platform("2.2.1"), Watched(ocpi.db)
    authenticator = TokenAuthenticator(db, None)
    for _ in range(2):
        callers = await pushes(authenticator, token, 50)
        assert {caller and caller.platform_name for caller in callers} == {"p2.2.1"}
    assert db.looks == 1
    assert set(await pushes(authenticator, "unknown", 50)) == {None}
    assert db.looks == 2
