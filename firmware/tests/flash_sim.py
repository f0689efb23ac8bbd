"""NOR flash whose power can be cut at any operation.

Programming turns ones into zeros and nothing else; turning a zero back is an error, where a real
chip would leave something else than what was meant. Each `program` and `erase` is one operation,
counted and logged. `cut_at(n, how)` ends the power in operation n (the first is 0) with PowerCut,
and leaves it

    "undone"   as if it had never begun
    "half"     done for the first half of its bytes (erase: the first half of the sector)
    "tail"     erase only: done for the second half
    "bits"     done for some bits of each byte
    "done"     whole, but nobody was told

What wears out: `dead_bits` {address: mask} cannot be programmed to 0 any more, `stuck_bits` cannot
be erased to 1, `refused` holds sectors whose erase fails with OSError, `refused_programs` those
where programming does. `reads`, `read_bytes`, `erases` by sector and `log` count.
"""

HOW = ("undone", "half", "bits", "done")


class PowerCut(Exception):
    pass


class FlashSim:
    def __init__(self, sectors, sector=4096):
        self.sector = sector
        self.size = sectors * sector
        self.data = bytearray(b"\xff" * self.size)
        self.erases = [0] * sectors
        self.reads = 0
        self.read_bytes = 0
        self.log = []  # (operation, address, length)
        self.keep = False  # also keep what it was, and the flash before, in `history`
        self.history = []
        self.dead_bits = {}
        self.stuck_bits = {}
        self.refused = set()
        self.refused_programs = set()
        self._cut = None
        self._noise = 12345

    def cut_at(self, n, how):
        self._cut = (len(self.log) + n, how)

    def power_on(self):
        """After a cut: the same flash, and no further cut."""
        self._cut = None
        self.log = []

    def load(self, data):
        self.data = bytearray(data)

    def read(self, addr, buf):
        n = len(buf)
        self._inside(addr, n)
        self.reads += 1
        self.read_bytes += n
        buf[:] = self.data[addr : addr + n]

    def program(self, addr, data):
        data = bytes(data)
        self._inside(addr, len(data))
        blank = self.data[addr : addr + len(data)] == b"\xff" * len(data)
        for i in range(0 if blank else len(data)):
            if data[i] & ~self.data[addr + i] & ~self.stuck_bits.get(addr + i, 0):
                raise AssertionError("programming a 0 back to 1 at %d" % (addr + i))
        if addr // self.sector in self.refused_programs:
            raise OSError(5)
        self._operate("program", addr, data)

    def erase(self, addr):
        self._inside(addr, self.sector)
        assert addr % self.sector == 0, "not a sector's start: %d" % addr
        if addr // self.sector in self.refused:
            raise OSError(5)
        self._operate("erase", addr, b"\xff" * self.sector)
        self.erases[addr // self.sector] += 1
        for at in self.stuck_bits:
            if addr <= at < addr + self.sector:
                self.data[at] &= 0xFF ^ self.stuck_bits[at]

    def flip(self, addr, mask=0x01):
        """Bit rot."""
        self.data[addr] ^= mask

    def apply(self, operation, addr, data, how):
        """Do an operation as far as `how` says."""
        n = len(data)
        start = 0
        if how == "undone":
            return
        if how == "half":
            n //= 2
        elif how == "tail":
            start = n // 2
        for i in range(start, n):
            noise = self._random() if how == "bits" else 0
            old = self.data[addr + i]
            if operation == "program":
                # Each zero of the data arrives, or does not.
                self.data[addr + i] = old & (data[i] | noise) | self.dead_bits.get(addr + i, 0)
            else:
                self.data[addr + i] = old | (0xFF & ~noise)

    def _operate(self, operation, addr, data):
        if self.keep:
            self.history.append((bytes(self.data), operation, addr, data))
        n = len(self.log)
        self.log.append((operation, addr, len(data)))
        if self._cut and n >= self._cut[0]:
            if n == self._cut[0]:
                self.apply(operation, addr, data, self._cut[1])
            raise PowerCut("at operation %d" % n)
        if self.dead_bits or self.stuck_bits:
            self.apply(operation, addr, data, "done")
        else:
            # `program` has checked that every bit may go this way.
            self.data[addr : addr + len(data)] = data

    def _inside(self, addr, n):
        if addr < 0 or addr + n > self.size:
            raise OSError(22)

    def _random(self):
        self._noise = (self._noise * 1103515245 + 12345) & 0x3FFFFFFF
        return self._noise >> 16 & 0xFF
