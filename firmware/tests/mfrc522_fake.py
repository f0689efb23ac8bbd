"""An MFRC522 on a fake SPI, with cards in its field, in the tests' virtual time.

Registers, FIFO, timer and frames as in the MFRC522 data sheet, revision 3.9, as far as the driver
uses them. A byte takes 85 us in the air, 9 bits at 106 kbit/s; a byte on SPI 2 us and an access
20 us on top. `cards` are objects with

    field_off()
    heard(bits, n_bits) -> None, or [(delay_us, answer), …] where an answer is a `Frame`
"""

BYTE_US = 85
FDT_US = 91


def crc_a(data):
    """CRC_A by the bit (ISO/IEC 14443-3, annex B), low byte first."""
    crc = 0x6363
    for byte in data:
        for i in range(8):
            odd = (crc ^ byte >> i) & 1
            crc = crc >> 1 ^ (0x8408 if odd else 0)
    return bytes((crc & 0xFF, crc >> 8))


class Frame:
    """What is in the air: bytes, number of bits, and where bits of two cards collide (from 1)."""

    def __init__(self, data, n_bits=None, collision=0, parity=False):
        self.data = bytes(data)
        self.n_bits = 8 * len(data) if n_bits is None else n_bits
        self.collision = collision
        self.parity = parity  # True: damaged


def with_crc(data):
    return Frame(data + crc_a(data))


class FakeMfrc522:
    """`spi`, `cs` and `reset_pin` of the driver in one."""

    def __init__(self, clock, cards=()):
        self.clock = clock
        self.cards = list(cards)
        self.selected = False
        self.stuck = None  # the value of a bus that nobody drives
        self.deaf = False  # transmits and never ends anything
        self.hot = False
        self.version = 0x92
        self.accesses = 0
        self.resets = 0
        self.pause_us = 0  # taken from the driver at its next access, as by a collected heap
        self.pause_when = None
        self.air = []  # bytes of each frame sent
        self.air_at = []
        self.switched = []  # (us, field on)
        self.power_on()

    def power_on(self):
        self.reg = bytearray(64)
        for n, value in ((1, 0x20), (4, 0x14), (0x0B, 8), (0x0C, 0x10), (0x11, 0x3F)):
            self.reg[n] = value
        for n, value in ((0x14, 0x80), (0x16, 0x10), (0x17, 0x84), (0x18, 0x84), (0x26, 0x48)):
            self.reg[n] = value
        self.reg[0x37] = self.version
        self.fifo = []
        self.phase = ""
        self.answers = []
        self.timer_at = None
        self._field(False)

    def reset_pin(self, level):
        if not level:
            self.resets += 1
            self.power_on()

    def cs(self, level):
        assert level or not self.selected, "chip select twice"
        self.selected = not level

    def write_readinto(self, out, into):
        assert self.selected and len(out) == len(into)
        self.accesses += 1
        if self.pause_when and self.pause_when(self):
            self.clock.advance_us(self.pause_us)
            self.pause_when = None
        self.clock.advance_us(20 + 2 * len(out))
        if self.stuck is not None:
            for i in range(len(into)):
                into[i] = self.stuck
            return
        self._pass()
        assert out[0] & 1 == 0
        if out[0] & 0x80:
            for i in range(1, len(out)):
                into[i] = self._read(out[i - 1] >> 1 & 0x3F)
            assert out[len(out) - 1] == 0
        else:
            for i in range(1, len(out)):
                self._write(out[0] >> 1, out[i])

    def _read(self, n):
        if n == 0x09:
            return self.fifo.pop(0) if self.fifo else 0
        if n == 0x0A:
            return len(self.fifo)
        if n == 0x08:
            return 6 if self.phase == "rx" and self.answers and self.rx_n else 5
        if n == 0x06 and self.hot:
            return self.reg[n] | 0x40
        return self.reg[n]

    def _write(self, n, value):
        reg = self.reg
        if n == 0x09:
            if len(self.fifo) < 64:
                self.fifo.append(value)
            else:
                reg[6] |= 0x10
        elif n == 0x0A:
            if value & 0x80:
                self.fifo.clear()
                reg[6] &= ~0x10 & 0xFF
        elif n == 0x04:
            if value & 0x80:
                reg[4] |= value & 0x7F
            else:
                reg[4] &= ~value & 0x7F
        elif n == 0x01:
            reg[1] = value & 0x3F
            reg[6] = 0
            self.phase = ""
            if value & 0x0F == 0x0F:
                self.power_on()
            elif value & 0x0F == 0x08:
                self._listen(self.clock.now_us)
        elif n == 0x0C:
            if value & 0x40:
                self._start_timer(self.clock.now_us)
        elif n == 0x0D:
            reg[n] = value
            if value & 0x80 and reg[1] & 0x0F == 0x0C and reg[0x14] & 3:
                self.phase = "tx"
                self.tx = bytearray()
                self.tx_at = self.tx_began = self.clock.now_us
        elif n == 0x14:
            reg[n] = value
            self._field(value & 3 == 3)
        elif n not in (0x06, 0x07, 0x08, 0x37):
            reg[n] = value

    def _field(self, on):
        if not self.switched or self.switched[-1][1] != on:
            self.switched.append((self.clock.now_us, on))
        if not on:
            for card in self.cards:
                card.field_off()

    def _start_timer(self, at):
        prescaler = (self.reg[0x2A] & 0x0F) << 8 | self.reg[0x2B]
        reload = self.reg[0x2C] << 8 | self.reg[0x2D]
        self.timer_at = at + (2 * prescaler + 1) * (reload + 1) * 100 // 1356

    def _pass(self):
        """Let everything happen that is due by now."""
        now = self.clock.now_us
        if self.deaf:
            return
        while self.phase == "tx" and self.tx_at + BYTE_US <= now:
            if not self.fifo:
                self._sent()
                break
            self.tx.append(self.fifo.pop(0))
            self.tx_at += BYTE_US
            if not self.fifo:
                self._sent()
        while self.phase == "rx" and self._receive(now):
            pass
        if self.timer_at is not None and self.timer_at <= now:
            self.timer_at = None
            self.reg[4] |= 0x01

    def _sent(self):
        reg = self.reg
        data = bytes(self.tx)
        end = self.tx_at
        if reg[0x12] & 0x80:
            data += crc_a(data)
            end += 2 * BYTE_US
        self.air.append(data)
        self.air_at.append(self.tx_began)
        reg[4] |= 0x40
        last = reg[0x0D] & 7
        align = reg[0x0D] >> 4 & 7
        assert align == (last if len(data) > 1 else 0), "RxAlign"
        n_bits = 8 * len(data) - (8 - last if last else 0)
        self.answers = []
        heard = [card.heard(data, n_bits) for card in self.cards]
        for answer in merged([h for h in heard if h]):
            end += answer[0]
            self.answers.append((end, answer[1]))
        if reg[0x2A] & 0x80:
            self._start_timer(self.tx_at)
        self._listen(self.tx_at)

    def _listen(self, at):
        self.phase = "rx"
        self.rx_n = 0
        # What began before the receiver was on is lost.
        self.answers = [a for a in self.answers if a[0] >= at]

    def _receive(self, now):
        """One byte, or the end, of the answer that is due; True if there may be more."""
        if not self.answers:
            return False
        start, frame = self.answers[0]
        if start > now:
            return False
        if self.timer_at is not None:
            if self.timer_at <= start + 50:
                return False
            self.timer_at = None  # the 5th bit stops it
        data = frame.data
        keep = len(data) - (2 if self.reg[0x13] & 0x80 else 0)
        if frame.n_bits < 4 and self.reg[0x13] & 8:
            self.answers.pop(0)
            return True
        if self.rx_n < len(data):
            if start + (self.rx_n + 1) * BYTE_US > now:
                return False
            if self.rx_n < keep:
                byte = data[self.rx_n]
                if len(self.fifo) < 64:
                    self.fifo.append(byte)
                else:
                    self.reg[6] |= 0x10
            self.rx_n += 1
            return True
        reg = self.reg
        if frame.collision:
            reg[6] |= 0x08
            reg[0x0E] = reg[0x0E] & 0x80 | frame.collision & 0x1F
        if frame.parity:
            reg[6] |= 0x02
        if reg[0x13] & 0x80 and data[-2:] != crc_a(data[:-2]):
            reg[6] |= 0x04
        reg[0x0C] = reg[0x0C] & ~7 & 0xFF | frame.n_bits % 8
        reg[4] |= 0x20 | (0x02 if reg[6] else 0)
        self.answers.pop(0)
        self.phase = ""
        if reg[1] & 0x0F == 0x08:  # Receive ends by itself, Transceive does not
            reg[1] &= 0xF0
            reg[4] |= 0x10
        return False


def merged(heard):
    """What several cards answer at once: the first bit that differs collides."""
    if not heard:
        return []
    if len(heard) == 1:
        return heard[0]
    frames = [h[0][1] for h in heard]
    first = frames[0]
    n = min(f.n_bits for f in frames)
    for i in range(n):
        if len({f.data[i // 8] >> i % 8 & 1 for f in frames}) > 1:
            # Bits behind it read as 0 (ValuesAfterColl = 0).
            data = bytearray(len(first.data))
            for k in range(i):
                data[k // 8] |= first.data[k // 8] & 1 << k % 8
            return [(heard[0][0][0], Frame(data, first.n_bits, i + 1))]
    return heard[0]


class FakeCard:
    """Type A, ISO/IEC 14443-3 by its states (6.3); `blocks` is a BlockCard, or None.

    delays_us    added to the answer of an ISO-DEP block
    noise        [Frame, …] in front of the next block's answer
    """

    def __init__(self, uid, sak=0x20, atqa=b"\x04\x00", blocks=None):
        self.uid = uid
        self.sak = sak
        self.atqa = atqa
        self.blocks = blocks
        self.noise = []
        self.delay_us = 300
        self.mute = False
        self.halted = False
        self.wakes = 0
        self.resets = 0
        parts = []
        while len(uid) > 4:
            parts.append(b"\x88" + uid[:3])
            uid = uid[3:]
        parts.append(uid)
        self.parts = [p + bytes((p[0] ^ p[1] ^ p[2] ^ p[3],)) for p in parts]
        self.state = "idle"

    def field_off(self):
        self.state = "idle"
        self.halted = False
        self.resets += 1
        if self.blocks:
            self.blocks.power_off()

    def heard(self, data, n_bits):
        if self.mute:
            return None
        if self.state == "protocol":
            if data[-2:] != crc_a(data[:-2]) or n_bits % 8:
                return None
            return self._block(data[:-2])
        if n_bits == 7:
            awake = data[0] == 0x52 or data[0] == 0x26 and not self.halted
            if self.state != "idle" or not awake:
                self.state = "idle"
                return None
            self.state = "ready"
            self.level = 0
            self.wakes += 1
            return [(FDT_US, Frame(self.atqa))]
        if self.state == "ready":
            return self._select(data, n_bits)
        if self.state == "active" and data[-2:] == crc_a(data[:-2]):
            if data[0] == 0xE0 and self.blocks:
                self.state = "protocol"
                return self._block(data[:-2])
            if data[:2] == b"\x50\x00":
                self.halted = True
        self.state = "idle"
        return None

    def _select(self, data, n_bits):
        part = self.parts[self.level]
        if data[0] != (0x93, 0x95, 0x97)[self.level]:
            self.state = "idle"
            return None
        if data[1] == 0x70:
            if data[2:7] != part or data[7:] != crc_a(data[:7]):
                self.state = "idle"
                return None
            self.level += 1
            if self.level < len(self.parts):
                return [(FDT_US, with_crc(b"\x04"))]
            self.state = "active"
            return [(FDT_US, with_crc(bytes((self.sak,))))]
        known = n_bits - 16
        assert data[1] == ((2 + known // 8) << 4 | known % 8), "NVB"
        for i in range(known):
            if (data[2 + i // 8] ^ part[i // 8]) >> i % 8 & 1:
                return None
        answer = bytearray(part[known // 8 :])
        answer[0] &= 0xFF << known % 8 & 0xFF
        return [(FDT_US, Frame(answer))]

    def _block(self, block):
        answer = self.blocks.frame(block)
        if not self.blocks.active:
            self.state = "idle"
            self.halted = True
        if answer is None:
            return None
        noise, self.noise = self.noise, []
        return [(self.delay_us, f) for f in noise] + [(self.delay_us, with_crc(answer))]
