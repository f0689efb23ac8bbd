"""Runs a command that must not outlive the one who asked for it.

    python keeper.py COMMAND ARGUMENT…

When standard input ends, which it does with the process at its other end, the command and all
that it started are killed. Ends with the command's status. Imports nothing of Faretap: it starts
in the time of a bare interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def _die_with_keeper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(command: list[str]) -> int:
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_keeper
        )
    except OSError as e:
        print(f"{command[0]}: {e.strerror}", file=sys.stderr)
        return 127

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    end()  # what it left behind
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
