"""Riders come before the link, and the link comes back."""

import asyncio

from fakes import FakeClock, FakeGate
from validator.link import turn as module
from validator.link.turn import Turn


class Clock(FakeClock):
    def __init__(self):
        super().__init__()
        self.slept = []

    async def sleep_ms(self, ms):
        self.slept.append(ms)
        self.advance_us(ms * 1000)
        await asyncio.sleep(0)


class Taps:
    def __init__(self):
        self.idle = asyncio.Event()
        self.idle.set()

    def busy(self):
        return not self.idle.is_set()


class Peer:
    worked_us = 0
    dirt = 0


class Gate(FakeGate):
    life_cycle = "service"


class Rig:
    def __init__(self):
        self.clock = Clock()
        self.gate = Gate()
        self.taps = Taps()
        self.peer = Peer()
        self.turn = Turn(self.clock, self.gate, self.taps, self.peer)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def begun(rig):
    """The link asks for its turn; a list that has an entry once it has it."""
    had = []

    async def ask():
        await rig.turn.take()
        had.append(1)

    asyncio.create_task(ask())
    return had


def test_the_link_waits_while_a_rider_is_served():
    async def script():
        rig = Rig()
        rig.taps.idle.clear()
        had = begun(rig)
        await settle()
        assert not had
        rig.taps.idle.set()
        await settle()
        assert had
        # A workbench's taps come over the link itself.
        for life_cycle in ("factory", "bench"):
            rig.gate.life_cycle = life_cycle
            rig.taps.idle.clear()
            had = begun(rig)
            await settle()
            assert had

    asyncio.run(script())


def test_a_session_does_not_come_before_riders():
    async def script():
        rig = Rig()
        rig.gate.session = "abcd"
        rig.taps.idle.clear()
        had = begun(rig)
        await settle()
        assert not had
        rig.taps.idle.set()
        await settle()
        assert had and not rig.clock.slept

    asyncio.run(script())


def test_a_tap_that_never_ends_does_not_silence_the_link():
    async def script():
        rig = Rig()
        taps = rig.taps
        taps.busy = lambda: True
        taps.idle.clear()
        had = begun(rig)
        for n in range(module._HOLD_ROUNDS):
            await settle()
            assert not had, n
            rig.turn.idle_round()
        await settle()
        assert had
        # The next rider is waited for again.
        del taps.busy
        taps.idle.set()
        rig.turn.idle_round()
        taps.idle.clear()
        rig.turn.idle_round()
        had = begun(rig)
        await settle()
        assert not had

    asyncio.run(script())


def test_without_a_session_the_link_has_a_fifth_of_the_time():
    async def script():
        rig = Rig()
        worked = 0
        start = rig.clock.now_us
        for n in range(400):
            await rig.turn.take()
            us = 300 + 1500 * (n % 7)
            rig.clock.advance_us(us)
            rig.peer.worked_us += us
            rig.peer.dirt += 64
            worked += us
        assert worked * 5 <= (rig.clock.now_us - start) * 1.05
        # One message after a pause is answered at once.
        rig.peer.worked_us = 2000
        before = len(rig.clock.slept)
        await rig.turn.take()
        assert len(rig.clock.slept) == before

    asyncio.run(script())


def test_its_garbage_is_taken_away_before_a_rider_has_to():
    collected = []

    class Gc:
        @staticmethod
        def collect():
            collected.append(1)

    async def script():
        rig = Rig()
        for _ in range(100):
            await rig.turn.take()
            rig.peer.dirt += 256
        assert 20 <= len(collected) <= 26

    real = module.gc
    module.gc = Gc
    try:
        asyncio.run(script())
    finally:
        module.gc = real
