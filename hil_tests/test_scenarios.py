"""The scenarios that ship, in their short forms, on whatever the rack has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faretap.rack.results import Run
from faretap.rack.scenario import shipped
from faretap.rack.scenario.file import SUFFIX
from faretap.testing.hooks import summary


@pytest.mark.parametrize(
    "path", shipped(), ids=[path.name.removesuffix(SUFFIX) for path in shipped()]
)
def test_in_short(path: Path, play: Callable[..., Run]) -> None:
    run = play(path, short=True)
    assert run.ok, summary(run)
    assert run.taps and all(slot.hash for slot in run.slots)
