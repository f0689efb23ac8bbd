"""A bench's hands: power, reset, cards and codes for a virtual validator, over its port.

with BenchClient("rfc2217://127.0.0.1:4000") as bench:
    bench.present("quickpass-debit")
    bench.withdraw()
"""

from __future__ import annotations

import json
import socket
import time
import types
import urllib.parse
from collections import deque
from pathlib import Path
from typing import Any

from faretap.bounded import loads
from faretap.errors import FaretapError
from faretap.reading import FileError, read_json
from faretap.writing import write_text

from .connection import GREETING

_EVENTS = 10000  # that nobody asked for are kept
_LINE = 1 << 22  # bytes of an answer


class BenchError(FaretapError):
    """The board refused, or is not there: one sentence."""


class BenchClient:
    """Blocking client of the bench protocol. `target`: a URL of any scheme, or `HOST:PORT`."""

    def __init__(self, target: str, timeout: float = 10.0) -> None:
        parts = urllib.parse.urlsplit(target if "//" in target else f"//{target}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port:
            raise BenchError(f"{target!r} is no HOST:PORT of a virtual validator.")
        self._where = f"{host}:{port}"
        self._timeout = timeout
        self._number = 0
        self._buffer = b""
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS)
        self._files: dict[str, Path] = {}
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as e:
            raise BenchError(
                f"There is no virtual validator at {self._where} ({e.strerror or e})."
            ) from None
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(GREETING)
            hello = self._message(time.monotonic() + timeout)
        except OSError as e:
            self.close()
            raise BenchError(
                f"{self._where} answers, but not as a virtual validator ({e})."
            ) from None
        except BenchError:
            self.close()
            raise
        if "hello" not in hello:
            self.close()
            raise BenchError(f"{self._where} answers, but is no virtual validator.")

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> BenchClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Do something and return the answer without its frame. Raises BenchError."""
        self._number += 1
        request = {"id": self._number, "do": do, **arguments}
        deadline = time.monotonic() + self._timeout
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._message(deadline)
                if "event" in answer:
                    self._events.append(answer)
                elif answer.get("id") == self._number:
                    break
        except OSError as e:
            raise BenchError(
                f"The virtual validator at {self._where} did not answer {do!r} ({e})."
            ) from None
        if not answer.get("ok"):
            raise BenchError(str(answer.get("error", "The board refused.")))
        return {k: v for k, v in answer.items() if k not in ("id", "ok")}

    def event(self, timeout: float) -> dict[str, Any] | None:
        """The next event after `watch`, or None if there is none within `timeout` seconds."""
        if self._events:
            return self._events.popleft()
        try:
            return self._message(time.monotonic() + timeout)
        except TimeoutError:
            return None
        except OSError as e:
            raise BenchError(f"The virtual validator at {self._where} is gone ({e}).") from None

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def power(self, on: bool) -> None:
        self.call("power", on=on)

    def cycle(self) -> None:
        """Power off and on again."""
        self.call("power", cycle=True)

    def reset(self) -> None:
        self.call("reset")

    def cut(self, operation: int, how: str = "half") -> None:
        """Cut the power at that flash operation from now, the next being 1: with it undone, half
        done or done. The board stays off until it is switched on; 0 takes the order back."""
        self.call("cut", operation=operation, how=how)

    def present(self, card: str, **options: Any) -> None:
        """Hold a simulated card to the reader (`faretap.sim.cards.names()`).

        `trace` and `state` are files of this process: the card's APDUs go into the one when it is
        withdrawn, the other keeps a purse's memory. The board does not hear of either's name.
        """
        files = {key: Path(options.pop(key)) for key in ("trace", "state") if options.get(key)}
        keep: dict[str, Any] = {"trace": True} if "trace" in files else {}
        if "state" in files:
            keep["state"] = _memory(files["state"])
        self.call("present", card=card, options=options, keep=keep)
        self._files = files

    def withdraw(self) -> None:
        self.call("withdraw")
        files, self._files = self._files, {}
        if not files:
            return
        kept = self.call("kept")
        for key, path in files.items():
            content = kept.get(key)
            if content is not None:
                _put(path, content if isinstance(content, str) else json.dumps(content))

    def scan(self, code: bytes | str, hold: float = 0.0) -> bool:
        """Hold a code to the scan engine for `hold` seconds: its bytes, or the name of a known
        one (`faretap.sim.codes.names()`). True if the engine read it at once."""
        what = {"code": code} if isinstance(code, str) else {"hex": code.hex()}
        return bool(self.call("scan", hold=hold, **what)["read"])

    def fault(self, name: str, **settings: Any) -> None:
        self.call("fault", q=name, **settings)

    def pins(self) -> dict[str, Any]:
        return self.call("pins")

    def watch(self, on: bool = True) -> None:
        self.call("watch", on=on)

    def _receive(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
        return self._socket.recv(65536)

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LINE:
                raise BenchError(f"{self._where} answers, but is no virtual validator.")
            data = self._receive(deadline)
            if not data:
                raise BenchError(f"The virtual validator at {self._where} hung up.")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        if time.monotonic() > deadline:
            raise TimeoutError("it says other things instead")
        try:
            message = loads(line, _LINE)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise BenchError(f"{self._where} answers, but is no virtual validator.")
        return message


def _memory(file: Path) -> dict[str, Any] | None:
    """A purse's memory out of its file, None if there is none yet."""
    if not file.exists():
        return None
    try:
        memory = read_json(file, _LINE)
    except FileError as e:
        raise BenchError(f"This is no purse card's state: {e}") from None
    if not isinstance(memory, dict):
        raise BenchError(f"{file} does not hold a purse card's state.")
    return memory


def _put(file: Path, text: str) -> None:
    """As a whole, or not at all."""
    try:
        write_text(file, text, durable=False)
    except FileError as e:
        raise BenchError(str(e)) from None
