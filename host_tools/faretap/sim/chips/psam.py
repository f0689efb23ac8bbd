"""A PSAM (purchase security module) at APDU level, with the test keys of the simulated purses.

    psam = Psam()
    psam.apdu(bytes.fromhex("00B0960006"))  # 300089000340 9000
    psam.apdu(bytes.fromhex("00A40000028011"))  # 61xx: fetch it with 00C0…

Directories: 8011 (MoT, command form 24), 1001 (city union, forms 1C and 14). It answers as over
T=0: a command that brings data and gets some is answered with 61xx, and GET RESPONSE fetches
them; `at_once=True` is a reader that does that by itself.

Choices made where manuals differ:

- The terminal's serial number moves on with each MAC1, before the answer: no two purchases
  have one, whatever becomes of them.
- MAC2 can be checked once, behind its MAC1; a SELECT or another MAC1 in between ends that.
- A wrong MAC2 is answered 63Cx, x tries left; `tries` (15) of them in a row lock the directory for
  ever: 8070 and 8072 then answer `locked` (6983, or 9303). A right one sets the count back.
  `tells=False` is a PSAM that says 9302 in place of 63Cx.
- File 17 of a directory has the number of its purchase key (`key_index`); None: no such file.
- The ministry of housing's directory (1001) is shown a card's authentication code of 9 bytes
  (80CA000009) before 8070. `authentication=True` is one that insists, as those of service do: no
  8070 without (6985). The code is good for one 8070.
"""

from __future__ import annotations

from ..cards import purse_keys as keys
from ..cards.card import (
    CONDITIONS_NOT_SATISFIED,
    NO_CURRENT_EF,
    NOT_FOUND,
    OK,
    WRONG_CLA,
    WRONG_INS,
    WRONG_LENGTH,
    WRONG_OFFSET,
    WRONG_P1P2,
    Command,
    tlv,
)
from ..cards.purse_scheme import TERMINAL
from ..cards.tunion_purse import (
    COUNTER_EXHAUSTED,
    KEY_NOT_SUPPORTED,
    exactly,
)

LOCKED = (b"\x69\x83", b"\x93\x03")
WRONG_TOLD, WRONG = b"\x63\xc0", b"\x93\x02"

MF = "3f00"

# Directory: (its name, how many diversifiers each length of command 8070 brings).
DIRECTORIES = {
    "8011": (b"MOT.PURCHASE", {0x24: 2}),
    "1001": (b"CITY.PURCHASE", {0x1C: 1, 0x14: 0}),
}

_SERIALS = 1 << 32


class Psam:
    """`terminal` is its terminal id, 12 digits, `serial` the terminal's next serial number,
    `directories` those that it has. `serial` and blocks outlive `reset`."""

    def __init__(
        self,
        *,
        terminal: str = TERMINAL,
        serial: int = 1,
        directories: tuple[str, ...] = tuple(DIRECTORIES),
        tries: int = 15,
        tells: bool = True,
        locked: bytes = LOCKED[0],
        key_index: int | None = 0x01,
        authentication: bool = False,
        version: int = 0x01,
        at_once: bool = False,
    ) -> None:
        if len(terminal) != 12 or not terminal.isdigit():
            raise ValueError(f"a terminal id has 12 digits, not {terminal!r}")
        unknown = set(directories) - set(DIRECTORIES)
        if unknown:
            raise ValueError(f"no directory {unknown.pop()}: choose of {', '.join(DIRECTORIES)}")
        self.terminal = bytes.fromhex(terminal)
        self.serial = serial
        self.directories = directories
        self.tries = dict.fromkeys(directories, tries)
        self.at_once = at_once
        self.commands: list[bytes] = []
        if not 1 <= tries <= 15:
            raise ValueError(f"a PSAM takes 1 to 15 wrong MAC2, not {tries}")
        self._most_tries = tries
        self._tells = tells
        self._locked = locked
        self.key_index = key_index
        self._authentication = authentication
        self._version = version
        self.files = {
            0x15: b"\x00" * 4 + self.terminal + bytes([0x01, 0x00]) + bytes(2),
            0x16: self.terminal,
        }
        self.reset()

    def reset(self) -> None:
        """Volatile state is gone, the master file is selected."""
        self.directory = MF
        self._response = b""
        self._mac2: bytes | None = None
        self._shown = False

    def apdu(self, command: bytes) -> bytes:
        """The answer to a command: data and status word."""
        self.commands.append(bytes(command))
        parsed = Command.parse(command)
        if parsed is None:
            return WRONG_LENGTH
        if parsed.ins == 0xC0:
            return self._get_response(parsed)
        self._response = b""
        handlers = {
            0xA4: (0x00, self._select),
            0xB0: (0x00, self._read_binary),
            0x70: (0x80, self._mac1),
            0x72: (0x80, self._check_mac2),
            0xCA: (0x80, self._authentication_code),
        }
        if parsed.ins not in handlers:
            return WRONG_INS
        cla, handler = handlers[parsed.ins]
        if parsed.cla != cla:
            return WRONG_CLA
        answer = handler(parsed)
        if parsed.data and len(answer) > 2 and not self.at_once:
            self._response = answer[:-2]
            return bytes([0x61, len(self._response)])
        return answer

    def _get_response(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if command.p1 or command.p2:
            return WRONG_P1P2
        if not self._response:
            return CONDITIONS_NOT_SATISFIED
        answer = exactly(self._response, command.le)
        if answer[-2:] == OK:
            self._response = self._response[len(answer) - 2 :]
            if self._response:
                return answer[:-2] + bytes([0x61, len(self._response)])
        return answer

    def _select(self, command: Command) -> bytes:
        if command.p1 == 0x00:
            name = command.data.hex()
        elif command.p1 == 0x04:
            names = {DIRECTORIES[df][0]: df for df in self.directories}
            name = names.get(command.data, "")
        else:
            return WRONG_P1P2
        if name != MF and name not in self.directories:
            return NOT_FOUND
        self.directory = name
        self._mac2 = None
        self._shown = False
        title = b"1PAY.SYS.DDF01" if name == MF else DIRECTORIES[name][0]
        return tlv(0x6F, tlv(0x84, title) + tlv(0xA5, tlv(0x88, b"\x15"))) + OK

    def _read_binary(self, command: Command) -> bytes:
        if not command.p1 & 0x80:
            return NO_CURRENT_EF
        content = None
        if self.directory == MF:
            content = self.files.get(command.p1 & 0x1F)
        elif command.p1 & 0x1F == 0x17 and self.key_index is not None:
            content = bytes([self.key_index])
        if content is None:
            return NOT_FOUND
        if command.p2 >= len(content):
            return WRONG_OFFSET
        return exactly(content[command.p2 :], command.le)

    def _authentication_code(self, command: Command) -> bytes:
        if self.directory != "1001":
            return WRONG_INS
        if command.p1 or command.p2:
            return WRONG_P1P2
        if len(command.data) != 9:
            return WRONG_LENGTH
        self._shown = True
        return OK

    def _mac1(self, command: Command) -> bytes:
        """INIT_SAM_FOR_PURCHASE: the terminal's serial number and MAC1."""
        self._mac2 = None
        shown, self._shown = self._shown, False
        if command.p1 or command.p2:
            return WRONG_P1P2
        if self.directory == MF:
            return CONDITIONS_NOT_SATISFIED
        if self._authentication and self.directory == "1001" and not shown:
            return CONDITIONS_NOT_SATISFIED
        data = command.data
        levels = DIRECTORIES[self.directory][1].get(len(data))
        if levels is None:
            return WRONG_LENGTH
        if not self.tries[self.directory]:
            return self._locked
        random, counter, amount = data[:4], data[4:6], int.from_bytes(data[6:10], "big")
        kind, moment, version, algorithm = data[10], data[11:18], data[18], data[19]
        card_id, issuer = data[20:28], data[28:36]
        if kind not in (keys.PURCHASE, keys.COMPOSITE):
            return CONDITIONS_NOT_SATISFIED
        try:
            master = keys.master("purchase", self.directory, algorithm)
        except ValueError:
            return KEY_NOT_SUPPORTED
        if version != self._version:
            return KEY_NOT_SUPPORTED
        if self.serial >= _SERIALS:
            return COUNTER_EXHAUSTED
        # The whole issuer as it was given: who pads it wrongly gets another key.
        if levels == 2:
            master = keys.diversify(master, issuer, algorithm)
        own = keys.diversify(master, card_id, algorithm) if levels else master
        serial = self.serial.to_bytes(4, "big")
        self.serial += 1
        session = keys.session_key(own, random, int.from_bytes(counter, "big"), serial, algorithm)
        covered = keys.purchase_data(amount, kind, self.terminal, moment)
        self._mac2 = keys.mac(session, keys.confirmation_data(amount), algorithm)
        return serial + keys.mac(session, covered, algorithm) + OK

    def _check_mac2(self, command: Command) -> bytes:
        """CREDIT_SAM_FOR_PURCHASE."""
        if command.p1 or command.p2:
            return WRONG_P1P2
        expected, self._mac2 = self._mac2, None
        if self.directory != MF and not self.tries[self.directory]:
            return self._locked
        if expected is None or self.directory == MF:
            return CONDITIONS_NOT_SATISFIED
        if len(command.data) != 4:
            return WRONG_LENGTH
        if command.data != expected:
            self.tries[self.directory] -= 1
            left = self.tries[self.directory]
            return bytes([WRONG_TOLD[0], WRONG_TOLD[1] | left]) if self._tells else WRONG
        self.tries[self.directory] = self._most_tries
        return OK
