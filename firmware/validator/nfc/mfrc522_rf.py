"""Frames through an MFRC522: FIFO, CRC, bit frames, time-outs; see `validator.nfc.mfrc522`.

The `link` of `validator.nfc.iso14443` and `validator.nfc.iso_dep`. Section numbers are those of
the MFRC522 data sheet, revision 3.9.
"""

from validator.link.crc import crc16
from validator.nfc.iso14443 import Timeout, TransmissionError
from validator.nfc.mfrc522_chip import (
    BIT_FRAMING,
    COLL,
    COM_IRQ,
    COMMAND,
    CONTROL,
    ERROR,
    FIFO,
    FIFO_LEVEL,
    IDLE,
    RECEIVE,
    RX_MODE,
    STATUS2,
    T_RELOAD_H,
    T_RELOAD_L,
    TEMPERATURE,
    TICK_US,
    TRANSCEIVE,
    TX_MODE,
)
from validator.nfc.reader import ReaderDead

# ComIrqReg (9.3.1.5).
_SET1 = 0x80  # reads as 0; 1 is a line that nobody drives
_TX = 0x40
_RX = 0x20
_ERR = 0x02
_TIMER = 0x01

# ErrorReg (9.3.1.7).
_OVERFLOW = 0x10
_COLLISION = 0x08
_CRC = 0x04
_PARITY = 0x02
_PROTOCOL = 0x01

_START = 0x80  # BitFramingReg, StartSend
_FLUSH = 0x80  # FIFOLevelReg
_TIMER_NOW = 0x40  # ControlReg, TStartNow
_MODEM = 0x07  # Status2Reg, ModemState
_RECEIVING = 0x06

_CRC_ON = 0x80  # TxModeReg and RxModeReg, 106 kbit/s
# RxNoErr: fewer than four bits are noise, which the chip leaves out by itself (9.3.2.4).
_NO_STUBS = 0x08
_CLEAR_AFTER_COLLISION = 0x00
_KEEP_AFTER_COLLISION = 0x80

_MAX_ANSWER = 254  # 256 bytes less CRC_A
_HALF = FIFO // 2
_FRAMES_MS = 50  # a longest frame each way at 106 kbit/s, 22 ms, and a collected heap
_SPIN_MS = 4  # so long an answer is imminent, and a sleep costs more than it saves


def crc_a(data):
    """CRC_A of ISO/IEC 14443-3, annex B; its low byte is sent first."""
    return crc16(data, 0x6363 ^ 0xFFFF) ^ 0xFFFF


class Rf:
    """One frame out, one frame in. `chip` is an Mfrc522Chip that is open and has its field on.

    A frame longer than the FIFO is refilled while it is sent, and emptied while it comes. The
    heap's collector or another task may take the processor for longer than the FIFO lasts. Then a
    frame that comes overflows, which ISO-DEP repairs. A frame that is sent breaks off, and the
    chip would put a good CRC behind the half that went out: so long frames carry a CRC made here,
    which is missing in the half, and the card ignores it.
    """

    def __init__(self, chip, clock):
        self._chip = chip
        self._clock = clock
        self._rx = bytearray(_MAX_ANSWER + FIFO)
        self._rx_view = memoryview(self._rx)
        self._long = bytearray(256)
        self._tx_mode = self._rx_mode = -1
        self._error = self._stub = 0
        self.collision = 0
        self.underruns = 0
        self.wire_bytes = 0  # in the air, both ways, modulo 2^30

    def reset(self):
        """The chip was reset: nothing is known about its registers."""
        self._tx_mode = self._rx_mode = -1

    async def exchange(self, frame, timeout_us):
        """Whole bytes both ways, with CRC_A. Timeout, TransmissionError, ReaderDead."""
        n = len(frame)
        if n > FIFO:
            long = self._long
            long[:n] = frame
            frame = memoryview(long)[: n + 2]
            crc = crc_a(frame[:n])
            long[n] = crc & 0xFF
            long[n + 1] = crc >> 8
        self._modes(_CRC_ON if n <= FIFO else 0, _CRC_ON | _NO_STUBS)
        self._prepare(timeout_us)
        return self._whole(await self._transceive(frame, 0, timeout_us))

    async def listen(self, timeout_us):
        """An answer without a question; the timer starts now. Errors as for `exchange`."""
        chip = self._chip
        self._prepare(timeout_us)
        chip.write(COMMAND, RECEIVE)
        chip.write(CONTROL, _TIMER_NOW)
        return self._whole(await self._receive(timeout_us, True))

    async def bits(self, frame, last_bits, timeout_us):
        """A frame of REQA or of anticollision; see `validator.nfc.iso14443`."""
        self._modes(0, _NO_STUBS)
        self._prepare(timeout_us)
        self.collision = 0
        # RxAlign: where the first bit of the answer goes. A short frame is answered in bytes.
        align = last_bits if len(frame) > 1 else 0
        n = await self._transceive(frame, align << 4 | last_bits, timeout_us)
        error = self._error
        if error & _COLLISION:
            place = self._chip.read(COLL)
            if place & 0x20:
                raise TransmissionError("collision", n)
            self.collision = place & 0x1F or 32
        elif error & (_PARITY | _PROTOCOL | _OVERFLOW):
            raise TransmissionError("rf_parity" if error & _PARITY else "rf_framing", n)
        return self._rx_view[:n]

    # Inside.

    def _modes(self, tx, rx):
        chip = self._chip
        if tx != self._tx_mode:
            chip.write(TX_MODE, tx)
            self._tx_mode = tx
        if rx != self._rx_mode:
            chip.write(RX_MODE, rx)
            chip.write(COLL, _KEEP_AFTER_COLLISION if rx & _CRC_ON else _CLEAR_AFTER_COLLISION)
            self._rx_mode = rx

    def _prepare(self, timeout_us):
        chip = self._chip
        ticks = min(timeout_us // TICK_US + 1, 0xFFFF)
        chip.write(COMMAND, IDLE)
        chip.write(COM_IRQ, 0x7F)  # Set1 = 0: clears what is marked
        chip.write(FIFO_LEVEL, _FLUSH)
        chip.write(T_RELOAD_H, ticks >> 8)
        chip.write(T_RELOAD_L, ticks & 0xFF)

    async def _transceive(self, frame, framing, timeout_us):
        chip = self._chip
        n = len(frame)
        self.wire_bytes = self.wire_bytes + n + 2 & 0x3FFFFFFF
        at = min(n, FIFO)
        chip.fill(frame[:at])
        chip.write(COMMAND, TRANSCEIVE)
        chip.write(BIT_FRAMING, _START | framing)
        if at < n:
            self._refill(frame, at, n)
        return await self._receive(timeout_us, False)

    def _refill(self, frame, at, n):
        """The rest of a long frame, without giving the processor away."""
        chip = self._chip
        clock = self._clock
        began = clock.ticks_ms()
        while at < n:
            if chip.read(COM_IRQ) & _TX:
                chip.write(COMMAND, IDLE)
                self.underruns += 1
                raise TransmissionError("underrun", FIFO)
            level = chip.read(FIFO_LEVEL)
            if level <= _HALF:
                end = min(n, at + FIFO - level)
                chip.fill(frame[at:end])
                at = end
            elif clock.diff(clock.ticks_ms(), began) > _FRAMES_MS:
                raise ReaderDead("no_answer")

    async def _receive(self, timeout_us, sent):
        """Wait for the end of an answer; its length, with the bytes in `_rx`, errors in `_error`.

        `sent`: nothing is being transmitted, the FIFO holds only what came.
        """
        chip = self._chip
        clock = self._clock
        began = clock.ticks_ms()
        limit_ms = timeout_us // 1000 + _FRAMES_MS
        n = 0
        while True:
            irq = chip.read(COM_IRQ)
            if irq & _SET1:
                raise ReaderDead("bus")
            if irq & _RX:
                break
            if irq & _TIMER:
                chip.write(COMMAND, IDLE)
                raise Timeout
            if irq & _ERR and chip.read(STATUS2) & _MODEM != _RECEIVING:
                break
            sent = sent or bool(irq & _TX)
            level = chip.read(FIFO_LEVEL) if sent else 0
            if level >= _HALF:
                n = self._take(level, n)
            waited = clock.diff(clock.ticks_ms(), began)
            if waited > limit_ms:
                chip.write(COMMAND, IDLE)
                raise ReaderDead("no_answer")
            if not level and not n:
                # Nothing has begun: others may have the processor.
                await clock.sleep_ms(0 if waited < _SPIN_MS else 1)
        # RxIRq first, then the level: the last byte is in by now.
        level = chip.read(FIFO_LEVEL) & 0x7F
        if level:
            n = self._take(level, n)
        self._error = chip.read(ERROR)
        self._stub = chip.read(CONTROL) & 0x07  # RxLastBits
        chip.write(COMMAND, IDLE)
        if self._error & TEMPERATURE:
            raise ReaderDead("over_temperature")
        if n > _MAX_ANSWER:
            raise TransmissionError("overflow", n)
        self.wire_bytes = self.wire_bytes + n + 2 & 0x3FFFFFFF
        return n

    def _take(self, level, n):
        """Move `level` bytes from the FIFO behind the `n` that are there; the new length."""
        got = self._chip.drain(min(level, FIFO))
        # What is too long is an error by then: keep counting, not storing.
        room = min(len(got), len(self._rx) - n)
        if room > 0:
            self._rx[n : n + room] = got[:room]
        return n + len(got)

    def _whole(self, n):
        """Check an answer of whole bytes with CRC; a view of it."""
        error = self._error
        if error & _OVERFLOW:
            raise TransmissionError("overrun", n)
        if error & _COLLISION:
            raise TransmissionError("collision", n)
        if error & _PARITY:
            raise TransmissionError("rf_parity", n)
        if error & _PROTOCOL:
            raise TransmissionError("rf_framing", n)
        if error & _CRC:
            raise TransmissionError("rf_crc", n)
        if self._stub:
            raise TransmissionError("rf_bits", n)
        return self._rx_view[:n]
