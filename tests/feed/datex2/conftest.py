"""The official schemas, where they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ocpi_nap.feed.publications import FORMS
from ocpi_nap.store.database import Database
from tests.feed.conftest import serving
from tests.feed.datex2.support import Schemas


@pytest.fixture(scope="session")
def schemas(shared: Path) -> Schemas:
    """Skips where the reference folder is absent."""
    return Schemas(shared / "datex2" / "schemas")


@pytest.fixture
async def app(database: Database, tmp_path: Path) -> AsyncIterator[Any]:
    """The public API with all publications."""
    async with serving(database, tmp_path, forms=FORMS) as made:
        yield made
