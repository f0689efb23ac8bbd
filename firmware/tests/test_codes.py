"""Dispatch of scanned codes, and the codes of UnionPay and Alipay."""

from binascii import b2a_base64

from fakes import FakeClock, raises
from test_cpm import EXAMPLE
from test_ride_code import VECTOR
from validator.media import alipay_code, codes, union_code
from validator.media.phases import Phases


def run(code):
    clock = FakeClock()
    phases = Phases(clock)
    return codes.run(code, clock, phases)


def union(custom=b"", user=b"\x00\x01\x02\x03\x04\x05\x06\x07"):
    return (
        bytes.fromhex(
            "0211 0102 1122334455667788 01020304 012C 0001 8877665544332211".replace(" ", "")
        )
        + (410256000).to_bytes(4, "big")
        + user
        + bytes([len(custom)])
        + custom
        + b"\x15"
        + bytes(range(64))
    )


def text(data):
    return b2a_base64(data).strip()


def der(size, fill):
    return b"\x30" + bytes([size - 2]) + bytes([fill]) * (size - 2)


def alipay(card=b"3100123456789012", algorithm=2, prefix=b"", data=b"\x0a\x0d\x00"):
    body = (
        b"2088000000000001"
        + (1893542400).to_bytes(4, "big")
        + (600).to_bytes(2, "big")
        + (1500).to_bytes(2, "big")
        + bytes.fromhex("00000001 01020304 00000000".replace(" ", ""))
        + b"\x02"
        + bytes(24)
        + b"S0310000"
        + bytes([len(card)])
        + card
        + bytes([len(data)])
        + data
    )
    institution = der(71, 0x11)
    user = der(54, 0x22)
    return (
        prefix
        + bytes([2, algorithm, 9, len(body)])
        + body
        + bytes([len(institution)])
        + institution
        + b"\x04"
        + (1893456000).to_bytes(4, "big")
        + bytes([len(user)])
        + user
    )


def test_first_bytes_decide():
    for code, medium, reason in (
        (VECTOR, "ride_code", "unverified"),
        (VECTOR[:-1], "ride_code", "malformed"),
        (b"\xff", "ride_code", "malformed"),
        (alipay(), "alipay_code", "unverified"),
        (alipay(prefix=b"\x54\x01"), "alipay_code", "unverified"),
        (alipay(prefix=b"\x54\x02", algorithm=1), "alipay_code", "unverified"),
        (b"\x02\x01", "alipay_code", "malformed"),
        (text(union()), "union_code", "unverified"),
        (b"AhE*", "union_code", "malformed"),
        (EXAMPLE, "cpm", "unverified"),
        (b"hQVDUFYwMQ==", "cpm", "malformed"),
        (b"62" + b"1" * 17, "cpm", "unverified"),
        (b"134567890123456789", "cpm", "unverified"),
        (b"281234567890123456", "cpm", "unverified"),
        (b"TX12345678", "unknown_code", "unsupported"),
        (b"https://example.org", "unknown_code", "unsupported"),
        (b"6901234567892", "unknown_code", "unsupported"),
        (b"\x02\x11\x00", "unknown_code", "unsupported"),
        (b"\x54\x03\x02\x01", "unknown_code", "unsupported"),
        (b"A", "unknown_code", "unsupported"),
        (b"\x00", "unknown_code", "unsupported"),
        (b"", "unknown_code", "malformed"),
    ):
        r = run(code)
        assert (r.medium, r.outcome, r.reason) == (medium, "declined", reason), code


def test_nothing_of_an_unknown_code_is_kept():
    r = run(b"https://example.org/private")
    assert r.detail == {"length": 27, "kind": "text"}
    assert r.token_source is None and r.masked == "" and r.evidence is None
    assert run(b"\x00\x01").detail == {"length": 2, "kind": "binary"}
    assert run(b"TX" + bytes(20)).detail == {"length": 22, "kind": "tencent"}


def test_a_malformed_code_names_the_field_and_nothing_else():
    assert run(VECTOR[:-1]).detail == {"why": "length"}
    assert run(VECTOR[:-1]).token_source is None
    assert run(b"").detail == {"why": "length"}


def test_time_is_booked_under_read():
    class Stepping(FakeClock):
        def ticks_us(self):
            self.now_us += 4000
            return self.now_us

    clock = Stepping()
    phases = Phases(clock)
    codes.run(VECTOR, clock, phases)
    assert phases.ms("read") == 4
    assert sum(phases.as_dict().values()) == 4


def test_what_is_no_code_at_all_does_not_raise():
    for thing in (None, 17, "text", [300]):
        r = run(thing)
        assert r.outcome == "declined" and r.reason in ("malformed", "unsupported")


def test_bytearray_and_memoryview_are_codes_too():
    for code in (VECTOR, alipay(), text(union()), EXAMPLE):
        a = run(code)
        b = run(bytearray(code))
        assert (a.medium, a.reason, a.masked, a.token_source, a.detail) == (
            b.medium,
            b.reason,
            b.masked,
            b.token_source,
            b.detail,
        )


def test_every_field_of_a_union_code():
    c = union_code.parse(union(b"bus\x00"))
    assert c["certificate"] == 0x0102
    assert bytes(c["app"]) == bytes.fromhex("1122334455667788")
    assert c["institution"] == "01020304"
    assert c["validity"] == 300
    assert c["scope"] == 1
    assert bytes(c["qr_id"]) == bytes.fromhex("8877665544332211")
    assert c["generated"] == 1893456000
    assert bytes(c["user"]) == bytes(range(8))
    assert bytes(c["custom"]) == b"bus\x00"
    assert bytes(c["signature"]) == b"\x15" + bytes(range(64))
    assert bytes(c["signed"]) == union(b"bus\x00")[4:-65]


def test_a_union_code_with_and_without_padding():
    for n in range(4):
        padded = text(union(bytes(n)))
        assert run(padded).reason == "unverified"
        r = run(padded.rstrip(b"="))
        assert r.reason == "unverified"
        assert r.token_source == b"0001020304050607"
        assert r.expiry == "3001"
        assert r.masked == ""


def test_a_union_code_of_the_wrong_length():
    assert raises(ValueError, union_code.parse, union()[:-1]).args[0] == "length"
    assert raises(ValueError, union_code.parse, union(b"abc")[:-1]).args[0] == "custom_length"
    assert raises(ValueError, union_code.parse, union() + b"\x00").args[0] == "custom_length"
    assert raises(ValueError, union_code.parse, b"\x02\x12" + union()[2:]).args[0] == "version"


def test_base64_is_strict():
    assert union_code.unbase64(b"aGk=") == b"hi"
    assert union_code.unbase64(b"aGk") == b"hi"
    assert union_code.unbase64(b"") == b""
    for bad in (
        b"a",
        b"aGk*",
        b"aG k",
        b"aGk-",
        b"=",
        b"aGk==",
        b"aGkh=",
        b"aGkhb",
        b"a=Gk",
        b"====",
    ):
        assert raises(ValueError, union_code.unbase64, bad).args[0] == "base64"


def test_every_field_of_an_alipay_code():
    for prefix in (b"", b"\x54\x01", b"\x54\x02"):
        bare = alipay()
        c = alipay_code.parse(prefix + bare)
        assert c["algorithm"] == 2
        assert c["key"] == 9
        assert c["user"] == b"2088000000000001"
        assert c["expires"] == 1893542400
        assert c["validity"] == 600
        assert c["limit"] == 1500
        assert bytes(c["identity"]) == b"\x00\x00\x00\x01"
        assert c["institution"] == "01020304"
        assert bytes(c["user_key"]) == b"\x02" + bytes(24)
        assert bytes(c["card_type"]) == b"S0310000"
        assert c["card"] == b"3100123456789012"
        assert bytes(c["card_data"]) == b"\x0a\x0d\x00"
        assert bytes(c["issuer_signature"]) == der(71, 0x11)
        assert bytes(c["issuer_signed"]) == bare[4 : 4 + bare[3]]
        assert c["generated"] == 1893456000
        assert bytes(c["user_signature"]) == der(54, 0x22)
        assert bytes(c["user_signed"]) == bare[:-55]


def test_the_result_of_an_alipay_code():
    r = run(alipay())
    assert r.masked == "310012******9012"
    assert r.token_source == b"3100123456789012"
    assert r.expiry == "3001"
    r = run(alipay(card=b"AB-1"))
    assert r.masked == "" and r.token_source == b"AB-1"
    r = run(alipay(card=b""))
    assert r.token_source == b"2088000000000001"


def test_lengths_inside_an_alipay_code_must_add_up():
    good = alipay()
    l1 = good[3]
    for at, why in (
        (3, "body_1"),
        (73, "body_1"),
        (90, "body_1"),
        (4 + l1, "body_2"),
        (5 + l1 + 71, "body_2"),
        (len(good) - 55, "user_signature"),
        (6 + l1, "issuer_signature"),
        (len(good) - 53, "user_signature"),
    ):
        bad = bytearray(good)
        bad[at] += 1
        assert raises(ValueError, alipay_code.parse, bytes(bad)).args[0] == why, at
    assert raises(ValueError, alipay_code.parse, good + b"\x00").args[0] == "length"
    assert raises(ValueError, alipay_code.parse, alipay(card=b"\x00" * 8)).args[0] == "card"


def test_every_truncation_is_declined():
    for code in (VECTOR, alipay(), alipay(prefix=b"\x54\x02"), text(union()), EXAMPLE):
        for n in range(len(code)):
            r = run(code[:n])
            assert r.outcome == "declined"
            if code[:1] != b"h" and code[:1] != b"A":
                assert r.reason in ("malformed", "unsupported")
