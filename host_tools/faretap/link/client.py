"""Calls to a validator and calls from it, over any port.

    with Link(open_port("/dev/ttyUSB0")) as link:
        print(link.call("info"))

A reader thread takes the stream apart. Console text goes to `on_text`, the validator's
notifications to `on_notification`, its calls to the functions given to `serve`.

Whoever is at the other end can say anything, at any pace. So what is said is looked at first
(answers.py), what waits to be dealt with is bounded, and every wait ends: what comes too much is
dropped, as what a line lost.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import serial

from faretap.bounded import loads
from faretap.errors import FaretapError
from faretap.link.port import DEFAULT_BAUD
from faretap.shown import shown
from validator.link import frame

log = logging.getLogger(__name__)

Params = dict[str, Any]
Serve = Callable[[Params], Any]

_QUIET_S = 0.4  # without credit for so long, what was on the way is taken as consumed or lost
_KEEP = 32  # answers to the validator's calls kept for repeated ones
_SLOWER = (921600, 460800, 230400)  # tried where a higher rate is dead
_JOBS = 64  # calls of the validator that wait; it repeats what got no answer
_ID = 64  # characters of a call's id
_SILENCE_S = 0.5  # in a frame: what comes after that is not its rest
_LATE_S = 30.0  # that a frame, begun before a call's time was over, may go on coming
_LEAST = 20  # times slower than the line's rate: less than that is not a frame that comes
_MESSAGE = 1 << 18  # bytes of a message; the longest that a validator sends has some 16 KB
_STAY_S = 3.0  # between signs of life at a raised rate
_AGAIN_MS = 5000  # the longest that a validator may ask for before a call is made again
_SLICE = 64  # bytes: the validator credits in such steps, so larger writes only wait longer


class LinkError(FaretapError):
    """The link failed."""


class NoAnswer(LinkError):
    """No answer in time."""


class BadAnswer(LinkError):
    """The validator's answer is none."""

    def __init__(self, name: str, method: str, why: str) -> None:
        super().__init__(
            f"The validator at {name} answers {method} with something that is no answer: {why}.",
            "Is it a validator, and does this version of faretap know its firmware?",
        )


class Refused(LinkError):
    """The validator answered with an error. Carries JSON-RPC's `code` and `data`."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"The validator refused {method}: {message}.")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class CallError(Exception):
    """Raised by a function given to `serve`: the error that the validator gets."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Checks(Protocol):
    """What looks at all that comes: faretap.link.answers."""

    def answer(self, method: str, result: Any) -> Any: ...

    def notice(self, method: str, params: Any) -> Params: ...

    def asked(self, method: str, params: Any) -> Params: ...


class _Waiter:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: dict[str, Any] | None = None


class _Decoder(frame.Decoder):  # type: ignore[misc]
    @property
    def pending(self) -> int:
        """Bytes of the frame that has begun."""
        return len(self._buf)


class _Late:
    """Whether to wait on for the frame that was half here when the time was over: that one only,
    while it comes at a pace that its line explains, and not without end."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._frame = -1
        self._since = self._had = 0.0

    def comes(self, deadline: float) -> bool:
        link = self._link
        now = time.monotonic()
        if not link._incoming() or now > deadline + _LATE_S:
            return False
        if self._frame < 0:
            self._frame, self._since, self._had = link._frames, now, link._pending
        elif self._frame != link._frames:
            return False
        took = max(0.0, now - self._since - _SILENCE_S)
        least = took * int(link.device.baudrate) / 10 / _LEAST
        return link._pending - self._had >= least


class Link:
    """One open link. Thread-safe; calls may be made from several threads at once."""

    def __init__(
        self, device: serial.SerialBase, *, name: str = "", checks: Checks | None = None
    ) -> None:
        self.device = device
        self.name = name or str(getattr(device, "port", "") or "the port")
        self._checks = checks
        self.on_text: Callable[[bytes], None] = lambda data: None
        self.on_notification: Callable[[str, Params], None] = lambda method, params: None
        self.on_block: Callable[[int, int, bytes], None] = lambda channel, sequence, data: None
        # Asked when a call wants a right that this host has not shown: True, it has now.
        self.on_refused: Callable[[Refused], bool] | None = None
        self.session: str | None = None  # token of the session that this host opened
        self.damaged = 0  # frames whose check failed
        self.repeats = 0  # calls that had to be sent again
        self.dropped = 0  # notifications and calls that were none, or too many
        # Called before the port is closed, while the link still lives.
        self.on_close: list[Callable[[Link], None]] = []
        self._served: dict[str, Serve] = {}
        self._answers: OrderedDict[str, bytes | None] = OrderedDict()
        self._waiting: dict[str, _Waiter] = {}
        self._ids = itertools.count(1)
        # Another host may have used the same numbers a moment ago.
        self._prefix = secrets.token_hex(4)
        self._decoder = _Decoder(_MESSAGE, 8192, loads)
        self._last_byte = 0.0
        self._frames = 0  # that ended, one way or the other
        self._pending = 0  # bytes of the one that has not
        self._lock = threading.Lock()  # _waiting, _answers
        self._write_lock = threading.Lock()  # whole messages, in order
        self._credit = threading.Condition()
        self._in_flight = 0
        self._closed = False
        self._failure: str | None = None
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(_JOBS)
        self._reader = threading.Thread(target=self._read, name="link-reader", daemon=True)
        self._worker = threading.Thread(target=self._work, name="link-worker", daemon=True)
        self._reader.start()
        self._worker.start()

    # -- use ---------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        params: Params | None = None,
        *,
        timeout: float = 3.0,
        again: float = 0.6,
    ) -> Any:
        """The result of a call. Sent again after `again` seconds without an answer: a validator
        does a repeated id once. Raises NoAnswer after `timeout` seconds, Refused on an error.

        A frame that is on its way in when the time is over is waited for: a long answer is an
        answer. Raises BadAnswer for one that is not what `answers.py` says of `method`.
        """
        try:
            return self._patient(method, params, timeout, again)
        except Refused as e:
            # What opens a session needs none: a validator that says so would have no end.
            opens = method == "info" or method.startswith("session.")
            wants = not opens and isinstance(e.data, dict) and "need" in e.data
            if not wants or self.on_refused is None or not self.on_refused(e):
                raise
        return self._patient(method, params, timeout, again)

    def _patient(self, method: str, params: Params | None, timeout: float, again: float) -> Any:
        """The same; a validator that is at work on something else is asked again a moment later,
        as long as `timeout` lasts."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                left = max(deadline - time.monotonic(), min(timeout, again))
                return self._call(method, params, left, again)
            except Refused as e:
                if not isinstance(e.data, dict) or e.data.get("kind") != "again":
                    raise
                wait = e.data.get("ms")
                if not isinstance(wait, int) or not 0 < wait <= _AGAIN_MS:
                    raise
                if time.monotonic() + wait / 1000 >= deadline:
                    raise
                time.sleep(wait / 1000)

    def _call(self, method: str, params: Params | None, timeout: float, again: float) -> Any:
        call_id = f"{self._prefix}-{next(self._ids)}"
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": call_id, "method": method}
        if params:
            message["params"] = params
        if self.session is not None:
            message["session"] = self.session
        data = frame.encode(message)
        waiter = _Waiter()
        with self._lock:
            self._waiting[call_id] = waiter
        deadline = time.monotonic() + timeout
        try:
            first = True
            while True:
                self._check()
                if not first:
                    self.repeats += 1
                first = False
                self._write(data)
                if self._await(waiter, again, deadline):
                    break
                if time.monotonic() >= deadline:
                    self._check()
                    raise NoAnswer(
                        f"The validator at {self.name} does not answer {method}.",
                        "Is it powered, flashed and not in download mode? "
                        "Reset it, or flash it with `faretap flash`.",
                    )
        finally:
            with self._lock:
                self._waiting.pop(call_id, None)
        self._check(waiter.answer)
        answer = waiter.answer or {}
        if answer.get("error") is not None:
            raise self._refusal(method, answer["error"])
        try:
            return self._checker().answer(method, answer.get("result"))
        except ValueError as e:
            raise BadAnswer(self.name, method, str(e)) from None

    def _refusal(self, method: str, error: Any) -> Refused:
        """Of JSON-RPC's error object, or whatever stands in its place."""
        from faretap.link.answers import clean

        if not isinstance(error, dict):
            error = {}
        code, data = error.get("code"), error.get("data")
        message = shown(error.get("message") or "it does not say why", 500)
        try:
            data = clean(data)
        except ValueError:
            data = None
        return Refused(method, code if type(code) is int else 0, message, data)

    def _checker(self) -> Checks:
        # pydantic is imported with the first answer: that takes 0.2 s, and not all have a link.
        if self._checks is None:
            from faretap.link import answers

            self._checks = answers
        return self._checks

    def _await(self, waiter: _Waiter, again: float, deadline: float) -> bool:
        end = min(time.monotonic() + again, deadline)
        late = _Late(self)
        while True:
            if waiter.done.wait(max(0.0, end - time.monotonic())):
                return True
            if self._failure is not None or not late.comes(deadline):
                return False
            end = time.monotonic() + 0.05

    def _incoming(self) -> bool:
        """Is a frame half here, and its next bytes coming?"""
        return self._decoder.incomplete and time.monotonic() - self._last_byte < _SILENCE_S

    def serve(self, method: str, function: Serve) -> None:
        """Answer the validator's calls of `method`; `function` may raise CallError."""
        self._served[method] = function

    def send_block(self, channel: int, sequence: int, payload: bytes) -> None:
        """A block of bulk data, within the window."""
        self._write(bytes(frame.encode_block(channel, sequence, payload)))

    def set_baud(self, baud: int) -> int:
        """Agree on another rate; returns the one in force. The validator goes back by itself if
        it hears nothing valid at the new one."""
        before = int(self.device.baudrate)
        if baud == before:
            return before
        self.call("link.baud", {"baud": baud})
        time.sleep(0.02)  # its answer left at the old rate; the UART needs a moment to change
        try:
            with self._write_lock:
                self.device.baudrate = baud
            self.call("ping", timeout=1.0, again=0.25)
        except (NoAnswer, OSError, ValueError, serial.SerialException):
            # Dead at that rate; or the adapter, or its server, does not take it.
            with self._write_lock:
                self.device.baudrate = before
            self.call("ping", timeout=4.0)
            return before
        if baud != DEFAULT_BAUD:
            # The validator goes back by itself when it hears nothing for long.
            self._put(self._stay)
        return baud

    def raise_baud(self, wanted: int) -> int:
        """Agree on that rate, or on the next lower one that the line carries; returns it."""
        first = int(self.device.baudrate)
        for baud in (wanted, *(slower for slower in _SLOWER if first < slower < wanted)):
            with contextlib.suppress(Refused):
                if self.set_baud(baud) == baud:
                    return baud
        return int(self.device.baudrate)

    def write_raw(self, data: bytes) -> None:
        """Bytes outside the protocol, for a device that may not speak it."""
        with self._write_lock:
            self.device.write(data)

    def check(self) -> None:
        """Raise LinkError if the link broke."""
        self._check()

    def close(self) -> None:
        if self._closed:
            return
        for last in self.on_close if self._failure is None else ():
            with contextlib.suppress(FaretapError):
                last(self)
        if self._failure is None and int(self.device.baudrate) != DEFAULT_BAUD:
            # Leave the validator as the next one expects it.
            with contextlib.suppress(FaretapError):
                self.call("link.baud", {"baud": DEFAULT_BAUD}, timeout=0.5)
        self._closed = True
        self._put(None)
        self._reader.join(timeout=2)
        with contextlib.suppress(Exception):
            self.device.close()
        self._fail("the link was closed")

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the stream --------------------------------------------------------------------------

    def _check(self, answer: object = None) -> None:
        if self._failure is not None and answer is None:
            raise LinkError(
                f"The link to {self.name} broke: {self._failure}.",
                "Check the cable and the power, then run the command again.",
            )

    def _fail(self, why: str) -> None:
        if self._failure is None:
            self._failure = why
        with self._lock:
            for waiter in self._waiting.values():
                waiter.done.set()
        with self._credit:
            self._credit.notify_all()

    def _write(self, data: bytes) -> None:
        """Send within the window: what the validator has not yet taken in fits its buffer."""
        with self._write_lock:
            at = 0
            while at < len(data):
                n = min(len(data) - at, self._room(min(len(data) - at, _SLICE)))
                try:
                    self.device.write(data[at : at + n])
                except (OSError, serial.SerialException) as e:
                    self._fail(str(e))
                    self._check()
                at += n

    def _room(self, wanted: int) -> int:
        with self._credit:
            while frame.WINDOW - self._in_flight < wanted:
                self._check()
                before = self._in_flight
                if not self._credit.wait(_QUIET_S) and self._in_flight == before:
                    # No word for long: the bytes were dropped, or their credit was.
                    self._in_flight = 0
            n = frame.WINDOW - self._in_flight
            n = min(n, wanted)
            self._in_flight += n
            return n

    def _read(self) -> None:
        device = self.device
        try:
            while not self._closed:
                data = device.read(1)
                if data:
                    waiting = device.in_waiting
                    if waiting:
                        data += device.read(waiting)
                    self._last_byte = time.monotonic()
                    events = self._decoder.feed(data)
                    self._frames += len(events)
                    self._pending = self._decoder.pending
                    self._events(events)
                elif self._decoder.incomplete and time.monotonic() - self._last_byte > _SILENCE_S:
                    self._frames += 1
                    self._events(self._decoder.flush())
        except (OSError, serial.SerialException, TypeError, AttributeError) as e:
            # pyserial raises TypeError or AttributeError when its socket goes away under a read.
            if not self._closed:
                self._fail(f"the port went away ({e})")

    def _events(self, events: list[tuple[str, Any]]) -> None:
        for kind, value in events:
            if kind == frame.TEXT:
                self.on_text(value)
            elif kind == frame.MESSAGE:
                self._message(value)
            elif kind == frame.BLOCK:
                channel, sequence, payload = value
                if channel == frame.CREDIT and len(payload) == 2:
                    with self._credit:
                        consumed = int.from_bytes(payload, "big")
                        self._in_flight = max(0, self._in_flight - consumed)
                        self._credit.notify_all()
                else:
                    self.on_block(channel, sequence, payload)
            else:
                self.damaged += 1
                log.debug("damaged frame: %r", value)
                if frame.RS not in value[:1] and frame.GS not in value[:1]:
                    self.on_text(value)

    def _message(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        method = message.get("method")
        call_id = message.get("id")
        if method is None:
            with self._lock:
                waiter = self._waiting.get(call_id) if isinstance(call_id, str) else None
                if waiter and not waiter.done.is_set():
                    waiter.answer = message
                    waiter.done.set()
            return
        if not isinstance(method, str) or len(method) > _ID:
            self.dropped += 1
            return
        params = message.get("params")
        params = {} if params is None else params
        if call_id is None:
            self._notified(method, params)
        elif isinstance(call_id, (str, int)) and len(str(call_id)) <= _ID:
            self._called(call_id, method, params)
        else:
            self.dropped += 1

    def _notified(self, method: str, params: Any) -> None:
        try:
            params = self._checker().notice(method, params)
        except ValueError as e:
            self.dropped += 1
            log.debug("notification %s: %s", shown(method), e)
            return
        if method == "hello":
            with self._credit:  # it just started: nothing is on the way
                self._in_flight = 0
                self._credit.notify_all()
        self.on_notification(method, params)

    def _called(self, call_id: str | int, method: str, params: Any) -> None:
        key = f"{call_id}"
        with self._lock:
            if key in self._answers and self._answers[key] is None:
                return  # at work on it
            kept = self._answers.get(key)
            if kept is None:
                self._answers[key] = None
                while len(self._answers) > _KEEP:
                    self._answers.popitem(last=False)
        if kept is not None:
            self._put(lambda: self._write(kept))
        elif not self._put(lambda: self._answer(key, call_id, method, params)):
            with self._lock:
                self._answers.pop(key, None)  # it will ask again

    def _put(self, job: Callable[[], None] | None) -> bool:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += 1
            return False
        return True

    def _answer(self, key: str, call_id: Any, method: str, params: Any) -> None:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": call_id}
        function = self._served.get(method)
        try:
            if function is None:
                raise CallError(-32601, f"the host has no call {shown(method, _ID)}")
            try:
                checked = self._checker().asked(method, params)
            except ValueError as e:
                raise CallError(-32602, f"bad parameters: {e}") from None
            reply["result"] = function(checked)
        except CallError as e:
            reply["error"] = {"code": e.code, "message": e.message, "data": e.data}
        except Exception as e:  # a fault of ours must not leave the validator waiting
            log.exception("serving %s", shown(method))
            reply["error"] = {"code": -32603, "message": shown(f"failed on the host: {e!r}", 200)}
        data = frame.encode(reply)
        with self._lock:
            if key in self._answers:
                self._answers[key] = data
        self._write(data)

    def _stay(self) -> None:
        if self._closed or int(self.device.baudrate) == DEFAULT_BAUD:
            return
        with contextlib.suppress(FaretapError):
            self.call("ping", timeout=1.0)
        timer = threading.Timer(_STAY_S, lambda: self._put(self._stay))
        timer.daemon = True
        timer.start()

    def _work(self) -> None:
        # The reader thread must never write: a write may wait for credit that it reads.
        while not self._closed:
            try:
                job = self._jobs.get(timeout=1.0)
            except queue.Empty:
                continue
            if job is None:
                return
            try:
                job()
            except FaretapError as e:
                log.debug("%s", e)
