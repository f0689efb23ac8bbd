"""Who uses which device: locks between processes, on the device and not on its name.

Two racks, two users, or a rack and a single test that claim one port conflict here, with a
sentence that says who has it. A lock ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from faretap import address
from faretap.errors import PortError
from faretap.rack.file import RackError

VARIABLE = "FARETAP_LOCKS"
LOOK = "a look at who is there"  # a holder that is gone in a moment
_LOOK_S = 5.0
_AGAIN_S = 0.05


class Held(RackError):
    """Somebody else uses the device. `holder` says who."""

    def __init__(self, what: str, holder: str) -> None:
        super().__init__(f"{what} is in use by {holder}.", "Wait for that, or stop it.")
        self.holder = holder


def lock_folder() -> Path:
    """Shared by all users of this machine; FARETAP_LOCKS names another one."""
    chosen = os.environ.get(VARIABLE)
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / "faretap-locks"
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    except OSError as e:
        if not folder.is_dir():
            raise RackError(
                f"The folder of locks {folder} cannot be made: {e.strerror}.",
                f"Name another one in {VARIABLE}.",
            ) from e
    return folder


def device_of(port: str) -> str:
    """The same text for every name of the same device: links, host names, letter case."""
    if address.kind(port) not in address.REMOTE:
        return os.path.realpath(port) if os.sep in port else port.upper()
    try:
        host, number = address.host_and_number(port)
    except PortError:
        return port
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, UnicodeError):
            host = str(socket.getaddrinfo(host, None, family)[0][4][0])
            break
    # ::1 is this machine as 127.0.0.1 is.
    return f"{'127.0.0.1' if host == '::1' else host.lower()}:{number}"


class Claim:
    """Locks on some devices, all or none: {device: what it is called in messages}.

    Held at once if somebody has one of them, or after `wait` seconds; a look is waited for anyway.
    """

    def __init__(self, devices: dict[str, str], holder: str, wait: float = 0.0) -> None:
        self._files: list[int] = []
        begun = time.monotonic()
        while True:
            try:
                self._take(devices, holder)
                return
            except Held as e:
                patience = wait
                if e.holder.startswith(LOOK) and holder != LOOK:
                    patience = max(wait, _LOOK_S)
                if time.monotonic() - begun >= patience:
                    raise
            time.sleep(_AGAIN_S)

    def _take(self, devices: dict[str, str], holder: str) -> None:
        folder = lock_folder()
        try:
            # In one order everywhere, so that two that want the same do not each get half; a slot
            # before what hangs on it, as it says more.
            for device in sorted(devices, key=lambda d: (not d.startswith("slot "), d)):
                self._files.append(_lock(folder, device, devices[device], holder))
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        for file in self._files:
            os.close(file)
        self._files.clear()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder_of(devices: Iterable[str]) -> str | None:
    """Who uses one of them now; None if nobody does."""
    for device in devices:
        try:
            Claim({device: device}, LOOK).release()
        except Held as e:
            return e.holder
    return None


def _lock(folder: Path, device: str, what: str, holder: str) -> int:
    path = folder / (hashlib.sha256(device.encode()).hexdigest()[:24] + ".lock")
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(file, 4096, 0)
        os.close(file)
        try:
            found = json.loads(text)
            who = f"{found['holder']} (process {found['process']})"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        raise Held(what, who) from None
    note = {"device": device, "holder": holder, "process": os.getpid()}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(note).encode(), 0)
    return file


def _only(file: int) -> int:
    """A note is written into it: so it must be no other file's name as well, and no pipe."""
    facts = os.fstat(file)
    if facts.st_nlink > 1 or not stat.S_ISREG(facts.st_mode):
        os.close(file)
        raise OSError(errno.EPERM, "it is no lock")
    return file


def _open(path: Path) -> int:
    """Of any user, and no link that somebody put there."""
    try:
        try:
            # Without O_CREAT first: Linux lets nobody "create" another's file in such a folder.
            return _only(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))
        except FileNotFoundError:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_CREAT, 0o666)
            with contextlib.suppress(OSError):
                os.fchmod(file, 0o666)
            return file
    except OSError as e:
        raise RackError(
            f"The lock {path} cannot be opened: {e.strerror}.",
            f"Name another folder of locks in {VARIABLE}.",
        ) from e
