"""Plans: the same for the same seed, no two riders alike, everything where the file puts it."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.config.samples import bench_configuration
from faretap.lists import token_of
from faretap.rack.scenario import Scenario, check, load, make_plan, shipped
from faretap.rack.scenario.arrivals import TOKEN_KEY
from faretap.rack.scenario.plan import Change, Clear, Cut, Deny, Fault, Ride
from faretap.rack.scenario.riders import expected_of, own_options, token, window_s
from faretap.rack.scenario.schema import medium_of
from faretap.sim import cards, codes


def scenario(**tables: Any) -> Scenario:
    tables.setdefault("riders", [{"medium": "tunion"}])
    return check({"name": "test", **tables})


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_the_same_seed_gives_the_same_plan(path: Any) -> None:
    loaded = load(path).scenario
    for short in (False, True):
        first = make_plan(loaded, short=short)
        assert make_plan(loaded, short=short) == first
        other = make_plan(loaded, short=short, seed=4711)
        assert len(other.steps) == pytest.approx(len(first.steps), abs=0.3 * len(first.steps))
        assert [r.at for r in other.rides] != [r.at for r in first.rides]
        moments = [step.at for step in first.steps]
        assert moments == sorted(moments)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["tunion", "quickpass-debit", "quickpass-phone", "quickpass-credit",
                     "tunion-student", "mot", "union", "alipay", "alipay-sm2", "cpm"]),
    st.lists(st.integers(0, 10**8), min_size=2, max_size=12, unique=True),
)  # fmt: skip
def test_no_two_riders_are_the_same_to_a_validator(medium: str, numbers: list[int]) -> None:
    own = [own_options(medium, number, {}) for number in numbers]
    tokens = {token(medium, options, TOKEN_KEY) for options in own}
    assert len(tokens) == len(numbers) and None not in tokens
    kind, name = medium_of(medium)
    if kind == "card":
        uids = {bytes(cards.make(name, **options).uid) for options in own}
        assert len(uids) == len(numbers)
    else:
        assert len({codes.make(name, at=1_893_456_000, **options) for options in own}) == len(own)


@pytest.mark.parametrize("name", [n for n in cards.CARDS if n not in ("mifare", "empty")])
def test_every_card_that_can_is_somebodys_own(name: str) -> None:
    first, second = (cards.make(name, **own_options(name, number, {})) for number in (1, 2))
    assert first.uid != second.uid or name == "garbage"
    assert getattr(first, "pan", 1) != getattr(second, "pan", 2)


def test_a_token_is_that_of_the_number() -> None:
    own = own_options("quickpass-credit", 9, {})
    pan = cards.make("quickpass-credit", **own).pan  # type: ignore[attr-defined]
    assert token("quickpass-credit", own, TOKEN_KEY) == token_of(TOKEN_KEY, pan)
    own = own_options("mot", 9, {})
    assert token("mot", own, TOKEN_KEY) == token_of(TOKEN_KEY, own["card"], "account")
    assert token("mifare", {}, TOKEN_KEY) is None


def test_a_defect_stays_what_it_is() -> None:
    """Making a code somebody's own does not repair it."""
    for name, code in codes.CODES.items():
        plain = code.fields(1_893_456_000)
        own = own_options(f"code:{name}", 5, {})
        assert not set(own) & set(plain), name
        codes.make(name, at=1_893_456_000, **own)
    assert expected_of("url") == "declined unsupported|declined too_soon"
    assert expected_of("mot-stale") == "declined expired"


def test_riders_board_while_the_vehicle_stands() -> None:
    plan = make_plan(
        scenario(
            stop=[{"name": "A", "at": 10, "dwell": 5}, {"name": "B", "at": "02:00", "dwell": 15}],
            riders=[
                {"medium": "tunion", "stops": ["*"], "count": 400},
                {"name": "one", "medium": "mot", "stops": ["B"], "count": 30},
                {"name": "early", "medium": "mot", "at": 3},
            ],
        )
    )
    for ride in plan.rides:
        if ride.stop:
            begin, end = {"A": (10, 15), "B": (120, 135)}[ride.stop]
            assert begin <= ride.at <= end
        else:
            assert (ride.person.name, ride.at) == ("early", 3)
    boarded = Counter(ride.stop for ride in plan.rides if ride.person.medium == "tunion")
    # Each second of dwell is as likely: 100 and 300, within five standard deviations.
    assert abs(boarded["A"] - 100) < 45 and boarded["A"] + boarded["B"] == 400
    assert {ride.stop for ride in plan.rides if ride.person.name == "one"} == {"B"}


def test_a_rate_and_a_mix() -> None:
    plan = make_plan(
        scenario(
            riders=[{"mix": {"tunion": 3, "mot": 1}, "per_minute": 40, "at": 60, "until": 660}],
            via={"wire": 1, "link": 3},
            validators=2,
        )
    )
    assert len(plan.rides) == 400
    media = Counter(ride.person.medium for ride in plan.rides)
    assert abs(media["tunion"] - 300) < 45
    assert abs(Counter(ride.via for ride in plan.rides)["link"] - 300) < 45
    assert abs(Counter(ride.door for ride in plan.rides)[0] - 200) < 50
    assert len(plan.of_door(0)) + len(plan.of_door(1)) == 400


def test_one_table_does_not_change_another() -> None:
    one = {"medium": "tunion", "count": 20, "until": 100}
    alone = make_plan(scenario(riders=[one])).rides
    both = make_plan(scenario(riders=[one, {"medium": "mot", "count": 9, "until": 100}])).rides
    assert [r for r in both if r.person.medium == "tunion"] == alone


def test_riders_come_back() -> None:
    back = {"after": 60, "times": 3, "share": 50, "expect": "declined too_soon"}
    riders = {"medium": "tunion", "count": 200, "until": 10, "back": back, "tear": {"apdu": 2}}
    plan = make_plan(scenario(riders=[riders]))
    visits = Counter(ride.person.number for ride in plan.rides)
    assert set(visits.values()) == {1, 4}
    assert abs(sum(n == 4 for n in visits.values()) - 100) < 36
    for ride in plan.rides:
        if ride.visit == 1:
            assert (ride.lose_at, ride.expect) == (2, "accepted")
        else:
            assert (ride.lose_at, ride.expect) == (None, "declined too_soon")
            first = next(r for r in plan.rides if r.person == ride.person)
            assert ride.at == pytest.approx(first.at + 60 * (ride.visit - 1))


@pytest.mark.parametrize("medium", ["mot", "union", "alipay"])
def test_who_comes_back_shows_a_new_code(medium: str) -> None:
    own = own_options(medium, 7, {})
    first, second = (codes.make(medium, at=1_900_000_000 + s, **own) for s in (0, 1200))
    if medium == "union":
        number = slice(20, 28)  # what the code is known by, with its user
        assert b64decode(first)[number] != b64decode(second)[number]
    assert first != second


def test_the_window_is_that_of_the_medium() -> None:
    plain = bench_configuration()
    assert [window_s(m, plain) for m in ("quickpass-debit", "tunion", "mot")] == [5, 5, 0]
    other = {
        "cards": {"limits": {"window_s": 7}},
        "purse": {"window_s": 8},
        "codes": {"limits": {"window_s": 9}},
    }
    assert [window_s(m, other) for m in ("quickpass-debit", "tunion", "mot")] == [7, 8, 9]


def test_tears() -> None:
    riders = [
        {"medium": "quickpass-debit", "count": 300, "tear": {"apdu": [2, 4], "share": 50}},
        {"medium": "tunion", "tear": {"step": "debit#1:during"}},
    ]
    plan = make_plan(scenario(riders=riders))
    lost = Counter(r.lose_at for r in plan.rides if r.person.medium == "quickpass-debit")
    assert set(lost) == {None, 2, 3, 4} and abs(lost[None] - 150) < 44
    assert [r.tear for r in plan.rides if r.person.medium == "tunion"] == ["debit#1:during"]


def test_the_supply_goes_with_every_nth_at_each_door() -> None:
    plan = make_plan(
        scenario(
            riders=[{"medium": "tunion", "count": 90, "until": 90, "tear": {"apdu": 1}}],
            power=[{"every": 7}, {"at": 45}],
            validators=2,
        )
    )
    assert plan.needs == {"power_cut", "two_slots"}
    for door in (0, 1):
        rides = [step for step in plan.of_door(door) if isinstance(step, Ride)]
        cut = [n for n, ride in enumerate(rides, 1) if ride.cut is not None]
        assert cut == list(range(7, len(rides) + 1, 7))
        assert all(1 <= (ride.cut or 1) <= 8 for ride in rides)
        assert all(ride.lose_at is None for ride in rides if ride.cut is not None)
        assert sum(isinstance(step, Cut) for step in plan.of_door(door)) == 1
    after = make_plan(scenario(power=[{"every": 1, "moment": "after"}]))
    assert [ride.cut for ride in after.rides] == [0]


def test_who_is_listed_rides_no_more() -> None:
    plan = make_plan(
        scenario(
            riders=[
                {"name": "thief", "mix": {"tunion": 1, "mot": 1}, "count": 20, "until": 100},
                {"name": "poor", "medium": "tunion-low", "count": 5, "until": 100},
                {"name": "late", "medium": "union", "count": 10, "until": 100},
            ],
            deny=[
                {"at": 50, "riders": ["thief", "poor"]},
                {"at": 80, "riders": ["late"]},
            ],
        )
    )
    since = {"thief": 50, "poor": 50, "late": 80}
    for ride in plan.rides:
        name = ride.person.name
        if name == "poor":
            listed = "|declined deny_listed" if ride.at >= since[name] else ""
            assert ride.expect == f"declined insufficient_balance{listed}"
        elif ride.at >= since[name]:
            assert ride.expect == "declined deny_listed"
        else:
            assert ride.expect == "accepted"
    first, second = (step for step in plan.steps if isinstance(step, Deny))
    assert {p.name for p in first.people} == {"thief", "poor"} and len(first.people) == 25
    assert len(second.people) == 35


def test_what_happens_comes_before_who_comes() -> None:
    plan = make_plan(
        scenario(
            riders=[{"medium": "tunion", "at": 5}],
            fault=[{"at": 5, "q": "Q07", "until": 6}],
            change=[{"at": 5, "configuration": {"fares": {"flat": 300}}}],
        )
    )
    kinds = [type(step) for step in plan.steps]
    assert kinds == [Fault, Change, Ride, Clear]
    assert plan.needs == {"faults"} and plan.seconds == 6


def test_the_short_form() -> None:
    whole = scenario(
        riders=[
            {"medium": "tunion", "count": 900, "until": 100},
            {"medium": "mot", "count": 90, "until": 100},
            {"medium": "mifare", "at": 7},
        ],
        power=[{"every": 100}],
        short={"riders": 50, "via": {"link": 1}, "power_every": 10},
    )
    plan = make_plan(whole, short=True)
    counts = Counter(ride.person.medium for ride in plan.rides)
    assert counts == {"tunion": 45, "mot": 5, "mifare": 1}
    assert {ride.via for ride in plan.rides} == {"link"}
    assert sum(ride.cut is not None for ride in plan.rides) == 5
    assert len(make_plan(whole).rides) == 991
    # Without a short form it is the whole.
    assert not make_plan(scenario(), short=True).short
