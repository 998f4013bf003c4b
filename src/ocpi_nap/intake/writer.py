"""Group commit: concurrent pushes are written together, and each is answered after its own batch has committed (R171)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

import psycopg

from ocpi_nap.intake.batches import Outcome, write_documents
from ocpi_nap.intake.operations import Operation
from ocpi_nap.ocpi.errors import Internal, OcpiError, Unavailable
from ocpi_nap.store import network
from ocpi_nap.store.database import OUTAGES, Database
from ocpi_nap.store.network import PatchResult
from ocpi_nap.store.rows import StatusPatch

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class Lane(Generic[T, R]):
    """Collects items while the previous batch commits, then writes them as the next batch; one key at most once in each."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[Sequence[R]]], key: Callable[[T], Hashable], largest: int) -> None:
        self._write = write
        self._key = key
        self._largest = largest
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, item: T) -> R:
        """Write the item; returns after its batch has committed, raises OcpiError when it could not be written."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Write batches for ever; cancelled at shutdown, after the server has drained its requests."""
        while True:
            await self._arrived.wait()
            batch = self._take()
            try:
                results = await self._write([item for item, _ in batch])
            except asyncio.CancelledError:
                raise
            except Exception as error:
                await self._settle_failure(batch, error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        rest: list[tuple[T, asyncio.Future[R]]] = []
        keys: set[Hashable] = set()
        for entry in self._waiting:
            key = self._key(entry[0])
            if key in keys or len(batch) >= self._largest:
                rest.append(entry)
            else:
                keys.add(key)
                batch.append(entry)
        self._waiting = rest
        if not rest:
            self._arrived.clear()
        return batch

    async def _settle_failure(self, batch: list[tuple[T, asyncio.Future[R]]], error: Exception) -> None:
        """The database is away: 503 for all. Otherwise one item is to blame: write them one by one, so only it fails."""
        away = isinstance(error, (*OUTAGES, TimeoutError))
        log.error("a batch of %d writes failed: %s", len(batch), error)
        for item, future in batch:
            if future.done():
                continue
            if away:
                future.set_exception(Unavailable("the database does not answer", retry_after=5))
            elif len(batch) == 1:
                future.set_exception(Internal("the object could not be stored"))
            else:
                try:
                    future.set_result((await self._write([item]))[0])
                except Exception as single:
                    log.exception("a write failed")
                    future.set_exception(single if isinstance(single, OcpiError) else Internal("the object could not be stored"))


class PushWriter:
    """The two lanes of a worker: statuses (narrow rows) and documents."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.statuses: Lane[StatusPatch, PatchResult | None] = Lane(self._write_statuses, lambda p: (p.key, p.uid_key), 256)
        self.documents: Lane[Operation, Outcome] = Lane(self._write_documents, lambda op: (op.module, op.key), 64)
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Run both lanes and the notifier until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.statuses.run())
            group.create_task(self.documents.run())
            group.create_task(self._notify())

    async def _write_statuses(self, patches: Sequence[StatusPatch]) -> list[PatchResult | None]:
        async with self._db.connection() as conn:  # one statement: it commits by itself
            results = await network.patch_statuses(conn, patches)
        self._told.set()
        return [results.get(i) for i in range(len(patches))]

    async def _write_documents(self, operations: Sequence[Operation]) -> list[Outcome]:
        outcomes = await write_documents(self._db, operations)
        self._told.set()
        return outcomes

    async def _notify(self) -> None:
        """Wake the readers of the change feed, at most every 10 ms: NOTIFY inside each batch would serialise the commits."""
        while True:
            await self._told.wait()
            self._told.clear()
            try:
                await self._db.notify("feed", "")
            except psycopg.Error as error:
                log.warning("readers of the change feed could not be woken: %s", error)
            await asyncio.sleep(0.01)
