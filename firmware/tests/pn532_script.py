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
    (CMD("1214"), OK("13")),
    (CMD("3205010101"), OK("33")),
    (CMD("320100"), OK("33")),
)

POLL = CMD("4A0200")
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
