"""The transit rule after authentication, the limits' memory, and the rules' own checks."""

import quickpass_corpus as corpus
from emv_script import scheme_rules, scheme_terminal
from fakes import raises
from riders_bench import key as name_of
from riders_bench import memory
from validator.media import decision, rules
from validator.media.quickpass_torn import Debit, Torn
from validator.media.result import Refused
from validator.media.riders import QUICKPASS
from validator.media.rules import RulesError

TAGS = {
    0x57: bytes.fromhex("6212345678901232d30122010000000000"),
    0x5F24: bytes.fromhex("301231"),
    0x5F25: bytes.fromhex("200101"),
    0x9F36: b"\x00\x03",
}
RULES = scheme_rules()


def rider(kind="ARQC", **changes):
    tags = dict(TAGS)
    for name in changes:
        tags[int(name[1:], 16)] = bytes.fromhex(changes[name])
    return decision.identify(tags, kind)


def reason(who, r=RULES, **options):
    try:
        decision.check(who, scheme_terminal(r, **options), r, 200)
    except Refused as e:
        return e.reason
    return ""


def test_rider():
    who = rider(_9F24="54455354" + "41" * 25)
    assert who.number == "6212345678901232" and who.expiry == "3012" and who.atc == 3
    assert who.source() == b"6212345678901232"
    r = scheme_rules(token=lambda source: source)
    assert decision.tokens(who, r) == [b"6212345678901232", b"TEST" + b"A" * 25]
    for par in ("00" * 29, "30" * 29, "41" * 28, "41" * 30, ""):
        assert decision.tokens(rider(_9F24=par), r) == [b"6212345678901232"], par


def test_nobody():
    for changes in (
        {"_57": "6212345678901232"},
        {"_57": "6212345678901232d3a12"},
        {"_57": "62123456789d3012"},
        {"_57": "62123456789012345678d3012"},
        {"_57": "", "_5A": ""},
        {"_5F24": "301331"},
        {"_5F24": "3012"},
        {"_5F25": "2a0101"},
        {"_5A": "6212345678901240"},
    ):
        if "_57" in changes and len(changes["_57"]) % 2:
            changes["_57"] += "f"
        e = raises(Refused, lambda: rider(**changes))
        assert e.reason == "malformed", changes


def test_order_of_the_rule():
    # All is wrong, and one after another is put right: what is refused first, comes first.
    listed = [True]
    r = scheme_rules(
        config={"acquirer": None, "limits": {"tap": 100, "cvm": 100}},
        deny=lambda token: listed[0],
    )
    who = rider("AAC", _5F24="200101", _5F25="480101", _9F36="0000")
    options = {"trusted": False}
    assert reason(who, r, **options) == "card_refused"
    who.kind = ""
    assert reason(who, r, **options) == "malformed"
    who.kind = "ARQC"
    assert reason(who, r, **options) == "malformed"
    who.atc = 1
    assert reason(who, r, **options) == "deny_listed"
    listed[0] = False
    assert reason(who, r, **options) == "over_limit"
    r["tap"] = 200
    assert reason(who, r, **options) == "over_limit"
    decision.trust_ctq(who, b"\x00\x80")
    assert reason(who, r, **options) == "clock_untrusted"
    options = {}
    assert reason(who, r) == "expired"
    who.expires = b"\x48\x12\x31"
    assert reason(who, r) == "not_yet_valid"
    who.begins = None
    for token in decision.tokens(who, r):
        r["riders"].rode(QUICKPASS, token, 1, 60, 0)
    assert reason(who, r) == "too_soon"
    assert reason(who, r, unix=corpus.UNIX + 10) == "out_of_service"
    r["seal"] = object()
    assert reason(who, r, unix=corpus.UNIX + 10) == ""


def test_dates():
    for day, expected in (("260731", "expired"), ("260801", ""), ("260802", "")):
        assert reason(rider(_5F24=day)) == expected, day
    for day, expected in (("260801", ""), ("260802", "not_yet_valid"), ("991231", "")):
        assert reason(rider(_5F25=day)) == expected, day
    who = rider()
    who.expires = None
    for month, expected in (("2607", "expired"), ("2608", ""), ("", "malformed")):
        who.expiry = month
        assert reason(who) == expected, month
    assert reason(rider(_5F24="991231")) == "expired"  # 1999


def test_a_clock_that_was_set_back_locks_nobody_out():
    r = scheme_rules()
    who = rider()
    scheme_terminal(r, unix=corpus.UNIX + 1000)
    decision.settle(who, r, 200)
    assert reason(who, r) == "too_soon", "nor does it open the window"
    assert reason(who, r, unix=corpus.UNIX + 4) == "too_soon"
    assert reason(who, r, unix=corpus.UNIX + 5) == ""


def test_without_a_memory_of_riders_nobody_rides_for_whom_there_are_limits():
    assert reason(rider(), scheme_rules(riders=None)) == "out_of_service"
    r = scheme_rules(riders=None, config={"limits": {"window_s": 0}})
    assert reason(rider(), r) == ""


def test_a_full_memory_refuses_who_is_not_in_it():
    r = scheme_rules()
    riders = r["riders"]
    who = rider()
    (token,) = decision.tokens(who, r)
    n = 0
    while riders.has_room(QUICKPASS, token):
        k = name_of(n)
        if riders.has_room(QUICKPASS, k):
            assert riders.ready(1)
            riders.rode(QUICKPASS, k, 1, 60, 0)
        n += 1
    assert reason(who, r) == "storage_full"
    assert reason(who, r, unix=corpus.UNIX + 60) == "", "others are over"


def test_the_limit_is_the_first_rides_too():
    for limit, expected in ((199, "over_limit"), (200, ""), (0, "")):
        r = scheme_rules(config={"limits": {"cumulative": limit}})
        assert reason(rider(), r) == expected, limit


def test_two_names_of_a_rider_in_a_bucket_keep_nobody_else_out():
    r = scheme_rules(config={"limits": {"window_s": 600}})
    riders = r["riders"]
    names = []
    r["token"] = lambda source: names[len(source) > 20]
    bucket = riders.table.bucket(QUICKPASS, bytes(8))
    said = ""
    n = 0
    while not said:
        assert riders.ready(4)
        n += 1
        names = [n.to_bytes(6, "big") + b"\0\0", n.to_bytes(5, "big") + b"\7\0\0"]
        assert [riders.table.bucket(QUICKPASS, name) for name in names] == [bucket] * 2
        who = rider(_9F24="54455354" + "41" * 25)
        said = reason(who, r)
        if not said:
            decision.settle(who, r, 200)
            assert riders._free(bucket) >= 2, "each has its place, and two are nobody's"
    assert said == "storage_full" and n > 5
    while riders.info()["pending"]:
        assert riders.carry()


def test_only_a_signed_ctq_counts():
    who = rider(_9F6C="0080")
    assert not who.device_cvm
    for ctq, verified in (
        (b"\x00\x80", True),
        (b"\x00\x7f", False),
        (b"\x80", False),
        (b"", False),
    ):
        decision.trust_ctq(who, ctq)
        assert who.device_cvm == verified


# What is remembered


def same(debit, other):
    return debit.pack() == other.pack()


def test_torn_debits():
    riders = memory(journal=Later)
    torn = Torn(riders)
    token = name_of(1)
    debit = Debit(7, 1000, 200, True)
    assert torn.of(token) is None and torn.has_room(token)
    torn.add(token, 11, debit)
    assert torn.of(token)[0] == 11 and same(torn.of(token)[1], debit)
    again = Debit(8, 100000, 200, False)
    torn.add(token, 12, again)
    assert torn.of(token)[0] == 12 and same(torn.of(token)[1], again)
    n = 100
    while torn.has_room(name_of(n)):
        assert riders.ready(1)
        torn.add(name_of(n), n, debit)
        n += 1
    refused = name_of(n)
    for k in range(100, n):
        assert torn.of(name_of(k))[0] == k, "none is forgotten"
        assert torn.has_room(name_of(k)), "and each can be settled"
    assert torn.of(token)[0] == 12
    near = [name_of(k) for k in range(100, n)]
    bucket = riders.table.bucket(QUICKPASS, refused)
    for name in [name for name in near if riders.table.bucket(QUICKPASS, name) == bucket][:4]:
        torn.drop(name)
        torn.drop(name)
        assert torn.of(name) is None
    while riders.carry():
        pass
    for _ in range(40):
        riders.idle()
    assert torn.has_room(refused), "and that makes room"
    assert not torn.unproven(token)
    torn.mark_unproven(token, 12)
    assert torn.unproven(token) and not torn.unproven(name_of(100))


class Later:
    """A journal whose newest records are none of these."""

    next_seq = 10000


def test_torn_debits_out_of_records():
    torn = Torn(memory())

    def recall(seq, token=b"12345678", **detail):
        torn.recall(seq, {"token": token, "detail": detail})

    recall(1, cash=[7, 1000, 200, 0])
    known = torn.of(b"12345678")
    assert known[0] == 1 and known[1].pack() == [7, 1000, 200, 0]
    for token, detail in (
        (b"12345678", {}),
        (b"12345678", {"of": 0}),
        (b"87654321", {"of": 1}),
        (None, {"of": 1}),
    ):
        recall(3, token=token, **detail)
        assert torn.of(b"12345678")[0] == 1, detail
    for name in ("of", "void", "unknown"):
        recall(1, cash=[7, 1000, 200, 0])
        recall(4, **{name: 1})
        assert torn.of(b"12345678") is None
        assert not torn.unproven(b"12345678")
    recall(5, of=1, state="unproven")
    assert torn.unproven(b"12345678")


def test_neutral_rules():
    assert rules.NEUTRAL["ca_keys"] == {} and rules.NEUTRAL["seal"] is None
    assert not rules.NEUTRAL["deny"](b"x") and len(rules.NEUTRAL["token"](b"1")) == 8


def test_rules_of_the_scheme():
    keys = RULES["ca_keys"]
    assert sorted(keys) == [0xF1, 0xF2]
    assert len(keys[0xF1][0].modulus) == 176 and len(keys[0xF2][0].modulus) == 248
    assert keys[0xF1][1] == 2049 * 12 + 11
    assert RULES["tap"] == 5000 and RULES["cumulative"] == 0


def key(**changes):
    entry = dict(corpus.CONFIG["ca_keys"][0])
    entry.update(changes)
    return {"ca_keys": [entry]}


def test_rules_that_are_refused():
    modulus = corpus.CONFIG["ca_keys"][0]["modulus"]
    for config, words in (
        (key(check="00" * 20), "ca_keys[0].check"),
        (key(modulus=modulus[:-2] + "35"), "ca_keys[0].check"),
        (key(modulus="zz"), "ca_keys[0].modulus"),
        (key(modulus=None), "ca_keys[0].modulus: missing"),
        (key(index="f1f1"), "ca_keys[0].index"),
        (key(rid="a000000003"), "ca_keys[0].rid"),
        (key(expires="4913"), "ca_keys[0]: date"),
        (key(expires="49"), "ca_keys[0].expires"),
        ({"ca_keys": key()["ca_keys"] * 2}, "ca_keys[1].index"),
        ({"ca_keys": [7]}, "ca_keys[0]"),
        ({"limits": {"tap": -1}}, "limits.tap"),
        ({"limits": {"taps": 1}}, "limits.taps"),
        ({"limits": 5}, "limits"),
        ({"aids": ["A0", 7]}, "aids"),
        ({"terminal": {"serial": "1"}}, "terminal.serial"),
        ({"acquirer": {"modulus": "80" * 128}}, "acquirer"),
        ({"acquirer": {"exponent": "03"}}, "acquirer.modulus: missing"),
    ):
        e = raises(RulesError, rules.load, config)
        assert words in str(e), (words, str(e))


def test_the_exponent_of_a_ca_key():
    from hashlib import sha1

    modulus = corpus.CONFIG["ca_keys"][0]["modulus"]
    check = sha1(bytes.fromhex("a000000333f1" + modulus + "04")).digest().hex()
    e = raises(RulesError, rules.load, key(exponent="04", check=check))
    assert "exponent" in str(e)
