"""Every way in which a simulated QuickPass card can be wrong, as options of the card."""

from __future__ import annotations

from dataclasses import dataclass

from .card import tlv

FORGERIES = {
    "": "nothing",
    "issuer": "the issuer certificate has a bit changed",
    "ca": "the issuer certificate is signed by somebody else's key",
    "icc": "the card certificate has a bit changed",
    "holder": "the card certificate is another card's",
    "iin": "the issuer certificate is another issuer's",
    "static": "a signed record is changed afterwards",
    "list": "9F4A names 5F24 instead of 82",
    "sdad": "the dynamic signature has a bit changed",
    "replay": "the dynamic signature is of an earlier 9F37",
    "version": "fDDA version 00 from a card that knows version 01",
    "counter": "9F36 is not the counter that was signed",
    "ctq": "9F6C claims a verified holder, the signed CTQ does not",
}

DAMAGES = {
    "": "nothing",
    "overlong": "a length that reaches behind its record",
    "64k": "a length of 65535 bytes",
    "truncated": "a record that ends inside a tag",
    "deep": "templates in templates without end",
    "twice": "an expiry date twice, with two values",
    "afl-file": "the AFL names file 31",
    "afl-order": "the AFL's last record comes before its first",
    "afl-signed": "the AFL has more signed records than records",
    "afl-long": "the AFL names 255 records",
}


@dataclass(frozen=True)
class Flaws:
    """What is wrong with a card; by default nothing.

    `forge` one of FORGERIES, `damage` one of DAMAGES; `drop` tags that the card does not send,
    hex with commas; `issuer_expires`, `card_expires` YYMM of the certificates; `claims_ca` another
    index in tag 8F; `sm2` an issuer certificate of the SM2 form.
    """

    forge: str = ""
    damage: str = ""
    drop: str = ""
    issuer_expires: str = "4912"
    card_expires: str = "4912"
    claims_ca: int = 0
    sm2: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("forge", self.forge, FORGERIES),
            ("damage", self.damage, DAMAGES),
        ):
            if value not in allowed:
                known = ", ".join(a for a in allowed if a)
                raise ValueError(f"{name} is one of {known}, not {value!r}")

    def dropped(self) -> set[int]:
        return {int(tag, 16) for tag in self.drop.split(",") if tag}

    def put(self, tag: int, value: bytes) -> bytes:
        """The data object, or nothing if the card leaves it out."""
        return b"" if tag in self.dropped() else tlv(tag, value)

    def afl(self, afl: bytes) -> bytes:
        """The card's application file locator, or what damage makes of it."""
        return {
            "afl-file": bytes.fromhex("F8010100") + afl,
            "afl-order": bytes.fromhex("10040101") + afl,
            "afl-signed": bytes.fromhex("10010105") + afl,
            "afl-long": bytes.fromhex("1001FF00") + afl,
        }.get(self.damage, afl)

    def record(self, content: bytes) -> bytes:
        """A record with that content, or what damage makes of it."""
        whole = tlv(0x70, content)
        if self.damage == "overlong":
            return b"\x70\x81" + bytes([len(content) + 40]) + content
        if self.damage == "64k":
            return b"\x70\x82\xff\xff" + content
        if self.damage == "truncated":
            return tlv(0x70, content + b"\x9f")
        if self.damage == "twice":
            return tlv(0x70, bytes.fromhex("5F2403991231") + content)
        if self.damage == "deep":
            deep = content[:40]
            for _ in range(60):
                deep = tlv(0x70, deep)
            return deep
        return whole


def flip(data: bytes) -> bytes:
    """The same bytes with one bit changed; still smaller than any modulus."""
    return data[:-1] + bytes([data[-1] ^ 0x01])


def sm2_certificate(pan: str) -> bytes:
    """An issuer certificate of the SM2 form (142 bytes); key and signature are no points."""
    message = b"\x12" + bytes.fromhex(pan[:6].ljust(8, "F")) + bytes.fromhex("1249000001")
    message += bytes.fromhex("04001140") + bytes(range(64))
    return message + bytes(range(64, 128))
