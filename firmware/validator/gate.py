"""Who may do what: the life cycle, and sessions of those whom the configuration names.

In `factory` and `bench` the link is the workbench's: everything is allowed. In `service` a rider
cannot be simulated at all, and reading records or changing anything needs a session: the host asks
for a challenge and signs it with a key that the configuration lists under "access".

A session belongs to the host that opened it: `session.open` answers a token, which each message of
the session carries as the member "session" of its envelope. A message without it has no rights,
whoever else has a session. It ends with its host's silence, with its `session.close`, with the
next one that is opened, or with the next boot. Messages are not signed: whoever can read along on
the cable of an open session can speak in it. docs/security.md weighs that.

A challenge is the same for all who ask within 30 s, so that nobody's challenge takes away
another's. It is good for 30 to 60 s, and for one session: a new one is made then.
"""

from hashlib import sha256

from validator import entropy
from validator.link.peer import REFUSED, RpcError

RIGHTS = ("records", "change")
PREFIX = b"faretap session\0"  # so that no other thing the key signs can be taken for this
_SILENCE_MS = 60000
_NONCE = 16
_CHALLENGE_MS = 30000
_PAUSE_MS = 2000  # between a wrong signature and the next one that is looked at: each costs time

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
    """`operate` sets what the configuration says. `clock` as in hal.py, `serial` in hex,
    `random(n)` gives n bytes that nobody can foresee.

    `quiet` is a coroutine function that waits until no rider is being served, or None;
    `on_end`, if not None, is called when a session has ended.
    """

    def __init__(self, clock, serial, random=entropy.random):
        self._clock = clock
        self._serial = serial
        self._random = random
        self.life_cycle = "factory"
        self.quiet = None
        self.on_end = None
        self._keys = {}
        self._token = ""
        self._rights = ()
        self._name = ""
        self._heard = 0  # ticks of its last sign of life
        self._spoke = 0  # ticks of its last message
        self._within = False  # the message that is being served carries the token
        self._opened = b""  # challenge and signature of the session
        self._nonces = [b"", b""]  # the challenge now, and the one before
        self._made = 0  # ticks of the former
        self._open_at_work = False
        self._refused = None  # ticks of the last wrong signature

    def register(self, peer):
        peer.gate = self
        peer.register("session.challenge", self._challenge)
        peer.register("session.open", self._open, None, False)
        peer.register("session.close", self._close)

    def operate(self, life_cycle, access):
        """`access` is the configuration's section: {"keys": [{"name", "public", "rights"}]}."""
        self.life_cycle = life_cycle
        self._keys = {}
        for entry in access.get("keys", ()):
            public = compressed(bytes.fromhex(entry["public"]))
            rights = [right for right in entry["rights"] if right in RIGHTS]
            self._keys[public] = (entry["name"], rights)

    # -- rights ------------------------------------------------------------------------------

    def hear(self, token):
        """A message came, with that "session" (None without one): called before it is served."""
        self._within = bool(token) and self._lives() and token == self._token
        if self._within:
            self._heard = self._spoke = self._clock.ticks_ms()

    def may(self, right):
        """Whether the message that is being served has this right."""
        return self.life_cycle != "service" or self._within and right in self._rights

    def need(self, right):
        """RpcError unless the message that is being served may do this. `right`: inject, debug,
        records or change. To be asked before the first `await`: then it is another's turn."""
        if self.may(right):
            return
        data = None
        text = _SENTENCES[right]
        if right in RIGHTS:
            data = {"need": right}
            if self._within:
                text = 'the key of this session has not the right "%s"' % right
        raise RpcError(REFUSED, text, data)

    def within(self):
        """The message that is being served may know what only a session is told."""
        return self.life_cycle != "service" or self._within

    def taken(self):
        """Somebody has a session."""
        return self._lives()

    def listens(self):
        """Somebody is there who may hear of riders and of the log: who spoke not long ago. The
        blocks of a transfer keep a session, but they carry no token: anybody can send such."""
        if self.life_cycle != "service":
            return True
        if "records" not in self._rights or not self._lives():
            return False
        return self._clock.diff(self._clock.ticks_ms(), self._spoke) <= _SILENCE_MS

    def owner(self):
        """Whose the message that is being served is, for `owns` later."""
        return self._token if self._within else ""

    def owns(self, owner, alive=False):
        """Whether that owner may go on; `alive`: it was heard just now."""
        if not owner:
            return self.life_cycle != "service"
        if owner != self._token or not self._lives():
            return False
        if alive:
            self._heard = self._clock.ticks_ms()
        return True

    def tick(self):
        """To be called now and then, as ticks wrap: what is over ends."""
        clock = self._clock
        now = clock.ticks_ms()
        self._lives()
        if self._refused is not None and clock.diff(now, self._refused) >= _PAUSE_MS:
            self._refused = None
        if any(self._nonces) and clock.diff(now, self._made) >= _CHALLENGE_MS:
            self._nonces = [b"", self._nonces[0]]
            self._made = now

    def _lives(self):
        clock = self._clock
        if self._token and clock.diff(clock.ticks_ms(), self._heard) > _SILENCE_MS:
            self._end()
        return bool(self._token)

    def _end(self):
        self._token = self._name = ""
        self._rights = ()
        self._within = False
        self._opened = b""
        if self.on_end:
            self.on_end()

    def status(self):
        name = self._name if self._within else ""
        return {"life_cycle": self.life_cycle, "session": name, "rights": self._rights}

    # -- the calls ---------------------------------------------------------------------------

    def _challenge(self, params):
        self.tick()
        nonces = self._nonces
        if not nonces[0]:
            nonces[0] = self._random(_NONCE)
            self._made = self._clock.ticks_ms()
        return {"nonce": nonces[0].hex(), "serial": self._serial}

    def _known(self, nonce):
        self.tick()
        if not nonce or nonce not in self._nonces:
            text = "no session: this challenge is not, or no longer, this validator's"
            raise RpcError(REFUSED, text, {"kind": "again", "ms": 0})

    async def _open(self, params):
        try:
            nonce = bytes.fromhex(params["nonce"])
            public = bytes.fromhex(params["public"])
            signature = bytes.fromhex(params["signature"])
        except ValueError:
            nonce = public = signature = b""
        if self._opened and self._opened == nonce + signature and self._lives():
            return self._answer()  # the answer was lost
        name, rights = self._keys.get(public, (None, ()))
        if name is None:
            raise RpcError(REFUSED, "no session: the key is none of the configuration's")
        self._known(nonce)
        self.turn()
        self._open_at_work = True
        try:
            # It holds everything up for 30 ms or more: not while a rider stands there.
            if self.quiet:
                await self.quiet()
            self._known(nonce)
            self.wrong()  # until it is right, and also if there is no memory to find out
            right = self._right(public, signature, nonce)
        finally:
            self._open_at_work = False
        if not right:
            self.wrong()
            raise RpcError(REFUSED, "no session: wrong signature")
        self._refused = None
        if self._token:
            self._end()
        self._nonces = [b"", b""]  # each is good for one session
        self._opened = nonce + signature
        self._token = self._random(8).hex()
        self._rights = rights
        self._name = name
        self._heard = self._spoke = self._clock.ticks_ms()
        return self._answer()

    def wrong(self):
        """Somebody without a session had a signature looked at that was wrong."""
        self._refused = self._clock.ticks_ms()

    def turn(self):
        """RpcError while a signature is looked at, and for a pause after a wrong one. No lock: who
        tries again a moment later gets his turn, whatever others sent before."""
        clock = self._clock
        wait = 0
        if self._open_at_work:
            wait = 500
        elif self._refused is not None:
            wait = _PAUSE_MS - clock.diff(clock.ticks_ms(), self._refused)
        if wait > 0:
            data = {"kind": "again", "ms": wait}
            raise RpcError(REFUSED, "another signature is looked at: wait a moment", data)

    def _answer(self):
        return {
            "session": self._token,
            "name": self._name,
            "rights": self._rights,
            "silence_ms": _SILENCE_MS,
        }

    def _right(self, public, signature, nonce):
        # Loaded for the moment it is needed: a session is rare, the heap is small.
        from validator.crypto import signed

        digest = sha256(challenge_text(self._serial, nonce)).digest()
        return signed.by(public, digest, signature)

    def _close(self, params):
        """By its owner only; whoever else asks has no session to close."""
        if self._within:
            self._end()
        return {}
