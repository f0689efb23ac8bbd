"""What is remembered of codes: through time, through a power cut, and when memory runs out."""

from fakes import FakeClock
from flash_sim import FlashSim
from validator.media.code_replay import Presentation, Replay, digest, pack
from validator.store import record
from validator.store.journal import Journal

NOW = 1893456000


def code(i):
    return digest("ride_code", b"%d" % i)


def ride(replay, i, expires, now=NOW):
    assert replay.has_room(now)
    replay.add(code(i), expires)


def test_a_code_is_known_until_it_expires():
    replay = Replay(4)
    assert not replay.seen(code(1), NOW)
    ride(replay, 1, NOW + 600)
    assert replay.seen(code(1), NOW) and replay.seen(code(1), NOW + 600)
    assert not replay.seen(code(1), NOW + 601)
    assert not replay.seen(code(2), NOW)


def test_no_code_is_forgotten_while_it_can_be_used():
    replay = Replay(5)
    for i in range(5):
        ride(replay, i, NOW + 100 + i)
    assert not replay.has_room(NOW)
    assert not replay.has_room(NOW + 100)
    assert [replay.seen(code(i), NOW + 100) for i in range(5)] == [True] * 5
    # The first has expired: its place, and no other, is taken.
    ride(replay, 9, NOW + 700, NOW + 101)
    assert replay.seen(code(9), NOW + 101)
    assert [replay.seen(code(i), NOW + 101) for i in range(5)] == [False, True, True, True, True]
    assert not replay.has_room(NOW + 101)


def test_places_are_used_again_and_again():
    replay = Replay(3)
    for i in range(50):
        ride(replay, i, NOW + 10 * i + 25, NOW + 10 * i)
        for back in range(3):
            if i >= back:
                assert replay.seen(code(i - back), NOW + 10 * i)
        assert not replay.seen(code(i - 3), NOW + 10 * i)


def test_the_same_code_twice_takes_one_place_and_keeps_the_later_expiry():
    replay = Replay(2)
    ride(replay, 1, NOW + 600)
    ride(replay, 1, NOW + 60)
    assert replay.seen(code(1), NOW + 600)
    ride(replay, 1, NOW + 900)
    assert replay.seen(code(1), NOW + 900)
    assert replay.has_room(NOW)


def test_digests_that_begin_like_others_are_others():
    replay = Replay(4)
    a = bytes(range(8))
    b = bytes(range(4, 12))
    replay.add(a, NOW + 9)
    replay.add(bytes(range(8, 16)), NOW + 9)
    assert not replay.seen(b, NOW)  # stands across the two places
    assert not replay.seen(bytes(8), NOW)  # what an empty place holds
    assert replay.seen(a, NOW)


def test_kinds_are_told_apart():
    assert digest("ride_code", b"x") != digest("alipay_code", b"x")
    assert len(digest("cpm", b"")) == 8


def test_expiry_beyond_32_bits_is_cut_to_the_last_second():
    assert pack(bytes(8), 1 << 33) == bytes(8) + b"\xff\xff\xff\xff"
    replay = Replay(1)
    replay.add(code(1), 1 << 33)
    assert replay.seen(code(1), NOW)


def test_restored_in_any_order_those_that_expire_last_are_kept():
    entries = [pack(code(i), NOW + 10 * i) for i in range(20)]
    for order in (entries, entries[::-1], entries[10:] + entries[:10]):
        replay = Replay(8)
        replay.restore(order)
        for i in range(20):
            assert replay.seen(code(i), NOW) == (i >= 12), i
        assert replay.seen(code(19), NOW + 190)


def test_restored_codes_leave_room_once_they_have_expired():
    replay = Replay(4)
    replay.restore([pack(code(i), NOW - 1) for i in range(9)])
    assert replay.has_room(NOW)
    ride(replay, 100, NOW + 60)
    assert replay.seen(code(100), NOW)


def tap(flash, number, expires):
    """A code's record made durable, as a tap does."""
    journal = Journal(flash, FakeClock())
    journal.mount()
    journal.prepare()
    body = record.encode(
        {
            "seq": journal.next_seq,
            "time": NOW,
            "medium": "ride_code",
            "outcome": "accepted",
            "reason": "",
            "code": pack(code(number), expires),
        }
    )
    journal.append(body)


def restored(flash):
    journal = Journal(flash, FakeClock())
    journal.mount()
    replay = Replay(16)
    kept = [record.decode(entry[1])["code"] for entry in journal.read()]
    replay.restore([c for c in kept if c])
    return replay


def test_the_journal_brings_back_what_was_ridden_on():
    flash = FlashSim(8)
    for i in range(5):
        tap(flash, i, NOW + 600 + i)
    replay = restored(flash)
    for i in range(5):
        assert replay.seen(code(i), NOW + 600)
    assert not replay.seen(code(5), NOW)


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
