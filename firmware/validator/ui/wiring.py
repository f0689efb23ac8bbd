"""The user interface of a board, from what its devices.json names."""

from validator.ui.buzzer import Buzzer
from validator.ui.lights import Lights
from validator.ui.screen import Screen
from validator.ui.ssd1306 import Ssd1306
from validator.ui.ui import Ui

_BUZZER_HZ = 2700


def build(board, clock):
    """A Ui with the display, lights and buzzer that the board has; without those it lacks."""
    devices = board.devices
    i2c = board.i2c()
    display = Ssd1306(i2c, clock, devices["display"].get("addr", 0x3C)) if i2c else None
    lamps = devices.get("lights")
    lights = None
    if lamps:
        red, green, yellow = mixed(board.output(lamps["red"]), board.output(lamps["green"]))
        lights = Lights(clock, green=green, yellow=yellow, red=red)
    buzzer = devices.get("buzzer")
    sounder = Buzzer(clock, board.pwm(buzzer["pin"], _BUZZER_HZ)) if buzzer else None
    return Ui(Screen(), display, lights, sounder, clock)


def mixed(red_pin, green_pin):
    """Red, green and yellow lamps made of a red and a green one, as functions of 0 or 1."""
    lit = [0, 0, 0]  # red, green, yellow

    def lamp(index):
        def put(on):
            lit[index] = on
            red_pin(lit[0] | lit[2])
            green_pin(lit[1] | lit[2])

        return put

    return lamp(0), lamp(1), lamp(2)
