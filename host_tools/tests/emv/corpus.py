"""Taps of simulated cards, written down for the firmware's tests under MicroPython.

`python -m emv.corpus` in host_tools/tests writes firmware/tests/quickpass_corpus.py anew; a test
compares the two.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from faretap.replay import load_rules
from faretap.sim import cards
from faretap.sim.cards import AMOUNT, CARDS, scheme
from validator.media import cards as kernel
from validator.media import terminal
from validator.media.phases import Phases

FILE = Path(__file__).parents[3] / "firmware/tests/quickpass_corpus.py"
UNIX = 1_785_556_800  # 2026-08-01 12:00 in Beijing
RANDOM = bytes.fromhex("A1B2C3D4")
BASE = "quickpass-debit"
# Cards whose answers depend on more than the command cannot be written down so.
_OTHERS = (
    "quickpass-long-aid",
    "quickpass-unlisted",
    "quickpass-two",
    "quickpass-ecash-late",
)
NAMES = [name for name in CARDS if name.startswith("quickpass-") and name not in _OTHERS]
_WIDTH = 88


class _Clock:
    def ticks_us(self) -> int:
        return 0

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier


def key(command: bytes) -> str:
    """A command as it stands in the file; of those that say what the terminal is, the head."""
    return command.hex() if command[1] in (0xA4, 0xB2, 0xCA) else command[:4].hex()


def conversation(name: str) -> dict[str, str]:
    """{command: answer} of one tap, in hex."""
    card = cards.make(name)
    said: dict[str, str] = {}

    class Link:
        async def transceive(self, command: bytes) -> bytes:
            answer = card.apdu(bytes(command))
            said[key(bytes(command))] = answer.hex()
            return answer

    data = terminal.make(UNIX, AMOUNT, rules=load_rules(scheme.configuration()))
    data["random"] = lambda n: RANDOM[:n]
    data["open"] = lambda result: 1
    asyncio.run(kernel.run(Link(), _Clock(), Phases(_Clock()), terminal_data=data))
    return said


def text() -> str:
    """The module's source."""
    base = conversation(BASE)
    out = [
        '"""Taps of simulated QuickPass cards: made by host_tools/tests/emv/corpus.py.',
        "",
        "Each card is (outcome, reason, {command: answer}); answers that are the base card's are",
        'left out. SELECT, READ RECORD and GET DATA are whole, others 4 bytes. Test keys.\n"""',
        "",
        f"UNIX = {UNIX}",
        f'RANDOM = "{RANDOM.hex()}"',
        f"AMOUNT = {AMOUNT}",
        "",
        "CONFIG = {",
        '    "ca_keys": [',
    ]
    config = scheme.configuration()
    for key in config["ca_keys"]:
        out.append("        {")
        out += [_entry(member, value, 12) for member, value in key.items()]
        out.append("        },")
    out += ["    ],", '    "acquirer": {']
    out += [_entry(member, value, 8) for member, value in config["acquirer"].items()]
    out += ["    },", f'    "limits": {_plain(config["limits"])},', "}", ""]
    private = scheme.acquirer().private_numbers().d
    out += ["ACQUIRER_PRIVATE = (", *_lines(f"{private:x}", 4), ")", "", "BASE = {"]
    out += [_entry(command, answer, 4) for command, answer in base.items()]
    out += ["}", "", "CARDS = {"]
    for name in NAMES:
        entry = CARDS[name]
        out += [f'    "{name}": (', f'        "{entry.outcome}",', f'        "{entry.reason}",']
        own = [(c, a) for c, a in conversation(name).items() if base.get(c) != a]
        if own:
            out += ["        {", *(_entry(c, a, 12) for c, a in own), "        },"]
        else:
            out.append("        {},")
        out.append("    ),")
    return "\n".join([*out, "}", ""])


def _entry(key: str, value: str, indent: int) -> str:
    pad = " " * indent
    line = f'{pad}"{key}": "{value}",'
    if len(line) <= 99:
        return line
    head = f'{pad}"{key}": ('
    return "\n".join([head, *_lines(value, indent + 4), f"{pad}),"])


def _lines(value: str, indent: int) -> list[str]:
    width = _WIDTH - indent if indent + len(value) + 2 > 99 else len(value)
    return [f'{" " * indent}"{value[at : at + width]}"' for at in range(0, len(value), width)]


def _plain(value: dict[str, Any]) -> str:
    return "{" + ", ".join(f'"{name}": {number}' for name, number in value.items()) + "}"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
