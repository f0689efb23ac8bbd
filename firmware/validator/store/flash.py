"""Raw NOR flash on an ESP32 partition.

Flash as the journal sees it has `size` and `sector` in bytes, `read(addr, buf)`,
`program(addr, data)`, which can only turn ones into zeros, and `erase(addr)`, which makes the
sector at `addr` all ones. Addresses count from the start of the partition. OSError if the chip or
the partition's bounds say no.
"""


class PartitionFlash:
    """`partition` is an `esp32.Partition`, or a block device with the same extended interface."""

    def __init__(self, partition):
        self._partition = partition
        self.sector = partition.ioctl(5, 0)
        self.size = partition.ioctl(4, 0) * self.sector

    def read(self, addr, buf):
        self._partition.readblocks(addr // self.sector, buf, addr % self.sector)

    def program(self, addr, data):
        # The form with an offset programs and never erases; the one without erases first.
        self._partition.writeblocks(addr // self.sector, data, addr % self.sector)

    def erase(self, addr):
        if addr % self.sector:
            raise ValueError("not the start of a sector")
        fault = self._partition.ioctl(6, addr // self.sector)
        if fault:
            raise OSError(-fault)
