"""The MFRC522 driver and its chip: start, health, recovery, frames."""

from fakes import FakeClock, raises, run
from iso_dep_card import BlockCard
from mfrc522_fake import FakeCard, FakeMfrc522, Frame, crc_a
from validator.nfc.iso14443 import Timeout, TransmissionError
from validator.nfc.mfrc522 import Mfrc522Reader
from validator.nfc.mfrc522_rf import crc_a as driver_crc_a
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead

UID = bytes.fromhex("01020304")


def pattern(n):
    return bytes((i * 7 + i // 256) & 0xFF for i in range(n))


def echo(apdu):
    return bytes(apdu) + b"\x90\x00"


def bench(app=echo, **card):
    """(reader, chip, card), open, with an ISO-DEP card in the field."""
    clock = FakeClock()
    card = FakeCard(UID, blocks=BlockCard(app, **card))
    chip = FakeMfrc522(clock, [card])
    reader = Mfrc522Reader(chip, chip.cs, clock, reset_pin=chip.reset_pin)
    run(reader.open())
    return reader, chip, card


def activated(app=echo, **card):
    reader, chip, card = bench(app, **card)
    target = run(reader.poll())
    assert target.uid == UID and target.apdu
    return reader, chip, card


def test_crc_a_of_the_standard():
    # ISO/IEC 14443-3, annex B.
    assert driver_crc_a(b"\x00\x00") == 0x1EA0 and driver_crc_a(b"\x12\x34") == 0xCF26
    assert crc_a(b"\x00\x00") == b"\xa0\x1e"


def test_open():
    reader, chip, _ = bench()
    info = run(reader.open())
    assert info == {"chip": "mfrc522", "firmware": "2.0", "baud": 0, "support": 1}
    # TAuto and a prescaler of 677, 100 % ASK, CRC preset 6363, 38 dB, no field.
    assert bytes(chip.reg[0x2A:0x2C]) == b"\x82\xa5"
    assert (chip.reg[0x15], chip.reg[0x11], chip.reg[0x26]) == (0x40, 0x3D, 0x58)
    assert chip.reg[0x14] & 3 == 0


def test_q35_versions():
    for version in range(256):
        reader, chip, _ = bench()
        chip.version = version
        if version in (0x00, 0xFF):  # a line that nobody drives
            assert raises(ReaderDead, run, reader.open()).reason == "no_answer"
            continue
        name = {0x90: "0.0", 0x91: "1.0", 0x92: "2.0"}.get(version, "clone %02X" % version)
        assert run(reader.open())["firmware"] == name
        assert run(reader.check())
        target = run(reader.poll())
        assert target.uid == UID and run(reader.transceive(b"\x00\xa4")) == b"\x00\xa4\x90\x00"


def test_q35_what_keeps_no_register_is_another_chip():
    for version, reason in ((0x55, "not_an_mfrc522"), (0xB2, "not_an_mfrc522"), (0x92, "bus")):
        for register in (0x11, 0x15, 0x2A, 0x2B, 0x2D):
            reader, chip, _ = bench()
            chip.version = version
            write = chip._write
            chip._write = lambda n, value: write(n, 0 if n == register else value)
            assert raises(ReaderDead, run, reader.open()).reason == reason


def test_q15_a_version_that_is_read_differently_each_time():
    reader, chip, _ = bench()
    read = chip._read
    values = [0x92, 0x12, 0x92, 0x90] * 4
    chip._read = lambda n: values.pop() if n == 0x37 else read(n)
    raises(ReaderDead, run, reader.open())
    reader, chip, _ = bench()
    assert run(reader.check())
    chip.reg[0x37] = 0x12  # another chip, or another answer, than at the start
    assert not run(reader.check())


def test_q15_a_bus_that_loses_bits_is_found():
    reader, chip, _ = bench()
    read = chip._read
    chip._read = lambda n: read(n) & 0x7F if n == 0x2D else read(n)
    assert raises(ReaderDead, run, reader.open()).reason == "bus"


def test_q15_chip_select_is_released_after_an_error():
    reader, chip, _ = bench()

    def broken(out, into):
        raise OSError(5)

    chip.write_readinto = broken
    assert raises(ReaderDead, run, reader.poll()).reason == "bus"
    assert not chip.selected
    assert not run(reader.check())


def test_q16_a_dead_bus_in_every_call():
    for level in (0x00, 0xFF):
        for call in ("poll", "open", "recover"):
            reader, chip, _ = bench()
            chip.stuck = level
            raises(ReaderDead, run, getattr(reader, call)())
        reader, chip, _ = activated()
        chip.stuck = level
        error = raises(ReaderDead, run, reader.transceive(b"\x00\xa4"))
        assert error.reason == ("bus" if level else "no_answer")
        assert not run(reader.check())
        run(reader.deselect())


def test_q16_a_chip_that_ends_nothing_is_dead_in_time():
    reader, chip, _ = bench()
    chip.deaf = True
    began = chip.clock.ticks_ms()
    assert raises(ReaderDead, run, reader.poll()).reason == "no_answer"
    assert chip.clock.ticks_ms() - began <= 100


def test_q16_a_chip_that_restarted_is_found_and_recovered():
    reader, chip, _ = activated()
    assert run(reader.check())
    chip.power_on()
    assert not run(reader.check())
    run(reader.recover())
    assert chip.resets == 1
    assert run(reader.check()) and run(reader.poll()).uid == UID
    assert run(reader.transceive(b"ab")) == b"ab\x90\x00"


def test_q16_recovery_by_the_rail():
    reader, chip, _ = bench()
    chip.stuck = 0
    levels = []

    def rail(level):
        levels.append(level)
        if level:
            chip.stuck = None
            chip.power_on()

    reader._power_pin = rail
    assert run(reader.recover())["chip"] == "mfrc522"
    assert levels == [0, 1]


def test_q34_over_temperature():
    reader, chip, _ = activated()
    chip.hot = True
    assert raises(ReaderDead, run, reader.check()).reason == "over_temperature"
    assert raises(ReaderDead, run, reader.transceive(b"ab")).reason == "over_temperature"


def test_check_changes_nothing_for_the_card():
    reader, chip, _ = activated()
    for _ in range(3):
        assert run(reader.check())
        assert run(reader.transceive(b"ab")) == b"ab\x90\x00"


# Frames and the FIFO.


def test_every_length_across_the_fifo():
    for n in (1, 61, 62, 63, 64, 65, 66, 100, 127, 128, 129, 252, 253, 254, 261):
        reader, chip, card = activated()
        apdu = pattern(n)
        assert run(reader.transceive(apdu)) == apdu + b"\x90\x00", n
        assert card.blocks.apdus == [apdu]
        assert reader.stats["errors"] == reader.stats["timeouts"] == 0, n


def test_q23_long_answers():
    for n in (251, 252, 253, 254, 255, 256, 4096):
        answer = pattern(n)
        reader, _, _ = activated(app=lambda apdu: answer)
        assert run(reader.transceive(b"\x00\xb2")) == answer, n


def test_q23_a_frame_longer_than_agreed():
    answer = pattern(400)
    reader, chip, _ = activated(app=lambda apdu: answer, fsd=258)
    assert raises(CardProtocolError, run, reader.transceive(b"\x00")).reason == "overflow"


def test_a_pause_while_a_frame_comes_costs_a_repetition():
    reader, chip, card = activated(app=lambda apdu: pattern(250))
    chip.pause_us = 9000
    chip.pause_when = lambda chip: chip.phase == "rx" and chip.rx_n > 10
    assert run(reader.transceive(b"\x00")) == pattern(250)
    assert reader.stats["errors"] == 1 and len(card.blocks.apdus) == 1


def test_a_pause_while_a_frame_is_sent_gives_no_half_a_command():
    for pause_us in (4000, 6000, 9000, 30000):
        for n in (70, 100, 200):
            reader, chip, card = activated()
            chip.pause_us = pause_us
            chip.pause_when = lambda chip: chip.phase == "tx" and len(chip.tx) > 3
            apdu = pattern(n)
            assert run(reader.transceive(apdu)) == apdu + b"\x90\x00"
            assert card.blocks.apdus == [apdu]
    assert reader.stats["underruns"] == 1


def test_timer_has_the_cards_waiting_time():
    reader, chip, card = activated()
    card.mute = True
    began = chip.clock.now_us
    assert raises(CardLost, run, reader.transceive(b"\x00\xa4")).reason == "timeout"
    each = (chip.clock.now_us - began) / 4  # the command and three R(NAK)
    assert 42409 <= each < 44500


def test_damage_of_every_kind():
    for frame, reason in (
        (Frame(b"\x02\x90\x00\x12\x34"), "rf_crc"),
        (Frame(b"\x02\x90\x00" + crc_a(b"\x02\x90\x00"), parity=True), "rf_parity"),
        (Frame(b"\x02\x90\x00" + crc_a(b"\x02\x90\x00"), collision=3), "collision"),
        (Frame(b"\x02\x90\x00\x00" + crc_a(b"\x02\x90\x00\x00"), n_bits=45), "rf_bits"),
    ):
        reader, chip, card = activated()
        run(reader.transceive(b"ab"))
        chip.cards[0] = Repeating(frame)
        error = raises(TransmissionError, run, reader._rf.exchange(b"\x02", 5000))
        assert error.reason == reason
    chip.cards.clear()
    raises(Timeout, run, reader._rf.exchange(b"\x02", 5000))


class Repeating:
    def __init__(self, frame):
        self.frame = frame

    def field_off(self):
        pass

    def heard(self, data, n_bits):
        return [(100, self.frame)]


def test_traffic_is_counted():
    reader, _, _ = activated()
    before = reader.traffic()
    assert before["exchanges"] == 0 and before["us"] == 0
    run(reader.transceive(b"abcd"))
    after = reader.traffic()
    assert after["exchanges"] == 1 and after["apdu_bytes"] == 10
    # PCB and CRC on both frames.
    assert after["wire_bytes"] == 16 and after["us"] > 16 * 85
