"""A terminal for the tests: the firmware's kernel under CPython, with a test scheme's rules."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from faretap.replay import load_rules
from faretap.sim.cards import Card
from faretap.sim.cards.scheme import configuration
from validator.media import cards
from validator.media.phases import Phases
from validator.nfc.reader import CardLost

NOON = 1_785_556_800  # 2026-08-01 12:00 in Beijing


class Kernel:
    """`tap` presents a card; time stands still unless `unix` is moved."""

    def __init__(
        self, config: dict[str, Any] | None = None, deny: Callable[[bytes], bool] | None = None
    ) -> None:
        self.rules = load_rules(configuration() if config is None else config, deny=deny)
        self.seconds = NOON
        self.trusted = True
        self.us = 0
        self.log: list[bytes] = []

    # The clock

    def ticks_us(self) -> int:
        return self.us

    def ticks_ms(self) -> int:
        return self.us // 1000

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier

    def unix(self) -> int:
        return self.seconds

    # The tap

    def tap(
        self,
        card: Card,
        amount: int = 200,
        lose_at: int = 0,
        durable: bool = True,
        after: bool = False,
    ) -> Any:
        """`lose_at` n pulls the card away at the n-th APDU; `after` it worked, or before."""
        self.log = []
        kernel = self

        class Link:
            count = 1
            apdu = bool(card.sak & 0x20)

            async def transceive(self, command: bytes) -> bytes:
                kernel.log.append(bytes(command))
                lost = len(kernel.log) == lose_at
                if lost and not after:
                    raise CardLost("timeout")
                answer = card.apdu(bytes(command))
                if lost or not answer:
                    raise CardLost("timeout")
                return answer

            async def reset(self) -> bool:
                card.power_off()
                return lose_at == 0

        result = asyncio.run(
            cards.run(Link(), self, Phases(self), rules=self.rules, amount=amount)
        )
        card.power_off()
        if durable and result.settled is not None:
            result.settled()
        return result
