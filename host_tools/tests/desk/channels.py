"""Cards without a reader: a simulated card asked directly, and a trace played back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from faretap.desk.report import Radio
from faretap.sim.cards import Card

NOW = datetime(2025, 6, 1, 12, 0, 0)


def radio_of(card: Card) -> Radio:
    return Radio(card.uid, card.atqa, card.sak, card.ats)


class Direct:
    """APDUs straight to a simulated card; `change` may spoil its n-th answer (from 0)."""

    def __init__(
        self,
        card: Card,
        change: Callable[[int, bytes], bytes] = lambda n, answer: answer,
        limit: int = 500,
    ) -> None:
        self.card = card
        self.change = change
        self.limit = limit
        self.log: list[tuple[bytes, bytes]] = []

    def transceive(self, command: bytes) -> bytes:
        assert len(self.log) < self.limit, "the card keeps the reader busy without end"
        answer = self.change(len(self.log), self.card.apdu(command))
        self.log.append((command, answer))
        return answer

    def reset(self) -> bool:
        self.card.power_off()
        return True


class Canned:
    """What a card answered once, by command, and 6A82 to what it was not asked; `change` may
    spoil its n-th answer (from 0). Cheap: nothing is signed."""

    def __init__(
        self, log: list[tuple[bytes, bytes]], change: Callable[[int, bytes], bytes]
    ) -> None:
        self.answers = {self._key(command): answer for command, answer in log}
        self.change = change
        self.asked = 0

    @staticmethod
    def _key(command: bytes) -> bytes:
        return command[:5] if command[1] == 0xA8 else command  # a random number is in GPO

    def transceive(self, command: bytes) -> bytes:
        assert self.asked < 500, "the card keeps the reader busy without end"
        self.asked += 1
        return self.change(self.asked - 1, self.answers.get(self._key(command), b"\x6a\x82"))

    def reset(self) -> bool:
        return True


class Replay:
    """The answers of a trace's lines, in order, to the same kinds of commands."""

    def __init__(self, lines: Iterable[dict[str, Any]]) -> None:
        self.lines = [x for x in lines if "command" in x or "activated" in x][1:]

    def transceive(self, command: bytes) -> bytes:
        line = self.lines.pop(0)
        asked = bytes.fromhex(line["command"])
        if asked[1] == 0xA8:  # the unpredictable number is another one
            asked, command = asked[:5], command[:5]
        assert asked == command
        return bytes.fromhex(line["response"])

    def reset(self) -> bool:
        if self.lines and "activated" in self.lines[0]:
            self.lines.pop(0)
            return True
        return False
