"""When tokens become void, every process of a node knows it before anybody is told (R106, D18)."""

from __future__ import annotations

import mmap
import os
import secrets
from pathlib import Path

_SIZE = 8


class Epoch:
    """A value in memory that all processes with one data folder share; what was looked up in another epoch is looked up again."""

    def __init__(self, memory: mmap.mmap | bytearray | None = None) -> None:
        self._memory = bytearray(_SIZE) if memory is None else memory

    @classmethod
    def open(cls, data_dir: Path) -> Epoch:
        """That of ``data_dir/token.epoch``, made on first use."""
        descriptor = os.open(data_dir / "token.epoch", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, _SIZE)
            return cls(mmap.mmap(descriptor, _SIZE))
        finally:
            os.close(descriptor)

    def now(self) -> bytes:
        return bytes(self._memory[:_SIZE])

    def end(self) -> None:
        """Begin another one."""
        self._memory[:_SIZE] = secrets.token_bytes(_SIZE)
