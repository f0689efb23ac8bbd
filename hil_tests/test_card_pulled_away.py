"""A card that leaves in the middle: tap again, a record of it, and the next rider is served."""

from __future__ import annotations

import pytest

from faretap.present import tap
from faretap.records.pull import pull
from faretap.session import Session

# APDUs of a whole tap
LENGTH = {"tunion": 4, "quickpass-debit": 8, "quickpass-phone": 8}
WAYS = [("wire", "before"), ("wire", "after"), ("link", "before")]
NEXT = {"tunion": "quickpass-debit", "quickpass-debit": "tunion", "quickpass-phone": "tunion"}


@pytest.mark.parametrize("name", ["tunion", "quickpass-debit"])
@pytest.mark.parametrize(("via", "lose"), WAYS)
def test_at_every_apdu(session: Session, name: str, via: str, lose: str) -> None:
    seqs: list[int] = []
    for n in range(1, LENGTH[name] + 1):
        options = {"lose": lose} if lose == "after" else {}
        lost = tap(session, name, via=via, lose_at_apdu=n, options=options)
        assert (lost["outcome"], lost["reason"]) == ("retry", "card_lost"), n
        assert lost["token"] == lost["masked"] == "", n
        # Another card, at once, as a rider behind has it in hand. By the way that does not wait
        # for the first one's removal, save at the ends.
        way = via if n in (1, LENGTH[name]) else "link"
        served = tap(session, NEXT[name], via=way)
        assert served["outcome"] == "declined" and served["token"], n
        seqs += [lost["seq"], served["seq"]]
    whole = tap(session, name, via=via, lose_at_apdu=LENGTH[name] + 1)
    assert whole["outcome"] == "declined", "the number of APDUs above is not that of a tap"
    seqs.append(whole["seq"])
    assert seqs == list(range(1, len(seqs) + 1))
    records = pull(session.link, 0)
    assert [record.seq for record in records] == seqs
    assert [record.outcome for record in records] == ["retry", "declined"] * LENGTH[name] + [
        "declined"
    ]
    info = session.link.call("info")
    assert info["taps"] == len(seqs)
    assert info["reader"]["faults"] == 0


def test_before_the_first_apdu(session: Session) -> None:
    """Held up and taken back before anything was read: no tap at all, or one that says retry."""
    assert session.bench is not None
    session.bench.present("tunion")
    session.bench.withdraw()
    served = tap(session, "quickpass-debit")
    assert served["outcome"] == "declined" and served["token"]
    others = [record for record in pull(session.link, 0) if record.seq != served["seq"]]
    assert all(record.outcome == "retry" for record in others) and len(others) <= 1


def test_the_same_card_comes_back(session: Session) -> None:
    """A rider who pulled away too early taps again, on either way, and is the same rider."""
    for via in ("wire", "link"):
        whole = tap(session, "quickpass-phone", via=via)
        lost = tap(session, "quickpass-phone", via=via, lose_at_apdu=6)
        again = tap(session, "quickpass-phone", via=via)
        assert lost["outcome"] == "retry"
        assert again["token"] == whole["token"] != ""
        assert again["seq"] == lost["seq"] + 1 == whole["seq"] + 2
