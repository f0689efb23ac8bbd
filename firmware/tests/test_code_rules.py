"""A configuration's "codes": what is taken, and what is refused by place, value and remedy."""

from code_corpus import CONFIG
from crypto_vectors import ROOT, SM2_KEY
from fakes import raises
from validator.media import code_decision, code_rules
from validator.media.code_rules import RulesError

KEY = (b"\x02" + SM2_KEY[0].to_bytes(32, "big")).hex()
BOTH = (b"\x04" + SM2_KEY[0].to_bytes(32, "big") + SM2_KEY[1].to_bytes(32, "big")).hex()
ONE = {"issuer": "99990000", "platform": "99990001"}


def why(**section):
    return str(raises(RulesError, code_rules.load, section))


def changed(at, value):
    root = bytearray(ROOT)
    root[at] = value
    return root.hex()


def test_nothing_at_all_is_a_configuration_that_accepts_nobody():
    rules = code_rules.load({})
    assert rules["roots"] == rules["accepted"] == rules["local"] == {}
    assert rules["union_keys"] == rules["alipay_keys"] == {}
    assert (rules["skew_s"], rules["tap"], rules["cap"]) == (60, 5000, 500)
    assert rules["risk"] is False and rules["aids"] is None and rules["seal"] is None
    assert not rules["accounts"]


def test_everything_that_can_be_said():
    section = dict(CONFIG)
    section["limits"] = {"tap": 300, "cumulative": 4000, "cumulative_s": 7200, "window_s": 5}
    section["remember"] = 64  # of an earlier firmware: without effect
    section["cpm"] = {"first_ride_risk": True, "cap": 0, "again_s": 60, "aids": ["A000000333"]}
    rules = code_rules.load(section)
    assert sorted(rules["roots"]) == [0x7D, 0x7F]
    assert rules["roots"][0x7F][1] == "4012" and rules["roots"][0x7D][1] == "2012"
    assert rules["accepted"] == {"9999000099990001": "99990000", "9999000099990002": "99990000"}
    assert rules["local"] == {"9999000099990002": True}
    assert sorted(rules["union_keys"]) == [1, 2]
    assert 0x109 in rules["alipay_keys"] or len(rules["alipay_keys"]) > 1
    assert rules["tap"] == 300 and rules["cumulative"] == 4000 and rules["accounts"]
    assert rules["aids"] == [b"\xa0\x00\x00\x03\x33"] and rules["cap"] == 0


def test_keys_in_either_form_are_the_same_key():
    rules = code_rules.load(
        {"union_keys": [{"index": "0102", "key": KEY}, {"index": "FFFF", "key": BOTH}]}
    )
    one, other = rules["union_keys"][0x0102], rules["union_keys"][0xFFFF]
    assert one.x == other.x == SM2_KEY[0]
    # The example's y is odd: 02 is the other point of this x.
    assert other.y == SM2_KEY[1] and one.y + other.y == one.curve.p


def test_the_same_id_may_stand_for_a_key_of_either_algorithm():
    g = CONFIG["alipay_keys"]
    k1 = [e for e in g if e["algorithm"] == "secp256k1"][0]
    keys = [
        {"id": 5, "algorithm": "sm2", "key": KEY},
        {"id": 5, "algorithm": "secp256k1", "key": k1["key"]},
    ]
    rules = code_rules.load({"alipay_keys": keys})
    assert sorted(rules["alipay_keys"]) == [0x105, 0x205]
    text = why(alipay_keys=keys[:1] * 2)
    assert text == "codes.alipay_keys[1]: stands there twice"


def test_the_tables_of_the_first_roots_are_made_and_of_no_more():
    rules = code_rules.load(CONFIG)
    assert rules["roots"][0x7F][0].table is not None
    assert rules["roots"][0x7D][0].table is not None
    assert code_rules._TABLES == 2  # 2 KB each
    assert code_decision.prepare(rules) is False  # no issuer was seen yet
    assert code_decision.prepare(code_rules.load({})) is False


def test_a_root_file_that_is_none_is_refused():
    for root, words in (
        ("", "codes.roots[0]: 0 bytes: a root file has 144"),
        (ROOT.hex()[:-2], "codes.roots[0]: 143 bytes"),
        ("xy", "codes.roots[0]: 'xy': hex digits expected"),
        (7, "codes.roots[0]: 7: hex digits expected"),
        (changed(0, 0x22), "codes.roots[0]: no SM2 root file"),
        (changed(9, 0x33), "codes.roots[0]: no SM2 root file"),
        (changed(13, 0x01), "codes.roots[0]: no SM2 root file"),
        (changed(14, 0x00), "codes.roots[0]: no SM2 root file"),
        (changed(15, 0x41), "codes.roots[0]: no SM2 root file"),
        (changed(11, 0x13), "codes.roots[0]: expiry 1340: MMYY expected"),
        (changed(11, 0x00), "codes.roots[0]: expiry 0040: MMYY expected"),
        (changed(12, 0x4A), "codes.roots[0]: expiry 124a: MMYY expected"),
        (changed(16, ROOT[16] ^ 1), "codes.roots[0]: off the curve"),
        (changed(10, 0x7E), "codes.roots[0]: its signature is not its own key's"),
        (changed(11, 0x11), "codes.roots[0]: its signature is not its own key's"),
        (changed(143, ROOT[143] ^ 1), "codes.roots[0]: its signature is not its own key's"),
    ):
        text = why(roots=[root])
        assert text.startswith(words), (words, text)


def test_a_root_vouched_for_by_another_root_is_refused():
    # The first 80 bytes of one file with the signature of another.
    one, other = [bytes.fromhex(r) for r in CONFIG["roots"]]
    text = why(roots=[(one[:80] + other[80:]).hex()])
    assert text.startswith("codes.roots[0]: its signature is not its own key's")


def test_every_other_mistake_is_named():
    for section, words in (
        ({"roots": [ROOT.hex()] * 2}, "codes.roots[1]: index 7f stands there twice"),
        ({"roots": ["00"] * 9}, "codes.roots: a list of 8 entries at most expected"),
        ({"roots": "00"}, "codes.roots: a list of 8 entries at most expected"),
        ({"accepted": [{}]}, "codes.accepted[0].issuer: None: 8 digits expected"),
        ({"accepted": [ONE, ONE]}, "codes.accepted[1]: 9999000099990001 stands there twice"),
        ({"accepted": [{"issuer": "9999000A"}]}, "codes.accepted[0].issuer: '9999000A'"),
        ({"accepted": [{"issuer": "999900000"}]}, "codes.accepted[0].issuer: '999900000'"),
        (
            {"accepted": [{"issuer": "99990000", "platform": ""}]},
            "codes.accepted[0].platform: '': 8 digits expected",
        ),
        (
            {"accepted": [{"issuer": "99990000", "certificate": 1}]},
            "codes.accepted[0].certificate: 1: 8 digits expected",
        ),
        ({"accepted": ["99990000"]}, "codes.accepted[0]: '99990000': an object expected"),
        ({"accepted": {}}, "codes.accepted: a list of 64 entries at most expected"),
        ({"id_rules": [ONE]}, "codes.id_rules[0].ids: None: local or default expected"),
        ({"union_keys": [{"key": KEY}]}, "codes.union_keys[0].index: None: hex digits"),
        ({"union_keys": [{"index": "01", "key": KEY}]}, "codes.union_keys[0].index: 01: 2 bytes"),
        ({"union_keys": [{"index": "0001"}]}, "codes.union_keys[0].key: None: hex digits"),
        (
            {"union_keys": [{"index": "0001", "key": KEY[2:]}]},
            "codes.union_keys[0].key: 32 bytes: 33 or 65 expected",
        ),
        (
            {"union_keys": [{"index": "0001", "key": "05" + KEY[2:]}]},
            "codes.union_keys[0].key: key format: a public key on sm2 expected",
        ),
        (
            {"union_keys": [{"index": "0001", "key": BOTH[:-2] + "00"}]},
            "codes.union_keys[0].key: off the curve: a public key on sm2 expected",
        ),
        (
            {"alipay_keys": [{"id": 1, "algorithm": "secp256k1", "key": BOTH}]},
            "codes.alipay_keys[0].key: off the curve: a public key on secp256k1 expected",
        ),
        (
            {"alipay_keys": [{"id": 1, "algorithm": "p256", "key": KEY}]},
            "codes.alipay_keys[0].algorithm: 'p256': secp256k1 or sm2 expected",
        ),
        ({"alipay_keys": [{"key": KEY}]}, "codes.alipay_keys[0].id: None: 0 to 255 expected"),
        ({"alipay_keys": [{"id": 256}]}, "codes.alipay_keys[0].id: 256: 0 to 255 expected"),
        ({"alipay_keys": [{"id": True}]}, "codes.alipay_keys[0].id: True: 0 to 255 expected"),
        ({"skew_s": -1}, "codes.skew_s: -1: 0 to 86400 expected"),
        ({"skew_s": "60"}, "codes.skew_s: '60': 0 to 86400 expected"),
        ({"limits": {"tapp": 1}}, "codes.limits.tapp: no such limit"),
        ({"limits": {"tap": 1.5}}, "codes.limits.tap: 1.5: 0 to 1073741823 expected"),
        ({"limits": []}, "codes.limits: []: an object expected"),
        ({"cpm": {"first_ride_risk": 1}}, "codes.cpm.first_ride_risk: 1: true or false expected"),
        ({"cpm": {"cap": -5}}, "codes.cpm.cap: -5: 0 to"),
        ({"cpm": {"aids": "A0"}}, "codes.cpm.aids: a list of"),
        ({"cpm": {"aids": ["A"]}}, "codes.cpm.aids: 'A': hex digits expected"),
        ({"cpm": True}, "codes.cpm: True: an object expected"),
    ):
        text = why(**section)
        assert text.startswith(words), (words, text)
    assert str(raises(RulesError, code_rules.load, [])) == "codes: []: an object expected"
    assert issubclass(RulesError, ValueError)
