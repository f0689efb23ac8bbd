"""Calls about the operator's configuration; docs/link.md lists them.

A bundle needs no session: nothing is written for a head that the operator did not sign. Reading
does. `app` has configuration, clock, gate, taps, log; `put_away()`, after which no rider is served
and what served them is out of memory; and `configured()`, which restarts the application a moment
later, when the answer has left.
"""

import asyncio
import binascii
import gc

from validator.link.peer import REFUSED, RpcError
from validator.store.bundle import Refused

_SECRET = ("token_key",)  # members that no call gives out
_PIECE = 480  # bytes of a member in one answer
_WAIT_MS = 20
_THRESHOLD = 16384  # bytes between two collections while a configuration comes in


class ConfigCalls:
    def __init__(self, app):
        self._app = app
        self._put = None

    def info(self, params):
        return self._app.configuration.info()

    def claim(self, params):
        """Take the operator's public key, once."""
        configuration = self._app.configuration
        from validator.store.config_put import claim

        _refusing(claim, configuration, bytes.fromhex(params["public"]))
        return {"operator": configuration.info()["operator"]}

    async def begin(self, params):
        """A bundle's head in hex; {"next": offset wanted, "size": of the body}."""
        head = bytes.fromhex(params["head"])
        await self._idle()
        # What is loaded and computed from here on leaves garbage behind each piece that stays. Not
        # collected, it would scatter them over all of the heap, and nothing large would fit.
        gc.collect()
        if hasattr(gc, "threshold"):  # CPython, in tests, has none
            gc.threshold(_THRESHOLD)
        app = self._app
        if self._put is None:
            from validator.store.config_put import Put

            self._put = Put(app.configuration)
        now = app.clock.unix() if app.clock.trusted else None
        at = _refusing(self._put.begin, head, now)
        return {"next": at, "size": self._put.size, "in_force": self._put.in_force(head)}

    async def data(self, params):
        """`data` in base64, at offset `at` of the body; {"next": offset wanted}."""
        piece = binascii.a2b_base64(params["data"])
        await self._idle()
        return {"next": _refusing(self._begun().write, params["at"], piece)}

    async def commit(self, params):
        """Put in force what came."""
        put = self._begun()
        await self._idle()
        app = self._app
        # The new one is checked in the memory of the one in force. Whichever it will be from now
        # on, the application starts anew with it.
        app.put_away()
        try:
            from validator.operation import CHECKS

            _refusing(put.commit, CHECKS)
        except RpcError as e:
            app.log.warning("config", "refused: " + e.message)
            raise
        finally:
            self._put = None
            app.configured()
        info = app.configuration.info()
        app.log.info("config", "version %d, %s" % (info["version"], info["hash"]))
        return info

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

    def _begun(self):
        if self._put is None:
            raise RpcError(REFUSED, "no configuration was begun", {"reason": "damaged"})
        return self._put

    async def _idle(self):
        # Erasing and verifying hold everything up: not while a rider stands there.
        while self._app.taps.busy():
            await asyncio.sleep_ms(_WAIT_MS)


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
