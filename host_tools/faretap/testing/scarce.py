"""Memory that runs out, anywhere: an error at the n-th call that some of the firmware makes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_FIRMWARE = Path(__file__).parents[3] / "firmware/validator"
HERE = tuple(str(_FIRMWARE / name) for name in ("media", "emv"))
OURS = "out_of_service"


class Scarce:
    """Within it the `at`-th call raises `error`; `calls` counts them."""

    def __init__(self, at: int, error: type[Exception] = MemoryError) -> None:
        self.at = at
        self.error = error
        self.calls = 0

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(HERE):
            self.calls += 1
            if self.calls == self.at:
                raise self.error

    def __enter__(self) -> Scarce:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *args: object) -> None:
        sys.setprofile(None)


def run(at: int, tap: Callable[[], Any], error: type[Exception] = MemoryError) -> tuple[Any, int]:
    """The result, or None if the error came out (`Taps` takes it), and how many calls there were.

    What blames the rider is a failure of the test."""
    scarce = Scarce(at, error)
    result = None
    try:
        with scarce:
            result = tap()
    except error:
        pass
    if result is not None and result.outcome != "accepted":
        assert result.reason in (OURS, "storage_full"), (at, result, result.detail)
    return result, scarce.calls
