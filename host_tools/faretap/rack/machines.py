"""What stands behind a slot: a device with a port of its own, a virtual board, an emulator."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from faretap.rack.emulator import EmulatorProcess
from faretap.rack.file import RackError, SlotSpec
from faretap.rack.lines import WireBench, at_once
from faretap.rack.ports import Ask, Plugged, find
from faretap.rack.power import NoSupply, PowerError, supply_of
from faretap.rack.scratch import Scratch
from faretap.session import NotReady, Session, connect
from faretap.virtual import BenchError, BoardError, VirtualProcess, spawn
from faretap.writing import make_folder, write_bytes

_LOOK_S = 0.5  # between looks whether it runs at all


class Machine(Protocol):
    """`start` makes it be there with its power on; `stop` is hard and bounded."""

    flash: Path | None

    def start(self) -> None: ...
    def locate(self, wait: float) -> str: ...
    def connect(self, wait: float) -> contextlib.AbstractContextManager[Session]: ...
    def switch(self, on: bool) -> None: ...
    def stop(self) -> None: ...


class Device:
    """A validator on a cable, or at the far end of a network."""

    flash: Path | None = None

    def __init__(self, spec: SlotSpec, who: Ask) -> None:
        self._spec = spec
        self._who = who
        self._supply = supply_of(spec)
        self._seen: Plugged | None = None
        self._bench: WireBench | None = None
        self._port = ""

    def start(self) -> None:
        if not isinstance(self._supply, NoSupply):
            self._supply.switch(True)
        wire = self._spec.wire
        if wire:
            self._bench = WireBench(wire.reader, wire.scanner)

    def locate(self, wait: float) -> str:
        if self._spec.kind in ("rfc2217", "socket"):
            self._port = self._spec.port
        else:
            self._port, self._seen = find(self._spec, self._seen, wait, self._who)
        return self._port

    @contextlib.contextmanager
    def connect(self, wait: float) -> Iterator[Session]:
        with connect(self._port, running=False, serial=told_of(self._spec)) as session:
            at_once(session.link.device)
            if self._bench:
                _play(session, self._bench)
            try:
                _await_running(session, wait)
                yield session
            finally:
                if self._bench:
                    session.bench = None  # it outlives the session

    def switch(self, on: bool) -> None:
        if not self._spec.benched:
            self._supply.switch(on)
            return
        from faretap.virtual.bench import BenchClient

        try:
            with BenchClient(self._spec.port) as bench:
                bench.power(on)
        except BenchError as e:
            raise PowerError(str(e)) from e

    def stop(self) -> None:
        if self._bench:
            self._bench.close()


class VirtualMachine:
    """A virtual board of this process. `fill`: a new one gets the current firmware."""

    def __init__(self, spec: SlotSpec, fill: bool) -> None:
        self._spec = spec
        self._fill = fill
        self._scratch = None if spec.state else Scratch()
        self._folder = _folder(spec, self._scratch)
        self.flash: Path | None = self._folder / "flash.bin"
        self._process: VirtualProcess | None = None

    def start(self) -> None:
        assert self.flash is not None
        if self._fill and not self.flash.exists():
            from faretap.image.whole import whole_flash

            write_bytes(self.flash, whole_flash("VIRTUAL"), RackError, durable=False)
        virtual = self._spec.virtual
        try:
            self._process = spawn(self._folder, unpaced=virtual.unpaced, heap=virtual.heap * 1024)
        except BoardError as e:
            raise RackError(str(e)) from e

    def locate(self, wait: float) -> str:
        if self._process is None or not self._process.running:
            self.stop_process()
            self.start()
        assert self._process is not None
        return self._process.port_url

    @contextlib.contextmanager
    def connect(self, wait: float) -> Iterator[Session]:
        assert self._process is not None
        mine = told_of(self._spec) or self._process.serial
        with connect(self._process.port_url, running=False, serial=mine) as session:
            _await_running(session, wait)
            yield session

    def switch(self, on: bool) -> None:
        assert self._process is not None
        try:
            with self._process.bench() as bench:
                bench.power(on)
        except BenchError as e:
            raise PowerError(str(e)) from e

    def stop_process(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    def stop(self) -> None:
        self.stop_process()
        if self._scratch:
            self._scratch.close()


class EmulatorMachine:
    """An emulator; its link breaks with its power, and its ports are others after that."""

    def __init__(self, spec: SlotSpec) -> None:
        self._spec = spec
        self._scratch = None if spec.state else Scratch()
        self._process = EmulatorProcess(spec, _folder(spec, self._scratch))
        self.flash: Path | None = self._process.flash
        self._bench: WireBench | None = None
        self._begins = False

    def start(self) -> None:
        self._process.start()
        self._begins = True
        ports = {part: self._process.url(uart) for part, uart in _UARTS.items()}
        self._bench = WireBench(
            ports["reader"],
            ports["scanner"],
            opened=lambda part, make: self._process.opened(_UARTS[part], make),
        )

    def locate(self, wait: float) -> str:
        if not self._process.running:
            self.switch(False)
            self.start()
        return self._process.url("uart0") or ""

    @contextlib.contextmanager
    def connect(self, wait: float) -> Iterator[Session]:
        url = self._process.url("uart0") or ""
        with contextlib.ExitStack() as stack:
            opened = self._process.opened(
                "uart0",
                lambda: stack.enter_context(
                    connect(url, running=False, serial=told_of(self._spec))
                ),
            )
            at_once(opened.link.device)
            if self._bench and self._bench.lines:
                _play(opened, self._bench)
            try:
                if self._begins:
                    self._await_hello(opened, wait)
                _await_running(opened, wait)
                self._begins = False
                yield opened
            finally:
                opened.bench = None

    def _await_hello(self, session: Session, wait: float) -> None:
        """Nothing is sent before it: what reaches an emulated UART while nobody reads it may
        block it for good."""
        deadline = time.monotonic() + wait
        while session.wait_for("hello", _LOOK_S) is None and time.monotonic() < deadline:
            self._process.check()
            if session.symptom():
                return

    def switch(self, on: bool) -> None:
        if on:
            if not self._process.running:
                self.start()
            return
        if self._bench:
            self._bench.close()
            self._bench = None
        self._process.kill()

    def stop(self) -> None:
        self.switch(False)
        if self._scratch:
            self._scratch.close()


_UARTS = {"reader": "uart1", "scanner": "uart2"}


def machine_of(spec: SlotSpec, who: Ask, fill: bool) -> Machine:
    """`who` is asked which of several ports is the slot's; `fill`: see VirtualMachine."""
    if spec.kind == "virtual":
        return VirtualMachine(spec, fill)
    if spec.kind == "emulator":
        return EmulatorMachine(spec)
    return Device(spec, who)


def told_of(spec: SlotSpec) -> str:
    """The serial of the validator that the rack file says is there; "" if it does not."""
    return spec.mac or (spec.match.mac if spec.match else None) or ""


def _folder(spec: SlotSpec, scratch: Scratch | None) -> Path:
    if scratch:
        return scratch.path
    assert spec.state is not None
    try:
        make_folder(spec.state, RackError)
    except OSError as e:
        raise RackError(
            f"The folder {spec.state} of the slot {spec.name} cannot be made: {e.strerror}."
        ) from e
    return spec.state


def _await_running(session: Session, wait: float) -> None:
    try:
        session.await_running(wait)
    except NotReady as e:
        text = bytes(session.console[-400:]).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip().isprintable()]
        lines = [line for line in lines if line]
        if not lines:
            raise
        raise NotReady(f"{e.cause} Its last words: {lines[-1][:200]!r}.", e.next_step) from e


def _play(session: Session, bench: Any) -> None:
    session.bench = bench
