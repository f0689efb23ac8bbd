"""What the whole firmware on a virtual board tells about itself after a reset."""

from __future__ import annotations

from pathlib import Path

from faretap.image.whole import whole_flash
from faretap.session import connect
from faretap.virtual.process import spawn


def test_q36_reset_cause_and_free_heap_are_told(tmp_path: Path) -> None:
    (tmp_path / "flash.bin").write_bytes(whole_flash("VIRTUAL"))
    with spawn(tmp_path) as board:
        with connect(board.port_url, wait=10) as session:
            info = session.link.call("info")
            assert info["reset_cause"] == "power"
            assert info["heap_free"] > 0 and info["heap_used"] > 0
            session.link.call("reset")
        with connect(board.port_url, wait=10) as session:
            assert session.link.call("info")["reset_cause"] not in ("power", "")
