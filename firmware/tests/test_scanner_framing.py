"""Codes out of a stream of bytes: lengths, gaps, line ends, noise."""

from binascii import a2b_base64, b2a_base64

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


# EMVCo's first published example, and a code with a common template and filling behind it.
CPM = b"hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8="


def b64(data):
    return b2a_base64(data).strip()


def tlv(tag, value):
    size = bytes([len(value)]) if len(value) < 128 else b"\x82" + len(value).to_bytes(2, "big")
    return bytes.fromhex(tag) + size + value


def payment(*objects):
    return b64(tlv("85", b"CPV01") + b"".join(objects))


def union(custom=b"", length=None):
    """Text with the head and the length of a UnionPay code; what is between does not matter."""
    n = len(custom) if length is None else length
    return b64(b"\x02\x11\x00\x01" + bytes(36) + bytes([n]) + custom + b"\x15" + b"\x7f" * 64)


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


def test_text_with_lengths_inside_ends_by_them_without_any_gap():
    codes = [CPM, payment(tlv("61", b"a" * 200), tlv("62", b"b"), tlv("BF4A", b"c"))]
    codes += [union(b"x" * n) for n in (0, 1, 2, 24, 255)]
    assert sorted({code[-2:].count(b"=") for code in codes}) == [0, 1, 2]
    for code in codes:
        for size in (1, 7, 120, 600):
            framer = Framer()
            sliced(framer, code[:-1], size)
            assert items(framer) == []
            sliced(framer, code[-1:] + b"\r\n" + code + code, size)
            assert items(framer) == [(CODE, code)] * 3
            assert not framer.pending and not framer.incomplete


def test_text_without_padding_ends_where_padding_could_begin():
    for n in (0, 1):
        whole = union(b"x" * n)
        code = whole.rstrip(b"=")
        assert len(whole) > len(code)
        framer = Framer()
        framer.feed(code)
        assert items(framer) == [] and not framer.incomplete
        framer.gap()
        assert items(framer) == [(CODE, code)]
        framer.feed(whole[len(code) :] + b"\r")  # late: nobody's code
        assert not framer.pending
        for follower in (mot(332), whole, CPM, alipay()):
            framer.feed(code + follower)
            assert items(framer) == [(CODE, code), (CODE, follower)]


def test_a_payment_code_may_go_on_with_another_object_until_silence_or_padding():
    for k in range(3):
        first = payment(tlv("61", b"a" * (20 + k))).rstrip(b"=")
        whole = payment(tlv("61", b"a" * (20 + k)), tlv("62", b"b" * (13 - k)))
        assert whole.endswith(b"=")
        framer = Framer()
        framer.feed(first)
        assert items(framer) == [] and framer.pending and not framer.incomplete
        framer.gap()
        assert items(framer) == [(CODE, first)]
        framer.reset()
        sliced(framer, whole, 1)
        assert items(framer) == [(CODE, whole)]
        # What is not Base64, or begins like the next code, cannot be an object.
        for follower in (b"\r\n", mot(332), whole, union()):
            framer.feed(first + follower)
            assert items(framer)[0] == (CODE, first)
            framer.reset()


def test_the_end_of_every_object_is_known_without_padding():
    objects = [tlv("61", b"a" * n) for n in (0, 1, 3, 61, 62, 63, 127, 128, 300)]
    objects += [tlv("62", b"a") + bytes(zeros) for zeros in range(1, 6)]
    objects += [bytes(zeros) + tlv("62", b"a" * 8) for zeros in range(1, 6)]
    objects += [tlv("BF4A", b"c" * 5), tlv("DF8101", b"d" * 4), tlv("9F26", bytes(8))]
    for data in objects:
        for before in range(3):
            code = payment(tlv("61", b"a" * before), data).rstrip(b"=")
            framer = Framer()
            sliced(framer, code[:-1], 5)
            assert framer.incomplete or code.endswith(b"A")
            framer.feed(code[-1:])
            assert items(framer) == [] and not framer.incomplete
            framer.gap()
            assert items(framer) == [(CODE, code)]


def test_padding_ends_a_text_whose_lengths_are_wrong():
    for code in (union(b"x" * 3, 200), union(b"x" * 4, 5), b64(a2b_base64(CPM)[:-4])):
        assert code.endswith(b"=")
        for size in (1, 400):
            framer = Framer()
            sliced(framer, code + CPM, size)
            assert items(framer) == [(CODE, code), (CODE, CPM)]


def test_a_foreign_character_counts_as_a_letter():
    code = bytearray(union(b"custom"))
    code[60] = 0x21
    framer = Framer()
    framer.feed(code)
    assert items(framer) == [(CODE, bytes(code))]


def test_padding_that_is_none_is_left_to_the_gap():
    for start in (union(), payment(tlv("61", b"a" * 7))):
        assert start.endswith(b"==")
        code = start[:-1] + b"Q"
        framer = Framer()
        framer.feed(code[:-1])
        assert framer.incomplete
        framer.feed(code[-1:])
        assert not framer.incomplete
        framer.gap()
        assert items(framer) == [(CODE, code)]


def test_incomplete_text_is_a_code_when_the_gap_comes():
    whole = union(b"x" * 5)
    for code in (CPM[:5], CPM[:20], CPM[:-2], whole[:2], whole[:54], whole[:100], b"6", b"62" * 9):
        framer = Framer()
        framer.feed(code)
        assert framer.incomplete
        framer.gap()
        assert items(framer) == [(CODE, code)]
        assert not framer.pending and not framer.incomplete


def test_lengths_that_no_code_has_are_left_to_the_gap():
    for data in (b"\x61\x80", b"\x61\x83\x00\x00\x01", b"\x61\x82\x02\x00", b"\x61\xff"):
        code = payment(data + b"\x11" * (8 - len(data)))
        assert not code.endswith(b"=")
        framer = Framer()
        framer.feed(code)
        assert not framer.incomplete
        framer.gap()
        assert items(framer) == [(CODE, code)]


def test_digits_end_by_the_gap_and_are_waited_for_up_to_the_least_number():
    for code, least in (
        (b"6212345678901234567", 19),
        (b"134567890123456789", 18),
        (b"281234567890123456789012", 16),
        (b"4212345678901234567", 2),
    ):
        framer = Framer()
        for n in range(1, len(code) + 1):
            framer.feed(code[n - 1 : n])
            assert framer.incomplete == (n < least), n
            assert items(framer) == []
        framer.gap()
        assert items(framer) == [(CODE, code)]


def test_text_that_only_begins_with_digits_is_unknown():
    for code in (b"62 tickets", b"13:45", b"2x", b"62123456789012345:", b"9" * 18):
        framer = Framer()
        framer.feed(code)
        assert not framer.incomplete
        framer.gap()
        assert items(framer) == [(CODE, code)]


def test_what_goes_on_after_a_pause_is_the_same_code():
    for code in (mot(332), alipay(prefix=b"\x54\x01"), union(b"xyz"), CPM):
        for at in range(1, len(code)):
            framer = Framer()
            framer.feed(code[:at])
            framer.pause()
            framer.feed(code[at : at + 9])
            framer.pause()
            framer.feed(code[at + 9 :])
            framer.gap()
            assert items(framer) == [(CODE, code)], at


def test_a_code_after_a_pause_is_not_taken_for_the_rest_of_another():
    real = b"\x80\x01\x49\x24" + b"\x0a" * 328
    for rest in (real, alipay(), union(b"xyz"), CPM):
        for begun in (mot(332)[:200], alipay()[:100], union(b"abc")[:90], CPM[:30]):
            for size in (1, 5, 600):
                framer = Framer()
                framer.feed(begun)
                framer.pause()
                sliced(framer, rest, size)
                first = (CUT, len(begun)) if begun[0] not in b"Ah" else (CODE, begun)
                assert items(framer) == [first, (CODE, rest)]


def test_what_does_not_fit_after_a_pause_is_something_else():
    for glitch in (b"\xff", b"\x02", b"\xff\xfe"):
        for rest in (mot(332), alipay(), union(b"xyz"), CPM):
            framer = Framer()
            framer.feed(glitch)
            framer.pause()
            framer.feed(rest)
            assert items(framer) == [(CODE, rest)]
            assert framer.noise == 1
    framer = Framer()
    framer.feed(b"hQV")
    framer.pause()
    framer.feed(b"https://example.org")
    framer.gap()
    assert items(framer) == [(CODE, b"hQV"), (CODE, b"https://example.org")]
    framer.feed(b"https://")
    framer.pause()  # unknown: nothing is waited for, and nothing cut
    framer.feed(b"example.org")
    framer.gap()
    assert items(framer) == [(CODE, b"https://example.org")]


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


def test_a_known_code_that_becomes_too_long_is_oversize():
    code = payment(tlv("61", bytes(438)), b"\x61")
    assert len(code) == 600
    framer = Framer()
    framer.feed(code)
    assert framer.incomplete
    framer.feed(b"A")
    assert items(framer) == [(OVERSIZE, 600)] and not framer.incomplete
    framer.gap()
    framer.feed(CPM)
    assert items(framer) == [(CODE, CPM)]


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
    framer.feed(CPM[:9])
    framer.reset()
    assert not framer.pending and not framer.incomplete


def test_expected_on_every_truncation():
    code = mot(350)
    assert [expected(code, n) for n in (0, 1, 2)] == [-1, -1, -1]
    assert expected(code, 3) == 350
    assert expected(b"\xe4\xb8\xad\xe6", 4) == 0  # Chinese text
    assert expected(b"TX1234", 6) == 0
    assert expected(b"\x02\x11", 2) == 0
    code = union(b"custom field")
    assert len(code) == 160 and code.endswith(b"==")
    assert [expected(code, n) for n in range(160)] == [-1] * 158 + [-2, -1]
    assert expected(code, 160) == 160
    assert [expected(CPM, n) for n in range(48)] == [-1] * 47 + [-2]
    assert expected(CPM, 48) == 48
    assert [expected(b"Ah" + bytes([b]), 3) for b in b"DEFGHI"] == [0, -1, -1, -1, -1, 0]
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
