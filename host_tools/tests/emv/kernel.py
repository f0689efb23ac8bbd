"""A terminal for the tests: the firmware's kernel under CPython, with a test scheme's rules."""

# The firmware carries no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from faretap.replay import load_rules
from faretap.sim.cards import Card
from faretap.sim.cards.scheme import configuration
from riders_bench import memory  # type: ignore[import-not-found]
from validator.media import cards, quickpass_torn, terminal
from validator.media.phases import Phases
from validator.media.riders import QUICKPASS
from validator.media.riders_open import some
from validator.nfc.reader import CardLost

NOON = 1_785_556_800  # 2026-08-01 12:00 in Beijing


class Kernel:
    """`tap` presents a card; time stands still unless `unix` is moved."""

    def __init__(
        self, config: dict[str, Any] | None = None, deny: Callable[[bytes], bool] | None = None
    ) -> None:
        self.seconds = NOON
        self.trusted = True
        self.us = 0
        self.rules = load_rules(configuration() if config is None else config, deny=deny)
        self.forget()
        self.log: list[bytes] = []
        self.records: list[dict[str, Any]] = []
        """What a journal would have of each, record 1 first."""

    def forget(self) -> None:
        """A memory of riders that knows nobody, on this clock."""
        riders = memory(self, journal=self)
        self.rules["riders"] = riders
        self.rules["torn"] = quickpass_torn.Torn(riders)
        riders.cumulative[QUICKPASS] = self.rules["cumulative_s"]

    def torn(self) -> list[int]:
        """Numbers of the records of payments that are open."""
        found = some(self.rules["riders"], 0, 1000, 100000)[0]
        return [each[3] for each in found if each[1] == "torn"]

    @property
    def next_seq(self) -> int:
        return len(self.records) + 1

    # The clock

    def ticks_us(self) -> int:
        return self.us

    def ticks_ms(self) -> int:
        return self.us // 1000 + 1000 * self.seconds

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

        data = terminal.make(self.seconds, amount, 0, self.trusted, self.rules)
        data["open"] = self._record
        result = asyncio.run(cards.run(Link(), self, Phases(self), terminal_data=data))
        card.power_off()
        if durable:
            if not result.kept:
                self._record(result)
            if result.settled is not None:
                result.settled()
        return result

    def _record(self, result: Any) -> int:
        """A record of a result, with what of it is kept; its number."""
        source = result.token_source
        fields = {
            "medium": result.medium,
            "outcome": result.outcome,
            "reason": result.reason,
            "time": self.seconds,
            "fare": result.fare,
            "token": None if source is None else self.rules["token"](source),
            "detail": json.loads(json.dumps(result.detail)),
            "evidence": result.evidence,
        }
        self.records.append(fields)
        return len(self.records)

    def restart(self) -> None:
        """Whatever was in memory is what the records say."""
        self.forget()
        for seq, fields in enumerate(self.records, 1):
            self.rules["torn"].recall(seq, fields)

    def evidence_of(self, result: Any) -> bytes:
        """What settles a ride: its own evidence, or that of the record it names."""
        sealed = result.evidence
        if sealed is None:
            sealed = self.records[result.detail["of"] - 1]["evidence"]
        assert isinstance(sealed, bytes)
        return sealed
