"""Evidence is sealed for the acquirer: opened here by the textbook, with the test key."""

from hashlib import sha256

import quickpass_corpus as corpus
from emv_script import Recorded, aes, scheme_rules, scheme_terminal
from fakes import FakeClock, raises, run
from validator.emv import rsa
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


def ofb(key, iv, data):
    """AES-OFB (SP 800-38A, 6.4) by single blocks: CBC with a zero IV is ECB for one."""
    stream = b""
    while len(stream) < len(data):
        iv = aes(key, 2, bytes(16)).encrypt(iv)
        stream += iv
    return xor(data, stream)


def unseal(sealed):
    """(plain bytes, plain bytes of the key block)."""
    size = sealed[1] << 8 | sealed[2]
    assert sealed[0] == 2
    block = sealed[3 : 3 + size]
    assert block[:2] == b"\x01\x00"
    keys = unwrap(block[2:258])
    assert len(keys) == 32
    number = sealed[3 + size : 5 + size]
    cipher = sealed[5 + size : -8]
    mac = Hmac(keys[16:]).digest(sha256(block).digest() + number + cipher)
    assert mac[:8] == sealed[-8:]
    common = ofb(keys[:16], b"\xff\xff" + bytes(14), block[258:])
    return ofb(keys[:16], number + bytes(14), cipher), common


def opened(sealed):
    """{tag: value} of a settlement's data objects."""
    plain, common = unseal(sealed)
    return values(plain, values(common, {}))


def values(packed, shared):
    assert packed[0] == 1
    same = int.from_bytes(packed[1:5], "big")
    at = 5
    out = {}
    for i in range(len(evidence.TAGS)):
        tag = evidence.TAGS[i]
        if same >> i & 1:
            if tag in shared:
                out[tag] = shared[tag]
        else:
            n = packed[at]
            at += 1
            if n != 0xFF:
                out[tag] = packed[at : at + n]
                at += n
    assert at == len(packed)
    return out


def seal(**options):
    return evidence.Seal(MODULUS, 65537, aes=aes, **options)


def test_what_was_sealed_is_opened():
    s = seal()
    for n in (0, 1, 15, 16, 17, 200, 700):
        plain, _ = unseal(s.seal(bytes([k & 0xFF for k in range(n)])))
        assert plain == b"\0" + bytes([k & 0xFF for k in range(n)])


def test_nothing_repeats_and_nothing_shows():
    s = seal()
    a = s.seal(b"6299990000000000012")
    b = s.seal(b"6299990000000000012")
    n = 3 + (a[1] << 8 | a[2])
    assert a[:n] == b[:n] and a[n : n + 2] != b[n : n + 2] and a[n + 2 :] != b[n + 2 :]
    assert b"6299990000" not in a
    assert a[3:n] != seal().seal(b"")[3:n]


def test_no_number_twice_under_one_key():
    s = seal()
    seen = set()
    for _ in range(evidence.RENEW_AFTER):
        sealed = s.seal(b"x")
        seen.add(sealed[-12:-10])
    assert len(seen) == evidence.RENEW_AFTER and b"\xff\xff" not in seen


def test_records_share_a_key_block():
    s = seal()
    first = s.seal(b"one")
    second = s.seal(b"two")
    short, block = s.split(first)
    assert short[:1] == b"\x03" and short[1:5] == sha256(block).digest()[:4]
    assert b"\x02" + bytes((len(block) >> 8, len(block) & 0xFF)) + block + short[5:] == first
    assert s.split(second)[1] == block
    assert len(short) == 1 + 4 + 2 + 4 + 8
    # Behind something else, as a purse has it.
    assert s.split(b"purse" + first) == (b"purse" + short, block)
    for other in (b"", b"purse", seal().seal(b"x")):
        assert s.split(other) == (other, None)


def test_evidence_under_keys_that_were_renewed_stays_whole():
    s = seal()
    old = s.seal(b"torn")
    for _ in range(evidence.RENEW_AFTER):
        s.seal(b"")
    assert s.split(old) == (old, None)
    assert unseal(old)[0] == b"\0torn"


def test_what_taps_share_is_sealed_once():
    def card(number):
        tags = {0x9F26: bytes([number]) * 8, 0x57: bytes([number]) * 17, 0x9F36: b"\0\x07"}
        tags.update({0x82: b"\x7c\0", 0x84: b"\xa0\0\0\x03\x33", 0x95: bytes(5)})
        return tags

    s = seal()
    terminal = {0x9F1A: b"\x01\x56", 0x9F02: b"\0\0\0\0\x02\0", 0x9F1E: b"FARETAP1"}
    sizes = []
    for number in (1, 2, 3):
        want = card(number)
        if number == 3:
            want[0x95] = b"\0\0\0\0\x01"  # differs from the first tap's
            del want[0x82]
        sealed = s.seal(evidence.collect(want, terminal))
        sizes.append(len(sealed))
        want.update(terminal)
        assert opened(sealed) == want
    assert sizes[0] == sizes[1] == sizes[2] - 6 - 1
    common = values(unseal(sealed)[1], {})
    # Nothing of a card that tells it from others is in what they share.
    assert not set(common) & set((0x57, 0x5A, 0x5F24, 0x9F26, 0x9F36, 0x9F10, 0x9F37))


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
    assert asked == [32, 32]


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
        kept = []
        terminal = scheme_terminal(rules, sequence=42)
        terminal["open"] = lambda result: kept.append(result) or 42
        card = Recorded(name)
        result = run(cards.run(card, clock, Phases(clock), terminal_data=terminal))
        assert result.outcome == "accepted", result.detail
        if name == "quickpass-ecash":
            # Electronic cash is on record before the card can pay.
            assert result.evidence is None and result.detail["of"] == 42
            result.evidence = kept[0].evidence
        objects = opened(result.evidence)
        missing = [t for t in evidence.TAGS if t not in objects]
        assert missing in ([0x9F63, 0x5A, 0x5F24], [0x9F63, 0x5F34, 0x5A, 0x5F24]), missing
        values = {tag: objects[tag].hex() for tag in objects}
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
    card = {0x5A: b"\x62\x12", 0x5F24: b"\x30\x12\x31"}
    data = evidence.collect(card, {0x9A: b"\x26\x08\x01"})
    want = dict(card)
    want[0x9A] = b"\x26\x08\x01"
    assert opened(seal().seal(data)) == want
    card[0x57] = b"\x62\x12\xd3\x01"
    assert 0x5A not in opened(seal().seal(evidence.collect(card, {})))


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
