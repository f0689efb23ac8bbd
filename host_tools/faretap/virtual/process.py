"""A virtual validator as a process: in the foreground, or as a child that dies with its parent."""

from __future__ import annotations

import argparse
import asyncio
import os
import selectors
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

from faretap.address import bracketed, host_port
from faretap.reading import STATE, FileError, read_json

from .bench import BenchClient
from .board import BoardError, VirtualBoard
from .chip import HEAP
from .flash import SIZE

_READY = "listening on "
_START_S = 20.0


def run_foreground(
    state: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    heap: int = HEAP,
    unpaced: bool = False,
    flash_size: int = SIZE,
    with_stdin: bool = False,
) -> None:
    """Run a board until SIGTERM or Ctrl-C; prints one line when its port is open.

    `with_stdin`: also end when standard input does, which ties it to the process that holds the
    other end. Raises BoardError if it cannot start.
    """
    board = VirtualBoard(state, (host, port), heap=heap, unpaced=unpaced, flash_size=flash_size)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(board.run(lambda url: print(_READY + url, flush=True)))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        if with_stdin:

            def readable() -> None:
                if not os.read(0, 4096):
                    task.cancel()

            loop.add_reader(0, readable)
        try:
            await task
        except asyncio.CancelledError:
            pass

    # select() takes timeouts in microseconds, epoll in milliseconds, which is ten bytes at
    # 115200 baud.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


class VirtualProcess:
    """A running child. `port_url` is its serial port; `bench()` a fresh bench connection."""

    def __init__(self, process: subprocess.Popen[str], port_url: str, state: Path) -> None:
        self._process = process
        self.port_url = port_url
        self.state = state

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def serial(self) -> str:
        return serial_of(self.state)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def bench(self) -> BenchClient:
        return BenchClient(self.port_url)

    def stop(self) -> None:
        """End it and wait until it is gone; harmless if it is gone already."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> VirtualProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.stop()


def serial_of(state: Path) -> str:
    """The serial number of the validator in that folder; "" if it was never started."""
    try:
        return str(read_json(state / "board.json", STATE)["mac"]).replace(":", "")
    except (FileError, KeyError, TypeError):
        return ""


def spawn(
    state: Path,
    *,
    heap: int = HEAP,
    unpaced: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    flash_size: int = SIZE,
) -> VirtualProcess:
    """Start a virtual validator whose folder is `state`, and wait until its port is open.

    Its power is on when this returns. Raises BoardError with the child's own sentence.
    """
    command = [sys.executable, "-m", "faretap.virtual", "--state", str(state)]
    command += ["--listen", f"{bracketed(host)}:{port}", "--heap", str(heap)]
    command += ["--flash-size", str(flash_size), "--with-stdin"]
    if unpaced:
        command.append("--unpaced")
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C at the terminal is for the parent, which then stops the child in good order.
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    watchdog = threading.Timer(_START_S, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    if not line.startswith(_READY):
        _, errors = process.communicate()
        last = errors.strip().splitlines()[-1:] or ["The virtual validator did not start."]
        raise BoardError(last[0])
    # Nobody reads the child's complaints from here on; a full pipe must not stop it.
    threading.Thread(target=_drain, args=(process,), daemon=True).start()
    return VirtualProcess(process, line[len(_READY) :].strip(), state)


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    try:
        for line in process.stderr:
            sys.stderr.write(line)
    except ValueError:
        pass  # closed by stop()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m faretap.virtual", description="Run a virtual validator on a TCP port."
    )
    parser.add_argument("--state", type=Path, required=True, help="folder of the board")
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT, port 0 for any")
    parser.add_argument("--heap", type=int, default=HEAP, help="heap of the chip, bytes")
    parser.add_argument("--unpaced", action="store_true", help="bytes take no time")
    parser.add_argument("--flash-size", type=int, default=SIZE, help="bytes")
    parser.add_argument("--with-stdin", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    found = host_port(options.listen)
    if found is None or not found[0]:
        parser.error(f"--listen {options.listen}: HOST:PORT is wanted, such as 127.0.0.1:4000")
    try:
        run_foreground(
            options.state,
            host=found[0],
            port=found[1],
            heap=options.heap,
            unpaced=options.unpaced,
            flash_size=options.flash_size,
            with_stdin=options.with_stdin,
        )
    except BoardError as e:
        print(e, file=sys.stderr)
        return 1
    return 0
