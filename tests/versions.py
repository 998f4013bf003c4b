"""The OCPI versions that a test runs over."""

from __future__ import annotations

import pytest

VERSIONS = ["2.1.1", "2.2.1", "2.3.0"]
FROM_221 = VERSIONS[1:]
each = pytest.mark.parametrize("version", VERSIONS)
from_2_2_1 = pytest.mark.parametrize("version", FROM_221)
