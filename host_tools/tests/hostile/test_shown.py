"""Text from devices and files has no effect on a terminal, and JSON stays JSON."""

from __future__ import annotations

import io
import json
import sys

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from faretap.cli import common
from faretap.config import toml
from faretap.shown import Screen, as_json, as_text, shown

ORDERS = [chr(c) for c in (*range(32), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200B, 0xFEFF)]
ORDERS += ["\ud800", "\U000e0041", "\u2028"]


@pytest.mark.parametrize("order", ORDERS)
def test_no_order_is_left(order: str) -> None:
    assert shown(f"a{order}b").isprintable()
    assert order not in shown(f"a{order}b", lines=True) or order == "\n"
    text = as_json({"k": f"a{order}b"})
    assert order not in text or order == "\n"
    assert json.loads(text) == {"k": f"a{order}b"}


def test_usual_text_stays() -> None:
    text = "请上车 Welcome [bold] — ‘aboard’ ½ 🚌 \N{REPLACEMENT CHARACTER}"
    assert shown(text) == text
    assert json.loads(as_json(text)) == text
    assert as_text(text) == text


def test_what_is_long_is_cut() -> None:
    assert len(shown("A" * 200_000)) < 2100
    assert shown("A" * 200_000).endswith("… (200,000 characters)")


def test_a_screen_obeys_nobody() -> None:
    evil = "\x1b]0;pwned\x07\x1b[2J\x9b31m [/bold] [link=http://x] :smile: \ud800"
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, width=300, color_system="truecolor")
    table = Table(title=evil)
    table.add_column(evil)
    table.add_row(evil)
    for item in (evil, table, Panel(evil), Text(evil, "red"), {"a": evil}):
        screen.print(item)
    text = file.getvalue()
    assert "[/bold]" in text and "[link=http://x]" in text and ":smile:" in text
    for order in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\ud800"):
        assert order not in text
    assert "\x1b[31m" in text  # own styles are still styles


def test_errors_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    common.say("\x1b[2J [/dim]")
    with pytest.raises(SystemExit) as end:
        common.fail("x \\[/bold] \x1b]0;y\x07 " + "A" * 200_000)
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert "\x1b" not in told and "\x07" not in told
    assert "[/dim]" in told and "\\[/bold]" in told and len(told) < 3000


def test_a_configuration_as_toml_is_still_the_same() -> None:
    import tomllib

    body = {"a": "\x9b\u202e\x7f\U000e0041\x1b", "t": {"k\x9bk": [1, "x"]}}
    text = toml.dump(body)
    assert text.replace("\n", "").isprintable()
    assert tomllib.loads(text) == body


def test_a_terminal_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    from faretap import cli

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(cli, "app", lambda **options: print("票价"))
    cli.main()
    assert raw.getvalue() == b"\\u7968\\u4ef7\n"
