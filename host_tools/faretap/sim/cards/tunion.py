"""A T-Union purse (JT/T 978, PBOC electronic purse): files 15, 16, 17, 18, 1E, 1A and balance.

The purchase itself (INITIALIZE, DEBIT with MAC1 from a PSAM) is answered with 6985, "conditions
of use not satisfied": this card is read, not yet debited.
"""

from __future__ import annotations

from .card import (
    CONDITIONS_NOT_SATISFIED,
    NO_CURRENT_EF,
    NOT_FOUND,
    OK,
    RECORD_NOT_FOUND,
    WRONG_CLA,
    WRONG_INS,
    WRONG_LENGTH,
    WRONG_OFFSET,
    WRONG_P1P2,
    Application,
    Command,
    FileCard,
    luhn_digit,
    plastic_uid,
    ppse,
    tlv,
)

AID = bytes.fromhex("A000000632010105")
LABEL = "MOT_T_EP"

STUDENT = 0x02

_LOG, _TRIP, _COMPOSITE = 0x18, 0x1E, 0x1A
_PURCHASE = (0x50, 0x54, 0xDC, 0x5A)


def card_number(pan: str | None, seed: int) -> str:
    """19 digits: those given, or an invented 310499… number that `seed` chooses."""
    if pan is None:
        body = f"310499{seed % 10**12:012d}"
        return body + luhn_digit(body)
    if len(pan) != 19 or not pan.isdigit():
        raise ValueError(f"a T-Union card number has 19 digits, not {pan!r}")
    return pan


class TUnion(FileCard):
    """The purse. `balance` is in fen, dates are YYYYMMDD, `city` and `province` are cn4.

    `interoperable=False` is a card of one city only (interop flag 0000 in file 17).
    """

    def __init__(
        self,
        *,
        balance: int = 5000,
        pan: str | None = None,
        seed: int = 1,
        card_type: int = 0x00,
        start: str = "20240101",
        end: str = "20441231",
        issuer: str = "0310499999999999",
        city: str = "2900",
        interoperable: bool = True,
        fci_has_file_15: bool = True,
        uid: bytes | None = None,
        not_ready: int = 0,
    ) -> None:
        if not 0 <= balance <= 0xFFFFFFFF:
            raise ValueError(f"a balance is 0 to 4294967295 fen, not {balance}")
        self.pan = card_number(pan, seed)
        super().__init__(uid or plastic_uid(self.pan), seed, not_ready)
        self.balance = balance
        self.counter = 1
        self._fci_has_file_15 = fci_has_file_15
        self.files = {
            0x15: bytes.fromhex(issuer)
            + bytes([0x02, 0x01])
            + bytes.fromhex("0" + self.pan)
            + bytes.fromhex(start + end)
            + bytes.fromhex("0000"),
            0x16: b"\x00\x00" + b"FARETAP TEST RIDER".ljust(53, b"\x00"),
            0x17: bytes.fromhex("00000156")
            + bytes.fromhex("3100")
            + bytes.fromhex(city)
            + (b"\x00\x01" if interoperable else b"\x00\x00")
            + bytes([card_type])
            + bytes(49),
        }
        log = bytes.fromhex("0001000000") + balance.to_bytes(4, "big")
        log += bytes.fromhex("0230008900034020241229141740")
        self.records = {
            _LOG: [log] + [bytes(23)] * 9,
            _TRIP: [bytes(48)] * 30,
            _COMPOSITE: [bytes.fromhex("27027D") + bytes(125)],
        }
        self.applications = [
            ppse([(AID, LABEL, 1)]),
            Application(AID, self._fci, self._handle),
        ]

    @classmethod
    def student(cls, *, balance: int = 2000, seed: int = 2, **options: object) -> TUnion:
        return cls(balance=balance, seed=seed, card_type=STUDENT, **options)  # type: ignore[arg-type]

    @classmethod
    def low(cls, *, balance: int = 80, seed: int = 3, **options: object) -> TUnion:
        return cls(balance=balance, seed=seed, **options)  # type: ignore[arg-type]

    def _fci(self) -> bytes:
        proprietary = tlv(0x9F08, b"\x02")
        if self._fci_has_file_15:
            proprietary += tlv(0x9F0C, self.files[0x15])
        return tlv(0x6F, tlv(0x84, AID) + tlv(0xA5, proprietary))

    def _handle(self, command: Command) -> bytes:
        if command.ins == 0xB0:
            return self._read_binary(command)
        if command.ins == 0xB2:
            return self._read_record(command)
        if command.ins == 0x5C:
            return self._get_balance(command)
        if command.ins in _PURCHASE:
            return CONDITIONS_NOT_SATISFIED if command.cla == 0x80 else WRONG_CLA
        return WRONG_INS

    def _read_binary(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if not command.p1 & 0x80:
            return NO_CURRENT_EF  # only short file identifiers: nothing selects a file here
        content = self.files.get(command.p1 & 0x1F)
        if content is None:
            return NOT_FOUND
        if command.p2 >= len(content):
            return WRONG_OFFSET
        return _exactly(content[command.p2 :], command.le)

    def _read_record(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if command.p2 & 0x07 not in (0x04, 0x00):
            return WRONG_P1P2
        records = self.records.get(command.p2 >> 3)
        if records is None:
            return NOT_FOUND
        if not command.p2 & 0x04:  # the record that starts with this identifier
            found = [r for r in records if r[1:2] == bytes([command.p1])]
            return _exactly(found[0], command.le) if found else RECORD_NOT_FOUND
        if not 1 <= command.p1 <= len(records):
            return RECORD_NOT_FOUND
        return _exactly(records[command.p1 - 1], command.le)

    def _get_balance(self, command: Command) -> bytes:
        if command.cla != 0x80:
            return WRONG_CLA
        if command.p1 not in (0x00, 0x03) or command.p2 != 0x02:
            return WRONG_P1P2
        return _exactly(self.balance.to_bytes(4, "big"), command.le)


def _exactly(content: bytes, le: int | None) -> bytes:
    """`content` if `le` asks for it or for everything, fewer bytes if it asks for fewer; 6Cxx
    with the right length if it asks for more, as PBOC cards answer."""
    if le is None:
        return WRONG_LENGTH
    if le in (256, len(content)):
        return content + OK
    if le > len(content):
        return bytes([0x6C, len(content)])
    return content[:le] + OK
