"""Every simulated card: its name, one line about it, and what a validator must make of it.

The outcomes are those of a validator that was told the test scheme (`scheme.configuration()`), has
its clock set, and asks for 2.00 yuan. Tests and `faretap tap --list` read this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .card import Card
from .legacy import Legacy
from .plain import Empty, Garbage, Mifare
from .purse import ElectronicCash
from .quickpass import Phone, QuickPass
from .tunion import TUnion

AMOUNT = 200
"""Fen that the expectations are for."""


@dataclass(frozen=True)
class Entry:
    """One card. `reason` is "" for an accepted one, None where any will do."""

    text: str
    make: Callable[..., Card]
    outcome: str = "accepted"
    reason: str | None = ""
    options: dict[str, Any] = field(default_factory=dict)

    def expected(self) -> str:
        return f"{self.outcome} {self.reason}" if self.reason else self.outcome


def _bad(text: str, reason: str, make: Callable[..., Card] = QuickPass, **options: Any) -> Entry:
    return Entry(text, make, "declined", reason, options)


CARDS: dict[str, Entry] = {
    # T-Union
    "tunion": Entry("T-Union purse, 50.00 yuan", TUnion, "declined", "unverified"),
    "tunion-student": Entry(
        "T-Union purse of a student, 20.00 yuan", TUnion.student, "declined", "unverified"
    ),
    "tunion-low": Entry("T-Union purse with 0.80 yuan left", TUnion.low, "declined", "unverified"),
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
