"""The buzzer: one, three, two."""

from fakes import FakeClock, raises
from validator.media.reasons import OUTCOMES
from validator.ui.buzzer import TUNES, Buzzer


class Pwm:
    def __init__(self):
        self.log = []
        self.hz = 0
        self.sounding = False
        self.starts = []

    def freq(self, hz):
        assert not self.sounding, "frequency changed while it sounds"
        self.hz = hz

    def duty_u16(self, duty):
        assert 0 <= duty <= 65535
        if duty and not self.sounding:
            self.starts.append(self.hz)
        self.sounding = duty > 0


def play(name, ms=2000):
    clock = FakeClock()
    pwm = Pwm()
    buzzer = Buzzer(clock, pwm)
    assert not pwm.sounding
    buzzer.play(name)
    assert pwm.sounding  # at once
    sounding = 0
    for _ in range(ms):
        buzzer.step()
        sounding += pwm.sounding
        clock.advance_us(1000)
    assert not pwm.sounding
    return pwm.starts, sounding


def test_accepted_is_one_short_high_tone():
    starts, ms = play("accepted")
    assert starts == [2700] and ms == 120


def test_declined_is_three_low_tones():
    starts, ms = play("declined")
    assert starts == [1800, 1800, 1800] and ms == 360


def test_retry_is_two_tones():
    starts, ms = play("retry")
    assert starts == [2700, 2700] and ms == 140


def test_a_new_tune_takes_over():
    clock = FakeClock()
    pwm = Pwm()
    buzzer = Buzzer(clock, pwm)
    buzzer.play("retry")
    clock.advance_us(100000)
    buzzer.step()
    assert not pwm.sounding
    buzzer.play("accepted")
    for _ in range(300):
        clock.advance_us(10000)
        buzzer.step()
    assert pwm.starts == [2700, 2700] and not pwm.sounding


def test_every_outcome_has_a_tune_and_all_end_in_silence():
    assert sorted(TUNES) == sorted(OUTCOMES)
    for steps in TUNES.values():
        assert steps[-1] == (0, None)
    raises(KeyError, Buzzer(FakeClock()).play, "fanfare")


def test_without_a_buzzer_it_is_quiet_and_works():
    clock = FakeClock()
    buzzer = Buzzer(clock)
    buzzer.play("accepted")
    assert buzzer.hz == 2700
    clock.advance_us(200000)
    buzzer.step()
    assert buzzer.hz == 0
