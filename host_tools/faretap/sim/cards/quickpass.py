"""QuickPass cards and phones (qUICS with fDDA), with certificates of a test scheme.

The application cryptogram is a stand-in: only an issuer can check a real one, and no validator
ever can. Everything that a validator checks (certificates, dynamic signature) is real RSA.
The standard flow (TTQ without 20, GENERATE AC) is refused with 6985; `legacy.Legacy` knows it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from . import scheme as schemes
from .card import (
    CONDITIONS_NOT_SATISFIED,
    NOT_FOUND,
    OK,
    RECORD_NOT_FOUND,
    WRONG_CLA,
    WRONG_DATA,
    WRONG_INS,
    WRONG_LENGTH,
    WRONG_P1P2,
    Application,
    Command,
    FileCard,
    bcd,
    luhn_digit,
    plastic_uid,
    ppse,
    tlv,
)
from .flaws import Flaws, flip, sm2_certificate

DEBIT = bytes.fromhex("A000000333010101")
CREDIT = bytes.fromhex("A000000333010102")

# (tag, length) in the usual order; 33 bytes.
PDOL = (
    (0x9F66, 4),
    (0x9F02, 6),
    (0x9F03, 6),
    (0x9F1A, 2),
    (0x95, 5),
    (0x5F2A, 2),
    (0x9A, 3),
    (0x9C, 1),
    (0x9F37, 4),
)

DECISIONS = {"arqc": 0xA0, "tc": 0x90, "aac": 0x80}

_QUICS = 0x20
_FDDA_01 = 0x80


def invented_pan(prefix: str, seed: int, digits: int = 19) -> str:
    """An invented card number: `prefix`, the seed, a valid check digit."""
    body = prefix + str(seed).zfill(digits - 1 - len(prefix))[-(digits - 1 - len(prefix)) :]
    return body + luhn_digit(body)


class QuickPass(FileCard):
    """A plastic debit card, unless options say otherwise.

    `expiry` YYMM, `begins` YYMMDD, `aip` and `app_version` two bytes as hex, `decision` arqc, tc
    or aac, `ctq` two bytes as hex, `par` 29 characters or "" for none, `ca_index` F1 (1408 bits)
    or F2 (1984 bits), `sdad_in` "gpo" or "record", `oda_online` the DF61 bit of cards made for
    transit, `listed` whether there is a PPSE. A card that refuses (AAC) signs nothing, unless
    `signs_refusals`. Every other option says what is wrong with the
    card: see `flaws.Flaws`.
    """

    ats = bytes.fromhex("0A788072020031C173C8")
    seconds = 0.025

    def __init__(
        self,
        *,
        pan: str | None = None,
        seed: int = 1,
        aid: bytes = DEBIT,
        label: str = "UnionPay Debit",
        expiry: str = "4912",
        atc: int = 0,
        ctq: str = "0000",
        par: str | None = None,
        decision: str = "arqc",
        ca_index: int = 0xF1,
        sdad_in: str = "gpo",
        oda_online: bool = True,
        aip: str = "7C00",
        begins: str = "240101",
        app_version: str = "0030",
        listed: bool = True,
        uid: bytes | None = None,
        not_ready: int = 0,
        signs_refusals: bool = False,
        **flaws: Any,
    ) -> None:
        for name, value, allowed in (
            ("decision", decision, tuple(DECISIONS)),
            ("sdad_in", sdad_in, ("gpo", "record")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        self.flaws = Flaws(**flaws)
        self.pan = pan or invented_pan("629999", seed)
        if not self.pan.isdigit() or not 12 <= len(self.pan) <= 19:
            raise ValueError(f"a card number has 12 to 19 digits, not {self.pan!r}")
        super().__init__(uid or plastic_uid(self.pan), seed, not_ready)
        self.atc = atc
        self.label = label
        self.par = invented_par(self.pan) if par is None else par
        self._aid = aid
        self._expiry = expiry
        self._ctq = bytes.fromhex(ctq)
        self._decision = decision
        self._signs_refusals = signs_refusals
        self._scheme = schemes.scheme(ca_index)
        self._sdad_in_record = sdad_in == "record"
        self._oda_online = oda_online
        self._aip = bytes.fromhex(aip)
        self._begins = begins
        self._app_version = app_version
        self._last_record = b""
        self._earlier_number = bytes.fromhex("5EED5EED")
        self._records = self._personalise()
        self.applications = [Application(aid, self._fci, self._handle)]
        if listed:
            self.applications.insert(0, ppse([(aid, label, 1)]))

    @classmethod
    def credit(cls, *, seed: int = 2, **options: object) -> QuickPass:
        pan = options.pop("pan", None) or invented_pan("629997", seed, 16)
        return cls(
            pan=pan,  # type: ignore[arg-type]
            seed=seed,
            aid=CREDIT,
            label="UnionPay Credit",
            **options,  # type: ignore[arg-type]
        )

    @classmethod
    def two(cls, **options: object) -> QuickPass:
        """With a credit application in front that does not serve (GPO refused)."""
        card = cls(**options)  # type: ignore[arg-type]
        own = card.applications[-1]
        fci = own.fci().replace(own.aid, CREDIT)
        card.applications = [
            ppse([(own.aid, card.label, 2), (CREDIT, "UnionPay Credit", 1)]),
            Application(CREDIT, lambda: fci, lambda command: CONDITIONS_NOT_SATISFIED),
            own,
        ]
        return card

    @classmethod
    def phone(cls, *, seed: int = 1, **options: object) -> Phone:
        return Phone(seed=seed, **options)  # type: ignore[arg-type]

    @classmethod
    def waking(cls, *, not_ready: int = 1, **options: object) -> Phone:
        return Phone(not_ready=not_ready, **options)  # type: ignore[arg-type]

    def power_off(self) -> None:
        super().power_off()
        self._last_record = b""

    # Personalisation

    def _personalise(self) -> dict[tuple[int, int], bytes]:
        """Records by (SFI, number), without the one that a tap fills in (SFI 3, record 1)."""
        put, forge = self.flaws.put, self.flaws.forge
        expires = bytes.fromhex(self._expiry + "31")
        static = put(0x5A, bcd(self.pan, (len(self.pan) + 1) // 2))
        static += put(0x5F24, expires) + put(0x5F25, bytes.fromhex(self._begins))
        static += put(0x5F34, b"\x00") + put(0x5F28, bytes.fromhex("0156"))
        static += put(0x9F07, bytes.fromhex("FF00"))
        static += put(0x9F08, bytes.fromhex(self._app_version)) + self._more_static()
        signed = tlv(0x70, static)
        if self.flaws.damage:
            signed = self.flaws.record(static)
        other = invented_pan("629996", 77, len(self.pan))
        issuer, issuer_rest = self._scheme.issuer_certificate(
            other if forge == "iin" else self.pan,
            self.flaws.issuer_expires,
            self._scheme.stray if forge == "ca" else None,
        )
        card, card_rest = self._scheme.card_certificate(
            other if forge == "holder" else self.pan, static + self._aip, self.flaws.card_expires
        )
        if forge == "issuer":
            issuer = flip(issuer)
        elif forge == "icc":
            card = flip(card)
        elif forge == "static":
            signed = signed.replace(expires, bytes.fromhex("481130"), 1)
        if self.flaws.sm2:
            issuer = sm2_certificate(self.pan)
        index = self.flaws.claims_ca or self._scheme.index
        ca = put(0x8F, bytes([index])) + put(0x9F32, schemes.EXPONENT)
        if issuer_rest:
            ca += put(0x92, issuer_rest)
        ca += put(0x9F4A, bytes.fromhex("5F24") if forge == "list" else b"\x82")
        own = put(0x9F46, card) + put(0x9F47, schemes.EXPONENT)
        if card_rest:
            own += put(0x9F48, card_rest)
        return {
            (2, 1): signed,
            (2, 2): tlv(0x70, put(0x90, issuer)),
            (2, 3): tlv(0x70, ca),
            (2, 4): tlv(0x70, own),
        }

    def _more_static(self) -> bytes:
        """What a kind of card has besides in its signed record."""
        return b""

    # Record 1 of SFI 2 is the static data that the certificate covers.
    _AFL = bytes.fromhex("1001040118010100")

    # Commands

    def _fci(self) -> bytes:
        pdol = b"".join(
            tag.to_bytes((tag.bit_length() + 7) // 8, "big") + bytes([size]) for tag, size in PDOL
        )
        issuer_data = tlv(0x9F4D, bytes.fromhex("0B0A"))
        if self._oda_online:
            issuer_data += tlv(0xDF61, b"\x40")
        proprietary = tlv(0x50, self.label.encode()) + tlv(0x87, b"\x01")
        proprietary += tlv(0x9F38, pdol) + tlv(0x5F2D, b"zh") + tlv(0xBF0C, issuer_data)
        return tlv(0x6F, tlv(0x84, self._aid) + tlv(0xA5, proprietary))

    def _handle(self, command: Command) -> bytes:
        if command.ins == 0xA8:
            return self._get_processing_options(command)
        if command.ins == 0xB2:
            return self._read_record(command)
        if command.ins == 0xCA:
            return self._get_data(command)
        return WRONG_INS

    def _get_processing_options(self, command: Command) -> bytes:
        if command.cla != 0x80:
            return WRONG_CLA
        if command.p1 or command.p2:
            return WRONG_P1P2
        data = command.data
        size = sum(length for _, length in PDOL)
        if len(data) != size + 2:
            return WRONG_LENGTH
        if data[0] != 0x83 or data[1] != size:
            return WRONG_DATA
        terminal: dict[int, bytes] = {}
        at = 2
        for tag, length in PDOL:
            terminal[tag] = data[at : at + length]
            at += length
        return self._process(terminal)

    def _process(self, terminal: dict[int, bytes]) -> bytes:
        if not terminal[0x9F66][0] & _QUICS:
            return CONDITIONS_NOT_SATISFIED
        self.atc += 1
        return self._quics(terminal)

    def _decide(self, terminal: dict[int, bytes]) -> str:
        """What the card makes of this payment: a name in DECISIONS."""
        return self._decision

    def _application_data(self, decision: str) -> bytes:
        return bytes.fromhex("07010103") + bytes([DECISIONS[decision]]) + bytes.fromhex("000001")

    def _cryptogram(self, data: bytes) -> bytes:
        """A stand-in: eight bytes that follow from everything that a real one would cover."""
        secret = hashlib.sha256(b"issuer of " + self.pan.encode()).digest()
        return hmac.new(secret, data, "sha256").digest()[:8]

    def _quics(self, terminal: dict[int, bytes]) -> bytes:
        put, forge = self.flaws.put, self.flaws.forge
        atc = self.atc.to_bytes(2, "big")
        decision = self._decide(terminal)
        application_data = self._application_data(decision)
        cryptogram = self._cryptogram(
            atc + b"".join(terminal[tag] for tag, _ in PDOL) + application_data
        )
        shown = (self.atc + 1).to_bytes(2, "big") if forge == "counter" else atc
        ctq = b"\x00\x80" if forge == "ctq" else self._ctq
        answer = put(0x82, self._aip) + put(0x94, self.flaws.afl(self._AFL)) + put(0x9F36, shown)
        answer += put(0x57, self._track2()) + put(0x9F10, application_data)
        answer += put(0x9F26, cryptogram) + put(0x5F34, b"\x00") + put(0x9F6C, ctq)
        record, signature = self._sign(terminal)
        if decision == "aac" and not self._signs_refusals:
            record = signature = b""
        if self._sdad_in_record:
            record += signature
        else:
            answer += signature
        if self.par:
            record += put(0x9F24, self.par.encode())
        self._last_record = tlv(0x70, record)
        return tlv(0x77, answer) + OK

    def _sign(self, terminal: dict[int, bytes]) -> tuple[bytes, bytes]:
        """fDDA: (tag 9F69, tag 9F4B), version 01 if the terminal supports it, else 00."""
        put, forge = self.flaws.put, self.flaws.forge
        hashed, related = terminal[0x9F37], b""
        if forge == "replay":
            hashed = self._earlier_number
        knows = int(self._app_version, 16) >= 0x0030 and forge != "version"
        if terminal[0x9F66][3] & _FDDA_01 and knows:
            authentication = b"\x01" + self.random.randbytes(4) + self._ctq
            hashed += terminal[0x9F02] + terminal[0x5F2A] + authentication
            related = put(0x9F69, authentication)
        signature = self._scheme.dynamic_signature(b"\x02" + self.atc.to_bytes(2, "big"), hashed)
        if forge == "sdad":
            signature = flip(signature)
        return related, put(0x9F4B, signature)

    def _track2(self) -> bytes:
        track = f"{self.pan}D{self._expiry}2010000000"
        return bytes.fromhex(track + "F" * (len(track) % 2))

    def _read_record(self, command: Command) -> bytes:
        if command.cla != 0x00:
            return WRONG_CLA
        if command.p2 & 0x07 != 0x04:
            return WRONG_P1P2
        place = (command.p2 >> 3, command.p1)
        if place == (3, 1) and self._last_record:
            return self._last_record + OK
        record = self._records.get(place)
        return record + OK if record is not None else RECORD_NOT_FOUND

    def _get_data(self, command: Command) -> bytes:
        if command.cla != 0x80:
            return WRONG_CLA
        tag = command.p1 << 8 | command.p2
        if tag == 0x9F36:
            return tlv(tag, self.atc.to_bytes(2, "big")) + OK
        return NOT_FOUND[:1] + b"\x88"


class Phone(QuickPass):
    """A phone (cloud QuickPass, a wallet): a token for a card number, holder verified on the
    device, and another random UID (08 …) each time the field comes back. Its account reference
    (PAR) is that of the plastic card with the same `seed`."""

    ats = bytes.fromhex("0578808002")
    seconds = 0.035

    def __init__(self, *, seed: int = 1, **options: object) -> None:
        defaults: dict[str, object] = {
            "pan": invented_pan("629998", seed),
            "par": invented_par(invented_pan("629999", seed)),
            "ctq": "0080",
            "uid": b"\x08\x00\x00\x00",
        }
        super().__init__(seed=seed, **{**defaults, **options})  # type: ignore[arg-type]
        self._fixed_uid = "uid" in options
        self._new_uid()

    def power_off(self) -> None:
        super().power_off()
        self._new_uid()

    def _new_uid(self) -> None:
        if not self._fixed_uid:
            self.uid = b"\x08" + self.random.randbytes(3)


def invented_par(pan: str) -> str:
    """A payment account reference for an invented account: 29 characters."""
    return "TEST" + hashlib.sha256(pan.encode()).hexdigest()[:25].upper()
