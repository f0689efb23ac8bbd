"""A slot in use: its validator locked, powered, known and configured, with hands to tap on it.

with Slot(rack, rack.slot("bus-1")) as slot:
    print(slot.tap("quickpass-debit")["outcome"])
    slot.power.cycle()
    slot.reopen()
"""

from __future__ import annotations

import contextlib
import time
import types
from typing import Any

from faretap.config import bundle, push, samples
from faretap.desk.path import serial_port
from faretap.errors import FaretapError, PortError
from faretap.rack.file import Rack, SlotSpec
from faretap.rack.locks import LOOK, Claim, device_of
from faretap.rack.machines import Machine, machine_of
from faretap.rack.ports import Ask, ask
from faretap.rack.power import Power
from faretap.rack.riders import Riders, SlotError
from faretap.reading import FLASH, read_bytes
from faretap.session import NotReady, Session

_LOOK_S = 0.05  # between looks whether a port is back
_CONSOLE = 256 * 1024  # bytes of console text that are kept


class Slot(Riders):
    """`configure` overrides the rack file's; `changes` are members of the bench configuration
    that are to be others. `force`: also if it is in quarantine, and whatever runs on it.
    `who` is asked which of several ports has the slot's chip."""

    def __init__(
        self,
        rack: Rack,
        spec: SlotSpec,
        *,
        changes: dict[str, Any] | None = None,
        configure: str | None = None,
        force: bool = False,
        who: Ask = ask,
    ) -> None:
        self.rack = rack
        self.spec = spec
        self.name = spec.name
        self.port = ""
        self.identity: dict[str, Any] = {}
        self.events: list[tuple[float, str]] = []  # monotonic time, what the rack did
        self._changes = changes or {}
        self._configure = configure or spec.configure
        self._force = force
        self._ask = who
        self._who = f"the slot {self.name} of the rack {rack.name}"
        self._console = bytearray()
        self._claims = contextlib.ExitStack()
        self._port_claim: tuple[str, Claim] | None = None
        self._connection = contextlib.ExitStack()
        self._machine: Machine | None = None
        self._connected = False
        self._was_there = False
        self.power = Power(self, 0.0 if spec.benched or spec.made else _seconds_off(spec))

    # -- open and close ----------------------------------------------------------------------

    def open(self) -> Slot:
        """Held if somebody uses it, SlotError or another FaretapError if it cannot be used;
        everything is let go then."""
        reason = self.rack.state.quarantined().get(self.name)
        if reason is not None and not self._force:
            raise SlotError(
                self.name,
                f"The slot {self.name} is in quarantine: {reason}",
                f"When that is mended: faretap rack release {self.name}.",
            )
        try:
            self.lock()
            self.start()
            self._connect_or_cycle()
            self._prepare()
        except BaseException:
            self.close()
            raise
        return self

    def _connect_or_cycle(self) -> None:
        """A silent validator is switched off and on, once: what it did before is not known."""
        wait = self.spec.limits.start
        try:
            self._find_and_connect(wait)
        except SlotError:
            if self.spec.power is None:
                raise
            self._note("does not answer: power cycle")
            self._disconnect()
            self.power.cycle()
            self._find_and_connect(wait)

    def lock(self) -> None:
        """Only the locks, as for flashing; `close` gives them back."""
        devices = devices_of(self.rack, self.spec)
        port = device_of(self.spec.port) if self.spec.port else ""
        called = devices.pop(port, "")
        self._claims.enter_context(Claim(devices, self._who))
        if port:
            self._port_claim = (port, Claim({port: called}, self._who))

    def start(self) -> str:
        """Power on, and the port found and locked; the port."""
        self._machine = machine_of(self.spec, self._ask, not self._force)
        self._machine.start()
        self._locate(self.spec.limits.start)
        return self.port

    def look(self, wait: float) -> Slot:
        """Open as it is: nothing is switched, started or configured. For those that are there
        without us; raises as `open` does."""
        self._who = LOOK
        try:
            self.lock()
            self._machine = machine_of(self.spec, self._ask, not self._force)
            self._locate(0.0)
            self._connect(wait)
            self._identify()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Hard and bounded: what was made for the slot is gone afterwards. Never raises."""
        self._close_radio()
        self._disconnect()
        if self._machine:
            with contextlib.suppress(Exception):
                self._machine.stop()
            self._machine = None
        self._release_port()
        self._claims.close()

    def __enter__(self) -> Slot:
        return self.open() if not self._connected else self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def reopen(self, timeout: float | None = None) -> None:
        """The validator ready again after its power was cut, it was reset or unplugged. A port
        that vanished is waited for, and found under another name too. The session stays the same
        object if its link lives."""
        wait = self.spec.limits.start if timeout is None else timeout
        if self._connected and self._link_lives():
            self._keep_console()
            try:
                self.session.await_running(wait)
            except NotReady:
                raise
            except FaretapError:
                self._disconnect()
        if not self._connected:
            self._find_and_connect(wait)
        self._identify()
        self.session.tell_time(always=True)

    def _find_and_connect(self, wait: float) -> None:
        """A port that comes and goes is not there for good when it is first seen; one that has a
        name of its own and nobody behind it is not waited for, unless it was there before."""
        deadline = time.monotonic() + wait
        while True:
            left = max(0.0, deadline - time.monotonic())
            self._locate(left)
            try:
                self._connect(left)
                return
            except PortError:
                if not self._was_there or time.monotonic() >= deadline:
                    raise
            time.sleep(_LOOK_S)

    def _link_lives(self) -> bool:
        before = self.port
        try:
            self.session.link.check()
            assert self._machine is not None
            if self._machine.locate(0.0) == before:
                return True
        except FaretapError:
            pass
        self._disconnect()
        return False

    def _locate(self, wait: float) -> None:
        assert self._machine is not None
        found = self._machine.locate(wait)
        if not self.spec.made:
            self._claim_port(found, wait)
        if self.port and found != self.port:
            self._note(f"found again at {found}")
        self.port = found

    def _claim_port(self, port: str, wait: float) -> None:
        """Its own, or, after cables were exchanged, one that another slot is about to leave."""
        device = device_of(port)
        if self._port_claim and self._port_claim[0] == device:
            return
        self._release_port()
        claim = Claim({device: f"The port {port}"}, self._who, wait if self.port else 0.0)
        self._port_claim = (device, claim)

    def _release_port(self) -> None:
        if self._port_claim:
            self._port_claim[1].release()
            self._port_claim = None

    def _connect(self, wait: float) -> None:
        assert self._machine is not None
        before: Session | None = getattr(self, "session", None)
        try:
            session = self._connection.enter_context(self._machine.connect(wait))
        except NotReady as e:
            raise SlotError(self.name, f"The slot {self.name}: {e.cause}", e.next_step) from e
        if before:
            session.on_text = before.on_text
            session.on_notification = before.on_notification
        self.session = session
        self._connected = self._was_there = True

    def _disconnect(self) -> None:
        if self._connected:
            self._keep_console()
        self._connected = False
        with contextlib.suppress(Exception):
            self._connection.close()
        self._connection = contextlib.ExitStack()

    # -- who it is ---------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._identify()
        self.session.tell_time(always=True)
        if self._configure == "bench":
            self.configure(**self._changes)

    def _identify(self) -> None:
        info = self.session.link.call("info")
        self.identity = info
        if self._force:
            return
        spec = self.spec
        if info.get("mode") == "safe":
            raise SlotError(
                self.name,
                f"The slot {self.name} runs in safe mode: {info.get('why', 'no reason given')}.",
                f"Flash it: faretap rack flash --slot {self.name}.",
            )
        for what, wanted, found in (
            ("board", spec.board, info.get("board")),
            ("serial", spec.mac, info.get("serial")),
        ):
            if wanted is not None and wanted != found:
                raise SlotError(
                    self.name,
                    f"In the slot {self.name} is a validator with {what} {found}, not {wanted}.",
                    "Were two cables exchanged? Correct them, or the rack file.",
                )
        firmware = spec.firmware or self.rack.state.flashed(self.name).get("hash")
        if firmware and firmware != info.get("hash"):
            source = "the rack file says" if spec.firmware else "was flashed"
            raise SlotError(
                self.name,
                f"The slot {self.name} runs the firmware {info.get('hash')}, not {firmware}, "
                f"which {source}.",
                f"Flash it: faretap rack flash --slot {self.name}.",
            )

    def configure(self, **changes: Any) -> None:
        """The bench configuration, with whole members of it changed, in force; not pushed again
        if it is so already."""
        if self.identity.get("life_cycle") == "service":
            raise SlotError(
                self.name,
                f"The validator in the slot {self.name} is in service: the rack does not "
                "configure it.",
                'Write configure = "keep", or take another validator.',
            )
        link = self.session.link
        runs = push.info(link)
        version = changes.setdefault("version", runs["version"] or runs["seen"] + 1)
        wanted = bundle.read(samples.bench_bundle(**changes))
        ours = runs["operator"] == wanted.key_id.hex()
        if ours and wanted.hash == runs["hash"]:
            return
        if version <= runs["seen"]:
            changes["version"] = runs["seen"] + 1
        self.session.forget_notifications()
        if ours:
            push.push(link, samples.bench_bundle(**changes))
        else:
            samples.provision(link, **changes)
        if self.session.wait_for("hello", self.spec.limits.start) is None:
            raise SlotError(
                self.name,
                f"The slot {self.name} did not come back with its configuration within "
                f"{self.spec.limits.start:g} s.",
            )
        self._note("configured")
        self.identity = self.session.link.call("info")

    # -- power, trouble, evidence ------------------------------------------------------------

    def switch(self, on: bool) -> None:
        """What `power` does."""
        assert self._machine is not None
        if not on and self.spec.kind == "emulator":
            self._disconnect()
        self._machine.switch(on)
        self._note("power on" if on else "power off")

    def quarantine(self, reason: str) -> None:
        """Nobody takes the slot any more until it is released."""
        self.rack.state.quarantine(self.name, reason)
        self._note(f"quarantine: {reason}")

    def console(self) -> bytes:
        """Console text since the slot was opened, as far as it is kept."""
        return bytes(self._console) + bytes(self.session.console if self._connected else b"")

    def flash_image(self) -> bytes | None:
        """The flash of a virtual or emulated validator; whole while its power is off."""
        path = self._machine.flash if self._machine else None
        return read_bytes(path, FLASH) if path else None

    def _keep_console(self) -> None:
        """Set aside what the console said, so that it is not taken for what it says now."""
        self._console += self.session.console
        del self._console[:-_CONSOLE]
        self.session.console.clear()

    def _note(self, text: str) -> None:
        self.events.append((time.monotonic(), text))


def _seconds_off(spec: SlotSpec) -> float:
    return spec.power.seconds if spec.power else 0.0


def devices_of(rack: Rack, spec: SlotSpec) -> dict[str, str]:
    """What the slot has for itself, by device, with its name for people."""
    found: dict[str, str] = {}
    if rack.path is not None:
        found[f"slot {rack.path.resolve()} {spec.name}"] = f"The slot {spec.name}"
    if spec.port:
        found[device_of(spec.port)] = f"The port {spec.port}"
    for port in (spec.wire.reader, spec.wire.scanner) if spec.wire else ():
        if port:
            found[device_of(port)] = f"The port {port}"
    if spec.radio:
        found[device_of(serial_port(spec.radio))] = f"The reader {spec.radio}"
    if spec.power and spec.power.hub:
        found[f"hub {spec.power.hub} {spec.power.port}"] = (
            f"Port {spec.power.port} of the hub {spec.power.hub}"
        )
    if spec.state:
        found[f"folder {spec.state.resolve()}"] = f"The folder {spec.state}"
    return found


__all__ = ["Slot", "SlotError", "devices_of"]
