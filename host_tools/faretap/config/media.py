"""The media's sections of the configuration: `cards`, `codes`, `purse`."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from faretap.config.curves import Point, point_on, root_problem
from faretap.config.values import (
    Aid,
    Fen,
    Fen30,
    File,
    Hex,
    Institution,
    Means,
    Number,
    PassengerType,
    Pattern,
    Right,
    Seconds,
    Section,
    Text,
    Yymm,
    wrong,
)

RID = "a000000333"


class CaKey(Section):
    """A certification authority's public key, as the scheme publishes it."""

    rid: Annotated[str, Pattern("(?i)" + RID, "A000000333, UnionPay's"), Means("The scheme.")]
    index: Annotated[str, Hex(1), Means("The key's index.")]
    modulus: Annotated[str, Hex(*range(64, 249)), Means("Of the RSA key.")]
    exponent: Annotated[str, Hex(1, 3), Means("03 or 010001.")] = "03"
    check_value: Annotated[
        str,
        Hex(20),
        Field(alias="check"),
        Means("SHA-1 over rid, index, modulus, exponent: finds a mistyped digit."),
    ]
    expires: Annotated[Yymm | None, Means("Last month of its life.")] = None

    @model_validator(mode="after")
    def _checks(self) -> CaKey:
        parts = (self.rid, self.index, self.modulus, self.exponent)
        digest = hashlib.sha1(b"".join(bytes.fromhex(part) for part in parts)).hexdigest()
        if digest != self.check_value:
            raise wrong(f"the check value {digest}, or other digits in index, modulus or exponent")
        if self.exponent not in ("03", "010001"):
            raise wrong("an exponent of 03 or 010001")
        modulus = int(self.modulus, 16)
        if not modulus & 1 or modulus.bit_length() != 4 * len(self.modulus):
            raise wrong("a modulus that is odd and does not begin with a zero")
        return self


class Acquirer(Section):
    """The acquirer's RSA public key: evidence for settlement is encrypted for it."""

    modulus: Annotated[
        str,
        Hex(*range(256, 513), words="hex digits of 256 to 512 bytes"),
        Means("2048 to 4096 bits."),
    ]
    exponent: Annotated[str, Hex(1, 3), Means("03 or 010001.")] = "010001"


class CardLimits(Section):
    """What a card may spend without its issuer being asked."""

    tap: Annotated[Fen30, Means("One tap.")] = 5000
    cumulative: Annotated[Fen30, Means("All taps within `cumulative_s`; 0: no limit.")] = 0
    cumulative_s: Annotated[Seconds, Means("Counted from the first.")] = 86400
    cvm: Annotated[Fen30, Means("Above it the cardholder would have to be verified.")] = 30000
    window_s: Annotated[
        Seconds,
        Means("The same card within this time is not charged twice."),
    ] = 5


class CardTerminal(Section):
    """What the validator says of itself to a card."""

    serial: Annotated[
        str,
        Pattern("[ -~]{8}", "8 ASCII characters"),
        Means("Terminal id (9F1E), unique in the fleet."),
    ] = "FARETAP1"
    capabilities: Annotated[str, Hex(3), Means("9F33.")] = "000840"
    version: Annotated[str, Hex(2), Means("Application version (9F08).")] = "0030"


class Cards(Section):
    """UnionPay QuickPass: cards, and phones with them. Without CA keys every card is declined."""

    ca_keys: Annotated[
        list[CaKey], Field(max_length=32), Means("CA public keys; 32 at most.")
    ] = []
    ca_keys_file: Annotated[
        File | None,
        Means(
            "CSV with the columns rid, index, exponent, modulus, check_value and, if known, "
            "expires (YYMM); its keys come after those of `ca_keys`."
        ),
    ] = None
    aids: Annotated[
        list[Aid] | None,
        Means("Applications that are taken, by their first bytes; left out: UnionPay's."),
    ] = None
    acquirer: Annotated[Acquirer | None, Means("Left out: records carry no evidence.")] = None
    acquirer_file: Annotated[File | None, Means("The same key as a PEM file.")] = None
    limits: CardLimits = CardLimits()
    fdda_01_required: Annotated[
        bool, Means("Take no dynamic signature of version 00, which replays easier.")
    ] = False
    torn_unproven: Annotated[
        Literal["ride", "refuse"],
        Right("ride or refuse"),
        Means(
            "Electronic cash that was torn before the card had signed the payment, and says that "
            "it paid: `ride`, once a card until its issuer has answered, or `refuse`."
        ),
    ] = "ride"
    terminal: CardTerminal = CardTerminal()

    @model_validator(mode="after")
    def _agrees(self) -> Cards:
        if self.acquirer and self.acquirer_file:
            raise wrong("either acquirer or acquirer_file")
        indexes = [key.index for key in self.ca_keys]
        for index in indexes:
            if indexes.count(index) > 1:
                raise wrong(f"one CA key with index {index}: it stands there twice")
        return self


class Pair(Section):
    """An issuer, and one of its platforms or all."""

    issuer: Annotated[Institution, Means("Issuer institution number.")]
    platform: Annotated[
        Institution | None, Means("Code-issuing platform number; left out: all of the issuer's.")
    ] = None


class Accepted(Pair):
    """An issuer whose MoT ride codes are taken."""

    certificate: Annotated[
        Institution | None, Means("Whose certificate it signs with; left out: the issuer's own.")
    ] = None


class IdRule(Pair):
    """Which SM2 user ids an issuer's ride codes are signed with."""

    ids: Annotated[
        Literal["default", "local"],
        Right("default or local"),
        Means("default: 1234567812345678; local: ids made of the code's own fields."),
    ]


class UnionKey(Section):
    """The key of an institution that authorises UnionPay industry codes."""

    index: Annotated[str, Hex(2), Means("Certificate index, as it stands in the code.")]
    key: Annotated[str, Point("sm2"), Means("SM2 public key.")]


class AlipayKey(Section):
    """The key of an institution that signs Alipay transit codes."""

    id: Annotated[int, Number(0, 255), Means("Key id, as it stands in the code.")]
    algorithm: Annotated[
        Literal["secp256k1", "sm2"],
        Right("secp256k1 or sm2"),
        Means("secp256k1 for codes of algorithm 1, sm2 for those of algorithm 2."),
    ]
    key: Annotated[str, Hex(33, 65), Means("Public key.")]

    @model_validator(mode="after")
    def _point(self) -> AlipayKey:
        if not point_on(self.algorithm, bytes.fromhex(self.key)):
            raise wrong(f"a public key on {self.algorithm}: this is no point of it")
        return self


class CodeLimits(Section):
    """What an account may spend by ride codes."""

    tap: Annotated[Fen30, Means("One ride.")] = 5000
    cumulative: Annotated[Fen30, Means("All rides within `cumulative_s`; 0: no limit.")] = 0
    cumulative_s: Annotated[Seconds, Means("Counted from the first.")] = 86400
    window_s: Annotated[
        Seconds,
        Means("The same account within this time is not charged twice; 0: it is."),
    ] = 0


class Cpm(Section):
    """Payment codes, which only their issuer can check."""

    first_ride_risk: Annotated[bool, Means("Let a rider ride once, unchecked.")] = False
    cap: Annotated[Fen30, Means("The highest fare of such a ride.")] = 500
    again_s: Annotated[
        Seconds,
        Means("After it the same rider waits so long for another one."),
    ] = 86400
    aids: Annotated[
        list[Aid] | None, Means("Applications that may; left out: whatever the application.")
    ] = None


Root = Annotated[str, Hex(144, words="hex digits of a root file, 144 bytes")]


class Codes(Section):
    """Ride codes: MoT (JT/T 1179), UnionPay industry, Alipay. Only what is named is accepted."""

    roots: Annotated[list[Root], Field(max_length=8), Means("MoT root files; 8 at most.")] = []
    root_files: Annotated[
        list[File], Field(max_length=8), Means("The same as files of 144 bytes.")
    ] = []
    accepted: Annotated[
        list[Accepted],
        Field(max_length=64),
        Means("Issuers whose MoT codes are taken; 64 at most."),
    ] = []
    id_rules: Annotated[
        list[IdRule],
        Field(max_length=64),
        Means("Issuers whose codes are signed with other SM2 user ids."),
    ] = []
    union_keys: Annotated[
        list[UnionKey], Field(max_length=64), Means("UnionPay industry codes.")
    ] = []
    alipay_keys: Annotated[
        list[AlipayKey], Field(max_length=64), Means("Alipay transit codes.")
    ] = []
    skew_s: Annotated[
        int,
        Number(0, 86400, "s"),
        Means("How far a code may come from the future: phones' clocks differ."),
    ] = 60
    limits: CodeLimits = CodeLimits()
    remember: Annotated[
        int,
        Number(1, 8192),
        Means("Of earlier files; without effect: codes are kept in flash until they expire."),
    ] = 384
    cpm: Cpm = Cpm()

    @model_validator(mode="after")
    def _agrees(self) -> Codes:
        for name in ("accepted", "id_rules"):
            pairs = [(entry.issuer, entry.platform) for entry in getattr(self, name)]
            for pair in pairs:
                if pairs.count(pair) > 1:
                    raise wrong(f"each issuer and platform once: {name} has {pair[0]} twice")
        for i, root in enumerate(self.roots):
            if problem := root_problem(bytes.fromhex(root)):
                raise wrong(f"roots[{i}]: {problem}")
        seen = [root[20:22] for root in self.roots]
        for index in seen:
            if seen.count(index) > 1:
                raise wrong(f"one root with index {index}: it stands there twice")
        unions = [key.index for key in self.union_keys]
        alipays = [(key.id, key.algorithm) for key in self.alipay_keys]
        if len(set(unions)) < len(unions) or len(set(alipays)) < len(alipays):
            raise wrong("each key of union_keys and alipay_keys with an index of its own")
        return self


Form = Annotated[Literal["24", "1C", "14"], Right("24, 1C or 14")]


class Psam(Section):
    """A security module in a slot."""

    slot: Annotated[int, Number(0, 7), Means("Which slot.")] = 0
    df: Annotated[str, Hex(2), Means("The application with the purchase keys.")] = "8011"
    form: Annotated[
        Form | None, Means("Bytes of its MAC1 command in hex; left out: by the application.")
    ] = None
    aids: Annotated[
        list[Aid] | None, Means("Cards that it serves; left out: by the application.")
    ] = None
    key_index: Annotated[
        int,
        Number(0, 255),
        Means("Number of the purchase key, where the PSAM's own file 17 does not tell it."),
    ] = 1


class SoftPsam(Section):
    """A stand-in for a PSAM, with test keys. Never in service."""

    terminal: Annotated[str, Hex(6), Means("Terminal id.")]
    key: Annotated[str, Hex(16), Means("Purchase master key, 3DES.")]
    sm4_key: Annotated[str | None, Hex(16), Means("The same for SM4.")] = None
    form: Annotated[Form, Means("As of a PSAM.")] = "24"
    serial: Annotated[int | None, Number(0, 1073741823), Means("First transaction number.")] = None
    aids: Annotated[list[Aid] | None, Means("Cards that it serves; left out: all.")] = None
    key_index: Annotated[int, Number(0, 255), Means("Number of the purchase key.")] = 1


class _Stage(Right):
    def check(self, value: Any) -> Any:
        if len(value) != 2 or not 0 <= value[0] <= 255 or not 0 <= value[1] <= 100000:
            raise ValueError
        return value


Stage = Annotated[list[int], _Stage("[stations, fen]: 0 to 255, 0 to 100000")]


class Purse(Section):
    """T-Union and city cards: electronic purses that a PSAM debits."""

    mode: Annotated[
        Literal["single", "composite"],
        Right("single or composite"),
        Means("single: one fare on boarding; composite: board and alight."),
    ] = "single"
    aids: Annotated[list[Aid] | None, Means("Applications; left out: both families.")] = None
    city: Annotated[str | None, Hex(2), Means("City code.")] = None
    institution: Annotated[str | None, Hex(8), Means("Institution id.")] = None
    acquirer: Annotated[str | None, Hex(8), Means("Left out: the institution.")] = None
    operator: Annotated[str | None, Hex(2), Means("Operator code in trip records.")] = None
    line: Annotated[str | None, Hex(2), Means("Line code in trip records.")] = None
    station: Annotated[int, Number(0, 255), Means("Station number.")] = 0
    direction: Annotated[
        Literal["up", "down"], Right("up or down"), Means("Which way the line is run.")
    ] = "up"
    terminal: Annotated[
        str | None, Hex(8), Means("Terminal id, unique in the fleet; left out: the PSAM's.")
    ] = None
    vehicle: Annotated[
        str | None,
        Text(32),
        Means("In trip records, its last 8 bytes; left out: `identity.vehicle`."),
    ] = None
    types: Annotated[
        dict[PassengerType, Fen] | None, Means("Fares by passenger type; left out: `fares.types`.")
    ] = None
    types_unproven: Annotated[
        bool,
        Means(
            "Grant them by the card's type byte, which nobody signs: a relay in front of a "
            "genuine card can change it. false: everybody pays as a grown-up."
        ),
    ] = False
    torn_unproven: Annotated[
        Literal["ride", "refuse"],
        Right("ride or refuse"),
        Means(
            "A torn debit that card and counter make likely and nothing proves. ride: once a "
            "card, its TAC kept for the issuer; refuse: to the desk."
        ),
    ] = "ride"
    stages: Annotated[
        list[Stage],
        Means("composite: [stations, fen], for rides of up to so many."),
    ] = []
    marked_amount: Annotated[
        Fen | None, Means("composite: what a rider owes who never alights.")
    ] = None
    trip_s: Annotated[int, Number(60, 86400, "s"), Means("The longest ride.")] = 14400
    window_s: Annotated[
        int, Number(0, 3600, "s"), Means("The same card is not charged twice.")
    ] = 5
    psam: Annotated[list[Psam], Means("The security modules.")] = []
    soft_psam: Annotated[
        list[SoftPsam],
        BeforeValidator(lambda value: [value] if isinstance(value, dict) else value),
        Means("In their place on a bench."),
    ] = []

    @model_validator(mode="after")
    def _agrees(self) -> Purse:
        if self.mode == "composite" and self.marked_amount is None:
            raise wrong("marked_amount in composite mode: what is owed without alighting")
        stations = [stage[0] for stage in self.stages]
        if any(one >= two for one, two in pairwise(stations)):
            raise wrong("stages with ascending numbers of stations")
        if self.psam and self.soft_psam:
            raise wrong("either psam or soft_psam")
        return self
