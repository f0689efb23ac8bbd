"""What a code is known by, and one presentation of it."""

from fakes import FakeClock
from validator.media.code_replay import Presentation, digest, pack


def test_kinds_are_told_apart():
    assert digest("ride_code", b"x") != digest("alipay_code", b"x")
    assert len(digest("cpm", b"")) == 8


def test_expiry_beyond_32_bits_is_cut_to_the_last_second():
    assert pack(bytes(8), 1 << 33) == bytes(8) + b"\xff\xff\xff\xff"


def test_one_reading_after_another_is_one_presentation():
    class Shown:
        medium = "ride_code"
        outcome = "accepted"
        reason = ""

    clock = FakeClock()
    seen = Presentation()
    assert seen.again(b"a", clock) is None
    seen.note(b"a", clock, Shown)
    for _ in range(5):
        clock.advance_us(1999000)
        assert seen.again(b"a", clock) == ("ride_code", "accepted", "")
    assert seen.again(b"b", clock) is None
    clock.advance_us(2000000)
    assert seen.again(b"a", clock) is None
