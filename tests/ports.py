"""Ports for servers that tests start as processes of their own: taken by number before the server binds them."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_LOWEST = 10_000


def _ports_of_this_worker() -> Iterator[int]:
    """Those below what the system gives to connections, parted among the workers of the run; another run begins elsewhere in them."""
    end = max(20_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    span = (end - _LOWEST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = _LOWEST + worker * span
    return itertools.cycle(first + (os.getpid() * 97 + n) % span for n in range(span))


_ports = _ports_of_this_worker()


def free_ports(count: int) -> list[int]:
    """That many ports in a row that nobody has and that nobody else is given: they stay free until they are used."""
    row: list[int] = []
    while len(row) < count:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                row = []
                continue
        row = [*row, port] if row and port == row[-1] + 1 else [port]
    return row


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]
