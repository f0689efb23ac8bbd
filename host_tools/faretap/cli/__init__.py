"""The command `faretap`."""

from __future__ import annotations

import io
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
    try:
        app(standalone_mode=True)
    except FaretapError as e:
        if debugging():
            raise
        fail(str(e))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as e:
        if debugging():
            raise
        fail(f"{type(e).__name__}: {e}. This is a fault of faretap; --debug shows where.")
