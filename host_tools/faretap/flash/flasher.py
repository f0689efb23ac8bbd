"""One pass over a board's flash: MicroPython, partition table, loader, application.

Only what differs is written, found by checksums that the chip computes. NVS, configuration, lists
and journal are not touched, unless all is erased on request, or the board's map has them elsewhere
than the flash has them; losses.py says when that is refused.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import serial
from esp_pylib.errors import FatalError
from esptool.cmds import (
    attach_flash,
    detect_chip,
    detect_flash_size,
    reset_chip,
    run_stub,
    write_flash,
)
from esptool.util import flash_size_bytes

from faretap import address, boards
from faretap.boards import Board
from faretap.errors import FaretapError
from faretap.flash import losses
from faretap.flash.differences import Run, differences, unwritten
from faretap.flash.errors import FlashError, on_connect, on_write
from faretap.flash.port import open_for_flashing
from faretap.flash.quiet import quiet
from faretap.flash.unread import Reader
from faretap.image import variant
from faretap.image.cache import cache_dir
from faretap.image.partitions import TABLE_OFFSET
from faretap.image.whole import Piece, Pieces, build_pieces
from faretap.link.native import BACK_S, number_of, port_of
from faretap.link.port import FAST_BAUD, native_usb
from faretap.reading import FileError
from faretap.writing import append_line, make_folder

ROM_BAUD = 115200
_SLOWER = (230400, ROM_BAUD)  # what an adapter or a long cable may still carry
_PROBE_S = 1.5
_ATTEMPTS = 4  # esptool has four ways to reset a chip into its ROM loader: each once
_LOOK_S = 300.0  # to find out what a flash holds; all sectors of 16 MB take some 60
_WORTH_A_FAST_LINE = 64 * 1024  # bytes; changing the rate costs up to 0.2 s on a remote port

Progress = Callable[[str, int, int], None]
_FAILURES = (FatalError, serial.SerialException, OSError, RuntimeError)


@dataclass(frozen=True)
class PieceReport:
    """A piece at flash address `offset`, and how many of its `size` bytes were written."""

    name: str
    offset: int
    size: int
    written: int


class _TooFast(Exception):  # noqa: N818 - not an error yet
    """The line failed at a raised rate; `error` says how, `erased` whether all is blank."""

    def __init__(self, error: FlashError, erased: bool) -> None:
        self.error = error
        self.erased = erased


@dataclass
class FlashReport:
    """What was done. Times in seconds; `hello` is what `wait_hello` returned.

    `baud` is the rate at which it was written, `dead_bauds` those at which the line failed.
    """

    port: str
    board: str
    chip: str
    mac: str
    flash_size: int
    micropython: str
    micropython_sha256: str
    app_version: str
    app_id: str
    erased: bool
    baud: int = ROM_BAUD
    dead_bauds: list[int] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # partitions whose content another map lost
    unread: int | None = 0  # records among it that nobody had read; None: nobody can say
    pieces: list[PieceReport] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    hello: Any = None

    @property
    def written(self) -> int:
        """Bytes that were written; 0 if the validator had it all."""
        return sum(piece.written for piece in self.pieces)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "written": self.written}


def flash(
    port: str,
    board: Board | str,
    micropython: Path | None = None,
    progress: Progress = lambda what, done, total: None,
    erase: bool = False,
    wait_hello: Callable[[str], Any] | None = None,
    baud: int = FAST_BAUD,
    pieces: Pieces | None = None,
    log: Path | None = None,
    force: bool = False,
) -> FlashReport:
    """Bring the board at `port` to the current images, and start it.

    `micropython` is the official .bin (see `image.micropython.obtain`). `progress(what, done,
    total)` gets what is going on and bytes of the whole. `erase` clears all of the flash first,
    records and configuration included. `wait_hello(port)` is called once the board was reset and
    the port is free again. `baud` is the rate for writing: where the line is dead at it, lower
    ones are tried, down to 115200. `pieces` are images built before, as for a rack of equal
    boards. `log` (JSON lines; default: in the cache folder) gets the report. `force` loses unread
    records, and goes back to an older version.

    Raises FlashError, PortError, ImageError, BoardError: one sentence and the next step.
    """
    clock = _Stopwatch()
    if isinstance(board, str):
        board = boards.load(board)
    progress("building", 0, 0)
    wanted = pieces or build_pieces(board, micropython)
    clock.lap("build")
    progress("asking", 0, 0)
    running = losses.ask(port)
    losses.check_version(port, running, wanted.app.version, force)
    losses.check_erase(port, running, erase, force)
    clock.lap("ask")
    bar = _Bar(progress)
    dead: list[int] = []
    blank = False  # an earlier attempt has erased all
    costs: list[losses.Plan] = []
    brings_map = any(map(_is_table, wanted.pieces))

    def plan(reader: Reader, say: Progress) -> losses.Plan:
        if not blank:
            costs.append(
                losses.plan(port, reader, board, erase, force, running, say, brings_map=brings_map)
            )
        return losses.Plan() if blank else costs[-1]

    with quiet(bar.moved):
        for rate in (baud, *(slower for slower in _SLOWER if slower < baud)):
            bar.say(f"trying {rate} baud: {dead[-1]} failed" if dead else "connecting")
            try:
                with _connected(port, board, min(rate, ROM_BAUD)) as esp:
                    clock.lap("connect")
                    report = _write(
                        esp, port, board, wanted, erase and not blank, rate, bar, clock, plan
                    )
            except _TooFast as e:
                dead.append(rate)
                blank = blank or e.erased
            else:
                report.dead_bauds = dead
                report.erased = report.erased or blank
                break
    report.moved = [part.name for cost in costs for part in cost.moved]
    report.unread = next((cost.unread for cost in costs if cost.unread != 0), 0)
    progress("starting", report.written, report.written)
    clock.lap("reset")
    if wait_hello:
        report.hello = wait_hello(port)
        clock.lap("hello")
    report.seconds = clock.laps
    _note(report, log)
    return report


@contextlib.contextmanager
def _connected(port: str, board: Board, baud: int) -> Iterator[Any]:
    """The running flasher stub of the right kind of chip; the ROM takes any low rate."""
    number = number_of(port) if address.kind(port) == "serial" and native_usb(port) else ""
    device = open_for_flashing(port, baud)
    try:
        try:
            try:
                esp = detect_chip(device, baud, connect_attempts=_ATTEMPTS)
            except (serial.SerialException, OSError):
                if not number:
                    raise
                # A chip's own USB leaves with the program, and the ROM loader's comes, perhaps
                # under another name.
                device.close()
                device = open_for_flashing(_back(number) or port, baud)
                esp = detect_chip(device, baud, connect_attempts=_ATTEMPTS)
        except _FAILURES as e:
            raise on_connect(port, e) from e
        if board.facts.label != esp.CHIP_NAME:
            with contextlib.suppress(*_FAILURES):
                reset_chip(esp)
            raise FlashError(
                f"The chip at {port} is an {esp.CHIP_NAME}, and {board.name} has an "
                f"{board.facts.label}.",
                _fitting(esp.CHIP_NAME),
            )
        try:
            if esp.secure_download_mode or esp.get_flash_encryption_enabled():
                raise FlashError(
                    f"The chip at {port} is locked (secure download or flash encryption).",
                    "Only who locked it can write it.",
                )
            esp = run_stub(esp)
        except _FAILURES as e:
            raise on_connect(port, e) from e
        yield esp
    finally:
        with contextlib.suppress(*_FAILURES):
            device.close()


def _back(number: str) -> str:
    """The name of the port with that USB serial number, waited for; "" if it stays away."""
    deadline = time.monotonic() + BACK_S
    while not (name := port_of(number)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return name


def _write(
    esp: Any,
    port: str,
    board: Board,
    wanted: Pieces,
    erase: bool,
    baud: int,
    bar: _Bar,
    clock: _Stopwatch,
    plan: Callable[[Reader, Progress], losses.Plan],
) -> FlashReport:
    fast = False
    try:
        # A second reset in the middle would leave the chip in its program, not in the ROM loader.
        esp.WRITE_FLASH_ATTEMPTS = 1
        attach_flash(esp)
        size = _flash_size(esp, port, board)
        bar.say("comparing the map")
        chip = _Chip(esp, size)
        cost = plan(chip, bar.show)
        report = FlashReport(
            port=port,
            board=board.name,
            chip=str(esp.get_chip_description()),
            mac=":".join(f"{b:02x}" for b in esp.read_mac("BASE_MAC")),
            flash_size=size,
            micropython=wanted.micropython.version,
            micropython_sha256=wanted.micropython.sha256,
            app_version=str(wanted.app.manifest["version"]),
            app_id=wanted.app.id,
            erased=erase,
        )
        runs: list[Run] = []
        if erase:
            bar.say("erasing")
            esp.erase_flash()
        elif cost.mark:
            write_flash(esp, [(TABLE_OFFSET, cost.mark)])
        for part in cost.moved:
            bar.say(f"erasing {part.name}")
            esp.erase_region(part.offset, part.size)
        # Nothing starts on a map that is not whole yet: its table comes last.
        order = sorted(wanted.pieces, key=lambda piece: bool(cost.mark) and _is_table(piece))
        for piece in order:
            bar.say(f"comparing {piece.name}")
            if erase:
                changed = unwritten(piece.offset, piece.data)
            else:
                changed = differences(piece.offset, piece.data, chip.md5)
            done = sum(len(data) for _, data in changed)
            report.pieces.append(PieceReport(piece.name, piece.offset, len(piece.data), done))
            runs += changed
        clock.lap("erase" if erase else "compare")
        if runs:
            if report.written >= _WORTH_A_FAST_LINE and baud > ROM_BAUD and _has_rate(port):
                fast = True
                _raise_rate(esp, baud)
                report.baud = baud
            bar.start(runs)
            write_flash(esp, runs)
            clock.lap("write")
        reset_chip(esp)
        return report
    except FaretapError:
        with contextlib.suppress(*_FAILURES):
            reset_chip(esp)  # it goes on as it was
        raise
    except _FAILURES as e:
        error = on_write(port, e, bar.done, bar.total)
        if fast and isinstance(e, FatalError | RuntimeError):
            raise _TooFast(error, erase) from e
        raise error from e


def _raise_rate(esp: Any, baud: int) -> None:
    """Another rate, at which the chip has answered. FatalError if it does not, or if the adapter
    or its server does not take the rate."""
    try:
        esp.change_baud(baud)
        esp.read_reg(esp.CHIP_DETECT_MAGIC_REG_ADDR, timeout=_PROBE_S)
    except (serial.SerialException, OSError, ValueError) as e:
        raise FatalError(f"the port does not take {baud} baud ({e})") from e


class _Chip:
    """A chip in its flasher stub, as `losses` looks at it. FatalError from esptool, and where a
    chip takes too long over it all: each answer may come late, and a flash has many sectors."""

    def __init__(self, esp: Any, size: int) -> None:
        self._esp = esp
        self.size = size
        self._until = time.monotonic() + _LOOK_S

    def read(self, address: int, size: int) -> bytes:
        self._in_time()
        return bytes(self._esp.read_flash(address, size))

    def md5(self, address: int, size: int) -> str:
        self._in_time()
        return str(self._esp.flash_md5sum(address, size)).lower()

    def _in_time(self) -> None:
        if time.monotonic() > self._until:
            raise FatalError(f"what its flash holds is not known after {_LOOK_S:g} s")


def _is_table(piece: Piece) -> bool:
    return piece.offset == TABLE_OFFSET


def _fitting(chip: str, size: int | None = None) -> str:
    """Which boards have that kind of chip, and flash of `size` bytes, as a next step."""
    known = [boards.load(name) for name in boards.names()]
    fitting = [
        b.name for b in known if b.facts.label == chip and (size is None or b.flash_size == size)
    ]
    return f"Take --board {' or '.join(fitting)}." if fitting else "Take another module."


def _flash_size(esp: Any, port: str, board: Board) -> int:
    named = detect_flash_size(esp)
    if named is None:
        raise FlashError(
            f"The flash chip at {port} does not say how large it is.",
            "Check that nothing else hangs on the flash's pins; replace the module if it stays.",
        )
    size = int(flash_size_bytes(named))
    if size < board.flash_size:
        raise FlashError(
            f"The chip at {port} has {size >> 20} MB of flash, and {board.name} needs "
            f"{board.flash_size >> 20} MB.",
            _fitting(esp.CHIP_NAME, size),
        )
    problem = variant.memory_objection(board, list(esp.get_chip_features()))
    if problem:
        raise FlashError(f"The chip at {port} {problem}.", "Take another module.")
    esp.flash_set_parameters(size)
    return size


def _has_rate(port: str) -> bool:
    return address.kind(port) != "socket"


def _note(report: FlashReport, log: Path | None) -> None:
    """Add a line to the flash log; a full disk must not spoil a good flash."""
    path = log or cache_dir() / "flash.jsonl"
    entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **report.as_dict()}
    with contextlib.suppress(FileError):
        make_folder(path.parent)
        append_line(path, json.dumps(entry, default=str))


class _Stopwatch:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


class _Bar:
    """esptool's bar for each run, as one bar over all runs, in bytes of flash."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._ends: list[tuple[int, int]] = []
        self._run = 0
        self.done = 0
        self.total = 0

    def say(self, what: str) -> None:
        self._progress(what, 0, 0)

    def show(self, what: str, done: int, total: int) -> None:
        self._progress(what, done, total)

    def start(self, runs: list[Run]) -> None:
        self._ends, at = [], 0
        for _, data in runs:
            self._ends.append((at, at + len(data)))
            at += len(data)
        self.total = at
        self._progress("writing", 0, at)

    def moved(self, current: int, total: int) -> None:
        """esptool sent `current` of the `total` (compressed) bytes of its current run."""
        if self._run >= len(self._ends):
            return
        start, end = self._ends[self._run]
        self.done = start + (end - start) * current // max(total, 1)
        if current >= total:
            self.done = end
            self._run += 1
        self._progress("writing", self.done, self.total)
