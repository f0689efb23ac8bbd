"""A part at the other end of a validator's UART, played by the host at byte level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Send = Callable[[bytes], None]
CallLater = Callable[[float, Callable[[], None]], Any]


class SerialPart:
    """Base of the simulated chips: bytes in by `receive`, bytes out by `send`.

    Whoever carries the bytes (the virtual board, a serial adapter, an emulator's socket) calls
    `attach` once, then `receive` with what the validator wrote. A part never blocks and never
    sleeps: what happens later it asks for with `call_later(seconds, function)`.
    """

    def __init__(self) -> None:
        self.send: Send = lambda data: None
        self.call_later: CallLater = lambda delay, function: None
        self.line_baud = 115200
        self.powered = True

    def attach(self, send: Send, call_later: CallLater) -> None:
        self.send = send
        self.call_later = call_later

    def receive(self, data: bytes) -> None:
        """Bytes that the validator wrote, in any slicing."""
        raise NotImplementedError

    def set_line_baud(self, baud: int) -> None:
        """The rate at which the validator's UART runs now, in baud."""
        self.line_baud = baud

    def power(self, on: bool) -> None:
        """Supply voltage came or went; volatile state is gone when it comes back."""
        self.powered = on
