"""A part at the end of an SPI bus, played by the host: bytes in and out at once."""

from __future__ import annotations

from .part_time import TimedPart


class SpiPart(TimedPart):
    """Base of the parts on SPI.

    Whoever carries the bytes calls `transfer(mosi)` for one transaction (select line low, bytes,
    select line high), or `select`, `exchange` …, `deselect` for one in pieces.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock_hz = 1_000_000
        self.powered = True
        self.selected = False

    def set_clock(self, hertz: int) -> None:
        """The rate of SCK from now on."""
        self.clock_hz = hertz

    def transfer(self, mosi: bytes) -> bytes:
        """One transaction; as many bytes come back as went out."""
        self.select()
        miso = self.exchange(mosi)
        self.deselect()
        return miso

    def select(self) -> None:
        self.selected = True

    def exchange(self, mosi: bytes) -> bytes:
        raise NotImplementedError

    def deselect(self) -> None:
        self.selected = False
