"""ISO/IEC 14443-3 type A: who is in the field, over a chip that sends and receives frames.

    found = await activate(link)      # a Target without ATS, or None

`link` has

    async exchange(frame, timeout_us) -> bytes-like   whole bytes, CRC_A added and checked below
    async bits(frame, last_bits, timeout_us)          no CRC; `last_bits` (1 to 7, 0 = all 8) of
                                                      the last byte are sent, and the answer's
                                                      first bit lands behind them
    collision        after `bits`: 0, or the place of the first collided bit of the answer, from 1
                     for bit 1 of its first byte

Both raise Timeout and TransmissionError. What they return is valid until the next call.
"""

from validator.nfc.reader import Target

_REQA = b"\x26"
_WUPA = b"\x52"
_HLTA = b"\x50\x00"
_SELECT = (0x93, 0x95, 0x97)  # cascade levels 1 to 3 (6.5.3)
_CASCADE_TAG = 0x88
_INCOMPLETE = 0x04  # in SAK: the UID goes on at the next level (6.5.3.4)

# Answers come on a grid, 91 us after the command (6.2.1.1). The rest is for late phones.
_ANSWER_US = 1000


class Timeout(Exception):
    """No answer within the time given."""


class TransmissionError(Exception):
    """An answer that is damaged. `reason`: one word; `length`: bytes that came, roughly."""

    def __init__(self, reason, length):
        super().__init__(reason)
        self.reason = reason
        self.length = length


async def wake(link, halted=True):
    """ATQA (int) of the cards in the field, None if there are none; see `link.collision`.

    With `halted`, cards that were put to sleep answer as well (WUPA instead of REQA, 6.4.1). An
    ATQA that nobody can read is 0: whoever sent it is there.
    """
    try:
        got = await link.bits(_WUPA if halted else _REQA, 7, _ANSWER_US)
    except Timeout:
        return None
    except TransmissionError:
        link.collision = 0
        return 0
    return got[0] | got[1] << 8 if len(got) == 2 else 0


async def activate(link):
    """Wake, resolve collisions, and select one card (6.5.2). A Target without ATS, or None.

    `count` is 2 if more than one card answered. If they cannot be told apart, the Target has SAK 0
    and what is known of a UID. Raises Timeout if the card fell silent on the way, and
    TransmissionError.
    """
    atqa = await wake(link)
    if atqa is None:
        return None
    collided = link.collision > 0
    tx = bytearray(7)
    uid = b""
    for level in _SELECT:
        tx[0] = level
        try:
            collided = await _resolve(link, tx) or collided
            tx[1] = 0x70  # NVB: all 40 bits
            got = await link.exchange(tx, _ANSWER_US)
        except _Unresolved:
            return Target(uid + bytes(tx[2:6]), atqa, 0, b"", 2)
        if len(got) != 1:
            raise TransmissionError("sak", len(got))
        sak = got[0]
        if not sak & _INCOMPLETE:
            return Target(uid + bytes(tx[2:6]), atqa, sak, b"", 2 if collided else 1)
        if tx[2] != _CASCADE_TAG:
            break
        uid += bytes(tx[3:6])
    raise TransmissionError("cascade", 1)


async def halt(link):
    """Put the selected card to sleep. It confirms by silence (6.4.3)."""
    try:
        await link.exchange(_HLTA, _ANSWER_US)
    except (Timeout, TransmissionError):
        pass


class _Unresolved(Exception):
    """Cards collide and nobody answers to the choice made."""


async def _resolve(link, tx):
    """The bit-wise anticollision of one level, into tx[2:7]. True if cards collided (6.5.3.1)."""
    view = memoryview(tx)
    for i in range(1, 7):
        tx[i] = 0
    known = 0
    while True:
        whole, rest = known // 8, known % 8
        tx[1] = (2 + whole) << 4 | rest
        n = 2 + whole + (1 if rest else 0)
        try:
            got = await link.bits(view[:n], rest, _ANSWER_US)
        except (Timeout, TransmissionError):
            if known:
                raise _Unresolved
            raise
        length = len(got)
        if whole + length > 5:
            raise TransmissionError("bits", length)
        for i in range(length):
            mask = 0xFF if i or not rest else 0xFF << rest & 0xFF
            tx[2 + whole + i] = tx[2 + whole + i] & ~mask & 0xFF | got[i] & mask
        if not link.collision:
            break
        # Go on with the cards that have a 1 there. Each round knows at least one bit more.
        at = whole * 8 + link.collision
        if not known < at <= 32:
            raise _Unresolved
        i = 2 + (at - 1) // 8
        bit = 1 << (at - 1) % 8
        tx[i] = tx[i] & (bit - 1) | bit
        for k in range(i + 1, 7):
            tx[k] = 0
        known = at
    if whole + length != 5 or tx[2] ^ tx[3] ^ tx[4] ^ tx[5] != tx[6]:
        if known:
            raise _Unresolved
        raise TransmissionError("bcc", length)
    return known > 0
