"""The radio of the simulated MFRC522: transmitter, receiver, field, and the cards in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cards.card import Card
from . import mfrc522_registers as reg
from .picc_a import ETU, PROTOCOL, Answer, PiccA, crc_a, superpose, to_bytes
from .presented import Phantom, Presented, When

if TYPE_CHECKING:
    from .mfrc522 import Mfrc522

CARD_START_SECONDS = 0.005  # a card answers within 5 ms of unmodulated field (ISO 14443-3, 5)
BYTE_ETU = 9  # eight bits and parity

# Status2Reg, ModemState
SILENT, WAIT_START_SEND, TRANSMITTING, WAIT_DATA, RECEIVING = 0, 1, 3, 5, 6


class Radio:
    """What happens between FIFO and cards. All times are the chip's (`Mfrc522.after`)."""

    def __init__(self, chip: Mfrc522) -> None:
        self.chip = chip
        self.cards: list[PiccA] = []
        self.on = False
        self._since = 0.0
        self._phantom: PiccA | None = None
        self._generation = 0
        self._field_generation = 0
        self.modem_state = SILENT
        self._frame = bytearray()

    def reset(self) -> None:
        self.stop()
        self._switch(False)

    # Field

    def drivers_changed(self) -> None:
        """TxControlReg, TempErr or power-down: is there a field now?"""
        registers = self.chip.registers
        down = registers[reg.COMMAND] & reg.POWER_DOWN
        hot = self.chip.error & reg.TEMP_ERR
        self._switch(bool(registers[reg.TX_CONTROL] & 0x03) and not down and not hot)

    def _switch(self, on: bool) -> None:
        if on == self.on:
            return
        self.on = on
        self._field_generation += 1
        generation = self._field_generation
        self._since = self.chip.now
        self._phantom = None
        if on:
            return
        stubborn = self.chip.faults.take("Q33")

        def unpowered() -> None:
            if generation == self._field_generation:
                for card in self.cards:
                    card.reset()

        if stubborn is None:
            unpowered()
        else:
            self.chip.after(stubborn["off_ms"] / 1000, unpowered)

    def enter(self, card: Card, lose_at_apdu: int | None, lose: When) -> None:
        presented = Presented(card, lose_at_apdu, lose, self.chip.faults, since=self.chip.now)
        presented.picc.worked = self._worked
        self.cards.append(PiccA(presented))

    def _worked(self, command: bytes, answer: bytes) -> None:
        self.chip.trace("apdu", command)
        self.chip.trace("response", answer)

    def leave(self, card: Card | None = None) -> None:
        for picc in [c for c in self.cards if card is None or c.presented.card is card]:
            self.cards.remove(picc)
            picc.reset()

    def _audible(self) -> list[PiccA]:
        """Cards with power that hear the modulation."""
        registers = self.chip.registers
        if not self.on or not registers[reg.TX_ASK] & 0x40:  # type A is 100 % ASK
            return []
        if self.chip.faults.take("Q35") is not None:
            return []
        cards = self.cards + ([self._phantom] if self._phantom is not None else [])
        start = CARD_START_SECONDS * self.chip.time_scale
        return [
            card
            for card in cards
            if self.chip.now - max(self._since, card.presented.since) >= start - 1e-9
        ]

    # Transmitter

    @property
    def waiting(self) -> bool:
        return self.modem_state == WAIT_DATA

    @property
    def receiving(self) -> bool:
        return self.modem_state == RECEIVING

    @property
    def _tx_rate(self) -> int:
        return self.chip.registers[reg.TX_MODE] >> 4 & 0x07

    def stop(self) -> None:
        """The command ended or was replaced; what is in the air is lost."""
        self._generation += 1
        self.modem_state = SILENT

    def ready_to_send(self) -> None:
        self.modem_state = WAIT_START_SEND

    def transmit(self) -> None:
        """Send the FIFO; what the host adds in time goes into the same frame."""
        if self.modem_state in (TRANSMITTING, RECEIVING):
            return
        if self.chip.faults.take("Q34") is not None:
            self.chip.fail(reg.TEMP_ERR)
            self.drivers_changed()
        self._generation += 1
        self.modem_state = TRANSMITTING
        self._frame.clear()
        self._next_byte(self._generation, 0)

    def _next_byte(self, generation: int, bits: int) -> None:
        if generation != self._generation:
            return
        chip = self.chip
        etu = ETU / 2**self._tx_rate
        if chip.fifo:
            self._frame.append(chip.fifo.pop(0))
            chip.watch_level()
            last_bits = chip.registers[reg.BIT_FRAMING] & 0x07
            size = last_bits if last_bits and not chip.fifo else 8
            took = (size if size < 8 else BYTE_ETU) * etu
            chip.after(took, lambda: self._next_byte(generation, bits + size))
            return
        if chip.registers[reg.TX_MODE] & 0x80 and bits and bits % 8 == 0:
            self._frame += crc_a(bytes(self._frame))
            bits += 16
        ending = etu * (2 + (18 if chip.registers[reg.TX_MODE] & 0x80 else 0))
        chip.after(ending, lambda: self._sent(generation, bits))

    def _sent(self, generation: int, bits: int) -> None:
        if generation != self._generation:
            return
        chip = self.chip
        frame = bytes(self._frame)
        chip.raise_irq(reg.TX_IRQ)
        if self.chip.timer.automatic:
            chip.timer.start()
        if chip.command == reg.TRANSMIT:
            self.modem_state = SILENT
            chip.end_command()
        else:
            self.modem_state = WAIT_DATA
        if bits:
            chip.trace("frame", frame)
            self._to_cards(frame, bits)

    def authenticate(self) -> None:
        """MFAuthent: command byte and block address go out; none of the cards here has a sector
        key, so none answers, and the command goes on until the host ends it (10.3.1.9)."""
        if len(self.chip.fifo) < 12:
            self.chip.fail(reg.PROTOCOL_ERR)
            self.chip.end_command()
            return
        request = bytes(self.chip.fifo[:2])
        del self.chip.fifo[:12]
        self.chip.watch_level()
        self._frame[:] = request + crc_a(request)
        self.modem_state = TRANSMITTING
        self._generation += 1
        generation = self._generation
        self.chip.after(38 * ETU, lambda: self._sent(generation, 32))

    # Cards

    def _to_cards(self, frame: bytes, bits: int) -> None:
        poll = bits == 7 and frame[0] in (0x26, 0x52)
        if poll and self._audible() and self.chip.faults.take("Q22", kind="two") is not None:
            self._phantom = PiccA(Presented(Phantom(), since=-1.0))
        answers: list[Answer] = []
        for card in self._audible():
            answers += self._one_card(card, frame, bits)
        answers.sort(key=lambda answer: answer.seconds)
        while answers:
            start = answers[0].seconds
            together = [a for a in answers if a.seconds - start < ETU]
            del answers[: len(together)]
            seen, collision = superpose(together)
            self._in_the_air(seen, collision, start, together[0].rate)

    def _one_card(self, card: PiccA, frame: bytes, bits: int) -> list[Answer]:
        """The card's answer, unless it is pulled away before, inside or after (Q20)."""
        in_protocol = card.state == PROTOCOL
        leaves: When | None = None
        at_byte: int | None = None
        if in_protocol:
            if frame[0] & 0xE2 == 0x02 and not frame[0] & 0x10:
                leaves = card.presented.leaves_at_this_apdu()
            if (loss := self.chip.faults.take("Q20")) is not None:
                at_byte = loss["at_byte"]
                leaves = loss["when"]
        if at_byte is not None:
            leaves = "before" if at_byte < len(frame) else "after"
        if leaves == "before":
            self.leave(card.presented.card)
            return []
        answers = card.receive(frame, bits, self._tx_rate)
        if in_protocol and answers and self._collides():
            other = [1 - answers[-1].bits[0], *answers[-1].bits[1:]]
            answers.append(Answer(other, answers[-1].seconds, answers[-1].rate))
        if leaves == "after":
            self.leave(card.presented.card)
            room = 8 * (at_byte - len(frame)) if at_byte is not None else 0
            return [
                Answer(a.bits[:room], a.seconds, a.rate, a.noise) for a in answers[:1] if room > 0
            ]
        return answers

    def _collides(self) -> bool:
        return self.chip.faults.take("Q22", kind="collision") is not None

    def _in_the_air(
        self, bits: list[int], collision: int | None, seconds: float, rate: int
    ) -> None:
        """Answers come whether the receiver listens or not."""
        field = self._field_generation

        def begins() -> None:
            if field == self._field_generation:
                self._begin_reception(bits, collision, rate)

        self.chip.after(seconds, begins)

    # Receiver

    def listen(self) -> None:
        self.modem_state = WAIT_DATA

    def _begin_reception(self, bits: list[int], collision: int | None, rate: int) -> None:
        chip = self.chip
        if self.modem_state != WAIT_DATA or chip.registers[reg.COMMAND] & reg.RCV_OFF:
            return
        rx_mode = chip.registers[reg.RX_MODE]
        if rx_mode >> 4 & 0x07 != rate:
            return
        if len(bits) < 4 and rx_mode & 0x08:  # RxNoErr
            return
        chip.error &= ~(reg.COLL_ERR | reg.CRC_ERR | reg.PARITY_ERR | reg.PROTOCOL_ERR)
        self.modem_state = RECEIVING
        generation = self._generation
        etu = ETU / 2**rate
        if chip.timer.automatic and not rx_mode & 0x04:
            chip.after(5 * etu, lambda: self._stop_timer(generation))
        crc_wrong, payload = False, bits
        if rx_mode & 0x80 and collision is None:
            whole = to_bytes(bits)
            crc_wrong = len(bits) % 8 != 0 or len(whole) < 3 or crc_a(whole[:-2]) != whole[-2:]
            payload = bits[:-16]
        if collision is not None and not chip.registers[reg.COLL] & 0x80:
            payload = [*payload[:collision], *[0] * (len(payload) - collision)]
        align = chip.registers[reg.BIT_FRAMING] >> 4 & 0x07
        placed = [0] * align + payload
        stored = to_bytes(placed)
        for at, byte in enumerate(stored):
            when = (1 + BYTE_ETU * min(at + 1, (len(bits) + 7) // 8)) * etu
            chip.after(when, lambda byte=byte: self._store(generation, byte))  # type: ignore[misc]
        end = (1 + BYTE_ETU * ((len(bits) + 7) // 8)) * etu
        chip.after(
            end,
            lambda: self._received(generation, len(placed), collision, align, crc_wrong),
        )

    def _stop_timer(self, generation: int) -> None:
        if generation == self._generation:
            self.chip.timer.stop()

    def _store(self, generation: int, byte: int) -> None:
        if generation == self._generation:
            self.chip.store(byte)

    def _received(
        self,
        generation: int,
        placed: int,
        collision: int | None,
        align: int,
        crc_wrong: bool,
    ) -> None:
        if generation != self._generation:
            return
        chip = self.chip
        registers = chip.registers
        registers[reg.CONTROL] = registers[reg.CONTROL] & 0xF8 | placed % 8
        registers[reg.COLL] |= 0x20
        if collision is not None:
            # CollPos counts the bits as they lie in the FIFO, from 1; the 32nd reads 0 (9.3.1.15).
            position = align + collision + 1
            if position <= 32:
                registers[reg.COLL] = registers[reg.COLL] & 0x80 | position & 0x1F
            chip.fail(reg.COLL_ERR)
        if crc_wrong:
            chip.fail(reg.CRC_ERR)
        multiple = registers[reg.RX_MODE] & 0x04
        if multiple:
            chip.store(chip.error)
        chip.raise_irq(reg.RX_IRQ)
        if multiple:
            self.modem_state = WAIT_DATA
        elif chip.command == reg.RECEIVE:
            self.modem_state = SILENT
            chip.end_command()
        else:
            self.modem_state = WAIT_START_SEND
