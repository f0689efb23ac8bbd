"""Sessions with a validator in service: the challenge signed by an access key.

A validator in service answers reading and changing calls only within a session (docs/security.md).
`attach(link)` opens one by itself, when a call is refused for want of it and the environment names
a key: FARETAP_ACCESS, the PEM file of a P-256 key that the configuration lists under "access";
FARETAP_PASSPHRASE or FARETAP_PASSPHRASE_FILE opens it.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from faretap.config.keys import compressed, load
from faretap.errors import FaretapError
from faretap.link import Link, Refused
from faretap.reading import read_passphrase
from validator.gate import challenge_text

VARIABLE = "FARETAP_ACCESS"
_TRIES = 3
_OPEN_S = 10.0  # a rider who stands there goes first
_TOKEN = 64


class AccessError(FaretapError):
    """No session was given."""


def attach(link: Link) -> None:
    """Let `link` open a session when a call needs one."""

    def opened(refused: Refused) -> bool:
        path = os.environ.get(VARIABLE, "")
        if not path:
            raise AccessError(
                f"The validator refused {refused.method}: {refused.message}.",
                f"Set {VARIABLE} to the file of a key that its configuration names.",
            )
        open_session(link, load(Path(path), passphrase))
        return True

    link.on_refused = opened


def passphrase() -> str:
    """Of the access key, from the environment; AccessError if it is not there."""
    if "FARETAP_PASSPHRASE" in os.environ:
        return os.environ["FARETAP_PASSPHRASE"]
    file = os.environ.get("FARETAP_PASSPHRASE_FILE", "")
    if not file:
        raise AccessError(
            "The access key needs its passphrase.",
            "Set FARETAP_PASSPHRASE_FILE to a file that holds it, or FARETAP_PASSPHRASE.",
        )
    return read_passphrase(Path(file), AccessError)


def open_session(link: Link, key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    """{"name", "rights", "silence_ms"}; AccessError if the validator does not know the key.

    From then on each message of `link` carries the session's token: it is this host's alone.
    """
    for left in reversed(range(_TRIES)):
        try:
            answer = _opened(link, key)
            break
        except Refused as e:
            if left and isinstance(e.data, dict) and e.data.get("kind") == "again":
                continue  # the challenge was answered too late, or somebody else's is looked at
            raise AccessError(
                f"The validator gave no session: {e.message}.",
                'Is this key listed under "access" in the configuration that it runs?',
            ) from e
    token = answer.pop("session", None)
    if not isinstance(token, str) or not 0 < len(token) <= _TOKEN:
        raise AccessError(
            "The validator answered with a session that is none.",
            "Use the version of faretap that its firmware came with.",
        )
    link.session = token
    return answer


def _opened(link: Link, key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    challenge = link.call("session.challenge")
    text = challenge_text(challenge["serial"], bytes.fromhex(challenge["nonce"]))
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    answer: dict[str, object] = link.call(
        "session.open",
        {
            "nonce": challenge["nonce"],
            "public": compressed(key.public_key()).hex(),
            "signature": (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex(),
        },
        timeout=_OPEN_S,
        again=1.5,
    )
    return answer


def close_session(link: Link) -> None:
    """End this host's session; none of another host's."""
    try:
        link.call("session.close")
    finally:
        link.session = None
