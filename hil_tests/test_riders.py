"""Cards and codes that ship, on the wire and on the link: identified, recorded, kept secret."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from faretap.present import scan, tap
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim import cards, codes
from faretap.virtual import VirtualProcess
from validator.media import codes as code_media
from validator.media.phases import Phases

SEED = 734591268  # puts digits into card numbers that occur nowhere else

# name: medium, reason, first six and last four digits, balance
CARDS: dict[str, tuple[str, str, str, int | None]] = {
    "tunion": ("tunion", "unverified", "310499", 5000),
    "tunion-student": ("tunion", "unverified", "310499", 2000),
    "tunion-low": ("tunion", "unverified", "310499", 80),
    "quickpass-debit": ("quickpass", "unverified", "629999", None),
    "quickpass-credit": ("quickpass", "unverified", "629997", None),
    "quickpass-phone": ("quickpass", "unverified", "629998", None),
    "phone-not-ready": ("quickpass", "unverified", "629998", None),
    "mifare": ("unknown_card", "unsupported", "", None),
    "garbage": ("unknown_card", "", "", None),
    "empty": ("unknown_card", "unsupported", "", None),
}
CODES = {
    "mot": ("ride_code", "unverified"),
    "cpm": ("cpm", "unverified"),
    "union": ("union_code", "unverified"),
    "url": ("unknown_code", "unsupported"),
}


# What a card is declined with while nobody has given the validator keys to verify it with.
UNVERIFIED = ("unverified", "unknown_issuer")


def agree(session: Session, summary: dict[str, Any]) -> None:
    """The record of that number says what the summary says."""
    record = pull(session.link, summary["seq"])[0]
    assert record.seq == summary["seq"]
    assert record.medium == summary["medium"]
    assert (record.outcome, record.reason) == (summary["outcome"], summary["reason"])
    assert (record.token or "") == summary["token"]
    assert record.test  # no rider of a validator in service
    assert record.chain_ok is not False
    for name in ("select", "read", "verify", "decide"):
        assert record.phases[name] == summary["phases"][name], name


def test_the_lists_above_name_all_that_ships() -> None:
    assert set(CARDS) <= set(cards.names())
    assert set(CODES) | {"empty", "noise-5000"} <= set(codes.names())


@pytest.mark.parametrize("half", [0, 1])
def test_cards_on_the_wire_and_on_the_link(session: Session, half: int) -> None:
    tokens: dict[str, str] = {}
    expected_seq = 1
    for name in list(cards.names())[half::2]:
        if name not in CARDS:  # a variant of those: told by no less than what follows
            assert tap(session, name, via="link")["outcome"] in ("declined", "retry"), name
            expected_seq += 1
            continue
        medium, reason, prefix, balance = CARDS[name]
        # Each with a number of its own, save that a phone is the same whether ready or not.
        options = {"seed": SEED + len(tokens)} if prefix else {}
        wire = tap(session, name, via="wire", options=options)
        link = tap(session, name, via="link", options=options)
        for summary in (wire, link):
            assert summary["medium"] == medium, name
            assert summary["outcome"] == "declined", name
            if reason == "unverified":
                assert summary["reason"] in UNVERIFIED, name
            else:
                assert summary["reason"] in ([reason] if reason else ("unsupported", "malformed"))
            assert summary["balance"] == balance, name
            assert summary["seq"] == expected_seq, name
            expected_seq += 1
            agree(session, summary)
        assert wire["token"] == link["token"], name
        assert wire["masked"] == link["masked"], name
        if prefix:
            pan = cards.make(name, **options).pan  # type: ignore
            assert wire["masked"] == pan[:6] + "******" + pan[-4:]
            assert len(wire["token"]) == 16
            tokens[name] = wire["token"]
        else:
            assert wire["token"] == wire["masked"] == ""
    assert len(tokens) >= 3
    assert len(set(tokens.values())) == len(tokens)
    assert session.link.call("info")["taps"] == expected_seq - 1


def test_codes_on_the_wire_and_on_the_link(session: Session) -> None:
    tokens = []
    for name, (medium, reason) in CODES.items():
        wire = scan(session, codes.make(name))
        link = scan(session, codes.make(name), via="link")
        for summary in (wire, link):
            assert (summary["medium"], summary["reason"]) == (medium, reason), name
            assert summary["outcome"] == "declined", name
            agree(session, summary)
        assert link["seq"] == wire["seq"] + 1
        assert wire["token"] == link["token"], name
        if wire["token"]:
            tokens.append(wire["token"])
        else:
            assert reason == "unsupported"
    assert len(tokens) == len(set(tokens)) == 3
    # No content at all never comes from a scan engine; on the link it is malformed.
    assert scan(session, b"", via="link")["reason"] == "malformed"


def test_tokens_are_the_validators_own(make_board: Any) -> None:
    """The same card at two validators: two tokens, so that lists of two cannot be joined."""
    from faretap.session import connect

    seen = []
    for board in (make_board(), make_board()):
        with connect(board.port_url, wait=10.0) as session:
            seen.append(tap(session, "tunion", via="link")["token"])
    assert all(seen) and seen[0] != seen[1]


def test_a_token_outlives_the_power(session: Session) -> None:
    before = tap(session, "quickpass-debit", via="link")
    assert session.bench is not None
    session.bench.cycle()
    session.await_running(10.0)
    after = tap(session, "quickpass-debit", via="link")
    assert after["token"] == before["token"] != ""
    assert after["seq"] == before["seq"] + 1


def code_number(code: bytes) -> str:
    """The number that the firmware makes a token of."""
    run, phases, clock = cast(Any, code_media.run), cast(Any, Phases), StandingClock()
    return str(run(code, clock, phases(clock)).token_source.decode("ascii"))


class StandingClock:
    def ticks_us(self) -> int:
        return 0

    def diff(self, later: int, earlier: int) -> int:
        return later - earlier


def spellings(number: str) -> list[bytes]:
    """A card number as it could slip out: digits, digits in hex, BCD at either half of a byte."""
    even = number if len(number) % 2 == 0 else number[:-1]
    odd = number[1:] if len(number[1:]) % 2 == 0 else number[1:-1]
    return [
        number.encode(),
        number.encode().hex().encode(),
        number.encode().hex().upper().encode(),
        bytes.fromhex(even),
        bytes.fromhex(odd),
    ]


def test_no_number_leaves_the_validator_or_stays_in_it(
    session: Session, board: VirtualProcess, listen: Any
) -> None:
    """Neither a summary, a record, a log line, console text nor flash holds a card's number."""
    numbers = {}
    summaries = []
    for name in ("tunion", "quickpass-debit", "quickpass-phone"):
        numbers[name] = str(cards.make(name, seed=SEED).pan)  # type: ignore
        for via in ("wire", "link"):
            summaries.append(tap(session, name, via=via, options={"seed": SEED}))
            # A card that goes while its records are read leaves a half-told number behind.
            summaries.append(tap(session, name, via=via, options={"seed": SEED}, lose_at_apdu=4))
    for name in ("mot", "cpm", "union"):
        numbers[name] = code_number(codes.make(name))
        summaries += [scan(session, codes.make(name), via=via) for via in ("wire", "link")]
    session.link.call("log.recent")
    session.link.call("info")
    session.link.call("screen")
    records = pull(session.link, 0)
    assert len(records) == len(summaries)
    assert all(summary["outcome"] != "accepted" for summary in summaries)

    heard = listen.catch_up()
    assert json.dumps(summaries[0]["token"]).encode() in heard  # it did listen
    flash = (board.state / "flash.bin").read_bytes()
    assert bytes.fromhex(summaries[0]["token"]) in flash  # and the records are there
    kept = json.dumps([record.to_json() for record in records]).encode()
    for name, number in numbers.items():
        # Neither the whole number, nor what lies between the six and the four that may be shown.
        wanted = spellings(number)
        if name.startswith(("tunion", "quickpass")):
            wanted += spellings(number[6:-4])
        for where, what in (("line", heard), ("flash", flash), ("records", kept)):
            for spelling in wanted:
                assert len(spelling) >= 4
                assert spelling not in what, f"{name} in {where} as {spelling!r}"
