"""What others wrote, as it may be shown: text of devices, files and cards in a terminal or a page.

A terminal takes control characters for orders: an escape sequence moves the cursor, renames the
window, or hides what stood there. `shown` writes each as its number instead. Every text that did
not grow in this program goes through it, or through `Screen`, before it is printed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.segment import Segment

# C0 and C1 controls, DEL; what turns the direction of writing or is seen by nobody; surrogates,
# which no encoding takes; line and paragraph separators; tags; private use.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
_ANY = re.compile(f"[{_UNSAFE}]")
_BUT_LINES = re.compile(f"(?!\n)[{_UNSAFE}]")

LONG = 2000  # characters of one text that a person is shown


def shown(text: object, most: int = LONG, *, lines: bool = False) -> str:
    """`text` in one line without control characters, cut to `most` characters. With `lines`, the
    ends of lines stay."""
    plain = str(text)
    cut = len(plain) > most
    plain = (_BUT_LINES if lines else _ANY).sub(_number, plain[:most])
    return f"{plain}… ({len(str(text)):,} characters)" if cut else plain


def _number(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def as_text(text: str) -> str:
    """Many lines of a document of ours (TOML, JSON Lines, CSV) that hold what others wrote: what a
    terminal would obey becomes \\u and four digits, as JSON and TOML write it."""
    return _BUT_LINES.sub(_document_number, text)


def _document_number(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_json(value: Any, indent: int | None = 2) -> str:
    """JSON of it that is safe on a terminal as well: the same value, other spelling."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _BUT_LINES.sub(_json_number, text)


def _json_number(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


class Screen(Console):
    """A terminal on which text is text: neither Rich's markup nor a control character in it has
    any effect, whatever it is part of (tables, panels, lines). Own styles are Rich objects."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(_safe(buffer))


def _safe(buffer: Iterable[Segment]) -> Iterator[Segment]:
    for segment in buffer:
        if segment.control or not _BUT_LINES.search(segment.text):
            yield segment  # Rich's own cursor movements, and text without any
        else:
            yield Segment(_BUT_LINES.sub(_number, segment.text), segment.style)
