"""What a tap, and waiting for one, takes from the heap: under MicroPython only.

A collection stops a plain ESP32 for 10 to 30 ms, and comes when some 30 KB were allocated, so that
it is to fall between taps. Figures are those of a 64-bit interpreter, twice those of the target.
Each bound is what was measured, and a tenth. `gc.mem_alloc` counts what is not given back at once.
"""

import asyncio
import gc

import quickpass_corpus as corpus
from emv_script import Recorded, scheme_rules, scheme_terminal
from fakes import FakeClock, run
from pn532_script import ACK, frame
from validator import hal
from validator.link.peer import Peer
from validator.log import Log
from validator.media import cards, terminal
from validator.media.phases import Phases
from validator.nfc.pn532 import Pn532Reader
from validator.nfc.poller import Poller
from validator.store.journal import Journal
from validator.store.token import CARD_SCOPE, Tokens
from validator.tap import Taps
from validator.ui.screen import Screen
from validator.ui.ui import Ui

WEIGHABLE = hasattr(gc, "mem_alloc")
LOOKS = 40  # at an empty line before each burst: some 5 ms of an ESP32, a card takes longer

POLL = 2230  # measured 2030; 20,300 while each look at an empty line cost something
EXCHANGE = 2590  # measured 2360, the poll before it and its answer included; 12,700 then
TAPS = (  # measured 58,800 and 60,800; 156,700 and 167,500 then
    ("quickpass-debit", 64500),
    ("quickpass-legacy", 66800),
)

FOUND = "4b01 01 0004 20 04 01020304 05 78807002"


class Clock(hal.Clock):
    """The real one, whose time stands still: how often somebody waits is the line's affair."""

    def __init__(self):
        super().__init__()
        self.set_unix(corpus.UNIX)

    def ticks_ms(self):
        return 1000

    def ticks_us(self):
        return 1000

    def unix(self):
        return corpus.UNIX


class Uart:
    """A `machine.UART` with a PN532 that answers each command with the next of `answers`.

    It takes nothing from the heap itself.
    """

    def __init__(self):
        self.play(())

    def play(self, bodies):
        self.answers = [ACK + frame(b"\xd5" + body) for body in bodies]
        self.next = self.at = self.end = self.quiet = 0

    def any(self):
        if self.quiet:
            self.quiet -= 1
            return 0
        return self.end - self.at

    def write(self, buf):
        if len(buf) == len(ACK):
            return
        self.at = 0
        self.end = len(self.answers[self.next])
        self.next += 1
        self.quiet = LOOKS

    def readinto(self, buf):
        answer = self.answers[self.next - 1]
        end = len(ACK) if self.at < len(ACK) else self.end
        n = 0
        while n < len(buf) and self.at < end:
            buf[n] = answer[self.at]
            n += 1
            self.at += 1
        self.quiet = LOOKS
        return n


class Flash:
    """The interface of store/flash.py on memory, without a byte of garbage."""

    sector = 4096
    size = 4 * sector

    def __init__(self):
        self.data = bytearray(b"\xff" * self.size)

    def read(self, addr, buf):
        for i in range(len(buf)):
            buf[i] = self.data[addr + i]

    def program(self, addr, data):
        for i in range(len(data)):
            self.data[addr + i] &= data[i]

    def erase(self, addr):
        for i in range(addr, addr + self.sector):
            self.data[i] = 0xFF


class Console:
    def write(self, data):
        pass


class State:
    token_key = bytes(range(16))
    boots = 3


class Rules:
    """Of the operator, as `operation.Operation` has them."""

    purse = codes = None
    flat = 200
    vehicle = "BUS-4711"
    line = "12"
    stop = ""

    def __init__(self, tokens):
        def token(source):
            return tokens.token(CARD_SCOPE, source)

        self.cards = scheme_rules(token=token)
        self.cards["window_s"] = 0
        self.cards["seal"].prepare()


def answers(name):
    """What a recorded card says in a tap, APDU by APDU."""
    said = []

    class Card(Recorded):
        async def transceive(self, command):
            said.append(await Recorded.transceive(self, command))
            return said[-1]

    clock = FakeClock()
    data = scheme_terminal(scheme_rules())
    run(cards.run(Card(name), clock, Phases(clock), terminal_data=data))
    return said


def reader():
    clock = Clock()
    uart = Uart()
    return uart, Pn532Reader(hal.Serial(uart, clock), clock, type_b_every=0), clock


def weigh(make):
    """(bytes that awaiting `make()` takes, its result), of the last of three times."""

    async def main():
        for _ in range(3):
            gc.collect()
            gc.disable()
            before = gc.mem_alloc()
            result = await make()
            taken = gc.mem_alloc() - before
            gc.enable()
        return taken, result

    return asyncio.run(main())


def test_waiting_for_bytes_is_free():
    if not WEIGHABLE:
        return
    uart, _, clock = reader()
    serial = hal.Serial(uart, clock)
    buf = bytearray(64)

    async def wait():
        uart.play((b"\x15",))
        uart.write(b"")
        uart.quiet = looks
        return await serial.readinto(buf, 1000)

    looks = 1
    short, n = weigh(wait)
    assert n == len(ACK)
    looks = 1000
    assert weigh(wait)[0] == short


def test_a_poll_without_a_card():
    if not WEIGHABLE:
        return
    uart, chip, clock = reader()
    poller = Poller(chip, clock)

    async def polls():
        for _ in range(10):
            await poller._poll()

    uart.play((b"\x4b\x00", b"\x33") * 40)
    taken, _ = weigh(polls)
    assert poller.counters["faults"] == 0 and uart.next == 60
    assert taken <= POLL * 10, taken // 10


def test_an_exchange():
    if not WEIGHABLE:
        return
    uart, chip, clock = reader()
    poller = Poller(chip, clock)
    command = bytes.fromhex("00b2011400")
    answer = bytes(46) + b"\x90\x00"
    target = []

    async def exchanges():
        uart.play((bytes.fromhex(FOUND),) + (b"\x41\x00" + answer,) * 10)
        poller.state = "polling"
        target.append(await poller._poll())
        poller.state = "activated"
        card = poller.card(target.pop())
        for _ in range(10):
            got = await card.transceive(command)
        return got

    taken, got = weigh(exchanges)
    assert got == answer
    assert taken <= EXCHANGE * 10, taken // 10


def rig(uart, chip, clock, name):
    """A coroutine function that taps a recorded card once and returns the summary."""
    said = [b"\x41\x00" + answer for answer in answers(name)]
    journal = Journal(Flash(), clock)
    journal.mount()
    while journal.prepare():
        pass
    log = Log(clock)
    peer = Peer(Console(), clock)
    log.notify = peer.notify
    tokens = Tokens(State.token_key)

    def done(summary):
        peer.notify("tap", summary)

    taps = Taps(clock, journal, State, Ui(Screen(), None, None, None, clock), log, done)
    taps.operate(Rules(tokens), tokens, 17)

    async def tap():
        uart.play([bytes.fromhex(FOUND)] + said)
        poller = Poller(chip, clock)
        target = await poller.next()
        summary = await taps.card(poller.card(target), poller.detect_us)
        log.info("tap", "%s %s" % (summary["outcome"], summary["reason"]))
        return summary

    return tap


def test_a_tap():
    if not WEIGHABLE:
        return
    rigs = [(rig(*reader(), name), bound) for name, bound in TAPS]
    make = terminal.make

    def recorded(*args):
        data = make(*args)
        data["random"] = _random
        return data

    terminal.make = recorded
    try:
        for tap, bound in rigs:
            taken, summary = weigh(tap)
            assert (summary["outcome"], summary["reason"]) == ("accepted", ""), summary
            assert summary["seq"] == 3
            assert taken <= bound, (summary["exchanges"], taken)
    finally:
        terminal.make = make


def _random(n):
    # What the recorded cards signed.
    return bytes.fromhex(corpus.RANDOM)[:n]
