"""The link's rate: who may change it to what, and what is left of it in the log."""

import asyncio

from fakes import FakeClock, FakeGate, Registry, raises
from validator import calls as module
from validator.calls import Calls
from validator.link.peer import RpcError


class Clock(FakeClock):
    async def sleep_ms(self, ms):
        self.advance_us(ms * 1000)
        await asyncio.sleep(0)


class Gate(FakeGate):
    session_elsewhere = False

    def register(self, peer):
        pass

    def taken(self):
        return self.session_elsewhere


class Console:
    can_change_rate = True

    def __init__(self):
        self.rates = []

    def set_rate(self, baud):
        self.rates.append(baud)


class Board:
    devices = {"link": {"baud_max": 921600}}


class App:
    baud_max = 1 << 23
    board = Board()

    def __init__(self):
        self.clock = Clock()
        self.gate = Gate()
        self.log = self
        self.lines = []
        self.restarts = 0

    def info(self, area, text):
        self.lines.append((area, text))

    def restart(self):
        self.restarts += 1


class Asyncio:
    """The asyncio that the calls see: its sleep is the fake clock's."""

    def __init__(self, clock):
        self.sleep_ms = clock.sleep_ms
        self.create_task = asyncio.create_task


def rig(script):
    app = App()
    peer = Registry(app.gate)
    console = Console()
    calls = Calls(app, peer, console)
    real = module.asyncio
    module.asyncio = Asyncio(app.clock)
    try:
        asyncio.run(script(app, calls, peer.calls["link.baud"], console))
    finally:
        module.asyncio = real


async def passed(app, ms):
    end = app.clock.ticks_ms() + ms
    while app.clock.ticks_ms() < end:
        before = app.clock.ticks_ms()
        await asyncio.sleep(0)
        if app.clock.ticks_ms() == before:
            app.clock.advance_us(10000)


def test_a_stranger_makes_no_answer_slow():
    async def script(app, calls, baud, console):
        app.gate.closed = ("records", "change")
        for rate in (9600, 19200, 57600, 115199, -1, 0, True, None, "115200", 1 << 40):
            e = raises(RpcError, baud, {"baud": rate})
            assert "between 115200 and 921600" in e.message
        assert baud({"baud": 115200}) == {"baud": 115200}
        app.gate.closed = ()
        assert baud({"baud": 9600}) == {"baud": 9600}
        await passed(app, 500)
        assert console.rates == [9600]

    rig(script)


def test_the_log_says_that_nobody_was_heard_and_does_not_fill_up():
    async def script(app, calls, baud, console):
        for n in range(1, 101):
            assert baud({"baud": 921600}) == {"baud": 921600}
            await passed(app, 4000)
            assert calls.gone == n and console.rates[-2:] == [921600, 115200]
            if n == 1:
                assert app.lines == [("link", "no host at 921600 baud")]
        assert len(app.lines) == 7  # 1, 2, 4 … 64

    rig(script)


def test_one_task_whatever_is_asked():
    async def script(app, calls, baud, console):
        for n in range(200):
            try:
                baud({"baud": (230400, 460800, 921600)[n % 3]})
            except RpcError as e:
                assert e.data["kind"] == "again"
        await passed(app, 5000)
        assert console.rates == [230400, 115200]

    rig(script)
