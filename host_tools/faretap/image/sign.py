"""The operator's signature on an application image: ECDSA P-256 with SHA-256 over its head.

signed = sign(container, load_key(…))
verify(signed, public)                  # ImageError, unless that key signed it
"""

from __future__ import annotations

from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from faretap.image.container import Container
from faretap.image.errors import ImageError
from validator import update_image as layout

_DOWNGRADE_AT = 5


def sign(
    container: Container, key: ec.EllipticCurvePrivateKey, downgrade: bool = False
) -> Container:
    """`container` with a signature; with `downgrade`, it may replace a newer version."""
    unsigned = bytearray(container.unsigned)
    unsigned[_DOWNGRADE_AT] = layout.DOWNGRADE if downgrade else 0
    r, s = decode_dss_signature(key.sign(bytes(unsigned), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return replace(container, unsigned=bytes(unsigned), signature=signature)


def is_signed_by(container: Container, public: ec.EllipticCurvePublicKey) -> bool:
    r, s = (int.from_bytes(container.signature[at : at + 32], "big") for at in (0, 32))
    try:
        public.verify(encode_dss_signature(r, s), container.unsigned, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def verify(container: Container, public: ec.EllipticCurvePublicKey) -> None:
    """ImageError unless the holder of `public` signed it."""
    if not container.signature:
        raise ImageError(
            "The image is not signed.", "Sign it: faretap image sign IMAGE --key KEY."
        )
    if not is_signed_by(container, public):
        raise ImageError(
            "The image is signed with another key than the operator's.",
            "Sign it with the key that the validator was claimed with.",
        )


def public_key(xy: bytes) -> ec.EllipticCurvePublicKey:
    """The key of which a validator keeps x and y, 64 bytes; ImageError if it is none."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + xy)
    except ValueError as e:
        raise ImageError("What the validator names as its operator's key is none.") from e
