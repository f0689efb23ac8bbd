from fakes import FakeClock
from validator.sam import PAUSE
from validator.sam.tries import Tries

KEY = b"\x80\x11" + bytes.fromhex("0089000340")


class Nvs:
    """An `esp32.NVS`; `failing` raises at each write."""

    def __init__(self):
        self.kept = {}
        self.written = {}
        self.failing = False

    def get_i32(self, name):
        assert len(name) <= 15
        if name not in self.kept:
            raise OSError(-0x1102)
        return self.kept[name]

    def set_i32(self, name, value):
        if self.failing:
            raise OSError(5)
        self.written[name] = value

    def commit(self):
        self.kept.update(self.written)


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, area, text):
        self.lines.append("warning " + text)

    def error(self, area, text):
        self.lines.append("error " + text)


def test_the_last_two_are_kept_over_restarts():
    nvs = Nvs()
    log = Log()
    tries = Tries(nvs, None, log)
    for left in range(14, 2, -1):
        tries.wrong(KEY, left)
        assert tries.fault(KEY) == "" and tries.left(KEY) == left
        tries = Tries(nvs, None, log)
        assert tries.left(KEY) == left
    tries.wrong(KEY, 2)
    for _ in range(3):
        assert tries.fault(KEY) == "2 tries of MAC2 left"
        tries = Tries(nvs, None, log)
    assert log.lines[-1].startswith("error") and "out of service" in log.lines[-1]
    # Another PSAM in the slot has its own count.
    assert tries.fault(b"\x80\x11other") == ""


def test_a_right_one_sets_it_back_but_only_in_idle_time():
    nvs = Nvs()
    tries = Tries(nvs)
    tries.wrong(KEY, 3)
    kept = dict(nvs.kept)
    tries.right(KEY)
    assert tries.left(KEY) is None and nvs.kept == kept  # no flash in an accepted tap
    tries.keep()
    assert Tries(nvs).left(KEY) is None
    # One that says how many are left is believed, whatever we counted.
    tries.wrong(KEY, 2)
    assert tries.fault(KEY)


def test_a_psam_that_does_not_tell():
    tries = Tries()
    for _ in range(12):
        tries.wrong(KEY, None)
        assert tries.fault(KEY) == ""
    tries.wrong(KEY, None)
    assert tries.left(KEY) == 2 and tries.fault(KEY)


def test_release_stakes_one_and_never_the_last():
    nvs = Nvs()
    tries = Tries(nvs)
    assert tries.release(KEY)
    tries.wrong(KEY, 2)
    assert tries.release(KEY) and tries.fault(KEY) == "" and tries.left(KEY) == 2
    assert Tries(nvs).fault(KEY) == ""
    tries.wrong(KEY, 1)
    assert tries.fault(KEY) and not tries.release(KEY) and tries.fault(KEY)
    tries.wrong(KEY, 0)
    assert tries.fault(KEY) == "locked" and not tries.release(KEY)


def test_a_row_of_wrong_ones_is_slowed_down():
    clock = FakeClock(0)
    tries = Tries(None, clock)
    tries.wrong(KEY, 8)
    assert tries.fault(KEY) == ""
    waited = 0
    for left in range(7, 2, -1):
        tries.wrong(KEY, left)
        seconds = 0
        while tries.fault(KEY) == PAUSE:
            clock.advance_us(5000000)
            seconds += 5
        assert seconds == 15 << (7 - left)
        waited += seconds
    assert waited == 465
    tries.wrong(KEY, 4)
    tries.right(KEY)
    assert tries.fault(KEY) == ""  # any rider between them ends it


def test_flash_that_fails_stops_nobody():
    nvs = Nvs()
    nvs.failing = True
    log = Log()
    tries = Tries(nvs, None, log)
    tries.wrong(KEY, 2)
    assert tries.fault(KEY) and "not kept" in log.lines[0]
