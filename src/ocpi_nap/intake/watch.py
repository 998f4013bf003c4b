"""What /metrics says of each platform: whether it is connected, whether its pulls work, and when it last delivered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import psycopg
from prometheus_client import Gauge

from ocpi_nap.model.platform import CONNECTED
from ocpi_nap.store.console import Summary, summaries
from ocpi_nap.store.database import Database
from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)

_LABELS = ["platform", "environment"]
_CONNECTED = Gauge("ocpi_nap_platform_connected", "1: registered and not paused", _LABELS, multiprocess_mode="livemostrecent")
_DELIVERED = Gauge("ocpi_nap_platform_delivered_at", "Unix time of its last push or complete pull", _LABELS,
                   multiprocess_mode="livemostrecent")  # fmt: skip
_FAILED = Gauge("ocpi_nap_platform_pull_failed", "1: its last pull of locations is incomplete", _LABELS,
                multiprocess_mode="livemostrecent")  # fmt: skip
_WITHHELD = Gauge("ocpi_nap_platform_withheld", "Objects whose withdrawal waits for a decision", _LABELS,
                  multiprocess_mode="livemostrecent")  # fmt: skip
_PAUSE = 30.0


def tell(platforms: Iterable[Summary], known: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Set the metrics; ``known`` are the platforms of the last time, and what is returned those of this one."""
    now = set()
    for platform in platforms:
        labels = (platform.name, platform.environment)
        now.add(labels)
        _CONNECTED.labels(*labels).set(platform.state in CONNECTED and not platform.paused)
        _FAILED.labels(*labels).set(platform.pull_failed)
        _WITHHELD.labels(*labels).set(platform.withheld)
        if platform.delivered is not None:
            _DELIVERED.labels(*labels).set(platform.delivered.timestamp())
    for labels in known - now:  # a metric that several processes share cannot be taken back
        for gauge in (_CONNECTED, _FAILED, _WITHHELD):
            gauge.labels(*labels).set(0)
    return now


async def watch_platforms(db: Database, stop: asyncio.Event) -> None:
    """Tell every half minute until ``stop`` is set."""
    known: set[tuple[str, str]] = set()
    while not stop.is_set():
        try:
            known = tell(await summaries(db), known)
        except psycopg.Error as error:
            log.warning("platforms could not be looked at: %s", error)
        await happens(stop, within=_PAUSE)
