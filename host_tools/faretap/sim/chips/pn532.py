"""A PN532 on HSU, byte for byte: wake-up, frames, acknowledgements, commands, faults.

    chip = Pn532()
    chip.attach(send, call_later)
    chip.field_present(cards.make("tunion"))
    chip.receive(frame)

Sources: NXP UM0701-02 (frames 6.2, commands 7), PN532/C1 data sheet (wake-up), and nfcpy's and
libnfc's drivers for what hosts rely on. Where the manual is silent, see docs/simulators.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..cards.card import Card
from ..part import SerialPart
from . import pn532_frames as frames
from .faults import Faults
from .pn532_commands import WITHOUT_SAM, Commands
from .pn532_faults import Bus, damage, known
from .pn532_field import Field
from .pn532_target import CardSide
from .presented import Presented, When
from .uart import Transmitter, resample, rising_edges

ACK_SECONDS = 0.001
GAP_SECONDS = 0.050  # silence after which a half frame is dropped
WAKE_EDGES = 5  # rising edges on HSU_RX that wake the chip
START_BAUD = 115200


class Pn532(SerialPart):
    """The chip. `time_scale` stretches its own times: 1 = as the chip, 0 = everything at once.

    With `paced` the chip also takes the line's time for its bytes; leave it off when whoever
    carries the bytes does that already. `bus` is what its interface pins select; for "spi" and
    "i2c" see `Pn532Spi` and `Pn532I2c`.
    """

    def __init__(self, time_scale: float = 1.0, paced: bool = False, bus: Bus = "hsu") -> None:
        super().__init__()
        self.time_scale = time_scale
        self.paced = paced
        here, elsewhere = known(bus)
        self.faults = Faults(here, self._armed, elsewhere)
        self.on_armed: Callable[[str], None] = lambda fault_id: None
        self.trace: Callable[[str, bytes], None] = lambda kind, data: None
        self.field = Field(self.later)
        self.as_card = CardSide(self)
        self._now: deque[Callable[[], None]] = deque()
        self._draining = False
        self._epoch = 0
        self._start()

    def _start(self) -> None:
        """State after power came: asleep in low-VBat, nothing configured."""
        self._epoch += 1
        self.baud = START_BAUD
        self.next_baud: int | None = None
        self.asleep = True
        self.low_vbat = True
        self.dead = False
        self._dead_until = "reset"
        self._wakes = True
        self._sleep_next: bool | None = None
        self._edges = 0
        self._parser = frames.Parser()
        self._gap_generation = 0
        self._idle_generation = 0
        self._sequence = 0
        self._running: int | None = None
        self._code = 0
        self._ack_held = b""
        self._last_response = b""
        self._look: Callable[[], bool] | None = None
        self.field.switch(False)
        self.as_card.stop()
        self.as_card.parameters = 0
        self.field.registers.clear()
        self.field.auto_rats = True
        self.commands = Commands(self)
        self._tx = Transmitter(self._put, self.later, lambda: self.baud)

    # What the bench does

    def field_present(
        self, card: Card, lose_at_apdu: int | None = None, lose: When = "before"
    ) -> None:
        """Put a card on the antenna. With `lose_at_apdu` it is pulled away at that APDU of this
        presentation (the first is 1), `lose` says whether before or after the card worked it."""
        presented = Presented(card, lose_at_apdu, lose, self.faults)
        presented.picc.worked = self._worked
        self.field.enter(presented)
        self.look_again()
        self._drain()

    def field_remove(self, card: Card | None = None, status: int = 0x01) -> None:
        """Take one card off the antenna, or all. The chip reports `status` from then on."""
        self.field.leave(card, status)

    def look_again(self) -> None:
        """Something came before the antenna: a poll that is under way may find it."""
        if self._look is not None and self._look():
            self._look = None

    def do(self, function: Callable[[], None]) -> None:
        """Something happens to the chip from outside, with all that follows from it at once."""
        function()
        self._drain()

    def power(self, on: bool) -> None:
        super().power(on)
        self._start()

    def reset(self) -> None:
        """The RSTPD_N pin was pulled low and let go."""
        if not (self.dead and self._dead_until == "power"):
            self._start()

    def wake(self) -> None:
        """SPI's select line, I²C's address or H_REQ woke the chip."""
        if self._wakes and self.asleep:
            self.asleep = False
            self._parser.reset()

    def _armed(self, fault_id: str) -> None:
        """Faults that do not wait for a command: sleep now, stand at another rate."""
        if fault_id == "Q01":
            self._watch_idle()
        elif fault_id == "Q08" and (wrong := self.faults.take("Q08")) is not None:
            self.baud = wrong["baud"]
        elif fault_id == "Q38" and (event := self.faults.take("Q38")) is not None:
            target = bytes.fromhex("010004200408112233") if event["listed"] else b""
            self._write(frames.response(0x4A, bytes([event["listed"]]) + target))
        self.on_armed(fault_id)

    # Bytes in

    def receive(self, data: bytes) -> None:
        if not self.powered or self.dead:
            return
        data = resample(data, self.line_baud, self.baud)
        if self.asleep:
            data = self._wake(data)
        if not data or self.asleep:
            return
        for frame in self._parser.feed(data):
            self._frame(frame)
            self._drain()
        self._watch_gap()

    def _wake(self, data: bytes) -> bytes:
        """Q01: count edges until the oscillator starts; what came before is lost."""
        if not self._wakes:
            return b""
        for at, byte in enumerate(data):
            self._edges += rising_edges(byte)
            if self._edges >= WAKE_EDGES:
                self.asleep = False
                self._parser.reset()
                return data[at + 1 :]
        return b""

    def _watch_gap(self) -> None:
        self._gap_generation += 1
        generation = self._gap_generation
        if not self._parser.pending or self.time_scale == 0:
            return

        def silent() -> None:
            if generation == self._gap_generation:
                for frame in self._parser.gap():
                    self._frame(frame)

        self.later(GAP_SECONDS, silent)

    def _watch_idle(self) -> None:
        self._idle_generation += 1
        generation = (self._epoch, self._idle_generation)
        armed = self.faults.armed().get("Q01")
        if armed is None:
            return

        def idle() -> None:
            now = (self._epoch, self._idle_generation)
            if generation == now and self.faults.take("Q01") is not None:
                self._sleep(low_vbat=True)

        if armed["idle_ms"]:
            self.call_later(armed["idle_ms"] / 1000, idle)
        else:
            idle()

    # Frames

    def _frame(self, frame: frames.Frame) -> None:
        self._watch_idle()
        if frame.kind == "ack":
            self._host_ack()
        elif frame.kind == "nack":
            if self._last_response:
                self._write(self._last_response)
        elif frame.body[0] == frames.HOST_TO_CHIP and len(frame.body) > 1:
            self._command(frame.body[1], frame.body[2:])

    def _host_ack(self) -> None:
        """Ends a running command; after SetSerialBaudRate it is the signal to change over."""
        if self._running is not None:
            self._abort()
        elif self.next_baud is not None:
            self.baud, self.next_baud = self.next_baud, None

    def _abort(self) -> None:
        self._look = None
        self.as_card.aborted()
        late = self.faults.take("Q05", kind="late", command=self._code)
        sequence, self._running = self._running, None
        self._sequence += 1
        if late is not None and sequence is not None:
            # The response is on its way already: what the command would have said at rest.
            code = self._code
            stale = frames.response(code, b"\x00")
            self.later(late["delay_ms"] / 1000, lambda: self._write(stale))

    def _command(self, code: int, data: bytes) -> None:
        if self._running is not None:
            self._abort()  # a new command replaces the one under way
        if (gone := self.faults.take("Q16")) is not None:
            self.dead = True
            self._dead_until = gone["until"]
            return
        delay = ACK_SECONDS
        slow = self.faults.take("Q02", command=code)
        if slow is not None:
            if slow["delay_ms"] is None:
                return
            delay = slow["delay_ms"] / 1000
        self.next_baud = None
        self._sequence += 1
        sequence = self._running = self._sequence
        self._code = code
        self._ack_held = b""
        self.trace("command", bytes([code]) + data)

        def acknowledge() -> None:
            if self._running != sequence:
                if slow is not None and slow["stray"]:
                    self._write(frames.ACK)
                return
            order = self.faults.take("Q04", command=code)
            if order is None:
                self._write(frames.ACK)
            else:
                self._ack_held = order["order"].encode()
            self._run(code, data)

        self.later(delay, acknowledge)

    def _run(self, code: int, data: bytes) -> None:
        if self.low_vbat and code not in WITHOUT_SAM and code in self.commands.table:
            return  # acknowledged, but the radio part has no supply before SAMConfiguration
        try:
            answer = self.commands.run(code, data)
        except (KeyError, ValueError, IndexError):
            self._respond_at(frames.ERROR, 0.0002)
            return
        if answer is not None:
            self.finish(answer.data, answer.seconds)

    # For the commands

    @property
    def running(self) -> int | None:
        """Which of the commands so far is under way."""
        return self._running

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call after the chip's own time, unless power goes first; at once at time scale 0."""
        epoch = self._epoch

        def guarded() -> None:
            if epoch == self._epoch and self.powered:
                function()
                self._drain()

        if self.time_scale == 0:
            self._now.append(guarded)
        else:
            self.call_later(seconds * self.time_scale, guarded)

    def finish(self, data: bytes, seconds: float = 0.0) -> None:
        """Answer the running command with `data` after `seconds`."""
        if self._running is not None:
            self._respond_at(frames.response(self._code, data), seconds, data)

    def finish_raw(self, body: bytes, seconds: float) -> None:
        """Answer with a frame that has neither D5 nor a response code (Q09)."""
        self._respond_at(frames.build(body), seconds)

    def wait_for_card(
        self, look: Callable[[], bool], limit: float | None, give_up: Callable[[], None]
    ) -> None:
        """Keep `look` for the next card that comes; `give_up` after `limit` seconds."""
        self._look = look
        sequence = self._running
        if limit is None:
            return

        def expired() -> None:
            if self._running != sequence or self._look is not look:
                return
            self._look = None
            give_up()

        self.later(limit, expired)

    def _worked(self, command: bytes, answer: bytes) -> None:
        self.trace("apdu", command)
        self.trace("response", answer)

    def sleep_after_response(self, wake_by_uart: bool) -> None:
        self._sleep_next = wake_by_uart

    # Bytes out

    def _respond_at(self, wire: bytes, seconds: float, data: bytes | None = None) -> None:
        sequence = self._running

        def respond() -> None:
            if sequence is not None and self._running == sequence:
                self._running = None
                self._respond(wire, data)

        self.later(seconds, respond)

    def _respond(self, wire: bytes, data: bytes | None) -> None:
        code = self._code
        again = self.faults.take("Q05", kind="again", command=code)
        if again is not None and self._last_response:
            self._write(self._last_response)
        self._last_response = wire
        held, self._ack_held = self._ack_held, b""
        if self.faults.take("Q06", command=code) is not None:
            wire = frames.ERROR
        elif data is not None:
            broken = self.faults.take("Q07", command=code)
            if broken is not None:
                body = bytes([frames.CHIP_TO_HOST, code + 1]) + data
                wire = damage(broken["kind"], body)
            if data and code == 0x40:
                wire = self._overload(code, wire)
        long_preamble = self.faults.take("Q03", command=code)
        if long_preamble is not None:
            wire = bytes(long_preamble["extra"]) + wire
        if held == b"before":
            self._write(wire)
            self._write(frames.ACK)
        elif held == b"bytes":
            self._write(frames.ACK + wire, 1)
        elif held:
            self._write(frames.ACK + wire, len(wire) + len(frames.ACK))
        else:
            self._write(wire)
        if self._sleep_next is not None:
            self._wakes, self._sleep_next = self._sleep_next, None
            self._sleep(low_vbat=False, wakes=self._wakes)

    def _overload(self, code: int, wire: bytes) -> bytes:
        hot = self.faults.take("Q34")
        if hot is None:
            return wire
        self.field.switch(False)
        self._last_response = frames.response(code, bytes([hot["status"]]))
        return self._last_response

    def _sleep(self, low_vbat: bool, wakes: bool = True) -> None:
        self.asleep = True
        self.low_vbat = self.low_vbat or low_vbat
        self._wakes = wakes
        self._edges = 0
        self._running = None
        self._look = None
        self._parser.reset()
        self.field.switch(False)
        self.as_card.stop()

    def _write(self, data: bytes, slice_size: int | None = None) -> None:
        if self.paced:
            self._tx.write(data, slice_size or 32)
            return
        size = slice_size or len(data)
        for start in range(0, len(data), size):
            self._put(data[start : start + size])

    def _put(self, data: bytes) -> None:
        if self.powered:
            self.send(resample(data, self.baud, self.line_baud))

    def _drain(self) -> None:
        """Run what is due at time scale 0, in order, without nesting."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._now:
                self._now.popleft()()
        finally:
            self._draining = False
