"""Where the loader enters the application."""

import asyncio
import gc
import json


def main(boot):
    """Called by the loader; returns never, or raises.

    `boot` comes from the loader: {"slot", "id", "mode", "root", "healthy": function, …}.
    """
    boot["in_place"] = _in_place(boot)
    from validator.board import Board
    from validator.hal import Clock

    with open(boot.get("root", "/app") + "/devices.json") as f:
        devices = json.load(f)
    clock = Clock()
    board = Board(devices, clock)
    # MicroPython's heap grows out of the memory that UART drivers need: first the UARTs, then the
    # application's code.
    board.claim()
    gc.collect()
    from validator.application import App

    app = App(boot, board, clock)
    gc.collect()
    # From here on collections are for idle moments, not for the tap path.
    gc.threshold(-1)
    asyncio.run(app.run())


def _in_place(boot):
    """From here on, modules run from flash where the chip and the image allow it."""
    from validator import inplace_setup

    code = inplace_setup.start(boot)
    inplace_setup.forget("validator.inplace_setup")
    return code
