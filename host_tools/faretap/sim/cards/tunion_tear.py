"""Where a purse card is torn out of the field: `tear="debit:after"`.

A tear is the name of a step and, behind a colon, a moment: `before` (the command does not reach
the card), `during` (the card loses its power while it works: nothing has changed) or `after` (the
card has done its work, and no answer gets out; this is the default). A number behind the step
tells its occurrence: `cache#2:before` is the second UPDATE CAPP DATA CACHE.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .card import PPSE, Command

STEPS = {
    "ppse": "SELECT of the directory",
    "select": "SELECT of the purse",
    "public": "READ BINARY of file 15",
    "holder": "READ BINARY of file 16",
    "administration": "READ BINARY of file 17",
    "log": "READ RECORD of file 18",
    "trip": "READ RECORD of file 1E",
    "composite": "READ RECORD of file 1A",
    "balance": "GET BALANCE",
    "init": "INITIALIZE FOR PURCHASE or CAPP PURCHASE",
    "cache": "UPDATE CAPP DATA CACHE",
    "debit": "DEBIT FOR PURCHASE",
    "proof": "GET TRANSACTION PROVE",
}
MOMENTS = ("before", "during", "after")

_FILES = {0x15: "public", 0x16: "holder", 0x17: "administration"}
_RECORDS = {0x18: "log", 0x1E: "trip", 0x1A: "composite"}
_COMMANDS = {0x5C: "balance", 0x50: "init", 0xDC: "cache", 0x54: "debit", 0x5A: "proof"}


class PowerLost(Exception):
    """The field is gone while the card works."""


def step_of(command: bytes) -> str:
    """The name of what a terminal does with this command; "" if it is none of `STEPS`."""
    parsed = Command.parse(command)
    if parsed is None:
        return ""
    if parsed.ins == 0xA4:
        return "ppse" if parsed.data == PPSE else "select"
    if parsed.ins == 0xB0:
        return _FILES.get(parsed.p1 & 0x1F, "")
    if parsed.ins == 0xB2:
        return _RECORDS.get(parsed.p2 >> 3, "")
    return _COMMANDS.get(parsed.ins, "") if parsed.cla == 0x80 else ""


@dataclass
class Tear:
    """Strikes once, at the `left`-th command of its step."""

    step: str
    moment: str
    left: int = 1

    @classmethod
    def parse(cls, text: str) -> Tear:
        """ValueError says what there is to choose from."""
        found = re.fullmatch(r"([a-z]+)(?:#([1-9][0-9]?))?(?::([a-z]+))?", text)
        step, number, moment = found.groups() if found else (text, None, None)
        if step not in STEPS:
            raise ValueError(f"tear is at one of {', '.join(STEPS)}, not {text!r}")
        moment = moment or "after"
        if moment not in MOMENTS:
            raise ValueError(f"tear is {', '.join(MOMENTS)} its step, not {moment!r}")
        return cls(step, moment, int(number or 1))

    def strikes(self, command: bytes) -> bool:
        """Count this command; True if it is the one."""
        if step_of(command) == self.step:
            self.left -= 1
            return self.left == 0
        return False
