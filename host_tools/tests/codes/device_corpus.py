"""Simulated codes, written down for the firmware's tests under MicroPython.

`python -m codes.device_corpus` in host_tools/tests writes firmware/tests/code_corpus.py anew; a
test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faretap.sim.codes import AMOUNT, CODES, configuration, make

FILE = Path(__file__).parents[3] / "firmware/tests/code_corpus.py"
UNIX = 1893456000
NAMES = (
    "mot",
    "mot-custom",
    "mot-local-id",
    "mot-student",
    "mot-format-21",
    "mot-skewed",
    "mot-future",
    "mot-stale",
    "mot-unauthorised",
    "mot-too-late",
    "mot-over-limit",
    "mot-limit-exact",
    "mot-cert-expired",
    "mot-root-expired",
    "mot-unknown-root",
    "mot-own-certificate",
    "mot-issuer-mismatch",
    "mot-foreign-platform",
    "mot-stolen",
    "mot-wrong-user-key",
    "mot-user-key-off-curve",
    "mot-user-key-format",
    "mot-truncated",
    "mot-user-r-plus-s-n",
    "mot-local-id-missing",
    "mot-default-id-local",
    "union",
    "union-stale",
    "union-unknown-key",
    "union-wrong-key",
    "alipay",
    "alipay-s-negated",
    "alipay-wrong-issuer-key",
    "alipay-user-key-off-curve",
    "alipay-user-der-padded",
    "alipay-sm2",
    "alipay-sm2-wrong-user-key",
    "alipay-prefixed",
    "cpm",
    "cpm-expired",
    "cpm-no-pan",
    "cpm-numeric",
)
_WIDTH = 92


def text() -> str:
    """The module's source."""
    out = [
        '"""Simulated codes: made by host_tools/tests/codes/device_corpus.py. Test keys.',
        "",
        "CONFIG takes them; each code is (outcome, reason, first broken signature or None, bytes",
        'in hex).\n"""',
        "",
        f"UNIX = {UNIX}",
        f"AMOUNT = {AMOUNT}",
        "",
        "CONFIG = {",
    ]
    for name, value in configuration().items():
        out += _entry(name, value)
    out += ["}", "", "CODES = {"]
    for name in NAMES:
        code = CODES[name]
        broken = code.broken[0] if code.broken else None
        out += [
            f'    "{name}": (',
            f'        "{code.expected[0]}",',
            f'        "{code.expected[1]}",',
        ]
        out.append(f'        "{broken}",' if broken else "        None,")
        out += [*_text(make(name, at=UNIX).hex(), 8), "    ),"]
    return "\n".join([*out, "}", ""])


def _entry(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        plain = repr(value).replace("'", '"')
        return [f'    "{name}": {plain},']
    out = [f'    "{name}": [']
    for item in value:
        if isinstance(item, str):
            out += _text(item, 8)
            continue
        out.append("        {")
        for key, member in item.items():
            line = f'            "{key}": {repr(member)},'.replace("'", '"')
            assert len(line) < 99
            out.append(line)
        out.append("        },")
    return [*out, "    ],"]


def _text(value: str, indent: int) -> list[str]:
    pad = " " * indent
    if indent + len(value) + 3 <= 99:
        return [f'{pad}"{value}",']
    width = _WIDTH - indent
    inner = " " * (indent + 4)
    parts = [f'{inner}"{value[at : at + width]}"' for at in range(0, len(value), width)]
    return [f"{pad}(", *parts, f"{pad}),"]


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
