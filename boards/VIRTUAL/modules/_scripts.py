"""Running boot.py and main.py, and showing what they raise, as `pyexec` does on a chip."""

import io
import os
import sys

import vboard

_OWN = ("_boot.py", "_repl.py", "_scripts.py")


def show(problem):
    """Print a traceback without the frames of these modules."""
    text = io.StringIO()
    sys.print_exception(problem, text)
    for line in text.getvalue().split("\n"):
        if line and not any('File "%s"' % name in line for name in _OWN):
            sys.stdout.write(line + "\r\n")


def run_if_exists(name, scope):
    """True unless the script raised something. SystemExit is a soft reset."""
    try:
        os.stat(name)
    except OSError:
        return True
    vboard.tell("mode " + name)
    vboard.tell("kbd 3")
    try:
        execfile(name, scope)  # noqa: F821  a builtin of MicroPython
        return True
    except SystemExit:
        vboard.reset("soft")
    except BaseException as e:
        show(e)
        return False
    finally:
        vboard.tell("kbd -1")
