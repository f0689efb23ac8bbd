"""The user interface as a whole."""

from fakes import FakeClock
from validator.media.result import Result
from validator.ui.buzzer import Buzzer
from validator.ui.lights import Lights
from validator.ui.screen import Screen
from validator.ui.ui import HOLD_MS, Ui

ACCEPTED = Result("tunion", "accepted")
DECLINED = Result("ride_code", "declined", "unverified")
RETRY = Result("quickpass", "retry", "card_lost")


class Display:
    def __init__(self):
        self.alive = True
        self.drawn = []

    def step(self, screen):
        content = screen.content()
        if not self.drawn or self.drawn[-1] != content:
            self.drawn.append(content)
        return False


class Broken:
    alive = False

    def __init__(self):
        self.calls = 0

    def fail(self, *args):
        self.calls += 1
        raise OSError(5)

    step = show = play = fail

    def names(self):
        return []


def make():
    clock = FakeClock()
    display = Display()
    lights = Lights(clock)
    buzzer = Buzzer(clock)
    return clock, display, Ui(Screen(), display, lights, buzzer, clock)


def run_for(clock, ui, ms):
    """Drive run() by hand for so long."""
    task = ui.run()
    end = clock.ticks_ms() + ms
    sleep = clock.sleep_ms

    class Done(Exception):
        pass

    async def sleep_ms(n):
        await sleep(n)
        if clock.ticks_ms() >= end:
            raise Done()

    clock.sleep_ms = sleep_ms
    try:
        task.send(None)
    except Done:
        pass
    finally:
        clock.sleep_ms = sleep


def test_starting_then_ready():
    clock, display, ui = make()
    assert ui.content() == {
        "lines": ["正在启动", "Starting"],
        "icon": "wait",
        "colour": "grey",
        "lights": ["yellow"],
        "display": True,
    }
    ui.ready()
    run_for(clock, ui, 50)
    assert display.drawn[-1]["lines"][1] == "Tap or scan"
    assert ui.content()["lights"] == []


def test_light_and_tone_come_before_the_call_returns():
    clock, display, ui = make()
    ui.ready()
    before = clock.now_us
    ui.result(ACCEPTED, 200, 4800)
    assert clock.now_us == before
    assert ui.content()["lights"] == ["green"]
    assert ui._buzzer.hz == 2700
    assert display.drawn == []  # the picture comes from the task
    run_for(clock, ui, 10)
    assert display.drawn[-1]["lines"][3] == "Fare 2.00 Left 48.00"


def test_an_outcome_stays_for_its_time_and_ready_returns():
    for r in (ACCEPTED, DECLINED, RETRY):
        clock, display, ui = make()
        ui.ready()
        ui.result(r)
        run_for(clock, ui, HOLD_MS[r.outcome] - 20)
        assert ui.content()["icon"] != "tap"
        run_for(clock, ui, 40)
        assert ui.content()["icon"] == "tap"
        assert ui.content()["lights"] == []
        assert display.drawn[-1]["icon"] == "tap"


def test_the_next_tap_takes_over_at_once():
    clock, display, ui = make()
    ui.ready()
    ui.result(DECLINED)
    run_for(clock, ui, 1000)
    ui.result(ACCEPTED)
    assert ui.content()["icon"] == "tick" and ui.content()["lights"] == ["green"]
    run_for(clock, ui, HOLD_MS["accepted"] - 20)
    assert ui.content()["icon"] == "tick"


def test_ready_during_an_outcome_waits_for_its_time():
    clock, display, ui = make()
    ui.result(ACCEPTED)
    ui.ready()
    assert ui.content()["icon"] == "tick"
    run_for(clock, ui, 1600)
    assert ui.content()["icon"] == "tap"


def test_out_of_service_shows_at_once_and_stays():
    clock, display, ui = make()
    ui.ready()
    ui.result(ACCEPTED)
    ui.out_of_service("storage")
    assert ui.content()["lines"] == ["暂停服务", "Out of service", "storage"]
    run_for(clock, ui, 5000)
    assert ui.content()["lines"][1] == "Out of service"
    # A late result of the tap that was under way is still shown, then it is out of service again.
    ui.result(RETRY)
    assert ui.content()["icon"] == "again"
    run_for(clock, ui, 2100)
    assert ui.content()["lines"][2] == "storage"
    ui.ready()
    assert ui.content()["icon"] == "tap"


def test_broken_parts_never_reach_the_tap():
    clock = FakeClock()
    lights = Broken()
    buzzer = Broken()
    display = Broken()
    ui = Ui(Screen(), display, lights, buzzer, clock)
    ui.ready()
    ui.result(ACCEPTED)
    run_for(clock, ui, 100)
    assert ui.content()["icon"] == "tick" and ui.content()["display"] is False
    assert lights.calls > 5 and buzzer.calls > 5 and display.calls > 5
    assert ui.errors == lights.calls + buzzer.calls + display.calls


def test_a_validator_without_any_of_them():
    clock = FakeClock()
    ui = Ui(Screen(), None, None, None, clock)
    ui.ready()
    ui.result(ACCEPTED, 200)
    run_for(clock, ui, 3000)
    assert ui.content()["icon"] == "tap"
    assert ui.content()["lights"] == [] and ui.content()["display"] is False
