"""Where the tools keep what they can make again, written so that a reader sees all or nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from faretap.reading import FLASH, FileError, read_bytes
from faretap.writing import make_folder, write_bytes


def cache_dir() -> Path:
    """The user's cache folder for Faretap. FARETAP_CACHE overrides it. It may not exist yet."""
    chosen = os.environ.get("FARETAP_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "faretap"


def write_whole(path: Path, data: bytes) -> bool:
    """Put `data` at `path` by a rename. False if the place cannot be written: a cache may fail."""
    try:
        make_folder(path.parent)
        write_bytes(path, data, durable=False)
    except FileError:
        return False
    return True


def kept_bytes(path: Path) -> bytes:
    """What a cache has there; nothing, if it has not."""
    try:
        return read_bytes(path, FLASH)
    except FileError:
        return b""
