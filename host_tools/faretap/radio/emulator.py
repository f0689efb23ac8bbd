"""A PN532 that plays a card: nfcpy drives the chip, a card model answers the commands.

    with open_emulator("tty:USB1:pn532") as emulator:
        emulator.present(cards.make("tunion"), timeout=10.0)

The chip is told to be an ISO/IEC 14443-4 card and handles anticollision, RATS, blocks and waiting
time extension by itself (UM0701-02: SetParameters with fISO14443-4_PICC, TgInitAsTarget with
PICCOnly, TgGetData, TgSetData). nfcpy's own `listen` leaves RATS and blocks to the host, which is
too slow for readers that keep to the standard's times.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from faretap.desk.reader import open_frontend
from faretap.radio.errors import NotByRadio, RadioError
from faretap.radio.patience import Patient
from faretap.sim.cards import Card

_PICC_PARAMETER = 0x20  # fISO14443-4_PICC
_PASSIVE_PICC_ONLY = 0x05
_TX_AUTO, _INITIAL_RF_ON = "CIU_TxAuto", 0x04  # be woken by a field
_IN_RELEASE = 0x52
_RELEASED = (0x25, 0x27, 0x29)  # the reader has let go of the card, or never got so far

_HISTORICAL = 48  # bytes of the ATS that can be chosen
_LONGEST = 262  # bytes of one answer; short APDUs need 258
_ANSWER_S = 1.0

Lose = Literal["before", "after"]
Ended = Literal["stopped", "released", "pulled", "mute", "timeout"]


@dataclass
class Presentation:
    """How it went: how often a reader activated the card, how many commands it gave, and why it
    was over: "stopped" from outside, "released" by the reader, "pulled" away at an APDU as asked,
    "mute" as the card was, or "timeout"."""

    activations: int = 0
    commands: int = 0
    ended: Ended = "timeout"


class Emulator:
    """An open PN532. `stop()` may come from another thread, everything else from one."""

    def __init__(self, frontend: Any, path: str) -> None:
        import nfc.clf.pn532

        self.path = path
        self._frontend = frontend
        device = frontend.device
        if type(device) is not nfc.clf.pn532.Device or device.chipset.transport.TYPE != "TTY":
            raise RadioError(
                f"The reader at {path} cannot play cards.",
                "That takes a PN532 on a serial port, such as tty:USB1:pn532.",
            )
        self._chipset = device.chipset
        self._errors = nfc.clf.pn532.Chipset.Error
        self._line = self._chipset.transport = Patient(self._chipset.transport)
        self.name = " ".join(
            filter(None, (device.vendor_name, device.product_name, device.chipset_name))
        )

    def present(
        self,
        card: Card,
        *,
        timeout: float,
        until_released: bool = False,
        lose_at_apdu: int | None = None,
        lose: Lose = "before",
    ) -> Presentation:
        """Play the card to whatever reader comes, until `stop()` or for `timeout` seconds.

        `until_released`: or until a reader that gave it commands has let go of it.
        `lose_at_apdu` n takes the card away at its n-th command (from 1), `lose` says whether
        before or after the card worked it. NotByRadio, RadioError.
        """
        check(card)
        self._line.enough.clear()
        deadline = time.monotonic() + timeout
        went = Presentation()
        try:
            self._prepare()
            # A phone makes up another UID whenever it loses power, but it stays the same phone.
            uid = card.uid[-3:]
            while not self._over(went, deadline):
                card.power_off()
                if self._activated(card, uid, deadline):
                    went.activations += 1
                    if self._serve(card, went, deadline, lose_at_apdu, lose) or (
                        until_released and went.commands
                    ):
                        return went
        except OSError as e:
            raise RadioError(
                f"The reader at {self.path} stopped answering.",
                "Unplug it, plug it in again, and check its cable.",
            ) from e
        except self._errors as e:
            raise RadioError(
                f"The reader at {self.path} refuses to play a card ({e}).",
                "A genuine PN532 with firmware 1.6 does; some clones do not.",
            ) from e
        finally:
            self._take_away()
            card.power_off()
        return went

    def stop(self) -> None:
        """End the presentation that is under way."""
        self._line.enough.set()

    def close(self) -> None:
        """Field off, chip asleep, port closed. Never raises."""
        with contextlib.suppress(Exception):  # the reader may have been unplugged
            self._frontend.close()

    # Inside

    def _over(self, went: Presentation, deadline: float) -> bool:
        if self._line.enough.is_set():
            went.ended = "stopped"
        elif time.monotonic() < deadline:
            return False
        return True

    def _prepare(self) -> None:
        chipset = self._chipset
        chipset.set_parameters(_PICC_PARAMETER)
        chipset.write_register(_TX_AUTO, chipset.read_register(_TX_AUTO) | _INITIAL_RF_ON)

    def _activated(self, card: Card, uid: bytes, deadline: float) -> bool:
        """Whether a reader found the card before it was enough. `uid`: the three bytes that the
        chip shows behind an 08."""
        atqa = card.atqa & ~0x00C0  # UID of four bytes
        mifare = atqa.to_bytes(2, "little") + uid + bytes([card.sak])
        try:
            with self._line.heeding():
                self._chipset.tg_init_as_target(
                    _PASSIVE_PICC_ONLY,
                    bytearray(mifare),
                    bytearray(18),
                    bytearray(10),
                    historical_bytes=bytearray(historical_bytes(card.ats)[:_HISTORICAL]),
                    timeout=max(0.05, deadline - time.monotonic()),
                )
        except OSError as e:
            if e.errno != errno.ETIMEDOUT:
                raise
            return False
        return True

    def _serve(
        self, card: Card, went: Presentation, deadline: float, lose_at: int | None, lose: Lose
    ) -> bool:
        """Answer the reader's commands until it lets go; whether the presentation is over."""
        while True:
            command = self._command(deadline)
            if command is None:
                went.ended = "released"
                return self._over(went, deadline)
            went.commands += 1
            pulled = went.commands == lose_at
            came = time.monotonic()
            answer = b"" if pulled and lose == "before" else card.apdu(command)
            if pulled or not answer:
                # Silence alone would not do: the chip asks for more time on its own.
                went.ended = "pulled" if pulled else "mute"
                return True
            if len(answer) > _LONGEST:
                raise NotByRadio(f"An answer of {len(answer)} bytes does not fit the chip's 262.")
            # The card's own time, as far as the host has not taken it already.
            self._line.enough.wait(max(0.0, came + card.seconds - time.monotonic()))
            try:
                self._chipset.tg_set_data(bytearray(answer), _ANSWER_S)
            except self._errors as e:
                if e.errno not in _RELEASED:
                    raise

    def _command(self, deadline: float) -> bytes | None:
        """The reader's next command; None when it has let go, or nobody waits any more."""
        command = bytearray()
        more = True
        while more:
            try:
                with self._line.heeding():
                    piece, more = self._chipset.tg_get_data(max(0.05, deadline - time.monotonic()))
            except OSError as e:
                if e.errno != errno.ETIMEDOUT:
                    raise
                return None
            except self._errors as e:
                if e.errno not in _RELEASED:
                    raise
                return None
            command += piece
        return bytes(command)

    def _take_away(self) -> None:
        """The chip is no card any more."""
        with contextlib.suppress(OSError, self._errors):
            self._chipset.command(_IN_RELEASE, b"\x00", 0.25)


def check(card: Card) -> None:
    """NotByRadio for a card that a PN532 cannot play."""
    if not card.sak & 0x20:
        raise NotByRadio(
            "This card knows no APDUs, and a PN532 plays only ISO/IEC 14443-4 cards.",
            "Present it on the wire.",
        )


def historical_bytes(ats: bytes) -> bytes:
    """What follows the interface bytes of an ATS (ISO/IEC 14443-4, 5.2)."""
    if len(ats) < 2:
        return b""
    return ats[2 + sum(bool(ats[1] & bit) for bit in (0x10, 0x20, 0x40)) : ats[0]]


@contextlib.contextmanager
def open_emulator(path: str) -> Iterator[Emulator]:
    """The PN532 at `path` (`tty:USB1:pn532`, `/dev/ttyUSB1`, `COM7`), closed afterwards."""
    # nfcpy logs every frame at level DEBUG: card numbers in clear.
    logging.getLogger("nfc").setLevel(logging.WARNING)
    frontend = open_frontend(path)
    try:
        emulator = Emulator(frontend, path)
    except BaseException:
        with contextlib.suppress(Exception):
            frontend.close()
        raise
    try:
        yield emulator
    finally:
        emulator.close()


class Presenting:
    """A presentation in a thread of its own: `with Presenting(emulator, card, timeout=8): …`.

    Leaving it takes the card away; what went wrong meanwhile is raised then. `went` is there
    afterwards.
    """

    def __init__(self, emulator: Emulator, card: Card, **settings: Any) -> None:
        self.went: Presentation | None = None
        self.error: Exception | None = None
        self._emulator = emulator
        self._thread = threading.Thread(
            target=self._run, args=(card, settings), name="card by radio", daemon=True
        )

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _run(self, card: Card, settings: dict[str, Any]) -> None:
        try:
            self.went = self._emulator.present(card, **settings)
        except Exception as e:
            self.error = e

    def __enter__(self) -> Presenting:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        while self._thread.is_alive():
            self._emulator.stop()
            self._thread.join(0.05)
        if self.error is not None and error[0] is None:
            raise self.error
