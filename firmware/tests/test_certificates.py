"""Certificates and dynamic signatures opened, and everything that must not open."""

import quickpass_corpus as corpus
from fakes import raises
from validator.emv import certificates, oda, rsa, sm_certificate, tlv
from validator.emv.certificates import AuthenticationError

CA = rsa.PublicKey(bytes.fromhex(corpus.CONFIG["ca_keys"][0]["modulus"]), 3)
KEYS = {0xF1: (CA, None)}
NUMBER = "6299990000000000012"
TODAY = certificates.months(0x26, 0x08)
TERMINAL = {
    0x9F37: bytes.fromhex(corpus.RANDOM),
    0x9F02: bytes.fromhex("000000000200"),
    0x5F2A: b"\x01\x56",
}


def card():
    """(tags, static) of the base card."""
    tags = {}
    tlv.collect(tlv.find(answer("80a80000"), 0x77), tags)
    static = []
    for number in (1, 2, 3, 4):
        record = tlv.find(answer("00b20%d1400" % number), 0x70)
        tlv.collect(record, tags)
        if number == 1:
            static.append(record)
    tlv.collect(tlv.find(answer("00b2011c00"), 0x70), tags)
    return tags, static


def answer(command):
    return bytes.fromhex(corpus.BASE[command])[:-2]


def verify(tags, static, today=TODAY, number=NUMBER, keys=KEYS, **options):
    issuer = oda.issuer(tags, keys, oda.IssuerCache(), number, today)
    key = oda.card(tags, static, issuer.key, number, today)
    return oda.fdda(tags, key, TERMINAL, True, **options)


def refused(tags, static, reason, **options):
    e = raises(AuthenticationError, lambda: verify(tags, static, **options))
    assert e.reason == reason, (e.reason, e.what)
    return e.what


def changed(tags, tag, at, bit=1):
    out = dict(tags)
    value = bytearray(bytes(tags[tag]))
    value[at] ^= bit
    out[tag] = bytes(value)
    return out


def test_base_card():
    tags, static = card()
    related = verify(tags, static)
    assert related[0] == 1 and len(related) == 7
    issuer = oda.issuer(tags, KEYS, oda.IssuerCache(), NUMBER, TODAY)
    assert issuer.holder == "629999" and issuer.expires == 2049 * 12 + 11
    assert len(issuer.key.modulus) == 144 and issuer.key.exponent == 3


def test_a_bit_changed_anywhere_is_noticed():
    tags, static = card()
    for tag in (0x90, 0x92, 0x9F46, 0x9F48, 0x9F4B, 0x9F69, 0x82, 0x9F36):
        for at in (0, len(tags[tag]) // 2, len(tags[tag]) - 1):
            what = refused(changed(tags, tag, at), static, "bad_signature")
            assert "certificate" in what or "signature" in what or "fDDA" in what, (tag, what)
    refused(tags, [bytes(static[0]) + b"\0"], "bad_signature")
    refused(tags, [], "bad_signature")


def test_terminal_data_is_signed():
    tags, static = card()
    for tag in TERMINAL:
        kept = TERMINAL[tag]
        TERMINAL[tag] = bytes(len(kept))
        try:
            refused(tags, static, "bad_signature")
        finally:
            TERMINAL[tag] = kept


def test_missing_objects():
    tags, static = card()
    for tag in (0x8F, 0x90, 0x9F32, 0x9F46, 0x9F47, 0x9F4B, 0x9F36, 0x82):
        less = dict(tags)
        del less[tag]
        assert refused(less, static, "malformed") == "no %X" % tag
    for tag in (0x92, 0x9F48):
        less = dict(tags)
        del less[tag]
        if tag in tags:
            refused(less, static, "bad_signature")


def test_static_data_list():
    tags, static = card()
    for listed in (b"\x5f\x24", b"\x82\x82", b""):
        assert refused(with_tag(tags, 0x9F4A, listed), static, "bad_signature") == "9F4A"
    less = dict(tags)
    del less[0x9F4A]
    refused(less, static, "bad_signature")


def with_tag(tags, tag, value):
    out = dict(tags)
    out[tag] = value
    return out


def test_expiry():
    tags, static = card()
    assert verify(tags, static, today=2049 * 12 + 11)
    assert refused(tags, static, "expired", today=2050 * 12) == "issuer certificate"
    assert verify(tags, static, today=None)
    keys = {0xF1: (CA, TODAY - 1)}
    assert refused(tags, static, "unknown_issuer", keys=keys) == "CA key F1 expired"
    assert verify(tags, static, keys={0xF1: (CA, TODAY)})


def test_unknown_ca():
    tags, static = card()
    assert refused(tags, static, "unknown_issuer", keys={}) == "CA key F1"
    assert refused(with_tag(tags, 0x8F, b"\xf1\xf1"), static, "malformed") == "8F"


def test_holders():
    tags, static = card()
    refused(tags, static, "bad_signature", number="6299980000000000012")
    refused(tags, static, "bad_signature", number="6299990000000000020")
    refused(tags, static, "bad_signature", number=NUMBER[:-1])


def test_fdda_versions():
    tags, static = card()
    assert refused(with_tag(tags, 0x9F69, b"\x02" + bytes(6)), static, "bad_signature")
    assert refused(with_tag(tags, 0x9F69, b""), static, "bad_signature")
    assert refused(with_tag(tags, 0x9F69, b"\x01\x02"), static, "malformed") == "9F69"
    for related in (None, b"\0" + bytes(6)):
        old = with_tag(tags, 0x9F69, related)
        if related is None:
            del old[0x9F69]
        assert refused(old, static, "bad_signature") == "fDDA version 00"
        # From an older application version 00 is taken, and its signature checked.
        old[0x9F08] = b"\x00\x20"
        key = rsa.PublicKey(bytes(CA.modulus), 3)
        e = raises(AuthenticationError, oda.fdda, old, key, TERMINAL, True)
        assert e.what == "dynamic signature: signature length"
        e = raises(AuthenticationError, oda.fdda, old, key, TERMINAL, True, True)
        assert e.what == "fDDA version 00"
        old[0x9F08] = b"\x00\x30"
        e = raises(AuthenticationError, oda.fdda, old, key, TERMINAL, False)
        assert e.what == "dynamic signature: signature length"


def test_issuer_cache():
    tags, _ = card()
    cache = oda.IssuerCache(2)
    first = oda.issuer(tags, KEYS, cache, NUMBER, TODAY)
    assert oda.issuer(tags, KEYS, cache, NUMBER, TODAY) is first and cache.hits == 1
    raises(AuthenticationError, oda.issuer, changed(tags, 0x90, 5), KEYS, cache, NUMBER, TODAY)
    raises(AuthenticationError, oda.issuer, changed(tags, 0x92, 0), KEYS, cache, NUMBER, TODAY)
    assert cache.hits == 1
    for digest in (b"1", b"2"):
        cache.keep(digest, first)
    oda.issuer(tags, KEYS, cache, NUMBER, TODAY)
    assert cache.hits == 1  # pushed out, opened anew


# Keys that a hostile card would choose


def test_keys_that_are_none():
    good = b"\x80" + bytes(126) + b"\x01"
    assert rsa.PublicKey(good, 65537).exponent == 65537
    for modulus in (
        bytes(128),
        b"",
        b"\x80" + bytes(127),
        b"\x7f" + bytes(126) + b"\x01",
        b"\x80" + bytes(61) + b"\x01",
        b"\x80" + bytes(247) + b"\x01",
    ):
        raises(rsa.RsaError, rsa.PublicKey, modulus, 3)
    for exponent in (0, 1, 2, 4, 5, 65536, 1 << 23):
        raises(rsa.RsaError, rsa.PublicKey, good, exponent)
    for data in (b"", b"\0\0\0\x03"):
        raises(rsa.RsaError, rsa.exponent, data)
    assert rsa.exponent(b"\x01\x00\x01") == 65537 and rsa.exponent(b"\x00\x03") == 3


def test_signatures_that_are_none():
    size = len(CA.modulus)
    for signature in (b"", bytes(size - 1), bytes(size + 1), bytes(size), CA.modulus):
        raises(rsa.RsaError, CA.recover, signature)
    for signature in (CA.modulus, b"\xff" * size):
        assert str(raises(rsa.RsaError, CA.recover, signature)) == "signature out of range"


def test_both_ends_of_a_message_are_looked_at():
    n = int.from_bytes(CA.modulus, "big")
    s = pow(12345, 99, n)
    found = 0
    for _ in range(5000):  # one in 256 begins with 6A
        s = s * s % n
        message = pow(s, 3, n).to_bytes(len(CA.modulus), "big")
        if message[0] == 0x6A and message[-1] != 0xBC:
            found = s
            break
    assert found
    e = raises(rsa.RsaError, CA.recover, found.to_bytes(len(CA.modulus), "big"))
    assert str(e) == "no message"


def forged(body, behind=b""):
    """A key and a certificate that open to `body`: made without knowing any private key, as the
    signature is found by taking the modulus after it."""
    from hashlib import sha1

    size = len(body) + 22
    message = b"\x6a" + body + sha1(body + behind).digest() + b"\xbc"

    class Key:
        modulus = bytes(size)

        def recover(self, signature):
            return message

    return Key()


def issuer_body(size, length, exponent=1, hash_with=1, algorithm=1, month=0x12, iin="629999ff"):
    room = size - 36
    body = b"\x02" + bytes.fromhex(iin) + bytes((month, 0x49)) + b"\0\0\1"
    body += bytes((hash_with, algorithm, length, exponent))
    return body + b"\x81" * min(length, room) + b"\xbb" * max(0, room - length)


def test_fields_of_a_certificate():
    def open_(body, remainder=b"", exponent=b"\x03"):
        key = forged(body, remainder + exponent)
        return certificates.issuer(key, b"", remainder, exponent)

    assert len(open_(issuer_body(176, 128)).key.modulus) == 128
    assert len(open_(issuer_body(176, 144), b"\x83" * 4).key.modulus) == 144
    for body, remainder, what in (
        (issuer_body(176, 128, hash_with=2), b"", "algorithm"),
        (issuer_body(176, 128, algorithm=4), b"", "algorithm"),
        (issuer_body(176, 128, exponent=3), b"", "exponent length"),
        (issuer_body(176, 144), b"\x83" * 3, "key length"),
        (issuer_body(176, 128), b"\x83", "key length"),
        (issuer_body(176, 177), b"\x83" * 37, "key length"),
        (issuer_body(176, 0), b"", "modulus length"),
        (issuer_body(176, 128, month=0x13), b"", "date"),
        (issuer_body(176, 128, month=0x1A), b"", "date"),
        (issuer_body(176, 128, iin="62ab99ff"), b"", "holder"),
        (b"\x04" + issuer_body(176, 128)[1:], b"", "format"),
    ):
        e = raises(AuthenticationError, open_, body, remainder)
        assert e.reason == "bad_signature" and e.what == "issuer certificate: " + what, e.what
    e = raises(AuthenticationError, open_, issuer_body(176, 128), b"", b"\x02")
    assert e.what == "issuer certificate: exponent"


def test_dynamic_data():
    def dda(dynamic, length=None):
        n = len(dynamic) if length is None else length
        body = b"\x05\x01" + bytes((n,)) + dynamic + b"\xbb" * (100 - len(dynamic))
        return oda.dda(b"", forged(body, b"signed"), b"signed")

    assert dda(b"\x04abcd") == b"abcd" and dda(b"\x02ab\x00\x00") == b"ab"
    for dynamic in (b"", b"\x01a", b"\x09abcdefghi", b"\x04abc"):
        raises(AuthenticationError, dda, dynamic)
    raises(AuthenticationError, dda, b"\x04abcd", 120)


def test_sm2_certificate():
    message = bytes.fromhex("12629999ff1249000001" + "04001140") + bytes(128)

    def check(data, number=NUMBER):
        assert sm_certificate.looks_like(data)
        return raises(AuthenticationError, sm_certificate.check, data, number, TODAY).reason

    assert len(message) == 142
    assert check(message) == "unsupported"
    assert check(message, "6288880000000000012") == "bad_signature"
    assert check(message[:5] + b"\x12\x20" + message[7:]) == "expired"
    assert check(message[:10] + b"\x05" + message[11:]) == "malformed"
    assert not sm_certificate.looks_like(message[:-1])
    assert not sm_certificate.looks_like(b"\x13" + message[1:])
