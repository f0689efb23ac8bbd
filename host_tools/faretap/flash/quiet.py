"""esptool without its own words: its log goes to `logging`, its progress bar to a function."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from esp_pylib.logger import EspLog, EspLogBase

_log = logging.getLogger("faretap.esptool")


class _Quiet(EspLogBase):  # type: ignore[misc]
    """`on_bar(current, total)` is called as each of esptool's own progress bars moves."""

    def __init__(self, on_bar: Callable[[int, int], None]) -> None:
        self._on_bar = on_bar

    def print(self, *args: Any, **kwargs: Any) -> None:
        _log.debug("%s", " ".join(str(a) for a in args).strip())

    def note(self, *args: Any) -> None:
        self.print(*args)

    def hint(self, *args: Any) -> None:
        self.print(*args)

    def debug(self, *args: Any) -> None:
        self.print(*args)

    def warn(self, *args: Any, suggestion: str | None = None) -> None:
        _log.info("%s", " ".join(str(a) for a in args))

    def err(self, *args: Any, suggestion: str | None = None) -> None:
        _log.info("%s", " ".join(str(a) for a in args))

    warning = warn
    error = err

    def set_verbosity(self, mode: int | str) -> None:
        pass

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        self._on_bar(cur_iter, total_iters)


@contextlib.contextmanager
def quiet(on_bar: Callable[[int, int], None]) -> Iterator[None]:
    """esptool is quiet inside, and as it was afterwards."""
    before = EspLog.instance
    EspLog.set_logger(_Quiet(on_bar))
    try:
        yield
    finally:
        EspLog.instance = before
