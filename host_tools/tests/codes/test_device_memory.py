"""What the firmware keeps from one code to the next: issuers' keys, codes, riders."""

# The firmware carries no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

import pytest

from faretap.sim.codes import make, mot
from riders_bench import memory  # type: ignore[import-not-found]
from validator.crypto import sm2
from validator.media import code_chain, code_decision

from .device import NOW, Clock, fresh, load, show

ACCEPTED = ("accepted", "")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The keys that signatures were verified with, in their order."""
    keys: list[Any] = []
    real = sm2.verify

    def counting(key: Any, *args: Any) -> Any:
        keys.append(key)
        return real(key, *args)

    monkeypatch.setattr(sm2, "verify", counting)
    return keys


def ride(rules: dict[str, Any], **fields: Any) -> tuple[str, str]:
    result = show(make("mot", at=NOW, **fields), Clock(), fresh(rules))
    return result.outcome, result.reason


def test_a_certificate_is_verified_once(verified: list[Any]) -> None:
    rules = load()
    del verified[:]
    tables = []
    for _ in range(4):
        assert ride(rules) == ACCEPTED
        tables.append(verified[-2].table is not None)
    assert len(verified) == 3 + 2 + 2 + 2
    # Nobody found the time for its table, until the key had come for the third time.
    assert tables == [False, False, True, True]
    assert {key.table is not None for key in verified[3::2]} == {True}  # one key object
    assert not code_decision.prepare(rules)


def test_idle_time_makes_an_issuers_table() -> None:
    rules = load()
    assert not code_decision.prepare(rules)
    assert ride(rules) == ACCEPTED
    assert code_decision.prepare(rules)
    assert not code_decision.prepare(rules)
    assert ride(rules) == ACCEPTED


def test_the_certificates_used_last_are_kept_and_no_more(verified: list[Any]) -> None:
    rules = load()
    del verified[:]

    def count(serial: int) -> int:
        before = len(verified)
        assert ride(rules, serial=serial) == ACCEPTED
        return len(verified) - before

    assert [count(serial) for serial in (1, 2, 3)] == [3, 3, 3]
    assert [count(serial) for serial in (1, 2, 3, 1)] == [2, 2, 2, 2]
    assert count(4) == 3  # 2 had to go
    assert [count(serial) for serial in (1, 3, 4)] == [2, 2, 2]
    assert count(2) == 3


def test_a_certificate_that_was_verified_vouches_for_its_own_issuers_codes_only() -> None:
    rules = load()
    assert ride(rules) == ACCEPTED
    assert ride(rules, issuer_signer="stray") == ("declined", "bad_signature")
    assert ride(rules, root_signer="stray") == ("declined", "bad_signature")
    # Under other SM2 user ids it was not verified, whatever the cache says.
    pair = {"issuer": "99990000", "platform": "99990001"}
    rules["local"] = load(id_rules=[{**pair, "ids": "local"}])["local"]
    assert ride(rules) == ("declined", "bad_signature")
    assert ride(rules, ids="local") == ACCEPTED
    rules["local"] = {}
    assert ride(rules, ids="local") == ("declined", "bad_signature")
    assert ride(rules) == ACCEPTED


def test_an_id_rule_for_every_platform_of_an_issuer_and_its_exception() -> None:
    issuer = {"issuer": "99990000"}
    rules = load(id_rules=[{**issuer, "ids": "local"}])
    assert ride(rules, ids="local") == ACCEPTED
    assert ride(rules) == ("declined", "bad_signature")
    exception = {**issuer, "platform": "99990001", "ids": "default"}
    rules = load(id_rules=[{**issuer, "ids": "local"}, exception])
    assert ride(rules, ids="local") == ("declined", "bad_signature")
    assert ride(rules) == ACCEPTED


def test_only_two_roots_have_tables() -> None:
    roots = [mot.root_file("root", index).hex() for index in (1, 2, 3)]
    loaded = load(roots=roots)["roots"]
    assert [loaded[index][0].table is not None for index in (1, 2, 3)] == [True, True, False]


def test_a_code_is_kept_until_its_validity_or_its_authorisation_ends() -> None:
    for expires, until in ((NOW + 9000, NOW + 600), (NOW + 100, NOW + 100)):
        result = show(make("mot", at=NOW, expires=expires), Clock(), fresh())
        assert int.from_bytes(result.code[8:], "little") == until + 60


def test_a_union_code_is_its_qr_id_and_user() -> None:
    rules = fresh()
    show(make("union", at=NOW), Clock(), rules).settled()
    same = make("union", at=NOW, generated=NOW - 1, qr_id=NOW)
    assert show(same, Clock(), rules).reason == "replayed"
    for fields in ({"qr_id": NOW + 1}, {"user": "RIDER002"}, {"institution": "99990009"}):
        assert show(make("union", at=NOW, **fields), Clock(), rules).outcome == "accepted"


def test_a_payment_card_is_good_to_the_end_of_its_month() -> None:
    # 1893456000 is the first day of 2030, and already in Beijing.
    assert show(make("cpm", at=NOW, expiry="3001"), Clock(), fresh()).outcome == "accepted"
    result = show(make("cpm", at=NOW, expiry="2912"), Clock(), fresh())
    assert (result.reason, result.detail["what"]) == ("expired", "card")
    midnight = NOW - 8 * 3600
    code = make("cpm", at=midnight, expiry="2912")
    assert show(code, Clock(midnight), fresh()).reason == "expired"
    assert show(code, Clock(midnight - 1), fresh()).outcome == "accepted"


def test_an_account_window_alone_is_kept_too() -> None:
    clock = Clock()
    rules = load(limits={"window_s": 5}, riders=memory(clock))
    show(make("mot", at=NOW), clock, rules).settled()
    clock.pass_s(4)
    assert show(make("mot", at=NOW + 4), clock, rules).reason == "too_soon"
    clock.pass_s(1)
    assert show(make("mot", at=NOW + 5), clock, rules).outcome == "accepted"


def test_memory_is_made_once_and_a_second_failure_is_out_of_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    fail = [True, False]
    real = code_chain.verify

    def scarce(*args: Any) -> Any:
        if fail.pop(0):
            raise MemoryError
        return real(*args)

    monkeypatch.setattr(code_chain, "verify", scarce)
    monkeypatch.setattr(code_decision, "make_room", lambda: made.append(1))
    assert show(make("mot", at=NOW), Clock(), fresh()).outcome == "accepted"
    assert len(made) == 1
    fail[:] = [True, True]
    result = show(make("mot", at=NOW), Clock(), fresh())
    assert (result.outcome, result.reason) == ("retry", "out_of_service")
    assert len(made) == 3
