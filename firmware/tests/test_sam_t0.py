from fakes import FakeClock, FakeSerial, run
from validator.sam import SlotError
from validator.sam.t0 import Slot

HZ = 3571200
ATR = bytes.fromhex("3B1694" + b"FARETA".hex())  # TA1 94 (F 512, D 8)
SELECT = bytes.fromhex("00A40000028011")
FCI = bytes.fromhex("6F098407A0000006320101")


class Module:
    """The card's side of a slot, after ISO 7816-3, at the byte level of the line."""

    def __init__(self, atr=ATR, echo=True, **options):
        self.clock = FakeClock()
        self.serial = FakeSerial(self.clock, self.hear)
        self.echo = echo
        self.atr = atr
        self.atr_delay = 5000  # µs
        self.pps = "right"
        self.single = False
        self.nulls = 0
        self.null_us = 500000
        self.answers = {}  # INS: (data, status word)
        self.mute = False
        self.damage = None  # (n-th byte sent to the validator, mask)
        self.inverse = False
        self.drop_echo = False
        self.divider = 372  # of the clock, for the answer to reset
        self.first = 9600  # what devices.json says of it
        for name in options:
            assert hasattr(self, name), name
            setattr(self, name, options[name])
        self.level = None
        self.levels = []
        self.got = bytearray()
        self.state = "atr"
        self.commands = []
        self.sent = 0
        self.rate = None
        self.slot = Slot(self.serial, self.clock, self.reset, hz=HZ, echo=echo, first=self.first)

    def reset(self, level):
        self.levels.append(level)
        self.level = level
        self.got = bytearray()
        self.state = "first"
        self.rate = HZ // self.divider
        if level and not self.mute:
            self.say(self.atr, self.atr_delay)

    def say(self, data, delay=0):
        out = bytearray()
        for byte in data:
            if self.inverse:
                byte = int("".join(reversed("{:08b}".format(byte ^ 0xFF))), 2)
            if self.damage and self.damage[0] == self.sent:
                byte ^= self.damage[1]
            self.sent += 1
            out.append(byte)
        if self.serial.baud != self.rate:
            out = bytearray(b"\xe5" * len(out))
        self.serial.feed(out, delay)

    def hear(self, data):
        if self.echo:
            heard = bytes([data[0] ^ 0x40]) + data[1:] if self.drop_echo else data
            self.serial.feed(heard)
        if self.mute or not self.level:
            return
        if self.inverse:
            data = bytes([int("".join(reversed("{:08b}".format(b ^ 0xFF))), 2) for b in data])
        self.got += data
        if self.state == "first":
            self.state = "pps" if data[0] == 0xFF else "command"
        if self.state == "pps":
            self.answer_pps()
        else:
            self.answer()

    def answer_pps(self):
        request = bytes(self.got)
        if len(request) < 4:
            return
        self.got = bytearray()
        self.state = "command"
        assert request[0] ^ request[1] ^ request[2] ^ request[3] == 0
        self.asked = request
        if self.pps == "right":
            self.say(request)
            table = {0x94: (512, 8), 0x13: (372, 4), 0x18: (372, 12), 0x95: (512, 16)}
            fi, di = table[request[2]]
            self.rate = HZ * di // fi
        elif self.pps == "none":
            self.say(b"\xff\x00\xff")
        elif self.pps == "wrong":
            self.say(b"\xff\x10\x11\xfe")

    def answer(self):
        got = self.got
        if len(got) < 5:
            return
        ins, p3 = got[1], got[4]
        brings = ins in (0xA4, 0x70, 0x72)
        if brings and len(got) == 5:
            self.say(b"\x60" * self.nulls, self.null_us)
        if brings and len(got) < 5 + p3:
            if len(got) == 5 or self.single:
                self.say(bytes((ins ^ 0xFF if self.single else ins,)), 100)
            return
        command = bytes(got)
        self.got = bytearray()
        self.commands.append(command)
        data, word = self.answers.get(ins, (b"", "6D00"))
        if data and not brings and len(data) != (p3 or 256):
            data, word = b"", "6C%02X" % len(data)
        if not brings:
            for i in range(self.nulls):
                self.say(b"\x60", self.null_us * (i + 1))
        wait = self.null_us * self.nulls + 100
        if data and self.single:
            for byte in data:
                self.say(bytes((ins ^ 0xFF, byte)), wait)
        elif data:
            self.say(bytes((ins,)) + data, wait)
        self.say(bytes.fromhex(word), wait)

    def open(self):
        return run(self.slot.reset())

    def ask(self, text):
        return run(self.slot.transceive(bytes.fromhex(text)))


def fails(call, *args):
    try:
        call(*args)
    except SlotError as e:
        return str(e)
    raise AssertionError("did not fail")


def test_reset_and_rate():
    module = Module()
    assert module.open() == ATR and module.levels == [0, 1]
    assert module.asked == bytes.fromhex("FF10947B")
    assert module.slot.baud == HZ * 8 // 512 == module.serial.baud


def test_rates_on_offer():
    for ta1, baud in (
        ("11", 9600),  # nothing to agree on
        ("13", 38400),
        ("18", 115200),
        ("95", 111600),
        ("97", 9600),  # 446,400 baud are more than this UART is to run at
        ("0F", 9600),  # no such rate
    ):
        module = Module(bytes.fromhex("3B10" + ta1))
        module.open()
        assert module.slot.baud == baud, ta1
        assert hasattr(module, "asked") == (baud != 9600)
    module = Module(bytes.fromhex("3B00"))
    module.open()
    assert module.slot.baud == 9600


def test_module_that_keeps_its_first_rate():
    for pps, resets in (("none", 1), ("wrong", 2), ("silent", 2)):
        module = Module(pps=pps, answers={0xB0: (b"\1\2", "9000")})
        assert module.open() == ATR
        assert module.slot.baud == 9600 and module.levels == [0, 1] * resets, pps
        assert module.ask("00B0000002") == b"\1\2\x90\0"


FAST = bytes.fromhex("3B6C00021122334455667788990A0B0C")  # 38400 from its first character on


def test_answer_to_reset_at_another_rate():
    for first, divider, resets in (
        (9600, 93, 2),
        (38400, 93, 1),
        (9600, 372, 1),
        (38400, 372, 2),
        (115200, 372, 2),
        (115200, 93, 3),
        (115200, 31, 1),
        (19200, 186, 1),
    ):
        module = Module(FAST, first=first, divider=divider, answers={0xB0: (b"\1\2", "9000")})
        assert module.open() == FAST, (first, divider)
        assert module.slot.baud == HZ // divider == module.serial.baud
        assert module.levels == [0, 1] * resets, (first, divider)
        assert module.ask("00B0000002") == b"\1\2\x90\0"
        # And at once at the next reset.
        module.levels = []
        assert module.open() == FAST and module.levels == [0, 1]


def test_offers_of_a_module_that_begins_at_38400():
    for ta1, baud in (
        ("", 38400),
        ("11", 38400),  # what ISO 7816-3 takes for granted is no wish to go back
        ("13", 38400),  # that is its rate already
        ("94", 55800),
        ("18", 115200),
    ):
        atr = bytes.fromhex("3B10" + ta1 if ta1 else "3B00")
        module = Module(atr, divider=93, answers={0xB0: (b"\1", "9000")})
        assert module.open() == atr
        assert module.slot.baud == baud == module.serial.baud, ta1
        assert hasattr(module, "asked") == (baud != 38400)
        assert module.ask("00B0000001") == b"\1\x90\0"
    for pps in ("none", "wrong", "silent"):
        module = Module(bytes.fromhex("3B1018"), divider=93, pps=pps)
        module.open()
        assert module.slot.baud == 38400, pps


def test_another_module_in_its_place():
    module = Module(FAST, divider=93)
    assert module.open() == FAST
    module.divider = 372
    # The one that was there is expected; then both rates are tried again.
    assert fails(module.open) == "no TS: e5"
    assert module.open() == FAST and module.slot.baud == 9600


def test_time_for_the_rates_is_bounded():
    # Each character is followed by none, at a rate that seems to be right: the longest wait.
    for divider in (372, 93):
        module = Module(b"\x3b", first=115200, divider=divider)
        start = module.clock.now_us
        assert fails(module.open) == "silent"
        assert module.clock.now_us - start < 6000000


def test_specific_mode():
    # TA1 13, TD1 10 (T=0, TA2 follows), TA2 00: no PPS, at the rate of TA1 from now on.
    module = Module(bytes.fromhex("3B90131000"))
    module.open()
    assert module.slot.baud == 38400 and not hasattr(module, "asked")
    # TA2 10: at the rate that it has, whatever TA1 says.
    for divider, baud in ((372, 9600), (93, 38400)):
        module = Module(bytes.fromhex("3B90181010"), divider=divider)
        module.open()
        assert module.slot.baud == baud and not hasattr(module, "asked")


def checked(text):
    """An answer to reset with its TCK."""
    atr = bytes.fromhex(text)
    check = 0
    for byte in atr[1:]:
        check ^= byte
    return atr + bytes((check,))


def test_answers_to_reset():
    for atr in (
        bytes.fromhex("3B00"),
        bytes.fromhex("3B0F" + "41" * 15),
        bytes.fromhex("3BF01125" + "0000"),  # TA1, TB1, TC1, TD1: T=0
        checked("3B808001"),  # T=0 and T=1
        checked("3B90118001"),
    ):
        assert Module(atr).open() == atr, atr


def test_bad_answers_to_reset():
    for atr, said in (
        (bytes.fromhex("55160000"), "no TS: 55"),
        (bytes.fromhex("3B808001FF"), "ATR check"),
        (checked("3B810141"), "no T=0"),
        (checked("3B81810041"), "no T=0"),  # T=1 comes first
        (bytes.fromhex("3B164142"), "silent"),
        (b"\x3b" + b"\x80" * 12, "ATR without end"),
    ):
        module = Module(atr)
        assert fails(module.open) == said
        assert module.levels == [0, 1] * 6  # at both rates


def test_second_attempt():
    module = Module(damage=(1, 0x80))  # T0: one byte of the first ATR
    assert module.open() == ATR and len(module.levels) > 2


def test_nobody_there():
    module = Module(mute=True)
    start = module.clock.now_us
    assert fails(module.open) == "silent"
    assert module.clock.now_us - start < 1000000
    assert fails(module.ask, SELECT.hex()) == "silent"


def test_slow_answer_to_reset():
    module = Module(atr_delay=11000)  # 40,000 clocks
    assert module.open() == ATR


def test_command_that_brings_data_and_gets_some():
    module = Module(answers={0xA4: (b"", "610B"), 0xC0: (FCI, "9000")})
    module.open()
    assert module.ask("00A4000002801100") == b"\x61\x0b"  # without its Le on the line
    assert module.commands[-1] == SELECT
    assert module.ask("00C000000B") == FCI + b"\x90\0"


def test_wrong_length_and_case_1():
    module = Module(answers={0xB0: (b"\1\2\3", "9000"), 0xE0: (b"", "9000")})
    module.open()
    assert module.ask("00B0960006") == b"\x6c\x03"
    assert module.ask("00B0960003") == b"\1\2\3\x90\0"
    assert module.ask("80E00000") == b"\x90\0"
    assert module.commands[-1] == bytes.fromhex("80E0000000")


def test_256_bytes():
    data = bytes(range(256))
    module = Module(answers={0xB0: (data, "9000")})
    module.open()
    assert module.ask("00B0000000") == data + b"\x90\0"


def test_single_bytes():
    for echo in (True, False):
        module = Module(single=True, echo=echo, answers={0x70: (b"", "6108"), 0xC0: (FCI, "9000")})
        module.open()
        assert module.ask("8070000004DEADBEEF08") == b"\x61\x08"
        assert module.commands[-1] == bytes.fromhex("8070000004DEADBEEF")
        assert module.ask("00C000000B") == FCI + b"\x90\0"


def test_without_echo():
    module = Module(echo=False, answers={0xA4: (b"", "9000")})
    module.open()
    assert module.slot.baud == 55800
    assert module.ask(SELECT.hex()) == b"\x90\0"


def test_null_bytes_keep_it_waiting():
    module = Module(nulls=3, answers={0x70: (b"", "6108"), 0xB0: (b"\1", "9000")})
    module.open()
    assert module.ask("8070000001AA08") == b"\x61\x08"
    assert module.ask("00B0000001") == b"\1\x90\0"


def test_null_without_end():
    module = Module(nulls=60, answers={0xB0: (b"\1", "9000")})
    module.open()
    start = module.clock.now_us
    assert fails(module.ask, "00B0000001") == "NULL without end"
    assert module.clock.now_us - start < 7000000


def test_silence_is_bounded_by_the_work_waiting_time():
    # WI 10: 960 * 10 * 372 / 3.5712 MHz = 1 s. TC2 = 2 makes it a fifth of that.
    for atr, ms in (("3B00", 1000), ("3B804002", 200)):
        module = Module(bytes.fromhex(atr))
        module.open()
        module.mute = True
        start = module.clock.now_us
        assert fails(module.ask, "00B0000001") == "silent"
        waited = (module.clock.now_us - start) // 1000
        assert ms <= waited <= ms + 120, waited


def test_bytes_that_are_damaged():
    answers = {0xB0: (b"\1\2\3\4\5\6", "9000")}
    for at in range(9):
        module = Module(bytes.fromhex("3B00"), answers=answers)
        module.open()
        module.damage = (module.sent + at, 0x04)
        try:
            answer = module.ask("00B0960006")
        except SlotError:
            answer = None
        # In the data nobody can tell: that is what MACs are for.
        assert answer != b"\1\2\3\4\5\6\x90\0"
        assert answer is None or at
        module.damage = None
        assert module.open() == bytes.fromhex("3B00")
        assert module.ask("00B0960006") == b"\1\2\3\4\5\6\x90\0"


def test_collision_on_the_line():
    module = Module(bytes.fromhex("3B00"), answers={0xB0: (b"\1", "9000")})
    module.open()
    module.drop_echo = True
    assert fails(module.ask, "00B0000001") == "echo"


def test_module_that_asks_for_more_than_there_is():
    module = Module(bytes.fromhex("3B00"))
    module.open()
    for reply, said in ((b"\xa4\xa4", "asks for more"), (b"\x00", "procedure byte 00")):
        module.serial.peer = lambda data, reply=reply: data + (reply if len(data) < 5 else b"\xa4")
        assert fails(module.ask, "00A40000023F00") in (said, "asks for more")
        module.slot._drain()


def test_inverse_convention():
    odd = []
    module = Module(bytes.fromhex("3F00"), inverse=True, answers={0xB0: (b"\1\2", "9000")})
    module.slot._parity = odd.append
    assert module.open() == bytes.fromhex("3F00")
    assert odd == [False, True]
    assert module.serial._due == [] and module.ask("00B0000002") == b"\1\2\x90\0"
    assert module.commands == [bytes.fromhex("00B0000002")]


def test_line_that_inverts_by_itself():
    module = Module(bytes.fromhex("3F00"), answers={0xB0: (b"\1\2", "9000")})
    assert module.open() == bytes.fromhex("3F00")
    assert module.ask("00B0000002") == b"\1\2\x90\0"


def test_extra_guard_time():
    # TC1 = 20: each character to the module waits for 20 etu more.
    module = Module(bytes.fromhex("3B4014"), answers={0xB0: (b"\1", "9000")})
    module.open()
    module.serial.written = []
    start = module.clock.now_us
    assert module.ask("00B0000001") == b"\1\x90\0"
    assert [len(w) for w in module.serial.written] == [1] * 5
    assert module.clock.now_us - start >= 5 * 32 * 104
    module = Module(bytes.fromhex("3B40FF"), answers={0xB0: (b"\1", "9000")})
    module.open()
    module.ask("00B0000001")
    assert [len(w) for w in module.serial.written] == [5]


def test_power_is_switched_where_it_can_be():
    module = Module()
    power = []
    module.slot._power = power.append
    module.open()
    assert power == [0, 1]


class Pin:
    def __init__(self):
        self.levels = []

    def value(self, level):
        self.levels.append(level)

    duty_u16 = value


class Board:
    devices = {
        "psam0": {"uart": 2, "tx": 25, "rx": 26, "reset": 27, "clock": 14},
        "psam2": {"uart": 1, "reset": 5, "clock": 4, "hz": 4000000, "echo": False, "power": 6},
        "psam3": {"uart": 1, "reset": 8, "clock": 7, "baud": 38400},
    }

    def __init__(self):
        self.pins = {}
        self.rates = []

    def serial(self, name):
        return FakeSerial(FakeClock())

    def output(self, number):
        return self.pins.setdefault(number, Pin())

    def pwm(self, number, hz):
        self.rates.append(hz)
        return self.output(number)


def test_slots_of_a_board():
    from validator.sam import wiring

    board = Board()
    slots = wiring.build(board, FakeClock())
    assert sorted(slots) == [0, 2, 3] and board.rates == [3571200, 4000000, 3571200]
    assert slots[3].baud == 38400
    assert board.pins[14].levels == [32768]
    assert (slots[0].baud, slots[2].baud) == (9600, 10752)
    assert fails(run, slots[2].reset()) == "silent"
    assert board.pins[5].levels == [0, 1] * 6 and board.pins[6].levels == [0, 1] * 6
    board.devices = {}
    assert wiring.build(board, FakeClock()) == {}
