"""The commands of the simulated PN532 (UM0701-02, chapter 7), one method each.

A command returns what the chip answers and when: `Answer(data, seconds)`; or None when it will
answer later by itself (`chip.finish`), or never. ValueError and IndexError become the chip's
error frame, as wrong parameters do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .pn532_field import FSDI, Target
from .pn532_iso_dep import Outcome
from .presented import Phantom, Presented

if TYPE_CHECKING:
    from .pn532 import Pn532

BAUD_RATES = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1288000)

OK = 0x00
TIMEOUT = 0x01
CRC_ERROR = 0x02
COLLISION = 0x06
FORMAT_ERROR = 0x13
MIFARE_AUTH = 0x14
WRONG_CONTEXT = 0x27
MORE = 0x40

REGISTER_SECONDS = 0.0002
ACTIVATION_SECONDS = 0.005
POLL_SECONDS = 0.005  # one unanswered REQA with its guard times
RF_BYTE_SECONDS = 0.000085  # 106 kbit/s with parity
MAX_DATA_OUT = 262  # data bytes of one InDataExchange response

WITHOUT_SAM = frozenset((0x00, 0x02, 0x04, 0x06, 0x08, 0x10, 0x12, 0x14, 0x16))


@dataclass(frozen=True)
class Answer:
    data: bytes = b""
    seconds: float = REGISTER_SECONDS


class Commands:
    """The command interpreter: state that commands set, and the table of them."""

    def __init__(self, chip: Pn532) -> None:
        self.chip = chip
        self.field = chip.field
        self.faults = chip.faults
        self.passive_retries = 0xFF
        self.thru_timeout = 0x0A
        self.last_error = 0
        self.table: dict[int, Callable[[bytes], Answer | None]] = {
            0x00: self.diagnose,
            0x02: lambda data: Answer(bytes([0x32, 0x01, 0x06, 0x07])),
            0x04: self.get_general_status,
            0x06: self.read_register,
            0x08: self.write_register,
            0x10: self.set_serial_baud_rate,
            0x12: self.set_parameters,
            0x14: self.sam_configuration,
            0x16: self.power_down,
            0x32: self.rf_configuration,
            0x40: self.in_data_exchange,
            0x42: self.in_communicate_thru,
            0x44: self.in_deselect,
            0x4A: self.in_list_passive_target,
            0x52: self.in_release,
            0x54: self.in_select,
            **{code: self._as_card(work) for code, work in chip.as_card.table.items()},
        }

    def run(self, code: int, data: bytes) -> Answer | None:
        """Carry a command out; KeyError for one that the chip does not know."""
        return self.table[code](data)

    def _as_card(self, work: Callable[[bytes], bytes | None]) -> Callable[[bytes], Answer | None]:
        def command(data: bytes) -> Answer | None:
            answer = work(data)
            return None if answer is None else Answer(answer, self._rf(len(data) + len(answer)))

        return command

    # The chip itself

    def diagnose(self, data: bytes) -> Answer | None:
        test, rest = data[0], data[1:]
        if test == 0x00:  # communication line: everything comes back, the number of the test too
            return Answer(bytes(data))
        if test in (0x01, 0x02):  # ROM, RAM
            if self.faults.take("Q09") is not None:
                self.chip.finish_raw(b"\x00", 0.010)
                return None
            return Answer(b"\x00", 0.010)
        if test == 0x06:  # attention request: is the card still there?
            target = self.field.targets[0] if self.field.targets else None
            if target is None:
                return self._status(WRONG_CONTEXT)
            if target.lost_status is None and self.faults.take("Q21") is not None:
                return self._status(TIMEOUT, 0.003)
            return self._status(target.lost_status or OK, 0.003)
        if test == 0x07:  # antenna self-test
            return Answer(b"\x00" if rest else b"\xff", 0.010)
        raise ValueError(f"no diagnose test {test:#04x}")

    def get_general_status(self, data: bytes) -> Answer:
        state = bytearray([self.last_error, int(self.field.on), len(self.field.targets)])
        for target in self.field.targets:
            state += bytes([target.number, 0x00, 0x00, 0x00])  # 106 kbit/s both ways, type A
        return Answer(bytes(state) + b"\x80")

    def read_register(self, data: bytes) -> Answer:
        if not data or len(data) % 2:
            raise ValueError("ReadRegister takes addresses of two bytes")
        addresses = [data[n] << 8 | data[n + 1] for n in range(0, len(data), 2)]
        return Answer(bytes(self.field.registers.get(a, 0) for a in addresses))

    def write_register(self, data: bytes) -> Answer:
        if not data or len(data) % 3:
            raise ValueError("WriteRegister takes address and value, three bytes each")
        for n in range(0, len(data), 3):
            self.field.registers[data[n] << 8 | data[n + 1]] = data[n + 2]
        return Answer()

    def set_serial_baud_rate(self, data: bytes) -> Answer:
        self.chip.next_baud = BAUD_RATES[data[0]]  # takes effect after the host's ACK
        return Answer()

    def set_parameters(self, data: bytes) -> Answer:
        self.field.auto_rats = bool(data[0] & 0x10)
        self.chip.as_card.parameters = data[0]
        return Answer()

    def sam_configuration(self, data: bytes) -> Answer:
        if not 1 <= data[0] <= 4:
            raise ValueError("SAM modes are 1 to 4")
        self.chip.low_vbat = False
        return Answer()

    def power_down(self, data: bytes) -> Answer:
        self.chip.sleep_after_response(wake_by_uart=bool(data[0] & 0x10))
        return Answer(b"\x00")

    def rf_configuration(self, data: bytes) -> Answer:
        item, values = data[0], data[1:]
        lengths = {0x01: 1, 0x02: 3, 0x04: 1, 0x05: 3, 0x0A: 11, 0x0B: 8, 0x0C: 3, 0x0D: 9}
        if item not in lengths or len(values) != lengths[item]:
            raise ValueError(f"RFConfiguration item {item:#04x} with {len(values)} bytes")
        if item == 0x01:
            self.field.switch(bool(values[0] & 0x01))
        elif item == 0x02:
            self.thru_timeout = values[2]
        elif item == 0x05:
            self.passive_retries = values[2]
        return Answer()

    # Cards

    def in_list_passive_target(self, data: bytes) -> Answer | None:
        max_targets, modulation, uid = data[0], data[1], data[2:]
        if not 1 <= max_targets <= 2 or modulation > 4 or (modulation == 3 and not uid):
            raise ValueError("InListPassiveTarget lists 1 or 2 targets, modulations 0 to 4")
        self.chip.as_card.stop()
        self._leave_half_open()
        self.field.switch(True)
        self.field.release_all()

        def look() -> bool:
            if self.faults.armed().get("Q35") and self.faults.take("Q35") is not None:
                return False
            self._turn_into_type_b()
            found = self.field.visible(uid, modulation == 3) if modulation in (0, 3) else []
            if not found or self.faults.take("Q21") is not None:
                return False
            fault = self.faults.take("Q22", kind="two") if max_targets > 1 else None
            if fault is not None and len(found) == 1 and modulation == 0:
                found = [found[0], Presented(Phantom())]
            found = found[:max_targets]
            answer = self.field.activate(found)
            self.chip.finish(answer, ACTIVATION_SECONDS * len(found))
            return True

        def give_up() -> None:
            self.field.nothing_answered()
            if self.faults.take("Q10") is None:
                self.chip.finish(b"\x00")

        if not look():
            attempts = self.passive_retries + 1
            limit = None if self.passive_retries == 0xFF else attempts * POLL_SECONDS
            self.chip.wait_for_card(look, limit, give_up)
        return None

    def _leave_half_open(self) -> None:
        """Q33: a card that is polled for while it is in ISO-DEP stays there, and is deaf."""
        for presented in self.field.cards:
            listed = any(t.presented is presented and t.selected for t in self.field.targets)
            if listed and presented.picc.active and not presented.half_open:
                stubborn = self.faults.take("Q33")
                if stubborn is not None:
                    presented.half_open = True
                    self.field.reset_seconds = stubborn["off_ms"] / 1000

    def _turn_into_type_b(self) -> None:
        cards = [p for p in self.field.cards if not p.type_b and p.picc.iso_dep]
        if cards and self.faults.take("Q28") is not None:
            cards[0].type_b = True

    def in_data_exchange(self, data: bytes) -> Answer | None:
        target = self.field.target(data[0] & 0x3F)
        refused = self.faults.take("Q26")
        if refused is not None:
            return self._status(refused["status"])
        if target is None or not self.field.on:
            return self._status(WRONG_CONTEXT)
        if self.faults.take("Q22", kind="collision") is not None:
            return self._status(COLLISION, 0.002)
        if target.pending and len(data) == 1:
            return Answer(self._piece(target))
        target.pending = b""
        target.command += data[1:]
        if data[0] & MORE:
            return Answer(bytes([OK]), self._rf(len(data)))
        command = bytes(target.command)
        target.command.clear()
        self._exchange(target, command)
        return None

    def _exchange(self, target: Target, command: bytes) -> None:
        """One APDU: the way out, the card's own time, and the way back, each can be the last."""
        chip, presented = self.chip, target.presented
        running = chip.running
        picc, card = presented.picc, presented.card
        waiting = picc.frame_waiting_time
        if not picc.iso_dep:
            if target.lost_status is None and command[:1] in (b"\x60", b"\x61"):
                chip.finish(bytes([MIFARE_AUTH]), 0.002)
            else:
                self._fail(target.lost_status or TIMEOUT, waiting)
            return
        loss = self.faults.take("Q20")
        at_byte = loss["at_byte"] if loss is not None else None
        leaves = loss["when"] if loss is not None else presented.leaves_at_this_apdu()
        status = gone = loss["status"] if loss is not None else TIMEOUT
        if at_byte is not None:
            leaves = "before" if at_byte < len(command) else "after"

        def arrive() -> None:
            nonlocal status
            if leaves == "before":
                chip.field_remove(card, status)
            if target.lost_status is not None or not picc.active:
                self._fail(target.lost_status or TIMEOUT, waiting)
                return
            target.reader.begin(command, answered)

        def answered(outcome: Outcome) -> None:
            nonlocal status
            if outcome.seconds is None:
                return  # S(WTX) without end: the host has to end it
            target.pending = outcome.data
            if at_byte is not None and leaves == "after":
                came = at_byte - len(command)
                if came >= len(outcome.data):  # the answer was through: the next one fails
                    chip.field_remove(card, status)
                    target.lost_status = None
                    chip.later(outcome.seconds, whole)
                    return
                # Cut in the middle of the answer: its CRC never came.
                status = TIMEOUT if came == 0 else CRC_ERROR
            if leaves == "after":
                chip.field_remove(card, status)
            chip.later(outcome.seconds, lambda: back(outcome.status))

        def back(result: int) -> None:
            if chip.running != running:
                return  # the host had enough while the card took its time
            if target.lost_status is not None:
                self._fail(target.lost_status, waiting)
                if at_byte is not None:
                    target.lost_status = gone
            elif result != OK:
                self._fail(result, 0)
            else:
                chip.finish(self._piece(target))

        def whole() -> None:
            if chip.running == running:
                chip.finish(self._piece(target))
            target.lost_status = gone

        chip.later(0, arrive)

    def _piece(self, target: Target) -> bytes:
        """The status byte and the data that fit into one response; MI when more follow."""
        room = MAX_DATA_OUT
        cut = self.faults.take("Q27")
        if cut is not None:
            room = min(room, cut["size"])
        piece, target.pending = target.pending[:room], target.pending[room:]
        return bytes([OK | (MORE if target.pending else 0)]) + piece

    def in_communicate_thru(self, data: bytes) -> Answer | None:
        """Raw frames to the first target; a host that does ISO-DEP itself works like this."""
        index = self.thru_timeout
        limit = 0.0001 * 2 ** (index - 1) if index else 1.0
        target = self.field.targets[0] if self.field.targets else None
        if not self.field.on:
            return self._status(WRONG_CONTEXT)
        if target is None or target.lost_status is not None:
            return self._status(TIMEOUT, limit)
        presented = target.presented
        leaves = None
        if presented.picc.active and data and data[0] & 0xF2 == 0x02:
            leaves = presented.leaves_at_this_apdu()
        if leaves == "before":
            self.chip.field_remove(presented.card)
            return self._status(TIMEOUT, limit)
        side = presented.picc_b if presented.type_b else presented.picc
        loss = self.faults.take("Q20") if presented.picc.active else None
        if loss is not None:
            leaves = loss["when"]
            if loss["at_byte"] is not None:
                leaves = "before" if loss["at_byte"] < len(data) else "after"
            if leaves == "before":
                self.chip.field_remove(presented.card, loss["status"])
                return self._status(loss["status"], limit)
        replies = side.respond(data)
        if leaves == "after":
            self.chip.field_remove(presented.card)
            return self._status(TIMEOUT, limit)
        if not replies:
            return self._status(TIMEOUT, limit)
        first = replies[0]
        took = self._rf(len(data) + len(first.data)) + first.seconds
        if took > limit:
            return self._status(TIMEOUT, limit)
        if first.noise or not first.good:
            return self._status(CRC_ERROR, took)
        return Answer(bytes([OK]) + first.data, took)

    def in_deselect(self, data: bytes) -> Answer:
        return self._each_target(data[0], self._deselect)

    def in_select(self, data: bytes) -> Answer:
        # A deselected ISO 14443-4 target is woken and activated again (UM0701-02 7.3.12), so one
        # that has gone cannot be selected.
        self.field.look_for_lost()
        for target in self.field.targets:
            if data[0] in (0, target.number) and target.lost_status is not None:
                return self._status(target.lost_status, 0.005)

        def select(target: Target) -> None:
            if not target.presented.picc.active and target.presented.picc.iso_dep:
                target.presented.picc.activate(FSDI)
                target.reader.restart()
            target.selected = True

        return self._each_target(data[0], select)

    def in_release(self, data: bytes) -> Answer:
        number = data[0]

        def release(target: Target) -> None:
            self._deselect(target)
            self.field.targets.remove(target)

        self.chip.as_card.stop()
        if number == 0 and not self.field.targets:
            return self._status(OK)
        return self._each_target(number, release)

    def _deselect(self, target: Target) -> None:
        target.presented.picc.deselect()
        target.selected = False

    def _each_target(self, number: int, action: Callable[[Target], None]) -> Answer:
        chosen = [t for t in self.field.targets if number in (0, t.number)]
        if not chosen:
            return self._status(WRONG_CONTEXT)
        for target in chosen:
            action(target)
        return self._status(OK, 0.002)

    # Results

    def _rf(self, size: int) -> float:
        return size * RF_BYTE_SECONDS

    def _status(self, status: int, seconds: float = REGISTER_SECONDS) -> Answer:
        self.last_error = status & 0x3F
        return Answer(bytes([status]), seconds)

    def _fail(self, status: int, seconds: float) -> None:
        self.last_error = status & 0x3F
        self.chip.finish(bytes([status]), seconds)
