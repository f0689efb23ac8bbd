"""What a rack file may say: every table, key, range and default, once.

Errors are made from these classes, as for the configuration: path, value, what would be right.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import Field

from faretap import address, boards
from faretap.config.values import Means, Number, Pattern, Right, Section
from faretap.errors import PortError

PLACES = ("flash", "uart0", "uart1", "uart2")
PLAYED = {"reader": "{uart1}", "scanner": "{uart2}"}  # parts, and the sockets that they hang on

_PORT = (
    "a serial port such as /dev/ttyUSB0 or COM7, rfc2217://HOST:PORT, socket://HOST:PORT, "
    "virtual or virtual:DIR"
)
_MAC = r"([0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}"


class PortName(Right):
    """A port string, as every tool takes it."""

    def __init__(self) -> None:
        super().__init__(_PORT)

    def check(self, value: Any) -> Any:
        if not value or value != value.strip() or not value.isprintable():
            raise ValueError
        kind = address.kind(value)
        if kind in address.REMOTE:
            try:
                address.host_and_number(value)
            except PortError:
                raise ValueError from None
        elif kind not in (address.DEVICE, address.VIRTUAL):
            raise ValueError
        return address.normal(value)


class BoardName(Right):
    def __init__(self) -> None:
        super().__init__("a board: " + ", ".join(boards.names()))

    def check(self, value: Any) -> Any:
        if value not in boards.names():
            raise ValueError
        return value


class Command(Right):
    """A command line; no shell reads it."""

    def __init__(self, words: str = "a command line with its quotes closed") -> None:
        super().__init__(words)

    def check(self, value: Any) -> Any:
        if not shlex.split(value):
            raise ValueError
        return value


class EmulatorCommand(Command):
    def __init__(self) -> None:
        super().__init__("a command line with {flash} and {uart0}, and as the emulator has them "
                         "{uart1} and {uart2}")  # fmt: skip

    def check(self, value: Any) -> Any:
        named = re.findall(r"\{(.*?)\}", super().check(value))
        if not {"flash", "uart0"} <= set(named) <= set(PLACES):
            raise ValueError
        return value


class Mac(Right):
    """Kept as twelve hex digits in lower case, which is a validator's serial."""

    def __init__(self) -> None:
        super().__init__("the chip's MAC address, such as 24:6f:28:00:11:22")

    def check(self, value: Any) -> Any:
        if not re.fullmatch(_MAC, value):
            raise ValueError
        return re.sub("[:-]", "", value).lower()


Name = Annotated[
    str, Pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", "up to 32 letters, digits, '.', '_', '-'")
]
File = Annotated[str, Pattern(r".+", "name of a file, seen from the rack file's folder")]
Folder = Annotated[str, Pattern(r".+", "name of a folder, seen from the rack file's")]
Port = Annotated[str, PortName()]
Hook = Annotated[str, Command()]
Via = Annotated[Literal["link", "wire", "radio"], Right("link, wire or radio")]
Seconds = Annotated[float, Number(0, 3600, "s")]
Hash = Annotated[str, Pattern(r"[0-9a-f]{16}", "the 16 hex digits that `faretap info` shows")]


class Match(Section):
    """Which of the ports that are plugged in it is; every key that is given has to fit."""

    usb_serial: Annotated[
        str | None, Pattern(r".+", "a USB serial number"), Means("The USB device's serial number.")
    ] = None
    location: Annotated[
        str | None,
        Pattern(r"[0-9]+-[0-9.]+(:[0-9.]+)?", "a place on a hub, such as 1-2.3"),
        Means("The place on the hubs, which stays when the device changes."),
    ] = None
    mac: Annotated[
        str | None, Mac(), Means("The chip's MAC address: each port is asked who is there.")
    ] = None


class Virtual(Section):
    """How a virtual validator is run."""

    unpaced: Annotated[bool, Means("Bytes take no time; buffers overflow all the same.")] = False
    heap: Annotated[int, Number(32, 4096, "KB"), Means("What MicroPython has on the chip.")] = 160


class Emulator(Section):
    """An ESP32 emulator: a process instead of a port. UART0 is the link, on UART1 and UART2 the
    bench plays reader chip and scan engine."""

    command: Annotated[
        str,
        EmulatorCommand(),
        Means("Starts it. {flash} is its flash file, {uart0}… are TCP ports that it opens."),
    ]
    flash: Annotated[
        File | None, Means("A merged flash file to start from, which is not written to.")
    ] = None
    micropython: Annotated[
        File | None, Means("MicroPython's official .bin, to make the flash file of.")
    ] = None
    state: Annotated[
        Folder | None, Means("Folder that keeps its flash. Left out: it begins anew each time.")
    ] = None


class Wire(Section):
    """Adapters at the validator's pins, on which the bench plays the parts."""

    reader: Annotated[Port | None, Means("The one at the reader's UART: a PN532.")] = None
    scanner: Annotated[Port | None, Means("The one at the scan engine's UART: a GM65.")] = None


class Power(Section):
    """How its supply is switched: by commands, or by a port of a USB hub (uhubctl)."""

    on: Annotated[Hook | None, Means("Command that switches it on.")] = None
    off: Annotated[Hook | None, Means("Command that switches it off.")] = None
    hub: Annotated[
        str | None,
        Pattern(r"[0-9]+(-[0-9.]+)?", "a hub as uhubctl lists it, such as 1-1"),
        Means("The hub's location."),
    ] = None
    port: Annotated[int | None, Number(1, 32), Means("The hub's port.")] = None
    seconds: Annotated[
        Seconds, Means("How long it stays off in a power cycle, for capacitors to empty.")
    ] = 1.0


class Limits(Section):
    """How long the rack waits for this slot."""

    start: Annotated[Seconds, Means("From power or reset to the first answer.")] = 20.0
    tap: Annotated[Seconds, Means("For one tap.")] = 8.0
    hook: Annotated[Seconds, Means("For a command that switches its power.")] = 30.0
    flash: Annotated[Seconds, Means("For flashing it.")] = 300.0


class SlotTable(Section):
    """One validator."""

    name: Annotated[Name, Means("What it is called in reports; each name once.")]
    board: Annotated[str, BoardName(), Means("What it is.")]
    port: Annotated[Port | None, Means("Where it is.")] = None
    match: Annotated[Match | None, Means("Where it is, when names of ports change.")] = None
    emulator: Annotated[Emulator | None, Means("It is an emulator.")] = None
    virtual: Annotated[Virtual | None, Means("How a virtual one is run.")] = None
    present: Annotated[
        list[Via] | None,
        Field(min_length=1),
        Means("How riders come to it. Left out: all that its kind and its tables allow."),
    ] = None
    wire: Annotated[Wire | None, Means("Adapters for `wire`.")] = None
    radio: Annotated[
        str | None,
        Pattern(
            r"[a-z]+:.+|/.+|COM[0-9]+(:[a-z0-9]+)?",
            "an nfcpy path, such as tty:USB1:pn532",
        ),
        Means("The reader on its antenna that plays cards."),
    ] = None
    power: Annotated[Power | None, Means("How its supply is switched.")] = None
    configure: Annotated[
        Literal["bench", "keep"] | None,
        Right("bench or keep"),
        Means("bench: it is given the bench configuration. keep: it keeps what it has. "
              "Left out: bench for virtual and emulated ones, keep for all others."),
    ] = None  # fmt: skip
    mac: Annotated[str | None, Mac(), Means("The MAC address that it has to have.")] = None
    firmware: Annotated[
        Hash | None,
        Means("The firmware that it has to run. Left out: what the rack last flashed."),
    ] = None
    limits: Annotated[Limits, Means("How long the rack waits.")] = Limits()


class RackTable(Section):
    """The whole file."""

    format: Annotated[Literal[1], Right("1"), Means("Of this file.")] = 1
    name: Annotated[Name | None, Means("What the rack is called. Left out: the file's.")] = None
    slot: Annotated[list[SlotTable], Field(min_length=1), Means("The validators.")]
