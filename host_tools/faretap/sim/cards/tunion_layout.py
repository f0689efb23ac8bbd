"""Records of a T-Union purse as they lie in its files: log (18), trip (1E), composite (1A).

Each class reads and writes its record; terminals write them, the card keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

LOG_SIZE, TRIP_SIZE, COMPOSITE_SIZE = 23, 48, 128

BUS = 0x2702
"""Identifier of the composite record of buses."""

IDLE, BOARDED, ALIGHTED = 0x00, 0x01, 0x02
UP, DOWN = 0xAB, 0xBA


@dataclass(frozen=True)
class LogEntry:
    """One line of file 18: what the card itself notes of a transaction."""

    counter: int
    amount: int
    kind: int
    terminal: bytes
    moment: bytes
    overdraft: int = 0

    def pack(self) -> bytes:
        return (
            self.counter.to_bytes(2, "big")
            + self.overdraft.to_bytes(3, "big")
            + self.amount.to_bytes(4, "big")
            + bytes([self.kind])
            + self.terminal
            + self.moment
        )

    @classmethod
    def parse(cls, record: bytes) -> LogEntry:
        _sized(record, LOG_SIZE)
        return cls(
            int.from_bytes(record[:2], "big"),
            int.from_bytes(record[5:9], "big"),
            record[9],
            record[10:16],
            record[16:23],
            int.from_bytes(record[2:5], "big"),
        )


@dataclass(frozen=True)
class Trip:
    """One record of file 1E, 48 bytes."""

    kind: int
    terminal: bytes
    vehicle: int
    line_and_station: bytes
    amount: int
    balance: int
    moment: bytes
    city: bytes
    acquirer: bytes

    def pack(self) -> bytes:
        return (
            bytes([self.kind])
            + self.terminal
            + bytes([self.vehicle])
            + self.line_and_station
            + self.amount.to_bytes(4, "big")
            + self.balance.to_bytes(4, "big")
            + self.moment
            + self.city
            + self.acquirer
        ).ljust(TRIP_SIZE, b"\0")

    @classmethod
    def parse(cls, record: bytes) -> Trip:
        _sized(record, TRIP_SIZE)
        return cls(
            record[0],
            record[1:9],
            record[9],
            record[10:17],
            int.from_bytes(record[17:21], "big"),
            int.from_bytes(record[21:25], "big"),
            record[25:32],
            record[32:34],
            record[34:42],
        )


@dataclass(frozen=True)
class Stop:
    """Where and when somebody boarded or alighted: 38 bytes of a composite record, and the time.

    `bus` is ASCII, 8 bytes, `terminal` 8 bytes BCD, `moment` 7 bytes BCD.
    """

    city: bytes = bytes(2)
    institution: bytes = bytes(8)
    operator: bytes = bytes(2)
    line: bytes = bytes(2)
    station: int = 0
    bus: bytes = bytes(8)
    terminal: bytes = bytes(8)
    moment: bytes = bytes(7)

    def pack(self) -> bytes:
        return (
            self.city
            + self.institution
            + self.operator
            + self.line
            + bytes([self.station])
            + self.bus
            + self.terminal
            + self.moment
        )

    @classmethod
    def parse(cls, part: bytes) -> Stop:
        return cls(
            part[:2],
            part[2:10],
            part[10:12],
            part[12:14],
            part[14],
            part[15:23],
            part[23:31],
            part[31:38],
        )


@dataclass(frozen=True)
class Composite:
    """The bus record (2702) of file 1A, 128 bytes."""

    state: int = IDLE
    boarding: Stop = field(default_factory=Stop)
    marked: int = 0
    direction: int = UP
    alighting: Stop = field(default_factory=Stop)
    amount: int = 0
    mileage: int = 0
    local: bytes = bytes(26)
    valid: int = 0x01
    mode: int = 0x01
    lock: int = 0x00
    serial: bytes = bytes(8)

    def pack(self) -> bytes:
        return (
            BUS.to_bytes(2, "big")
            + bytes([COMPOSITE_SIZE - 3, self.valid, self.mode, self.lock])
            + self.serial
            + bytes([self.state])
            + self.boarding.pack()
            + self.marked.to_bytes(4, "big")
            + bytes([self.direction])
            + self.alighting.pack()
            + self.amount.to_bytes(4, "big")
            + self.mileage.to_bytes(2, "big")
            + self.local
        )

    @classmethod
    def parse(cls, record: bytes) -> Composite:
        _sized(record, COMPOSITE_SIZE)
        if int.from_bytes(record[:2], "big") != BUS:
            raise ValueError(f"record {record[:2].hex()} is not that of buses")
        return cls(
            state=record[14],
            boarding=Stop.parse(record[15:53]),
            marked=int.from_bytes(record[53:57], "big"),
            direction=record[57],
            alighting=Stop.parse(record[58:96]),
            amount=int.from_bytes(record[96:100], "big"),
            mileage=int.from_bytes(record[100:102], "big"),
            local=record[102:128],
            valid=record[3],
            mode=record[4],
            lock=record[5],
            serial=record[6:14],
        )


def boarded(line: str, moment: str = "20260801080000", marked: int = 400) -> Composite:
    """A card whose rider boarded on `line` (4 digits) and has not alighted."""
    stop = Stop(
        city=bytes.fromhex("2900"),
        institution=bytes.fromhex("0310499900000001"),
        operator=bytes.fromhex("0007"),
        line=bytes.fromhex(line),
        station=3,
        bus=b"B0000042",
        terminal=bytes.fromhex("0000300089000777"),
        moment=bytes.fromhex(moment),
    )
    return replace(Composite(), state=BOARDED, boarding=stop, marked=marked)


def _sized(record: bytes, size: int) -> None:
    if len(record) != size:
        raise ValueError(f"{len(record)} bytes, the record has {size}")
