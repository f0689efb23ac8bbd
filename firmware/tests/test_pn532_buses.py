"""The PN532 driver on SPI and I2C, against a scripted chip on either bus."""

from fakes import FakeClock, run
from pn532_script import (
    ACK,
    CMD,
    FOUND,
    NACK,
    NOBODY,
    OK,
    OPEN,
    POLL,
    RSP,
    I2cChip,
    SpiChip,
    frame,
)
from validator.nfc import pn532_frame as pf
from validator.nfc.pn532 import Pn532Reader
from validator.nfc.pn532_i2c import I2cLine
from validator.nfc.pn532_spi import SpiLine
from validator.nfc.reader import CardLost, ReaderDead

SELECT = bytes.fromhex("00A4040000")
EXCHANGE = CMD("4001" + SELECT.hex())
VERSION = (CMD("02"), OK("0332010607"))


def fails(kind, coro):
    try:
        run(coro)
    except kind as e:
        return e
    raise AssertionError("did not raise")


def spi(*steps, **options):
    """(reader, chip); `irq=True` wires the interrupt pin."""
    clock = FakeClock()
    chip = SpiChip(clock, *steps)
    irq = chip.irq if options.get("irq") else None
    return Pn532Reader(SpiLine(chip, chip.cs, clock, irq=irq), clock), chip


def i2c(*steps, **options):
    clock = FakeClock()
    chip = I2cChip(clock, *steps)
    irq = chip.irq if options.get("irq") else None
    line = I2cLine(chip.make, chip.pin(False), chip.pin(True), clock, irq=irq)
    return Pn532Reader(line, clock), chip


BUSES = (spi, i2c)


def opening(irq):
    steps = list(OPEN[1:])
    if irq:
        steps[0] = (CMD("14010001"), OK("15"))
    return steps


def test_open_and_one_apdu():
    for bus in BUSES:
        for irq in (False, True):
            steps = opening(irq) + [(POLL, FOUND), (EXCHANGE, OK("4100 6F00 9000"))]
            reader, chip = bus(*steps, irq=irq)
            info = run(reader.open())
            assert info["firmware"] == "1.6" and info["bus"] == bus.__name__
            assert info["baud"] == (2000000 if bus is spi else 400000)
            assert run(reader.poll()).uid == bytes((1, 2, 3, 4))
            assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")
            assert not chip.script.steps
            traffic = reader.traffic()
            assert (traffic["exchanges"], traffic["apdu_bytes"]) == (1, 9)
            # Command frame 15, ACK 6, answer frame 14.
            assert traffic["wire_bytes"] == 15 + 6 + 14 and traffic["us"] > 2000


def test_close_leaves_the_bus_as_it_is():
    for bus in BUSES:
        reader, chip = bus((CMD("320100"), OK("33")))
        run(reader.close())
        assert not chip.script.steps


def test_answers_of_every_length():
    for bus in BUSES:
        for n in (1, 2, 28, 29, 30, 31, 32, 33, 250, 251, 252, 253, 254, 255, 256, 260, 262):
            data = bytes(i * 3 & 0xFF for i in range(n))
            answer = [(1000, ACK), (3000, frame(b"\xd5\x41\x00" + data))]
            reader, chip = bus((POLL, FOUND), (EXCHANGE, answer))
            run(reader.poll())
            assert run(reader.transceive(SELECT)) == data, (bus.__name__, n)
            assert reader.stats["nacked"] == 0 and not chip.script.steps


def test_spi_reads_what_there_is_and_no_more():
    reader, chip = spi((POLL, FOUND))
    run(reader.poll())
    found = frame(b"\xd5" + bytes.fromhex("4B01 01 0004 20 04 01020304 05 78807002"))
    assert chip.reads == [6, len(found)]


def test_i2c_long_answer_is_asked_for_again_as_a_whole():
    answer = [(1000, ACK), (3000, frame(b"\xd5\x41\x00" + bytes(258)))]
    reader, chip = i2c((POLL, FOUND), (EXCHANGE, answer))
    run(reader.poll())
    chip.reads.clear()
    run(reader.transceive(SELECT))
    assert chip.reads == [6, 40, 271] and chip.written.count(NACK) == 1


def test_q03_long_preamble_on_a_bus():
    for bus in BUSES:
        for extra in range(6):
            answer = bytes(extra) + RSP("0332010607")
            reader, _ = bus((CMD("02"), [(1000, bytes(extra) + ACK), (1000, answer)]))
            assert run(reader.check()), (bus.__name__, extra)


def test_q04_response_before_the_ack_on_a_bus():
    for bus in BUSES:
        reader, _ = bus((CMD("02"), [(1000, RSP("0332010607")), (1000, ACK)]))
        assert run(reader.check())


def test_q05_frame_that_nobody_waited_for_is_dropped():
    for bus in BUSES:
        for irq in (False, True):
            reader, chip = bus(VERSION, irq=irq)
            chip.due.append((0, RSP("4B00")))
            assert run(reader.check())
            assert not chip.due


def test_q10_poll_that_is_never_answered_on_a_bus():
    for bus in BUSES:
        reader, chip = bus((POLL, [(1000, ACK)]), (ACK, None), VERSION)
        before = chip.clock.ticks_ms()
        assert run(reader.poll()) is None
        assert chip.clock.ticks_ms() - before <= 100
        assert run(reader.check())


def test_q07_damaged_answer_on_a_bus():
    for bus in BUSES:
        good = RSP("4100 6F00 9000")
        bad = bytearray(good)
        bad[-2] ^= 0x10
        reader, chip = bus((POLL, FOUND), (EXCHANGE, [(1000, ACK), (1000, bad)]))
        run(reader.poll())
        again = chip.answer

        def answer(data, chip=chip, again=again):
            if data == NACK:
                chip.last = good
            again(data)

        chip.answer = answer
        assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")
        assert reader.stats["nacked"] == 1


def test_q11_transfer_that_timed_out_is_made_again():
    for failing in range(1, 9):
        reader, chip = i2c(VERSION, VERSION, VERSION)
        count = []

        def fail(chip=chip, count=count, failing=failing):
            count.append(1)
            if len(count) == failing:
                chip.clock.advance_us(25000)
                raise OSError(116)

        chip.fail = fail
        assert run(reader.check()), failing


def test_q12_sda_is_freed_by_nine_clocks():
    for clocks in (1, 5, 9):
        reader, chip = i2c(*opening(False))
        chip.holds_sda = clocks
        assert run(reader.open())["firmware"] == "1.6"
        assert chip.made == 2 and reader._port.serial.freed == 1


def test_q12_stuck_bus_is_recovered_by_the_reset_pin():
    # Held for ever, with the chip's reset as the only remedy.
    reader, chip = i2c(*opening(False))
    chip.holds_sda = 1000000

    def reset(level):
        if not level:
            chip.holds_sda = 0

    assert fails(ReaderDead, reader.open()).reason == "no_ack"
    assert chip.reads == [] and chip.written == []
    reader._reset_pin = reset
    assert run(reader.recover())["firmware"] == "1.6"


class Blocked:
    """Notes the longest time that nobody else had a turn."""

    def __init__(self, clock):
        self.clock = clock
        self.since = clock.now_us
        self.longest = 0
        sleep = clock.sleep_ms

        async def sleep_ms(ms):
            self.turn()
            await sleep(ms)
            self.since = clock.now_us

        clock.sleep_ms = sleep_ms

    def turn(self):
        self.longest = max(self.longest, self.clock.now_us - self.since)


def test_q13_waiting_never_blocks():
    slow = [(1000, ACK), (200000, RSP("4100 6F00 9000"))]
    for bus in BUSES:
        reader, chip = bus((POLL, FOUND), (EXCHANGE, slow))
        run(reader.poll())
        blocked = Blocked(chip.clock)
        run(reader.transceive(SELECT))
        # The longest thing in between is one read of 40 bytes at 400 kHz.
        assert blocked.longest <= 1100, bus.__name__


def test_q13_bus_held_low_costs_no_time_out():
    reader, chip = i2c(VERSION)
    chip.holds_sda = 1000000
    blocked = Blocked(chip.clock)
    assert not run(reader.check())
    assert blocked.longest < 1000


def test_q13_dead_bus_leaves_time_for_others():
    reader, chip = i2c()
    blocked = Blocked(chip.clock)
    failed = []

    def fail():
        chip.clock.advance_us(25000)
        failed.append(1)
        raise OSError(116)

    chip.fail = fail
    before = chip.clock.ticks_ms()
    assert not run(reader.check())
    # A read, and a drain and a write of the next attempt, then the others have their turn.
    assert blocked.longest <= 80000
    assert len(failed) <= 16 and chip.clock.ticks_ms() - before < 600


def test_q14_garbage_behind_not_ready_is_no_answer():
    late = [(1000, ACK), (30000, RSP("0332010607"))]
    reader, chip = i2c((CMD("02"), late))
    assert run(reader.check())
    assert reader.stats["nacked"] == 0 and reader.stats["resent"] == 0
    assert chip.reads == [6, 40]
    # With an interrupt line that is low too early, each read may come before its frame.
    reader, chip = i2c((CMD("02"), late))
    reader._port.serial.irq = lambda: 0
    assert run(reader.check())
    assert reader.stats["nacked"] == 0 and len(chip.reads) > 2


def test_q14_idle_lines_are_no_frame():
    reader, chip = i2c((CMD("02"), None), (CMD("02"), None), (CMD("02"), None))

    def readfrom_into(address, buf):
        chip.clock.advance_us(100)
        for i in range(len(buf)):
            buf[i] = 0xFF

    chip.readfrom_into = readfrom_into
    assert not run(reader.check())
    assert reader.stats["nacked"] == 0


def test_q15_lower_clock_after_damage():
    reader, chip = spi()
    line = reader._port.serial
    for _ in range(2):
        line.trouble()
    assert chip.rate == 2000000
    line.trouble()
    assert chip.rate == 1000000 and line.baud == 1000000
    for _ in range(30):
        line.trouble()
    assert chip.rate == 500000


def test_q15_damage_now_and_then_is_no_reason():
    reader, chip = spi()
    chip.script = lambda data: OK("0332010607")
    line = reader._port.serial
    for i in range(900):
        chip.written.clear()
        chip.reads.clear()
        if i % 150 == 0:
            line.trouble()
        run(reader.check())
    assert chip.rate == 2000000


def test_q15_lost_frame_counts_and_a_dead_chip_does_not():
    reader, chip = spi(*[(CMD("02"), None), VERSION, (ACK, None)] * 3)
    for n in range(3):
        assert chip.rate == 2000000
        assert run(reader.check()), n
    assert chip.rate == 1000000
    reader, chip = spi(*([(CMD("02"), None)] * 3 + [(ACK, None)]) * 3)
    for _ in range(3):
        assert not run(reader.check())
    assert chip.rate == 2000000


def test_q15_clone_that_is_too_slow_ends_at_a_rate_that_works():
    bad = bytearray(RSP("4100 6F00 9000"))
    bad[-3] ^= 1
    polls = [(POLL, FOUND), (EXCHANGE, OK("4100 6F00 9000"))]
    reader, chip = spi(*polls, (ACK, None), *polls)
    again = chip.readinto

    def readinto(buf, write=0):
        again(buf, write)
        if chip.rate > 1000000 and len(buf) > 6 and chip.due and len(chip.due[0][1]) < 20:
            buf[0] ^= 4

    chip.readinto = readinto
    run(reader.poll())
    try:
        run(reader.transceive(SELECT))
    except (ReaderDead, CardLost):
        run(reader.poll())
        run(reader.transceive(SELECT))
    assert chip.rate == 1000000 and reader.traffic()["baud"] == 1000000


def test_q15_select_line_is_let_go_after_a_failure():
    reader, chip = spi(VERSION)
    line = reader._port.serial

    def broken(buf, write=0):
        raise OSError(5)

    chip.readinto = broken
    for call in (line.any, lambda: line._read(bytearray(8))):
        try:
            call()
            raise AssertionError("did not raise")
        except OSError:
            pass
        assert chip.level == 1


def test_q17_readiness_is_a_level_and_never_an_edge():
    # The line drops and rises again at once, while another frame is behind it.
    for bus in BUSES:
        reader, chip = bus((CMD("02"), [(1000, ACK), (0, RSP("0332010607"))]), irq=True)
        assert run(reader.check())
        assert reader.stats["resent"] == 0


def test_q01_sleeping_chip_is_woken_by_its_bus():
    reader, chip = spi(*opening(False))
    low = []
    cs = chip.cs

    def watched(level):
        if not level:
            low.append(chip.clock.now_us)
        elif chip.command is None:
            low[-1] = chip.clock.now_us - low[-1]
        cs(level)

    reader._port.serial._cs = watched
    run(reader.open())
    assert low[0] >= 2000

    reader, chip = i2c(*opening(False))
    asleep = [True]

    def fail():
        if asleep:
            asleep.pop()
            raise OSError(19)

    chip.fail = fail
    assert run(reader.open())["firmware"] == "1.6"
    assert reader.stats["resent"] == 0


def test_q01_h_req_wakes_where_it_is_wired():
    for make in BUSES:
        reader, chip = make(*opening(False))
        levels = []
        reader._port.serial._h_req = levels.append
        run(reader.open())
        assert levels == [0, 1]


def test_bus_without_a_chip_reads_as_nothing():
    reader, chip = spi((CMD("02"), None), (CMD("02"), None), (CMD("02"), None))

    def ones(buf, write=0):
        chip.clock.advance_us(10)
        for i in range(len(buf)):
            buf[i] = 0xFF

    chip.readinto = ones
    assert not run(reader.check())


def test_silent_poll_then_a_card():
    for bus in BUSES:
        reader, chip = bus((POLL, NOBODY), (POLL, FOUND))
        assert run(reader.poll()) is None
        assert run(reader.poll()).kind == "A"


def test_wanted_bytes_of_a_frame():
    for extra in range(6):
        for body in (b"\xd5\x03", b"\xd5" + bytes(60), b"\xd5" + bytes(254), b"\xd5" + bytes(264)):
            whole = bytes(extra) + frame(body)
            n = 6
            while n < len(whole):
                want = pf.wanted(whole, n)
                assert n < want <= len(whole), (extra, len(body), n)
                n = want
            assert pf.wanted(whole + bytes(9), len(whole)) == len(whole)
    for short in (ACK, NACK):
        assert pf.wanted(short, 6) == 6
    assert pf.wanted(bytes.fromhex("0000FF01FF7F"), 6) == 8
    assert pf.wanted(bytes(300), 18) == 18 and pf.wanted(b"\xff" * 300, 18) == 18
    assert pf.wanted(bytes.fromhex("0000FFFFFF4000C000"), 9) == 9
