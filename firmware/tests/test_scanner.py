"""Scan engine driver against an engine that speaks the manual's frames."""

from fakes import FakeClock, FakeSerial, raises, run
from validator.qr import gm65
from validator.qr.scanner import Scanner, ScannerError

OK = bytes.fromhex("02000001003331")

MOT = b"\x80\x01\x49\x24" + bytes([10, 13, 255, 0]) * 82
CPM = b"hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8="
TEXT = b"https://example.org/timetable"

# Factory settings of the zones that matter: sound and LED on, manual mode, CR after each code.
FACTORY = {0x0000: 0xD4, 0x0003: 0x01, 0x0005: 10, 0x0006: 50, 0x000D: 0x00, 0x0013: 0x00}
FACTORY.update({0x002A: 0x39, 0x002B: 0x01, 0x0060: 0x81, 0x00E2: 0x68})


def crc(data):
    """Bit by bit, as the manual prints it; the driver does it otherwise."""
    value = 0
    for byte in data:
        bit = 0x80
        while bit:
            value *= 2
            if value & 0x10000:
                value ^= 0x11021
            if byte & bit:
                value ^= 0x1021
            bit >>= 1
    return bytes((value >> 8, value & 0xFF))


def reply(data):
    body = bytes((0, len(data) & 0xFF)) + data
    return b"\x02\x00" + body + crc(body)


class Engine:
    """A GM65 on a FakeSerial: deaf at any rate but its own."""

    def __init__(self, clock, zones=FACTORY):
        self.zones = dict(zones)
        self.flash = dict(zones)
        self.saves = 0
        self.writes = []
        self.reads = 0
        self.frames = []
        self.mute = 0  # requests to leave unanswered
        self.before = b""  # sent in front of the next reply, once
        self.stuck = ()  # addresses that do not take a value
        self.spoil = 0  # replies to damage
        self.serial = FakeSerial(clock, self)

    def baud(self):
        value = self.zones[0x2A] | self.zones[0x2B] << 8
        return {0x139: 9600, 0x9C: 19200, 0x34: 57600, 0x1A: 115200}[value]

    def power_cycle(self):
        self.zones = dict(self.flash)

    def __call__(self, data):
        if self.serial.baud != self.baud():
            return b"\xf8\x00"  # what a frame at the wrong rate comes to
        self.frames.append(data)
        assert data[:2] == b"\x7e\x00" and crc(data[2:-2]) == data[-2:]
        if self.mute:
            self.mute -= 1
            return b""
        kind, length, address = data[2], data[3], data[4] << 8 | data[5]
        body = data[6:-2]
        if kind == 7:
            assert length == 1
            self.reads += 1
            answer = bytes([self.zones.get(address + i, 0) for i in range(body[0] or 256)])
        elif kind == 8:
            assert length == len(body)
            self.writes.append((address, body))
            for i, b in enumerate(body):
                if address not in self.stuck:
                    self.zones[address + i] = b
            answer = b"\x00"
        else:
            assert kind == 9 and data == bytes.fromhex("7E0009010000 00DEC8".replace(" ", ""))
            self.saves += 1
            self.flash = dict(self.zones)
            answer = b"\x00"
        out = reply(answer)
        if self.spoil:
            self.spoil -= 1
            out = out[:-1] + bytes([out[-1] ^ 1])
        out, self.before = self.before + out, b""
        return [(8000, out)]


def make(zones=FACTORY, **options):
    clock = FakeClock()
    engine = Engine(clock, zones)
    return clock, engine, Scanner(engine.serial, clock, **options)


def opened(**options):
    clock, engine, scanner = make(**options)
    run(scanner.open())
    return clock, engine, scanner


def test_frames_are_the_manuals_bytes():
    assert gm65.save() == bytes.fromhex("7E000901000000DEC8")
    assert gm65.write_zones(0x2A, b"\x39\x01") == bytes.fromhex("7E000802002A3901A7EA")
    assert gm65.read_zones(0x2A, 2) == bytes.fromhex("7E000701002A02D80F")
    assert gm65.reply_data(OK) == b"\x00"
    assert gm65.baud_zone(9600) == b"\x39\x01"
    assert gm65.baud_zone(115200) == b"\x1a\x00"
    raises(ValueError, gm65.baud_zone, 12345)


def test_replies_with_a_wrong_head_length_or_crc_are_none():
    good = reply(b"\x12\x34")
    assert gm65.reply_data(good) == b"\x12\x34"
    assert gm65.reply_data(good[:-2] + b"\xab\xcd") == b"\x12\x34"
    for i in range(len(good)):
        assert gm65.reply_data(good[:i]) is None
        bad = bytearray(good)
        bad[i] ^= 0x40
        assert gm65.reply_data(bytes(bad)) is None


def test_open_finds_a_factory_engine_sets_it_up_and_saves_once():
    _, engine, scanner = make()
    info = run(scanner.open())
    assert info == {"engine": "gm65", "version": 0x68, "baud": 115200, "saved": True}
    assert engine.serial.baud == 115200 == engine.baud()
    assert engine.saves == 1
    z = engine.flash
    assert z[0x00] & 0x03 == 2  # continuous
    assert z[0x00] & 0xC0 == 0  # no sound, no LED: the validator speaks, after it has decided
    assert z[0x60] == 0x60  # no line end, no prefix, no suffix, no code id
    assert z[0x0D] & 0x03 == 0  # serial
    assert z[0x03] & 0x02  # a printed setup code is not obeyed
    assert (z[0x2A], z[0x2B]) == (0x1A, 0)


def test_bits_that_are_none_of_ours_stay():
    zones = dict(FACTORY)
    zones[0x0D] = 0xA1
    zones[0x03] = 0x41
    zones[0xB0] = 0xF1
    _, engine, scanner = make(zones)
    run(scanner.open())
    assert engine.zones[0x0D] == 0xA0
    assert engine.zones[0x03] == 0x43
    assert engine.zones[0xB0] == 0xF0


def test_an_engine_that_is_set_up_is_neither_written_nor_saved():
    _, engine, _ = opened()
    engine.writes.clear()
    engine.power_cycle()
    again = Scanner(engine.serial, engine.serial.clock)
    info = run(again.open())
    assert info["saved"] is False
    assert engine.saves == 1 and engine.writes == []


def test_one_lost_setting_is_written_alone():
    _, engine, scanner = opened()
    engine.writes.clear()
    engine.zones[0x60] = 0x01
    assert run(scanner.open())["saved"] is True
    assert engine.writes == [(0x60, b"\x60")]


def test_mode_and_light_are_as_wanted():
    _, engine, _ = opened(mode=gm65.SENSE, light=gm65.LIGHT_OFF)
    assert engine.zones[0] & 0x0F == 0x03
    _, engine, _ = opened(light=gm65.LIGHT_ON)
    assert engine.zones[0] & 0x0F == 0x0A


def test_a_version_that_mangles_binary_codes_gets_its_raw_zone():
    zones = dict(FACTORY)
    zones[0xE2] = 0x69
    _, engine, scanner = make(zones)
    run(scanner.open())
    assert engine.flash[0xBC] == 0x08
    _, engine, _ = opened()
    assert 0xBC not in engine.flash


def test_a_sleeping_engine_is_asked_again():
    _, engine, scanner = make()
    engine.mute = 2
    run(scanner.open())
    assert scanner.counters["retries"] >= 2
    assert scanner.info["baud"] == 115200


def test_a_damaged_reply_is_asked_for_again():
    _, engine, scanner = opened()
    engine.spoil = 1
    retries = scanner.counters["retries"]
    assert run(scanner.check())
    assert scanner.counters["retries"] == retries + 1


def test_a_setting_that_does_not_stick_is_an_error_and_is_not_saved():
    _, engine, scanner = make()
    engine.stuck = (0x60,)
    try:
        run(scanner.open())
    except ScannerError as e:
        assert e.reason == "settings" and "0060" in e.detail
    else:
        raise AssertionError("did not raise")
    assert engine.saves == 0
    assert scanner.info is None


def test_no_engine_is_silent_and_next_still_times_out():
    clock = FakeClock()
    scanner = Scanner(FakeSerial(clock), clock)
    try:
        run(scanner.open())
    except ScannerError as e:
        assert e.reason == "silent"
    else:
        raise AssertionError("did not raise")
    start = clock.ticks_ms()
    assert run(scanner.next(500)) is None
    assert 500 <= clock.ticks_ms() - start <= 520
    assert run(scanner.check()) is False


def test_an_engine_plugged_in_later_is_opened_by_check():
    _, engine, scanner = make()
    peer, engine.serial.peer = engine.serial.peer, None
    assert run(scanner.check()) is False
    engine.serial.peer = peer
    assert run(scanner.check()) is True
    assert scanner.info["saved"] is True
    assert run(scanner.check()) is True
    assert scanner.counters["opens"] == 1


def test_an_engine_that_lost_its_settings_is_set_up_again():
    _, engine, scanner = opened()
    engine.zones = dict(FACTORY)
    assert run(scanner.check()) is True
    assert scanner.counters["opens"] == 2
    assert engine.zones[0x60] == 0x60 and engine.baud() == 115200


def test_every_line_rate_of_the_engine_is_found():
    for low, high in ((0x39, 1), (0x9C, 0), (0x34, 0), (0x1A, 0)):
        zones = dict(FACTORY)
        zones[0x2A], zones[0x2B] = low, high
        _, engine, scanner = make(zones)
        assert run(scanner.open())["baud"] == 115200


def test_a_ride_code_comes_at_once_and_a_text_after_the_gap():
    clock, engine, scanner = opened()
    start = clock.now_us
    engine.serial.feed(MOT)
    assert run(scanner.next(1000)) == MOT
    assert clock.now_us - start < 2000
    start = clock.now_us
    engine.serial.feed(TEXT)
    assert run(scanner.next(1000)) == TEXT
    assert 20000 <= clock.now_us - start <= 30000
    assert scanner.counters["codes"] == 2


def test_text_with_lengths_inside_comes_at_once():
    clock, engine, scanner = opened()
    start = clock.now_us
    engine.serial.feed(CPM)
    assert run(scanner.next(1000)) == CPM
    assert clock.now_us - start < 2000


def test_pauses_inside_a_known_code_do_not_cut():
    for code in (CPM, MOT):
        clock, engine, scanner = opened()
        engine.serial.feed(code[:2])
        engine.serial.feed(code[2:30], 130000)
        engine.serial.feed(code[30:40], 230000)
        engine.serial.feed(code[40:], 290000)
        assert run(scanner.next(1000)) == code
        assert clock.now_us < 1000000
        # The next code has all of the patience again.
        engine.serial.feed(code[:9])
        engine.serial.feed(code[9:], 290000)
        assert run(scanner.next(1000)) == code


def test_an_incomplete_code_ends_after_the_patience_and_no_earlier():
    clock, engine, scanner = opened()
    start = clock.now_us
    engine.serial.feed(CPM[:-3])
    assert run(scanner.next(1000)) == CPM[:-3]
    assert 320000 <= clock.now_us - start < 330000
    engine.serial.feed(MOT[:-3])
    start = clock.now_us
    assert run(scanner.next(350)) is None
    assert 320000 <= clock.now_us - start < 360000
    assert scanner.counters["cut"] == 1
    engine.serial.feed(MOT)
    assert run(scanner.next(1000)) == MOT


def test_all_pauses_of_one_code_share_the_patience():
    clock, engine, scanner = opened()
    for i in range(40):
        engine.serial.feed(CPM[i : i + 1], i * 60000)
    start = clock.now_us
    code = run(scanner.next(1000))
    # 300 ms are five pauses of 60; after the next one 20 ms are enough.
    assert code == CPM[:6]
    assert clock.now_us - start < 400000


def test_short_pauses_cost_no_patience():
    clock, engine, scanner = opened()
    for i in range(30):
        engine.serial.feed(MOT[i * 10 : i * 10 + 10], i * 15000)
    engine.serial.feed(MOT[300:], 29 * 15000 + 290000)
    assert run(scanner.next(1000)) == MOT
    # Nor do those of noise, once it is over.
    engine.serial.feed(b"\xff")
    engine.serial.feed(b"\xff", 200000)
    engine.serial.feed(MOT[:9], 400000)
    engine.serial.feed(MOT[9:], 690000)
    assert run(scanner.next(1000)) == MOT


def test_a_glitch_before_a_code_does_not_spoil_it():
    for code in (MOT, CPM):
        clock, engine, scanner = opened()
        engine.serial.feed(b"\xff")
        engine.serial.feed(code, 200000)
        assert run(scanner.next(1000)) == code
        assert scanner.counters["codes"] == 1 and scanner.counters["cut"] == 0


def test_looking_for_an_engine_is_not_held_up_by_what_it_says_at_a_wrong_rate():
    clock, engine, scanner = make()
    start = clock.ticks_ms()
    run(scanner.open())
    assert clock.ticks_ms() - start < 900
    assert scanner.info["baud"] == 115200


def test_a_code_that_trickles_in_after_the_timeout_began_is_not_lost():
    clock, engine, scanner = opened()
    for i in range(0, len(MOT), 40):
        engine.serial.feed(MOT[i : i + 40], 95000 + i * 300)
    assert run(scanner.next(100)) == MOT


def test_pauses_shorter_than_the_gap_do_not_cut():
    clock, engine, scanner = opened()
    for i in range(0, len(TEXT), 5):
        engine.serial.feed(TEXT[i : i + 5], i // 5 * 15000)
    assert run(scanner.next(1000)) == TEXT


def test_bytes_hidden_by_a_pause_of_the_program_do_not_cut():
    clock, engine, scanner = opened()

    class Stalls(FakeSerial):
        # The first read finds nothing and is then held up, as by a garbage collection, for longer
        # than the gap, while the second half comes in.
        async def readinto(self, buf, timeout_ms, spin_ms=4):
            if self.stalls and self._due and self._due[0][0] > clock.now_us:
                self.stalls -= 1
                clock.advance_us(40000)
                return 0
            return await FakeSerial.readinto(self, buf, timeout_ms, spin_ms)

    serial = Stalls(clock)
    serial.stalls = 1
    scanner = Scanner(serial, clock)
    serial.feed(MOT[:100])
    serial.feed(MOT[100:], 5000)
    assert run(scanner.next(1000)) == MOT
    assert serial.stalls == 0
    assert scanner.counters["cut"] == 0


def test_cut_and_oversize_are_reported_and_the_next_code_is_read():
    faults = []
    clock, engine, scanner = opened(on_fault=lambda kind, length: faults.append((kind, length)))
    engine.serial.feed(MOT[:150])
    engine.serial.feed(MOT, 60000)
    assert run(scanner.next(1000)) == MOT
    engine.serial.feed(b"noise" * 1000)
    engine.serial.feed(MOT, 60000)
    assert run(scanner.next(1000)) == MOT
    assert faults == [("cut", 150), ("oversize", 600)]
    assert scanner.counters["cut"] == scanner.counters["oversize"] == 1


def test_a_line_that_never_falls_silent_does_not_hold_the_task_for_ever():
    clock, engine, scanner = opened()
    for i in range(2000):
        engine.serial.feed(b"babble", i * 5000)
    start = clock.ticks_ms()
    assert run(scanner.next(1000)) is None
    assert clock.ticks_ms() - start < 2000


def test_a_code_that_comes_during_a_check_is_kept():
    clock, engine, scanner = opened()
    engine.before = MOT
    assert run(scanner.check()) is True
    start = clock.now_us
    assert run(scanner.next(1000)) == MOT
    assert clock.now_us == start


def test_a_late_reply_is_no_code():
    clock, engine, scanner = opened()
    engine.serial.feed(OK)
    engine.serial.feed(MOT, 1000)
    assert run(scanner.next(1000)) == MOT
    assert run(scanner.next(100)) is None


def test_codes_that_nobody_asked_for_do_not_pile_up():
    clock, engine, scanner = opened()
    codes = [MOT[:-1] + bytes([i]) for i in range(10)]
    engine.before = b"".join(codes)
    assert run(scanner.check()) is True
    kept = []
    while True:
        code = run(scanner.next(50))
        if code is None:
            break
        kept.append(code)
    assert kept == codes[-4:]
    assert scanner.counters["dropped"] == 6


def test_next_and_check_take_turns():
    clock, engine, scanner = opened()
    waiting = scanner.next(60000)
    checking = scanner.check()

    class Pause:
        def __await__(self):
            yield

        __iter__ = __await__

    # A line that lets go of the task at each read, as a real one does.
    inner = engine.serial.readinto

    async def readinto(buf, timeout_ms, spin_ms=4):
        await Pause()
        return await inner(buf, timeout_ms, spin_ms)

    engine.serial.readinto = readinto
    sleep = clock.sleep_ms

    async def sleep_ms(ms):
        await sleep(ms)
        await Pause()

    clock.sleep_ms = sleep_ms
    done = {}
    tasks = {"next": waiting, "check": checking}
    for _ in range(10000):
        for name in list(tasks):
            try:
                tasks[name].send(None)
            except StopIteration as e:
                done[name] = e.value
                del tasks[name]
        if not tasks:
            break
    # The check was let in long before the minute was over, and both ended in order.
    assert done == {"next": None, "check": True}
    assert clock.ticks_ms() < 5000
