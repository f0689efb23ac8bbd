"""Guarded time: no setting of the clock moves it, and none makes what was long ago."""

from fakes import FakeClock
from validator.guarded import GuardedTime

T = 1893456000
DAY = 86400
JUMPS = (1, 3600, 30 * DAY, 3650 * DAY)


def at(seconds=T, trusted=True):
    clock = FakeClock(1000000)
    clock.set_unix(seconds)
    clock.trusted = trusted
    return clock, GuardedTime(clock)


def later(clock, seconds):
    clock.advance_us(seconds * 1000000)


def test_it_goes_on_with_the_ticks():
    clock, time = at()
    assert time.now() == T
    for k in range(1, 50):
        clock.advance_us(700000)
        assert time.now() == T + k * 7 // 10


def test_no_setting_of_the_clock_moves_it():
    for jump in JUMPS:
        for first in (1, -1):
            clock, time = at()
            since = time.now()
            later(clock, 10)
            clock.set_unix(clock.unix() + first * jump)
            assert time.now() == T + 10
            assert time.elapsed(since) == (9 if (first, jump) == (-1, 1) else 10)
            later(clock, 10)
            clock.set_unix(clock.unix() - first * jump)
            assert time.now() == T + 20 and time.elapsed(since) == 20


def test_set_at_first_in_this_boot_it_is_believed_but_never_behind_what_flash_knows():
    clock, time = at(5, trusted=False)
    time.reach(T)
    assert time.now() == T and time.wall() is None
    later(clock, 100)
    assert time.now() == T + 100 and time.elapsed(T) == 100
    clock.set_unix(T + DAY)
    assert time.now() == T + DAY and time.elapsed(T) == DAY
    clock, time = at(5, trusted=False)
    time.reach(T)
    clock.set_unix(T - DAY)
    assert time.now() == T
    later(clock, 7)
    assert time.now() == T + 7 and time.elapsed(T) == 7
    clock.set_unix(T + DAY)  # not for the first time
    assert time.now() == T + 7 and time.elapsed(T) == 7


def test_what_lies_in_the_future_has_just_been():
    clock, time = at()
    assert time.elapsed(T + 50) == 0
    later(clock, 10)
    assert time.elapsed(T + 50) == 10, "and its time goes by"


def test_of_two_times_that_may_have_gone_by_it_is_the_shorter():
    clock, time = at()
    since = T - 100
    assert time.elapsed(since) == 100
    clock.set_unix(T - 60)
    assert time.elapsed(since) == 40
    clock.set_unix(T - 3600)
    assert time.elapsed(since) == 100, "never negative"


def test_how_far_it_is_ahead():
    clock, time = at()
    assert time.ahead() == 0
    clock.set_unix(T + 2)
    assert time.ahead() == 0
    clock.set_unix(T + 300)
    assert time.ahead() == -300
    clock.set_unix(T - 300)
    assert time.ahead() == 300
    clock.trusted = False
    assert time.ahead() == 0


def test_ticks_that_wrap():
    class Wrapping(FakeClock):
        def ticks_ms(self):
            return self.now_us // 1000 & 0x3FFFFFFF

        def diff(self, later, earlier):
            return ((later - earlier + 0x20000000) & 0x3FFFFFFF) - 0x20000000

    clock = Wrapping(0)
    clock.set_unix(T)
    time = GuardedTime(clock)
    for k in range(1, 40):
        clock.advance_us(DAY * 1000000)
        assert time.now() == T + k * DAY
