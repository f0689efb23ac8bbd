"""A test card whose answers are as long as the command asks for."""

from __future__ import annotations


class Probe:
    """`80 CA hi lo` is answered by hi·256 + lo bytes (00 01 02 …) and 9000.

    `size` instead makes every answer as long, `fsci` and `fwi` say what the ATS announces.
    """

    atqa = 0x0004
    sak = 0x20

    def __init__(
        self,
        size: int | None = None,
        uid: bytes = bytes.fromhex("0B5E55ED"),
        fsci: int = 8,
        fwi: int = 7,
        rates: int = 0x00,
        seconds: float = 0.001,
    ) -> None:
        self.size = size
        self.uid = uid
        self.ats = bytes([5, 0x70 | fsci, rates, fwi << 4, 0x02])
        self.seconds = seconds
        self.commands: list[bytes] = []
        if len(uid) == 7:
            self.atqa = 0x0044

    def apdu(self, command: bytes) -> bytes:
        self.commands.append(bytes(command))
        if self.size is None and command[:2] != b"\x80\xca":
            return b"\x6d\x00"
        size = self.size if self.size is not None else command[2] << 8 | command[3]
        return bytes(n & 0xFF for n in range(size)) + b"\x90\x00"

    def power_off(self) -> None:
        return None
