"""Numbers and texts as reports show them."""

from __future__ import annotations

import re

# What XML 1.0 cannot hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: object) -> str:
    """As text that XML and HTML can hold."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def number(value: float) -> str:
    """At most three digits behind the point, one from 100 on, and none that says nothing."""
    text = f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".")
