"""Lights and the sequences they run on."""

from fakes import FakeClock, raises
from validator.media.reasons import OUTCOMES
from validator.ui.lights import PATTERNS, Lights
from validator.ui.sequence import Sequence


class Pin:
    def __init__(self):
        self.level = None

    def __call__(self, level):
        self.level = level


class Pwm:
    def __init__(self):
        self.duty = None

    def duty_u16(self, duty):
        self.duty = duty


def make(**options):
    clock = FakeClock()
    pins = [Pin(), Pin(), Pin()]
    return clock, pins, Lights(clock, pins[0], pins[1], pins[2], **options)


def watch(clock, lights, ms):
    """[(ms, names of the lamps that are lit)] at each change within `ms`."""
    out = []
    start = clock.ticks_ms()
    while clock.ticks_ms() - start <= ms:
        lights.step()
        if not out or out[-1][1] != lights.names():
            out.append((clock.ticks_ms() - start, lights.names()))
        clock.advance_us(10000)
    return out


def test_dark_to_begin_with():
    _, pins, lights = make()
    assert [p.level for p in pins] == [0, 0, 0]
    assert lights.names() == []


def test_the_first_step_is_lit_at_once():
    for outcome, name in (("accepted", "green"), ("declined", "red"), ("retry", "yellow")):
        clock, pins, lights = make()
        before = clock.now_us
        lights.show(outcome)
        assert lights.names() == [name]
        assert clock.now_us == before
        assert [p.level for p in pins] == [int(n == name) for n in ("green", "yellow", "red")]


def test_declined_blinks_red_and_stays_red():
    clock, _, lights = make()
    lights.show("declined")
    assert watch(clock, lights, 5000) == [
        (0, ["red"]),
        (250, []),
        (350, ["red"]),
        (600, []),
        (700, ["red"]),
    ]


def test_retry_blinks_yellow_for_good():
    clock, _, lights = make()
    lights.show("retry")
    changes = watch(clock, lights, 3000)
    assert len(changes) == 21
    assert {tuple(names) for _, names in changes} == {("yellow",), ()}


def test_a_new_pattern_takes_over():
    clock, _, lights = make()
    lights.show("declined")
    watch(clock, lights, 300)
    lights.show("accepted")
    assert watch(clock, lights, 3000) == [(0, ["green"])]
    lights.show("ready")
    assert watch(clock, lights, 3000) == [(0, [])]
    assert lights.pattern == "ready"


def test_every_outcome_and_state_has_its_own_pattern():
    for name in OUTCOMES + ("ready", "starting", "out_of_service"):
        assert name in PATTERNS
    assert len(set(PATTERNS.values())) == len(PATTERNS)
    _, _, lights = make()
    raises(KeyError, lights.show, "disco")


def test_lamps_that_are_lit_by_a_low_level():
    _, pins, lights = make(active_low=True)
    assert [p.level for p in pins] == [1, 1, 1]
    lights.show("accepted")
    assert [p.level for p in pins] == [0, 1, 1]


def test_dimmed_lamps_and_lamps_that_are_not_there():
    clock = FakeClock()
    pwm = Pwm()
    lights = Lights(clock, red=pwm, brightness=20000)
    assert pwm.duty == 0
    lights.show("declined")
    assert pwm.duty == 20000
    lights.show("accepted")
    assert pwm.duty == 0 and lights.names() == ["green"]
    Lights(clock, red=pwm, brightness=20000, active_low=True).show("declined")
    assert pwm.duty == 45535


def test_a_late_call_catches_up_and_does_not_stretch_the_score():
    clock = FakeClock()
    put = []
    sequence = Sequence(put.append, clock)
    sequence.play(((1, 100), (2, 100), (3, 100), (4, None)))
    clock.advance_us(250000)
    assert sequence.step() == 50
    assert put == [1, 2, 3]
    clock.advance_us(50000)
    assert sequence.step() is None
    assert put == [1, 2, 3, 4]


def test_a_score_ends_or_loops():
    clock = FakeClock()
    put = []
    sequence = Sequence(put.append, clock)
    sequence.play(((1, 10), (2, 10)))
    assert sequence.playing
    clock.advance_us(20000)
    assert sequence.step() is None
    assert not sequence.playing
    clock.advance_us(1000000)
    assert sequence.step() is None
    assert put == [1, 2]
    sequence.play(((1, 10), (2, 10)), loop=True)
    clock.advance_us(35000)
    assert sequence.step() == 5
    assert put == [1, 2, 1, 2, 1, 2]


def test_a_score_goes_on_over_the_wrap_of_the_clock():
    class Wrapping(FakeClock):
        # ticks_ms() of a device: 30 bits, and a difference that takes it into account.
        def ticks_ms(self):
            return (self.now_us // 1000) & 0x3FFFFFFF

        def diff(self, later, earlier):
            assert -(1 << 30) <= earlier < 1 << 30  # a larger number is no tick on 32 bits
            return ((later - earlier + (1 << 29)) & 0x3FFFFFFF) - (1 << 29)

    clock = Wrapping(((1 << 30) - 5) * 1000)
    put = []
    sequence = Sequence(put.append, clock)
    sequence.play(((1, 10), (2, 10), (3, None)))
    clock.advance_us(12000)
    assert sequence.step() == 8
    clock.advance_us(8000)
    sequence.step()
    assert put == [1, 2, 3]
