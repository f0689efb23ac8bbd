"""Taps written down by `make(..., trace=FILE)` and run again through the kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from faretap.cli import common
from faretap.cli import replay as replay_command
from faretap.errors import FaretapError
from faretap.replay import ReplayError, load_rules, read, replay
from faretap.sim import cards
from faretap.sim.cards import AMOUNT, CARDS
from faretap.sim.cards.scheme import configuration
from validator.media import cards as kernel
from validator.media import terminal
from validator.media.phases import Phases
from validator.nfc.reader import CardLost

UNIX = 1_785_556_800  # 2026-08-01 12:00 in Beijing
RULES = configuration()


class Clock:
    def ticks_us(self) -> int:
        return 0

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier


def record(path: Path, name: str, **options: Any) -> Any:
    """A tap of that card, its APDUs in `path`; the kernel's result."""
    import asyncio

    card = cards.make(name, trace=str(path), **options)

    class Link:
        async def transceive(self, command: bytes) -> bytes:
            answer = card.apdu(bytes(command))
            if not answer:
                raise CardLost("timeout")
            return answer

        async def reset(self) -> bool:
            card.power_off()
            return True

    data = terminal.make(UNIX, AMOUNT, rules=load_rules(RULES))
    data["open"] = lambda result: 0
    return asyncio.run(kernel.run(Link(), Clock(), Phases(Clock()), terminal_data=data))


@pytest.mark.parametrize("name", [n for n in CARDS if n not in ("mifare", "tunion")])
def test_every_card_replays_to_the_same_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tap.jsonl"
    lived = record(path, name)
    report = replay(read(path), RULES)
    assert (report.result.outcome, report.result.reason) == (lived.outcome, lived.reason)
    if name != "phone-not-ready":  # the recorded card cannot be reset
        assert report.result.detail == lived.detail
    assert not report.diverged


def test_the_terminal_is_taken_from_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    report = replay(read(path), RULES)
    assert report.amount == 200 and len(report.random) == 4
    assert report.to_json()["at"].startswith("2026-")
    assert report.to_json()["masked"] == "629999******0012"


def test_another_random_number_time_or_amount_does_not_verify(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    recording = read(path)
    report = replay(recording, RULES, random=b"\1\2\3\4")
    assert "80a80000" in report.diverged  # the card was never asked this
    assert report.result.reason == "card_lost"
    assert replay(recording, RULES, amount=1).diverged


def test_without_rules_the_issuer_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-credit")
    assert replay(read(path)).result.reason == "unknown_issuer"


def test_a_trace_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    lines = path.read_text().splitlines()
    for n in range(3, len(lines)):
        path.write_text("\n".join(lines[:n]))
        report = replay(read(path), RULES)
        assert report.result.reason == "card_lost" and report.diverged


def test_a_card_that_left_is_replayed_as_one(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[-1]["response"] = None
    lines.append({"end": "card_lost"})
    path.write_text("\n".join(json.dumps(line) for line in lines))
    recording = read(path)
    assert recording.end == "card_lost"
    report = replay(recording, RULES)
    assert report.result.reason == "card_lost" and not report.diverged


def test_extra_apdus_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    lines = path.read_text().splitlines()
    lines.insert(4, json.dumps({"command": "80ca9f7900", "response": "6a88", "ms": 1}))
    path.write_text("\n".join(lines))
    assert replay(read(path), RULES).result.outcome == "accepted"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no APDU"),
        ("{}", "no trace"),
        ("[]", "no trace"),
        ("nonsense", "line 1"),
        ('{"trace": 2}', "no trace of version 1"),
        ('{"trace": 1}', "holds no APDU"),
        ('{"trace": 1}\n{"command": "zz", "response": "9000"}', "line 2"),
        ('{"trace": 1}\n{"command": "00"}', "line 2"),
        ('{"trace": 1}\n7', "line 2"),
    ],
)
def test_files_that_are_no_trace(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(ReplayError, match=words):
        read(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        read(tmp_path / "absent")
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReplayError, match="not UTF-8"):
        read(path)


def test_any_apdus_end_in_a_result(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(
        '{"trace": 1}\n'
        '{"command": "00a4040007a000000333010100", "response": "6f039f38819000"}\n'
        '{"command": "80a8000002830000", "response": "9000"}\n'
    )
    assert replay(read(path), RULES).result.outcome in ("declined", "retry")


# The command


def command(*arguments: str) -> Any:
    assert replay_command  # it adds itself to the commands
    return CliRunner().invoke(common.app, ["replay", *arguments])


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-phone")
    done = command(str(path), "--test-cards")
    assert done.exit_code == 0 and "accepted" in done.output
    assert "629998******0014" in done.output and "6299980000000000014" not in done.output
    parsed = json.loads(command(str(path), "--json").stdout)
    assert parsed["reason"] == "unknown_issuer" and parsed["apdus"] == 8
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(RULES))
    parsed = json.loads(command(str(path), "--rules", str(rules), "--json").stdout)
    assert parsed["outcome"] == "accepted" and parsed["evidence"] > 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--un", "12"], "8 hex digits"),
        (["--un", "zzzzzzzz"], "8 hex digits"),
        (["--time", "noon"], "is no time"),
        (["--rules", "/nonexistent"], "cannot be read"),
        (["--rules", "RULES", "--test-cards"], "one too many"),
        (["--rules", "RULES"], "limits.tap"),
        (["--rules", "LIST"], "no JSON object"),
        (["--rules", "TEXT"], "not JSON"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    for name, text in (("RULES", '{"limits": {"tap": "x"}}'), ("LIST", "[]"), ("TEXT", "{")):
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / a) if a in ("RULES", "LIST", "TEXT") else a for a in arguments]
    done = command(str(path), *paths)
    assert isinstance(done.exception, FaretapError)
    assert words in str(done.exception)


def test_a_masked_trace_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "tap.jsonl"
    record(path, "quickpass-debit")
    path.write_text(path.read_text().replace('"numbers": "clear"', '"numbers": "masked"', 1))
    assert "masked" in command(str(path)).stderr
    assert replay(read(path), RULES).masked


def test_a_trace_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no trace can be written"):
        cards.make("quickpass-debit", trace=str(tmp_path / "absent" / "tap.jsonl"))
