"""Cards that carry no medium: not ISO-DEP, nonsense, or no application at all."""

from __future__ import annotations

import random

from .card import NOT_FOUND, WRONG_INS, FileCard


class Mifare:
    """A MIFARE Classic 1K: activated by ISO 14443-3 only, answers no APDU."""

    atqa = 0x0004
    sak = 0x08
    ats = b""
    seconds = 0.005

    def __init__(self, uid: bytes = bytes.fromhex("5A17C3E9")) -> None:
        self.uid = uid

    def apdu(self, command: bytes) -> bytes:
        return b""

    def power_off(self) -> None:
        return None


class Garbage:
    """An ISO-DEP card that answers 1 to 64 random bytes; the same `seed`, the same bytes."""

    atqa = 0x0004
    sak = 0x20
    ats = bytes.fromhex("0578807002")
    seconds = 0.012

    def __init__(self, seed: int = 1, uid: bytes = bytes.fromhex("2B90D14C")) -> None:
        self.uid = uid
        self._random = random.Random(seed)

    def apdu(self, command: bytes) -> bytes:
        return self._random.randbytes(self._random.randint(1, 64))

    def power_off(self) -> None:
        return None


class Empty(FileCard):
    """An ISO-DEP card without an application: 6A82 to every SELECT."""

    def __init__(self, uid: bytes = bytes.fromhex("33F04A81")) -> None:
        super().__init__(uid)

    def apdu(self, command: bytes) -> bytes:
        self.commands.append(bytes(command))
        return NOT_FOUND if len(command) > 1 and command[1] == 0xA4 else WRONG_INS
