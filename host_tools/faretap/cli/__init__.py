"""The command `faretap`."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys

# Each module adds its commands to `app`, in this order.
from faretap.cli import virtual  # noqa: F401 isort: skip
from faretap.cli import power  # noqa: F401 isort: skip
from faretap.cli import flashing  # noqa: F401 isort: skip
from faretap.cli import inspect  # noqa: F401 isort: skip
from faretap.cli import riders  # noqa: F401 isort: skip
from faretap.cli import records  # noqa: F401 isort: skip
from faretap.cli import keys  # noqa: F401 isort: skip
from faretap.cli import config  # noqa: F401 isort: skip
from faretap.cli import lists  # noqa: F401 isort: skip
from faretap.cli import image  # noqa: F401 isort: skip
from faretap.cli import update  # noqa: F401 isort: skip
from faretap.cli import report  # noqa: F401 isort: skip
from faretap.cli import bench  # noqa: F401 isort: skip
from faretap.cli import demo  # noqa: F401 isort: skip
from faretap.cli import card  # noqa: F401 isort: skip
from faretap.cli import code  # noqa: F401 isort: skip
from faretap.cli import replay  # noqa: F401 isort: skip
from faretap.cli import rack  # noqa: F401 isort: skip
from faretap.cli import scenario  # noqa: F401 isort: skip
from faretap.cli.common import app, debugging, fail
from faretap.errors import FaretapError


def main() -> None:
    """Run the command line; a failure is one sentence and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _ended)
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()  # what cannot be written is said here, not at the very end
    except FaretapError as e:
        if debugging():
            raise
        fail(str(e))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _silence()
        sys.exit(141)  # whoever read the output has enough of it
    except OSError as e:
        if debugging():
            raise
        _silence()
        fail(f"{e.strerror or e}. The output or a file of this command cannot be written or read.")
    except MemoryError:
        fail("This machine has not enough memory for that. Is the file the right one?")
    except Exception as e:
        if debugging():
            raise
        fail(f"{type(e).__name__}: {e}. This is a fault of faretap; --debug shows where.")


def _ended(number: int, frame: object) -> None:
    """A `kill` ends a command as Ctrl-C does: sessions are closed, unfinished files removed."""
    sys.exit(128 + number)


def _silence() -> None:
    """Nothing more can be written to stdout; Python would try, and complain, at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
