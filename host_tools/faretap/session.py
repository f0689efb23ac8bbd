"""A validator at the end of a port string, whatever kind of port it is.

    with connect("rfc2217://127.0.0.1:4000") as validator:
        print(validator.link.call("info"))

`virtual` starts a virtual validator for as long as the session lasts, `virtual:DIR` one whose
flash is kept in DIR. An empty flash is filled first.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faretap import address
from faretap.access import attach, same, told
from faretap.errors import FaretapError, PortError
from faretap.link import Link, NoAnswer, open_port
from faretap.writing import make_folder, write_bytes

if TYPE_CHECKING:
    from faretap.virtual.bench import BenchClient

# What a chip prints when it does not run our firmware, and what to do then.
_SYMPTOMS = (
    (
        b"waiting for download",
        "is in ROM download mode",
        "Reset it (power, or the EN button), or flash it with `faretap flash`.",
    ),
    (
        b"invalid header: 0xffffffff",
        "has an empty flash",
        "Flash it: faretap flash --port PORT --board BOARD.",
    ),
    (
        b"No bootable app",
        "has no bootable MicroPython in its flash",
        "Flash it: faretap flash --port PORT --board BOARD.",
    ),
    (
        b"filesystem appears to be corrupted",
        "runs MicroPython but its vfs partition is corrupted",
        "Flash it again: faretap flash --port PORT --board BOARD writes a new vfs; "
        "records and configuration stay.",
    ),
    (
        b">>> ",
        "runs MicroPython without Faretap (it shows a REPL prompt)",
        "Flash it: faretap flash --port PORT --board BOARD.",
    ),
)

# The ROM loader's SYNC command in SLIP: the answer tells a chip in download mode from a dead one.
_ROM_SYNC = b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"\x55" * 32 + b"\xc0"


_RECENT = 2000  # notifications that nobody asked for are kept: a scenario's taps of half an hour


_ANSWER = 4096  # bytes of what a silent chip says to a ROM loader's command


class Recent:
    """The last notifications; of more than are kept the oldest go. Thread-safe."""

    def __init__(self, most: int = _RECENT) -> None:
        self._kept: deque[tuple[str, dict[str, Any]]] = deque(maxlen=most)
        self._changed = threading.Condition()

    def put(self, method: str, params: dict[str, Any]) -> None:
        with self._changed:
            self._kept.append((method, params))
            self._changed.notify()

    def get(self, timeout: float = 0.0) -> tuple[str, dict[str, Any]] | None:
        """The oldest, or None if none comes within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._kept), timeout)
            return self._kept.popleft() if self._kept else None

    def clear(self) -> None:
        with self._changed:
            self._kept.clear()


class NotReady(FaretapError):
    """Something answers at the port, or nothing does, but not a running validator."""


class Session:
    """An open link, the console text it carried, the notifications that came."""

    def __init__(self, port: str, link: Link, bench: BenchClient | None = None) -> None:
        self.port = port
        self.link = link
        self.bench = bench
        self.console = bytearray()  # the last 64 KB of console text
        self.notifications = Recent()
        self.on_text: Callable[[bytes], None] | None = None
        self.on_notification: Callable[[str, dict[str, Any]], None] | None = None
        link.on_text = self._text
        link.on_notification = self._notification

    def _text(self, data: bytes) -> None:
        self.console += data
        del self.console[:-65536]
        if self.on_text:
            self.on_text(data)

    def _notification(self, method: str, params: dict[str, Any]) -> None:
        self.notifications.put(method, params)
        if self.on_notification:
            self.on_notification(method, params)

    def wait_for(
        self,
        method: str,
        timeout: float,
        matches: Callable[[dict[str, Any]], bool] = lambda params: True,
    ) -> dict[str, Any] | None:
        """The next notification of that kind that matches, or None after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            came = self.notifications.get(timeout=min(left, 0.25))
            if came is None:
                self.link.check()
            elif came[0] == method and matches(came[1]):
                return came[1]
        return None

    def listen(self) -> None:
        """Have the validator tell taps and log records: in service it tells them to nobody but a
        session with the right to read them."""
        if "life_cycle" in (info := self.link.call("info")) and info["life_cycle"] == "service":
            self.link.call("log.recent")

    def forget_notifications(self) -> None:
        self.notifications.clear()

    def await_running(self, timeout: float = 3.0) -> dict[str, Any]:
        """The answer to `info`; NotReady with what is wrong instead, as far as it can be seen."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                info: dict[str, Any] = self.link.call(
                    "info", timeout=max(0.3, min(1.0, left)), again=0.2
                )
                return info
            except NoAnswer:
                if self.symptom() or time.monotonic() >= deadline:
                    raise self._diagnosis() from None

    def tell_time(self, always: bool = False) -> None:
        """Set the validator's clock by this host's, if it runs since its start without one."""
        info = self.link.call("info")
        if info.get("life_cycle") == "service" or "clock" not in info:
            return  # it has another source, or it is in safe mode
        if always or not info["clock"]["trusted"]:
            self.link.call("clock.set", {"unix": int(time.time())})

    def symptom(self) -> tuple[str, str] | None:
        text = bytes(self.console)
        found = [(text.rfind(mark), what, todo) for mark, what, todo in _SYMPTOMS]
        at, what, todo = max(found)
        return (what, todo) if at >= 0 else None

    def _diagnosis(self) -> NotReady:
        symptom = self.symptom()
        if symptom is None:
            seen = len(self.console)
            answer = bytearray()
            before = self.link.on_text
            self.link.on_text = lambda data: answer.extend(data[: _ANSWER - len(answer)])
            with contextlib.suppress(FaretapError):
                for _ in range(2):
                    self.link.write_raw(_ROM_SYNC)
                    time.sleep(0.3)
            self.link.on_text = before
            if b"\xc0\x01\x08" in answer:
                symptom = _SYMPTOMS[0][1:]
            elif answer or seen:
                symptom = (
                    "sends something that is not a validator's link",
                    "Another rate or another device? Reset it and try again.",
                )
        if symptom is None:
            symptom = (
                "is silent",
                "Is it powered and is this the right port? Reset it, "
                "or flash it with `faretap flash`.",
            )
        what, todo = symptom
        return NotReady(f"The validator at {self.port} {what}.", todo)

    def close(self) -> None:
        self.link.close()
        if self.bench:
            self.bench.close()


@contextlib.contextmanager
def connect(
    port: str, *, wait: float = 3.0, running: bool = True, serial: str = ""
) -> Iterator[Session]:
    """An open session. With `running`, the validator has answered `info` before it is given out;
    raises PortError, NotReady or LinkError otherwise.

    `serial` is the validator that is meant to be there, left out: FARETAP_SERIAL's. With
    `running`, AccessError if another one is; an access key signs for that one only.
    """
    serial = serial or told()
    with contextlib.ExitStack() as stack:
        if address.kind(port) == address.VIRTUAL:
            port, own = stack.enter_context(_virtual(address.folder(port)))
            serial = serial or own  # started by this process: it need not ask who it is
            wait = max(wait, 10.0)
        session = Session(port, Link(open_port(port, returning=True), name=port), _bench(port))
        attach(session.link, serial)
        stack.callback(session.close)
        if running:
            session.await_running(wait)
            if serial:
                same(session.link, serial)
        yield session


@contextlib.contextmanager
def _virtual(directory: str) -> Iterator[tuple[str, str]]:
    from faretap.virtual import BoardError, spawn

    with contextlib.ExitStack() as stack:
        if directory:
            state = Path(directory)
            make_folder(state)
        else:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faretap-")))
        if not (state / "flash.bin").exists():
            from faretap.image.whole import whole_flash

            write_bytes(state / "flash.bin", whole_flash("VIRTUAL"), durable=False)
        try:
            board = stack.enter_context(spawn(state))
        except BoardError as e:
            raise NotReady(str(e)) from e
        yield board.port_url, board.serial


def _bench(port: str) -> BenchClient | None:
    """The virtual board's own controls, if there is a virtual board at that port."""
    if address.kind(port) != "rfc2217":
        return None
    from faretap.virtual.bench import BenchClient, BenchError

    try:
        return BenchClient(port)
    except (BenchError, PortError, OSError):
        return None
