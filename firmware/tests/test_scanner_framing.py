"""Codes out of a stream of bytes: lengths, gaps, line ends, noise."""

from validator.qr.framing import CODE, CUT, OVERSIZE, REPLY, Framer, expected, gap_ms

# A reply of the engine to "write", from the GM65 manual.
OK_REPLY = b"\x02\x00\x00\x01\x00\x33\x31"


def mot(total, fill=0x0A):
    """Bytes with the head of a ride code of `total` bytes; what follows does not matter here."""
    return b"\x80" + (total - 3).to_bytes(2, "big") + bytes([fill]) * (total - 3)


def alipay(card=b"6212345678901234", prefix=b"", s1=71, s2=54):
    body = bytes(69) + bytes([len(card)]) + card + b"\x03\x0d\x0a\x00"
    head = b"\x02\x01\x07" + bytes([len(body)])
    first = bytes([s1]) + b"\x30" * s1
    return prefix + head + body + first + b"\x04\x70\xdb\x0a\x0d" + bytes([s2]) + b"\x31" * s2


def items(framer):
    out = []
    while True:
        item = framer.take()
        if item is None:
            return out
        out.append(item)


def sliced(framer, data, size):
    for i in range(0, len(data), size):
        framer.feed(data[i : i + size])


def test_a_ride_code_ends_by_its_length_without_any_gap():
    for total in (332, 333, 364):
        code = mot(total)
        for size in (1, 7, 120, 400):
            framer = Framer()
            sliced(framer, code[:-1], size)
            assert items(framer) == []
            framer.feed(code[-1:])
            assert items(framer) == [(CODE, code)]
            assert not framer.pending


def test_zero_cr_and_lf_inside_survive():
    code = bytes([0x91, 0x01, 0x49]) + bytes([0, 10, 13, 13, 10, 0, 255, 128]) * 41 + b"\r"
    assert len(code) == 332
    framer = Framer()
    sliced(framer, code, 11)
    assert items(framer) == [(CODE, code)]


def test_two_ride_codes_back_to_back_are_two_codes():
    a = mot(332, 0x00)
    b = mot(340, 0x0D)
    for size in (1, 100, 672):
        framer = Framer()
        sliced(framer, a + b, size)
        assert items(framer) == [(CODE, a), (CODE, b)]


def test_line_end_after_a_ride_code_is_nobodys_code():
    code = mot(332)
    for end in (b"\r", b"\n", b"\r\n"):
        framer = Framer()
        framer.feed(code + end + code + end)
        framer.gap()
        assert items(framer) == [(CODE, code), (CODE, code)]
        framer = Framer()
        framer.feed(code)
        framer.gap()
        framer.feed(end)
        framer.gap()
        assert items(framer) == [(CODE, code)]


def test_alipay_code_ends_by_the_lengths_inside():
    for prefix in (b"", b"\x54\x01", b"\x54\x02"):
        for card in (b"", b"6212345678901234", b"9" * 64):
            code = alipay(card, prefix)
            for size in (1, 50, 500):
                framer = Framer()
                sliced(framer, code[:-1], size)
                assert items(framer) == []
                framer.feed(code[-1:] + code)
                assert items(framer) == [(CODE, code), (CODE, code)]


def test_alipay_code_with_impossible_lengths_is_left_to_the_gap():
    good = alipay()
    body = good[3]
    for at, value in ((3, 70), (4 + body, 81), (5 + body + 71, 5)):
        code = bytearray(good)
        code[at] = value
        framer = Framer()
        framer.feed(code)
        assert items(framer) == []
        framer.gap()
        assert items(framer) == [(CODE, bytes(code))]


def test_text_ends_by_the_gap_and_loses_one_line_end():
    for text, code in (
        (b"621234567890123456", b"621234567890123456"),
        (b"hQVDUFYwMWEa\r", b"hQVDUFYwMWEa"),
        (b"hQVDUFYwMWEa\n", b"hQVDUFYwMWEa"),
        (b"hQVDUFYwMWEa\r\n", b"hQVDUFYwMWEa"),
        (b"A", b"A"),
        (b"a\tb", b"a\tb"),
        (b"two\r\n\r\n", b"two\r\n\r\n"),  # not only a line end after it: left alone
        (b"\x01\x02\x03\x04\r", b"\x01\x02\x03\x04\r"),  # not text
        ("\u4e2d\u6587".encode() + b"\r\n", "\u4e2d\u6587".encode()),
    ):
        framer = Framer()
        sliced(framer, text, 3)
        assert items(framer) == []
        assert framer.pending
        framer.gap()
        assert items(framer) == [(CODE, code)]
        assert not framer.pending


def test_a_code_cut_in_the_middle_is_dropped_and_reported():
    code = mot(332)
    for cut in (
        code[:200],
        code[:331],
        code[:4],
        alipay()[:100],
        alipay()[:5],
        b"\x54\x01\x02\x01",
    ):
        framer = Framer()
        framer.feed(cut)
        framer.gap()
        framer.feed(code)
        assert items(framer) == [(CUT, len(cut)), (CODE, code)]


def test_five_thousand_bytes_are_one_oversize_and_the_next_code_is_read():
    noise = bytes([0x31 + i % 7 for i in range(5000)])
    for size in (1, 128, 5000):
        framer = Framer()
        sliced(framer, noise, size)
        assert items(framer) == [(OVERSIZE, 600)]
        framer.gap()
        framer.feed(mot(332))
        assert items(framer) == [(CODE, mot(332))]
        framer.gap()
        assert items(framer) == []


def test_a_code_of_exactly_the_limit_is_a_code():
    framer = Framer()
    framer.feed(b"x" * 600)
    framer.gap()
    assert items(framer) == [(CODE, b"x" * 600)]
    framer.feed(b"x" * 601)
    framer.gap()
    assert items(framer) == [(OVERSIZE, 600)]


def test_glitches_are_noise_not_codes():
    framer = Framer()
    for glitch in (b"\xff", b"\x00", b"\xff\xfe", b"\r\n", b"\n", b"\x02"):
        framer.feed(glitch)
        framer.gap()
    assert items(framer) == []
    assert framer.noise == 6


def test_a_gap_without_bytes_is_nothing():
    framer = Framer()
    framer.gap()
    framer.gap()
    assert items(framer) == [] and framer.noise == 0


def test_replies_of_the_engine_are_told_from_codes():
    long_reply = b"\x02\x00\x00\x00" + bytes(256) + b"\xab\xcd"
    framer = Framer()
    sliced(framer, mot(332) + OK_REPLY + long_reply + mot(333), 5)
    assert items(framer) == [
        (CODE, mot(332)),
        (REPLY, OK_REPLY),
        (REPLY, long_reply),
        (CODE, mot(333)),
    ]


def test_reset_forgets_everything():
    framer = Framer()
    framer.feed(mot(332) + b"half")
    framer.reset()
    framer.gap()
    assert items(framer) == []


def test_expected_on_every_truncation():
    code = mot(350)
    assert [expected(code, n) for n in (0, 1, 2)] == [-1, -1, -1]
    assert expected(code, 3) == 350
    assert expected(b"\xe4\xb8\xad\xe6", 4) == 0  # Chinese text
    assert expected(b"TX1234", 6) == 0
    assert expected(b"\x02\x11", 2) == 0
    code = alipay(prefix=b"\x54\x02")
    known = [n for n in range(len(code)) if expected(code, n) == len(code)]
    assert known == list(range(len(code) - 54, len(code)))
    assert [n for n in range(len(code)) if expected(code, n) == 0] == []


def test_the_gap_covers_a_full_receive_fifo():
    for baud in (9600, 19200, 57600, 115200, 921600):
        fifo_ms = 120 * 10 * 1000 / baud
        assert gap_ms(baud) > fifo_ms
        assert gap_ms(baud) >= 20
    assert gap_ms(115200) == 20
