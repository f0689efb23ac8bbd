"""Fakes with virtual time for firmware tests, on CPython and MicroPython alike.

A fake never really waits: sleeping moves `FakeClock.now_us` forward and lets scripted events
happen, so a coroutine that uses only fakes runs to its end in `run()` without an event loop.
"""


class FakeClock:
    def __init__(self, now_us=1000):
        self.now_us = now_us
        self.trusted = True
        self.unix_base = 1893456000
        self.watchers = []  # called with the clock each time that time moves

    def ticks_ms(self):
        return self.now_us // 1000

    def ticks_us(self):
        return self.now_us

    def diff(self, later, earlier):
        return later - earlier

    async def sleep_ms(self, ms):
        self.advance_us(ms * 1000 if ms else 50)

    def advance_us(self, us):
        self.now_us += us
        for watch in self.watchers:
            watch(self)

    def unix(self):
        return self.unix_base + self.now_us // 1000000

    def set_unix(self, seconds):
        self.unix_base = seconds - self.now_us // 1000000
        self.trusted = True


class FakeSerial:
    """The interface of `validator.hal.Serial`, with a scripted peer.

    `peer(data)` is called with each write and returns the reply: bytes, or a list of
    `(delay_us, bytes)` that arrive one after another.
    """

    def __init__(self, clock, peer=None):
        self.clock = clock
        self.peer = peer
        self.written = []
        self.baud = 115200
        self.dropped = 0
        self._due = []  # [at_us, bytes], by time of arrival

    def feed(self, data, delay_us=0):
        at = self.clock.now_us + delay_us
        i = len(self._due)
        while i and self._due[i - 1][0] > at:
            i -= 1
        self._due.insert(i, [at, bytes(data)])

    def write(self, buf):
        data = bytes(buf)
        self.written.append(data)
        if self.peer:
            reply = self.peer(data)
            if isinstance(reply, (bytes, bytearray)):
                reply = [(0, reply)]
            delay = 0
            for wait, chunk in reply or ():
                delay += wait
                self.feed(chunk, delay)

    def set_baud(self, baud):
        self.baud = baud

    def _ready(self):
        return sum(len(d) for at, d in self._due if at <= self.clock.now_us)

    def any(self):
        return self._ready()

    def drain(self):
        n = self._ready()
        self.dropped += n
        self._due = [e for e in self._due if e[0] > self.clock.now_us]
        return n

    async def readinto(self, buf, timeout_ms, spin_ms=4):
        if not self._ready():
            deadline = self.clock.now_us + timeout_ms * 1000
            waiting = [at for at, d in self._due if d]
            wake = min(waiting) if waiting else deadline
            self.clock.advance_us(max(0, min(wake, deadline) - self.clock.now_us))
            if not self._ready():
                return 0
        n = 0
        while self._due and n < len(buf) and self._due[0][0] <= self.clock.now_us:
            data = self._due[0][1]
            k = min(len(buf) - n, len(data))
            buf[n : n + k] = data[:k]
            n += k
            if k == len(data):
                self._due.pop(0)
            else:
                self._due[0][1] = data[k:]
        return n


class FakeGate:
    """As much of `validator.gate.Gate` as calls and transfers ask. Rights in `closed` are refused;
    `session` is the one whose message is served, `dead` what is no session any more."""

    def __init__(self):
        self.closed = ()
        self.session = ""
        self.dead = ()
        self.on_end = None
        self.turns = self.wrongs = 0

    def may(self, right):
        return right not in self.closed

    def need(self, right):
        if right in self.closed:
            # Here: the crypto package is tested without the link, too.
            from validator.link.peer import REFUSED, RpcError

            raise RpcError(REFUSED, "no right to " + right)

    def owner(self):
        return self.session

    def owns(self, owner, alive=False):
        return owner not in self.dead

    def within(self):
        return not self.closed

    def turn(self):
        self.turns += 1

    def wrong(self):
        self.wrongs += 1


class Registry:
    """The peer, as modules see it that register calls: each asks for its right first."""

    def __init__(self, gate=None):
        self.gate = gate
        self.on_block = None
        self.calls = {}
        self.rights = {}

    def register(self, name, function, right=None, keep=True):
        def call(params):
            if right and self.gate:
                self.gate.need(right)
            return function(params)

        self.calls[name] = call
        self.rights[name] = right


def run(coro):
    """Run a coroutine whose every wait is a fake's."""
    try:
        while True:
            coro.send(None)
    except StopIteration as e:
        return e.value


def raises(kind, call, *args):
    """The exception of class `kind` that `call(*args)` raises; fails if none."""
    try:
        call(*args)
    except kind as e:
        return e
    raise AssertionError("did not raise")
