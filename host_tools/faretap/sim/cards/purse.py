"""Electronic cash on a QuickPass card: it pays offline (TC), when its last record is read."""

from __future__ import annotations

from typing import Any

from .card import Command, bcd, tlv
from .quickpass import QuickPass, invented_pan

ECASH = bytes.fromhex("A000000333010106")


class ElectronicCash(QuickPass):
    """A prepaid card with `balance` fen; asked for more, it refuses (AAC).

    The debit happens when its last record is read, and not before: a card torn away earlier has
    paid nothing. `boasts` makes it answer with a TC whatever it holds; `secretive` refuses GET
    DATA of the balance.
    """

    def __init__(
        self,
        *,
        balance: int = 5000,
        boasts: bool = False,
        secretive: bool = False,
        seed: int = 5,
        **options: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "pan": invented_pan("629995", seed),
            "aid": ECASH,
            "label": "UnionPay Cash",
            "oda_online": False,
            "par": "",
        }
        super().__init__(seed=seed, **{**defaults, **options})
        self.balance = balance
        self._boasts = boasts
        self._secretive = secretive
        self._open = 0

    def power_off(self) -> None:
        super().power_off()
        self._open = 0

    def _decide(self, terminal: dict[int, bytes]) -> str:
        amount = int(terminal[0x9F02].hex())
        if self._boasts:
            return "tc"
        if amount > self.balance:
            return "aac"
        self._open = amount
        return "tc"

    def _read_record(self, command: Command) -> bytes:
        answer = super()._read_record(command)
        if (command.p2 >> 3, command.p1) == (3, 1) and answer[-2:] == b"\x90\x00":
            self.balance -= self._open
            self._open = 0
        return answer

    def _get_data(self, command: Command) -> bytes:
        if command.p1 << 8 | command.p2 == 0x9F79 and not self._secretive:
            return tlv(0x9F79, bcd(f"{self.balance:012d}", 6)) + b"\x90\x00"
        return super()._get_data(command)
