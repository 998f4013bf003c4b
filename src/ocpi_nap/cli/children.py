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
from typing import Protocol

from ocpi_nap.waiting import happens

log = logging.getLogger(__name__)
_PAUSE = 1.0


class Service(Protocol):
    """What a node needs that has a process of its own: the embedded database, the embedded broker, a process of ours."""

    @property
    def name(self) -> str: ...
    @property
    def running(self) -> bool: ...
    def revive(self) -> None:
        """Start it again after its process has ended by itself; raises RuntimeError or OSError."""
        ...


@contextmanager
def kept_alive(*services: Service) -> Iterator[None]:
    """Inside, services are started again that end by themselves, as by the system when memory ran out."""
    stopping, looking = threading.Event(), threading.Lock()

    def watch() -> None:
        while not stopping.wait(_PAUSE):
            with looking:
                for service in services:
                    if not stopping.is_set() and not service.running:
                        _revive(service)
        threading.Event().wait()  # for ever: what it has started may be set to end with the thread that did

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        stopping.set()
        looking.acquire()  # what is being started is there when others stop it


def _revive(service: Service) -> None:
    log.error("the %s ended by itself and is started again", service.name)
    try:
        service.revive()
    except (RuntimeError, OSError) as error:
        log.error("the %s could not be started: %s", service.name, error)


class Child:
    """`ocpi-nap COMMAND` as a process of its own, until `stop`."""

    def __init__(self, command: str) -> None:
        self.name = f"process `{command}`"
        self._command = [sys.executable, "-m", "ocpi_nap", command]
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, start_new_session=True)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process.poll() is None

    def revive(self) -> None:
        """Start it again."""
        self._process = self._start()

    def ask_to_stop(self) -> None:
        """Let it end; `stop` waits for that."""
        self._process.terminate()

    def stop(self) -> None:
        """End it, by force after a while."""
        self.ask_to_stop()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def children(*commands: str) -> Iterator[list[Child]]:
    """Processes beside what is done meanwhile; they end together."""
    made: list[Child] = []
    try:
        for command in commands:
            made.append(Child(command))
        yield made
    finally:
        for child in made:
            child.ask_to_stop()
        for child in made:
            child.stop()


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
