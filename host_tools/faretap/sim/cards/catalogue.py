"""Every simulated card: its name, one line about it, and what a validator must make of it.

The outcomes are those of a validator that was told the test scheme (`scheme.configuration()`), has
its clock set, and asks for 2.00 yuan. `purse` is what it makes of a purse card if it also has a
PSAM with the test keys and the test purse scheme (`purse_scheme.configuration()`). Tests and
`faretap tap --list` read this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .card import Card
from .legacy import Legacy
from .plain import Empty, Garbage, Mifare
from .purse import ElectronicCash
from .purse_scheme import OLDER_CITY_AID
from .quickpass import Phone, QuickPass
from .relay import Mute, Relay
from .tunion import CITY_AID, ELDERLY, TUnion, TUnionPhone
from .tunion_attack import Forged, PurseRelay

AMOUNT = 200
"""Fen that the expectations are for."""


@dataclass(frozen=True)
class Entry:
    """One card. `reason` is "" for an accepted one, None where any will do; `purse` the outcome
    and the reason of a purse card where purses are taken."""

    text: str
    make: Callable[..., Card]
    outcome: str = "accepted"
    reason: str | None = ""
    options: dict[str, Any] = field(default_factory=dict)
    purse: tuple[str, str] | None = None

    def expected(self) -> str:
        outcome, reason = self.purse or (self.outcome, self.reason)
        return f"{outcome} {reason}" if reason else outcome


def _bad(text: str, reason: str, make: Callable[..., Card] = QuickPass, **options: Any) -> Entry:
    return Entry(text, make, "declined", reason, options)


def _purse(
    text: str,
    reason: str = "",
    make: Callable[..., Card] = TUnion,
    alone: str = "unverified",
    outcome: str = "",
    **options: Any,
) -> Entry:
    """`alone` is the reason of a validator that takes no purses."""
    outcome = outcome or ("declined" if reason else "accepted")
    return Entry(text, make, "declined", alone, options, (outcome, reason))


_CITY: dict[str, Any] = {"listed": False, "df": "1001"}

CARDS: dict[str, Entry] = {
    # Purses that can be debited
    "tunion": _purse("T-Union purse, 50.00 yuan"),
    "tunion-student": _purse("T-Union purse of a student, 20.00 yuan", make=TUnion.student),
    "tunion-elderly": _purse("T-Union purse of an elderly rider", card_type=ELDERLY, seed=4),
    "tunion-phone": _purse(
        "T-Union purse in a phone: another random UID each time", make=TUnionPhone, seed=5
    ),
    "tunion-unlisted": _purse("T-Union purse without a PPSE", listed=False, seed=6),
    "tunion-beijing": _purse(
        "T-Union purse with the AID of Beijing", aid="A00000063201010510009156000014A1", seed=7
    ),
    "tunion-file-15": _purse("T-Union purse without file 15 in its FCI", fci_has_file_15=False),
    "tunion-overdraft": _purse(
        "T-Union purse with 0.50 yuan left that may be overdrawn by 10.00",
        balance=50,
        overdraft=1000,
        seed=8,
    ),
    "tunion-sm4": _purse("T-Union purse with SM4 keys", algorithm=4, seed=9),
    "tunion-boarded-elsewhere": _purse(
        "T-Union purse whose rider boarded on another line and never alighted",
        boarded="0099",
        seed=10,
    ),
    "tunion-proof-before": _purse(
        "T-Union purse that proves a purchase by the counter before it", proof="before", seed=11
    ),
    "tunion-city": _purse(
        "city union purse, PSAM form 1C", aid=CITY_AID.hex(), psam_form="1c", **_CITY, seed=12
    ),
    "tunion-city-14": _purse(
        "older city union purse, PSAM form 14",
        aid=OLDER_CITY_AID,
        psam_form="14",
        **_CITY,
        seed=13,
    ),
    "tunion-city-hex": _purse(
        "city union purse as Shanghai issues it: a number that is not BCD, other bytes in file 15",
        aid=CITY_AID.hex(),
        psam_form="1c",
        issuer="869820007590FFFF",
        application_type=0x82,
        city_number="9CA1B20C4E7F3D51",
        city="2000",
        **_CITY,
        seed=28,
    ),
    "tunion-city-not-enabled": _purse(
        "city union purse whose byte 9 of file 15 is 00, which says nothing there",
        aid=CITY_AID.hex(),
        psam_form="1c",
        enabled=False,
        **_CITY,
        seed=29,
    ),
    "tunion-top-bit": _purse(
        "T-Union purse that sets the top bit of its balance", top_bit=True, seed=30
    ),
    "tunion-no-zero": _purse("T-Union purse that makes no purchase of 0", zero=False, seed=31),
    "tunion-no-composite": _purse(
        "T-Union purse without composite purchases", has_composite=False, seed=32
    ),
    # Purses that cannot
    "tunion-low": _purse(
        "T-Union purse with 0.80 yuan left", "insufficient_balance", make=TUnion.low
    ),
    "tunion-insufficient": _purse(
        "T-Union purse with 1.99 yuan left", "insufficient_balance", balance=199, seed=14
    ),
    "tunion-overdrawn": _purse(
        "T-Union purse with 0.50 yuan left that may be overdrawn by 1.00",
        "insufficient_balance",
        balance=50,
        overdraft=100,
        seed=15,
    ),
    "tunion-expired": _purse("T-Union purse, expired in 2020", "expired", end="20201231", seed=16),
    "tunion-not-yet-valid": _purse(
        "T-Union purse, valid from 2048", "not_yet_valid", start="20480101", seed=17
    ),
    "tunion-not-interoperable": _purse(
        "T-Union purse for another city only",
        "unsupported",
        interoperable=False,
        city="5840",
        seed=18,
    ),
    "tunion-not-enabled": _purse(
        "T-Union purse that was never enabled",
        "card_refused",
        alone="card_refused",
        enabled=False,
        seed=19,
    ),
    "tunion-ed-only": _purse(
        "T-Union card whose application type says electronic deposit, no purse",
        "card_refused",
        alone="card_refused",
        application_type=0x01,
        seed=25,
    ),
    "tunion-type-00": _purse(
        "T-Union card whose application type says that neither is in use",
        "card_refused",
        alone="card_refused",
        application_type=0x00,
        seed=26,
    ),
    "tunion-blocked": _purse(
        "T-Union purse that is blocked (6283)",
        "card_refused",
        alone="card_refused",
        blocked="application",
        seed=20,
    ),
    "tunion-stopped": _purse(
        "T-Union purse that is stopped (6284)",
        "card_refused",
        alone="card_refused",
        blocked="stopped",
        seed=27,
    ),
    "tunion-blocked-ever": _purse(
        "T-Union purse that is blocked for ever (9303)",
        "card_refused",
        alone="card_refused",
        blocked="ever",
        seed=21,
    ),
    "tunion-stranger": _purse(
        "T-Union purse whose keys come from elsewhere: refuses MAC1 (9302)",
        "card_refused",
        df="1001",
        seed=22,
    ),
    "tunion-counter-full": _purse(
        "T-Union purse whose transaction counter is at its end",
        "card_refused",
        counter=0xFFFF,
        seed=23,
    ),
    "tunion-wrong-mac2": _purse(
        "T-Union purse that confirms its debit with a wrong MAC2",
        "bad_signature",
        wrong_mac2=True,
        seed=24,
    ),
    # Attackers with purses: what their first tap comes to
    "tunion-forged-mac2": _purse(
        "a phone without keys that answers DEBIT with MAC2 00000000",
        "bad_signature",
        make=Forged,
        seed=40,
    ),
    "tunion-forged-mac2-random": _purse(
        "a phone without keys that answers DEBIT with an invented MAC2",
        "bad_signature",
        make=Forged,
        plan={"mac2": "random"},
        seed=41,
    ),
    "tunion-forged-tear": _purse(
        "a phone without keys that is silent at DEBIT, and shows a log line of it afterwards",
        "card_lost",
        make=Forged,
        outcome="retry",
        plan={"debit": "silent", "mac2": "random"},
        seed=42,
    ),
    "tunion-forged-tear-no-zero": _purse(
        "the same, which refuses purchases of 0",
        "card_lost",
        make=Forged,
        outcome="retry",
        plan={"debit": "silent", "zero": "refuse", "mac2": "random"},
        seed=43,
    ),
    "tunion-relay-tear": _purse(
        "a relay before a genuine card that swallows DEBIT, and shows a log line of it afterwards",
        "card_lost",
        make=PurseRelay,
        outcome="retry",
        plan={"debit": "silent"},
        seed=44,
    ),
    "tunion-relay-withholds": _purse(
        "a relay before a genuine card that lets DEBIT through and keeps the answer",
        "card_lost",
        make=PurseRelay,
        outcome="retry",
        plan={"debit": "withhold", "log": False, "proof": "true"},
        seed=45,
    ),
    "tunion-relay-counter": _purse(
        "a relay before a genuine card that tells another counter",
        "card_refused",
        make=PurseRelay,
        plan={"ahead": 1},
        seed=46,
    ),
    "tunion-relay-type": _purse(
        "a relay that makes an elderly rider's card of a grown-up's",
        make=PurseRelay,
        plan={"kind": ELDERLY},
        seed=47,
    ),
    "tunion-relay-number": _purse(
        "a relay that changes the first digits of the number: the same rider",
        make=PurseRelay,
        plan={"digits": "777"},
        seed=48,
    ),
    # QuickPass, genuine
    "quickpass-debit": Entry("QuickPass debit card with fDDA", QuickPass),
    "quickpass-credit": Entry("QuickPass credit card with fDDA", QuickPass.credit),
    "quickpass-phone": Entry(
        "QuickPass in a phone: token, random UID, holder verified", QuickPass.phone
    ),
    "phone-not-ready": Entry(
        "the same phone; its first SELECT is refused (6985)", QuickPass.waking
    ),
    "quickpass-1984": Entry(
        "debit card under the CA key of 1984 bits", QuickPass, options={"ca_index": 0xF2}
    ),
    "quickpass-signed-late": Entry(
        "debit card whose dynamic signature comes in a record",
        QuickPass,
        options={"sdad_in": "record"},
    ),
    "quickpass-fdda-00": Entry(
        "older card: application version 0020, fDDA version 00",
        QuickPass,
        options={"app_version": "0020"},
    ),
    "quickpass-no-par": Entry(
        "debit card without account reference", QuickPass, options={"par": ""}
    ),
    "quickpass-unlisted": Entry("debit card without a PPSE", QuickPass, options={"listed": False}),
    "quickpass-long-aid": Entry(
        "debit card with a longer AID",
        QuickPass,
        options={"aid": bytes.fromhex("A0000003330101010203")},
    ),
    "quickpass-two": Entry("two applications, the first refuses GPO", QuickPass.two),
    "quickpass-ecash": Entry("electronic cash, 50.00 yuan, pays by TC", ElectronicCash),
    "quickpass-ecash-late": Entry(
        "electronic cash whose signature needs the record that makes it pay",
        ElectronicCash,
        options={"late": True, "seed": 25},
    ),
    "quickpass-legacy": Entry("old card: DDA and GENERATE AC, answers 80", Legacy),
    "quickpass-legacy-77": Entry(
        "old card: DDA and GENERATE AC, answers 77", Legacy, options={"template": 77}
    ),
    # QuickPass, refused by itself or by the rules
    "quickpass-aac": _bad("the card refuses (AAC)", "card_refused", decision="aac"),
    "quickpass-legacy-aac": _bad(
        "old card that refuses (AAC)", "card_refused", Legacy, decision="aac"
    ),
    "quickpass-ecash-low": _bad(
        "electronic cash with 1.00 yuan left: AAC", "card_refused", ElectronicCash, balance=100
    ),
    "quickpass-ecash-boasts": _bad(
        "electronic cash with 1.00 yuan left that answers TC all the same",
        "insufficient_balance",
        ElectronicCash,
        balance=100,
        boasts=True,
    ),
    "quickpass-ecash-secret": _bad(
        "electronic cash that does not tell its balance",
        "unsupported",
        ElectronicCash,
        secretive=True,
    ),
    "quickpass-expired": _bad("card expired in 2020", "expired", expiry="2012"),
    "quickpass-early": _bad("card valid from 2048", "not_yet_valid", begins="480101"),
    "quickpass-atc-0": _bad("transaction counter 0", "malformed", atc=-1),
    "quickpass-sda": _bad("static authentication only", "unsupported", aip="4000"),
    "quickpass-sm2": _bad("issuer certificate with an SM2 key", "unsupported", sm2=True),
    # Certificates
    "quickpass-issuer-expired": _bad(
        "issuer certificate expired in 2020", "expired", issuer_expires="2012"
    ),
    "quickpass-icc-expired": _bad(
        "card certificate expired in 2020", "expired", card_expires="2012"
    ),
    "quickpass-unknown-ca": _bad(
        "names a CA key that nobody knows", "unknown_issuer", claims_ca=0x77
    ),
    "quickpass-wrong-ca": _bad(
        "issuer certificate by somebody else's key", "bad_signature", forge="ca"
    ),
    "quickpass-bad-issuer": _bad("issuer certificate damaged", "bad_signature", forge="issuer"),
    "quickpass-bad-icc": _bad("card certificate damaged", "bad_signature", forge="icc"),
    "quickpass-iin": _bad("another issuer's certificate", "bad_signature", forge="iin"),
    "quickpass-holder": _bad("another card's certificate", "bad_signature", forge="holder"),
    "quickpass-static": _bad("signed record tampered with", "bad_signature", forge="static"),
    "quickpass-list": _bad("9F4A names another tag", "bad_signature", forge="list"),
    # Dynamic signature
    "quickpass-sdad": _bad("wrong dynamic signature", "bad_signature", forge="sdad"),
    "quickpass-replay": _bad(
        "dynamic signature of an earlier tap", "bad_signature", forge="replay"
    ),
    "quickpass-version": _bad("fDDA version 00 where 01 is due", "bad_signature", forge="version"),
    "quickpass-counter": _bad("9F36 is not the signed counter", "bad_signature", forge="counter"),
    "quickpass-ctq": _bad("claims a verified holder", "bad_signature", forge="ctq"),
    "quickpass-ecash-sdad": _bad(
        "electronic cash with a wrong signature", "bad_signature", ElectronicCash, forge="sdad"
    ),
    "quickpass-legacy-sdad": _bad(
        "old card with a wrong signature", "bad_signature", Legacy, forge="sdad"
    ),
    "quickpass-legacy-replay": _bad(
        "old card with the signature of an earlier tap", "bad_signature", Legacy, forge="replay"
    ),
    "quickpass-legacy-ddol": _bad(
        "old card that signs the date in place of 9F37", "bad_signature", Legacy, ddol="9A03"
    ),
    # Attackers: what nobody signs, changed on the way
    "quickpass-par-dropped": Entry(
        "relay that leaves the account reference out: known by its number",
        Relay,
        options={"trick": "par-dropped"},
    ),
    "quickpass-par-changed": Entry(
        "relay that shows another account reference: known by its number",
        Relay,
        options={"trick": "par-changed"},
    ),
    "quickpass-cryptogram": Entry(
        "relay that changes the cryptogram: the issuer alone can tell, at settlement",
        Relay,
        options={"trick": "cryptogram"},
    ),
    "quickpass-aac-as-arqc": _bad(
        "relay that makes ARQC of a refusal: a card does not sign what it refuses",
        "malformed",
        Relay,
        trick="aac-as-arqc",
        decision="aac",
    ),
    "quickpass-aac-signed-as-arqc": Entry(
        "the same with a card that signs refusals: the issuer alone can tell, at settlement",
        Relay,
        options={"trick": "aac-as-arqc", "decision": "aac", "signs_refusals": True},
    ),
    "quickpass-track-2-date": _bad(
        "relay that gives an expired card a later date in track 2",
        "expired",
        Relay,
        trick="track-2",
        expiry="2012",
    ),
    "quickpass-amount": _bad(
        "relay that asks the card for 0.01 yuan", "bad_signature", Relay, trick="amount"
    ),
    "quickpass-downgrade": _bad(
        "relay that makes the card sign no amount", "bad_signature", Relay, trick="downgrade"
    ),
    "quickpass-downgrade-version": _bad(
        "the same, and the card's version made older",
        "bad_signature",
        Relay,
        trick="version",
    ),
    "quickpass-downgrade-old": _bad(
        "the same, with a card that does not sign what version it is of",
        "bad_signature",
        Relay,
        trick="old",
        drop="9F08",
    ),
    "quickpass-no-version": _bad(
        "older card that signs no amount, and does not say that it is old",
        "bad_signature",
        app_version="0020",
        drop="9F08",
    ),
    "upcash-forged-tear": _bad(
        "phone without keys that falls silent where electronic cash pays", "bad_signature", Mute
    ),
    "upcash-forged-tear-late": _bad(
        "the same, of the kind whose signature comes last", "bad_signature", Mute, late=True
    ),
    "upcash-relay": Entry(
        "relay that keeps electronic cash from paying: torn, nothing rides yet",
        Relay,
        "retry",
        "card_lost",
        {"trick": "hold", "seed": 26},
    ),
    "upcash-relay-late": Entry(
        "the same, of the kind whose signature comes last",
        Relay,
        "retry",
        "card_lost",
        {"trick": "hold", "late": True, "seed": 27},
    ),
    # Missing and damaged data
    **{
        f"quickpass-no-{tag.lower()}": _bad(f"without tag {tag}", "malformed", drop=tag)
        for tag in ("57", "82", "8F", "90", "94", "9F10", "9F26", "9F32", "9F36", "9F46", "9F4B")
    },
    "quickpass-legacy-no-8c": _bad("old card without CDOL1", "malformed", Legacy, drop="8C"),
    **{
        f"quickpass-{damage}": _bad(text, "malformed", damage=damage)
        for damage, text in (
            ("overlong", "TLV length behind the end of its record"),
            ("64k", "TLV length of 65535"),
            ("truncated", "record cut off inside a tag"),
            ("deep", "templates in templates"),
            ("twice", "expiry date twice, with two values"),
            ("afl-file", "AFL names file 31"),
            ("afl-order", "AFL ends before it begins"),
            ("afl-signed", "AFL signs more records than there are"),
            ("afl-long", "AFL names 255 records"),
        )
    },
    # No medium
    "mifare": Entry(
        "MIFARE Classic: activated, but no ISO-DEP card", Mifare, "declined", "unsupported"
    ),
    "garbage": Entry("ISO-DEP card that answers random bytes", Garbage, "declined", None),
    "empty": Entry(
        "ISO-DEP card without any application (6A82)", Empty, "declined", "unsupported"
    ),
}

__all__ = ["AMOUNT", "CARDS", "Entry", "Phone"]
