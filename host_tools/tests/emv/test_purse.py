"""Electronic cash: whatever is pulled out, and when, a rider pays once and rides, or does not."""

from __future__ import annotations

from typing import Any

import pytest

from faretap.records.evidence import objects, unseal
from faretap.replay import ReplayError
from faretap.sim import cards
from faretap.sim.cards.flaws import Flaws
from faretap.sim.cards.purse import ElectronicCash
from faretap.sim.cards.scheme import acquirer, configuration
from riders_bench import key  # type: ignore[import-not-found]
from validator.media import decision
from validator.media.quickpass_torn import Debit

from .kernel import Kernel

SERIES = {"": 10, "late": 22}  # APDUs of a tap
KINDS = pytest.mark.parametrize("kind", SERIES)


def card(kind: str = "", balance: int = 1000, **options: Any) -> ElectronicCash:
    made = cards.make("quickpass-ecash", balance=balance, late=kind == "late", **options)
    assert isinstance(made, ElectronicCash)
    return made


@KINDS
def test_one_tap(kind: str) -> None:
    purse, kernel = card(kind), Kernel()
    result = kernel.tap(purse)
    assert (result.outcome, result.balance, purse.balance) == ("accepted", 800, 800)
    assert len(kernel.log) == SERIES[kind]
    # On record before it could happen, with all that settles it; the ride names that record.
    first, second = kernel.records
    assert (first["outcome"], first["reason"]) == ("retry", "card_lost")
    assert first["detail"]["cash"][1:] == [1000, 200, int(kind == "")]
    assert (second["outcome"], second["detail"]["of"], second["evidence"]) == ("accepted", 1, None)
    assert objects(unseal(kernel.evidence_of(result), acquirer()))[0x9F27] == b"\x40"
    assert not kernel.torn()


TEARS = [(kind, at) for kind, count in SERIES.items() for at in range(1, count + 1)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("kind", "lose_at"), TEARS)
def test_torn_away_and_tapped_again(kind: str, lose_at: int, after: bool) -> None:
    purse, kernel = card(kind), Kernel()
    first = kernel.tap(purse, lose_at=lose_at, after=after)
    assert (first.outcome, first.reason) == ("retry", "card_lost")
    assert purse.balance == (800 if lose_at == SERIES[kind] and after else 1000)
    kernel.seconds += 3
    second = kernel.tap(purse)
    assert second.outcome == "accepted", second.detail
    assert purse.balance == 800 and second.balance == 800
    assert kernel.evidence_of(second)
    # And that was that: the next ride is a ride of its own.
    kernel.seconds += 60
    assert kernel.tap(purse).outcome == "accepted"
    assert purse.balance == 600 and not kernel.torn()
    settled = [r["detail"].get("of") for r in kernel.records if r["outcome"] == "accepted"]
    assert len(settled) == len(set(settled)) == 2  # each payment for one ride


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("lose_at", range(1, 24))
def test_torn_again_while_it_is_recognised(kind: str, lose_at: int) -> None:
    purse, kernel = card(kind), Kernel()
    kernel.tap(purse, lose_at=SERIES[kind], after=True)
    assert purse.balance == 800
    for attempt in range(3):
        kernel.seconds += 2
        result = kernel.tap(purse, lose_at=lose_at if attempt < 2 else 0, after=True)
        if result.outcome == "accepted":
            break
        assert result.reason == "card_lost"
    assert result.outcome == "accepted" and purse.balance == 800


@KINDS
def test_the_evidence_of_the_torn_tap_is_the_one_that_settles(kind: str) -> None:
    purse, kernel = card(kind), Kernel()
    torn = kernel.tap(purse, lose_at=SERIES[kind], after=True)
    assert torn.kept == len(kernel.records) == 1  # its record is the one made before
    kernel.seconds += 3
    accepted = kernel.tap(purse, amount=300)
    assert accepted.detail["of"] == 1 and accepted.fare == 200  # what the card has paid
    assert accepted.detail.get("state") == ("unproven" if kind else None)
    found = objects(unseal(kernel.evidence_of(accepted), acquirer()))
    assert found[0x9F02].hex() == "000000000200" and purse.balance == 800


@KINDS
@pytest.mark.parametrize("low", [50, 199])
def test_a_card_that_has_nothing_left_has_paid(kind: str, low: int) -> None:
    """It refuses the fare of now, and says no more."""
    purse, kernel = card(kind, balance=200 + low), Kernel()
    kernel.tap(purse, lose_at=SERIES[kind], after=True)
    assert purse.balance == low
    kernel.seconds += 3
    assert kernel.tap(purse).outcome == "accepted" and purse.balance == low
    kernel.seconds += 30
    assert kernel.tap(purse).reason == "card_refused"


def test_a_record_that_could_not_be_written_costs_no_second_debit() -> None:
    purse, kernel = card(), Kernel()
    assert kernel.tap(purse, durable=False).outcome == "accepted"
    kernel.seconds += 3
    again = kernel.tap(purse)
    assert again.outcome == "accepted" and purse.balance == 800
    kernel.seconds += 3
    assert kernel.tap(purse).reason == "too_soon"


@KINDS
def test_without_a_record_nobody_pays(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    purse, kernel = card(kind), Kernel()

    def full(self: Kernel, result: Any) -> int:
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(Kernel, "_record", full)
        result = kernel.tap(purse, durable=False)
    assert (result.outcome, result.reason) == ("declined", "out_of_service")
    assert purse.balance == 1000 and not kernel.torn()
    assert kernel.tap(purse).outcome == "accepted"


@KINDS
def test_another_card_with_such_a_counter_and_balance_pays_for_itself(kind: str) -> None:
    first, kernel = card(kind), Kernel()
    other = card(kind, balance=1000, seed=9)
    for purse in (first, other):  # torn at one balance, one counter
        kernel.tap(purse, lose_at=SERIES[kind], after=True)
        kernel.seconds += 3
    third = card(kind, balance=800, seed=10, atc=first.atc)
    result = kernel.tap(third)
    assert result.outcome == "accepted" and third.balance == 600
    assert result.token_source == third.pan.encode()
    for purse in (other, first):
        kernel.seconds += 3
        assert kernel.tap(purse).outcome == "accepted" and purse.balance == 800


@KINDS
def test_torn_payments_are_known_whatever_came_since(kind: str) -> None:
    """Many others torn, a restart, and a year."""
    purses, kernel = [card(kind, seed=30 + n) for n in range(12)], Kernel()
    for purse in purses:
        kernel.tap(purse, lose_at=SERIES[kind], after=True)
        kernel.seconds += 5
    kernel.restart()
    kernel.seconds += 365 * 86400
    for purse in purses:
        assert kernel.tap(purse).outcome == "accepted"
        assert purse.balance == 800
    kernel.restart()
    assert not kernel.torn()


def test_without_room_to_remember_it_nobody_pays() -> None:
    kernel = Kernel()
    known = card(seed=30)
    assert kernel.tap(known, lose_at=SERIES[""], after=True).reason == "card_lost"
    refused = card(seed=31)
    torn, riders = kernel.rules["torn"], kernel.rules["riders"]
    token = kernel.rules["token"](refused.pan.encode())
    n = 0
    while torn.has_room(token):
        if torn.has_room(key(n)):
            assert riders.ready(1)
            torn.add(key(n), 1, Debit(1, 1000, 200, True))
        n += 1
    assert kernel.tap(refused).reason == "storage_full" and refused.balance == 1000
    assert kernel.tap(cards.make("quickpass-debit")).outcome == "accepted"
    kernel.seconds += 5
    assert kernel.tap(known).outcome == "accepted" and known.balance == 800


@KINDS
def test_a_torn_tap_that_was_not_paid_gives_no_free_ride_later(kind: str) -> None:
    purse, kernel = card(kind), Kernel()
    kernel.tap(purse, lose_at=SERIES[kind], after=False)
    assert purse.balance == 1000
    for balance in (800, 600, 400):
        kernel.seconds += 60
        assert kernel.tap(purse).outcome == "accepted"
        assert purse.balance == balance
    # The one that pays says of which record nobody has paid.
    assert [r["detail"]["void"] for r in kernel.records if "void" in r["detail"]] == [1, 1]


@pytest.mark.parametrize("paid", [False, True])
@KINDS
def test_used_elsewhere_in_between_nobody_can_tell(kind: str, paid: bool) -> None:
    """It pays, and the record says of which other payment it may be the second."""
    purse, kernel, elsewhere = card(kind), Kernel(), Kernel()
    kernel.tap(purse, lose_at=SERIES[kind], after=paid)
    elsewhere.tap(purse, amount=130)
    before = purse.balance
    kernel.seconds += 600
    result = kernel.tap(purse)
    assert result.outcome == "accepted" and purse.balance == before - 200
    assert result.detail["unknown"] == 1
    assert not kernel.torn()


@KINDS
def test_loaded_in_between_nobody_can_tell(kind: str) -> None:
    purse, kernel = card(kind), Kernel()
    kernel.tap(purse, lose_at=SERIES[kind], after=True)
    purse.balance += 5000
    kernel.seconds += 600
    assert kernel.tap(purse).detail["unknown"] == 1


def test_far_on_nobody_can_tell() -> None:
    purse, kernel = card(), Kernel()
    kernel.tap(purse, lose_at=SERIES[""], after=True)
    purse.atc += 9
    assert kernel.tap(purse).detail["unknown"] == 1


@KINDS
def test_a_recognised_card_must_prove_itself(kind: str) -> None:
    purse, kernel = card(kind), Kernel()
    kernel.tap(purse, lose_at=SERIES[kind], after=True)
    for forge in ("sdad", "replay", "counter", "icc", "holder"):
        forger = card(kind, balance=800, atc=1, forge=forge)
        kernel.seconds += 3
        result = kernel.tap(forger)
        assert (result.outcome, result.reason) == ("declined", "bad_signature"), forge
        assert forger.balance == 800
    assert kernel.tap(purse).outcome == "accepted" and purse.balance == 800


@KINDS
def test_one_that_refuses_0_fen_pays_nothing_that_nobody_proved(kind: str) -> None:
    options = {"refuses_nothing": True}
    purse, kernel = card(kind, balance=250, **options), Kernel()
    first = kernel.tap(purse, lose_at=SERIES[""] if not kind else 0, after=True)
    if kind:  # it would pay before it has proven anything
        assert (first.reason, purse.balance) == ("unsupported", 250)
        return
    kernel.seconds += 3
    result = kernel.tap(purse)  # refuses the fare, and 0 fen: nothing proven, nothing charged
    assert (result.outcome, result.reason, purse.balance) == ("declined", "unsettled", 50)
    kernel.restart()
    purse.balance += 1000  # at a desk
    kernel.seconds += 60
    assert kernel.tap(purse).detail["unknown"] == 1


# -- what a torn payment must not get around ------------------------------------------------------


@KINDS
def test_a_torn_payment_is_no_way_around_window_and_limits(kind: str) -> None:
    limits = {"tap": 5000, "cvm": 3000, "window_s": 5, "cumulative": 500}
    kernel = Kernel(configuration(limits={**limits, "cumulative_s": 3600}))
    purse = card(kind)
    assert kernel.tap(purse).outcome == "accepted"
    kernel.seconds += 10
    kernel.tap(purse, lose_at=SERIES[kind], after=True)
    decision.settle(rider_of(purse), kernel.rules, 0)
    assert kernel.tap(purse).reason == "too_soon" and len(kernel.torn()) == 1
    kernel.seconds += 6
    assert kernel.tap(purse).outcome == "accepted" and purse.balance == 600
    kernel.seconds += 6
    assert kernel.tap(purse).reason == "over_limit" and purse.balance == 600


def rider_of(purse: ElectronicCash) -> Any:
    return decision.Rider(purse.pan, "TC", 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [("deny", "deny_listed"), ("clock", "clock_untrusted"), ("seal", "out_of_service")],
)
def test_who_comes_back_is_decided_on_like_anybody(change: str, reason: str) -> None:
    purse, kernel = card(), Kernel()
    kernel.tap(purse, lose_at=SERIES[""], after=True)
    rules = dict(kernel.rules)
    if change == "deny":
        kernel.rules["deny"] = lambda token: True
    elif change == "clock":
        kernel.trusted = False
    else:
        kernel.rules["seal"] = None
    kernel.seconds += 6
    result = kernel.tap(purse)
    assert (result.outcome, result.reason, purse.balance) == ("declined", reason, 800)
    kernel.rules, kernel.trusted = rules, True
    kernel.seconds += 6
    assert kernel.tap(purse).outcome == "accepted" and purse.balance == 800


# -- attackers ------------------------------------------------------------------------------------


@KINDS
def test_a_phone_without_keys_never_rides_and_leaves_nothing(kind: str) -> None:
    kernel = Kernel()
    genuine = card(kind)
    kernel.tap(genuine, lose_at=SERIES[kind], after=True)  # whose numbers it has overheard
    known = len(kernel.records)
    for n in range(20):
        mute = cards.make(
            "upcash-forged-tear", late=kind == "late", balance=800 + 200 * (n & 1), atc=n
        )
        kernel.seconds += 7
        assert kernel.tap(mute).outcome == "declined"
        assert kernel.tap(mute).outcome == "declined"
    # No payment of its own is remembered: whoever could make one for nothing could fill the room.
    assert not any("cash" in r["detail"] for r in kernel.records[known:])
    assert len(kernel.torn()) == 1
    assert kernel.tap(genuine).outcome == "accepted" and genuine.balance == 800


@pytest.mark.parametrize("lies", [None, 1000, 990, 0])
@KINDS
def test_a_relay_that_keeps_the_card_from_paying(kind: str, lies: int | None) -> None:
    """Where all was signed before, the promise of the issuer (TC) is as good as that of any tap,
    and each is good for one ride. Where it was not: one ride a card, ever."""
    kernel = Kernel()
    relay: Any = cards.make(
        "upcash-relay-late" if kind else "upcash-relay", balance=1000, lies=lies
    )
    rides = 0
    for _ in range(12):
        kernel.seconds += 60
        result = kernel.tap(relay)
        rides += result.outcome == "accepted"
    promises = [objects(unseal(r["evidence"], acquirer())) for r in settled(kernel)]
    assert rides == len(promises) and len({p[0x9F36] for p in promises}) == rides
    assert all(p[0x9F02].hex() == "000000000200" for p in promises)
    if lies is not None:
        assert rides == 0  # it says that it has not paid
    else:
        assert rides == (1 if kind else 5)  # as often as it says that there is money


def settled(kernel: Kernel) -> list[dict[str, Any]]:
    """The records that rides name."""
    accepted = [r for r in kernel.records if r["outcome"] == "accepted"]
    return [kernel.records[r["detail"]["of"] - 1] for r in accepted]


def test_a_relay_rides_once_on_what_nobody_proved_also_after_a_restart() -> None:
    kernel = Kernel()
    relay: Any = cards.make("upcash-relay-late", balance=1000)
    reasons = []
    for _ in range(4):
        kernel.seconds += 60
        result = kernel.tap(relay)
        reasons.append(result.reason)
        kernel.restart()
    assert reasons == ["card_lost", "", "card_lost", "unsettled"]


def test_an_operator_may_refuse_what_nobody_proved() -> None:
    kernel = Kernel(configuration(torn_unproven="refuse"))
    purse = card("late")
    kernel.tap(purse, lose_at=SERIES["late"], after=True)
    kernel.seconds += 60
    result = kernel.tap(purse)
    assert (result.outcome, result.reason, purse.balance) == ("declined", "unsettled", 800)
    purse = card("")
    kernel.tap(purse, lose_at=SERIES[""], after=True)
    kernel.seconds += 60
    assert kernel.tap(purse).outcome == "accepted"
    with pytest.raises(ReplayError, match="torn_unproven"):
        Kernel(configuration(torn_unproven="never"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"expiry": "2012"}, "expired"),
        ({"forge": "icc"}, "bad_signature"),
        ({"claims_ca": 0x77}, "unknown_issuer"),
        ({"secretive": True}, "unsupported"),
        ({"balance": 199, "boasts": True}, "insufficient_balance"),
    ],
)
def test_what_is_refused_is_not_paid(options: dict[str, Any], reason: str) -> None:
    purse, kernel = cards.make("quickpass-ecash", **options), Kernel()
    assert isinstance(purse, ElectronicCash)
    before = purse.balance
    assert kernel.tap(purse).reason == reason
    assert purse.balance == before
    assert bytes.fromhex("00B2021C00") not in kernel.log


def test_over_the_limit_and_denied_are_not_paid() -> None:
    purse, kernel = card(balance=100000), Kernel()
    assert kernel.tap(purse, amount=5001).reason == "over_limit"
    kernel.trusted = False
    assert kernel.tap(purse).reason == "clock_untrusted"
    listed = Kernel(deny=lambda token: True)
    assert listed.tap(purse).reason == "deny_listed"
    assert purse.balance == 100000


def test_a_debit_for_nothing_is_said_to_be_one() -> None:
    """The signature over the payment comes with the record that makes it, and is wrong there."""
    purse, kernel = card("late"), Kernel()

    changed = iter(["", "", "sdad"])
    plain = purse._process

    def process(terminal: dict[int, bytes]) -> bytes:
        purse.flaws = Flaws(forge=next(changed))
        return plain(terminal)

    purse._process = process  # type: ignore[method-assign]
    result = kernel.tap(purse)
    assert (result.reason, result.detail["debited"]) == ("bad_signature", True)
    assert result.detail["of"] == 1 and purse.balance == 800
    assert not kernel.torn()
    kernel.restart()
    assert not kernel.torn()
