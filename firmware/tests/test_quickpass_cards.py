"""The recorded cards through the kernel: the outcome of each, and what damage to them makes."""

import quickpass_corpus as corpus
from emv_script import (
    DEBIT,
    Card,
    Recorded,
    quickpass,
    scheme_rules,
    scheme_terminal,
    tlv,
    with_ppse,
)
from fakes import FakeClock, run
from validator.media import cards
from validator.media.phases import Phases
from validator.media.rules import NEUTRAL

RULES = scheme_rules()


def tap(card, rules=None, **options):
    clock = FakeClock()
    terminal = scheme_terminal(rules or fresh(), **options)
    return run(cards.run(card, clock, Phases(clock), terminal_data=terminal))


def fresh():
    rules = dict(RULES)
    changed = scheme_rules()
    for name in ("riders", "torn"):
        rules[name] = changed[name]
    return rules


def test_every_recorded_card():
    for name in corpus.CARDS:
        outcome, reason, _ = corpus.CARDS[name]
        result = tap(Recorded(name))
        assert (result.outcome, result.reason) == (outcome, reason), (name, result.detail)
        settles = result.evidence is not None or "of" in result.detail
        assert settles == (outcome == "accepted"), name


def test_accepted_card():
    result = tap(Recorded("quickpass-debit"))
    assert result.masked == "629999******0012" and result.expiry == "4912"
    assert result.token_source == b"6299990000000000012" and len(result.account) == 8
    assert result.detail["cryptogram"] == "ARQC" and result.detail["flow"] == "qUICS"
    assert result.detail["atc"] == 1 and not result.detail["device_cvm"]
    again = tap(Recorded("quickpass-no-par"))
    assert again.token_source == result.token_source and again.account is None


def test_gpo_data_byte_for_byte():
    for name, ttq in (("quickpass-debit", "21800080"), ("quickpass-legacy", "61000080")):
        card = Recorded(name)
        tap(card)
        (command,) = [c for c in card.log if c[:2] == b"\x80\xa8"]
        assert command.hex() == (
            "80a80000238321" + ttq + "000000000200" + "000000000000" + "0156" + "0000000000"
            "0156" + "260801" + "00" + "a1b2c3d4" + "00"
        )


def test_every_byte_of_the_answers_counts():
    # A byte changed in a record that is signed, or that signs, is a counterfeit or malformed.
    base = corpus.BASE
    seen = set()
    for command in base:
        if command[:4] != "00b2":
            continue
        answer = bytes.fromhex(base[command])
        for at in range(0, len(answer) - 2, 7):
            changed = bytearray(answer)
            changed[at] ^= 0x10
            result = tap(Recorded("quickpass-debit", {command: changed.hex()}))
            if command == "00b2011c00" and at > 12:
                continue  # the account reference, behind 9F69, is not signed
            assert result.outcome == "declined", (command, at)
            seen.add(result.reason)
    assert seen <= {"malformed", "bad_signature", "unknown_issuer", "expired"}
    assert "bad_signature" in seen and "malformed" in seen


def test_answers_cut_off_anywhere():
    for command in corpus.BASE:
        answer = corpus.BASE[command][:-4]
        for n in range(0, len(answer), 2 * 9):
            result = tap(Recorded("quickpass-debit", {command: answer[:n] + "9000"}))
            if command[:4] == "00a4" and result.outcome == "accepted":
                continue  # an empty directory: the list of AIDs finds the application
            assert result.outcome == "declined", (command, n)


def test_hostile_answers():
    seed = 4711
    commands = list(corpus.BASE)
    for i in range(120):
        changes = {}
        for _ in range(2):
            seed = (seed * 16807) % 2147483647
            command = commands[seed % len(commands)]
            answer = bytearray(bytes.fromhex(corpus.BASE[command]))
            for _ in range(1 + seed % 5):
                seed = (seed * 16807) % 2147483647
                answer[(seed >> 8) % len(answer)] = (seed >> 4) & 0xFF
            changes[command] = answer.hex()
        result = tap(Recorded("quickpass-debit", changes))
        assert result.outcome in ("accepted", "declined")
        assert (result.outcome == "accepted") == (result.evidence is not None)
        assert result.detail.get("what") not in ("TypeError", "IndexError", "KeyError"), i


def test_issuer_certificates_are_opened_once():
    rules = scheme_rules()
    for i in range(3):
        tap(Recorded("quickpass-debit"), rules, unix=corpus.UNIX + 60 * i)
        assert rules["issuers"].hits == i
    result = tap(Recorded("quickpass-bad-issuer"), rules, unix=corpus.UNIX + 600)
    assert result.reason == "bad_signature"
    result = tap(Recorded("quickpass-iin"), rules, unix=corpus.UNIX + 600)
    assert result.reason == "bad_signature"


def test_a_cached_issuer_expires_too():
    rules = scheme_rules()
    assert tap(Recorded("quickpass-debit"), rules).outcome == "accepted"
    result = tap(Recorded("quickpass-debit"), rules, date=b"\x49\x13\x01")
    assert result.reason == "malformed"  # month 13: our own clock is broken
    result = tap(Recorded("quickpass-expired"), rules)
    assert result.reason == "expired"


def test_without_rules_no_card_rides():
    clock = FakeClock()
    clock.set_unix(corpus.UNIX)
    for name in ("quickpass-debit", "quickpass-ecash", "quickpass-legacy"):
        phases = Phases(clock)
        result = run(cards.run(Recorded(name), clock, phases, rules=NEUTRAL, amount=200))
        assert (result.outcome, result.reason) == ("declined", "unknown_issuer"), name
        assert result.masked


def test_without_any_rules_a_card_is_identified():
    clock = FakeClock()
    result = run(cards.run(Recorded("quickpass-debit"), clock, Phases(clock)))
    assert (result.outcome, result.reason) == ("declined", "unverified")
    assert result.masked and result.expiry and result.token_source


def test_without_an_acquirer_nobody_rides():
    rules = scheme_rules(config={"acquirer": None})
    for name in ("quickpass-debit", "quickpass-ecash", "quickpass-legacy"):
        card = Recorded(name)
        result = tap(card, rules)
        assert (result.outcome, result.reason) == ("declined", "out_of_service"), name
        if name == "quickpass-ecash":
            assert bytes.fromhex("00b2021c00") not in card.log  # and nobody pays


def test_with_an_untrusted_clock_nobody_rides():
    for name in ("quickpass-debit", "quickpass-ecash", "quickpass-issuer-expired"):
        assert tap(Recorded(name), trusted=False).reason == "clock_untrusted", name


def test_deny_list():
    listed = []
    rules = scheme_rules(deny=lambda token: token in listed, token=lambda source: source[4:12])
    for name, outcome in (("quickpass-debit", "accepted"), ("quickpass-phone", "accepted")):
        assert tap(Recorded(name), rules, unix=corpus.UNIX + 60).outcome == outcome
        rules["riders"] = fresh()["riders"]
    listed.append(b"99000000")  # the plastic card's number
    assert tap(Recorded("quickpass-debit"), rules).reason == "deny_listed"
    assert tap(Recorded("quickpass-phone"), rules).outcome == "accepted"
    rules["riders"] = fresh()["riders"]
    account = tap(Recorded("quickpass-debit"), rules, unix=corpus.UNIX + 60).account
    listed[:] = [account]
    assert tap(Recorded("quickpass-debit"), rules).reason == "deny_listed"
    assert tap(Recorded("quickpass-phone"), rules).reason == "deny_listed"
    # Whoever keeps the account from us is still the certified number.
    assert tap(Recorded("quickpass-par-dropped"), rules).outcome == "accepted"
    listed[:] = [b"99000000"]
    for name in ("quickpass-par-dropped", "quickpass-par-changed"):
        assert tap(Recorded(name), rules, unix=corpus.UNIX + 60).reason == "deny_listed", name


def test_window_and_limits_are_those_of_the_certified_number():
    for first in ("quickpass-debit", "quickpass-par-dropped", "quickpass-par-changed"):
        for then in ("quickpass-debit", "quickpass-par-dropped", "quickpass-par-changed"):
            rules = scheme_rules(config={"limits": {"cumulative": 300, "cumulative_s": 3600}})
            tap(Recorded(first), rules).settled()
            assert tap(Recorded(then), rules).reason == "too_soon", (first, then)
            again = tap(Recorded(then), rules, unix=corpus.UNIX + 60)
            assert again.reason == "over_limit", (first, then)


def test_limits():
    for limits, reason in (
        ({"tap": 199}, "over_limit"),
        ({"tap": 200}, ""),
        ({"cvm": 199}, "over_limit"),
    ):
        rules = scheme_rules(config={"limits": limits})
        assert tap(Recorded("quickpass-debit"), rules).reason == reason, limits


def test_a_ride_counts_when_its_record_is_durable():
    rules = scheme_rules()
    first = tap(Recorded("quickpass-debit"), rules)
    assert tap(Recorded("quickpass-debit"), rules).outcome == "accepted"
    first.settled()
    assert tap(Recorded("quickpass-debit"), rules).reason == "too_soon"
    # The phone of the same account is the same rider.
    assert tap(Recorded("quickpass-phone"), rules).reason == "too_soon"
    assert tap(Recorded("quickpass-credit"), rules).outcome == "accepted"
    assert tap(Recorded("quickpass-debit"), rules, unix=corpus.UNIX + 5).outcome == "accepted"


def test_cumulative_limit():
    rules = scheme_rules(config={"limits": {"cumulative": 500, "cumulative_s": 3600}})
    for i, reason in enumerate(("", "", "over_limit")):
        result = tap(Recorded("quickpass-debit"), rules, unix=corpus.UNIX + 60 * i)
        assert result.reason == reason
        if result.settled:
            result.settled()
    assert tap(Recorded("quickpass-debit"), rules, unix=corpus.UNIX + 3600).reason == ""


def test_holder_verified_by_the_phone_may_spend_more():
    rules = scheme_rules(config={"limits": {"cvm": 100}})
    card = Recorded("quickpass-phone")
    assert tap(card, rules).outcome == "accepted"
    (command,) = [c for c in card.log if c[:2] == b"\x80\xa8"]
    assert command[7:11].hex() == "21c00080"
    assert tap(Recorded("quickpass-debit"), rules).reason == "over_limit"


def test_configured_aids():
    rules = scheme_rules(config={"aids": ["A000000333010102"]})
    assert tap(Recorded("quickpass-debit"), rules).reason == "unsupported"
    assert tap(Recorded("quickpass-credit"), rules).outcome == "accepted"


def test_gpo_refused_goes_on_to_the_next_application():
    credit = "A000000333010102"
    files = quickpass(gpo=tlv("77", tlv("82", "7C00")))
    files.update(quickpass(aid=credit))
    files[bytes.fromhex(DEBIT)][1]["80A80000"] = b"\x69\x85"
    card = Card(with_ppse(files, (DEBIT, 1), (credit, 2)))
    assert tap(card).reason == "malformed"  # the second one answered, without certificates
    assert [c[12] for c in card.log if c[1] == 0xA4 and c[4] == 8] == [1, 2]
    # With nothing behind it, it is the answer.
    result = tap(Recorded("quickpass-debit", {"80a80000": "6985"}))
    assert (result.outcome, result.reason) == ("declined", "unsupported")
