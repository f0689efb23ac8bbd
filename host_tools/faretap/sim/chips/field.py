"""The air between two antennas: a reader chip, and a chip that plays a card to it.

    reader, card = Pn532(), Pn532()
    Air(reader, card)

What the card chip's host offers with TgInitAsTarget, the reader chip finds when it polls. Between
them go ISO/IEC 14443-4 blocks with chaining both ways; while the card chip's host takes its time,
the card chip asks for more (S(WTX)), as a PN532 does.

The two chips may live in different threads. All that is on the air belongs to the reader's; what
goes over to the other is handed to `to_card` and `to_reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..cards.iso_dep import Picc, Reply
from .picc_b import PiccB
from .pn532_iso_dep import RF_BYTE_SECONDS, Outcome, Sent, Steps
from .presented import Presented

if TYPE_CHECKING:
    from .pn532 import Pn532

Post = Callable[[Callable[[], None]], None]

EARLY = 0.7  # of the frame waiting time has passed when the card chip asks for more
_TIMEOUT = 0x01


@dataclass
class Face:
    """What a card chip shows on the air. It works no command itself: its host does."""

    uid: bytes
    atqa: int
    sak: int
    ats: bytes
    seconds: float = 0.0

    def apdu(self, command: bytes) -> bytes:
        return b""

    def power_off(self) -> None:
        return None


class Air:
    """Joins two chips for good. Without `to_reader` and `to_card` both live in one thread."""

    def __init__(
        self,
        reader: Pn532,
        card: Pn532,
        to_reader: Post | None = None,
        to_card: Post | None = None,
    ) -> None:
        self.reader = reader
        self._card = card
        self._to_reader: Post = to_reader or (lambda f: reader.call_later(0, f))
        self._to_card: Post = to_card or (lambda f: card.call_later(0, f))
        self._offered: Presented | None = None
        card.as_card.air = self
        reader.field.chips.append(self)

    # What the card chip does, in its own thread

    def offer(self, face: Face) -> None:
        """The card chip answers polls from now on."""
        self._tell_reader(lambda: self._enter(face))

    def withdraw(self) -> None:
        """It answers nothing any more."""
        self._tell_reader(self._leave)

    def answer(self, data: bytes) -> None:
        """The answer to the last command, from the card chip's host."""

        def speak() -> None:
            if self._offered is not None:
                picc = self._offered.picc
                assert isinstance(picc, PlayedPicc)
                picc.answered(data)

        self._tell_reader(speak)

    # What the reader chip sees, in its thread

    def presented(self) -> Presented | None:
        return self._offered

    def activated(self, rats: bytes) -> None:
        self._tell_card(lambda: self._card.as_card.activated(rats))

    def command(self, data: bytes) -> None:
        self._tell_card(lambda: self._card.as_card.commanded(data))

    def released(self) -> None:
        """Deselected, or the field went off: the card chip is deaf until its host begins anew."""
        offered, self._offered = self._offered, None
        self._lose(offered)
        self._tell_card(self._card.as_card.released)

    def _enter(self, face: Face) -> None:
        self._leave()
        presented = Presented(face)
        presented.picc = PlayedPicc(face, self)
        presented.picc_b = PiccB(presented.picc)
        self._offered = presented
        self.reader.look_again()

    def _leave(self) -> None:
        offered, self._offered = self._offered, None
        if offered is None:
            return
        self._lose(offered)
        assert isinstance(offered.picc, PlayedPicc)
        offered.picc.vanish()

    def _lose(self, presented: Presented | None) -> None:
        for target in self.reader.field.targets:
            if target.presented is presented:
                target.lost_status = _TIMEOUT

    def _tell_reader(self, function: Callable[[], None]) -> None:
        self._to_reader(lambda: self.reader.do(function))

    def _tell_card(self, function: Callable[[], None]) -> None:
        self._to_card(lambda: self._card.do(function))


class PlayedPicc(Picc):
    """The radio part of a card chip: blocks, not commands, are its own business."""

    def __init__(self, face: Face, air: Air) -> None:
        super().__init__(face)
        self.gone = False
        self._air = air
        self._forget()

    def _forget(self) -> None:
        self._generation = getattr(self, "_generation", 0) + 1
        self._asked: bytes | None = None
        self._steps: Steps[Outcome] | None = None
        self._done: Callable[[Outcome], None] = lambda outcome: None
        self._sizes = 0

    def activate(self, fsdi: int = 8, cid: int | None = None) -> bytes:
        ats = super().activate(fsdi, cid)
        self._air.activated(bytes([0xE0, fsdi << 4 | (cid or 0)]))
        return ats

    def deselect(self) -> None:
        was_active = self.active
        super().deselect()
        self._forget()
        if was_active and not self.gone:
            self.gone = True
            self._air.released()

    def vanish(self) -> None:
        """It is taken away; an exchange under way will not be answered."""
        self.gone = True
        steps, done = self._steps, self._done
        self._forget()
        if steps is not None:
            done(Outcome(_TIMEOUT))

    def respond(self, data: bytes) -> list[Reply]:
        return [] if self.gone else super().respond(data)

    # A reader chip's exchange, block by block

    def carry(self, steps: Steps[Outcome], done: Callable[[Outcome], None]) -> None:
        """Go through the blocks of an exchange; `done` is called when it is over, later."""
        self._steps, self._done, self._sizes = steps, done, 0
        self._send_block(next(steps))

    def _send_block(self, sent: Sent) -> None:
        self._generation += 1
        generation = self._generation
        self._sizes += len(sent.block)
        replies = self.respond(sent.block)
        if replies:
            self._hear(replies)
            return

        def silent() -> None:
            if generation == self._generation:
                self._air.reader.do(lambda: self._hear([]))

        self._air.reader.call_later(sent.limit, silent)

    def _hear(self, replies: list[Reply]) -> None:
        """What the card chip sends, or its silence, is taken by the reader chip."""
        self._generation += 1
        if self._steps is None:
            return
        # The time until now has really passed.
        replies = [replace(reply, seconds=0.0) for reply in replies]
        self._sizes += sum(len(reply.data) for reply in replies)
        try:
            sent = self._steps.send(replies)
        except StopIteration as end:
            self._steps = None
            outcome: Outcome = end.value
            seconds = None if outcome.seconds is None else self._sizes * RF_BYTE_SECONDS
            self._done(replace(outcome, seconds=seconds))
        else:
            self._send_block(sent)

    # The host of the card chip works the command

    def _work(self, command: bytes) -> bytes:
        self._asked = command
        self._air.command(command)
        self._ask_before_it_is_too_late()
        return b""

    def answered(self, data: bytes) -> None:
        """The host's answer to the command that it was given last."""
        command, self._asked = self._asked, None
        if command is None:
            return
        self.worked(command, data)
        self._wtx = None
        self._pending = data
        self._hear(self._send(self._chunk(), "answer"))

    def _ask_before_it_is_too_late(self) -> None:
        command = self._asked

        def ask() -> None:
            if command is not None and self._asked is command and self._wtx is None:
                self._wtx = {"wtxm": 1}
                self._air.reader.do(lambda: self._hear([Reply(self._wtx_request())]))

        self._air.reader.call_later(EARLY * self.frame_waiting_time, ask)

    def _wtx_response(self, granted: int) -> list[Reply]:
        if self._wtx is None or granted & 0x3F != self._wtx["wtxm"]:
            return []
        self._wtx = None
        self._ask_before_it_is_too_late()
        return []
