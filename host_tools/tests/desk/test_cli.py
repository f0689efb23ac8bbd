"""The commands `faretap card read` and `faretap card dump`, as a technician runs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import faretap.cli.card  # noqa: F401 adds the commands
from faretap.cli import main
from faretap.sim import cards
from tests.desk.bench_reader import Bench


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["faretap", "card", *arguments])
    monkeypatch.delenv("FARETAP_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_read_for_people(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.lay("tunion-student")
    assert run(monkeypatch, "read", "--reader", bench.path, "--wait", "0") == 0
    rows = dict(
        line.strip().split("  ", 1) for line in capsys.readouterr().out.splitlines() if line
    )
    assert {k: v.strip() for k, v in rows.items()} == {
        "medium": "T-Union card, T-Union",
        "AID": "a000000632010105",
        "label": "MOT_T_EP",
        "number": "310499******0025",
        "valid": "2024-01-01 to 2044-12-31",
        "balance": "20.00 yuan",
        "issuer": "0310499999999999",
        "application": "EP",
        "card type": "student",
        "interoperable": "yes",
        "country": "00000156",
        "province": "3100",
        "city": "2900",
        "UID": "unique, 7 bytes, NXP",
        "ATQA, SAK": "0044, 20",
        "ATS": "0578807002",
    }


def test_read_as_json(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.lay("quickpass-phone")
    assert run(monkeypatch, "read", "--reader", bench.path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["medium"] == "quickpass" and report["media"][0]["form"] == "phone"


def test_reader_from_the_environment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FARETAP_READER", bench.path)
    bench.lay("mifare")
    assert run(monkeypatch, "read") == 0
    shown = capsys.readouterr().out
    assert "unknown" in shown and "not an ISO 14443-4 card" in shown


def test_a_label_with_markup_is_only_text(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.lay(cards.make("quickpass-debit", label="[/bold][red]x"))
    assert run(monkeypatch, "read", "--reader", bench.path) == 0
    assert "[/bold][red]x" in capsys.readouterr().out


@pytest.mark.parametrize("clear", [False, True])
def test_dump(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    clear: bool,
) -> None:
    card = bench.lay(cards.make("tunion", pan="3104991234567891238"))
    file = tmp_path / "card.jsonl"
    extra = ("--with-numbers",) if clear else ()
    assert run(monkeypatch, "dump", "--reader", bench.path, "--out", str(file), *extra) == 0
    shown = capsys.readouterr()
    assert "4 commands to tunion" in shown.out
    assert ("warning" in shown.err) == clear
    text = file.read_text()
    assert (card.pan in text) == clear  # type: ignore[attr-defined]
    assert [list(json.loads(x))[0] for x in text.splitlines()] == [
        "trace",
        "activated",
        *["command"] * 4,
        "end",
    ]


def test_dump_keeps_what_came_before_the_loss(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    bench.lay("tunion", lose_at_apdu=3)
    file = tmp_path / "card.jsonl"
    assert run(monkeypatch, "dump", "--reader", bench.path, "--out", str(file)) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "error: The card was pulled away or fell silent after 2 answers." in error
    lines = [json.loads(x) for x in file.read_text().splitlines()]
    assert lines[-2]["response"] is None and lines[-1] == {"end": "card_lost"}


@pytest.mark.parametrize("where", ["missing/card.jsonl", "."])
def test_dump_says_early_that_it_cannot_write(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    where: str,
) -> None:
    assert run(monkeypatch, "dump", "--reader", "usb", "--out", str(tmp_path / where)) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_errors_are_one_line_without_traceback(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "read", "--reader", bench.path, "--wait", "0") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: No card was laid on the reader within 0 s. Lay one card")
    assert "Traceback" not in error and len(error.splitlines()) == 1
    assert run(monkeypatch, "read", "--reader", "/dev/no-such-reader") == 1
    assert "There is no reader at /dev/no-such-reader." in capsys.readouterr().err
