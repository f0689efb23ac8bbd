"""PN532 host frames: byte-exact against UM0701-02, and against every kind of noise."""

from fakes import raises
from pn532_script import ACK, CMD, ERROR, NACK, RSP, frame
from validator.nfc import pn532_frame as pf


def sealed(code, data):
    buf = bytearray(pf.BUFFER)
    buf[pf.PARAMETERS : pf.PARAMETERS + len(data)] = data
    start, end = pf.seal(buf, code, len(data))
    return bytes(buf[start:end])


def events(parser, data, size=1000):
    """[(event, payload)] for `data` fed in slices of `size`."""
    out = []
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        i = 0
        while i < len(piece):
            i = parser.feed(piece, i, len(piece))
            if parser.event:
                payload = bytes(parser.view[: parser.length])
                out.append((parser.event, payload if parser.event == pf.FRAME else b""))
    return out


def test_get_firmware_version_of_the_manual():
    assert sealed(0x02, b"") == bytes.fromhex("0000FF02FED4022A00")


def test_sam_configuration_of_the_manual():
    assert sealed(0x14, b"\x01\x00\x00") == bytes.fromhex("0000FF05FBD4140100001700")


def test_longest_normal_frame():
    data = bytes(range(253))
    assert sealed(0x40, data) == frame(b"\xd4\x40" + data)
    assert sealed(0x40, data)[3:5] == b"\xff\x01"


def test_q27_extended_frames():
    for n in (254, 255, 262, 263):
        data = bytes(i & 0xFF for i in range(n))
        assert sealed(0x40, data) == frame(b"\xd4\x40" + data), n
        assert sealed(0x40, data)[3:5] == b"\xff\xff"
    raises(ValueError, sealed, 0x40, bytes(264))


def test_short_frame_after_a_long_one_in_the_same_buffer():
    buf = bytearray(pf.BUFFER)
    pf.seal(buf, 0x40, 263)
    start, end = pf.seal(buf, 0x02, 0)
    assert bytes(buf[start:end]) == CMD("02")


def test_parser_knows_every_kind_in_every_slicing():
    long = frame(b"\xd5\x41\x00" + bytes(260))
    stream = ACK + RSP("0332010607") + NACK + ERROR + long + ACK
    for size in (1, 2, 3, 5, 7, 64, 1000):
        found = events(pf.Parser(), stream, size)
        kinds = [kind for kind, _ in found]
        assert kinds == [pf.ACK, pf.FRAME, pf.NACK, pf.ERROR, pf.FRAME, pf.ACK], size
        assert found[1][1] == bytes.fromhex("D50332010607")
        assert found[4][1] == b"\xd5\x41\x00" + bytes(260)


def test_q03_long_preamble():
    for extra in range(6):
        found = events(pf.Parser(), bytes(extra) + RSP("0332010607"))
        assert found == [(pf.FRAME, bytes.fromhex("D50332010607"))], extra


def test_q03_no_preamble_but_the_start_code():
    assert events(pf.Parser(), RSP("15")[1:])[0][0] == pf.FRAME


def test_q07_every_damaged_byte_is_noticed():
    good = RSP("4100112233")
    for at in range(3, len(good) - 1):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            found = events(pf.Parser(), bytes(bad))
            assert (pf.FRAME, good[5:-2]) not in found, (at, bit)
            assert pf.FRAME not in [kind for kind, _ in found], (at, bit)


def test_q07_damaged_extended_header():
    good = frame(b"\xd5\x41\x00" + bytes(255))
    for at in (5, 6, 7):
        bad = bytearray(good)
        bad[at] ^= 1
        assert pf.FRAME not in [kind for kind, _ in events(pf.Parser(), bytes(bad))], at


def test_q07_tfi_other_than_d5():
    assert events(pf.Parser(), frame(b"\xd4\x03\x32")) == [(pf.BAD, b"")]
    assert events(pf.Parser(), frame(b"\xd5")) == [(pf.BAD, b"")]


def test_recovers_at_the_next_good_frame():
    good = RSP("4B00")
    parser = pf.Parser()
    for noise in (b"\x55\xaa\xff\xff", b"\x00\xff", b"\x00\x00\xff\x05", b"\x00\xff\x03"):
        found = events(parser, noise + good + good)
        assert (pf.FRAME, good[5:-2]) in found, noise
        parser.reset()


def test_oversize_length_is_refused():
    n = pf.MAX_LENGTH + 1
    head = bytes((0xFF, 0xFF, n >> 8, n & 0xFF, -((n >> 8) + (n & 0xFF)) & 0xFF))
    parser = pf.Parser()
    assert events(parser, b"\x00\x00\xff" + head) == [(pf.BAD, b"")]
    assert not parser.inside()
