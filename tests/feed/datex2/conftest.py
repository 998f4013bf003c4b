"""The official schemas, where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.feed.datex2.support import Schemas


@pytest.fixture(scope="session")
def schemas(shared: Path) -> Schemas:
    """Skips where the reference folder is absent."""
    return Schemas(shared / "datex2" / "schemas")
