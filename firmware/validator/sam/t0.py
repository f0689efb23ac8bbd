"""A smart card slot on a UART: ISO/IEC 7816-3, protocol T=0.

    slot = Slot(serial, clock, reset, hz=3571200, first=9600)
    atr = await slot.reset()                  # bytes; SlotError
    answer = await slot.transceive(apdu)      # data and status word; 61xx and 6Cxx are returned

`serial` (hal.Serial) is a UART with 8 data bits, even parity and 2 stop bits whose receiver is on
the I/O line together with its transmitter; `echo` False if the wiring keeps what is sent from the
receiver. `reset(level)` drives the RST contact, `power(on)` VCC, if it can be switched. The clock
of `hz` runs on its own (a PWM output). A UART neither signals nor sees the error signal of T=0
(repetition of a character, 7.3): a damaged byte shows as an echo, a procedure byte or a checksum
that is wrong, ends the exchange, and the caller resets the chip and begins again.

ISO 7816-3 has the answer to reset at a 372nd of the clock, 9600 baud. Many PSAMs answer at 38400
from the first character on, without saying so anywhere, so that both rates are tried, `first`
before them. The next reset tries the one that was right alone.
"""

from validator.sam import SlotError

_FI = (372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0)
_DI = (0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0)
_NULL = 0x60
_ATTEMPTS = 3  # of an ATR at each rate (8.1: a bad one is asked for again)
_RESET_MS = 4000  # no further attempt after that
_LIMIT_MS = 5000  # one command with all its NULLs
_ECHO_MS = 20  # beside the time of the characters


class Slot:
    """`first` is the rate at which the ATR is expected, in baud; 9600 and 38400 are tried as well.
    `max_baud` bounds what PPS asks for; the chip's offer (TA1) decides otherwise."""

    def __init__(
        self,
        serial,
        clock,
        reset,
        hz=3571200,
        echo=True,
        power=None,
        parity=None,
        max_baud=230400,
        first=9600,
    ):
        self._serial = serial
        self._clock = clock
        self._rst = reset
        self._hz = hz
        self._echo = echo
        self._power = power
        self._parity = parity  # parity(odd): for chips of the inverse convention
        self._max_baud = max_baud
        self._buf = bytearray(64)
        self._at = self._end = 0
        self._convert = None
        self.atr = b""
        self.baud = 0
        # D of the ATR, in the order in which they are tried.
        self._first = [max(1, (first * 744 // hz + 1) // 2)]
        for di in (1, 4):
            if di not in self._first:
                self._first.append(di)
        self._known = False  # the first of them was right: no time is spent on the others
        self._set_rate(372, self._first[0])
        self._guard = 0
        self.away_us = 0  # all commands so far took: the chip's time and the line's

    # -- reset -------------------------------------------------------------------------------

    async def reset(self):
        """Reset, read the ATR and agree on a rate; returns the ATR."""
        clock = self._clock
        start = clock.ticks_ms()
        error = SlotError("silent")
        said = False
        pps = True
        rates = tuple(self._first[:1] if self._known else self._first)
        self._known = False
        for attempt in range(_ATTEMPTS):
            for di in rates:
                try:
                    await self._activate(di)
                    if not await self._agree(pps, di):
                        pps = False  # it does not take what it offers: at its first rate, then
                        await self._activate(di)
                        await self._agree(False, di)
                    self._first.remove(di)
                    self._first.insert(0, di)
                    self._known = True
                    return self.atr
                except SlotError as e:
                    # At a wrong rate it is silent or has no TS: that is not what is the matter.
                    if self._started or not said:
                        error = e
                        said = True
                if clock.diff(clock.ticks_ms(), start) > _RESET_MS:
                    raise error
        raise error

    async def _activate(self, di):
        clock = self._clock
        self._started = False
        self._convert = None
        if self._parity:
            self._parity(False)
        self._guard = 0
        self._wi = 10
        self._set_rate(372, di)
        self._serial.set_baud(self.baud)
        self._rst(0)
        if self._power:
            self._power(0)
            await clock.sleep_ms(10)
            self._power(1)
        await clock.sleep_ms(2)  # 400 clocks and more (6.2.2)
        self._drain()
        self._rst(1)
        await self._read_atr()

    async def _read_atr(self):
        # 40,000 clocks to its first character (6.2.2), 9600 etu between characters (8.1).
        first = 40000 * 1000 // self._hz + 50
        ts = await self._byte(first)
        if ts in (0x03, 0x3F):
            if ts == 0x03:
                # The inverse convention as a UART sees it: all bits inverted and turned round,
                # and the parity with them.
                self._convert = bytes([_turn(b) for b in range(256)])
                if self._parity:
                    self._parity(True)
            ts = 0x3F
        elif ts != 0x3B:
            raise SlotError("no TS: %02x" % ts)
        self._started = True
        atr = bytearray((ts,))
        self.atr = b""
        follow = await self._take(atr)
        history = follow & 15
        self._fd = 0
        self._specific = False
        protocols = []
        level = 1
        while True:
            has = follow >> 4
            if has & 1:
                byte = await self._take(atr)
                if level == 1:
                    self._fd = byte
                elif level == 2:
                    self._specific = True
                    if byte & 0x10:  # TA2, bit 5: as it is now, whatever TA1 says
                        self._fd = 0
            if has & 2:
                await self._take(atr)
            if has & 4:
                byte = await self._take(atr)
                if level == 1:
                    self._guard = 0 if byte == 255 else byte
                elif level == 2:
                    self._wi = byte or 10
            if not has & 8:
                break
            follow = await self._take(atr)
            protocols.append(follow & 15)
            level += 1
            if level > 8:
                raise SlotError("ATR without end")
        for _ in range(history):
            await self._take(atr)
        if [t for t in protocols if t]:
            await self._take(atr)
            check = 0
            for byte in atr[1:]:
                check ^= byte
            if check:
                raise SlotError("ATR check")
        if protocols and protocols[0]:
            raise SlotError("no T=0")  # the first one is what it speaks without a PPS
        self.atr = bytes(atr)

    async def _take(self, atr):
        byte = await self._byte(self._wwt)
        atr.append(byte)
        return byte

    async def _agree(self, pps, first):
        """PPS (9.2) to the chip's own rate, if that is above the one of its ATR, 372/`first`.
        False: it did not take it, and wants a new reset."""
        if not self._fd:
            self._set_rate(372, first)
            return True
        fi = _FI[self._fd >> 4]
        di = _DI[self._fd & 15]
        if self._specific:  # no choice (TA2), and no PPS
            if not fi or not di:
                raise SlotError("rate %02x" % self._fd)
            self._set_rate(fi, di)
            self._serial.set_baud(self.baud)
            return True
        fast = fi and di and self._hz * di // fi
        self._set_rate(372, first)
        if not pps or not fast or fast <= self.baud or fast > self._max_baud:
            return True
        request = bytes((0xFF, 0x10, self._fd, 0xFF ^ 0x10 ^ self._fd))
        try:
            await self._write(request)
            answer = bytearray()
            size = 3
            while len(answer) < size:
                answer.append(await self._byte(self._wwt))
                if len(answer) == 2 and answer[1] & 0x10:
                    size = 4
        except SlotError:
            return False
        if answer == b"\xff\x00\xff":
            return True  # it stays at its first rate (9.3)
        if answer != request:
            return False
        self._set_rate(fi, di)
        self._serial.set_baud(self.baud)
        return True

    def _set_rate(self, fi, di):
        self.baud = self._hz * di // fi
        self._etu_us = max(1, 1000000 // self.baud)
        # Work waiting time (10.2), with some room for the scheduler.
        self._wwt = 960 * getattr(self, "_wi", 10) * fi // (self._hz // 1000) + 50

    # -- commands ----------------------------------------------------------------------------

    async def transceive(self, apdu):
        """One command TPDU; an Le behind data is dropped, as T=0 has it (7816-3, 12.2)."""
        clock = self._clock
        start = clock.ticks_us()
        try:
            return await self._exchange(apdu)
        finally:
            self.away_us += clock.diff(clock.ticks_us(), start)

    async def _exchange(self, apdu):
        n = len(apdu)
        data = b""
        expected = 0
        p3 = apdu[4] if n > 4 else 0
        if n > 5:
            data = apdu[5 : 5 + p3]
        elif n == 5:
            expected = p3 or 256
        ins = apdu[1]
        clock = self._clock
        start = clock.ticks_ms()
        self._drain()
        await self._write(bytes(apdu[:4]) + bytes((p3,)))
        out = bytearray()
        sent = 0
        while True:
            byte = await self._byte(self._wwt)
            if byte == _NULL:
                if clock.diff(clock.ticks_ms(), start) > _LIMIT_MS:
                    raise SlotError("NULL without end")
            elif byte == ins or byte == ins ^ 0xFF:
                single = byte != ins
                if sent < len(data):
                    end = sent + 1 if single else len(data)
                    await self._write(data[sent:end])
                    sent = end
                elif len(out) < expected:
                    end = len(out) + 1 if single else expected
                    while len(out) < end:
                        out.append(await self._byte(self._wwt))
                else:
                    raise SlotError("asks for more")
            elif byte >> 4 in (6, 9):
                out.append(byte)
                out.append(await self._byte(self._wwt))
                return bytes(out)
            else:
                raise SlotError("procedure byte %02x" % byte)

    # -- characters --------------------------------------------------------------------------

    async def _write(self, data):
        if self._convert:
            data = bytes([self._convert[b] for b in data])
        # 16 etu from the last character's beginning (7.2): 6 of them are left when it is read.
        await self._pause(6 * self._etu_us)
        if not self._guard:
            await self._send(data)
            return
        for byte in data:
            await self._send(bytes((byte,)))
            # The UART may still be at it when there is no echo: a whole character as well.
            await self._pause((self._guard + 12) * self._etu_us)

    async def _send(self, data):
        self._serial.write(data)
        if not self._echo:
            return
        wait = len(data) * 12 * self._etu_us // 1000 + _ECHO_MS
        for byte in data:
            if await self._raw(wait) != byte:
                raise SlotError("echo")

    async def _pause(self, us):
        clock = self._clock
        start = clock.ticks_us()
        while clock.diff(clock.ticks_us(), start) < us:
            await clock.sleep_ms(0)  # a sleep of 1 ms takes a whole tick on an ESP32

    async def _byte(self, timeout_ms):
        byte = await self._raw(timeout_ms)
        return self._convert[byte] if self._convert else byte

    async def _raw(self, timeout_ms):
        if self._at == self._end:
            self._at = 0
            self._end = await self._serial.readinto(self._buf, timeout_ms, 8)
            if not self._end:
                raise SlotError("silent")
        self._at += 1
        return self._buf[self._at - 1]

    def _drain(self):
        self._at = self._end = 0
        self._serial.drain()


def _turn(byte):
    out = 0
    for i in range(8):
        if not byte >> i & 1:
            out |= 0x80 >> i
    return out
