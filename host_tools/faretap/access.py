"""Sessions with a validator in service: the challenge signed by an access key.

A validator in service answers reading and changing calls only within a session (docs/security.md).
`attach(link)` opens one by itself, when a call is refused for want of it and the environment names
a key: FARETAP_ACCESS, the PEM file of a P-256 key that the configuration lists under "access";
FARETAP_PASSPHRASE or FARETAP_PASSPHRASE_FILE opens it.

What is signed names a validator. It is the one that this host was *told to reach*: by the caller
(a rack's slot, a file of records), by `--serial` or FARETAP_SERIAL, or by the person at the
terminal, who reads it off the label. Never the one that the device names: a rogue validator could
name any, and pass the signature on to that one.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from faretap import known, meant
from faretap.config.keys import compressed, load
from faretap.errors import FaretapError
from faretap.link import Link, Refused
from faretap.reading import read_passphrase
from validator.gate import challenge_text

VARIABLE = "FARETAP_ACCESS"
SERIAL = "FARETAP_SERIAL"
_TRIES = 3
_OPEN_S = 10.0  # a rider who stands there goes first
_TOKEN = 64
_CLOSE_S = 1.0  # after that the validator's own time-out ends it
_LATE_S = 3.0  # that an answer to session.open may still take when this command is ended


class AccessError(FaretapError):
    """No session was given."""


def attach(link: Link, serial: str = "") -> None:
    """Let `link` open a session when a call needs one, with the validator `serial`: "" if nobody
    said which that is. The session is closed when the link is."""

    def opened(refused: Refused) -> bool:
        path = os.environ.get(VARIABLE, "")
        if not path:
            raise AccessError(
                f"The validator refused {refused.method}: {refused.message}.",
                f"Set {VARIABLE} to the file of a key that its configuration names.",
            )
        wanted = reached(link, serial)
        open_session(link, load(Path(path), passphrase), wanted)
        return True

    link.on_refused = opened


def told() -> str:
    """The serial of `--serial`, else of FARETAP_SERIAL; "" if there is none. AccessError for one
    that is none."""
    return as_serial(meant.serial or os.environ.get(SERIAL, ""))


def as_serial(text: str) -> str:
    """A validator's serial number as it is written on a label: hex digits, with or without
    colons."""
    plain = re.sub("[:-]", "", text.strip()).lower()
    if plain and not re.fullmatch("([0-9a-f]{2}){4,16}", plain):
        raise AccessError(
            f"{text!r} is not a validator's serial number.",
            "That has twelve hex digits, such as 246f28001122; it is on the label.",
        )
    return plain


def same(link: Link, serial: str) -> None:
    """AccessError unless the validator at `link` says that it is `serial`."""
    found = str(link.call("info")["serial"])
    if found != serial:
        raise AccessError(
            f"At {link.name} is a validator that says it is {found}, not {serial}.",
            "Is it the right port? Nothing was signed.",
        )


def reached(link: Link, serial: str = "", ask: Callable[[str], str] | None = None) -> str:
    """The serial of the validator that this host means to reach, and that says so: the one of the
    caller, of FARETAP_SERIAL, or of the person at the terminal. AccessError if there is none.

    `ask(question)` is the person; left out: whoever is at the terminal, if somebody is.
    """
    serial = serial or told()
    if serial:
        same(link, serial)
        return serial
    claimed = str(link.call("info")["serial"])
    if known.recall(link.name) == claimed:
        return claimed
    if ask is None:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise AccessError(
                f"Nobody said which validator is meant to be at {link.name}; it says that it is "
                f"{claimed}.",
                f"Name the one that is meant by --serial or {SERIAL}, or in the rack file by mac.",
            )
        ask = _ask
    typed = re.sub("[^0-9a-f]", "", ask(_QUESTION % link.name).lower())
    # The person reads it off the case: what the device claims is not shown before.
    if len(typed) < _DIGITS or not claimed.endswith(typed):
        raise AccessError(
            f"The validator at {link.name} says that it is {claimed}, which does not end in "
            f"{typed or 'what was typed'}.",
            "Nothing was signed. Is it the validator on the desk, and the right port?",
        )
    known.remember(link.name, claimed)
    return claimed


_DIGITS = 6
_QUESTION = (
    "A session is needed with the validator at %s.\n"
    "Its serial number, from the label on its case (all, or the last six digits): "
)


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline(80)


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


def open_session(link: Link, key: ec.EllipticCurvePrivateKey, serial: str) -> dict[str, object]:
    """{"name", "rights", "silence_ms"}; AccessError if the validator does not know the key, or
    does not say that it is `serial`, the one that this host was told to reach.

    From then on each message of `link` carries the session's token: it is this host's alone. The
    session is closed with the link.
    """
    same(link, serial)
    for left in reversed(range(_TRIES)):
        try:
            answer = _opened(link, key, serial)
            break
        except Refused as e:
            if left and isinstance(e.data, dict) and e.data.get("kind") == "again":
                continue  # the challenge was answered too late, or somebody else's is looked at
            raise AccessError(
                f"The validator gave no session: {e.message}.",
                'Is this key listed under "access" in the configuration that it runs?',
            ) from e
    if link.session is None:
        raise AccessError(
            "The validator answered with a session that is none.",
            "Use the version of faretap that its firmware came with.",
        )
    return answer


def _opened(link: Link, key: ec.EllipticCurvePrivateKey, serial: str) -> dict[str, object]:
    challenge = link.call("session.challenge")
    if challenge["serial"] != serial:
        raise AccessError(
            f"The validator at {link.name} wants a signature for {challenge['serial']}, and is "
            f"said to be {serial}.",
            "Nothing was signed. It is not the validator that it says it is.",
        )
    text = challenge_text(serial, bytes.fromhex(challenge["nonce"]))
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return _uncut(
        link,
        {
            "nonce": challenge["nonce"],
            "public": compressed(key.public_key()).hex(),
            "signature": (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex(),
        },
    )


_done = threading.Event


def _uncut(link: Link, signed: dict[str, object]) -> dict[str, object]:
    """Call session.open and keep its token, in a thread of its own: Ctrl-C, which reaches the main
    thread alone, leaves no session whose token nobody has, and which nobody can close."""
    answers: list[dict[str, object]] = []
    errors: list[Exception] = []
    done = _done()  # a thread whose `join` was interrupted counts as ended

    def ask() -> None:
        try:
            answer = link.call("session.open", signed, timeout=_OPEN_S, again=1.5)
            token = answer.pop("session", None)
            if isinstance(token, str) and 0 < len(token) <= _TOKEN:
                if close_session not in link.on_close:
                    link.on_close.append(close_session)
                link.session = token
            answers.append(answer)
        except Exception as e:
            errors.append(e)
        finally:
            done.set()

    thread = threading.Thread(target=ask, name="session.open", daemon=True)
    try:
        thread.start()
        done.wait()
    except BaseException:
        done.wait(_LATE_S)
        raise
    if errors:
        raise errors[0]
    return answers[0]


def close_session(link: Link) -> None:
    """End this host's session; none of another host's."""
    if link.session is None:
        return
    try:
        link.call("session.close", timeout=_CLOSE_S)
    finally:
        link.session = None
