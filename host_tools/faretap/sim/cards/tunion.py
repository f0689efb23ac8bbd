"""A T-Union or city-union purse (JT/T 978, PBOC electronic purse), read and debited.

Files 15 (public), 16 (holder), 17 (administration), 18 (log), 1E (trips), 1A (composite records),
balance, single and composite purchase with MAC1, MAC2 and TAC under test keys (`purse_keys`).
"""

from __future__ import annotations

from pathlib import Path

from . import purse_keys as keys
from .card import (
    NO_CURRENT_EF,
    NOT_FOUND,
    OK,
    RECORD_NOT_FOUND,
    WRONG_CLA,
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
from .purse_memory import Contents, Debit, Memory
from .tunion_layout import LOG_SIZE, TRIP_SIZE, Composite
from .tunion_layout import boarded as boarded_on
from .tunion_purse import COMPOSITE, TRIP, CardKeys, Purse, exactly
from .tunion_tear import PowerLost, Tear

AID = bytes.fromhex("A000000632010105")
CITY_AID = bytes.fromhex("A00000000386980701")
LABEL = "MOT_T_EP"

NORMAL, STUDENT, ELDERLY = 0x00, 0x02, 0x03

SECURITY_NOT_SATISFIED = b"\x69\x82"
APPLICATION_BLOCKED = b"\x62\x83"
APPLICATION_STOPPED = b"\x62\x84"
BLOCKED_FOR_EVER = b"\x93\x03"

# How many diversifiers the PSAM gets: by the length of its command 8070, in hex.
PSAM_FORMS = {"24": 2, "1c": 1, "14": 0}

BLOCKS = {
    "": "nothing is blocked",
    "application": "SELECT answers 6283, purchases are refused with 6985",
    "stopped": "SELECT answers 6284, purchases are refused with 6985",
    "ever": "SELECT answers 9303 and nothing else",
}

_LOG = 0x18
_WRITING = (0xD0, 0xD2, 0xD6, 0xDC, 0xE2)


def card_number(pan: str | None, seed: int) -> str:
    """19 digits: those given, or an invented 310499… number that `seed` chooses."""
    if pan is None:
        body = f"310499{seed % 10**12:012d}"
        return body + luhn_digit(body)
    if len(pan) != 19 or not pan.isdigit():
        raise ValueError(f"a T-Union card number has 19 digits, not {pan!r}")
    return pan


class TUnion(FileCard):
    """The purse. `balance` is in fen, dates are YYYYMMDD, `city` is cn4.

    `interoperable=False` is a card of one city only (interop flag 0000 in file 17), `enabled`
    the enable flag of file 15, `overdraft` the limit in fen, `counter` the one of the next
    purchase. `composite` is the bus record of file 1A, `boarded` a line (4 digits) on which the
    rider boarded and did not alight. `psam_form` (24, 1c, 14) and `df` say how
    the card's keys come from those of the PSAM, `algorithm` 1 is 3DES, 4 SM4. `proof` and `log`:
    see `tunion_purse`. `wrong_mac2` makes it a card whose DEBIT answers with a MAC2 that is none.

    `city_number` (16 hex digits) stands behind the city in file 15 in place of the number, as
    City Union cards have it. `code` is the authentication code that such a card tells (GET DATA,
    80CA000009). `zero`, `top_bit`: see `tunion_purse`; `has_composite=False` is a card without
    composite purchases.

    `tear` pulls the card away, see `tunion_tear`; from then on it is mute until it lost its power.
    `state` is a file that keeps what the card keeps: the next card of that number goes on with it.
    """

    def __init__(
        self,
        *,
        balance: int = 5000,
        pan: str | None = None,
        seed: int = 1,
        card_type: int = NORMAL,
        start: str = "20240101",
        end: str = "20441231",
        issuer: str = "0310499999999999",
        city: str = "2900",
        interoperable: bool = True,
        enabled: bool = True,
        application_type: int = 0x02,
        city_number: str = "",
        code: str = "908009A0B1C2D3E4F5",
        zero: bool | str = True,
        top_bit: bool = False,
        fci_has_file_15: bool = True,
        aid: str = AID.hex(),
        label: str = LABEL,
        listed: bool = True,
        counter: int = 1,
        overdraft: int = 0,
        composite: Composite | None = None,
        has_composite: bool = True,
        boarded: str = "",
        psam_form: str = "24",
        df: str = "8011",
        algorithm: int = keys.DES3,
        blocked: str = "",
        proof: str = "after",
        log: str = "before",
        wrong_mac2: bool = False,
        tear: str = "",
        state: str = "",
        uid: bytes | None = None,
        not_ready: int = 0,
    ) -> None:
        if not 0 <= balance <= 0xFFFFFFFF:
            raise ValueError(f"a balance is 0 to 4294967295 fen, not {balance}")
        if not 0 <= overdraft <= 0xFFFFFF:
            raise ValueError(f"an overdraft limit is 0 to 16777215 fen, not {overdraft}")
        if not 0 <= counter <= 0xFFFF:
            raise ValueError(f"a counter is 0 to 65535, not {counter}")
        psam_form = str(psam_form).lower()
        for name, value, allowed in (
            ("psam_form", psam_form, PSAM_FORMS),
            ("blocked", blocked, BLOCKS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(filter(None, allowed))}")
        self.pan = card_number(pan, seed)
        super().__init__(uid or plastic_uid(self.pan), seed, not_ready)
        self._aid = bytes.fromhex(aid)
        self._city = self._aid.startswith(CITY_AID)
        self._fci_has_file_15 = fci_has_file_15
        self._blocked = blocked
        self.files = {
            0x15: bytes.fromhex(issuer)
            + bytes([application_type, 0x01 if enabled else 0x00])
            + bytes.fromhex(f"{city}{city_number}" if city_number else "0" + self.pan)
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
        load = bytes.fromhex("0001000000") + balance.to_bytes(4, "big")
        load += bytes.fromhex("0230008900034020241229141740")
        if boarded:
            composite = boarded_on(str(boarded).zfill(4))
        blank = Contents(
            balance,
            counter,
            (load, *[bytes(LOG_SIZE)] * 9),
            (bytes(TRIP_SIZE),) * 30,
            ((composite or Composite()).pack(),),
        )
        self.memory = Memory(blank, self.pan, Path(state) if state else None)
        self.keys = self._personalise(df, PSAM_FORMS[psam_form], algorithm)
        self.purse = Purse(
            self.memory,
            self.keys,
            self.random,
            self._lose_power,
            overdraft=overdraft,
            proof=proof,
            log=log,
            wrong_mac2=wrong_mac2,
            blocked=bool(blocked),
            zero=zero,
            top_bit=top_bit,
            composite=has_composite,
        )
        self._code = bytes.fromhex(code)
        self._log_readable = log != "none"
        self._tear = Tear.parse(tear) if tear else None
        self._failing = False
        self.torn = False
        self.applications = [Application(self._aid, self._fci, self._handle)]
        if listed:
            self.applications.insert(0, ppse([(self._aid, label, 1)]))

    @classmethod
    def student(cls, *, balance: int = 2000, seed: int = 2, **options: object) -> TUnion:
        return cls(balance=balance, seed=seed, card_type=STUDENT, **options)  # type: ignore[arg-type]

    @classmethod
    def low(cls, *, balance: int = 80, seed: int = 3, **options: object) -> TUnion:
        return cls(balance=balance, seed=seed, **options)  # type: ignore[arg-type]

    @property
    def balance(self) -> int:
        """The rider's own money in fen; below zero if overdrawn."""
        return self.memory.contents.balance

    @property
    def rider(self) -> str:
        """What a token stands for: 310 and the bytes of the number that are in the card's key."""
        return "310" + self.files[0x15][12:20].hex()

    @property
    def counter(self) -> int:
        return self.memory.contents.counter

    @property
    def debits(self) -> tuple[Debit, ...]:
        """Every purchase that was ever made, oldest first."""
        return self.memory.contents.debits

    # Power and tears

    def tear(self, where: str) -> None:
        """Pull the card away at the next such step."""
        self._tear = Tear.parse(where)

    def power_off(self) -> None:
        super().power_off()
        self.torn = False
        self.purse.power_off()

    def apdu(self, command: bytes) -> bytes:
        if self.torn:
            return b""
        tear = self._tear
        if tear is None or not tear.strikes(command):
            return super().apdu(command)
        self._tear = None
        self.torn = True
        self._failing = tear.moment == "during"
        if tear.moment != "before":
            try:
                super().apdu(command)
            except PowerLost:
                pass
        self._failing = False
        self.selected = None
        self.purse.power_off()
        return b""

    def _lose_power(self) -> None:
        if self._failing:
            raise PowerLost

    # Files

    def _personalise(self, df: str, levels: int, algorithm: int) -> CardKeys:
        public = self.files[0x15]

        def own(purpose: str) -> bytes:
            master = keys.master(purpose, df, algorithm)
            return keys.card_key(master, public[:8], public[12:20], levels, algorithm)

        return CardKeys(own("purchase"), own("tac"), algorithm)

    def _select(self, command: Command) -> bytes:
        self.purse.forget()
        answer = super()._select(command)
        if self.selected is not self.applications[-1] or answer[-2:] != OK or not self._blocked:
            return answer
        if self._blocked == "ever":
            self.selected = None
            return BLOCKED_FOR_EVER
        stopped = self._blocked == "stopped"
        return answer[:-2] + (APPLICATION_STOPPED if stopped else APPLICATION_BLOCKED)

    def _fci(self) -> bytes:
        proprietary = tlv(0x9F08, b"\x02")
        if self._fci_has_file_15:
            proprietary += tlv(0x9F0C, self.files[0x15])
        return tlv(0x6F, tlv(0x84, self._aid) + tlv(0xA5, proprietary))

    def _handle(self, command: Command) -> bytes:
        if command.ins == 0xB0:
            self.purse.forget()
            return self._read_binary(command)
        if command.ins == 0xB2:
            self.purse.forget()
            return self._read_record(command)
        if command.ins in _WRITING and command.cla in (0x00, 0x04):
            self.purse.forget()
            return SECURITY_NOT_SATISFIED  # secure messaging with a key that no validator has
        if command.ins == 0xCA and command.cla == 0x80 and self._city:
            self.purse.forget()
            return exactly(self._code, command.le) if self._code else NOT_FOUND
        return self.purse.handle(command)

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
        return exactly(content[command.p2 :], command.le)

    def _read_record(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if command.p2 & 0x07 not in (0x04, 0x00):
            return WRONG_P1P2
        contents = self.memory.contents
        files = {_LOG: contents.log, TRIP: contents.trips, COMPOSITE: contents.composites}
        sfi = command.p2 >> 3
        records = files.get(sfi)
        if records is None or (sfi == _LOG and not self._log_readable):
            return NOT_FOUND
        if not command.p2 & 0x04:  # the record that starts with this identifier
            found = [r for r in records if r[1:2] == bytes([command.p1])]
            return exactly(found[0], command.le) if found else RECORD_NOT_FOUND
        if not 1 <= command.p1 <= len(records):
            return RECORD_NOT_FOUND
        return exactly(records[command.p1 - 1], command.le)


class TUnionPhone(TUnion):
    """The transit card in a phone's wallet: another random UID (08 …) each time it comes back."""

    ats = bytes.fromhex("0578808002")
    seconds = 0.03

    def __init__(self, *, seed: int = 1, **options: object) -> None:
        super().__init__(seed=seed, **{"uid": b"\x08\x00\x00\x00", **options})  # type: ignore[arg-type]
        self._fixed_uid = "uid" in options
        self._new_uid()

    def power_off(self) -> None:
        super().power_off()
        self._new_uid()

    def _new_uid(self) -> None:
        if not self._fixed_uid:
            self.uid = b"\x08" + self.random.randbytes(3)
