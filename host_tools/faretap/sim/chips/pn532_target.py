"""The simulated PN532 as a card: the target commands (UM0701-02, 7.3.14 to 7.3.22).

Only what a chip does that plays an ISO/IEC 14443-4 card and handles the protocol itself: the
parameter fISO14443-4_PICC, TgInitAsTarget with PICCOnly, TgGetData, TgSetData, TgGetTargetStatus.
The host sees commands and answers; anticollision, RATS, blocks and S(WTX) are the chip's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .field import Air, Face

if TYPE_CHECKING:
    from .pn532 import Pn532

PICC_PARAMETER = 0x20  # fISO14443-4_PICC in the flags of SetParameters
_PICC_ONLY = 0x04
_PICC_106 = b"\x08"  # Mode of TgInitAsTarget's answer: 106 kbit/s, ISO/IEC 14443-4 PICC

_OK = 0x00
_MORE = 0x40
_WRONG_CONTEXT = 0x27
_RELEASED = 0x29

_MAX_DATA = 262
_MAX_HISTORICAL = 48

# Nobody can choose them: frames of 64 bytes, up to 424 kbit/s, FWI 9, CID and NAD (as seen by
# those who relay cards with libnfc, nfc-relay-picc).
_ATS = bytes.fromhex("75339203")

_OFF, _OFFERED, _ACTIVE, _RELEASED_STATE = range(4)


class CardSide:
    """The card that a chip plays, from TgInitAsTarget on; `air` is what it is heard through."""

    def __init__(self, chip: Pn532) -> None:
        self._chip = chip
        self.air: Air | None = None
        self.parameters = 0
        self._state = _OFF
        self._waiting: int | None = None
        self._command: bytes | None = None
        self.table: dict[int, Callable[[bytes], bytes | None]] = {
            0x86: self._get_data,
            0x8A: self._status,
            0x8C: self._init_as_target,
            0x8E: self._set_data,
        }

    def stop(self) -> None:
        """No card any more: power, sleep, or another use of the antenna."""
        if self._state != _OFF and self.air is not None:
            self.air.withdraw()
        self._state = _OFF
        self._waiting = self._command = None

    def aborted(self) -> None:
        """The host took the running command back."""
        waiting, self._waiting = self._waiting, None
        if waiting == 0x8C:
            self.stop()

    # On the air

    def activated(self, rats: bytes) -> None:
        if self._state == _OFFERED:
            self._state = _ACTIVE
            self._command = None
            self._finish(0x8C, _PICC_106 + rats)

    def commanded(self, data: bytes) -> None:
        if self._state == _ACTIVE:
            self._command = data
            if self._waiting == 0x86:
                self._finish(0x86, self._piece())

    def released(self) -> None:
        if self._state == _ACTIVE:
            self._state = _RELEASED_STATE
            self._command = None
            self._finish(0x86, bytes([_RELEASED]))

    # The host's commands; None: the answer comes when something happens on the air

    def _init_as_target(self, data: bytes) -> bytes | None:
        mode, mifare, general = data[0], data[1:7], data[35]
        historical_at = 36 + general
        historical = data[historical_at + 1 :]
        if (
            mode & 0xF8
            or len(historical) != data[historical_at]
            or len(historical) > _MAX_HISTORICAL
        ):
            raise ValueError("TgInitAsTarget: mode or lengths")
        self.stop()
        self._waiting = 0x8C
        if not mode & _PICC_ONLY or not self.parameters & PICC_PARAMETER:
            return None  # other kinds of targets are not simulated: nobody activates one
        self._state = _OFFERED
        face = Face(
            uid=b"\x08" + mifare[2:5],
            atqa=int.from_bytes(mifare[:2], "little"),
            sak=mifare[5],
            ats=bytes([5 + len(historical)]) + _ATS + historical,
        )
        if self.air is not None:
            self.air.offer(face)
        return None

    def _get_data(self, data: bytes) -> bytes | None:
        if self._state == _ACTIVE:
            if self._command is not None:
                return self._piece()
            self._waiting = 0x86
            return None
        return bytes([_RELEASED if self._state == _RELEASED_STATE else _WRONG_CONTEXT])

    def _piece(self) -> bytes:
        assert self._command is not None
        piece, rest = self._command[:_MAX_DATA], self._command[_MAX_DATA:]
        self._command = rest or None
        return bytes([_OK | (_MORE if rest else 0)]) + piece

    def _set_data(self, data: bytes) -> bytes | None:
        if not data or len(data) > _MAX_DATA:
            raise ValueError(f"TgSetData takes 1 to {_MAX_DATA} bytes")
        if self._state != _ACTIVE or self.air is None:
            return bytes([_RELEASED if self._state == _RELEASED_STATE else _WRONG_CONTEXT])
        self.air.answer(data)
        return bytes([_OK])

    def _status(self, data: bytes) -> bytes | None:
        """Idle, activated or deselected; 106 kbit/s both ways."""
        return bytes([{_ACTIVE: 1, _RELEASED_STATE: 2}.get(self._state, 0), 0x00])

    def _finish(self, code: int, data: bytes) -> None:
        if self._waiting == code:
            self._waiting = None
            self._chip.finish(data)
