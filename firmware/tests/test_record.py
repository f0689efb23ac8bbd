"""Record bytes, both ways, and everything that is not a record."""

from fakes import raises
from validator.store import record
from validator.store.record import RecordError, crc8, decode, decode_after, encode, encode_after

FULL = {
    "seq": 4000000000,
    "time": 1893456000,
    "test": True,
    "clock_trusted": True,
    "medium": "tunion",
    "outcome": "declined",
    "reason": "unverified",
    "fare": 200,
    "token": b"\x01\x02\x03\x04\x05\x06\x07\x08",
    "phases": {"detect": 12, "select": 34, "read": 56, "verify": 0, "decide": 65534},
    "boot": 7,
    "uptime": 0xFFFFFFFE,
    "vehicle": "京A12345",
    "line": "300",
    "stop": "17",
    "detail": {"balance": 1234, "aids": ["A000"]},
    "evidence": bytes(range(200)),
    "last4": "1232",
    "code": bytes(range(12)),
    "config": 0x01020304,
    "account": b"account!",
    "other": {10: b"later", 255: b"\0"},
}
SMALL = {"seq": 1, "time": 0, "medium": "cpm", "outcome": "retry", "reason": "card_lost"}


def refused(data):
    return str(raises(RecordError, decode, data))


def without(fields, key):
    return {k: fields[k] for k in fields if k != key}


def changed(fields, **values):
    fields = dict(fields)
    fields.update(values)
    return fields


def test_bytes_of_version_1():
    """Written down by hand from docs/records.md: what is in the field must stay readable."""
    want = (
        "01" "07" "00286bee" "80d8db70" "02" "01" "01" "c8000000" "0102030405060708"
        "0c00" "2200" "3800" "0000" "feff" "0700" "feffffff"
        "01" "0900" "e4baac413132333435" "02" "0300" "333030" "03" "0200" "3137"
    )  # fmt: skip
    fields = changed(
        FULL, detail={}, evidence=None, other={}, last4="", code=None, config=0, account=None
    )
    assert encode(fields).hex() == want
    assert decode(bytes.fromhex(want)) == changed(fields, version=1)


def test_bytes_of_later_fields():
    """A rider's last digits, a ride code, and the configuration's version."""
    fields = changed(SMALL, last4="1232", code=bytes(range(12)), config=0x01020304)
    want = "06040031323332070c00000102030405060708090a0b08040004030201"
    assert encode(fields)[41:].hex() == want
    got = decode(encode(fields))
    assert got["last4"] == "1232" and got["code"] == bytes(range(12))
    assert got["config"] == 0x01020304


def test_there_and_back():
    assert decode(encode(FULL)) == changed(FULL, version=1)


def test_smallest():
    body = encode(SMALL)
    assert len(body) == 41
    assert decode(body) == {
        "version": 1,
        "seq": 1,
        "time": 0,
        "test": False,
        "clock_trusted": False,
        "medium": "cpm",
        "outcome": "retry",
        "reason": "card_lost",
        "fare": 0,
        "token": None,
        "phases": {"detect": None, "select": None, "read": None, "verify": None, "decide": None},
        "boot": 0,
        "uptime": 0,
        "vehicle": "",
        "line": "",
        "stop": "",
        "detail": {},
        "evidence": None,
        "last4": "",
        "code": None,
        "config": 0,
        "account": None,
        "other": {},
    }


def test_every_name_has_its_code():
    for key, names in (
        ("medium", record.MEDIA),
        ("outcome", record.OUTCOMES),
        ("reason", record.REASONS),
    ):
        for name in names:
            fields = changed(SMALL)
            fields[key] = name
            assert decode(encode(fields))[key] == name


def test_empty_token_is_none():
    assert decode(encode(changed(SMALL, token=b"")))["token"] is None
    # Eight zeros are a token like any other.
    assert decode(encode(changed(SMALL, token=bytes(8))))["token"] == bytes(8)


def test_phases_that_come_later_are_not_in_the_body():
    fields = changed(SMALL, phases={"detect": 1, "commit": 9, "signal": 9})
    assert encode(fields) == encode(changed(SMALL, phases={"detect": 1}))


def test_times_out_of_range_are_clipped():
    got = decode(encode(changed(SMALL, phases={"read": 70000, "verify": -3})))["phases"]
    assert got["read"] == 65534 and got["verify"] == 0


def test_counters_wrap():
    got = decode(encode(changed(SMALL, boot=65537, uptime=0x100000002)))
    assert got["boot"] == 1 and got["uptime"] == 2


def test_what_cannot_be_a_record():
    for key, value in (
        ("seq", -1),
        ("seq", 1 << 32),
        ("seq", None),
        ("time", 1 << 32),
        ("fare", -200),
        ("fare", "200"),
        ("medium", "cash"),
        ("outcome", ""),
        ("reason", None),
        ("token", b"1234567"),
        ("other", {4: b"taken"}),
        ("other", {9: b"taken"}),
        ("account", b"1234567"),
        ("code", b"too short"),
        ("config", -1),
        ("other", {256: b"too large"}),
        ("evidence", bytes(1000)),
        ("line", "x" * 70000),
    ):
        fields = changed(SMALL)
        fields[key] = value
        assert isinstance(raises(ValueError, encode, fields), RecordError), key
    for key in ("seq", "time", "medium", "outcome", "reason"):
        raises(RecordError, encode, without(SMALL, key))


def test_largest_evidence():
    room = record.MAX_SIZE - 41 - 3
    assert len(encode(changed(SMALL, evidence=bytes(room)))) == record.MAX_SIZE
    raises(RecordError, encode, changed(SMALL, evidence=bytes(room + 1)))


def test_cut_anywhere():
    body = encode(FULL)
    optional = set()
    at = 41
    while at < len(body):
        optional.add(at)
        at += 3 + (body[at + 1] | body[at + 2] << 8)
    for n in range(len(body)):
        if n in optional:
            decode(body[:n])  # between two optional fields nothing shows that more was there
        else:
            refused(body[:n])


def test_damage_names_the_cause():
    small = encode(SMALL)
    assert "version 2" in refused(b"\x02" + small[1:])
    assert "flags" in refused(small[:1] + b"\x80" + small[2:])
    assert "token" in refused(small[:17] + b"\x01" + small[18:])
    assert "medium" in refused(small[:10] + b"\x63" + small[11:])
    assert "outcome" in refused(small[:11] + b"\x03" + small[12:])
    assert "reason" in refused(small[:12] + b"\xff" + small[13:])
    assert "twice" in refused(small + b"\x02\x01\x00a\x02\x01\x00b")
    assert "UTF-8" in refused(small + b"\x02\x01\x00\xff")
    assert "JSON" in refused(small + b"\x04\x01\x00{")
    assert "object" in refused(small + b"\x04\x02\x00[]")
    assert "does not exist" in refused(small + b"\x00\x00\x00")
    assert "announced" in refused(small + b"\x05\xff\xff")
    assert "empty" in refused(b"")
    assert "bytes" in refused(small + b"\x09" + b"\xe8\x03" + bytes(1000))


def test_fields_of_a_later_firmware_are_kept():
    body = encode(SMALL) + b"\x20\x03\x00new"
    got = decode(body)
    assert got["other"] == {32: b"new"}
    assert encode(got) == body


def test_after_word():
    assert encode_after(3, 120).hex() == "03007800" + "%02x" % crc8(b"\x03\0\x78\0")
    assert decode_after(encode_after(3, 120)) == (3, 120)
    assert decode_after(encode_after(None, 0)) == (None, 0)
    assert decode_after(encode_after(99999, None)) == (65534, None)


def test_after_word_that_is_missing_or_torn():
    assert decode_after(b"\xff" * 5) == (None, None)
    assert decode_after(b"") == (None, None)
    word = encode_after(3, 120)
    for n in range(5):
        torn = word[:n] + b"\xff" * (5 - n)
        assert torn == word or decode_after(torn) == (None, None)
    for bit in range(40):
        flipped = bytearray(word)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode_after(bytes(flipped)) == (None, None)


def test_crc8_check_value():
    # CRC-8 with polynomial 0x07 and initial value 0xFF, by the shift register bit by bit.
    assert crc8(b"") == 0xFF
    assert crc8(b"\xff") == 0
    assert crc8(b"123456789") == 0xFB
