"""An ESP32 emulator as a process: started and killed instead of switched on and off."""

from __future__ import annotations

import contextlib
import random
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from faretap.errors import PortError
from faretap.rack.file import RackError, SlotSpec
from faretap.rack.locks import Claim, Held
from faretap.rack.schema import PLACES
from faretap.reading import FLASH, LOG, FileError, read_bytes
from faretap.writing import write_bytes

T = TypeVar("T")

_KEEPER = Path(__file__).with_name("keeper.py")
_RANGE = range(20000, 30000)  # below those that systems give to clients
_LOOK_S = 0.02  # between looks whether a port is open
_END_S = 5.0


class EmulatorError(RackError):
    """The emulator does not run."""


class EmulatorProcess:
    """`folder` keeps the flash file and the emulator's last words. Not running until `start`."""

    def __init__(self, spec: SlotSpec, folder: Path) -> None:
        assert spec.emulator is not None
        self._spec = spec
        self._settings = spec.emulator
        self.flash = folder / "flash.bin"
        self._log = folder / "emulator.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._claims: list[Claim] = []
        self.ports: dict[str, int] = {}

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, uart: str) -> str | None:
        """Where a UART is; None if the command has no place for it."""
        return f"socket://127.0.0.1:{self.ports[uart]}" if uart in self.ports else None

    def prepare(self) -> None:
        """A flash file, if there is none yet."""
        if self.flash.exists():
            return
        if self._settings.flash:
            try:
                data = read_bytes(Path(self._settings.flash), FLASH, EmulatorError)
            except EmulatorError as e:
                raise EmulatorError(
                    f"The flash file of the slot {self._spec.name}: {e.cause}",
                    "Correct emulator.flash in the rack file.",
                ) from e
        else:
            from faretap.image.whole import whole_flash

            given = self._settings.micropython
            data = whole_flash(self._spec.board, Path(given) if given else None)
        write_bytes(self.flash, data, EmulatorError, durable=False)

    def start(self) -> None:
        """Run it, with ports that are free now, see `opened`."""
        self.prepare()
        named = [p for p in PLACES[1:] if f"{{{p}}}" in self._settings.command]
        free, self._claims = _free_ports(len(named))
        self.ports = dict(zip(named, free, strict=True))
        places = {"flash": str(self.flash), **{k: str(v) for k, v in self.ports.items()}}
        command = [
            re.sub(r"\{(\w+)\}", lambda found: places[found[1]], word)
            for word in shlex.split(self._settings.command)
        ]
        if shutil.which(command[0]) is None:
            raise EmulatorError(
                f"There is no program {command[0]} for the slot {self._spec.name}.",
                "Install the emulator, or correct emulator.command in the rack file.",
            )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_KEEPER), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def opened(self, uart: str, open: Callable[[], T]) -> T:
        """What `open` makes of the UART's port, once the emulator listens there.

        It is not knocked at before: each of the sockets takes one connection.
        """
        deadline = time.monotonic() + self._spec.limits.start
        while True:
            try:
                return open()
            except PortError:
                self.check()
                if time.monotonic() > deadline:
                    raise EmulatorError(
                        f"The emulator of the slot {self._spec.name} does not open {{{uart}}} "
                        f"within {self._spec.limits.start:g} s.",
                        "Does its command make it a TCP server that does not wait for a client?",
                    ) from None
            time.sleep(_LOOK_S)

    def check(self) -> None:
        """EmulatorError with its last words if it has ended by itself."""
        status = self._process.poll() if self._process else None
        if status is not None:
            words = self.last_words() or f"status {status}"
            raise EmulatorError(
                f"The emulator of the slot {self._spec.name} ended by itself ({words}).",
                "Try its command by hand.",
            )

    def kill(self) -> None:
        """End it as a power cut does; harmless if it is not running."""
        process, self._process = self._process, None
        for claim in self._claims:
            claim.release()
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # its keeper kills it
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self) -> str:
        try:
            said = read_bytes(self._log, LOG)
        except FileError:
            return ""
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def _free_ports(count: int) -> tuple[list[int], list[Claim]]:
    """Ports that nobody has now, and locks that keep other racks off them until the emulator
    listens and after it."""
    ports: list[int] = []
    claims: list[Claim] = []
    # From anywhere in the range on, so that many that begin at once seldom want the same.
    first = random.randrange(len(_RANGE))
    for at in range(len(_RANGE)):
        if len(ports) == count:
            return ports, claims
        port = _RANGE[(first + at) % len(_RANGE)]
        try:
            claim = Claim({f"127.0.0.1:{port}": f"The TCP port {port}"}, "an emulator")
        except Held:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                claim.release()
                continue
        ports.append(port)
        claims.append(claim)
    for claim in claims:
        claim.release()
    raise EmulatorError("This machine has no free TCP ports for an emulator.")
