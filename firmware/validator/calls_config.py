"""Calls about the operator's configuration; docs/link.md lists them.

A bundle needs no session: nothing is written for a head that the operator did not sign, nothing
that runs is stopped for a body that is not whole and for this validator. Reading needs one. What
somebody who has no more than signed bundles can spend is bounded:

- one call at a time, while no rider is served; a pause after a wrong signature;
- what is coming in is not pushed out by a bundle that is not newer, unless its host went silent;
  what a session began, only that session goes on with;
- the idle bank is erased at once for the first bundle, and then after 10 s, 20 s, … an hour;
- a bundle that the sections' checks refused is not begun again (config_put.py).

`app` has configuration, clock, gate, taps, log; `put_away()`, after which no rider is served and
what served them is out of memory; and `restart()`, which starts the application anew a moment
later, when the answer has left.
"""

import asyncio
import binascii
import gc

from validator.link.peer import REFUSED, RpcError
from validator.store.bundle import Refused, parse

_SECRET = ("token_key",)  # members that no call gives out
_PIECE = 480  # bytes of a member in one answer
_WAIT_MS = 20
_SILENT_MS = 60000  # without a piece: whoever began is gone
_PAUSE_MS = 10000  # between two bundles that are erased for; doubles
_PAUSES = 9  # doublings, up to an hour or so
_AGAIN = {"kind": "again", "ms": 300}


class ConfigCalls:
    def __init__(self, app):
        self._app = app
        self._put = None
        self._owner = ""  # whose the bundle is that is coming in
        self._heard = 0
        self._busy = False
        self._begun = 0  # times that the idle bank was erased
        self._begun_at = 0

    def info(self, params):
        return self._app.configuration.info()

    def claim(self, params):
        """Take the operator's public key, once."""
        configuration = self._app.configuration
        public = bytes.fromhex(params["public"])
        from validator.store.config_put import claim

        gate = self._app.gate
        gate.turn()
        try:
            claim(configuration, public)
        except Refused as e:
            if not configuration.key:
                gate.wrong()  # its point was computed
            raise RpcError(REFUSED, str(e), {"reason": e.reason})
        if configuration.locked:
            self._app.restart()  # begins anew with what there is
        return {"operator": configuration.info()["operator"]}

    def begin(self, params):
        """A bundle's head in hex; {"next": offset wanted, "size": of the body}."""
        head = bytes.fromhex(params["head"])
        _refusing(parse, head)
        return self._alone(self._begin, head)

    def _begin(self, owner, free, head):
        app = self._app
        if self._put is None:
            from validator.store.config_put import Put

            self._put = Put(app.configuration)
        put = self._put
        now = app.clock.unix() if app.clock.trusted else None
        at = _refusing(put.look, head, now)
        if at is None:
            if not free:
                self._may_begin(head)
            app.gate.turn()
            at = self._start(put, head)
            self._owner = owner
            self._heard = self._begun_at = app.clock.ticks_ms()
            self._begun += 1
        elif at < put.size:
            if self._owner and not app.gate.owns(self._owner):
                self._owner = owner  # its session is over; what came is as good as ever
            self._mine(owner)
        return {"next": at, "size": put.size, "in_force": put.in_force(head)}

    def _start(self, put, head):
        # What is loaded and computed leaves garbage between pieces that stay. Not collected, it
        # would scatter them over all of the heap, and nothing large would fit.
        gc.collect()
        wrong = True  # also if there is no memory to find out: it took its time
        try:
            at = put.start(head)
            wrong = False
            return at
        except Refused as e:
            wrong = e.reason == "unsigned"
            raise RpcError(REFUSED, str(e), {"reason": e.reason})
        finally:
            if wrong:
                self._app.gate.wrong()
            gc.collect()

    def _may_begin(self, head):
        """RpcError unless the idle bank may be erased for this head now, for somebody who has no
        other permission than the head's signature."""
        put = self._put
        clock = self._app.clock
        now = clock.ticks_ms()
        if put.crowded():
            self._wait("this firmware refused too many configurations: update it")
        if put.head is not None:
            silent = not 0 <= clock.diff(now, self._heard) < _SILENT_MS
            theirs = self._owner and self._app.gate.owns(self._owner)
            newer = int.from_bytes(head[8:12], "little") > put.version
            if theirs or not silent and not newer:
                self._wait("another configuration is coming in")
        if self._begun:
            pause = _PAUSE_MS << min(self._begun - 1, _PAUSES)
            left = pause - clock.diff(now, self._begun_at)
            if 0 < left <= pause:
                self._wait(
                    "configurations were begun and not finished: wait %d s" % (left // 1000)
                )

    def _wait(self, why):
        raise RpcError(REFUSED, why + ", or push it within a session", {"reason": "busy"})

    def data(self, params):
        """`data` in base64, at offset `at` of the body; {"next": offset wanted}."""
        return self._alone(self._data, params["at"], binascii.a2b_base64(params["data"]))

    def _data(self, owner, free, at, piece):
        put = self._mine(owner)
        before = put.next
        at = _refusing(put.write, at, piece)
        if at > before:
            self._heard = self._app.clock.ticks_ms()
        return {"next": at}

    def commit(self, params):
        """Put in force what came."""
        return self._alone(self._commit)

    def _commit(self, owner, free):
        put = self._mine(owner)
        app = self._app
        now = app.clock.unix() if app.clock.trusted else None
        try:
            _refusing(put.whole, now)
        except MemoryError:
            gc.collect()
            raise RpcError(
                REFUSED, "no memory to read it back: reset the validator, push it again"
            )
        # Only its sections can be wrong now. They are checked in the memory of those in force, and
        # whichever it will be from now on, the application starts anew with it.
        app.put_away()
        right = memory = False
        try:
            from validator.operation import CHECKS

            put.commit(CHECKS)
            right = True
        except Refused as e:
            raise RpcError(REFUSED, str(e), {"reason": e.reason})
        except MemoryError:
            memory = True
            raise RpcError(REFUSED, "no memory to check it", {"reason": "memory"})
        finally:
            self._put = None
            if not right:
                self._refused(put, memory)
            app.restart()
        # What "service" closes is closed now, not when a tap of the bench has come to its end.
        if app.configuration.life_cycle == "service":
            app.gate.life_cycle = "service"
        info = app.configuration.info()
        app.log.info("config", "version %d, %s" % (info["version"], info["hash"]))
        return info

    def _refused(self, put, memory):
        log = self._app.log
        log.warning("config", "a configuration was refused, version %d" % put.version)
        try:
            put.remember(memory)
        except OSError as e:
            log.error("config", "NVS cannot be written: %r" % e)

    def read(self, params):
        """The names of the members; with `name`, that member's JSON from `at` on."""
        configuration = self._app.configuration
        name = params.get("name")
        if name is None:
            return {"names": [n for n in configuration.names() if n not in _SECRET]}
        if name in _SECRET:
            raise RpcError(REFUSED, "no call gives out %s" % name)
        text, left = configuration.text(name, params.get("at", 0), _PIECE)
        return {"data": binascii.b2a_base64(text).decode().strip(), "left": left}

    def _mine(self, owner):
        put = self._put
        if put is None or put.head is None:
            raise RpcError(REFUSED, "no configuration was begun", {"reason": "damaged"})
        if self._owner and (owner != self._owner or not self._app.gate.owns(owner)):
            raise RpcError(REFUSED, "a session began this configuration", {"reason": "busy"})
        return put

    def _alone(self, function, *arguments):
        """Erasing and verifying hold everything up: one at a time, and not while a rider stands
        there. Whose call it is, and whether he may change anything, is asked here, where its
        message is served."""
        gate = self._app.gate
        return self._when_idle(function, gate.owner(), gate.may("change"), arguments)

    async def _when_idle(self, function, owner, free, arguments):
        if self._busy:
            raise RpcError(REFUSED, "the configuration is being worked on", _AGAIN)
        self._busy = True
        try:
            while self._app.taps.busy():
                await asyncio.sleep_ms(_WAIT_MS)
            return function(owner, free, *arguments)
        finally:
            self._busy = False


def _refusing(function, *arguments):
    try:
        return function(*arguments)
    except Refused as e:
        raise RpcError(REFUSED, str(e), {"reason": e.reason})


def register(app, peer):
    calls = ConfigCalls(app)
    for name in ("info", "claim", "begin", "data", "commit"):
        peer.register("config." + name, getattr(calls, name))
    peer.register("config.read", calls.read, "records")
