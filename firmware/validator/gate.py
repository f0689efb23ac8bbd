"""Who may do what: the life cycle, and sessions of those whom the configuration names.

In `factory` and `bench` the link is the workbench's: everything is allowed. In `service` a rider
cannot be simulated at all, and reading records or changing anything needs a session: the host asks
for a challenge and signs it with a key that the configuration lists under "access".

A session ends with the host's silence, with `session.close`, or with the next boot. It is bound to
the line, not to a message: whoever can cut into the cable of an open session can speak in it.
docs/security.md weighs that.
"""

import os
from hashlib import sha256

from validator.link.peer import REFUSED, RpcError

RIGHTS = ("records", "change")
PREFIX = b"faretap session\0"  # so that no other thing the key signs can be taken for this
_NONCE = 16
_SILENCE_MS = 60000
_TRIES = 5  # refused signatures, then a pause: guessing costs time, an honest mistake does not
_PAUSE_MS = 10000

_SENTENCES = {
    "inject": "a validator in service takes no simulated riders",
    "debug": "a validator in service answers no bench calls",
    "records": "reading records in service needs a session: open one with an access key",
    "change": "changing anything in service needs a session: open one with an access key",
}


def challenge_text(serial, nonce):
    """What is signed for a session: `serial` is the validator's, in hex, `nonce` its challenge."""
    return PREFIX + serial.encode() + b"\0" + nonce


def compressed(public):
    """A P-256 point of 65 (or 33) bytes in the form of 33, by which a key is known here."""
    if len(public) == 65:
        return bytes((2 | public[64] & 1,)) + public[1:33]
    return public


class Gate:
    """`operate` sets what the configuration says. `clock` as in hal.py, `serial` in hex."""

    def __init__(self, clock, serial):
        self._clock = clock
        self._serial = serial
        self.life_cycle = "factory"
        self._keys = {}
        self._nonce = None
        self._rights = ()
        self._name = ""
        self._heard = 0
        self._refused = 0
        self._heard_refusal = 0

    def register(self, peer):
        peer.register("session.challenge", self._challenge)
        peer.register("session.open", self._open)
        peer.register("session.close", self._close)

    def operate(self, life_cycle, access):
        """`access` is the configuration's section: {"keys": [{"name", "public", "rights"}]}."""
        self.life_cycle = life_cycle
        self._keys = {}
        for entry in access.get("keys", ()):
            public = compressed(bytes.fromhex(entry["public"]))
            rights = [right for right in entry["rights"] if right in RIGHTS]
            self._keys[public] = (entry["name"], rights)

    def need(self, right):
        """RpcError unless this may be done now. `right`: inject, debug, records or change."""
        if self.life_cycle == "service" and right not in self._rights:
            data = {"need": right} if right in RIGHTS else None
            raise RpcError(REFUSED, _SENTENCES[right], data)

    def alive(self):
        """The host spoke: called for each of its messages, before it is served."""
        clock = self._clock
        now = clock.ticks_ms()
        if self._rights and clock.diff(now, self._heard) > _SILENCE_MS:
            self._close({})
        self._heard = now

    def status(self):
        return {"life_cycle": self.life_cycle, "session": self._name, "rights": self._rights}

    def _challenge(self, params):
        self._nonce = os.urandom(_NONCE)
        return {"nonce": self._nonce.hex(), "serial": self._serial}

    def _open(self, params):
        nonce = self._nonce
        self._nonce = None  # each is good for one answer
        clock = self._clock
        if self._refused >= _TRIES:
            if clock.diff(clock.ticks_ms(), self._heard_refusal) < _PAUSE_MS:
                raise RpcError(REFUSED, "too many wrong signatures: wait ten seconds")
            self._refused = 0
        if nonce is None:
            raise RpcError(REFUSED, "ask for a challenge first: each is good for one answer")
        try:
            public = bytes.fromhex(params["public"])
            signature = bytes.fromhex(params["signature"])
        except ValueError:
            public = signature = b""
        name, rights = self._keys.get(public, (None, ()))
        if name is None or not self._right(public, signature, nonce):
            self._refused += 1
            self._heard_refusal = clock.ticks_ms()
            text = "the key is none of the configuration's" if name is None else "wrong signature"
            raise RpcError(REFUSED, "no session: " + text)
        self._refused = 0
        self._rights = rights
        self._name = name
        return {"name": name, "rights": rights, "silence_ms": _SILENCE_MS}

    def _right(self, public, signature, nonce):
        # Loaded for the moment it is needed: a session is rare, the heap is small.
        from validator.crypto import signed

        digest = sha256(challenge_text(self._serial, nonce)).digest()
        return signed.by(public, digest, signature)

    def _close(self, params):
        self._rights = ()
        self._name = ""
        return {}
