"""A QuickPass card of the first years: GPO answers 80, then DDA and GENERATE AC.

The flow of a contact card, on an antenna.
"""

from __future__ import annotations

from typing import Any

from .card import (
    CONDITIONS_NOT_SATISFIED,
    OK,
    WRONG_CLA,
    WRONG_LENGTH,
    WRONG_P1P2,
    Command,
    tlv,
)
from .flaws import flip
from .quickpass import DECISIONS, QuickPass, invented_pan

_STANDARD = 0x40
_CID = {"arqc": 0x80, "tc": 0x40, "aac": 0x00}

CDOL1 = (
    (0x9F02, 6),
    (0x9F03, 6),
    (0x9F1A, 2),
    (0x95, 5),
    (0x5F2A, 2),
    (0x9A, 3),
    (0x9C, 1),
    (0x9F37, 4),
    (0x9F4C, 8),
)


class Legacy(QuickPass):
    """A debit card without qUICS. `template` 80 or 77: how it answers after GPO; `ddol` what it
    signs, as hex."""

    def __init__(
        self, *, template: int = 80, ddol: str = "9F3704", seed: int = 6, **options: Any
    ) -> None:
        self._ddol = bytes.fromhex(ddol)
        defaults: dict[str, Any] = {"pan": invented_pan("629994", seed), "oda_online": False}
        super().__init__(seed=seed, **{**defaults, **options})
        if template not in (77, 80):
            raise ValueError(f"template is 77 or 80, not {template}")
        self._template = template
        self._number = b""

    # The record of a tap is none: the AFL names only what was written once.
    _AFL = bytes.fromhex("10010401")

    def power_off(self) -> None:
        super().power_off()
        self._number = b""

    def _more_static(self) -> bytes:
        names = b"".join(
            tag.to_bytes(1 if tag < 0x100 else 2, "big") + bytes([size]) for tag, size in CDOL1
        )
        put = self.flaws.put
        return put(0x8C, names) + put(0x9F49, self._ddol) + put(0x57, self._track2())

    def _process(self, terminal: dict[int, bytes]) -> bytes:
        if not terminal[0x9F66][0] & _STANDARD:
            return CONDITIONS_NOT_SATISFIED
        self.atc += 1
        return tlv(0x80, self._aip + self.flaws.afl(self._AFL)) + OK

    def _handle(self, command: Command) -> bytes:
        if command.ins == 0x88:
            return self._internal_authenticate(command)
        if command.ins == 0xAE:
            return self._generate_ac(command)
        return super()._handle(command)

    def _internal_authenticate(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if command.p1 or command.p2:
            return WRONG_P1P2
        if len(command.data) != self._ddol[-1]:
            return WRONG_LENGTH
        self._number = self.random.randbytes(8)
        signed = self._earlier_number if self.flaws.forge == "replay" else command.data
        signature = self._scheme.dynamic_signature(b"\x08" + self._number, signed)
        if self.flaws.forge == "sdad":
            signature = flip(signature)
        if self._template == 80:
            return tlv(0x80, signature) + OK
        return tlv(0x77, tlv(0x9F4B, signature)) + OK

    def _generate_ac(self, command: Command) -> bytes:
        if command.cla != 0x80:
            return WRONG_CLA
        if command.p1 not in (0x00, 0x40, 0x80) or command.p2:
            return WRONG_P1P2
        if len(command.data) != sum(size for _, size in CDOL1):
            return WRONG_LENGTH
        if command.data[-8:] != self._number or not self._number:
            return CONDITIONS_NOT_SATISFIED
        decision = "aac" if command.p1 == 0 else self._decision
        assert decision in DECISIONS
        atc = self.atc.to_bytes(2, "big")
        data = self._application_data(decision)
        cryptogram = self._cryptogram(atc + command.data + data)
        if self._template == 80:
            return tlv(0x80, bytes([_CID[decision]]) + atc + cryptogram + data) + OK
        put = self.flaws.put
        answer = put(0x9F27, bytes([_CID[decision]])) + put(0x9F36, atc)
        return tlv(0x77, answer + put(0x9F26, cryptogram) + put(0x9F10, data)) + OK
