"""The signed file that a validator takes; its layout stands in `validator.store.bundle`.

data = make(body, key)          # body: dict as `faretap.config.source.body` makes it
bundle = read(data)             # Bundle, or ConfigError
bundle.verify(public)           # ConfigError unless that key signed it
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from faretap.config.errors import ConfigError
from faretap.config.keys import public_bytes
from faretap.reading import as_text, parse_json
from validator.store import bundle as layout
from validator.store.configuration import AT

HEAD_SIZE = layout.HEAD_SIZE


@dataclass(frozen=True)
class Bundle:
    """A bundle, taken apart; nothing is said about its signature."""

    data: bytes
    version: int
    not_before: int
    key_id: bytes
    digest: bytes
    body: dict[str, Any]

    @property
    def head(self) -> bytes:
        return self.data[:HEAD_SIZE]

    @property
    def text(self) -> bytes:
        """The body as the validator gets it."""
        return self.data[HEAD_SIZE:]

    @property
    def hash(self) -> str:
        """What a validator that runs it reports."""
        return self.digest[:4].hex()

    def signed_by(self, public: ec.EllipticCurvePublicKey) -> bool:
        r, s = (int.from_bytes(self.data[at : at + 32], "big") for at in (64, 96))
        if self.key_id != layout.key_id(public_bytes(public)):
            return False
        try:
            public.verify(
                encode_dss_signature(r, s), self.data[: layout.SIGNED], ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            return False
        return True


def body_text(body: dict[str, Any]) -> bytes:
    """The body as bytes: JSON, each member on a line of its own."""
    lines = [
        f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"
        for name, value in body.items()
    ]
    return ("{\n" + ",\n".join(lines) + "\n}").encode()


def room(partition: int) -> int:
    """Bytes of a body that fit a "config" partition of that size."""
    return partition // 2 - AT - HEAD_SIZE


SMALLEST_ROOM = room(0x10000)  # on boards with 4 MB of flash


def make(body: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    """The bundle; `body` has a version, and may have not_before."""
    text = body_text(body)
    head: bytes = layout.pack(
        body["version"], body.get("not_before", 0), public_bytes(key.public_key()), text
    )
    # Deterministic (RFC 6979): the same configuration gives the same file.
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(head, algorithm))
    return head + r.to_bytes(32, "big") + s.to_bytes(32, "big") + text


def read(data: bytes, name: str = "the file") -> Bundle:
    """Take a bundle apart; ConfigError if it is none or is damaged."""
    try:
        version, not_before, size, key_id, digest = layout.parse(data[:HEAD_SIZE])
    except layout.Refused as e:
        raise ConfigError(f"{name}: {e}.", "Make one with `faretap config sign`.") from e
    text = data[HEAD_SIZE:]
    if len(text) != size or hashlib.sha256(text).digest() != digest:
        raise ConfigError(f"{name} is a damaged bundle.", "Sign the configuration again.")
    what = f"The body of the bundle {name}"
    body = parse_json(as_text(text, what, ConfigError), what, ConfigError)
    if (
        not isinstance(body, dict)
        or not re.fullmatch("([0-9a-f]{32})?", str(body.get("token_key", "")))
        or not isinstance(body.get("serials", []), list)
    ):
        raise ConfigError(f"{what} is no configuration.", "Sign the configuration again.")
    return Bundle(data, version, not_before, key_id, digest, body)


def is_bundle(data: bytes) -> bool:
    return data[:4] == layout.MAGIC
