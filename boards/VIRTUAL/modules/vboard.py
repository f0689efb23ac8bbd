"""The board's side channel: short text lines over two pipes to whoever plays the hardware.

To the board:   uart N BAUD RXBUF | uart N off     answered by "ok"
                pin N LEVEL | i2c BUS ADDR HEX | freq HZ | kbd CODE | rtc SECONDS | rtcmem HEX
                wdt MS | feed | cut | reset soft|hard | mode NAME
From the board: ok | pin N LEVEL
"""

import utime

parameters = {}
inputs = {}  # input pin levels as the board reports them
on_input = {}  # pin number -> function(level)

_control = None
_events = None


def open_pipes(settings):
    global _control, _events
    parameters.update(settings)
    _control = open(settings["control"], "wb")
    _events = open(settings["events"], "rb")


def tell(line):
    _control.write(line + "\n")


def ask(line):
    """Tell, and wait until the board has done it."""
    tell(line)
    while _read_line() != b"ok":
        pass


def _read_line():
    while True:
        # Not read(): on a blocking file that waits until it has all that was asked for.
        line = _events.readline()
        if not line:
            halt()
        line = line.strip()
        if not line.startswith(b"pin "):
            return line
        _, number, level = line.split()
        number, level = int(number), int(level)
        inputs[number] = level
        if number in on_input:
            on_input[number](level)


def poll_inputs():
    """Take up what the board reported about inputs; does not wait."""
    import select

    global _poller
    if _poller is None:
        _poller = select.poll()
        _poller.register(_events, select.POLLIN)
    while True:
        for _ in _poller.ipoll(0):
            break
        else:
            return
        # Asked so that there is a line to stop at; what comes before it are the inputs.
        ask("sync")


_poller = None


def halt():
    """The CPU stands still until the board pulls its plug."""
    while True:
        utime.sleep(3600)


def reset(kind):
    tell("reset " + kind)
    halt()
