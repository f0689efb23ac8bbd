"""A PN532 that follows a script: byte-exact commands in, whatever bytes out. For the tests.

Frames are put together here on their own, from UM0701-02 6.2.1, not with the driver's code.
"""

from fakes import FakeClock, FakeSerial
from validator.nfc.pn532 import Pn532Reader

ACK = bytes.fromhex("0000FF00FF00")
NACK = bytes.fromhex("0000FFFF0000")
ERROR = bytes.fromhex("0000FF01FF7F8100")
WAKE = bytes.fromhex("5555" + 14 * "00")


def frame(body):
    n = len(body)
    if n < 256:
        head = bytes((n, 256 - n & 0xFF))
    else:
        head = bytes((0xFF, 0xFF, n // 256, n % 256, (256 - n // 256 - n % 256) & 0xFF))
    return b"\x00\x00\xff" + head + body + bytes(((0x10000 - sum(body)) & 0xFF, 0))


def CMD(text):
    return frame(b"\xd4" + bytes.fromhex(text))


def RSP(text):
    return frame(b"\xd5" + bytes.fromhex(text))


def OK(text):
    """ACK after 1 ms, the response after another one."""
    return [(1000, ACK), (1000, RSP(text))]


# What the driver does when it opens a chip that answers at once.
OPEN = (
    (WAKE, None),
    (CMD("14010000"), OK("15")),
    (CMD("02"), OK("0332010607")),
    (CMD("00070F"), OK("0100")),
    (CMD("1214"), OK("13")),
    (CMD("3205010102"), OK("33")),
    (CMD("320100"), OK("33")),
)

SETTINGS = OPEN[4:]  # what it does when a chip has lost them
POLL = CMD("4A0200")
POLL_B = CMD("4A010300")
NOBODY = OK("4B00")
CARD = "01 0004 20 04 01020304 05 78807002"  # ATS 05 78 80 70 02
FOUND = OK("4B01" + CARD)


class Script:
    """The peer of a FakeSerial: steps of (expected bytes, reply)."""

    def __init__(self, steps):
        self.steps = list(steps)

    def __call__(self, data):
        assert self.steps, "unexpected " + data.hex()
        expected, reply = self.steps.pop(0)
        assert data == expected, "%s instead of %s" % (data.hex(), expected.hex())
        return reply


def make(*steps, **options):
    """(reader, script, serial) without anything sent yet."""
    clock = FakeClock()
    script = Script(steps)
    serial = FakeSerial(clock, script)
    return Pn532Reader(serial, clock, **options), script, serial


def activated(*steps, **options):
    """The same with a card found: the script goes on behind the poll."""
    from fakes import run

    reader, script, serial = make((POLL, FOUND), *steps, **options)
    assert run(reader.poll()).uid == bytes((1, 2, 3, 4))
    return reader, script, serial


class BusChip:
    """The same on SPI or I2C: a frame each is waiting, or on its way. Base of the two below."""

    def __init__(self, clock, *steps):
        self.clock = clock
        self.script = Script(steps)
        self.due = []  # (us, frame)
        self.last = b""
        self.written = []
        self.reads = []  # bytes of each data read

    def answer(self, data):
        self.written.append(data)
        if data == NACK:
            self.due.insert(0, (self.clock.now_us + 500, self.last))
            return
        at = self.clock.now_us
        for wait, chunk in self.script(data) or ():
            at += wait
            self.due.append((at, chunk))

    def ready(self):
        return bool(self.due) and self.due[0][0] <= self.clock.now_us

    def irq(self):
        return 0 if self.ready() else 1

    def taken(self):
        self.last = self.due.pop(0)[1]


class SpiChip(BusChip):
    """A `machine.SPI` with a PN532 on it; `cs` is its NSS."""

    rate = 2000000
    command = None

    def init(self, baudrate):
        self.rate = baudrate

    def cs(self, level):
        if not level:
            self.command = None
            self.data = b""
            self.at = 0
            self.selected_us = self.clock.now_us
        elif self.command == 1:
            self.answer(self.data)
        elif self.command == 3:
            self.reads.append(self.at)
            if self.ready():
                self.taken()
        self.level = level

    def write(self, buf):
        assert self.level == 0
        data = bytes(buf)
        self.clock.advance_us(len(data) * 8000000 // self.rate)
        if self.command is None:
            self.command = data[0]
            data = data[1:]
        self.data += data

    def readinto(self, buf, write=0):
        assert self.level == 0
        self.clock.advance_us(len(buf) * 8000000 // self.rate)
        if self.command == 2:
            buf[0] = 1 if self.ready() else 0
            return
        frame = self.due[0][1] if self.ready() else b""
        for i in range(len(buf)):
            buf[i] = frame[self.at] if self.at < len(frame) else 0
            self.at += 1


class I2cChip(BusChip):
    """A `machine.I2C` with a PN532 on it, and its two lines.

    `fail` is called before each transfer and may raise OSError. `holds_sda`: how many clocks it
    takes until the chip lets go of SDA.
    """

    OPEN_DRAIN = 3
    holds_sda = 0
    made = 0

    def fail(self):
        pass

    def make(self):
        self.made += 1
        return self

    def writeto(self, address, buf):
        assert address == 0x24 and not self.holds_sda
        self.clock.advance_us((1 + len(buf)) * 23)
        self.fail()
        if buf:
            self.answer(bytes(buf))

    def readfrom_into(self, address, buf):
        assert address == 0x24 and not self.holds_sda
        self.clock.advance_us((1 + len(buf)) * 23)
        self.fail()
        ready = self.ready()
        buf[0] = 1 if ready else 0
        frame = self.due[0][1] if ready else b"\x5a" * 8
        for i in range(1, len(buf)):
            buf[i] = frame[i - 1] if i <= len(frame) else 0
        if len(buf) > 1:
            self.reads.append(len(buf) - 1)
            if ready:
                self.taken()

    def pin(self, clocked):
        return Line(self, clocked)


class Line:
    OPEN_DRAIN = 3

    def __init__(self, chip, clocked):
        self.chip = chip
        self.clocked = clocked
        self.modes = []

    def init(self, mode, value=None):
        self.modes.append(mode)

    def __call__(self, level=None):
        if level is None:
            return 1 if self.clocked or not self.chip.holds_sda else 0
        if level and self.clocked and self.chip.holds_sda:
            assert set(self.modes) == {self.OPEN_DRAIN}
            self.chip.holds_sda -= 1
