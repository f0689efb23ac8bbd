"""A GM65-class scan engine on its UART: settings protocol, triggers, codes as raw bytes.

    engine = Gm65()
    engine.attach(send, call_later)
    engine.receive(bytes.fromhex("7E000801000202ABCD"))
    engine.scan(codes.make("mot"))

A settings frame is `7E 00 type length address(2) data check(2)`, the reply `02 00 00 length data
check`; the check is CRC-16/XMODEM over everything between head and check, AB CD asks for none.
Wrong checks and unknown types get no reply. Facts are from the GM65 user manual (zone bits,
appendix A) and from dumps of real modules; docs/simulators.md lists the zones.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections import deque
from collections.abc import Callable

from ..part import SerialPart
from .uart import Transmitter, resample

READ, WRITE, SAVE, HEARTBEAT = 0x07, 0x08, 0x09, 0x0A
NO_CHECK = b"\xab\xcd"

MODE, TRIGGER, INTERVAL, READ_TIME, OUTPUT, SAME_CODE = 0x00, 0x02, 0x05, 0x06, 0x0D, 0x13
BAUD, TAIL, RAW_MODE, SPECIAL, VERSION = 0x2A, 0x60, 0xBC, 0xD9, 0xE2
MANUAL, COMMAND, CONTINUOUS, INDUCTION = range(4)

REPLY_SECONDS = 0.003
DECODE_SECONDS = 0.040
BOOT_SECONDS = 0.200
GAP_SECONDS = 0.100

_TAILS = (b"\r", b"\r\n", b"\t", b"")
_DIVIDER_CLOCK = 3_000_000  # the baud zones hold this, divided by the rate

# Zones 00 to 61 of a real module as it left the factory: manual trigger, 9600 baud, tail CR.
_FACTORY = bytes.fromhex(
    "D4002000000A32012C00873C01A01C3203008000060000000000000000000000"
    "0002803C000000060000390105640D0D0D010D01048009048005048001048001"
    "0804800804800804800804800801800000000480010100000000048000000300"
    "0100"
)


def factory_zones(version: int) -> bytearray:
    """All 256 zones in factory state."""
    zones = bytearray(256)
    zones[: len(_FACTORY)] = _FACTORY
    zones[VERSION] = version
    return zones


class Gm65(SerialPart):
    """The engine. `time_scale` 1 = its own times, 0 = everything at once.

    With `paced` (the default) bytes leave at line rate, so that a long code takes its time even
    on a carrier that has none. `version` 0x69 is the firmware that spoils binary codes unless
    its raw mode (zone BC = 08) is on.
    """

    def __init__(self, time_scale: float = 1.0, paced: bool = True, version: int = 0x87) -> None:
        super().__init__()
        self.time_scale = time_scale
        self.paced = paced
        self._version = version
        self._flash = factory_zones(version)
        self._user_default = bytes(self._flash)
        self.flash_writes = 0
        self._now: deque[Callable[[], None]] = deque()
        self._draining = False
        self._epoch = 0
        self._start()

    def _start(self) -> None:
        self._epoch += 1
        self.zones = bytearray(self._flash)
        self.baud = self._zone_baud()
        self.asleep = False
        self._ready = True
        self._buffer = bytearray()
        self._gap_generation = 0
        self._triggered = False
        self._trigger_generation = 0
        self._view: bytes | None = None
        self._view_generation = 0
        self._resting = False
        self._blocked: bytes | None = None
        self._blocked_generation = 0
        self._tx = Transmitter(self._put, self._later, lambda: self.baud)

    # What the bench does

    def scan(self, code: bytes, hold: float = 0.0) -> bool:
        """Show a code. True if the engine read it at once.

        With `hold` the code stays in view for so many seconds: a trigger that comes meanwhile
        reads it, and continuous reading reads it again and again, as an engine does.
        """
        self._view_generation += 1
        generation = self._view_generation
        self._view = bytes(code)
        read = self._look()
        if hold > 0:
            self._later(hold, lambda: self._take_away(generation))
        else:
            self._take_away(generation)
        self._drain()
        return read

    def press_trigger(self) -> None:
        """The trigger line (or button) was pulled low."""
        if self._mode in (MANUAL, COMMAND):
            self._trigger()
            self._drain()

    def power(self, on: bool) -> None:
        super().power(on)
        self._start()
        if on:
            self._ready = False
            self._later(BOOT_SECONDS, self._booted)
            self._drain()

    @property
    def scanning(self) -> bool:
        if not self.powered or not self._ready or self.asleep:
            return False
        return self._triggered or self._mode in (CONTINUOUS, INDUCTION)

    # Reading codes

    @property
    def _mode(self) -> int:
        return self.zones[MODE] & 0x03

    def _take_away(self, generation: int) -> None:
        if generation == self._view_generation:
            self._view = None

    def _trigger(self) -> None:
        self._triggered = True
        self._trigger_generation += 1
        generation = self._trigger_generation
        limit = self.zones[READ_TIME] / 10

        def expired() -> None:
            if generation == self._trigger_generation:
                self._stop_reading()

        if limit and self.time_scale:
            self._later(limit, expired)
        self._look()

    def _stop_reading(self) -> None:
        self._triggered = False
        self._trigger_generation += 1
        self.zones[TRIGGER] &= 0xFE

    def _look(self) -> bool:
        """Read the code in view, if there is one and the engine looks."""
        code = self._view
        if code is None or not self.scanning or self._resting or code == self._blocked:
            return False
        if self._triggered:
            self._stop_reading()
        self._block(code)
        if self.zones[OUTPUT] & 0x03 == 0:  # otherwise it goes out by USB, not by UART
            self._later(DECODE_SECONDS, lambda: self._write(self._formatted(code)))
        if self._mode in (CONTINUOUS, INDUCTION) and self.time_scale:
            self._resting = True
            self._later(self.zones[INTERVAL] / 10, self._rested)
        return True

    def _rested(self) -> None:
        self._resting = False
        self._look()

    def _block(self, code: bytes) -> None:
        """Bit 7 of zone 13: the same code is not read again for its low bits, in 100 ms."""
        setting = self.zones[SAME_CODE]
        if not setting & 0x80 or not self.time_scale:
            return
        self._blocked = code
        self._blocked_generation += 1
        generation = self._blocked_generation

        def unblock() -> None:
            if generation == self._blocked_generation:
                self._blocked = None
                self._look()

        if setting & 0x7F:  # 80 = as long as nothing else is read
            self._later((setting & 0x7F) / 10, unblock)

    def _formatted(self, code: bytes) -> bytes:
        if self._version == 0x69 and not self.zones[RAW_MODE] & 0x08:
            code = code.decode("latin-1").encode()
        setting = self.zones[TAIL]
        tail = _TAILS[setting >> 5 & 0x03] if setting & 0x01 else b""
        head = b"\x03" + len(code).to_bytes(2, "big") if setting & 0x80 else b""
        return head + code + tail

    # Settings protocol

    def receive(self, data: bytes) -> None:
        if not self.powered or not self._ready:
            return
        data = resample(data, self.line_baud, self.baud)
        if self.asleep:  # the first bytes only wake it
            self.asleep = False
            return
        self._buffer += data
        while self._next_frame():
            pass
        self._watch_gap()
        self._drain()

    def _next_frame(self) -> bool:
        """Handle one frame of the buffer; False when there is no whole one."""
        start = self._buffer.find(b"\x7e\x00")
        if start < 0:
            del self._buffer[: len(self._buffer) - (1 if self._buffer.endswith(b"\x7e") else 0)]
            return False
        del self._buffer[:start]
        if len(self._buffer) < 4:
            return False
        kind, length = self._buffer[2], self._buffer[3] or 256
        if kind not in (READ, WRITE, SAVE, HEARTBEAT):
            del self._buffer[0]
            return True
        end = 6 + length
        if len(self._buffer) < end + 2:
            return False
        body, check = bytes(self._buffer[2:end]), bytes(self._buffer[end : end + 2])
        if check not in (NO_CHECK, checksum(body)):
            del self._buffer[0]
            return True
        del self._buffer[: end + 2]
        self._handle(kind, body[2] << 8 | body[3], body[4:])
        return True

    def _watch_gap(self) -> None:
        self._gap_generation += 1
        generation = self._gap_generation

        def silent() -> None:
            if generation == self._gap_generation:
                self._buffer.clear()

        if self._buffer and self.time_scale:
            self._later(GAP_SECONDS, silent)

    def _handle(self, kind: int, address: int, data: bytes) -> None:
        if kind == READ:
            size = data[0] or 256
            if address + size <= len(self.zones):
                self._reply(bytes(self.zones[address : address + size]))
        elif kind == WRITE and address + len(data) <= len(self.zones):
            self._write_zones(address, data)
        elif kind == SAVE:
            self._flash[:] = self.zones
            self._flash[TRIGGER] &= 0xFE
            self._flash[SPECIAL] = 0
            self.flash_writes += 1
            self._reply(b"\x00")
        elif kind == HEARTBEAT:
            self._reply(b"\x00", head=0x03)

    def _write_zones(self, address: int, data: bytes) -> None:
        old_mode = self._mode
        self.zones[address : address + len(data)] = data
        self.zones[VERSION] = self._version
        touched = range(address, address + len(data))
        self._reply(b"\x00")
        if SPECIAL in touched:
            self._special(self.zones[SPECIAL])
        if BAUD in touched or BAUD + 1 in touched:
            self._later(REPLY_SECONDS, self._change_baud)
        if self._mode != old_mode:
            self._resting = False
            self._stop_reading()
        if TRIGGER in touched:
            if not self.zones[TRIGGER] & 0x01:
                self._stop_reading()
            elif self._mode in (COMMAND, MANUAL):
                self._trigger()
        self._look()

    def _special(self, value: int) -> None:
        self.zones[SPECIAL] = 0
        if value == 0x50:
            self.zones[:] = factory_zones(self._version)
        elif value == 0x55:
            self.zones[:] = self._user_default
        elif value == 0x56:
            self._user_default = bytes(self.zones)
            self.flash_writes += 1
        elif value == 0xA5:
            self._later(REPLY_SECONDS, self._fall_asleep)
            return
        if value in (0x50, 0x55):
            self._flash[:] = self.zones
            self.flash_writes += 1
            self._later(REPLY_SECONDS, self._change_baud)

    def _fall_asleep(self) -> None:
        self.asleep = True

    def _booted(self) -> None:
        self._ready = True

    def _zone_baud(self) -> int:
        divider = int.from_bytes(self.zones[BAUD : BAUD + 2], "little")
        return round(_DIVIDER_CLOCK / divider) if divider else 9600

    def _change_baud(self) -> None:
        """The new rate counts once the reply has left at the old one."""
        if self._tx.idle:
            self.baud = self._zone_baud()
        else:
            self._later(0.001, self._change_baud)

    # Bytes out

    def _reply(self, data: bytes, head: int = 0x02) -> None:
        body = bytes([0x00, len(data) & 0xFF]) + data
        frame = bytes([head, 0x00]) + body + checksum(body)
        self._later(REPLY_SECONDS, lambda: self._write(frame))

    def _write(self, data: bytes) -> None:
        if self.paced:
            self._tx.write(data)
        elif data:
            self._put(data)

    def _put(self, data: bytes) -> None:
        if self.powered:
            self.send(resample(data, self.baud, self.line_baud))

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call after the engine's own time, unless power goes first; at once at time scale 0."""
        epoch = self._epoch

        def guarded() -> None:
            if epoch == self._epoch:
                function()
                self._drain()

        if self.time_scale == 0:
            self._now.append(guarded)
        else:
            self.call_later(seconds * self.time_scale, guarded)

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        try:
            while self._now:
                self._now.popleft()()
        finally:
            self._draining = False


def checksum(body: bytes) -> bytes:
    """CRC-16/XMODEM over type, length, address and data of a frame (or of a reply)."""
    return crc_hqx(body, 0).to_bytes(2, "big")
