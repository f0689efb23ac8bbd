"""Folders for what lives as long as a process, swept up after one that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "faretap-rack-"
_OWNER = "owner"


class Scratch:
    """A new empty folder; `close` removes it. The next one that is made removes those whose
    process did not live to do so."""

    def __init__(self) -> None:
        root = Path(tempfile.gettempdir())
        _sweep(root)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        self._owner = os.open(self.path / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._owner)


def _sweep(root: Path) -> None:
    for folder in root.glob(_PREFIX + "*"):
        # One without the file is just being made.
        with contextlib.suppress(OSError):
            file = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(file)
