"""JSON-RPC 2.0 in both directions over the console, at the validator's end.

A call from the host that was lost on the way is sent again with the same id. So a call's answer is
kept for a while: a repeated id gets the same answer, and what the call did is done once.
"""

import asyncio
import gc
import os
import sys

from validator.link import frame

PARSE_LIMIT = 1400  # bytes of a message from the host: an APDU of 261 bytes in hex, and names
_KEEP = 8  # answers kept for repeated calls
_SILENCE_MS = 450  # within a frame: longer than the host waits for credit
_KEEP_BYTES = 600  # a longer answer is made again: only reading calls have such

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000  # the validator will not do this, now or in this life cycle


class RpcError(Exception):
    """A call that failed, with JSON-RPC's code, one sentence and optional data."""

    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Timeout(RpcError):
    """The host did not answer."""

    def __init__(self, method):
        super().__init__(REFUSED, "the host did not answer %s" % method)


class _Slot:
    """Where the answer to one of our calls is put."""

    def __init__(self):
        self.done = asyncio.Event()
        self.answer = None


class Peer:
    """Answers the host's calls, and calls the host.

    `register(name, function)`: `function(params)` gets the params object (a dict) and returns what
    JSON can carry; a coroutine function runs as a task of its own, so that the link goes on.
    `on_block(channel, sequence, payload)` gets bulk data.
    """

    def __init__(self, console, clock):
        self._console = console
        self._clock = clock
        self._decoder = frame.Decoder(PARSE_LIMIT, 4 * frame.WINDOW)
        self._methods = {}
        self._answers = []  # [id, encoded answer or None while it runs], oldest first
        self._waiting = {}  # id of our own call -> _Slot
        self._next_id = 0
        # The host remembers answers by id: ids of the boot before this one must not come again.
        self._session = os.urandom(3).hex()
        self.on_block = None
        self.on_message = None  # called at each valid message: the link is alive
        self.received = 0
        self.damaged = 0

    def register(self, name, function):
        self._methods[name] = function

    def notify(self, method, params):
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def call(self, method, params, timeout_ms=3000, again_ms=500):
        """Call the host; its result, or RpcError. Sent again each `again_ms` without answer."""
        self._next_id += 1
        call_id = "%s-%d" % (self._session, self._next_id)
        slot = _Slot()
        self._waiting[call_id] = slot
        request = frame.encode(
            {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        )
        clock = self._clock
        start = clock.ticks_ms()
        try:
            while slot.answer is None:
                left = timeout_ms - clock.diff(clock.ticks_ms(), start)
                if left <= 0:
                    raise Timeout(method)
                self._console.write(request)
                try:
                    await asyncio.wait_for(slot.done.wait(), min(left, again_ms) / 1000)
                except asyncio.TimeoutError:
                    pass
        finally:
            del self._waiting[call_id]
        answer = slot.answer
        if "error" in answer:
            error = answer["error"]
            raise RpcError(error.get("code", 0), error.get("message", ""), error.get("data"))
        return answer.get("result")

    async def run(self):
        """Read and serve for ever."""
        console = self._console
        clock = self._clock
        heard = clock.ticks_ms()
        while True:
            view = await console.read()
            now = clock.ticks_ms()
            if self._decoder.incomplete and clock.diff(now, heard) > _SILENCE_MS:
                # The rest of that frame was lost: what comes now is not it.
                self._decoder.flush()
                self.damaged += 1
            heard = now
            for kind, value in self._decoder.feed(view):
                if kind == frame.MESSAGE:
                    self.received += 1
                    console.credit()
                    self._message(value)
                elif kind == frame.BLOCK:
                    if self.on_block:
                        self.on_block(*value)
                elif kind == frame.BAD:
                    self.damaged += 1
                # Text from the host is nobody's: somebody typed into a terminal.
            console.credit(64)

    def _send(self, message):
        for piece in frame.pieces(message):
            self._console.write(piece)

    def _message(self, message):
        if not isinstance(message, dict):
            return
        if self.on_message:
            self.on_message()
        call_id = message.get("id")
        method = message.get("method")
        if isinstance(call_id, (list, dict)):
            return  # JSON-RPC knows no such id, and it cannot be looked up
        if isinstance(method, (list, dict)):
            if call_id is not None:
                text = "a method is a string"
                self._error([call_id, None], INVALID_REQUEST, text, None)
            return
        if method is None:
            slot = self._waiting.get(call_id)
            if slot:
                slot.answer = message
                slot.done.set()
            return
        if call_id is None:
            self._notification(method, message.get("params"))
            return
        for entry in self._answers:
            if entry[0] == call_id:
                if entry[1] is not None:
                    self._console.write(entry[1])
                return
        entry = [call_id, None]
        self._answers.append(entry)
        if len(self._answers) > _KEEP:
            self._forget()
        self._serve(entry, method, message.get("params") or {})

    def _forget(self):
        for i, entry in enumerate(self._answers):
            if entry[1] is not None:
                self._answers.pop(i)
                return

    def _notification(self, method, params):
        function = self._methods.get(method)
        if function:
            try:
                function(params or {})
            except Exception as e:
                _print(e)

    def _serve(self, entry, method, params):
        function = self._methods.get(method)
        if function is None:
            text = "this validator has no call %s" % method
            self._error(entry, METHOD_NOT_FOUND, text, None)
            return
        try:
            result = function(params)
        except Exception as e:
            self._raised(entry, e)
            return
        if hasattr(result, "send"):  # a coroutine
            asyncio.create_task(self._later(entry, result))
        else:
            self._result(entry, result)

    async def _later(self, entry, coroutine):
        try:
            result = await coroutine
        except Exception as e:
            self._raised(entry, e)
            return
        self._result(entry, result)

    def _result(self, entry, result):
        self._answer(entry, {"jsonrpc": "2.0", "id": entry[0], "result": result})

    def _error(self, entry, code, text, data):
        error = {"code": code, "message": text}
        if data is not None:
            error["data"] = data
        self._answer(entry, {"jsonrpc": "2.0", "id": entry[0], "error": error})

    def _raised(self, entry, e):
        if isinstance(e, RpcError):
            self._error(entry, e.code, e.message, e.data)
        elif isinstance(e, (KeyError, TypeError, ValueError, AttributeError)):
            self._error(entry, INVALID_PARAMS, "bad parameters: %r" % e, None)
        else:
            _print(e)
            self._error(entry, INTERNAL_ERROR, "failed inside the validator: %r" % e, None)

    def _answer(self, entry, message):
        try:
            data = frame.encode(message)
        except MemoryError:
            # One piece of that size is not to be had. The caller must ask for less.
            message = None
            gc.collect()
            error = {"code": INTERNAL_ERROR, "message": "no memory for the answer: ask for less"}
            data = frame.encode({"jsonrpc": "2.0", "id": entry[0], "error": error})
        self._console.write(data)
        if len(data) <= _KEEP_BYTES:
            entry[1] = data
        elif entry in self._answers:
            self._answers.remove(entry)


def _print(e):
    # To the console, where `faretap log` shows it. CPython, in tests, has no such function.
    if hasattr(sys, "print_exception"):
        sys.print_exception(e)
