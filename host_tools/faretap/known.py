"""Which validator a person last confirmed at a port, so as not to be asked at each command.

One serial a port, for a shift: at the desk of a depot one cable meets validator after validator,
and a memory of all of them would sign for whichever a rogue one claims to be. The next validator
at the port takes the place of the one before.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import serial.tools.list_ports

from faretap import address
from faretap.bounded import loads
from faretap.errors import FaretapError
from faretap.reading import read_text
from faretap.shown import as_json
from faretap.writing import make_folder, write_text

VARIABLE = "FARETAP_KNOWN"
SHIFT_S = 12 * 3600
_MOST = 1 << 16  # bytes
_PORTS = 200  # the latest


def file() -> Path:
    """FARETAP_KNOWN, else in the user's own state folder."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "faretap" / "known.json"


def identity(port: str) -> str:
    """What a port is, whatever it is called today: an address; or a cable by its place and its
    own serial number."""
    if address.kind(port) in address.REMOTE:
        return address.normal(port).partition("?")[0]
    real = os.path.realpath(port)
    for found in serial.tools.list_ports.comports():
        if os.path.realpath(found.device) == real and found.vid is not None:
            return (
                f"usb {found.vid:04x}:{found.pid or 0:04x} {found.serial_number} {found.location}"
            )
    return real


def _ours(path: Path) -> bool:
    """Nobody else could have written it: who can, names the validator that a key signs for."""
    if os.name == "nt":
        return True
    facts = path.stat()
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def recall(port: str, now: float | None = None) -> str:
    """The serial confirmed at `port` within the last shift, or ""."""
    at = time.time() if now is None else now
    for entry in _entries():
        confirmed = entry.get("at")
        if entry.get("port") == identity(port) and isinstance(confirmed, int):
            # A clock that goes back opens nothing.
            fresh = 0 <= at - confirmed < SHIFT_S
            return str(entry.get("serial", "")) if fresh else ""
    return ""


def remember(port: str, serial_number: str, now: float | None = None) -> None:
    """A memory that cannot be written is none: the next command asks again."""
    at = int(time.time() if now is None else now)
    mine = identity(port)
    others = [entry for entry in _entries() if entry.get("port") != mine]
    kept = [*others, {"port": mine, "serial": serial_number, "at": at}][-_PORTS:]
    try:
        path = file()
        make_folder(path.parent)
        write_text(path, as_json(kept) + "\n", secret=True, durable=False)
    except (FaretapError, OSError, RuntimeError):  # the last: nobody has a home here
        return


def _entries() -> list[dict[str, Any]]:
    try:
        path = file()
        found = loads(read_text(path, _MOST), _MOST) if _ours(path) else []
    except (FaretapError, OSError, ValueError, RuntimeError):
        return []
    if not isinstance(found, list):
        return []
    return [entry for entry in found if isinstance(entry, dict)]
