"""Safe mode: everybody may have it start again, and nobody can make it do nothing else."""

import asyncio
import sys

from fakes import FakeClock, Registry

sys.path.append(__file__.rsplit("/", 1)[0] + "/../loader" if "/" in __file__ else "../loader")

import faretap_safe as module  # noqa: E402
from faretap_safe import Safe  # noqa: E402


class Clock(FakeClock):
    async def sleep_ms(self, ms):
        await asyncio.sleep(0)
        self.advance_us(ms * 1000)


class Board:
    name = "VIRTUAL"
    chip = "esp32"
    reset_cause = "power"

    def __init__(self, clock):
        self.clock = clock
        self.resets = []

    def unique_id(self):
        return "a1b2c3d4e5f6"

    def reset(self):
        self.resets.append(self.clock.ticks_ms())


def rig():
    clock = Clock()
    board = Board(clock)
    retries = []
    peer = Registry()
    boot = {"why": "app_a failed 3 times", "retry": lambda: retries.append(1)}
    Safe(boot, board, peer, clock, "1.0")
    return clock, board, peer.calls, retries


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_start_that_is_asked_for_comes_once_and_not_at_once():
    async def script():
        clock, board, calls, retries = rig()
        begun = clock.ticks_ms()
        for n in range(1000):
            assert calls[("reset", "retry")[n & 1]]({}) == {}
        assert not board.resets and not retries
        await settle()
        assert len(board.resets) == len(retries) == 1
        assert board.resets[0] - begun >= module._LEAST_MS

    asyncio.run(script())


def test_one_that_has_been_up_for_long_starts_when_the_answer_has_left():
    async def script():
        for up in (module._LEAST_MS, 3600000):
            clock, board, calls, retries = rig()
            clock.advance_us(up * 1000)
            asked = clock.ticks_ms()
            calls["reset"]({})
            await settle()
            assert [at - asked for at in board.resets] == [50] and not retries

    asyncio.run(script())


def test_it_tells_nothing_of_riders():
    clock, board, calls, retries = rig()
    real = module.gc
    module.gc = Memory
    try:
        told = calls["info"]({})
    finally:
        module.gc = real
    assert sorted(calls) == ["info", "ping", "reset", "retry"]
    assert sorted(told) == sorted(
        "board chip serial version hash slot micropython mode why reset_cause heap_free"
        " uptime_ms".split()
    )


class Memory:
    @staticmethod
    def collect():
        pass

    @staticmethod
    def mem_free():
        return 90000
