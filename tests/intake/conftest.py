"""A platform of the version under test that pushes."""

from __future__ import annotations

import pytest

from tests.intake.pusher import Pusher
from tests.interface import Ocpi


@pytest.fixture
async def cpo(ocpi: Ocpi, version: str) -> Pusher:
    """A registered platform of FI*ABC."""
    return Pusher(ocpi, version, await ocpi.platform(version))
