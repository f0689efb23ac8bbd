"""The PN532 driver against a scripted chip: the dialog, and each quirk by its name."""

from fakes import run
from pn532_script import (
    ACK,
    CMD,
    ERROR,
    NACK,
    OK,
    OPEN,
    POLL,
    RSP,
    SETTINGS,
    WAKE,
    activated,
    make,
)
from validator.nfc.reader import CardLost, ReaderDead


def fails(kind, coro):
    try:
        run(coro)
    except kind as e:
        return e
    raise AssertionError("did not raise")


SELECT = bytes.fromhex("00A4040000")
DEBIT = bytes.fromhex("805401000F") + bytes(15) + b"\x08"
EXCHANGE = CMD("4001" + SELECT.hex())


def test_open_identifies_and_configures():
    reader, script, _ = make(*OPEN)
    info = run(reader.open())
    assert info == {
        "chip": "pn532",
        "firmware": "1.6",
        "support": 7,
        "antenna": True,
        "bus": "uart",
        "baud": 115200,
    }
    assert not script.steps


def test_open_refuses_another_chip():
    reader, _, _ = make(*OPEN[:2], (CMD("02"), OK("0333020607")))
    assert fails(ReaderDead, reader.open()).reason == "not_a_pn532"


def test_q01_wake_up_before_anything_else():
    reader, _, serial = make(*OPEN)
    run(reader.open())
    assert serial.written[0] == WAKE
    assert serial.written[1] == CMD("14010000")


def test_q02_lost_frame_is_sent_again_after_15_ms():
    reader, script, serial = make((CMD("02"), None), (CMD("02"), OK("0332010607")))
    before = serial.clock.ticks_ms()
    assert run(reader.check())
    assert 15 <= serial.clock.ticks_ms() - before < 30
    assert not script.steps and reader.stats["resent"] == 1


def test_q02_ack_at_14_ms_needs_no_repetition():
    reader, _, _ = make((CMD("02"), [(14000, ACK), (1000, RSP("0332010607"))]))
    assert run(reader.check())
    assert reader.stats["resent"] == 0


def test_q02_ack_100_ms_late():
    late = [(100000, ACK), (1000, RSP("0332010607"))]
    reader, script, _ = make((CMD("02"), late), (CMD("02"), None), (CMD("02"), None))
    assert run(reader.check())
    assert not script.steps


def test_q02_answers_to_repeated_frames_are_not_the_next_answer():
    # The ACK of the first SELECT comes after it was repeated; so the chip answers twice.
    twice = [(40000, ACK), (1000, RSP("4100 1111 9000"))]
    record = CMD("400100B2010C00")
    reader, script, _ = activated(
        (EXCHANGE, twice),
        (EXCHANGE, [(40000, ACK), (1000, RSP("4100 1111 9000"))]),
        (ACK, None),
        (record, OK("4100 2222 9000")),
    )
    assert run(reader.transceive(SELECT)) == bytes.fromhex("11119000")
    assert run(reader.transceive(bytes.fromhex("00B2010C00"))) == bytes.fromhex("22229000")
    assert not script.steps


def test_q02_no_ack_at_all_is_dead():
    reader, _, serial = make(*[(POLL, None)] * 3)
    assert fails(ReaderDead, reader.poll()).reason == "no_ack"
    assert serial.clock.ticks_ms() < 250


def test_q02_debit_is_never_sent_twice():
    command = CMD("4001" + DEBIT.hex())
    reader, script, _ = activated((command, None))
    assert fails(ReaderDead, reader.transceive(DEBIT)).reason == "no_ack"
    assert not script.steps


def test_q03_long_preamble():
    for extra in range(6):
        answer = bytes(extra) + RSP("0332010607")
        reader, _, _ = make((CMD("02"), [(1000, bytes(extra) + ACK), (1000, answer)]))
        assert run(reader.check()), extra


def test_q04_ack_and_response_in_one_burst():
    reader, _, _ = make((CMD("02"), [(1000, ACK + RSP("0332010607"))]))
    assert run(reader.check())


def test_q04_response_before_the_ack():
    reader, _, _ = make((CMD("02"), [(1000, RSP("0332010607")), (1000, ACK)]))
    assert run(reader.check())
    assert reader.stats["resent"] == 0


def test_q04_single_bytes():
    whole = ACK + RSP("4100 6F00 9000")
    reader, _, _ = activated((EXCHANGE, [(87, whole[i : i + 1]) for i in range(len(whole))]))
    assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")


def test_q05_late_answer_before_the_ack_is_dropped():
    # The first poll is aborted; its answer comes when the next poll is on its way.
    card = "01 0004 20 04 01020304 05 78807002"
    stale = [(1000, RSP("4B01" + card)), (1000, ACK), (1000, RSP("4B00"))]
    reader, script, _ = make((POLL, [(1000, ACK)]), (ACK, None), (POLL, stale))
    assert run(reader.poll()) is None
    assert run(reader.poll()) is None
    assert reader.stats["stale"] == 1 and not script.steps


def test_q05_late_answer_in_the_buffer_is_drained():
    reader, _, serial = make((CMD("02"), OK("0332010607")))
    serial.feed(RSP("4B00"))
    assert run(reader.check())
    assert serial.dropped > 0


def test_q05_last_answer_once_more_before_the_right_one():
    again = [(1000, ACK), (1000, RSP("4100 1111 9000") + RSP("4100 2222 9000"))]
    reader, _, _ = activated((EXCHANGE, again))
    assert run(reader.transceive(SELECT)) == bytes.fromhex("22229000")


def test_q05_last_answer_once_more_and_the_right_one_too_late():
    again = [(1000, ACK), (1000, RSP("4100 1111 9000")), (3000, RSP("4100 2222 9000"))]
    reader, script, serial = activated((EXCHANGE, again))
    run(reader.transceive(SELECT))
    serial.clock.advance_us(5000)
    assert fails(CardLost, reader.transceive(SELECT)).reason == "out_of_step"


def test_q05_response_code_must_match():
    reader, _, _ = make((CMD("02"), [(1000, ACK), (1000, RSP("4B00")), (500, RSP("0332010607"))]))
    assert run(reader.check())
    assert reader.stats["stale"] == 1


def test_q06_error_frame_then_the_same_frame_again():
    reader, script, _ = make(
        (POLL, [(1000, ACK), (500, ERROR)]), (POLL, OK("4B00")), (CMD("02"), OK("0332010607"))
    )
    script.steps.insert(2, (ACK, None))
    assert run(reader.poll()) is None
    assert reader.stats["syntax"] == 1
    assert run(reader.check())


def test_q06_error_frames_without_end():
    reader, _, _ = make(*[(POLL, [(1000, ACK), (500, ERROR)])] * 3)
    assert fails(ReaderDead, reader.poll()).reason == "syntax"


def damaged(data, at=-2):
    bad = bytearray(data)
    bad[at] ^= 0x10
    return bytes(bad)


def test_q07_damaged_response_is_asked_for_again():
    good = RSP("4100 6F00 9000")
    bad = damaged(good)
    reader, script, _ = activated(
        (EXCHANGE, [(1000, ACK), (9000, bad)]), (NACK, bad), (NACK, [(500, good)])
    )
    assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")
    assert reader.stats["nacked"] == 2 and not script.steps


def test_q07_damage_without_end():
    bad = damaged(RSP("4100 9000"))
    reader, script, _ = activated(
        (EXCHANGE, [(1000, ACK), (9000, bad)]), *([(NACK, [(500, bad)])] * 3 + [(ACK, None)])
    )
    assert fails(ReaderDead, reader.transceive(SELECT)).reason == "checksum"
    assert not script.steps


def test_q07_lost_bytes_inside_a_frame():
    good = RSP("4100 6F00 9000")
    reader, script, serial = activated(
        (EXCHANGE, [(1000, ACK), (9000, good[:8] + good[10:])]), (NACK, [(500, good)])
    )
    before = serial.clock.ticks_ms()
    assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")
    assert not script.steps and serial.clock.ticks_ms() - before < 50


def test_q07_wrong_response_code_is_asked_for_again():
    good = RSP("4100 6F00 9000")
    reader, script, _ = activated(
        (EXCHANGE, [(1000, ACK), (9000, RSP("4300 6F00 9000"))]), (NACK, [(500, good)])
    )
    assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")
    assert not script.steps


def test_q08_chip_left_at_a_high_baud_rate():
    reader, script, serial = make(
        *OPEN, (CMD("1004"), OK("11")), (ACK, None), (CMD("02"), OK("0332010607"))
    )
    rate = [460800]

    def peer(data):
        if serial.baud != rate[0]:
            return b"\xf8\x00\x80"
        if data == ACK and script.steps[0][0] != ACK:
            return None  # ends what earlier attempts may have begun
        if data == ACK:
            rate[0] = 115200
        return script(data)

    serial.peer = peer
    assert run(reader.open())["baud"] == 115200
    assert serial.baud == 115200 and not script.steps


def test_q08_baud_rate_is_raised_and_restored():
    reader, script, serial = make(
        *OPEN,
        (CMD("1007"), OK("11")),
        (ACK, None),
        (CMD("02"), OK("0332010607")),
        (CMD("320100"), OK("33")),
        (CMD("1004"), OK("11")),
        (ACK, None),
        (CMD("02"), OK("0332010607")),
        baud=921600,
    )
    rates = []
    set_baud = serial.set_baud
    serial.set_baud = lambda baud: (rates.append(baud), set_baud(baud))
    assert run(reader.open())["baud"] == 921600
    run(reader.close())
    assert rates == [115200, 921600, 115200] and not script.steps


def test_q10_poll_that_is_never_answered():
    reader, script, serial = make((POLL, [(1000, ACK)]), (ACK, None))
    before = serial.clock.ticks_ms()
    assert run(reader.poll()) is None
    assert serial.clock.ticks_ms() - before <= 100
    assert not script.steps


def test_q10_silent_chip_is_configured_anew():
    silent = ((POLL, [(1000, ACK)]), (ACK, None))
    reader, script, _ = make(*(silent * 8 + OPEN[:2] + SETTINGS))
    for _ in range(8):
        assert run(reader.poll()) is None
    assert not script.steps


def test_interrupted_command_is_aborted_first():
    reader, script, _ = make((POLL, None), (ACK, None), (CMD("02"), OK("0332010607")))
    reader._clock.sleep_ms = None  # nothing may wait before the write
    port = reader._port

    class Cancelled(Exception):
        pass

    async def cancelled(buf, timeout_ms, spin_ms=4):
        raise Cancelled()

    serial = port.serial
    readinto, serial.readinto = serial.readinto, cancelled
    fails(Cancelled, reader.poll())
    serial.readinto = readinto
    del reader._clock.sleep_ms
    assert run(reader.check())
    assert not script.steps


class Pin:
    def __init__(self, at_low=None):
        self.levels = []
        self.at_low = at_low

    def __call__(self, level):
        self.levels.append(level)
        if self.at_low and not level:
            self.at_low()


def test_q16_recover_by_reset_pin():
    pin = Pin()
    reader, script, _ = make(*OPEN, reset_pin=pin)
    run(reader.recover())
    assert pin.levels == [0, 1] and not script.steps


def test_q16_recover_by_rail_when_reset_is_not_enough():
    reader, script, serial = make(*OPEN, reset_pin=Pin(), power_pin=Pin())
    alive = []
    reader._power_pin.at_low = lambda: alive.append(True)
    serial.peer = lambda data: script(data) if alive else None
    assert run(reader.recover())["firmware"] == "1.6"
    assert reader._power_pin.levels == [0, 1]


def test_q16_recover_gives_up_in_bounded_time():
    reader, _, serial = make()
    serial.peer = lambda data: None
    fails(ReaderDead, reader.recover())
    assert serial.clock.ticks_ms() < 3000


def test_q02_first_ack_1400_ms_late():
    reader, script, serial = make(*OPEN[2:])
    asked = []

    def peer(data):
        if data == CMD("14010000"):
            asked.append(data)
            # Two attempts at each of five baud rates come first.
            return [(1400000, ACK), (1000, RSP("15"))] if len(asked) == 11 else None
        return None if data in (ACK, WAKE) else script(data)

    serial.peer = peer
    assert run(reader.open())["firmware"] == "1.6"
    assert not script.steps


def test_lost_card_maps_to_card_lost():
    reader, _, _ = activated((EXCHANGE, OK("4101")))
    assert fails(CardLost, reader.transceive(SELECT)).reason == "timeout"
