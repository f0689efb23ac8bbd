"""The reader that devices.json describes, wired to its bus and pins.

    reader = build(board, clock)

Only the modules of the chip and the bus at hand are loaded: the others would cost heap.
"""


def build(board, clock):
    """The driver for `board.devices["reader"]`, not opened; None if the board has no reader.

    Raises ValueError for a chip on a bus that there is no driver for.

    chip      "pn532" or "mfrc522"
    bus       "uart", "spi" or "i2c"
    reset     pin of RSTPD_N or NRSTPD, low = reset; or null
    power     pin that switches the supply rail, high = on; or null
    irq       pin of P70_IRQ (PN532 on SPI or I²C), low = something to read; or null
    cs        pin of NSS (SPI)
    baud      UART: rate after power-up. SPI, I²C: highest clock in Hz; or null
    fast_baud UART: rate that the chip is raised to; or null
    max_data  PN532: 252 for clones without extended frames; or null
    type_b    PN532: every n-th poll without a card looks for type B, 0 = never; or null
    """
    d = board.devices.get("reader")
    if not d:
        return None
    chip = d.get("chip")
    bus = d.get("bus")
    reset = _high(board, d.get("reset"))
    power = _high(board, d.get("power"))
    if chip == "mfrc522" and bus == "spi":
        from validator.nfc.mfrc522 import Mfrc522Reader

        spi = board.spi(d, _rate(d, 4000000))
        return Mfrc522Reader(spi, _high(board, d["cs"]), clock, reset_pin=reset, power_pin=power)
    if chip != "pn532":
        raise ValueError("no driver for %s on %s" % (chip, bus))
    from validator.nfc.pn532 import Pn532Reader

    options = {}
    if d.get("max_data"):
        options["max_data"] = d["max_data"]
    if d.get("type_b") is not None:
        options["type_b_every"] = d["type_b"]
    if bus == "uart":
        line = board.serial("reader")
        options["baud"] = d.get("fast_baud") or d.get("baud") or 115200
    elif bus == "spi":
        line = _spi_line(board, d, clock)
    elif bus == "i2c":
        line = _i2c_line(board, d, clock)
    else:
        raise ValueError("no driver for %s on %s" % (chip, bus))
    return Pn532Reader(line, clock, reset_pin=reset, power_pin=power, **options)


def _spi_line(board, d, clock):
    from validator.nfc.pn532_spi import RATES, SpiLine

    rate = _rate(d, RATES[0])
    spi = board.spi(d, rate, lsb_first=True)
    return SpiLine(spi, _high(board, d["cs"]), clock, _input(board, d.get("irq")), baud=rate)


def _i2c_line(board, d, clock):
    from validator.nfc.pn532_i2c import TIMEOUT_US, I2cLine

    rate = _rate(d, 400000)
    # Made first: the bus turns them into its own pins.
    sda = board.input(d["sda"])
    scl = board.input(d["scl"])

    def make():
        return board.bus_i2c(d, rate, TIMEOUT_US)

    return I2cLine(make, sda, scl, clock, _input(board, d.get("irq")), baud=rate)


def _rate(d, highest):
    rate = d.get("baud")
    return rate if rate and rate < highest else highest


def _high(board, number):
    """An output that begins high: no reset, supply on, chip not selected."""
    return None if number is None else board.output(number, active_high=False)


def _input(board, number):
    return None if number is None else board.input(number)
