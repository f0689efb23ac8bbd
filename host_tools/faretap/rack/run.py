"""Commands that a rack runs: bounded, and nothing of them is left."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess

from faretap.rack.file import RackError


class CommandError(RackError):
    """A command that a rack needs failed."""


def run(command: str | list[str], seconds: float, environment: dict[str, str]) -> str:
    """What the command said on stdout. Killed with all that it started after `seconds`."""
    words = shlex.split(command) if isinstance(command, str) else command
    shown = shlex.join(words)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise CommandError(
            f"There is no program {words[0]}.", "Install it, or correct the rack file."
        ) from None
    except OSError as e:
        raise CommandError(f"The command {shown} cannot be run: {e.strerror}.") from e
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.communicate()
        raise CommandError(
            f"The command {shown} did not end within {seconds:g} s.", "It was killed."
        ) from None
    if process.returncode:
        said = (err.strip() or out.strip()).splitlines()
        why = said[-1].rstrip(".") if said else f"status {process.returncode}"
        raise CommandError(f"The command {shown} failed: {why}.")
    return out


def kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass
