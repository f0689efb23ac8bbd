"""Evidence is sealed for the acquirer: opened here by the textbook, with the test key."""

from hashlib import sha256

import quickpass_corpus as corpus
from emv_script import Recorded, aes, scheme_rules, scheme_terminal
from fakes import FakeClock, raises, run
from validator.emv import rsa, tlv
from validator.media import cards, evidence
from validator.media.phases import Phases
from validator.store import record
from validator.store.token import Hmac

MODULUS = bytes.fromhex(corpus.CONFIG["acquirer"]["modulus"])
PRIVATE = int("".join(corpus.ACQUIRER_PRIVATE), 16)


def mgf1(seed, size):
    out = b""
    for i in range(size // 32 + 1):
        out += sha256(seed + bytes((0, 0, 0, i))).digest()
    return out[:size]


def xor(a, b):
    return bytes([x ^ y for x, y in zip(a, b)])


def unwrap(wrapped):
    """RSAES-OAEP-DECRYPT (RFC 8017, 7.1.2) with SHA-256."""
    n = int.from_bytes(MODULUS, "big")
    em = pow(int.from_bytes(wrapped, "big"), PRIVATE, n).to_bytes(len(MODULUS), "big")
    assert em[0] == 0
    seed = xor(em[1:33], mgf1(em[33:], 32))
    block = xor(em[33:], mgf1(seed, len(em) - 33))
    assert block[:32] == sha256(b"").digest()
    message = block[32:].lstrip(b"\0")
    assert message[0] == 1
    return message[1:]


def unseal(sealed):
    size = sealed[1] << 8 | sealed[2]
    assert sealed[0] == 1 and size == 256
    keys = unwrap(sealed[3 : 3 + size])
    assert len(keys) == 32
    assert Hmac(keys[16:]).digest(sealed[:-16])[:16] == sealed[-16:]
    iv = sealed[3 + size : 19 + size]
    plain = aes(keys[:16], 2, iv).decrypt(sealed[19 + size : -16])
    assert plain[-plain[-1] :] == bytes((plain[-1],)) * plain[-1]
    return plain[: -plain[-1]]


def seal(**options):
    return evidence.Seal(MODULUS, 65537, aes=aes, **options)


def test_what_was_sealed_is_opened():
    s = seal()
    for n in (0, 1, 15, 16, 17, 200):
        assert unseal(s.seal(bytes(range(n)))) == bytes(range(n))


def test_nothing_repeats_and_nothing_shows():
    s = seal()
    a = s.seal(b"6299990000000000012")
    b = s.seal(b"6299990000000000012")
    assert a[:259] == b[:259] and a[259:] != b[259:]
    assert b"6299990000" not in a
    assert a[3:259] != seal().seal(b"")[3:259]


def test_keys_are_renewed():
    s = seal()
    first = s.seal(b"")[3:259]
    for _ in range(evidence.RENEW_AFTER - 1):
        last = s.seal(b"")
    assert last[3:259] == first
    assert s.seal(b"")[3:259] != first


def test_prepare_takes_the_rsa_out_of_the_tap():
    asked = []

    def random(n):
        asked.append(n)
        return bytes(range(n))

    s = seal(random=random)
    s.prepare()
    s.prepare()
    assert asked == [32, 32]
    s.seal(b"x")
    assert asked == [32, 32, 16]


def test_acquirer_keys_that_are_none():
    for modulus, exponent in (
        (MODULUS[:-1], 65537),
        (MODULUS[:128], 65537),
        (b"\0" + MODULUS[1:], 65537),
        (MODULUS[:-1] + b"\x02", 65537),
        (MODULUS, 4),
        (MODULUS, 1),
    ):
        raises(rsa.RsaError, evidence.Seal, modulus, exponent)


def test_settlement_data_of_a_tap():
    rules = scheme_rules()
    clock = FakeClock()
    for name, kind in (
        ("quickpass-debit", "80"),
        ("quickpass-ecash", "40"),
        ("quickpass-legacy", "80"),
    ):
        terminal = scheme_terminal(rules, sequence=42)
        card = Recorded(name)
        result = run(cards.run(card, clock, Phases(clock), terminal_data=terminal))
        assert result.outcome == "accepted", result.detail
        objects = tlv.parse(unseal(result.evidence))
        tags = [tag for tag, _ in objects]
        assert tags == [t for t in evidence.TAGS if t in tags]
        missing = [t for t in evidence.TAGS if t not in tags]
        assert missing in ([0x9F63], [0x9F63, 0x5F34]), missing
        values = {tag: value.hex() for tag, value in objects}
        assert values[0x9F27] == kind and values[0x9F02] == "000000000200"
        assert values[0x9F37] == corpus.RANDOM and values[0x9F41] == "00000042"
        assert values[0x9A] == "260801" and values[0x84][:10] == "a000000333"
        assert values[0x57][:6] == "629999" or values[0x57][:5] == "62999"
        assert values[0x9F36] == "0001" and len(values[0x9F26]) == 16
        number = values[0x57].split("d")[0]
        assert result.masked == number[:6] + "******" + number[-4:]
        assert number.encode() not in result.evidence
        assert bytes.fromhex(values[0x57]) not in result.evidence


def test_a_card_without_track_2():
    data = evidence.collect({0x5A: b"\x62\x12", 0x5F24: b"\x30\x12\x31"}, {0x9A: b"\x26\x08\x01"})
    assert data.hex() == "9a03260801" + "5a026212" + "5f2403301231"


def test_the_longest_evidence_fits_into_a_record():
    longest = {0x9F10: 32, 0x57: 19, 0x9F63: 16, 0x84: 16, 0x9F26: 8, 0x9F1E: 8}
    data = evidence.collect({tag: bytes(longest.get(tag, 6)) for tag in evidence.TAGS}, {})
    body = record.encode(
        {
            "seq": 1,
            "time": 1,
            "medium": "quickpass",
            "outcome": "accepted",
            "reason": "",
            "evidence": seal().seal(data),
        }
    )
    assert len(body) < 800
