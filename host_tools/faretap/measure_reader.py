"""What a reader chip's driver adds to the card's own time, and how it comes back from death."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from faretap.errors import FaretapError
from faretap.present import tap
from faretap.session import Session

_CARD = "tunion"
_SELECT = bytes.fromhex("00A4040008A00000063201010500")
_BALANCE = bytes.fromhex("805C000204")
# ISO 14443 at 106 kbit/s: 8 bits and parity a byte; what the simulated chips take as well.
_AIR_US_A_BYTE = 9 * 1e6 / 106000


def reader(session: Session, count: int = 5, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Figures of the reader on the wire of a virtual validator; times in ms.

    exchange   what one APDU took by the validator's clock; what of it were card, air and the chip
               before its ACK; what the bytes need on the line at its rate; the rest, in ms
    nfcpy      the same for nfcpy's driver on the same simulated chip, on this machine, in this run
    poll       a cycle without a card, and the share of it with the field on
    detect     from the poll that saw the card to its activation
    recovery   a chip that stops answering until it is reset: noticed and served again after
    """
    from faretap.sim import cards
    from faretap.sim.chips.pn532 import ACK_SECONDS

    seconds = float(getattr(cards.make(_CARD), "seconds", 0.0)) + ACK_SECONDS
    say(f"{count} taps for the reader's figures")
    before = _status(session)
    detects = [tap(session, _CARD)["phases"]["detect"] for _ in range(count)]
    after = _status(session)
    report: dict[str, Any] = {
        "exchange": _exchange(before["traffic"], after["traffic"], seconds),
        "poll_ms": after["poll_ms"],
        "field_percent": after.get("field_percent"),
        "detect_ms": statistics.median(detects),
    }
    say("nfcpy on the same simulated chip")
    report["nfcpy"] = _nfcpy(seconds, 20 * count)
    say("a reader that dies")
    report["recovery"] = _recovery(session)
    return report


def _status(session: Session) -> dict[str, Any]:
    status: dict[str, Any] = session.link.call("info")["reader"]
    return status


def _exchange(before: dict[str, Any], after: dict[str, Any], seconds: float) -> dict[str, Any]:
    n = after["exchanges"] - before["exchanges"]
    if n <= 0:
        raise FaretapError("The reader made no exchange in these taps.", "See `faretap info`.")
    spent = (after["us"] - before["us"]) / n
    air = (after["apdu_bytes"] - before["apdu_bytes"]) / n * _AIR_US_A_BYTE
    wire = (after["wire_bytes"] - before["wire_bytes"]) / n * 10e6 / after["baud"]
    return _figures(n, after["baud"], spent, seconds * 1e6 + air, wire)


def _figures(n: int, baud: int, spent: float, card: float, wire: float) -> dict[str, Any]:
    own = spent - card
    return {
        "n": n,
        "baud": baud,
        "ms": round(spent / 1000, 3),
        "card_air_chip_ms": round(card / 1000, 3),
        "wire_ms": round(wire / 1000, 3),
        "over_ms": round((own - wire) / 1000, 3),
        # The target is at most 1.3 times the wire time plus 1 ms.
        "within_target": own <= 1.3 * wire + 1000,
    }


def _nfcpy(seconds: float, count: int) -> dict[str, Any]:
    import nfc.clf
    import nfc.clf.pn532
    import nfc.clf.transport
    import nfc.tag

    from faretap.sim import cards
    from faretap.sim.chips.pn532 import Pn532
    from faretap.sim.pty_line import PtyLine

    class Transport(nfc.clf.transport.TTY):  # type: ignore[misc]
        """nfcpy's own, counting bytes. Each write waits until the chip has it: a terminal drops
        what it holds when it is closed, a UART's FIFO does not."""

        def __init__(self, line: PtyLine) -> None:
            self._line = line
            self._total = line.taken
            self.moved = 0
            super().__init__(line.path)

        def write(self, frame: bytes) -> None:
            super().write(frame)
            self._total += len(frame)
            self.moved += len(frame)
            self._line.wait_taken(self._total)

        def read(self, timeout: float = 0) -> Any:
            frame = super().read(timeout)
            self.moved += len(frame or b"")
            return frame

    class Frontend:
        """What nfcpy's tags need of its contactless frontend."""

        def __init__(self, device: Any, target: Any) -> None:
            self.device = device
            self.target = target
            self.max_send_data_size = device.get_max_send_data_size(target)
            self.max_recv_data_size = device.get_max_recv_data_size(target)

        def exchange(self, data: bytes, timeout: float) -> Any:
            return self.device.send_cmd_recv_rsp(self.target, data, timeout)

    chip = Pn532(paced=True)
    chip.field_present(cards.make(_CARD))
    line = PtyLine(chip)
    try:
        transport = Transport(line)
        device = nfc.clf.pn532.init(transport)
        target = device.sense_tta(nfc.clf.RemoteTarget("106A"))
        if target is None:
            raise FaretapError("nfcpy finds no card on the simulated chip.")
        card = nfc.tag.activate(Frontend(device, target), target)
        card.transceive(_SELECT)
        answer = b""
        transport.moved = 0
        start = time.perf_counter()
        for _ in range(count):
            answer = card.transceive(_BALANCE)
        spent = (time.perf_counter() - start) * 1e6 / count
        air = (len(_BALANCE) + len(answer)) * _AIR_US_A_BYTE
        wire = transport.moved / count * 10e6 / chip.baud
        return _figures(count, chip.baud, spent, seconds * 1e6 + air, wire)
    finally:
        line.close()


def _recovery(session: Session) -> dict[str, Any]:
    assert session.bench is not None
    before = _status(session)["recoveries"]
    start = time.perf_counter()
    session.bench.fault("Q16", until="reset")
    while time.perf_counter() - start < 20:
        status = _status(session)
        if status["recoveries"] > before and status["state"] == "polling":
            return {
                "served_again_ms": round((time.perf_counter() - start) * 1000),
                "of_it_recovering_ms": status["recovery_ms"],
            }
    raise FaretapError("The reader did not come back within 20 s.", "See `faretap log`.")
