"""The PN532 driver over days: lost settings, rates too high, clones, and what is never sent."""

from fakes import run
from pn532_script import (
    ACK,
    CMD,
    FOUND,
    NOBODY,
    OK,
    OPEN,
    POLL,
    POLL_B,
    RSP,
    SETTINGS,
    make,
)
from validator.nfc.reader import ReaderDead

FAST = (
    (CMD("1007"), OK("11")),
    (ACK, None),
    (CMD("02"), OK("0332010607")),
)


def fails(kind, coro):
    try:
        run(coro)
    except kind as e:
        return e
    raise AssertionError("did not raise")


def test_q16_settings_are_renewed_about_once_a_minute():
    reader, script, _ = make(type_b_every=0)
    reader._polls = 1022
    script.steps += ((POLL, NOBODY),) + SETTINGS + ((POLL, NOBODY), (POLL, NOBODY))
    for _ in range(3):
        assert run(reader.poll()) is None
    assert not script.steps


def test_q35_antenna_is_tested_and_told():
    for answer, sound in (("0100", True), ("01FF", False)):
        steps = list(OPEN)
        steps[3] = (CMD("00070F"), OK(answer))
        reader, script, _ = make(*steps)
        assert run(reader.open())["antenna"] is sound
        assert not script.steps


def test_q35_clone_that_does_not_know_the_antenna_test():
    steps = list(OPEN)
    steps[3:4] = [(CMD("00070F"), [(1000, ACK)]), (ACK, None)]
    reader, script, _ = make(*steps)
    assert run(reader.open())["antenna"] is False
    assert not script.steps
    refused = [(CMD("00070F"), [(1000, ACK), (500, bytes.fromhex("0000FF01FF7F8100"))])] * 3
    reader, script, _ = make(*(OPEN[:3] + tuple(refused)))
    script.steps += ((ACK, None),) + SETTINGS
    assert run(reader.open())["antenna"] is False
    assert not script.steps


def test_q09_bare_byte_in_place_of_a_response():
    # Some firmware answers Diagnose with neither D5 nor a response code.
    bare = bytes.fromhex("0000FF01FF000000")
    reader, script, serial = make(*OPEN)
    script_call = serial.peer

    def peer(data):
        if data == CMD("00070F"):
            script.steps.pop(0)
            return [(1000, ACK), (1000, bare)]
        if data == bytes.fromhex("0000FFFF0000"):
            return [(500, bare)]
        return None if data == ACK else script_call(data)

    serial.peer = peer
    assert run(reader.open())["antenna"] is False


def test_q08_raised_rate_that_does_not_last_is_given_up():
    reader, script, _ = make(*((OPEN + FAST) * 3 + OPEN), baud=921600)
    run(reader.open())
    for _ in range(2):
        # The chip was found dead after a few commands.
        reader._port.set_baud(115200)
        assert run(reader.recover())["baud"] == 921600
    reader._port.set_baud(115200)
    assert run(reader.recover())["baud"] == 115200
    assert not script.steps


def test_q08_raised_rate_is_kept_over_long_lives():
    reader, script, _ = make(*((OPEN + FAST) * 6), baud=921600)
    run(reader.open())
    for _ in range(5):
        reader._port.commands += 1000
        reader._port.set_baud(115200)
        assert run(reader.recover())["baud"] == 921600


def test_q08_rate_that_the_board_cannot_do_ends_at_one_that_works():
    reader, script, serial = make(*OPEN, (CMD("1007"), OK("11")), (ACK, None), baud=921600)
    script_call = serial.peer

    def peer(data):
        if script.steps:
            return script_call(data)
        # The chip took the rate for good, and the line garbles it until both are back.
        if serial.baud != 115200:
            return b"\x80\xf8"
        if data == CMD("14010000"):
            return OK("15")
        return None

    serial.peer = peer
    assert run(reader.open())["baud"] == 115200


def test_q08_the_last_bit_is_out_before_the_rate_changes():
    # The ACK that makes the chip change over has 60 bits: 6.25 ms at the slowest rate.
    for old, bits_us in ((9600, 6250), (115200, 521)):
        reader, script, serial = make(*FAST)
        reader._port.set_baud(old)
        acked = []
        changed = []
        set_baud = serial.set_baud

        def watched(data, script=script, serial=serial, acked=acked):
            if data == ACK:
                acked.append(serial.clock.now_us)
            return script(data)

        def changing(baud, set_baud=set_baud, serial=serial, changed=changed):
            changed.append((baud, serial.clock.now_us))
            set_baud(baud)

        serial.peer = watched
        serial.set_baud = changing
        run(reader._raise_baud(921600))
        assert changed[0][0] == 921600 and not script.steps
        assert changed[0][1] - acked[0] >= bits_us


def test_q32_no_frame_of_its_own_is_ever_sent():
    # ECP frames (6A 01, 6A 02) need InCommunicateThru, or the transmit FIFO by register.
    steps = OPEN + ((POLL, NOBODY), (POLL_B, NOBODY), (POLL, FOUND))
    reader, script, serial = make(*steps, type_b_every=1)
    run(reader.open())
    assert run(reader.poll()) is None
    run(reader.poll())
    assert not script.steps
    sent = [data for data in serial.written if len(data) > 8 and data[5] == 0xD4]
    codes = {data[6] for data in sent}
    assert codes == {0x00, 0x02, 0x12, 0x14, 0x32, 0x4A}
    assert not [data for data in sent if b"\x6a\x01" in data or b"\x6a\x02" in data]


def test_dead_chip_is_noticed_in_time_at_any_rate():
    for baud in (115200, 921600):
        reader, script, serial = make(*OPEN, *(FAST if baud > 115200 else ()), baud=baud)
        run(reader.open())
        serial.peer = lambda data: None
        before = serial.clock.ticks_ms()
        assert fails(ReaderDead, reader.poll()).reason == "no_ack"
        assert serial.clock.ticks_ms() - before < 200


def test_traffic_of_one_exchange():
    select = bytes.fromhex("00A4040000")
    exchange = (CMD("4001" + select.hex()), OK("4100 6F00 9000"))
    reader, _, _ = make((POLL, FOUND), exchange, exchange)
    run(reader.poll())
    assert reader.traffic()["exchanges"] == 0
    run(reader.transceive(select))
    run(reader.transceive(select))
    traffic = reader.traffic()
    assert traffic["exchanges"] == 2 and traffic["apdu_bytes"] == 18
    wire = len(exchange[0]) + len(ACK) + len(RSP("4100 6F00 9000"))
    assert traffic["wire_bytes"] == 2 * wire
    # Two milliseconds of the script each, and the time in which the port makes sure.
    assert 4000 <= traffic["us"] < 6000
    reader._exchange_us = 1000000001
    reader._port.wire_bytes = 0x3FFFFFFF
    run_again = make((POLL, FOUND), exchange)[1]
    reader._port.serial.peer = lambda data: run_again.steps[1][1]
    run(reader.transceive(select))
    traffic = reader.traffic()
    assert traffic["exchanges"] == 1 and traffic["wire_bytes"] == wire
