"""The simulated scan engine: settings frames byte for byte, triggers, tails, line rate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import codes
from faretap.sim.chips.gm65 import Gm65
from faretap.sim.virtual_time import Wire

DONE = bytes.fromhex("02000001003331")
CONTINUOUS = bytes.fromhex("7E000801000096ABCD")
NO_TAIL = bytes.fromhex("7E000801006000ABCD")
RATE_115200 = bytes.fromhex("7E000802002A1A00ABCD")
SAVE = bytes.fromhex("7E0009010000 00DEC8".replace(" ", ""))


class Engine(Wire):
    def __init__(self, version: int = 0x87) -> None:
        self.engine = Gm65(version=version)
        super().__init__(self.engine)
        self.engine.set_line_baud(9600)

    def show(self, code: bytes, hold: float = 0.0, seconds: float = 10.0) -> bytes:
        self.sent.clear()
        self.log.clear()
        self.engine.scan(code, hold)
        self.time.advance(seconds)
        return bytes(self.sent)


@pytest.fixture
def wire() -> Engine:
    return Engine()


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ("7E 00 07 01 00 2A 02 D8 0F", "02 00 00 02 39 01 C1 4C"),
        ("7E 00 07 01 00 60 01 AB CD", "02 00 00 01 01 23 10"),
        ("7E 00 08 01 00 02 01 AB CD", "02 00 00 01 00 33 31"),
        ("7E 00 08 02 00 2A 39 01 A7 EA", "02 00 00 01 00 33 31"),
        ("7E 00 09 01 00 00 00 DE C8", "02 00 00 01 00 33 31"),
        ("7E 00 0A 01 00 00 00 30 1A", "03 00 00 01 00 33 31"),
        ("7E 00 08 01 00 D9 50 81 D3", "02 00 00 01 00 33 31"),
    ],
)
def test_the_manuals_frames_and_replies(wire: Engine, frame: str, reply: str) -> None:
    assert wire.ask(bytes.fromhex(frame)) == bytes.fromhex(reply)


@pytest.mark.parametrize(
    "frame",
    ["7E 00 07 01 00 2A 02 D8 0E", "7E 00 55 01 00 00 00 AB CD", "7E 00 07 01 01 F0 20 AB CD"],
)
def test_wrong_check_type_or_address_gets_no_reply_and_the_next_frame_does(
    wire: Engine, frame: str
) -> None:
    assert wire.ask(bytes.fromhex(frame)) == b""
    assert wire.ask(bytes.fromhex("7E000701006001ABCD")) == bytes.fromhex("02000001012310")


def test_all_zones_are_read_at_once(wire: Engine) -> None:
    answer = wire.ask(bytes.fromhex("7E000701000000ABCD"))
    assert answer[:4] == bytes.fromhex("02000000")
    assert len(answer) == 4 + 256 + 2
    assert answer[4] == 0xD4 and answer[4 + 0xE2] == 0x87


def test_a_frame_in_single_bytes(wire: Engine) -> None:
    frame = bytes.fromhex("7E000701002A02D80F")
    answers = [wire.ask(bytes([byte]), 0.002) for byte in frame]
    wire.time.advance(0.1)
    assert not any(answers[:-1])
    assert bytes(wire.sent) == bytes.fromhex("020000023901C14C")


def test_half_a_frame_is_forgotten_after_a_silence(wire: Engine) -> None:
    wire.ask(bytes.fromhex("7E0008FF0000"))
    assert wire.ask(SAVE) == DONE


def test_factory_state_reads_nothing_by_itself(wire: Engine) -> None:
    assert wire.show(b"12345") == b""


def test_a_trigger_reads_one_code_with_the_factory_tail(wire: Engine) -> None:
    wire.ask(bytes.fromhex("7E000801000095ABCD"))
    assert wire.show(b"1") == b""
    wire.engine.receive(bytes.fromhex("7E000801000201ABCD"))
    assert wire.show(b"12345") == DONE + b"12345\r"
    assert wire.show(b"12345") == b""


def test_a_trigger_gives_up_after_its_time(wire: Engine) -> None:
    wire.ask(bytes.fromhex("7E000801000095ABCD7E000801000614ABCD"))  # 2.0 s
    wire.ask(bytes.fromhex("7E000801000201ABCD"), 1.9)
    assert wire.engine.scanning
    wire.time.advance(0.2)
    assert not wire.engine.scanning
    assert wire.ask(bytes.fromhex("7E000701000201ABCD"))[4] == 0


def test_a_held_code_is_read_by_a_later_trigger(wire: Engine) -> None:
    wire.ask(bytes.fromhex("7E000801000095ABCD"))
    wire.engine.scan(b"held", hold=3)
    assert wire.ask(bytes.fromhex("7E000801000201ABCD")) == DONE + b"held\r"


def test_the_button_triggers_in_manual_mode(wire: Engine) -> None:
    wire.engine.press_trigger()
    assert wire.show(b"abc") == b"abc\r"


def test_continuous_reading_repeats_a_held_code_each_interval(wire: Engine) -> None:
    wire.ask(CONTINUOUS + bytes.fromhex("7E000801001300ABCD"))  # same code: no delay
    assert wire.show(b"x", hold=3.5) == b"x\r" * 4  # zone 05: 1.0 s
    wire.ask(bytes.fromhex("7E000801001394ABCD"))  # the same code after 2.0 s only
    assert wire.show(b"y", hold=3.5) == b"y\r" * 2


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [("00", b"A"), ("01", b"A\r"), ("21", b"A\r\n"), ("41", b"A\t"), ("61", b"A")],
)
def test_tails(wire: Engine, setting: str, wanted: bytes) -> None:
    wire.ask(CONTINUOUS + bytes.fromhex(f"7E0008010060{setting}ABCD"))
    assert wire.show(b"A") == wanted


def test_output_in_frames(wire: Engine) -> None:
    wire.ask(CONTINUOUS + bytes.fromhex("7E000801006080ABCD"))
    assert wire.show(b"0321563840") == bytes.fromhex("03000A") + b"0321563840"


def test_nothing_comes_by_uart_when_the_output_is_usb(wire: Engine) -> None:
    wire.ask(CONTINUOUS + bytes.fromhex("7E000801000DA1ABCD"))
    assert wire.show(b"A") == b""


@pytest.mark.parametrize("name", ["mot", "empty", "noise-5000", "cpm"])
def test_codes_pass_unchanged_without_tail(wire: Engine, name: str) -> None:
    wire.ask(CONTINUOUS + NO_TAIL)
    code = codes.make(name, at=1_893_456_000)
    assert wire.show(code) == code


def test_a_long_code_takes_its_time_on_the_line(wire: Engine) -> None:
    wire.ask(CONTINUOUS + NO_TAIL + RATE_115200)
    wire.engine.set_line_baud(115200)
    start = wire.time.now
    assert len(wire.show(codes.make("noise-5000"))) == 5000
    assert wire.log[-1][0] - start == pytest.approx(0.040 + 5000 * 10 / 115200, rel=0.01)
    assert max(len(data) for _, data in wire.log) <= 32


def test_the_rate_changes_after_the_reply(wire: Engine) -> None:
    assert wire.ask(RATE_115200) == DONE
    assert wire.engine.baud == pytest.approx(115200, rel=0.02)
    assert wire.ask(SAVE) == b""
    wire.engine.set_line_baud(115200)
    wire.time.advance(0.2)
    assert wire.ask(SAVE) == DONE


def test_saved_zones_survive_power_and_others_do_not(wire: Engine) -> None:
    wire.ask(NO_TAIL + SAVE)
    wire.ask(CONTINUOUS)
    wire.engine.power(False)
    assert wire.ask(SAVE) == b""
    wire.engine.power(True)
    assert wire.ask(SAVE) == b""  # still booting
    assert wire.ask(bytes.fromhex("7E000701006001ABCD"))[4] == 0x00
    assert wire.ask(bytes.fromhex("7E000701000001ABCD"))[4] == 0xD4
    assert wire.engine.flash_writes == 1


def test_a_running_trigger_is_not_saved(wire: Engine) -> None:
    wire.ask(bytes.fromhex("7E000801000095ABCD7E000801000201ABCD") + SAVE)
    assert wire.engine.scanning
    wire.engine.power(False)
    wire.engine.power(True)
    wire.time.advance(1)
    assert wire.ask(bytes.fromhex("7E000701000201ABCD"))[4] == 0x00
    assert wire.ask(bytes.fromhex("7E000701000001ABCD"))[4] == 0x95


def test_factory_reset_brings_the_tail_back(wire: Engine) -> None:
    wire.ask(NO_TAIL + SAVE)
    wire.ask(bytes.fromhex("7E00080100D950ABCD"))
    assert wire.ask(bytes.fromhex("7E000701006001ABCD"))[4] == 0x01


def test_a_sleeping_engine_is_woken_by_the_line(wire: Engine) -> None:
    assert wire.ask(bytes.fromhex("7E00080100D9A53E69")) == DONE
    assert wire.ask(SAVE) == b""
    assert wire.ask(SAVE) == DONE


def test_old_firmware_spoils_binary_codes_without_raw_mode() -> None:
    wire = Engine(version=0x69)
    wire.ask(CONTINUOUS + NO_TAIL)
    assert wire.show(codes.make("mot")) != codes.make("mot")
    assert wire.show(codes.make("url")) == codes.make("url")
    wire.ask(bytes.fromhex("7E00080100BC08ABCD"))
    assert wire.show(codes.make("mot")) == codes.make("mot")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_kill_the_engine(pieces: list[bytes]) -> None:
    wire = Engine()
    for piece in pieces:
        wire.ask(piece, 1)
    if not wire.engine.asleep and wire.engine.baud in range(9400, 9800):
        assert wire.ask(SAVE, 1).endswith(DONE)
