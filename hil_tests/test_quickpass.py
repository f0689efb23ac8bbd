"""UnionPay cards and phones on a validator with the bench configuration: the table of cards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from faretap.cli.common import app
from faretap.records.collection import Collection, collect
from faretap.records.evidence import objects, unseal
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim.cards import CARDS, make, scheme
from faretap.testing.hands import Records, Rider
from faretap.virtual import VirtualProcess

QUICKPASS = [name for name in CARDS if not name.startswith(("tunion", "city"))]


# Many cards of the table share an account: here the same one may come back at once.
PATIENT = scheme.configuration()
PATIENT["limits"]["window_s"] = 0


def agrees(summary: dict[str, Any], name: str) -> None:
    entry = CARDS[name]
    assert summary["outcome"] == entry.outcome, (name, summary)
    if entry.reason is not None:
        assert summary["reason"] == entry.reason, (name, summary)


@pytest.mark.configuration(cards=PATIENT)
def test_every_card_of_the_table_on_the_link(rider: Rider) -> None:
    for name in QUICKPASS[::3]:  # the wire has them all
        agrees(rider.tap(name, via="link"), name)


@pytest.mark.wire
@pytest.mark.configuration(cards=PATIENT)
@pytest.mark.parametrize("quarter", range(4))
def test_every_card_of_the_table_on_the_wire(rider: Rider, quarter: int) -> None:
    for name in QUICKPASS[quarter::4]:
        agrees(rider.tap(name, via="wire"), name)


def test_an_accepted_ride_can_be_settled(
    rider: Rider, records: Records, validator: Session, tmp_path: Path
) -> None:
    """What only the acquirer can read: the card number in full, the cryptogram, the amount."""
    summary = rider.tap("quickpass-debit")
    assert (summary["outcome"], summary["fare"]) == ("accepted", 200)
    record = records.of(summary)
    assert record.fare_fen == 200 and record.config >= 1 and record.test
    assert (record.vehicle, record.line, record.stop) == ("T-0001", "42", "1")
    assert record.last4 == summary["masked"][-4:] and record.last4.isdigit()
    assert record.evidence is not None
    collection = Collection.open(tmp_path, validator.link.call("info")["serial"])
    collect(validator, collection)
    settled = objects(unseal(record.evidence, scheme.acquirer(), collection.key_blocks()))
    assert settled[0x9F02].hex() == "000000000200"
    assert settled[0x9F41].hex() == f"{record.seq:08d}"
    number = settled[0x57].hex().partition("d")[0]
    assert number.endswith(record.last4)
    for text in (record.body.hex(), repr(summary), bytes(validator.console).decode("latin1")):
        assert number not in text and number.encode().hex() not in text


def test_the_same_card_within_its_window(rider: Rider) -> None:
    assert rider.tap("quickpass-credit")["outcome"] == "accepted"
    again = rider.tap("quickpass-credit")
    assert (again["outcome"], again["reason"]) == ("declined", "too_soon")


def test_a_trace_of_a_tap_replays_to_the_same(board: VirtualProcess, tmp_path: Path) -> None:
    trace = tmp_path / "tap.trace"
    run = CliRunner()
    port = ["--port", board.port_url]
    command = ["tap", *port, "--card", "quickpass-debit", "--trace", str(trace), "--json"]
    result = run.invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["reason"] == "unverified"
    replayed = run.invoke(app, ["replay", str(trace), "--json"], catch_exceptions=False)
    assert replayed.exit_code == 0, replayed.output
    assert json.loads(replayed.stdout)["medium"] == "quickpass"


def test_electronic_cash_torn_and_back_after_a_power_cut(
    provision: Callable[..., Session], board: VirtualProcess
) -> None:
    """The card has paid and nobody heard of it; the validator's power goes, other riders come."""
    from faretap.link.client import CallError
    from faretap.present import CARD_LOST, tap_on_link

    session = provision(cards=PATIENT)
    card: Any = make("quickpass-ecash", balance=1000)

    class Torn:
        uid, atqa, sak, ats, seconds = card.uid, card.atqa, card.sak, card.ats, card.seconds

        def apdu(self, command: bytes) -> bytes:
            answer: bytes = card.apdu(command)
            if card.balance == 800:
                raise CallError(CARD_LOST, "the card left", {"kind": "card_lost"})
            return answer

        def power_off(self) -> None:
            card.power_off()

    torn = tap_on_link(session, Torn())
    assert (torn["outcome"], torn["reason"], card.balance) == ("retry", "card_lost", 800)
    # A phone without keys that has heard all of it, and a stranger with that balance.
    others: tuple[tuple[str, dict[str, Any]], ...] = (
        ("upcash-forged-tear", {"seed": 5, "balance": 800, "atc": 1}),
        ("quickpass-ecash", {"seed": 40, "balance": 800, "atc": 1}),
    )
    for name, options in others:
        other = tap_on_link(session, make(name, **options))
        assert other["outcome"] == ("declined" if name.startswith("upcash") else "accepted")
    session.forget_notifications()
    with board.bench() as hands:
        hands.power(False)
        hands.power(True)
    assert session.wait_for("hello", 15.0)
    session.tell_time()
    again = tap_on_link(session, card)
    assert (again["outcome"], again["fare"], again["balance"]) == ("accepted", 200, 800)
    assert card.balance == 800
    records = {r.seq: r for r in pull(session.link)}
    first = records[again["detail"]["of"]]
    assert (
        first.seq == torn["seq"] and first.evidence and first.detail["cash"] == [1, 1000, 200, 1]
    )
    assert records[again["seq"]].evidence is None
    evidence = [r for r in records.values() if r.detail.get("of") == first.seq]
    assert [r.outcome for r in evidence] == ["accepted"]  # for one ride
