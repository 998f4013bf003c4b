"""Processes of a node beside the web workers, and the embedded services: started again when they end by themselves."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, Self

from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)
_PAUSE = 1.0


class Child:
    """`ocpi-nap COMMAND` as a process of its own, until `stop`."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._stopping = threading.Event()
        self._process = self._start()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "ocpi_nap", self._command], start_new_session=True)

    def _watch(self) -> None:
        while True:
            status = self._process.wait()
            if self._stopping.wait(_PAUSE):
                return
            log.error("the process `%s` ended by itself (exit status %s) and is started again", self._command, status)
            self._process = self._start()

    def ask_to_stop(self) -> None:
        """Let it end; `stop` waits for that."""
        self._stopping.set()
        self._process.terminate()

    def stop(self) -> None:
        """End it, by force after a while."""
        self.ask_to_stop()
        self._watcher.join(15)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def children(*commands: str) -> Iterator[None]:
    """Processes beside what is done meanwhile; they end together."""
    made: list[Child] = []
    try:
        for command in commands:
            made.append(Child(command))
        yield
    finally:
        for child in made:
            child.ask_to_stop()
        for child in made:
            child.stop()


class Embedded(Protocol):
    """A service of our own that has a process of its own: the embedded database, the embedded broker."""

    @property
    def running(self) -> bool: ...
    def revive(self) -> None:
        """Start it again; raises RuntimeError or OSError."""
        ...


class KeptAlive:
    """Context manager: starts embedded services again that ended by themselves, as by the system when memory ran out."""

    def __init__(self, *services: Embedded) -> None:
        self._services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_PAUSE):
            for service in self._services:
                if service.running:
                    continue
                log.error("the %s ended by itself and is started again", type(service).__name__)
                try:
                    service.revive()
                except (RuntimeError, OSError) as error:
                    log.error("the %s could not be started: %s", type(service).__name__, error)


def stop_on_signal() -> asyncio.Event:
    """Set when somebody asks this process to end: SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def orphaned(parent: int, stop: asyncio.Event) -> None:
    """Set ``stop`` when the parent is gone: `serve` was killed."""
    while os.getppid() == parent:
        if await happens(stop, within=1):
            return
    stop.set()
