"""The prompt that a MicroPython board shows when main.py has ended: friendly and raw REPL."""

import sys

import vboard
from _scripts import show

_BANNER = "MicroPython %s; VIRTUAL with ESP32\r\n"


def run(scope):
    """Serve the console for ever; Ctrl-D ends it as a soft reset."""
    vboard.tell("mode repl")
    raw = False
    while True:
        # At a prompt Ctrl-C is a key like any other.
        vboard.tell("kbd -1")
        if raw:
            raw = _raw(scope)
        else:
            raw = _friendly(scope)


def _out(text):
    sys.stdout.write(text)


def _execute(source, mode, scope):
    vboard.tell("kbd 3")
    try:
        exec(compile(source, "<stdin>", mode), scope)
    except SystemExit:
        vboard.reset("soft")
    finally:
        vboard.tell("kbd -1")


def _friendly(scope):
    """Returns True when Ctrl-A asks for the raw REPL."""
    _out(_BANNER % vboard.parameters["version"])
    _out('Type "help()" for more information.\r\n')
    block = ""
    while True:
        _out("... " if block else ">>> ")
        line = _line(not block)
        if line is None:
            return True
        if line == "\x03":
            block = ""
            continue
        if block:
            block += line + "\n"
            if line.strip():
                continue
        elif line.rstrip().endswith(":") or line.startswith("@"):
            block = line + "\n"
            continue
        source, block = block or line, ""
        if source.strip():
            try:
                _execute(source, "single", scope)
            except BaseException as e:
                show(e)


def _line(at_start):
    """One edited line; None for Ctrl-A, Ctrl-C as itself."""
    read = sys.stdin.buffer.read
    line = ""
    while True:
        c = read(1)
        if not c:
            vboard.halt()
        code = c[0]
        if code in (13, 10):
            _out("\r\n")
            return line
        if code == 1 and not line:
            return None
        if code == 2 and not line:
            _out("\r\n" + _BANNER % vboard.parameters["version"])
            return ""
        if code == 3:
            _out("\r\n")
            return "\x03"
        if code == 4 and not line and at_start:
            _out("\r\n")
            vboard.reset("soft")
        if code in (8, 127):
            if line:
                line = line[:-1]
                _out("\b \b")
        elif code >= 32 or code == 9:
            line += chr(code) if code != 9 else "    "
            _out(chr(code) if code != 9 else "    ")


def _raw(scope):
    """Raw REPL: code up to Ctrl-D is run, output between OK and two Ctrl-D. Always returns
    False: Ctrl-B goes back to the friendly one."""
    read = sys.stdin.buffer.read
    _out("raw REPL; CTRL-B to exit\r\n>")
    source = bytearray()
    while True:
        c = read(1)
        if not c:
            vboard.halt()
        code = c[0]
        if code == 1:
            _out("raw REPL; CTRL-B to exit\r\n>")
            source = bytearray()
        elif code == 2:
            _out("\r\n")
            return False
        elif code == 3:
            source = bytearray()
        elif code == 5 and not source:
            # Raw paste is asked for with Ctrl-E "A" 1: understood, not supported.
            if read(2) == b"A\x01":
                _out("R\x00")
        elif code == 4:
            if not source:
                _out("OK\r\n")
                vboard.reset("soft")
            _out("OK")
            problem = None
            try:
                _execute(source.decode(), "exec", scope)
            except BaseException as e:
                problem = e
            _out("\x04")
            if problem is not None:
                show(problem)
            _out("\x04>")
            source = bytearray()
        else:
            source.append(code)
