"""A process per slot for long work: one that hangs or fails does not stop the others.

    jobs = [Job(spec.name, "faretap.rack.flashing:flash_slot") for spec in rack.slots]
    for done in run_all(rack, jobs, on_say=print):
        print(done.slot, done.error or done.result)

The function gets `(rack, spec, say, **arguments)`, returns what JSON can carry, and runs in a
process that ends with this one, whatever happens to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from faretap.errors import FaretapError
from faretap.rack.file import Rack
from faretap.rack.power import NoSupply, supply_of

# slot, what it is doing, how much of how much (0, 0: not known)
Said = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class Job:
    """`function` is "module:name"; after `seconds` it is over, whatever it does."""

    slot: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    seconds: float = 600.0


@dataclass(frozen=True)
class Done:
    """`error` is "" if there is a result. `killed`: it hung, and the slot is in quarantine."""

    slot: str
    result: Any = None
    error: str = ""
    killed: bool = False


def run_all(
    rack: Rack, jobs: Sequence[Job], on_say: Said = lambda slot, text, done, total: None
) -> list[Done]:
    """All at once, a process each; their ends in the order of `jobs`. Never raises for a job."""
    lock = threading.Lock()

    def said(slot: str, text: str, done: int, total: int) -> None:
        with lock:
            on_say(slot, text, done, total)

    workers = [_Worker(rack, job, said) for job in jobs]
    try:
        return [worker.end() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()  # those that an interrupt left


class _Worker:
    def __init__(self, rack: Rack, job: Job, said: Said) -> None:
        self._rack = rack
        self._job = job
        self._said = said
        self._result: Any = None
        self._error: str | None = None
        self._has_result = False
        self._overdue = False
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faretap.rack.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,
        )
        order = {
            "rack": rack.source,
            "slot": job.slot,
            "function": job.function,
            "arguments": job.arguments,
        }
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._timer = threading.Timer(job.seconds, self._too_long)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> Done:
        self._listener.join()
        self._timer.cancel()
        self._process.wait()
        job = self._job
        if self._overdue:
            reason = f"It did not end within {job.seconds:g} s and was killed."
            self._rack.state.quarantine(job.slot, reason)
            return Done(job.slot, error=f"The slot {job.slot} hangs. {reason}", killed=True)
        if self._error is not None:
            return Done(job.slot, error=self._error)
        if not self._has_result:
            return Done(job.slot, error=self._died())
        return Done(job.slot, self._result)

    def kill(self) -> None:
        self._timer.cancel()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._complaints):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _too_long(self) -> None:
        """Power off first: what hangs may be the validator, and it is not to go on alone."""
        self._overdue = True
        with contextlib.suppress(FaretapError):
            spec = self._rack.slot(self._job.slot)
            if not (spec.made or spec.benched):
                supply = supply_of(spec)
                if not isinstance(supply, NoSupply):
                    supply.switch(False)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # the end of one that was killed
            if "say" in message:
                self._said(self._job.slot, message["say"], message["done"], message["total"])
            elif "error" in message:
                self._error = str(message["error"])
            elif "result" in message:
                self._result = message["result"]
                self._has_result = True

    def _died(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        why = lines[-1].rstrip(".") if lines else f"status {self._process.returncode}"
        return f"The process of the slot {self._job.slot} ended by itself: {why}."
