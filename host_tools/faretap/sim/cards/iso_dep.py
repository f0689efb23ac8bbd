"""The card's side of ISO/IEC 14443-4: what a card does with raw blocks.

A reader chip that does ISO-DEP itself only needs `activate` and `apdu`; a host that does it in
software gets real blocks from `respond` (with their times, noise and damage) or `frame` (the good
answer alone): RATS, PPS, I, R and S blocks with chaining both ways. Clauses are those of
ISO/IEC 14443-4:2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from .card import Card

FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
CRC_SIZE = 2
GET_RESPONSE = 0xC0


class Suffering(Protocol):
    """Where a card learns what goes wrong: `sim.chips.faults.Faults` of the chip it lies on."""

    def take(self, fault_id: str, **context: Any) -> dict[str, Any] | None: ...

    def random(self, fault_id: str) -> Random: ...


class Healthy:
    """Nothing goes wrong."""

    def take(self, fault_id: str, **context: Any) -> dict[str, Any] | None:
        return None

    def random(self, fault_id: str) -> Random:
        return Random(1)


@dataclass(frozen=True)
class Reply:
    """A frame of the card, without CRC: `seconds` after the end of the reader's frame.

    `good` False: its CRC is wrong. `noise`: no frame at all, but the card powering up (EMD).
    """

    data: bytes
    seconds: float = 0.0
    good: bool = True
    noise: bool = False


class Picc:
    """One card in the field and its protocol state. `frame` returns None when the card is mute.

    `worked(command, answer)` is called for each APDU that reached the card.
    """

    def __init__(self, card: Card, faults: Suffering | None = None) -> None:
        self.card = card
        self.faults: Suffering = faults or Healthy()
        self.worked: Callable[[bytes, bytes], None] = lambda command, answer: None
        self.active = False
        self.halted = False
        self._uid: bytes | None = None
        self._sak: int | None = None
        self._ats: bytes | None = None
        self._held = b""
        self._again: bytes | None = None
        self._reset_protocol()

    def _reset_protocol(self) -> None:
        self._fsd = 32
        self._cid: int | None = None
        self._fresh = True
        self.rates = (0, 0)
        self.next_rates: tuple[int, int] | None = None
        self._block = 1
        self._command = bytearray()
        self._pending = b""
        self._last = b""
        self._wtx: dict[str, Any] | None = None
        self._withheld = b""

    # What the card shows of itself

    @property
    def uid(self) -> bytes:
        return self.card.uid if self._uid is None else self._uid

    @property
    def atqa(self) -> int:
        return self.card.atqa if self._uid is None else self.card.atqa & ~0x00C0

    @property
    def sak(self) -> int:
        return self.card.sak if self._sak is None else self._sak

    @property
    def ats(self) -> bytes:
        return self.card.ats if self._ats is None else self._ats

    @property
    def iso_dep(self) -> bool:
        return bool(self.sak & 0x20)

    def wake(self) -> None:
        """A poll woke the card: a phone shows another face each time (Q29)."""
        self._uid = self._sak = self._ats = None
        changed = self.faults.take("Q29")
        if changed is None or not self.card.ats:
            return
        rng, what = self.faults.random("Q29"), changed["what"]
        if what in ("uid", "all"):
            self._uid = b"\x08" + rng.randbytes(3)
        if what in ("sak", "all"):
            self._sak = 0x28
        if what in ("ats", "all"):
            historical = rng.randbytes(rng.randint(8, 27))
            self._ats = bytes([5 + len(historical)]) + b"\x78\x80\x90\x02" + historical

    def _interface_bytes(self) -> dict[str, int]:
        """TA(1), TB(1), TC(1) of the ATS, as far as they are there (5.2.2)."""
        ats = self.ats
        if len(ats) < 2:
            return {}
        found, at = {}, 2
        for name, bit in (("TA", 0x10), ("TB", 0x20), ("TC", 0x40)):
            if ats[1] & bit and at < len(ats):
                found[name] = ats[at]
                at += 1
        return found

    @property
    def frame_size(self) -> int:
        """FSC: the longest frame that the card takes, with its CRC (5.2.3)."""
        fsci = self.ats[1] & 0x0F if len(self.ats) > 1 else 2
        return FRAME_SIZES[min(fsci, 8)]

    @property
    def frame_waiting_time(self) -> float:
        """Seconds that a reader waits for an answer (FWT, from TB(1) of the ATS; 7.2)."""
        fwi = min(self._interface_bytes().get("TB", 0x40) >> 4, 14)
        return float(4096 / 13.56e6 * 2**fwi)

    # For chips that do ISO-DEP themselves

    def activate(self, fsdi: int = 8, cid: int | None = None) -> bytes:
        """RATS: the card's ATS, with its length byte."""
        self._reset_protocol()
        self._fsd = FRAME_SIZES[min(fsdi, 8)]
        if self._interface_bytes().get("TC", 0) & 0x02:
            self._cid = cid
        self.active = True
        self.halted = False
        return self.ats

    def assign(self, did: int) -> None:
        """The number that ATTRIB gave a type B card; blocks carry it unless it is 0."""
        self._cid = did

    def deselect(self) -> None:
        self.active = False
        self._held = b""
        self.card.power_off()

    def apdu(self, command: bytes) -> bytes:
        """One command to the card, to its answer; b"" when it stays mute."""
        answer = self._status_word_dance(command)
        if answer is None:
            answer = self._work(command)
        return answer

    def _work(self, command: bytes) -> bytes:
        """The card works the command: once, whatever becomes of the answer."""
        if command[1:2] == b"\xa4" and (refused := self.faults.take("Q31")) is not None:
            return b"" if refused["kind"] == "mute" else bytes.fromhex(refused["kind"])
        answer = self.card.apdu(command)
        self.worked(command, answer)
        if answer and (long := self.faults.take("Q23")) is not None:
            answer = bytes(n & 0xFF for n in range(long["size"])) + b"\x90\x00"
        if len(answer) > 2 and (dance := self.faults.take("Q37")) is not None:
            self._held = answer
            size = bytes([min(len(answer) - 2, 256) & 0xFF])
            if dance["kind"] == "61":
                return b"\x61" + size
            self._again = command
            return b"\x6c" + size
        return answer

    def _status_word_dance(self, command: bytes) -> bytes | None:
        """Q37: what was announced by 61xx or 6Cxx; None when the host asks for something else."""
        held, again = self._held, self._again
        self._held, self._again = b"", None
        if not held:
            return None
        if again is not None:
            exact = bytes([(len(held) - 2) & 0xFF])
            return held if command in (again[:-1] + exact, again + exact) else None
        if command[1:4] != bytes([GET_RESPONSE, 0, 0]) or len(command) != 5:
            return None
        size = command[4] or 256
        if size >= len(held) - 2:
            return held
        piece, self._held = held[:size], held[size:]
        return piece + b"\x61" + bytes([min(len(self._held) - 2, 256) & 0xFF])

    # Frames

    def frame(self, data: bytes) -> bytes | None:
        """A frame without its CRC, to the answer without its CRC."""
        for reply in self.respond(data):
            if reply.good and not reply.noise:
                return reply.data
        return None

    def respond(self, data: bytes) -> list[Reply]:
        """A frame without its CRC, to all that the card sends then."""
        if not data or not self.iso_dep or len(data) + CRC_SIZE > self.frame_size:
            return []
        if self.next_rates is not None:
            self.rates, self.next_rates = self.next_rates, None
        if not self.active:
            # FSDI in the high half, CID in the low one, 15 is RFU (5.1).
            if data[0] != 0xE0 or len(data) != 2 or data[1] & 0x0F == 0x0F:
                return []
            return self._noisy([Reply(self.activate(data[1] >> 4, data[1] & 0x0F))])
        fresh, self._fresh = self._fresh, False
        if data[0] & 0xF0 == 0xD0:
            return self._pps(data) if fresh else []
        block = self._without_cid(data)
        if block is None:
            return []
        pcb, info = block
        if pcb & 0xE2 == 0x02:
            replies = self._i_block(pcb, info)
        elif pcb & 0xE6 == 0xA2 and not info:
            replies = self._r_block(pcb)
        elif pcb & 0xF7 == 0xC2 and not info:
            self.deselect()
            self.halted = True
            replies = [Reply(b"\xc2")]
        elif pcb & 0xF7 == 0xF2 and len(info) == 1:
            replies = self._wtx_response(info[0])
        else:
            return []
        return self._noisy([self._with_cid(reply, data[0]) for reply in replies])

    def _noisy(self, replies: list[Reply]) -> list[Reply]:
        """Q30: short frames without meaning before the answer."""
        noise = self.faults.take("Q30") if replies else None
        if noise is None:
            return replies
        rng = self.faults.random("Q30")
        early = [
            Reply(rng.randbytes(noise["size"]), 0.001 * n, good=False, noise=True)
            for n in range(noise["frames"])
        ]
        # EMVCo Contactless 4.9.2: the card is silent for a while between noise and answer.
        later = 0.001 * noise["frames"] + 0.001
        return early + [Reply(r.data, r.seconds + later, r.good) for r in replies]

    def _without_cid(self, data: bytes) -> tuple[int, bytes] | None:
        """PCB and INF; None for a block to another card (7.1.2.2): wrong CID, or a NAD."""
        if data[0] & 0xC0 == 0x00 and data[0] & 0x04:
            return None
        if not data[0] & 0x08:
            return (data[0], data[1:]) if not self._cid else None
        if len(data) < 2 or self._cid is None or data[1] & 0x0F != self._cid:
            return None
        return data[0], data[2:]

    def _with_cid(self, reply: Reply, pcb: int) -> Reply:
        if not pcb & 0x08 or self._cid is None:
            return reply
        block = bytes([reply.data[0] | 0x08, self._cid]) + reply.data[1:]
        return Reply(block, reply.seconds, reply.good)

    def _pps(self, data: bytes) -> list[Reply]:
        """Divisors only as announced in TA(1); only the start byte is echoed (5.3, 5.4)."""
        if data[0] & 0x0F != (self._cid or 0) or len(data) < 2 or data[1] & 0xEF != 0x01:
            return []
        pps1 = data[2] if data[1] & 0x10 and len(data) == 3 else 0
        if len(data) != (3 if data[1] & 0x10 else 2) or pps1 & 0xF0:
            return []
        dri, dsi = pps1 & 0x03, pps1 >> 2 & 0x03
        offered = self._interface_bytes().get("TA", 0)
        if dri and not offered & (1 << (dri - 1)) or dsi and not offered & (8 << dsi):
            return []
        if offered & 0x80 and dri != dsi:
            return []
        self.next_rates = (dri, dsi)
        return [Reply(data[:1])]

    def _i_block(self, pcb: int, info: bytes) -> list[Reply]:
        self._block ^= 1  # rule D
        self._pending = b""
        self._wtx = None
        self._command += info
        if pcb & 0x10:
            return self._send(bytes([0xA2 | self._block]), "chain")
        command, self._command = bytes(self._command), bytearray()
        self._pending = self.apdu(command)
        if not self._pending:
            self._last = b""
            return []
        return self._send(self._chunk(), "answer", self.card.seconds)

    def _r_block(self, pcb: int) -> list[Reply]:
        if self._wtx is not None and pcb & 0x01 != self._block:
            return []
        if pcb & 0x01 == self._block:
            if self._wtx is not None:  # the request itself was lost
                return [Reply(self._wtx_request())]
            if not self._last:
                return []
            if pcb & 0x10 and (asked := self.faults.take("Q24", when="nak")) is not None:
                return self._ask_for_time(asked, self._last)
            return self._sent(self._last, repeated=True)  # rule 11
        if pcb & 0x10:
            if self.faults.take("Q21") is not None:
                return []
            return [Reply(bytes([0xA2 | self._block]))]  # rule 12: R(NAK) for a block never come
        self._block ^= 1  # rules 13 and E
        return self._send(self._chunk(), "chain") if self._pending else []

    def _chunk(self) -> bytes:
        room = self._fsd - CRC_SIZE - (2 if self._cid else 1)
        piece, self._pending = self._pending[:room], self._pending[room:]
        return bytes([0x02 | self._block | (0x10 if self._pending else 0)]) + piece

    def _send(self, block: bytes, when: str, seconds: float = 0.0) -> list[Reply]:
        previous, self._last = self._last, block
        asked = self.faults.take("Q24", when=when)
        if asked is not None:
            return self._ask_for_time(asked, block, seconds)
        return self._sent(block, seconds, previous)

    def _sent(
        self, block: bytes, seconds: float = 0.0, previous: bytes = b"", repeated: bool = False
    ) -> list[Reply]:
        """What becomes of a block on its way (Q25), of a repeated one too."""
        wrong = self.faults.take("Q25", **({"repeats": True} if repeated else {}))
        kind = wrong["kind"] if wrong is not None else None
        if kind == "mute":
            return []
        if kind == "crc":
            return [Reply(block, seconds, good=False)]
        if kind == "duplicate":
            block = previous or bytes([block[0] ^ 0x01]) + block[1:]
        elif kind == "number":
            block = bytes([block[0] ^ 0x01]) + block[1:]
        elif kind == "nak":
            block = bytes([0xB2 | self._block])
        return [Reply(block, seconds)]

    # Waiting time extension (7.3)

    def _ask_for_time(
        self, asked: dict[str, Any], block: bytes, seconds: float = 0.0
    ) -> list[Reply]:
        self._wtx = {"wtxm": asked["wtxm"], "left": asked["count"], "fill": asked["fill"]}
        self._withheld = block
        return [Reply(self._wtx_request(), seconds)]

    def _wtx_request(self) -> bytes:
        return bytes([0xF2, (self._wtx or {})["wtxm"] & 0x3F])

    def _wtx_response(self, granted: int) -> list[Reply]:
        wtx = self._wtx
        if wtx is None or granted & 0x3F != wtx["wtxm"] & 0x3F:
            return []
        took = self.frame_waiting_time * max(wtx["wtxm"], 1) * wtx["fill"]
        wtx["left"] -= 1
        if wtx["left"] != 0:
            return [Reply(self._wtx_request(), took)]
        self._wtx = None
        return [Reply(self._withheld, took)]
