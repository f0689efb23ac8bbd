"""What `faretap bench` asks of journal and configuration: figures that can be checked."""

import config_bundles as made
from fakes import FakeClock, raises
from flash_sim import FlashSim
from test_configuration_calls import push
from test_configuration_calls import rig as configured
from test_tap import Log, State, Ui
from validator import calls_bench
from validator.link.peer import RpcError
from validator.store import record
from validator.store.configuration import AT
from validator.store.journal import Journal
from validator.store.lists import Lists
from validator.tap import Taps


class Ticking(FakeClock):
    """Each look at it takes 10 us."""

    def ticks_us(self):
        self.now_us += 10
        return self.now_us


class Slow(FlashSim):
    """Flash that takes a chip's time."""

    clock = None

    def program(self, addr, data):
        FlashSim.program(self, addr, data)
        self.clock.now_us += 1000

    def erase(self, addr):
        FlashSim.erase(self, addr)
        self.clock.now_us += 45000


class App:
    operation = None
    journal_fault = "flash is gone"
    riders = None

    def __init__(self, sectors=12):
        self.clock = Ticking()
        self.flash = Slow(sectors)
        self.flash.clock = self.clock
        self.journal = Journal(self.flash, self.clock)
        self.journal.mount()
        self.taps = Taps(self.clock, self.journal, State, Ui(), Log(), None)

    def append(self, times):
        return calls_bench.run(self, {"what": "append", "times": times})


def test_records_are_appended_and_operations_counted():
    app = App()
    before = len(app.flash.log)
    got = app.append(30)
    operations = [entry[0] for entry in app.flash.log[before:]]
    assert got["records"] == 30 == len(list(app.journal.read()))
    # Beside records, the mark of each erased sector is programmed.
    erased = operations.count("erase")
    assert got["erase"] == erased and erased >= 1
    assert got["program"] == operations.count("program") == 30 + erased
    assert got["read"] >= 30
    bodies = [entry[1] for entry in app.journal.read()]
    assert got["bytes"] == sum(len(body) for body in bodies)
    kept = record.decode(bodies[-1])
    assert kept["seq"] == 30 and kept["medium"] == "quickpass" and kept["test"]
    assert kept["outcome"] == "accepted" and kept["fare"] == 200
    # The time is that of the flash.
    spent = 45000 * got["erase"] + 1000 * got["program"]
    assert spent <= got["us"] < spent + 10000
    assert 46000 <= got["most_us"] < 50000
    assert app.journal._flash is app.flash and app.journal._ring._flash is app.flash


def test_a_tap_after_it_is_as_before():
    app = App()
    app.append(3)
    before = len(app.flash.log)
    app.journal.append(bytes(100))
    assert len(app.flash.log) == before + 1
    before = len(app.flash.log)
    assert app.append(1)["program"] == [entry[0] for entry in app.flash.log[before:]].count(
        "program"
    )


def test_appending_ends_with_the_room():
    app = App(sectors=4)
    error = raises(RpcError, app.append, 2000)
    assert "full" in error.message
    assert app.journal._flash is app.flash
    assert not app.journal.has_room(2)
    count = app.journal.next_seq
    app.journal = None
    assert "flash is gone" in raises(RpcError, app.append, 1).message
    assert count > 10


def verify(app, times=1):
    return calls_bench.run(app, {"what": "bundle", "times": times})


def test_the_bundle_in_force_is_verified():
    app = configured()
    assert "no configuration in force" in raises(RpcError, verify, app).message
    push(app, made.V1)
    app.clock = Ticking()
    got = verify(app, 2)
    assert got["bytes"] == len(made.V1) and got["us"] > 0 and got["parse_us"] > 0


def test_a_bundle_that_is_not_right_gives_no_figure():
    for at, reason in ((40, "unsigned"), (100, "unsigned"), (200, "damaged")):
        app = configured()
        push(app, made.V1)
        c = app.configuration
        c.flash.data[c.base(c.bank) + AT + at] ^= 1
        error = raises(RpcError, verify, app)
        assert error.data == {"reason": reason}, (at, error.message)


def test_what_is_measured():
    app = App()
    app.lists = Lists(FlashSim(8))
    app.lists.mount()
    asked = {"what": "lookup", "tokens": ["00" * 8], "times": 3}
    assert calls_bench.run(app, asked)["denied"] == 0
    assert "bundle" in raises(RpcError, calls_bench.run, app, {"what": "other"}).message
    for times in (0, 2001, "1"):
        assert "times" in raises(RpcError, app.append, times).message
