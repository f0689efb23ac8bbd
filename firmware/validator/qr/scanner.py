"""A scan engine on a serial line: finds it, sets it up, and hands over one code after another.

    scanner = Scanner(serial, clock)
    info = await scanner.open()           # {"engine": "gm65", "version": …, "baud": …, "saved": …}
    while True:
        code = await scanner.next(1000)   # bytes, or None after a second without one
        if code is None and not await scanner.check():
            ...                           # say so; check() opens it again when it is back

One task may wait in `next()` while another calls `check()`: they take turns, and a code that comes
in between belongs to the next `next()`.
"""

from . import gm65
from .framing import CODE, CUT, OVERSIZE, REPLY, Framer, gap_ms

# The engine answers a setting within some 10 ms; the first frame only wakes a sleeping one.
_REPLY_MS = 150
_TRIES = 3
_TURN_MS = 100  # longest wait in one read, so that somebody else gets a turn
# A code begun in time may end late: 364 bytes at 9600 baud, the gap, and pauses.
_OVERTIME_MS = 900
_PATIENCE_MS = 300  # for all pauses inside one code that is known to go on
_QUEUE = 4  # codes kept while nobody asks; older ones are dropped, their riders have moved on


class ScannerError(Exception):
    """The engine does not answer, or does not take a setting. `reason` is one short word."""

    def __init__(self, reason, detail=""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Scanner:
    """GM65-family engine behind a `Serial` (see hal.py).

    serial   the line; its receive buffer must hold a whole code (400 bytes and more)
    baud     rate wanted: a 332-byte ride code takes 29 ms at 115200 and 346 ms at 9600
    mode     gm65.CONTINUOUS or gm65.SENSE
    light    gm65.LIGHT_…
    on_fault called as on_fault(kind, length) for "cut" and "oversize" codes, if not None
    """

    chip = "gm65"

    def __init__(
        self,
        serial,
        clock,
        baud=115200,
        mode=gm65.CONTINUOUS,
        light=gm65.LIGHT_WHEN_READING,
        on_fault=None,
    ):
        gm65.baud_zone(baud)  # a rate that the engine does not have is refused here
        self._serial = serial
        self._clock = clock
        self._wanted_baud = baud
        self._wanted = gm65.wanted(mode, light)
        self.on_fault = on_fault
        self.info = None  # what open() found; None while there is no engine
        self.counters = {
            "codes": 0,
            "cut": 0,
            "oversize": 0,
            "dropped": 0,
            "replies": 0,
            "retries": 0,
            "opens": 0,
        }
        self._framer = Framer()
        self._chunk = bytearray(128)
        self._view = memoryview(self._chunk)
        self._codes = []
        self._reply = None
        self._busy = False
        self._others = 0  # tasks waiting for their turn
        self._since = clock.ticks_ms()  # when the last byte came
        self._patience = _PATIENCE_MS
        self._left = _PATIENCE_MS  # of it, for the code that has begun
        self._set_baud(baud)

    # Public calls ---------------------------------------------------------------------------

    async def open(self):
        """Find the engine at any of its rates, set it up and verify it.

        Returns what was found. Writes the engine's flash only if a setting differed. Raises
        ScannerError("silent") if nothing answers, ScannerError("settings") if a setting does
        not stick.
        """
        await self._take_turn()
        try:
            return await self._open()
        finally:
            self._busy = False

    async def next(self, timeout_ms):
        """The next code as bytes, or None after `timeout_ms` (or earlier, to let others in)."""
        await self._take_turn()
        try:
            clock = self._clock
            start = clock.ticks_ms()
            while True:
                if self._codes:
                    return self._codes.pop(0)
                left = timeout_ms - clock.diff(clock.ticks_ms(), start)
                # A code that has begun is waited for, unless the line never falls silent again.
                if not self._framer.pending and (left <= 0 or self._others):
                    return None
                if left <= -_OVERTIME_MS:
                    return None
                await self._pump(_TURN_MS if left > _TURN_MS or left <= 0 else left)
        finally:
            self._busy = False

    async def check(self):
        """Whether the engine is there and set up; tries to open it again if not. Never raises."""
        await self._take_turn()
        try:
            if self.info is not None:
                address, mask, value = self._wanted[0]
                try:
                    found = await self._zones(address, 1)
                    if found[0] & mask == value & mask:
                        return True
                except ScannerError:
                    pass
                # Gone, or back from a power cut with other settings: both are set up anew.
                self.info = None
            try:
                await self._open()
            except ScannerError:
                return False
            return True
        finally:
            self._busy = False

    # The line -------------------------------------------------------------------------------

    async def _take_turn(self):
        self._others += 1
        try:
            while self._busy:
                await self._clock.sleep_ms(2)
        finally:
            self._others -= 1
        self._busy = True

    def _set_baud(self, baud):
        self._serial.set_baud(baud)
        self._baud = baud
        self._gap = gap_ms(baud)

    async def _pump(self, timeout_ms):
        """Read what comes within `timeout_ms`, sort it into codes and replies; note the gap."""
        framer = self._framer
        clock = self._clock
        limit = self._gap
        if framer.pending:
            if framer.incomplete:
                limit += self._left
            quiet = clock.diff(clock.ticks_ms(), self._since)
            timeout_ms = max(0, limit - quiet)
        n = await self._serial.readinto(self._chunk, timeout_ms)
        now = clock.ticks_ms()
        quiet = clock.diff(now, self._since)
        if n:
            if framer.incomplete and quiet >= self._gap:
                self._left = max(0, self._left - quiet)
                framer.pause()
            self._since = now
            framer.feed(self._view[:n])
        elif framer.pending and not self._serial.any():
            # The second look: a garbage collection between the last byte and the time-out may
            # have hidden bytes that had come long before.
            if quiet >= limit:
                framer.gap()
        self._sort()
        if not framer.pending:
            self._left = self._patience

    def _sort(self):
        counters = self.counters
        while True:
            item = self._framer.take()
            if item is None:
                return
            kind, value = item
            self._left = self._patience
            if kind == CODE:
                counters["codes"] += 1
                self._codes.append(value)
                if len(self._codes) > _QUEUE:
                    self._codes.pop(0)
                    counters["dropped"] += 1
            elif kind == REPLY:
                counters["replies"] += 1
                self._reply = value
            elif kind in (CUT, OVERSIZE):
                counters[kind] += 1
                if self.on_fault:
                    self.on_fault(kind, value)

    async def _ask(self, request):
        """Send a request and return the data of its reply; ScannerError("silent") without one."""
        clock = self._clock
        for attempt in range(_TRIES):
            if attempt:
                self.counters["retries"] += 1
            start = clock.ticks_ms()
            while self._framer.pending and clock.diff(clock.ticks_ms(), start) < 1000:
                await self._pump(0)  # a text code ends by silence: a reply would hide its end
            self._reply = None
            self._serial.write(request)
            start = clock.ticks_ms()
            while True:
                left = _REPLY_MS - clock.diff(clock.ticks_ms(), start)
                if left <= 0:
                    break
                await self._pump(left)
                if self._reply is not None:
                    data = gm65.reply_data(self._reply)
                    self._reply = None
                    if data is not None:
                        return data
        raise ScannerError("silent")

    async def _zones(self, address, count):
        for _ in range(2):
            data = await self._ask(gm65.read_zones(address, count))
            if len(data) == count:
                return data  # a shorter one is the late answer to a question asked before
        raise ScannerError("settings", "zone %04x" % address)

    # Setting up -----------------------------------------------------------------------------

    async def _open(self):
        self.info = None
        await self._find()
        version = (await self._zones(gm65.ZONE_VERSION, 1))[0]
        changed = False
        for address, mask, value in self._wanted + gm65.raw_mode(version):
            if await self._settle(address, mask, value):
                changed = True
        if self._baud != self._wanted_baud:
            await self._change_baud()
            changed = True
        if changed:
            # Saved only now, with every zone read back: the engine's flash wears.
            await self._ask(gm65.save())
        self.counters["opens"] += 1
        self.info = {"engine": self.chip, "version": version, "baud": self._baud, "saved": changed}
        return self.info

    async def _find(self):
        """Try the wanted rate, the factory's 9600, then the others, until something answers."""
        rates = [self._wanted_baud, 9600] + list(reversed(gm65.BAUDS))
        tried = []
        self._patience = 0  # what an engine says at a wrong rate looks like anything
        try:
            for baud in rates:
                if baud in tried:
                    continue
                tried.append(baud)
                self._set_baud(baud)
                self._serial.drain()
                self._framer.reset()  # what came at the wrong rate is no code
                self._left = 0
                try:
                    await self._ask(gm65.read_zones(gm65.ZONE_MODE))
                    return
                except ScannerError:
                    continue
            self._set_baud(self._wanted_baud)
            self._framer.reset()
            raise ScannerError("silent")
        finally:
            self._patience = _PATIENCE_MS

    async def _settle(self, address, mask, value):
        """Bring one zone to its value; True if it had another one."""
        found = (await self._zones(address, 1))[0]
        if found & mask == value & mask:
            return False
        new = (found & ~mask & 0xFF) | (value & mask)
        for _ in range(2):
            await self._ask(gm65.write_zones(address, bytes((new,))))
            if (await self._zones(address, 1))[0] & mask == value & mask:
                return True
        raise ScannerError("settings", "zone %04x" % address)

    async def _change_baud(self):
        # The answer still comes at the old rate; the next frame goes at the new one.
        zone = gm65.baud_zone(self._wanted_baud)
        await self._ask(gm65.write_zones(gm65.ZONE_BAUD, zone))
        self._set_baud(self._wanted_baud)
        if await self._zones(gm65.ZONE_BAUD, 2) != zone:
            raise ScannerError("settings", "baud")
