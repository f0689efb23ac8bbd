"""Frames of the link: byte-exact, damaged, cut, and among console text."""

from validator.link.crc import crc16
from validator.link.frame import Decoder, encode, encode_block


def crc_by_bits(data):
    """CRC-16/X-25 from its definition, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


def test_crc_check_value():
    assert crc16(b"123456789") == 0x906E
    assert crc16(b"") == 0
    assert crc16(b"6789", crc16(b"12345")) == 0x906E
    every = bytes(range(256))
    assert crc16(every) == crc_by_bits(every)
    assert crc16(memoryview(every)[3:77]) == crc_by_bits(every[3:77])


def test_message_bytes():
    body = b'{"a": 1}'
    assert encode({"a": 1}) == b"\x1e" + body + b"#%04x\n" % crc_by_bits(body)


def test_block_bytes():
    head = bytes([1, 2, 0, 3, 0xFF - 6])
    crc = crc_by_bits(head + b"abc")
    assert encode_block(1, 2, b"abc") == b"\x1d" + head + b"abc" + bytes([crc >> 8, crc & 255])


def test_text_is_kept_apart_and_in_order():
    stream = (
        b"boot\r\n" + encode({"n": 1}) + b"Traceback\n" + encode_block(3, 4, b"\x1e\x1d\n") + b"x"
    )
    assert Decoder().feed(stream) == [
        ("text", b"boot\r\n"),
        ("message", {"n": 1}),
        ("text", b"Traceback\n"),
        ("block", (3, 4, b"\x1e\x1d\n")),
        ("text", b"x"),
    ]


def collect(decoder, pieces):
    events = []
    for piece in pieces:
        for kind, value in decoder.feed(piece):
            if kind == "text" and events and events[-1][0] == "text":
                events[-1] = ("text", events[-1][1] + value)
            else:
                events.append((kind, value))
    return events


def test_any_slicing_gives_the_same():
    stream = b"ab" + encode({"k": [1, 2]}) + encode_block(1, 0, bytes(range(40))) + b"cd\n"
    whole = collect(Decoder(), [stream])
    assert len(whole) == 4
    for step in range(1, len(stream)):
        pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
        assert collect(Decoder(), pieces) == whole


def test_every_damaged_byte_is_noticed():
    good = encode({"method": "x", "id": 7})
    after = encode({"after": True})
    for i in range(len(good)):
        for flip in (0x01, 0x20, 0x80):
            bad = bytearray(good)
            bad[i] ^= flip
            events = Decoder().feed(bytes(bad) + after)
            messages = [v for k, v in events if k == "message"]
            # A lost LF may take the next message with it; nothing wrong may ever come out.
            assert messages in ([{"after": True}], []), (i, flip, events)
            if i < len(good) - 1:
                assert messages == [{"after": True}], (i, flip, events)


def test_every_lost_byte_of_a_block_costs_that_block_only():
    good = bytes(encode_block(5, 6, b"payload of a block"))
    after = encode({"after": True})
    for i in range(1, len(good)):
        cut = good[:i] + good[i + 1 :]
        decoder = Decoder()
        events = decoder.feed(cut + after + after) + decoder.flush()
        assert not [v for k, v in events if k == "block"], i
        assert ("message", {"after": True}) in events, (i, events)


def test_message_without_end_is_bounded():
    decoder = Decoder(max_message=64)
    events = decoder.feed(b"\x1e" + b"y" * 100)
    assert events == [("bad", b"\x1e" + b"y" * 100)]
    assert decoder.feed(encode({"z": 0})) == [("message", {"z": 0})]


def test_block_longer_than_agreed_is_refused_at_once():
    decoder = Decoder(max_block=16)
    head = bytes(encode_block(1, 1, bytes(17)))[:6]
    assert decoder.feed(head)[0] == ("bad", b"\x1d")


def test_flush_gives_up_what_is_incomplete():
    decoder = Decoder()
    assert decoder.feed(b"\x1e{") == []
    assert decoder.flush() == [("bad", b"\x1e{")]
    assert decoder.flush() == []


def test_json_that_is_no_json_is_bad():
    body = b"{oops"
    frame = b"\x1e" + body + b"#%04x\n" % crc16(body)
    assert Decoder().feed(frame) == [("bad", frame)]
