"""The slots of a board: devices.json's "psam0" to "psam3", each a UART with three pins.

    "psam0": {"uart": 2, "tx": 25, "rx": 26, "reset": 27, "clock": 14, "hz": 3571200,
              "baud": 9600, "parity": 0, "stop": 2, "echo": true, "power": 13}

TX is open drain on the module's I/O contact, to which RX is wired as well ("echo" false: wired so
that it does not hear itself). "power" is there if VCC can be switched. "baud" is the rate of the
answer to reset, 9600 or 38400; the other one is tried too, so that it only saves time.
"""

from validator.sam.t0 import Slot

_MOST = 4
_HALF = 32768  # of a PWM's period


def build(board, clock):
    """{number: Slot}, their clocks running; {} for a board without."""
    slots = {}
    for number in range(_MOST):
        name = "psam%d" % number
        d = board.devices.get(name)
        if not d:
            continue
        serial = board.serial(name)
        hz = d.get("hz", 3571200)
        board.pwm(d["clock"], hz).duty_u16(_HALF)
        power = board.output(d["power"]).value if "power" in d else None
        reset = board.output(d["reset"]).value
        parity = getattr(serial, "set_parity", None)
        slots[number] = Slot(
            serial,
            clock,
            reset,
            hz,
            d.get("echo", True),
            power,
            parity,
            first=d.get("baud", 9600),
        )
    return slots
