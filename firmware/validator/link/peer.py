"""JSON-RPC 2.0 in both directions over the console, at the validator's end.

A call from the host that was lost on the way is sent again with the same id. So a call's answer is
kept for a while: a repeated id gets the same answer, and what the call did is done once. An answer
is kept for whom it was made: a call is the same if its id, its method and its session are.

First the permission, then the work: each call is registered with the right that it needs, which is
asked for before its function sees the parameters.
"""

import asyncio
import gc
import sys

from validator import entropy
from validator.link import frame
from validator.link.intake import Intake

_KEEP = 8  # calls whose answers are kept for repetitions
_KEEP_ALL = 2000  # bytes of all of them
_AT_WORK = 4  # calls that take their time, at once
_ID = 64  # characters of an id
_TOKEN = 32  # of a session: a longer one is nobody's, and would be kept
_NAME = 40  # of a method's name and of a fault's, in an answer
_TEXT = 160
_AGAIN = {"kind": "again", "ms": 200}
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

    `register(name, function, right)`: `function(params)` gets the params object (a dict), returns
    what JSON can carry; a coroutine function runs as a task of its own, so that the link goes on.
    `right` is what `gate.need` asks for, None for what everybody may; `keep` False for an answer
    that is for one pair of eyes. `on_block(channel, sequence, payload)` gets bulk data.
    """

    def __init__(self, console, clock):
        self._console = console
        self._clock = clock
        self._intake = Intake(self._received, self._block)
        self._methods = {}
        # [id, method, session, encoded answer or None while it runs], oldest first
        self._answers = []
        self._at_work = 0
        self._waiting = {}  # id of our own call -> _Slot
        self._next_id = 0
        # The host remembers answers by id: ids of the boot before this one must not come again.
        self._session = entropy.random(3).hex()
        self.gate = None  # validator.gate.Gate; None: safe mode, where there is none
        self.on_block = None
        self.on_message = None  # called at each valid message: the link is alive
        self.turn = None  # a coroutine function: others' turn, before what came is looked at
        self.received = 0
        # What the link took from others: time, and bytes that leave garbage; `turn` sets it back.
        self.worked_us = 0
        self.dirt = 0

    @property
    def damaged(self):
        """Frames that were none."""
        return self._intake.damaged

    def register(self, name, function, right=None, keep=True):
        self._methods[name] = (function, right, keep)

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
        intake = self._intake
        heard = clock.ticks_ms()
        while True:
            view = await console.read()
            now = clock.ticks_ms()
            if intake.incomplete and clock.diff(now, heard) > _SILENCE_MS:
                intake.flush()  # the rest of that frame was lost: what comes now is not it
            heard = now
            if self.turn:
                await self.turn()
                # Bytes that waited for their turn are no pause of the host's.
                heard = clock.ticks_ms()
            begun = clock.ticks_us()
            entropy.pool.tick(begun)
            dirt = self.dirt
            damaged = intake.damaged
            intake.feed(view)
            console.credit(64)
            if self.gate and self.gate.owner() and intake.damaged == damaged:
                self.dirt = dirt  # who spoke last has a session
            else:
                self.dirt += len(view)
                self.worked_us += clock.diff(clock.ticks_us(), begun)

    def _received(self, message):
        self.received += 1
        self._console.credit()
        self._message(message)

    def _block(self, channel, sequence, payload):
        if self.on_block:
            self.on_block(channel, sequence, payload)

    def _send(self, message):
        for piece in frame.pieces(message):
            self._console.write(piece)

    def _message(self, message):
        if not isinstance(message, dict):
            return
        call_id = message.get("id")
        method = message.get("method")
        session = message.get("session")
        if not isinstance(session, str) or len(session) > _TOKEN:
            session = None
        if self.gate:
            self.gate.hear(session)
        if self.on_message:
            self.on_message()
        if not (call_id is None or isinstance(call_id, int) or isinstance(call_id, str)):
            return  # JSON-RPC knows no such id, and it cannot be looked up
        if len(call_id) > _ID if isinstance(call_id, str) else call_id and abs(call_id) >> 62:
            return  # it would be kept
        if method is None:
            slot = self._waiting.get(call_id)
            if slot:
                slot.answer = message
                slot.done.set()
            return
        params = message.get("params") or {}
        if call_id is None:
            return  # the host's notifications say nothing that a validator wants to know
        if not isinstance(method, str) or not isinstance(params, dict):
            text = "a method is a string, params an object"
            self._error([call_id, None, None, None], INVALID_REQUEST, text, None)
            return
        for entry in self._answers:
            if entry[0] == call_id and entry[1] == method and entry[2] == session:
                if entry[3] is not None:
                    self._console.write(entry[3])
                return
        self._serve([call_id, method, session, None], params)

    def _serve(self, entry, params):
        method = entry[1]
        function, right, keep = self._methods.get(method, (None, None, True))
        if function is None:
            text = "this validator has no call %s" % method[:_NAME]
            self._error(entry, METHOD_NOT_FOUND, text, None)
            return
        try:
            if right:
                self.gate.need(right)
        except RpcError as e:
            self._raised(entry, e, False)
            return
        try:
            result = function(params)
        except Exception as e:
            self._raised(entry, e, keep)
            return
        later = hasattr(result, "send")  # a coroutine, which has not begun
        if later and self._at_work >= _AT_WORK:
            result.close()
            text = "calls are under way: wait for their answers"
            self._error(entry, REFUSED, text, _AGAIN, False)
            return
        if later:
            self._keep(entry)
            try:
                asyncio.create_task(self._later(entry, result, keep))
            except MemoryError:
                result.close()
                self._answers.remove(entry)  # nothing works at it: the host sends it again
                raise
            self._at_work += 1
        else:
            self._result(entry, result, keep)

    async def _later(self, entry, coroutine, keep):
        try:
            try:
                result = await coroutine
            except Exception as e:
                self._raised(entry, e, keep)
            else:
                self._result(entry, result, keep)
        finally:
            self._at_work -= 1
            if entry[3] is None and entry in self._answers:
                self._answers.remove(entry)  # no memory even for an error: it may be asked again

    def _result(self, entry, result, keep):
        self._answer(entry, {"jsonrpc": "2.0", "id": entry[0], "result": result}, keep)

    def _error(self, entry, code, text, data, keep=False):
        error = {"code": code, "message": text}
        if data is not None:
            error["data"] = data
        self._answer(entry, {"jsonrpc": "2.0", "id": entry[0], "error": error}, keep)

    def _raised(self, entry, e, keep):
        if isinstance(e, RpcError):
            self._error(entry, e.code, e.message, e.data, keep)
        elif isinstance(e, (KeyError, TypeError, ValueError, AttributeError)):
            text = "bad parameters: %s" % repr(e)[:_TEXT]
            self._error(entry, INVALID_PARAMS, text, None, keep)
        else:
            if self.gate is None or self.gate.within():
                _print(e)
            text = "failed inside the validator: %s" % repr(e)[:_TEXT]
            self._error(entry, INTERNAL_ERROR, text, None, keep)

    def _answer(self, entry, message, keep):
        try:
            data = frame.encode(message)
        except MemoryError:
            # One piece of that size is not to be had. The caller must ask for less.
            message = None
            gc.collect()
            error = {"code": INTERNAL_ERROR, "message": "no memory for the answer: ask for less"}
            data = frame.encode({"jsonrpc": "2.0", "id": entry[0], "error": error})
        self._console.write(data)
        self.dirt += len(data)
        if keep and len(data) <= _KEEP_BYTES:
            entry[3] = data
            self._keep(entry)
        elif entry in self._answers:
            self._answers.remove(entry)

    def _keep(self, entry):
        """Keep this call; the oldest answers make room for it."""
        answers = self._answers
        if entry not in answers:
            answers.append(entry)
        size = 0
        for kept in answers:
            size += len(kept[3] or b"")
        i = 0
        while i < len(answers) and (len(answers) > _KEEP or size > _KEEP_ALL):
            if answers[i][3] is None or answers[i] is entry:
                i += 1  # at work
            else:
                size -= len(answers.pop(i)[3])


def _print(e):
    # To the console, where `faretap log` shows it. CPython, in tests, has no such function.
    if hasattr(sys, "print_exception"):
        sys.print_exception(e)
