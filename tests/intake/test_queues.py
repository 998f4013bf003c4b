"""A slow platform has its own time and nobody else's (R130, R134, R200)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ocpi_nap.intake.flushing import flush_regularly
from ocpi_nap.intake.jobs import CrawlJob, Crawls, RepairJob, Repairs
from ocpi_nap.ocpi.ports import NodeKey


async def until(condition: Callable[[], bool]) -> None:
    """Let the others work until it is so."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)


@pytest.mark.holds("R200", "R130", versions="all")
async def test_a_slow_crawl_goes_on_beside_the_queue() -> None:
    """The queue has its place back after a while, and the crawl ends in its own time."""
    leave = asyncio.Event()
    ended: list[int] = []

    async def crawl(job: CrawlJob) -> None:
        if job.platform_id == 1:
            await leave.wait()
        elif job.platform_id == 2:
            raise RuntimeError("a crawl that breaks is no reason to end others")
        ended.append(job.platform_id)

    crawls = Crawls(crawl, slow_after=0.01)
    await crawls.run(CrawlJob(1, True))
    await crawls.run(CrawlJob(2, True))
    await crawls.run(CrawlJob(3, True))
    assert ended == [3]
    leave.set()
    await until(lambda: len(ended) >= 2)
    assert ended == [3, 1]
    leave.clear()
    await crawls.run(CrawlJob(1, False))
    await crawls.close()
    assert ended == [3, 1]


@pytest.mark.holds("R200", "R134", versions="all")
async def test_repairs_wait_for_their_own_platform_only() -> None:
    """One after another of each; a platform that does not answer holds up none but its own, and only so many of them."""
    leave = asyncio.Event()
    done: list[tuple[int, str]] = []

    async def repair(job: RepairJob) -> None:
        if job.platform_id == 1:
            await leave.wait()
        if job.address.id == "broken":
            raise RuntimeError("a repair that breaks is no reason to end others")
        done.append((job.platform_id, job.address.id))

    repairs = Repairs(repair)
    for number in range(2000):
        repairs.take(RepairJob(1, NodeKey("FI", "ABC", str(number))))
    for name in ("a", "broken", "b"):
        repairs.take(RepairJob(2, NodeKey("FI", "ABC", name)))
    await until(lambda: len(done) >= 2)
    assert done == [(2, "a"), (2, "b")]
    leave.set()
    await until(lambda: len(done) >= 1002)
    await asyncio.sleep(0)
    assert [name for platform, name in done if platform == 1] == [str(n) for n in range(1000)]
    repairs.take(RepairJob(1, NodeKey("FI", "ABC", "again")))
    await until(lambda: done[-1] == (1, "again"))
    await repairs.close()


async def test_what_was_collected_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, and once more at the end; one that fails is no reason to leave out the others."""
    monkeypatch.setattr("ocpi_nap.intake.flushing._EVERY", 0.001)
    stop, often, flushed = asyncio.Event(), asyncio.Event(), [0, 0]

    async def failing() -> None:
        flushed[0] += 1
        raise RuntimeError

    async def good() -> None:
        flushed[1] += 1
        if flushed[1] == 3:
            often.set()

    running = asyncio.create_task(flush_regularly(stop, failing, good))
    await often.wait()
    before = flushed[1]
    stop.set()
    await running
    assert flushed[1] > before and flushed[0] == flushed[1]
