"""Electronic cash on a QuickPass card: it pays offline (TC), when its last record is read."""

from __future__ import annotations

from typing import Any

from .card import CONDITIONS_NOT_SATISFIED, Command, bcd, tlv
from .quickpass import QuickPass, invented_pan

ECASH = bytes.fromhex("A000000333010106")


class ElectronicCash(QuickPass):
    """A prepaid card with `balance` fen; asked for more, it refuses (AAC).

    The debit happens when its last record is read, and not before: a card torn away earlier has
    paid nothing. As UnionPay's personalisation has it, that record holds the authorisation code
    (9F74) and nothing else; of a `late` card it is the one with what the signature covers (9F69).
    `boasts` makes it answer with a TC whatever it holds; `secretive` refuses GET DATA of the
    balance; `refuses_nothing` a transaction of 0 fen.
    """

    # SFI 3: what a tap fills in, then the authorisation code.
    _AFL = bytes.fromhex("1001040118010200")

    def __init__(
        self,
        *,
        balance: int = 5000,
        boasts: bool = False,
        secretive: bool = False,
        late: bool = False,
        refuses_nothing: bool = False,
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
        self._refuses_nothing = refuses_nothing
        self._commits_at = (3, 1 if late else 2)
        if late:
            self._AFL = QuickPass._AFL
        else:
            self._records[self._commits_at] = tlv(0x70, tlv(0x9F74, b"ECC001"))
        self._open = 0

    def power_off(self) -> None:
        super().power_off()
        self._open = 0

    def _process(self, terminal: dict[int, bytes]) -> bytes:
        if self._refuses_nothing and not int(terminal[0x9F02].hex()):
            return CONDITIONS_NOT_SATISFIED
        return super()._process(terminal)

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
        if (command.p2 >> 3, command.p1) == self._commits_at and answer[-2:] == b"\x90\x00":
            self.balance -= self._open
            self._open = 0
        return answer

    def _get_data(self, command: Command) -> bytes:
        if command.p1 << 8 | command.p2 == 0x9F79 and not self._secretive:
            return tlv(0x9F79, bcd(f"{self.balance:012d}", 6)) + b"\x90\x00"
        return super()._get_data(command)
