"""The loader on the virtual board: slots, the way back, safe mode, and the cable's last word."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from faretap.flash import flash
from faretap.image.whole import Pieces
from faretap.virtual import VirtualProcess

Virtual = Callable[..., VirtualProcess]
MakePieces = Callable[[str], Pieces]


def test_from_bare_flash_to_an_update_and_back(
    virtual: Virtual, make_pieces: MakePieces, console: Callable[[str], Any]
) -> None:
    board = virtual()
    pieces = make_pieces("1")
    flash(board.port_url, "VIRTUAL", pieces=pieces)
    screen = console(board.port_url)
    with board.bench() as bench:
        bench.cycle()
        line = screen.expect("RUNNING").split()
        assert line[:2] == ["1", "a"] and line[3] == pieces.app.id
        screen.say("healthy")
        screen.expect("DONE healthy")

        # A proven application that crashes is started again; three times, then there is no other.
        for tries in ("1", "2", "3"):
            screen.say("crash")
            screen.expect("ValueError: as told")
            assert screen.expect("RUNNING").split()[:3] == ["1", "a", tries]
        screen.say("crash")
        hello = json.loads('{"' + screen.expect('\x1e{"').rpartition("#")[0])
        assert hello["params"]["mode"] == "safe"
        assert hello["params"]["why"] == "app_a failed 3 times; app_b: no file system"

        # Off and on is another chance.
        bench.cycle()
        assert screen.expect("RUNNING").split()[1] == "a"
        screen.say("healthy")
        screen.expect("DONE healthy")

        # An update into the other slot, which does not prove itself: back after three boots.
        screen.say("update")
        for tries in ("1", "2", "3"):
            assert screen.expect("RUNNING").split()[:3] == ["1", "b", tries]
            screen.say("crash")
        line = screen.expect("RUNNING").split()
        assert line[:3] == ["1", "a", "1"] and " ".join(line[4:]) == "app_b failed 3 times"
        screen.say("healthy")
        screen.expect("DONE healthy")

        # One that does: it stays, until the cable brings what was flashed before.
        screen.say("update")
        assert screen.expect("RUNNING").split()[:3] == ["1", "b", "1"]
        screen.say("healthy")
        screen.expect("DONE healthy")
        bench.reset()
        assert screen.expect("RUNNING").split()[1] == "b"
        screen.close()
    again = flash(board.port_url, "VIRTUAL", pieces=pieces)
    assert [p.name for p in again.pieces if p.written] == ["loader"]
    screen = console(board.port_url)
    with board.bench() as bench:
        bench.reset()
        assert screen.expect("RUNNING").split()[:2] == ["1", "a"]
