"""Keys and MACs of a PBOC purse, for card and PSAM alike: 3DES and SM4, by `cryptography`.

    key = card_key(master("purchase", "8011", DES3), issuer, card_id, 2, DES3)
    session = session_key(key, random, counter, serial, DES3)
    mac(session, purchase_data(amount, kind, terminal, moment), DES3)

The 3DES arithmetic is that of PBOC (JR/T 0025) and JT/T 978 and reproduces the published vector.
The form of session key and MAC under SM4 is not public: the one taken here is the analogous one.
The 8 bytes of the session key's input become a block of 16 as they do in diversification (data,
then its complement), the whole block is the key; a MAC runs over blocks of 16 bytes.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4 as Sm4Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

DES3, SM4 = 0x01, 0x04
ALGORITHMS = {DES3: "3DES", SM4: "SM4"}

PURCHASE, COMPOSITE = 0x06, 0x09
"""Transaction types: single purchase, composite (CAPP) purchase."""


def complement(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def ecb(key: bytes, data: bytes, algorithm: int) -> bytes:
    """Encrypt whole blocks: of 8 bytes (3DES; with a key of 8 bytes DES), or of 16 (SM4)."""
    encryptor = Cipher(_cipher(key, algorithm), ECB()).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _cipher(key: bytes, algorithm: int) -> Sm4Cipher | TripleDES:
    # DES is 3DES with three equal keys, and a key of 16 bytes is used first, second, first.
    return Sm4Cipher(key) if algorithm == SM4 else TripleDES((key * 3)[:24])


def diversify(key: bytes, data: bytes, algorithm: int) -> bytes:
    """The key of 16 bytes that `data` (8 bytes) makes of a key of 16 bytes."""
    return ecb(key, data + complement(data), algorithm)


def card_key(
    master_key: bytes, issuer: bytes, card_id: bytes, levels: int, algorithm: int
) -> bytes:
    """A card's own key. `levels` is how many diversifiers the PSAM is given: 2 (command form 24,
    issuer and card), 1 (form 1C, card alone), 0 (form 14, the key itself).

    `issuer` are the first 4 bytes of file 15, `card_id` its bytes 12 to 19.
    """
    if levels == 2:
        master_key = diversify(master_key, issuer[:4] + b"\xff" * 4, algorithm)
    return diversify(master_key, card_id, algorithm) if levels else master_key


def session_key(key: bytes, random: bytes, counter: int, serial: bytes, algorithm: int) -> bytes:
    """`random` of 4 bytes from the card, its transaction counter, the terminal's serial number
    of 4 bytes, of which the last two count."""
    block = random + counter.to_bytes(2, "big") + serial[-2:]
    return diversify(key, block, SM4) if algorithm == SM4 else ecb(key, block, DES3)


def mac(key: bytes, data: bytes, algorithm: int) -> bytes:
    """The first 4 bytes of a CBC-MAC with IV 0 over `data`, padded with 80 00 …"""
    size = 16 if algorithm == SM4 else 8
    padded = data + b"\x80" + bytes(-(len(data) + 1) % size)
    encryptor = Cipher(_cipher(key, algorithm), CBC(bytes(size))).encryptor()
    return (encryptor.update(padded) + encryptor.finalize())[-size:][:4]


def purchase_data(amount: int, kind: int, terminal: bytes, moment: bytes) -> bytes:
    """What MAC1 covers; `terminal` of 6 bytes, `moment` YYYYMMDDhhmmss as 7 bytes BCD."""
    return amount.to_bytes(4, "big") + bytes([kind]) + terminal + moment


def confirmation_data(amount: int) -> bytes:
    """What MAC2 covers."""
    return amount.to_bytes(4, "big")


def tac(
    key: bytes,
    amount: int,
    kind: int,
    terminal: bytes,
    serial: bytes,
    moment: bytes,
    algorithm: int,
) -> bytes:
    """The transaction certificate for the issuer; `key` of 16 bytes is the card's TAC key."""
    if algorithm == DES3:
        key = bytes(left ^ right for left, right in zip(key[:8], key[8:], strict=True))
    head = amount.to_bytes(4, "big") + bytes([kind])
    return mac(key, head + terminal + serial + moment, algorithm)


@cache
def _stored() -> dict[str, Any]:
    text = files(__package__).joinpath("data/purse_test_keys.json").read_text()
    stored: dict[str, Any] = json.loads(text)
    return stored


def master(purpose: str, df: str, algorithm: int) -> bytes:
    """The test key of a PSAM's directory (8011: MoT, 1001: city union) for "purchase" or "tac".

    They are TEST KEYS: published, worth nothing. ValueError if there is none.
    """
    try:
        return bytes.fromhex(_stored()[purpose][df][f"{algorithm:02x}"])
    except KeyError:
        raise ValueError(f"no test key for {purpose}, {df}, algorithm {algorithm:02x}") from None
