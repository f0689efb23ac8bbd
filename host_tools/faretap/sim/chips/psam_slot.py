"""A PSAM in its slot, byte by byte: ISO/IEC 7816-3 with T=0 at the end of a UART.

    slot = PsamSlot(Psam())
    slot.attach(send, call_later)
    slot.reset(1)          # RST goes high: the answer to reset comes
    slot.receive(b"...")   # what the validator writes, in any slicing

The validator gives the clock (`set_clock`), drives RST (`reset`) and supplies power. A character
is 12 etu long and is not paced unless `paced`; rates that do not agree read as garbage, as on a
wire. The parity bit itself is not on this line: a byte with a wrong one arrives damaged, which is
what a UART makes of it, and a byte that the card could not read is as if it had not been sent.
"""

from __future__ import annotations

from collections.abc import Callable

from ..part import SerialPart
from .faults import Fault, Faults
from .psam import Psam
from .uart import Transmitter, resample, same_rate

CLOCK = 3_571_200  # hertz: 9600 baud at F/D = 372
NULL = 0x60

# ISO 7816-3, tables 7 and 8.
F_TABLE = {0: 372, 1: 372, 2: 558, 3: 744, 4: 1116, 5: 1488, 6: 1860, 9: 512, 10: 768, 11: 1024}
F_TABLE |= {12: 1536, 13: 2048}
D_TABLE = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 64, 8: 12, 9: 20}

FIRST_DIVIDERS = {9600: 372.0, 19200: 186.0, 38400: 93.0, 115200: 31.0}

_ATR_CYCLES = 20_000  # 400 to 40,000 clock cycles after RST
_WAITING_INTEGER = 10

FAULTS = {
    "no_atr": Fault("reset is not answered"),
    "bad_atr": Fault(
        "a damaged answer to reset",
        {"kind": "check"},
        {"kind": ("check", "start", "cut", "noise")},
    ),
    "pps": Fault(
        "the offered rate is not taken", {"kind": "silent"}, {"kind": ("silent", "old", "wrong")}
    ),
    "silent": Fault("a command is not answered, nor is anything before a reset", {"ins": None}),
    "slow": Fault(
        "a command takes long, with or without NULL bytes",
        {"ins": None, "ms": 2500, "nulls": True},
    ),
    "nulls": Fault("so many NULL bytes before the procedure byte", {"ins": None, "count": 3}),
    "procedure": Fault("a procedure byte that is none", {"ins": None, "byte": 0x00}),
    "parity_out": Fault("a byte from the card arrives damaged", {"ins": None, "at_byte": 0}),
    "parity_in": Fault("a byte to the card is lost; `skip` counts bytes"),
    "status": Fault("a status word instead of the answer", {"ins": None, "sw": "6F00"}),
    "short": Fault("the answer ends too early", {"ins": None, "size": 1}),
    "removed": Fault(
        "the module is pulled out, after so many bytes of a command's TPDU and its answer; `skip` "
        "counts commands",
        {"at_byte": 0},
    ),
}


class PsamSlot(SerialPart):
    """`psam` in a slot; None is an empty one.

    `ta1` is TA1 of the answer to reset (None: 372/1 only), `inverse` the inverse convention,
    `single` acknowledges one byte after the other, `check` has T=1 on offer as well, so that the
    answer to reset ends with TCK. `seconds` a command takes with MACs in it. `echo`: the line
    is one wire, so that the validator hears itself. `first_baud` is the rate of the answer to
    reset: 9600 as ISO 7816-3 has it, or 38400 as many are made, with nothing in it that says so.
    """

    def __init__(
        self,
        psam: Psam | None = None,
        *,
        ta1: int | None = 0x13,
        inverse: bool = False,
        single: bool = False,
        check: bool = False,
        historical: bytes = b"FARETAP",
        seconds: float = 0.02,
        echo: bool = True,
        paced: bool = False,
        first_baud: int = 9600,
    ) -> None:
        super().__init__()
        if first_baud not in FIRST_DIVIDERS:
            raise ValueError(f"no PSAM answers a reset at {first_baud} baud")
        if ta1 is not None and (ta1 >> 4 not in F_TABLE or ta1 & 0x0F not in D_TABLE):
            raise ValueError(f"TA1 {ta1:02x} names no rate")
        self.psam = psam
        self.ta1 = ta1
        self.inverse = inverse
        self.single = single
        self.seconds = seconds
        self.echo = echo
        self.paced = paced
        self.clock = CLOCK
        self.faults = Faults(FAULTS)
        self.present = psam is not None
        self.resets = 0
        self.unread = 0  # bytes that came while the card could not listen
        self._check = check
        self._historical = historical
        self._level = 0
        self._first_divider = FIRST_DIVIDERS[first_baud]
        self._divider = self._first_divider
        self._epoch = 0
        self._tx = Transmitter(self._put, self._later, lambda: round(self.baud))
        self._silence()

    # Lines

    @property
    def baud(self) -> int:
        """The card's rate now: its clock by F/D."""
        return round(self.clock / self._divider)

    def set_clock(self, hertz: int) -> None:
        """The clock's frequency; 0 stops it, and the card with it."""
        self.clock = hertz
        if not hertz:
            self._silence()

    def power(self, on: bool) -> None:
        super().power(on)
        self._silence()
        if on and self._level:
            self._start()

    def reset(self, level: int) -> None:
        """RST: the card is quiet while it is low and answers when it goes high."""
        rises = level and not self._level
        self._level = 1 if level else 0
        if not level:
            self._silence()
        elif rises:
            self._start()

    def insert(self, psam: Psam) -> None:
        self.psam = psam
        self.present = True
        self._silence()

    def remove(self) -> None:
        """Pulled out, at any moment."""
        self.present = False
        self._silence()

    def _silence(self) -> None:
        self._epoch += 1
        self._divider = self._first_divider
        self._tx.clear()
        self._await: Callable[[int], None] | None = None
        self._buffer = bytearray()
        self._removal: int | None = None
        if self.psam is not None:
            self.psam.reset()

    # Answer to reset, protocol and parameters selection

    @property
    def atr(self) -> bytes:
        """TS, T0, TA1, TD1 and TD2 where there are several protocols, historical bytes, TCK."""
        presence = (0x10 if self.ta1 is not None else 0) | (0x80 if self._check else 0)
        body = bytes([presence | len(self._historical)])
        if self.ta1 is not None:
            body += bytes([self.ta1])
        if self._check:
            body += bytes([0x80, 0x01])  # TD1: T=0, TD2 follows; TD2: T=1
        body += self._historical
        if self._check:
            body += bytes([_xor(body)])
        return (b"\x3f" if self.inverse else b"\x3b") + body

    def _start(self) -> None:
        if not (self.powered and self.present and self.clock):
            return
        self._silence()
        self.resets += 1
        if self.faults.take("no_atr"):
            return
        atr = self.atr
        fault = self.faults.take("bad_atr")
        if fault:
            at = len(atr) - 1
            atr = {
                "check": atr[:at] + bytes([atr[at] ^ 0x01]),
                "start": b"\x55" + atr[1:],
                "cut": atr[: len(atr) // 2],
                "noise": bytes((byte * 37 + 11) & 0xFF for byte in atr),
            }[fault["kind"]]
        self._buffer.clear()
        self._await = self._first_byte
        self._later(_ATR_CYCLES / self.clock, lambda: self._write(atr))

    def _first_byte(self, byte: int) -> None:
        """Behind the answer to reset: FF begins a PPS, anything else is a CLA."""
        self._await = self._pps if byte == 0xFF else self._header
        self._await(byte)

    def _pps(self, byte: int) -> None:
        buffer = self._buffer
        buffer.append(byte)
        if len(buffer) < 2:
            return
        size = 3 + bin(buffer[1] >> 4 & 0x07).count("1")
        if len(buffer) < size:
            return
        request = bytes(buffer)
        buffer.clear()
        self._await = self._header
        fault = self.faults.take("pps")
        # Of a request that is damaged or asks for what is not on offer, the card says nothing.
        if _xor(request) or request[1] & 0x0F not in ((0, 1) if self._check else (0,)):
            self._await = None
            return
        if fault and fault["kind"] == "silent":
            self._await = None
            return
        rate = request[2] if request[1] & 0x10 else 0x11
        refused = rate not in (0x11, 0x01, self.ta1) or (fault and fault["kind"] == "old")
        if refused:
            # ISO 7816-3, 9.3: an answer without PPS1 keeps the default rate.
            answer = bytes([0xFF, request[1] & 0x0F])
            self._write(answer + bytes([_xor(answer)]))
            return
        answer = request
        if fault:
            answer = request[:-1] + bytes([request[-1] ^ 0x40])
        divider = F_TABLE[rate >> 4] / D_TABLE[rate & 0x0F]

        def switch() -> None:
            self._divider = divider

        self._write(answer, switch)

    # Commands

    def _header(self, byte: int) -> None:
        buffer = self._buffer
        buffer.append(byte)
        if len(buffer) == 1:
            self._arm_removal()
        if len(buffer) < 5:
            return
        ins, p3 = buffer[1], buffer[4]
        self._await = None
        if self.faults.take("silent", ins=ins):
            self._silence()
            return
        odd = self.faults.take("procedure", ins=ins)
        if odd:
            self._write(bytes([odd["byte"]]))
            self._command()
            return
        nulls = self.faults.take("nulls", ins=ins)
        if nulls:
            self._write(bytes([NULL]) * nulls["count"])
        if ins & 0xF0 in (0x60, 0x90):  # not an instruction of T=0
            self._answer(b"\x6d\x00")
        elif _brings_data(ins) and p3:
            self._acknowledge(ins)
        else:
            self._work()

    def _acknowledge(self, ins: int) -> None:
        self._await = self._data
        self._write(bytes([ins ^ 0xFF if self.single else ins]))

    def _data(self, byte: int) -> None:
        buffer = self._buffer
        buffer.append(byte)
        if len(buffer) == 5 + buffer[4]:
            self._await = None
            self._work()
        elif self.single:
            self._acknowledge(buffer[1])

    def _work(self) -> None:
        """The whole command is here. What the module does, it does now; what it says, later."""
        assert self.psam is not None
        command = bytes(self._buffer)
        ins = command[1]
        # A T=0 header without data is case 1 when P3 says nothing: APDU without Le.
        apdu = command[:4] if _brings_data(ins) and not command[4] else command
        answer = self.psam.apdu(apdu)
        status = self.faults.take("status", ins=ins)
        if status:
            answer = bytes.fromhex(status["sw"])
        short = self.faults.take("short", ins=ins)
        slow = self.faults.take("slow", ins=ins)
        seconds = self.seconds if ins in (0x70, 0x72) else self.seconds / 10
        if slow:
            seconds = slow["ms"] / 1000
            if slow["nulls"]:
                self._keep_alive(seconds)

        def done() -> None:
            data = answer[:-2]
            if data and self.single:
                head = b"".join(bytes([ins ^ 0xFF, byte]) for byte in data)
            else:
                head = bytes([ins]) + data if data else b""
            whole = head + answer[-2:]
            self._answer(whole[: short["size"]] if short else whole)

        self._later(seconds, done)

    def _keep_alive(self, seconds: float) -> None:
        """NULL bytes often enough for the work waiting time (960 * WI etu at F/D)."""
        waiting = 960 * _WAITING_INTEGER * 372 / self.clock
        at = waiting / 2
        while at < seconds:
            self._later(at, lambda: self._write(bytes([NULL])))
            at += waiting / 2

    def _answer(self, data: bytes) -> None:
        damage = self.faults.take("parity_out", ins=self._buffer[1])
        if damage:
            at = min(damage["at_byte"], len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        self._write(data, self._command)

    def _command(self) -> None:
        self._buffer.clear()
        self._removal = None
        self._await = self._header

    def _arm_removal(self) -> None:
        fault = self.faults.take("removed")
        self._removal = fault["at_byte"] if fault else None
        self._counted(1)

    def _counted(self, count: int) -> int:
        """How many of `count` bytes of this exchange still pass before the module is gone."""
        if self._removal is None:
            return count
        passing = min(count, self._removal)
        self._removal -= count
        if self._removal < 0:
            self.remove()
        return passing

    # The wire

    def receive(self, data: bytes) -> None:
        if self.echo:
            self.send(bytes(data))
        if not (self.powered and self.present and self._level and self.clock):
            return
        for byte in resample(data, self.line_baud, self.baud):
            if self._await is None:
                self.unread += 1
                continue
            if self._buffer and self._removal is not None and not self._counted(1):
                return
            if self.faults.take("parity_in"):
                continue
            self._await(_mirror(byte) if self.inverse else byte)

    def _write(self, data: bytes, then: Callable[[], None] | None = None) -> None:
        data = data[: self._counted(len(data))]
        if self.inverse:
            data = bytes(_mirror(byte) for byte in data)
        if self.paced:
            epoch = self._epoch
            self._tx.write(data)
            seconds = len(data) * 12 / self.baud
            if then is not None:
                call = then
                self.call_later(seconds, lambda: call() if epoch == self._epoch else None)
            return
        if data:
            self._put(data)
        if then is not None and self.present:
            then()

    def _put(self, data: bytes) -> None:
        if self.powered:
            if not same_rate(self.baud, self.line_baud):
                data = resample(data, self.baud, self.line_baud)
            self.send(data)

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        """Unless the card was reset, lost its power or left before."""
        epoch = self._epoch

        def guarded() -> None:
            if epoch == self._epoch:
                function()

        self.call_later(seconds, guarded)


def _brings_data(ins: int) -> bool:
    """T=0 does not say which way the data go: the card knows its instructions."""
    return ins not in (0xB0, 0xB2, 0xC0, 0x84, 0x5C)


def _xor(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


def _mirror(byte: int) -> int:
    """A character of the inverse convention as a UART of the direct one sees it, and back."""
    return int(f"{byte ^ 0xFF:08b}"[::-1], 2)
