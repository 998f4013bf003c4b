"""How often the registry is looked at for pushes, and when a look counts no more (R106)."""

from __future__ import annotations

import asyncio
from typing import Any

from ocpi_nap.ocpi.ports import Caller
from ocpi_nap.registry.auth import TokenAuthenticator
from ocpi_nap.store.database import Database
from tests.interface import Ocpi


class Watched(Database):
    """A database that counts looks, and gives what was seen when it is told to."""

    def __init__(self, db: Database) -> None:
        super().__init__(db.dsn, db.pool)
        self.looks = 0
        self.seen, self.giving = asyncio.Event(), asyncio.Event()
        self.giving.set()

    async def fetch_one(self, query: str, params: Any = None) -> tuple[Any, ...] | None:
        self.looks += 1
        row = await super().fetch_one(query, params)
        self.seen.set()
        await self.giving.wait()
        return row


async def pushes(authenticator: TokenAuthenticator, token: str, count: int) -> list[Caller | None]:
    return await asyncio.gather(*(authenticator.authenticate([token], cached=True) for _ in range(count)))


async def test_pushes_that_come_together(ocpi: Ocpi) -> None:
    """One look serves them all, and those of the next second; known or not."""
    token, db = await ocpi.platform("2.2.1"), Watched(ocpi.db)
    authenticator = TokenAuthenticator(db, None, ocpi.registry.epoch)
    await pushes(authenticator, token, 1)  # its first use, which retires the token before it
    before = db.looks
    for _ in range(2):
        callers = await pushes(authenticator, token, 50)
        assert {caller and caller.platform_name for caller in callers} == {"p2.2.1"}
    assert db.looks == before + 1
    assert set(await pushes(authenticator, "unknown", 50)) == {None}
    assert db.looks == before + 2


async def test_a_token_that_ends_while_it_is_looked_up(ocpi: Ocpi) -> None:
    """Whoever comes after its end does not take the answer of a look that began before."""
    token, db = await ocpi.platform("2.2.1"), Watched(ocpi.db)
    authenticator = TokenAuthenticator(db, None, ocpi.registry.epoch)
    await pushes(authenticator, token, 1)
    db.giving.clear()
    db.seen.clear()
    early = asyncio.create_task(authenticator.authenticate([token], cached=True))
    await db.seen.wait()
    await ocpi.db.execute("UPDATE token SET expires_at = now() - interval '1 second'")
    ocpi.registry.epoch.end()
    db.seen.clear()
    late = asyncio.create_task(authenticator.authenticate([token], cached=True))
    await db.seen.wait()
    db.giving.set()
    assert await early is not None
    assert await late is None
    assert await pushes(authenticator, token, 2) == [None, None]
