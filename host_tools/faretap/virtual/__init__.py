"""The virtual validator: a board in all but silicon, behind one TCP port.

with spawn(Path("board")) as board:
    ...  # esptool, pyserial, faretap: board.port_url
    board.bench().present("quickpass-debit")
"""

from __future__ import annotations

from .bench import BenchClient, BenchError
from .board import BoardError, VirtualBoard
from .process import VirtualProcess, run_foreground, spawn

__all__ = [
    "BenchClient",
    "BenchError",
    "BoardError",
    "VirtualBoard",
    "VirtualProcess",
    "run_foreground",
    "spawn",
]
