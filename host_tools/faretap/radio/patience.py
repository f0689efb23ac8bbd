"""nfcpy's serial line, with waits that can be ended from outside.

nfcpy reads with one long time limit. A card that is presented until somebody has had enough needs
one that looks up now and then; only when bytes are there nfcpy gets to read them, so that no frame
is torn in two.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
from collections.abc import Iterator
from typing import Any

_LOOK = 0.05  # seconds between looks at `enough`
_POLL = 0.002  # where a port cannot be waited for


class Patient:
    """In place of nfcpy's transport. Inside `heeding`, a read ends with ETIMEDOUT once `enough` is
    set, which makes nfcpy take the command back; everything else is the transport's."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.enough = threading.Event()
        self._heeds = False

    @contextlib.contextmanager
    def heeding(self) -> Iterator[None]:
        self._heeds = True
        try:
            yield
        finally:
            self._heeds = False

    def read(self, timeout: int) -> Any:
        """A frame, within `timeout` ms."""
        deadline = time.monotonic() + timeout / 1000
        while not self._ready(min(_LOOK, max(0.0, deadline - time.monotonic()))):
            if self._heeds and self.enough.is_set() or time.monotonic() >= deadline:
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return self._transport.read(100)

    def _ready(self, seconds: float) -> bool:
        port = self._transport.tty
        try:
            descriptor = port.fileno()
        except (AttributeError, OSError, ValueError):
            end = time.monotonic() + seconds
            while not port.in_waiting:
                if time.monotonic() >= end:
                    return False
                time.sleep(_POLL)
            return True
        return bool(select.select([descriptor], [], [], seconds)[0])

    # nfcpy sets some of these on its way out.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def baudrate(self) -> int:
        return int(self._transport.baudrate)

    @baudrate.setter
    def baudrate(self, value: int) -> None:
        self._transport.baudrate = value
