"""For all tests: what pytest itself holds is left out of every collection of garbage.

The firmware collects where a chip has to, thousands of times in these tests, and each collection
would go through the objects of the whole run.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

_last: Path | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Once a file: all that is there before its first test."""
    global _last
    if item.path != _last:
        _last = item.path
        gc.collect()
        gc.freeze()
