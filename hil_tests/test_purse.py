"""Purses on a validator: the table of cards, with a PSAM chip on its UART; torn away, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from faretap.config import samples
from faretap.present import tap
from faretap.records.pull import pull
from faretap.session import Session
from faretap.sim.cards import CARDS
from faretap.virtual import VirtualProcess

# Purses of the PSAM directory that the virtual board's slot serves in these tests.
PURSES = [name for name, card in CARDS.items() if card.purse and "tunion-city" not in name]


def chip_purse(**changes: Any) -> dict[str, Any]:
    """The bench configuration's purses, with the PSAM in the slot in place of the software one."""
    section: dict[str, Any] = samples.bench_configuration()["purse"]
    del section["soft_psam"]
    return {**section, "psam": [{"slot": 0, "df": "8011"}], "window_s": 0, **changes}


@pytest.fixture
def depot(provision: Callable[..., Session]) -> Session:
    session = provision(purse=chip_purse())
    lines: list[str] = []
    while not lines:  # the PSAM's start takes a moment longer than the hello
        log = session.link.call("log.recent")
        lines = [entry["text"] for entry in log if entry["area"] == "psam"]
    assert lines[-1].endswith("serves"), lines
    return session


def test_every_purse_of_the_table(depot: Session) -> None:
    for name in PURSES:
        summary = tap(depot, name, via="link")
        assert (summary["outcome"], summary["reason"]) == CARDS[name].purse, (name, summary)


def test_a_purchase_on_the_wire(depot: Session) -> None:
    summary = tap(depot, "tunion-student")
    assert (summary["outcome"], summary["fare"], summary["balance"]) == ("accepted", 100, 1900)
    (paid,) = pull(depot.link)
    assert (paid.seq, paid.outcome, paid.fare_fen) == (summary["seq"], "accepted", 100)
    assert paid.detail == {"state": "paid"} and paid.evidence is not None
    assert paid.vehicle and paid.config and paid.boot
    measured = [summary["phases"][name] for name in ("select", "read", "verify")]
    assert [paid.phases[name] for name in ("select", "read", "verify")] == measured
    assert summary["exchanges"] == 5 and summary["us"]["psam"] > 0


def test_without_its_psam_the_other_media_go_on(provision: Callable[..., Session]) -> None:
    session = provision(purse=chip_purse(psam=[{"slot": 3, "df": "8011"}]))
    assert tap(session, "tunion", via="link")["reason"] == "out_of_service"
    assert tap(session, "quickpass-debit", via="link")["outcome"] == "accepted"
    log = [entry for entry in session.link.call("log.recent") if entry["area"] == "psam"]
    assert log[0]["level"] == "error" and "slot 3" in log[0]["text"]


def test_torn_in_the_debit_and_back_after_a_power_cut(
    depot: Session, board: VirtualProcess
) -> None:
    """The answer to DEBIT is lost, and the validator's power with it. The same card comes back:
    the same purchase is finished, the money has left it once."""
    from faretap.present import tap_on_link
    from faretap.sim.cards import make

    card = make("tunion")
    torn = tap_on_link(depot, _Torn(card, b"\x80\x54"))
    assert (torn["outcome"], torn["reason"]) == ("retry", "card_lost")
    depot.forget_notifications()
    with board.bench() as hands:
        hands.power(False)
        hands.power(True)
    assert depot.wait_for("hello", 15.0)
    depot.tell_time()
    again = tap_on_link(depot, card)
    assert (again["outcome"], again["fare"], again["balance"]) == ("accepted", 200, 4800)
    records = pull(depot.link)
    assert sum(r.fare_fen for r in records if r.outcome == "accepted") == 200


class _Torn:
    """A card that does what it is told, and leaves before it has answered to `command`."""

    def __init__(self, card: Any, command: bytes) -> None:
        self._card = card
        self._command = command
        self.uid, self.atqa, self.sak, self.ats = card.uid, card.atqa, card.sak, card.ats
        self.seconds = card.seconds

    def apdu(self, command: bytes) -> bytes:
        from faretap.link.client import CallError
        from faretap.present import CARD_LOST

        answer: bytes = self._card.apdu(command)
        if command[:2] == self._command:
            raise CallError(CARD_LOST, "the card left", {"kind": "card_lost"})
        return answer

    def power_off(self) -> None:
        self._card.power_off()
