"""A bundle into a validator over the link, and what the validator runs out of it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from faretap.bounded import loads
from faretap.config import keys
from faretap.config.bundle import Bundle, read
from faretap.config.errors import ConfigError
from faretap.link.answers import clean
from faretap.link.client import NoAnswer, Refused
from faretap.shown import shown

PIECE = 600  # bytes of the body in one call: in base64 what the validator's message limit holds
_TRIES = 16  # pieces without getting on; a validator that was reset asks from the start again
_MEMBER = 1 << 16  # bytes of one member of a configuration, twice what a bank holds
_MEMBERS = 64
_PATIENCE = 8.0  # seconds: it erases, verifies, and lets a rider pass before it answers

Progress = Callable[[int, int], None]

# What to do about each reason for which a validator refuses a bundle.
NEXT_STEPS = {
    "damaged": "Push it again; if that does not help, sign it again.",
    "unsigned": "Sign it with the operator's key.",
    "foreign": "Sign it with the key that this validator was claimed with: `faretap config show "
    "--port PORT` tells its fingerprint, `faretap keys show` that of a key.",
    "old": "Give the configuration a higher version and sign it again.",
    "not_for_me": "Push the bundle whose serials name this validator.",
    "too_early": "Set the validator's clock, or wait until then.",
    "invalid": "Correct the configuration and sign it again; or update the firmware.",
    "too_large": "Make the configuration smaller.",
    "busy": "Push it again in a moment, or within a session: set FARETAP_ACCESS to the file of a "
    'key with the right "change".',
    "memory": "Push it again.",
}


class Caller(Protocol):
    """What is needed of `faretap.link.client.Link`."""

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        timeout: float = ...,
        again: float = ...,
    ) -> Any: ...


class PushRefused(ConfigError):
    """The validator does not take the bundle; `reason` is its word for why."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(f"The validator refused: {sentence}.", NEXT_STEPS.get(reason, ""))
        self.reason = reason


def info(link: Caller) -> dict[str, Any]:
    """What runs: version, hash, life cycle, bank, operator, faults."""
    answer: dict[str, Any] = _call(link, "config.info")
    return answer


def claim(link: Caller, public: ec.EllipticCurvePublicKey) -> None:
    """Make the validator the operator's: from then on it takes bundles of that key only."""
    _call(link, "config.claim", {"public": keys.compressed(public).hex()})


def push(link: Caller, data: bytes, progress: Progress | None = None) -> dict[str, Any]:
    """Put a bundle in force; what `info` says of it. PushRefused, or an error of the link.

    Nothing changes before the last call, and a push that broke off is begun again and goes on
    where it was.
    """
    bundle = read(data)
    if not info(link)["operator"]:
        raise ConfigError(
            "The validator has no operator yet.",
            "Claim it with the operator's public key: --claim operator.pem.pub.",
        )
    begun = _call(link, "config.begin", {"head": bundle.head.hex()})
    at = _offset(begun, bundle)
    again = 0
    best = at
    while at < len(bundle.text):
        if progress:
            progress(at, len(bundle.text))
        piece = base64.b64encode(bundle.text[at : at + PIECE]).decode()
        following = _offset(_call(link, "config.data", {"at": at, "data": piece}), bundle)
        # Further on than ever counts: to and fro would have no end.
        again = 0 if following > best else again + 1
        best = max(best, following)
        if again > _TRIES:
            raise ConfigError(f"The validator takes nothing from byte {at} on.", "Push it again.")
        at = following
    if progress:
        progress(at, len(bundle.text))
    if not begun["in_force"]:
        try:
            _call(link, "config.commit")
        except NoAnswer:
            # It may have restarted with the answer on the way: what runs tells.
            if info(link)["hash"] != bundle.hash:
                raise
    return info(link)


def _offset(answer: dict[str, Any], bundle: Bundle) -> int:
    at = answer["next"]
    if not isinstance(at, int) or not 0 <= at <= len(bundle.text):
        raise ConfigError(f"The validator wants byte {at!r} of {len(bundle.text)}.")
    return at


def pull(link: Caller) -> dict[str, Any]:
    """The configuration that runs, without what is secret; {} if none does."""
    body: dict[str, Any] = {}
    names = _call(link, "config.read").get("names")
    if not isinstance(names, list) or len(names) > _MEMBERS:
        raise ConfigError("The validator does not say which members its configuration has.")
    for name in names:
        text = _member(link, name)
        try:
            body[name] = clean(loads(text, _MEMBER))
        except ValueError as e:
            raise ConfigError(
                f"What the validator gives for {shown(name)} is no JSON: {shown(e, 200)}.",
                "Push its configuration again.",
            ) from None
    return body


def _member(link: Caller, name: str) -> bytes:
    """The JSON of one member. What is left has to become less with each piece."""
    text = b""
    before: int | None = None
    while before != 0:
        answer = _call(link, "config.read", {"name": name, "at": len(text)})
        try:
            part = base64.b64decode(answer["data"], validate=True)
            left = int(answer["left"])
        except (KeyError, ValueError, TypeError):
            part, left = b"", -1
        wrong = left < 0 or (before is not None and left >= before)
        text += part
        if wrong or (left and not part) or len(text) + left > _MEMBER:
            raise ConfigError(
                f"The validator does not give the whole of {shown(name)}: after "
                f"{len(text):,} bytes it says that {left:,} are left.",
                "Push its configuration again.",
            )
        before = left
    return text


def _call(link: Caller, method: str, params: dict[str, Any] | None = None) -> Any:
    try:
        return link.call(method, params, timeout=_PATIENCE, again=2.0)
    except Refused as e:
        if isinstance(e.data, dict) and "reason" in e.data:
            raise PushRefused(shown(e.data["reason"], 80), e.message) from e
        raise
