"""MoT ride codes in the catalogue."""

from __future__ import annotations

from . import mot
from .fields import pair
from .keys import key
from .kind import Kind, after, always, cut, flip, no_point, put, times
from .reference import SM2

LOCAL = "99990002"
"""The platform whose codes are signed under local SM2 user ids."""

_N = SM2.n.to_bytes(32, "big")
_ZERO, _ONE = bytes(32), (1).to_bytes(32, "big")
_ALL = "certificate issuer user"


def add_all() -> None:
    add = (kind := Kind("mot", mot.build)).add
    add("", "MoT interoperable ride code (JT/T 1179), 332 raw bytes")
    add("format-21", "both signatures with format byte 21", issuer_format=0x21, user_format=0x21)
    add("version-ff", "version FF", version=0xFF)
    add("student", "card of a student, 20 digits", card_type=2, card="99990000000000000020")
    times(kind)
    # The certificate
    add("cert-expired", "certificate expired in 2020", "expired", certificate_expiry="2012")
    add("cert-month", "certificate expires in a month 13", "malformed", certificate_expiry="4013")
    add("cert-header", "certificate record header 25", "malformed", header=0x25)
    add("cert-format", "certificate format 13", "malformed", certificate_format=0x13)
    add("cert-algorithm", "certificate signed with RSA", "malformed", signature_algorithm=1)
    add(
        "root-expired",
        "certificate by a root that expired in 2020",
        "expired",
        root_index=0x7D,
        root_signer="root-old",
    )
    add(
        "unknown-root",
        "certificate by a root that nobody knows",
        "unknown_issuer",
        root_index=0x7E,
        root_signer="stray",
        broken=None,
    )
    add(
        "wrong-root",
        "certificate by somebody else's root of that index",
        "bad_signature",
        "certificate",
        root_signer="stray",
    )
    add(
        "own-certificate",
        "certificate signed with the key inside it",
        "bad_signature",
        "certificate",
        root_signer="issuer",
    )
    add(
        "tampered-certificate",
        "year of the certificate's expiry changed",
        "bad_signature",
        _ALL,
        damage=flip(3 + 12),
    )
    add(
        "tampered-service",
        "service id changed, which the root does not sign",
        "bad_signature",
        "issuer user",
        damage=flip(3 + 3),
    )
    add(
        "issuer-mismatch",
        "certificate of another issuer",
        "unknown_issuer",
        certificate_issuer="99990007",
    )
    # The issuer's authorisation
    add(
        "wrong-issuer-key",
        "authorised by somebody else's key",
        "bad_signature",
        "issuer",
        issuer_signer="stray",
    )
    add(
        "tampered-account",
        "payment account changed after the issuer signed",
        "bad_signature",
        "issuer user",
        damage=flip(120),
    )
    add(
        "tampered-limit",
        "single-trip limit raised by the rider",
        "bad_signature",
        "issuer user",
        damage=put(155, (9999).to_bytes(3, "big")),
    )
    add(
        "stolen",
        "another rider's account, signed with this rider's key",
        "bad_signature",
        "issuer",
        # The issuer authorised the account below; the phone signs for the one it shows.
        damage=_stolen,
    )
    add(
        "foreign-platform",
        "a platform that is not accepted",
        "unknown_issuer",
        platform="99990009",
    )
    # The rider's signature
    add(
        "wrong-user-key",
        "signed by somebody else's phone",
        "bad_signature",
        "user",
        user_signer="stray",
    )
    add(
        "swapped-keys",
        "issuer and rider signed with each other's key",
        "bad_signature",
        "issuer user",
        issuer_signer="user",
        user_signer="issuer",
    )
    add(
        "tampered-time",
        "generation time changed by a second",
        "bad_signature",
        "user",
        damage=flip(266),
    )
    add("tampered-version", "version changed", "bad_signature", "user", damage=flip(0))
    add(
        "r-and-s",
        "r and s of the rider's signature in each other's place",
        "bad_signature",
        "user",
        damage=lambda code: code[:268] + code[300:] + code[268:300],
    )
    add(
        "default-id-local",
        "signed under local SM2 user ids where the default is due",
        "bad_signature",
        _ALL,
        ids="local",
    )
    # Keys and numbers that are none
    bad_point = no_point(32, SM2)
    add(
        "user-key-off-curve",
        "rider's key is no point of the curve",
        "bad_signature",
        "user",
        user_key=bad_point,
    )
    add(
        "issuer-key-off-curve",
        "issuer's key is no point of the curve",
        "bad_signature",
        "issuer",
        issuer_key=bad_point,
    )
    add(
        "user-key-too-large",
        "rider's key has x = p + 1",
        "bad_signature",
        "user",
        user_key=b"\x02" + (SM2.p + 1).to_bytes(32, "big"),
    )
    add(
        "user-key-format",
        "rider's key begins with 04, as no compressed point does",
        "bad_signature",
        "user",
        user_key="04" + "11" * 32,
    )
    for what in ("certificate", "issuer", "user"):
        for name, r, s in (
            ("r-zero", _ZERO, _ONE),
            ("s-zero", _ONE, _ZERO),
            ("r-n", _N, _ONE),
            ("s-n", _ONE, _N),
            ("r-plus-s-n", _ONE, (SM2.n - 1).to_bytes(32, "big")),
        ):
            text = name.replace("-plus-", " + ").replace("-", " = ").replace("zero", "0")
            add(
                f"{what}-{name}",
                f"{what} signature with {text}",
                "bad_signature",
                what,
                at=always(f"{what}_signature", r + s),
            )
    # Lengths and digits
    add("truncated", "last byte missing", "malformed", damage=cut(1))
    add("half", "half of a code", "malformed", damage=cut(166))
    add("trailing", "a byte too many", "malformed", damage=after(b"\x00"))
    add("data-length", "data length one too large", "malformed", data_length=330)
    add(
        "custom-length",
        "a custom field of one byte that is not there",
        "malformed",
        custom_length=1,
    )
    add("custom-33", "custom field of 33 bytes", "malformed", custom=bytes(33))
    add(
        "card-digits",
        "card account number with a hex letter",
        "malformed",
        card="99990000000000A0001",
    )
    add("issuer-digits", "issuer number with a hex letter", "malformed", issuer="9999000A")
    add("version-7f", "version 7F: no ride code", "unsupported", None, version=0x7F)

    custom = Kind("mot-custom", mot.build, custom=bytes.fromhex("000A0D") + bytes(range(29))).add
    custom("", "ride code with a custom field of 32 bytes: 00, 0A and 0D among them")
    custom(
        "tampered",
        "custom field changed after the issuer signed",
        "bad_signature",
        "issuer user",
        damage=flip(198 + 31),
    )

    local = Kind("mot-local-id", mot.build, platform=LOCAL, ids="local").add
    local("", "ride code of a city with SM2 user ids of its own")
    local(
        "tampered",
        "card account number, an SM2 user id too, changed",
        "bad_signature",
        "issuer user",
        damage=flip(140, 0x10),
    )
    local(
        "missing",
        "the same city, but signed under the default id",
        "bad_signature",
        _ALL,
        ids="default",
    )


def _stolen(code: bytes) -> bytes:
    """A rider's phone signs properly what its issuer never authorised."""
    signed = code[:120] + b"9999000000000666" + code[136:267]
    return signed + code[267:268] + pair(key("user").sm2(signed))
