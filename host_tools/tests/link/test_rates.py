"""A raised rate that the line, the adapter or the validator does not have."""

from __future__ import annotations

from typing import Any

import pytest
import serial

from faretap.link import Link, Refused
from tests.link.test_client import Port, Validator


class Line(Port):
    """A validator that takes `link.baud` up to `chip` baud, at the end of a line that carries at
    most `most`; it goes back by itself from a rate at which it hears nothing. `refuses`: the
    adapter says so when its rate is set."""

    def __init__(self, most: int, chip: int = 3000000, refuses: type[Exception] | None = None):
        self.rate = self.chips = 115200
        self.most, self.chip, self.refuses = most, chip, refuses
        super().__init__()
        self.asked: list[int] = []
        self.takes = Validator(self)
        self.takes.calls = {"ping": lambda r: {"result": {"us": 1}}, "link.baud": self.agree}
        self.validator = self.carry

    @property  # type: ignore[override]
    def baudrate(self) -> int:
        return self.rate

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        if self.refuses and baud > self.most:
            raise self.refuses(f"no {baud} baud")
        self.rate = baud

    def carry(self, data: bytes) -> None:
        if self.rate == 115200:
            self.chips = 115200  # it has waited long enough
        if self.rate == self.chips and self.rate <= self.most:
            self.takes.take(data)

    def agree(self, request: dict[str, Any]) -> dict[str, Any]:
        baud = request["params"]["baud"]
        self.asked.append(baud)
        if baud > self.chip:
            return {"error": {"code": -32602, "message": "rate"}}
        self.chips = baud
        return {"result": {"baud": baud}}


@pytest.mark.parametrize("refuses", [None, serial.SerialException, ValueError, OSError])
def test_back_where_it_was(refuses: type[Exception] | None) -> None:
    line = Line(230400, refuses=refuses)
    with Link(line) as link:
        assert link.set_baud(460800) == 115200 == line.baudrate
        link.call("ping")
        assert link.set_baud(230400) == 230400 == line.baudrate
        link.call("ping")


@pytest.mark.parametrize(
    ("most", "chip", "wanted", "got", "asked"),
    [
        (3000000, 3000000, 2000000, 2000000, [2000000]),
        (460800, 3000000, 921600, 460800, [921600, 460800]),
        (230400, 3000000, 460800, 230400, [460800, 230400]),
        (115200, 3000000, 460800, 115200, [460800, 230400]),
        (3000000, 460800, 2000000, 460800, [2000000, 921600, 460800]),
        (3000000, 3000000, 115200, 115200, []),
    ],
)
def test_the_highest_that_it_carries(
    most: int, chip: int, wanted: int, got: int, asked: list[int]
) -> None:
    line = Line(most, chip, serial.SerialException)
    with Link(line) as link:
        assert link.raise_baud(wanted) == got == line.baudrate
        assert line.asked == asked
        link.call("ping")
    assert line.chips == 115200  # as the next one expects it


def test_a_rate_that_the_validator_has_not_is_told_by_set_baud() -> None:
    with Link(Line(3000000, chip=460800)) as link, pytest.raises(Refused):
        link.set_baud(921600)
