"""The validator's end of the stream: the same frames as the host's decoder, in fixed memory."""

import gc
import json

from validator.link import frame, intake
from validator.link.crc import crc16
from validator.link.intake import Intake


class Rig:
    def __init__(self):
        self.got = []
        self.intake = Intake(self.got.append, lambda *block: self._block(*block))

    def _block(self, channel, sequence, payload):
        self.got.append((channel, sequence, bytes(payload)))

    def feed(self, data, size=64):
        for at in range(0, len(data), size):
            self.intake.feed(memoryview(data)[at : at + size])
        return self.got


def raw(body):
    return b"\x1e" + body + b"#%04x\n" % crc16(body)


class Random:
    def __init__(self, seed):
        self.state = seed * 2654435761 % (1 << 32) or 1

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) % (1 << 32)
        return (self.state >> 8) % n


MESSAGES = [
    {"id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": "x-1", "method": "clock.set", "params": {"unix": 1900000000}},
    {"t": "\u8bf7\u4e0a\u8f66", "n": [1, 2, [3, {"a": None}]]},
]


def test_frames_in_pieces_of_any_size():
    stream = b"boot log\r\n"
    want = []
    for n, message in enumerate(MESSAGES):
        stream += frame.encode(message) + b"text" + bytes(frame.encode_block(n, n, bytes(100 * n)))
        want += [message, (n, n, bytes(100 * n))]
    for size in (1, 2, 3, 7, 63, 64):
        rig = Rig()
        assert rig.feed(stream, size) == want, size
        assert rig.intake.damaged == 0 and not rig.intake.incomplete


def test_what_is_damaged_costs_that_frame_only():
    good = frame.encode(MESSAGES[1])
    for bad in (
        b"\x1e",
        b"\x1d",
        b"\x1d\x00",
        good[:-1],
        good[:20],
        good[:5] + b"\x1e" + good[5:],
        good[:5] + b"!" + good[6:],
        good[:-2] + b"g\n",
        b"\x1e#0000\n",
        b"\x1e\n",
        b"\x1e" + b"x" * 3000,
        bytes(frame.encode_block(1, 2, b"abc"))[:-1],
        bytes(frame.encode_block(1, 2, bytes(961))),
        b"\x1d\x01\x02\x03\x04\x05",
        raw(b"[1"),
        raw(b"\xff\xfe"),
        raw(b""),
    ):
        for size in (1, 13, 64):
            rig = Rig()
            rig.feed(bad, size)
            rig.intake.flush()
            rig.feed(good, size)
            assert rig.got == [MESSAGES[1]], (bad, size)
            assert rig.intake.damaged >= 1, bad


def test_a_frame_that_was_swallowed_is_found():
    block = bytes(frame.encode_block(1, 2, b"a" * 40))
    rig = Rig()
    # Bytes were lost in the block; what stands behind it fills its place.
    rig.feed(block[:20] + frame.encode(MESSAGES[0]) + b"z" * 60)
    rig.intake.flush()
    assert rig.got == [MESSAGES[0]]


def test_it_agrees_with_the_hosts_decoder():
    random = Random(7)
    for _ in range(150):
        stream = b""
        for n in range(6):
            kind = random.below(4)
            piece = bytearray(
                frame.encode(MESSAGES[random.below(3)])
                if kind < 2
                else frame.encode_block(
                    random.below(4), random.below(256), bytes(random.below(300))
                )
            )
            if kind & 1:
                piece[random.below(len(piece))] ^= 1 << random.below(8)
            stream += bytes(piece)
        decoder = frame.Decoder(1400, 960)
        events = decoder.feed(stream) + decoder.flush()
        want = [value for kind, value in events if kind in (frame.MESSAGE, frame.BLOCK)]
        rig = Rig()
        rig.feed(stream, 1 + random.below(64))
        rig.intake.flush()
        assert [list(g) if isinstance(g, tuple) else g for g in rig.got] == [
            list(w) if isinstance(w, tuple) else w for w in want
        ]


def test_json_is_measured_before_it_is_parsed():
    """What a message of 1,400 bytes may not make of itself on a heap of 45 KB."""
    parsed = []

    class Json:
        @staticmethod
        def loads(text):
            parsed.append(text)
            return json.loads(text)

    bombs = []
    for open_, close in (
        ("[", "]"),
        ('{"a":', "}"),
        ('[{"a":', "}]"),
        ("[[],", "]"),
        ("[{},", "]"),
    ):
        for n in (25, 50, 300, 690):
            bombs.append(((open_ * n + "1" + close * n).encode())[:1390])
    bombs.append(b"[" + b"{}," * 460 + b"1]")
    bombs.append(b"[" + b"0," * 690 + b"1]")
    bombs.append(b"[" + b'"",' * 460 + b"1]")
    bombs.append(b"{" + b'"":0,' * 270 + b'"":0}')
    real = intake.json
    intake.json = Json
    try:
        for bomb in bombs:
            rig = Rig()
            assert rig.feed(raw(bomb)) == [] and rig.intake.damaged == 1
        assert not parsed
        usual = {"id": "x" * 64, "method": "bench.crypto", "params": {"tokens": ["0" * 16] * 60}}
        assert Rig().feed(frame.encode(usual)) == [usual] and parsed
    finally:
        intake.json = real


def test_memory_that_runs_out_costs_the_link_a_message_and_nobody_else_anything():
    rig = Rig()

    def hog(text):
        raise MemoryError

    class Json:
        loads = staticmethod(hog)

    real = intake.json
    intake.json = Json
    try:
        assert rig.feed(frame.encode(MESSAGES[0])) == []
    finally:
        intake.json = real
    assert rig.feed(frame.encode(MESSAGES[1])) == [MESSAGES[1]]


def test_the_buffer_never_grows():
    random = Random(3)
    rig = Rig()
    size = len(rig.intake._buf)
    buf = rig.intake._buf
    for n in range(3000):
        kind = random.below(5)
        if kind == 0:
            data = b"\x1e" + b"y" * 63
        elif kind == 1:
            data = bytes(frame.encode_block(1, n & 255, bytes(50)))
        else:
            data = bytes(random.below(256) for _ in range(1 + random.below(64)))
        rig.intake.feed(memoryview(data))
        assert rig.intake._buf is buf and len(buf) == size and rig.intake._held <= size
        rig.got.clear()
    if hasattr(gc, "mem_alloc"):
        data = memoryview(b"\x1e" + b"y" * 63)
        rig.intake.feed(data)
        gc.collect()
        before = gc.mem_alloc()
        for _ in range(15):  # a long message on its way: only views of it are made
            rig.intake.feed(data)
        assert gc.mem_alloc() - before < 4000
