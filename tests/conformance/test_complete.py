"""Every requirement has a test in every version it applies to, and docs/conformance.md says which."""

from __future__ import annotations

import subprocess
import sys

from tests.conformance.page import ROOT


def test_the_page_is_complete_and_current() -> None:
    """Collected in a process of its own: this one may run a part of the tests only."""
    done = subprocess.run([sys.executable, "-m", "tests.conformance", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or done.stdout
