"""What becomes of codes under an operator's rules: signed codes, at any time, more than once."""

from code_corpus import AMOUNT, CODES, CONFIG, UNIX
from crypto_vectors import RIDE_CODE, ROOT
from fakes import FakeClock, run
from flash_sim import HOW, FlashSim, PowerCut
from riders_bench import at, key, memory
from validator.media import code_decision, code_rules, codes, riders_restore
from validator.media import riders as room
from validator.media.code_replay import Presentation
from validator.media.phases import Phases
from validator.store import record
from validator.store.journal import Journal

LOADED = code_rules.load(CONFIG)
# The vector of the standard's description, whose issuer's name and platform are the corpus's.
VECTOR_CONFIG = {
    "roots": [ROOT.hex()],
    "accepted": [{"issuer": "99990000", "platform": "99990001"}],
}


def fresh(**changes):
    """Rules of a validator that has seen no code yet."""
    rules = dict(LOADED)
    rules["riders"] = memory(clock_at())
    rules["seen"] = Presentation()
    rules.update(changes)
    return rules


def clock_at(now=UNIX, trusted=True):
    clock = FakeClock(0)
    clock.unix_base = now
    clock.trusted = trusted
    return clock


def code(name):
    return bytes.fromhex(CODES[name][3])


def show(data, rules, clock=None, amount=AMOUNT):
    clock = clock or clock_at()
    at(rules["riders"], clock.unix(), clock.trusted)
    return codes.run(data, clock, Phases(clock), rules, amount)


def said(result):
    return result.outcome, result.reason


def test_every_code_of_the_corpus():
    for name in CODES:
        outcome, reason, broken, _ = CODES[name]
        result = show(code(name), fresh())
        assert said(result) == (outcome, reason), (name, result.detail)
        if reason == "bad_signature":
            assert result.detail["signature"] == broken, name
        assert (result.settled is None) == (outcome == "declined")


def test_the_vector_rides_at_its_time():
    rules = code_rules.load(VECTOR_CONFIG, riders=memory(clock_at()))
    result = show(RIDE_CODE, rules)
    assert said(result) == ("accepted", "") and result.medium == "ride_code"
    assert result.masked == "999900******0001" and result.expiry == "3001"
    assert result.token_source == b"9999000000000000001"
    assert result.fare == AMOUNT and len(result.code) == 12 and result.evidence is None


def test_every_second_around_the_ends_of_a_code():
    # Made at UNIX, valid for 600 s, authorised for a day; 60 s of skew.
    rules = code_rules.load(VECTOR_CONFIG, riders=memory(clock_at()))
    for now, reason in (
        (946684800, "not_yet_valid"),  # 2000
        (UNIX - 61, "not_yet_valid"),
        (UNIX - 60, ""),
        (UNIX, ""),
        (UNIX + 600, ""),
        (UNIX + 601, "expired"),
        (1893542400, "expired"),
        (1893542401, "expired"),
        (0xFFFFFFFF, "expired"),
    ):
        rules["seen"] = Presentation()
        result = show(RIDE_CODE, rules, clock_at(now))
        assert result.reason == reason, (now, result.detail)


def test_what_was_over_is_named():
    rules = code_rules.load(VECTOR_CONFIG, riders=memory(clock_at()))
    for now, what in (
        (UNIX + 601, "validity"),
        (1893542401, "authorisation"),
        (2240582399, "authorisation"),  # 2040-12-31 in Beijing, the root's last second
        (2240582400, "root"),
    ):
        rules["seen"] = Presentation()
        assert show(RIDE_CODE, rules, clock_at(now)).detail["what"] == what, now
    rules["seen"] = Presentation()
    assert show(RIDE_CODE, rules, clock_at(UNIX - 61)).detail["what"] == "generation"
    assert show(code("mot-cert-expired"), fresh()).detail["what"] == "certificate"
    assert show(code("mot-root-expired"), fresh()).detail["what"] == "root"


def test_the_skew_is_the_operators():
    data = code("mot-skewed")
    assert show(data, fresh(skew_s=30)).outcome == "accepted"
    assert said(show(data, fresh(skew_s=29))) == ("declined", "not_yet_valid")


def test_a_clock_that_nobody_set_says_nothing_about_a_code():
    for name in ("mot", "mot-stale", "mot-cert-expired", "union", "alipay", "cpm"):
        result = show(code(name), fresh(), clock_at(0, trusted=False))
        assert said(result) == ("declined", "clock_untrusted"), name
    result = show(code("mot-wrong-user-key"), fresh(), clock_at(0, trusted=False))
    assert said(result) == ("declined", "bad_signature")


def test_the_order_of_the_checks():
    """Each code is wrong in all that comes after the named reason, too."""
    late = clock_at(UNIX + 7200)
    deny = fresh(deny=lambda token: True, tap=1, accepted={})
    for name, rules, clock, reason in (
        ("mot-wrong-user-key", deny, late, "bad_signature"),
        ("mot", deny, late, "expired"),
        ("mot", deny, clock_at(), "over_limit"),
        ("mot", fresh(deny=deny["deny"], accepted={}), clock_at(), "unknown_issuer"),
        ("mot", fresh(deny=deny["deny"]), clock_at(), "deny_listed"),
    ):
        rules["seen"] = Presentation()
        assert show(code(name), rules, clock).reason == reason, reason


def test_limits_name_whose_they_are():
    assert show(code("mot"), fresh(), amount=2000).outcome == "accepted"
    result = show(code("mot"), fresh(), amount=2001)
    assert said(result) == ("declined", "over_limit") and result.detail["what"] == "code"
    result = show(code("mot"), fresh(tap=1999), amount=2000)
    assert said(result) == ("declined", "over_limit") and result.detail["what"] == "tap"
    # UnionPay's code has no limit of its own.
    assert show(code("union"), fresh(), amount=5000).outcome == "accepted"
    assert show(code("union"), fresh(), amount=5001).detail["what"] == "tap"


def test_a_fare_by_passenger_type():
    fares = {"": 200, "student": 100}
    assert show(code("mot"), fresh(), amount=fares.get).fare == 200
    result = show(code("mot-student"), fresh(), amount=fares.get)
    assert result.fare == 100 and result.detail["type"] == "student"
    assert show(code("union"), fresh(), amount=fares.get).fare == 200
    result = show(code("mot-stale"), fresh(), amount=fares.get)
    assert result.fare is None  # nothing was charged


def test_accepted_by_issuer_and_platform_or_by_issuer():
    def with_accepted(*entries):
        section = dict(CONFIG)
        section["accepted"] = entries
        return fresh(accepted=code_rules.load(section)["accepted"])

    both = {"issuer": "99990000", "platform": "99990001"}
    issuer = {"issuer": "99990000"}
    other = {"issuer": "99990000", "platform": "99990003"}
    assert show(code("mot"), with_accepted(both)).outcome == "accepted"
    assert show(code("mot"), with_accepted(issuer)).outcome == "accepted"
    for rules in (with_accepted(), with_accepted(other), with_accepted({"issuer": "99990001"})):
        result = show(code("mot"), rules)
        assert said(result) == ("declined", "unknown_issuer")
        assert result.detail["what"] == "not accepted"
    # A certificate of another institution must be named, for this platform or for all.
    data = code("mot-issuer-mismatch")
    assert show(data, with_accepted(both)).detail["what"] == "certificate is another's"
    both["certificate"] = "99990007"
    assert show(data, with_accepted(both)).outcome == "accepted"
    assert said(show(code("mot"), with_accepted(both))) == ("declined", "unknown_issuer")


def test_a_ride_counts_when_its_record_is_durable():
    rules = fresh()
    clock = clock_at()
    first = show(code("mot"), rules, clock)
    assert first.outcome == "accepted"
    # The record could not be written: the rider has not ridden, and may try again at once.
    second = show(code("mot"), rules, clock)
    assert second.outcome == "accepted"
    second.settled()
    again = show(code("mot"), rules, clock)
    assert said(again) == ("declined", "too_soon") and again.again == ("accepted", "")
    clock.advance_us(2000000)
    assert said(show(code("mot"), rules, clock)) == ("declined", "replayed")


def test_a_code_that_stays_is_one_presentation_whatever_became_of_it():
    for name in ("mot", "mot-stale", "mot-wrong-user-key", "mot-truncated"):
        rules = fresh()
        clock = clock_at()
        first = show(code(name), rules, clock)
        if first.settled:
            first.settled()
        for _ in range(4):
            clock.advance_us(1500000)
            again = show(code(name), rules, clock)
            assert said(again) == ("declined", "too_soon"), name
            assert again.again == said(first) and again.medium == "ride_code"
            assert again.code is None and again.settled is None and again.token_source is None
    rules = fresh()
    clock = clock_at()
    assert show(b"https://example.org", rules, clock).reason == "unsupported"
    assert show(b"https://example.org", rules, clock).again == ("declined", "unsupported")
    assert said(show(code("mot"), rules, clock)) == ("accepted", "")


def test_another_rider_in_between_ends_the_presentation():
    rules = fresh()
    clock = clock_at()
    show(code("mot"), rules, clock).settled()
    show(code("mot-custom"), rules, clock).settled()
    assert said(show(code("mot"), rules, clock)) == ("declined", "replayed")


def ridden(name, *others):
    """Whether each of `others` is the code `name`, which was ridden on."""
    rules = fresh()
    show(code(name), rules).settled()
    return [show(other, rules).reason == "replayed" for other in others]


def test_bytes_that_nobody_signed_make_no_new_code():
    data = bytearray(code("mot"))
    data[267] ^= 0x34
    assert ridden("mot", bytes(data)) == [True]
    assert ridden("mot-format-21", code("mot")) == [False]  # the user signed the issuer's 21
    bare = code("alipay")
    assert ridden("alipay", b"\x54\x01" + bare, b"\x54\x02" + bare) == [True, True]
    assert ridden("alipay", code("alipay-s-negated")) == [True]
    assert ridden("union", code("union").rstrip(b"=")) == [True]
    assert ridden("mot", code("mot-custom"), code("mot-local-id")) == [False, False]


def test_a_code_is_remembered_until_it_has_expired_for_certain():
    rules = fresh()
    result = show(code("mot"), rules)
    result.settled()
    expires = int.from_bytes(result.code[8:], "little")
    assert expires == UNIX + 600 + 60
    rules["seen"] = Presentation()
    assert said(show(code("mot"), rules, clock_at(UNIX + 600))) == ("declined", "replayed")
    rules["seen"] = Presentation()
    assert said(show(code("mot"), rules, clock_at(UNIX + 601))) == ("declined", "expired")
    # Set back by less than the skew, the clock does not bring the code back.
    rules["seen"] = Presentation()
    assert said(show(code("mot"), rules, clock_at(UNIX + 570))) == ("declined", "replayed")


def fill(riders, room, name, put):
    """Other riders, until there is no room for `name`."""
    n = 0
    while riders.has_room(room, name):
        k = key(n, 99)
        if riders.has_room(room, k):
            assert riders.ready(1)
            put(k)
        n += 1


def test_without_memory_for_another_code_nobody_rides_for_nothing():
    rules = fresh()
    riders = rules["riders"]
    show(code("mot"), rules).settled()
    name = show(code("mot-custom"), fresh()).code[:8]
    fill(riders, room.CODES, name, lambda k: riders.code_ridden(k, UNIX + 500))
    result = show(code("mot-custom"), rules)
    assert said(result) == ("declined", "storage_full")
    assert said(show(code("mot"), rules)) == ("declined", "replayed")
    assert riders.full() == ["codes"]
    rules["seen"] = Presentation()
    result = show(code("mot-custom"), rules, clock_at(UNIX + 501))
    assert said(result) == ("accepted", ""), "others are over"
    rules["seen"] = Presentation()
    assert said(show(code("mot"), rules, clock_at(UNIX + 502))) == ("declined", "replayed")


def test_payment_codes_close_no_ride_codes_and_those_close_no_payment_codes():
    section = dict(CONFIG)
    section["cpm"] = {"first_ride_risk": True, "cap": 300}
    section["limits"] = {"cumulative": 900}
    rules = code_rules.load(section, riders=memory(clock_at()))
    riders = rules["riders"]
    name = show(code("cpm"), rules).code[:8]
    fill(riders, room.PAYMENT, name, lambda k: riders.waits(room.PAYMENT, k, 86400))
    rules["seen"] = Presentation()
    assert said(show(code("cpm"), rules)) == ("declined", "storage_full")
    for ours in ("mot", "union", "alipay"):
        assert said(show(code(ours), rules)) == ("accepted", ""), ours
    rules = code_rules.load(section, riders=memory(clock_at()))
    riders = rules["riders"]
    name = show(code("mot"), fresh()).code[:8]
    fill(riders, room.CODES, name, lambda k: riders.code_ridden(k, UNIX + 86400))
    assert said(show(code("mot"), rules)) == ("declined", "storage_full")
    assert said(show(code("cpm"), rules)) == ("accepted", "")


def test_no_memory_of_riders_no_ride():
    for name in ("mot", "union", "alipay"):
        rules = dict(code_rules.load(CONFIG))
        clock = clock_at()
        result = codes.run(code(name), clock, Phases(clock), rules, AMOUNT)
        assert said(result) == ("declined", "out_of_service"), name


def test_limits_by_account():
    section = dict(CONFIG)
    section["limits"] = {"window_s": 5, "cumulative": 300, "cumulative_s": 3600}
    rules = code_rules.load(section, riders=memory(clock_at()))
    clock = clock_at()
    show(code("mot"), rules, clock).settled()
    result = show(code("mot-custom"), rules, clock)  # the same account
    assert said(result) == ("declined", "too_soon") and result.detail["what"] == "account"
    assert result.again is None
    clock.advance_us(5000000)
    result = show(code("mot-custom"), rules, clock)
    assert said(result) == ("declined", "over_limit") and result.detail["what"] == "cumulative"
    clock.advance_us(2000000)
    assert show(code("mot-custom"), rules, clock, 100).outcome == "accepted"
    assert show(code("mot-student"), rules, clock).outcome == "accepted"  # somebody else
    section["limits"] = {"cumulative": 199}
    rules = code_rules.load(section, riders=memory(clock_at()))
    assert said(show(code("mot"), rules)) == ("declined", "over_limit"), "the first ride, too"
    section["limits"] = {"cumulative": 200}
    rules = code_rules.load(section, riders=memory(clock_at()))
    assert said(show(code("mot"), rules)) == ("accepted", "")


def test_the_deny_list_is_asked_for_the_token():
    asked = []

    def deny(token):
        asked.append(token)
        return token == b"T:9999000000000000001"

    rules = fresh(deny=deny, token=lambda source: b"T:" + source)
    assert said(show(code("mot"), rules)) == ("declined", "deny_listed")
    assert show(code("mot-student"), rules).outcome == "accepted"
    assert asked == [b"T:9999000000000000001", b"T:99990000000000000020"]


def test_a_payment_code_rides_once_at_the_operators_risk():
    def with_risk(**changes):
        section = dict(CONFIG)
        section["cpm"] = {"first_ride_risk": True, "cap": 300, "again_s": 3600}
        section["cpm"].update(changes)
        return code_rules.load(section, riders=memory(clock_at()))

    rules = with_risk()
    result = show(code("cpm"), rules, amount=300)
    assert said(result) == ("accepted", "") and result.detail["risk"] == "first_ride"
    result.settled()
    for now, reason in ((UNIX + 10, "needs_online"), (UNIX + 3600, "needs_online")):
        rules["seen"] = Presentation()
        assert show(code("cpm"), rules, clock_at(now)).reason == reason
    rules["seen"] = Presentation()
    assert show(code("cpm"), rules, clock_at(UNIX + 3601)).outcome == "accepted"
    result = show(code("cpm"), with_risk(), amount=301)
    assert said(result) == ("declined", "needs_online") and result.detail["what"] == "cap"
    assert "risk" not in result.detail
    result = show(code("cpm"), with_risk(first_ride_risk=False))
    assert said(result) == ("declined", "needs_online")
    aid = bytes.fromhex(result.detail["aid"])
    assert show(code("cpm"), with_risk(aids=[aid[:5].hex()])).outcome == "accepted"
    result = show(code("cpm"), with_risk(aids=[aid.hex() + "00", "A000000004"]))
    assert said(result) == ("declined", "needs_online") and result.detail["what"] == "application"


def test_no_hash_of_a_card_number_gets_into_a_record():
    one = fresh(card_token=lambda source: b"token 1.")
    two = fresh(card_token=lambda source: b"token 2.")
    a = show(code("cpm"), one)
    b = show(code("cpm"), two)
    assert a.code[:8] != b.code[:8]  # it depends on the key of the token, and on that alone
    assert a.code == show(code("cpm"), fresh(card_token=one["card_token"])).code
    assert a.token_source == b.token_source


def test_evidence_is_the_code_itself_sealed():
    class Seal:
        def seal(self, data):
            return b"sealed:" + data

    for name in ("mot", "union", "alipay", "cpm"):
        assert show(code(name), fresh(seal=Seal())).evidence == b"sealed:" + code(name)
        assert show(code(name), fresh()).evidence is None
    assert show(code("mot-stale"), fresh(seal=Seal())).evidence is None


def test_nothing_is_known_of_a_rider_whose_signatures_are_not_right():
    for name in CODES:
        if CODES[name][1] in ("bad_signature", "malformed"):
            result = show(code(name), fresh())
            assert result.token_source is None and result.masked == "" and result.expiry == ""
            assert "9999000000000000001" not in repr(result.detail)
    result = show(code("mot-wrong-user-key"), fresh())
    assert result.detail == {
        "signature": "user",
        "root": 0x7F,
        "issuer": "99990000",
        "platform": "99990001",
    }


def test_time_is_booked_under_read_verify_and_decide():
    class Stepping(FakeClock):
        def ticks_us(self):
            self.now_us += 1000
            return self.now_us

    for name, expected in (("mot", (1, 1, 1)), ("mot-wrong-user-key", (1, 1, 0))):
        clock = Stepping(0)
        clock.unix_base = UNIX
        phases = Phases(clock)
        codes.run(code(name), clock, phases, fresh(), AMOUNT)
        for phase, ms in zip(("read", "verify", "decide"), expected):
            assert phases.ms(phase) >= ms, (name, phase)


def test_memory_that_runs_out_is_made_or_nobody_rides():
    fails = []

    def scarce(code, n, rules, month):
        if fails:
            fails.pop()
            raise MemoryError
        return verify(code, n, rules, month)

    from validator.crypto.curves import SM2
    from validator.media import code_chain

    verify = code_chain.verify
    code_chain.verify = scarce
    try:
        fails.append(1)
        assert show(code("mot"), fresh()).outcome == "accepted"
        fails.extend((1, 1))
        rules = fresh()
        assert said(show(code("mot"), rules)) == ("retry", "out_of_service")
        assert SM2._field is None  # given back, and made again by the next
        rules["seen"] = Presentation()
        assert show(code("mot"), rules).outcome == "accepted"
    finally:
        code_chain.verify = verify


def test_the_power_is_cut_at_every_step_of_a_ride():
    """One record of one ride, whatever happens; accepted is only what the flash keeps."""
    data = code("mot")
    for how in HOW:
        n = 0
        while True:
            flash = FlashSim(4)
            journal = Journal(flash, FakeClock())
            journal.mount()
            journal.prepare()
            flash.log = []
            flash.cut_at(n, how)
            whole = ride(data, journal, fresh())
            flash.power_on()
            journal = Journal(flash, FakeClock())
            journal.mount()
            rules = fresh()
            kept = [record.decode(entry[1]) for entry in journal.read()]
            run(
                riders_restore.restore(rules["riders"], journal, Rules(rules), clock_at().sleep_ms)
            )
            result = show(data, rules)
            if kept:
                assert said(result) == ("declined", "replayed"), (how, n)
            else:
                assert not whole and said(result) == ("accepted", ""), (how, n)
            if whole:
                break
            n += 1
        assert n >= 1


class Rules:
    """In the place of an `Operation`."""

    cards = purse = None

    def __init__(self, codes):
        self.codes = codes


def ride(data, journal, rules):
    """As a tap does it; whether the power lasted."""
    result = show(data, rules)
    assert result.outcome == "accepted"
    fields = {"seq": journal.next_seq, "time": UNIX, "code": result.code}
    for name in ("medium", "outcome", "reason"):
        fields[name] = getattr(result, name)
    try:
        journal.append(record.encode(fields))
    except PowerCut:
        return False
    result.settled()
    return True


def test_without_rules_nothing_of_this_is_loaded():
    clock = clock_at()
    result = codes.run(code("mot"), clock, Phases(clock))
    assert said(result) == ("declined", "unverified")
    assert not isinstance(result, code_decision.CodeResult)
