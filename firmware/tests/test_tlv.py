from fakes import raises
from validator.emv import tlv
from validator.emv.tlv import TlvError

FCI = bytes.fromhex("6F318408A000000632010105A5259F0801029F0C1E") + bytes(range(30))


def test_parse_one_level():
    ((tag, value),) = tlv.parse(FCI)
    assert tag == 0x6F and len(value) == 0x31
    assert [t for t, _ in tlv.parse(value)] == [0x84, 0xA5]


def test_find_by_path():
    assert bytes(tlv.find(FCI, 0x6F, 0xA5, 0x9F0C)) == bytes(range(30))
    assert tlv.find(FCI, 0x6F, 0xA5, 0x9F38) is None
    assert tlv.find(FCI, 0x70) is None


def test_collect():
    got = tlv.collect(bytes.fromhex("70075A021234" + "5F2800" + "5A021234"), {})
    assert sorted(got) == [0x5A, 0x5F28]
    assert got[0x5A] == b"\x12\x34" and len(got[0x5F28]) == 0


def test_one_object_with_two_values():
    raises(TlvError, tlv.collect, bytes.fromhex("5A021234" + "5A021235"), {})
    raises(TlvError, tlv.collect, bytes.fromhex("5A02123470035A0112"), {})


def test_long_lengths_and_padding():
    data = b"\x00\x00\x70\x81\x80" + b"\x00" * 128 + b"\x70\x82\x01\x00" + b"\x00" * 256
    assert [(t, len(v)) for t, v in tlv.parse(data)] == [(0x70, 128), (0x70, 256)]


def test_constructed():
    assert tlv.is_constructed(0x6F) and tlv.is_constructed(0xBF0C)
    assert not tlv.is_constructed(0x9F38) and not tlv.is_constructed(0x5A)


def test_malformed():
    for text in (
        "6F",
        "6F05",
        "9F",
        "9F38",
        "9F8181810100",
        "5A80",
        "5A8300000112",
        "5A81",
        "5A820",
        "5A8201",
    ):
        if len(text) % 2:
            text += "1"
        raises(TlvError, tlv.parse, bytes.fromhex(text))


def test_depth_is_bounded():
    data = b"\x5a\x01\x12"
    for _ in range(30):
        data = b"\x70" + bytes((len(data),)) + data
    raises(TlvError, tlv.collect, data, {})


def test_number_of_objects_is_bounded():
    raises(TlvError, tlv.parse, b"\x5a\x00" * 300)


def test_dol():
    pdol = bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704")
    names = tlv.parse_dol(pdol)
    assert names[0] == (0x9F66, 4) and names[-1] == (0x9F37, 4)
    assert sum(n for _, n in names) == 33
    raises(TlvError, tlv.parse_dol, bytes.fromhex("9F66049F"))
    raises(TlvError, tlv.parse_dol, bytes.fromhex("9F66"))


def test_random_bytes_raise_nothing_else():
    seed = 12345
    for _ in range(300):
        data = bytearray()
        for _ in range(40):
            seed = (seed * 16807) % 2147483647
            data.append(seed >> 7 & 0xFF)
        for call in (lambda: tlv.collect(data, {}), lambda: tlv.parse_dol(data)):
            try:
                call()
            except TlvError:
                pass
