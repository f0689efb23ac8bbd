"""Faults of the card as the simulated PN532 reports them, in virtual time."""

from __future__ import annotations

from typing import Any

import nfc.clf
import nfc.clf.pn532
import nfc.clf.transport
import pytest

from faretap.sim import cards
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.chips.probe_card import Probe
from faretap.sim.virtual_time import Wire

ACK = bytes.fromhex("0000FF00FF00")
OK = b"\x90\x00"


class Bench(Wire):
    def __init__(self) -> None:
        self.chip = Pn532()
        super().__init__(self.chip)
        self.ask(b"\x55\x55" + bytes(14) + self.frame("14 01"))
        self.call("32 05 FF 01 03")

    @staticmethod
    def frame(text: str) -> bytes:
        body = b"\xd4" + bytes.fromhex(text)
        head = bytes([len(body), -len(body) & 0xFF])
        return b"\x00\x00\xff" + head + body + bytes([-sum(body) & 0xFF, 0x00])

    def call(self, text: str, seconds: float = 1.0) -> str:
        """A command, to the data of its response as text; "" when there was none."""
        wire = self.ask(self.frame(text), seconds)
        assert wire.startswith(ACK)
        wire = wire[len(ACK) :]
        if not wire:
            return ""
        start = 8 if wire[3:5] == b"\xff\xff" else 5
        assert wire[start : start + 2] == bytes([0xD5, bytes.fromhex(text)[0] + 1])
        return wire[start + 2 : -2].hex().upper()

    def arm(self, fault: str, **options: Any) -> None:
        self.chip.faults.arm(fault, **options)

    def present(self, **options: Any) -> Probe:
        probe = Probe(**options)
        self.chip.field_present(probe)
        return probe


@pytest.fixture
def bench() -> Bench:
    return Bench()


LIST = "4A 01 00"
FOUR = "40 01 80CA0004"


@pytest.mark.parametrize("at", range(13))
def test_q20_at_each_byte_of_an_exchange(bench: Bench, at: int) -> None:
    probe = bench.present()
    bench.call(LIST)
    bench.arm("Q20", at_byte=at)
    answer = bench.call(FOUR)
    assert len(probe.commands) == (0 if at < 4 else 1)
    assert answer == ("01" if at <= 4 else "02" if at < 10 else "00000102039000")
    assert bench.call(FOUR) == "01"


def test_q21_attention_request_every_second_time(bench: Bench) -> None:
    bench.present()
    bench.call(LIST)
    bench.arm("Q21", every=2, times=0)
    assert [bench.call("00 06") for _ in range(4)] == ["00", "01", "00", "01"]


@pytest.mark.parametrize("size", [61, 62, 63, 255, 256, 4096])
def test_q23_long_answers_come_whole_by_mi(bench: Bench, size: int) -> None:
    bench.present()
    bench.call(LIST)
    bench.arm("Q23", size=size)
    got, answer = b"", bytes.fromhex(bench.call("40 01 80CA0000", 5.0))
    while answer[0] == 0x40:
        got += answer[1:]
        answer = bytes.fromhex(bench.call("40 01"))
    assert answer[0] == 0x00
    assert got + answer[1:] == bytes(n & 0xFF for n in range(size)) + OK


@pytest.mark.parametrize(
    ("wtxm", "count", "answer"), [(1, 3, "009000"), (59, 1, "009000"), (0, 1, "0B"), (1, 0, "")]
)
def test_q24_the_chip_grants_time_by_itself(
    bench: Bench, wtxm: int, count: int, answer: str
) -> None:
    bench.present()
    bench.call(LIST)
    bench.arm("Q24", wtxm=wtxm, count=count)
    assert bench.call("40 01 80CA0000", 30.0) == answer


def test_q24_takes_the_time_it_was_granted(bench: Bench) -> None:
    bench.present()
    bench.call(LIST)
    bench.arm("Q24", wtxm=10, fill=0.9)  # 0.9 × 387 ms
    assert bench.call("40 01 80CA0000", 0.3) == ""
    bench.time.advance(0.1)
    assert bytes(bench.sent[-7:-2]) == bytes.fromhex("D541009000")


@pytest.mark.parametrize("kind", ["duplicate", "number", "nak", "crc", "mute"])
def test_q25_the_chip_repeats_and_the_card_works_once(bench: Bench, kind: str) -> None:
    probe = bench.present()
    bench.call(LIST)
    bench.call(FOUR)
    bench.arm("Q25", kind=kind)
    assert bench.call("40 01 80CA0001") == "00009000"
    assert len(probe.commands) == 2


@pytest.mark.parametrize(
    ("kind", "status"), [("mute", "01"), ("crc", "02"), ("number", "0B"), ("nak", "0B")]
)
def test_q25_without_end_is_a_status(bench: Bench, kind: str, status: str) -> None:
    probe = bench.present()
    bench.call(LIST)
    bench.arm("Q25", kind=kind, times=0, repeats=False)
    assert bench.call(FOUR) == "00000102039000"  # the repetition is right
    bench.arm("Q25", kind=kind, times=0)
    assert bench.call(FOUR) == status
    assert len(probe.commands) == 2


def test_a_long_command_is_chained_to_the_frame_size_of_the_card(bench: Bench) -> None:
    probe = bench.present(fsci=0, size=0)  # frames of 16: 13 bytes a block
    bench.call(LIST)
    command = bytes(range(100))
    assert bench.call("40 01" + command.hex()) == "009000"
    assert probe.commands == [command]


def test_q29_another_uid_at_each_poll(bench: Bench) -> None:
    bench.present()
    bench.arm("Q29", times=0)
    first, second = bench.call(LIST), bench.call(LIST)
    assert first[:14] == second[:14] == "01010004280408"
    assert first != second and len(first) > 40


def test_q30_noise_is_a_crc_error_to_a_raw_frame(bench: Bench) -> None:
    bench.present()
    bench.call(LIST)
    bench.arm("Q30")
    assert bench.call("42 0280CA0000") == "02"
    assert bench.call("42 B2") == "00029000"


@pytest.mark.parametrize(("kind", "answer"), [("6985", "006985"), ("mute", "01")])
def test_q31_select_before_the_applet_is_ready(bench: Bench, kind: str, answer: str) -> None:
    bench.present()
    bench.call(LIST)
    bench.arm("Q31", kind=kind)
    assert bench.call("40 01 00A4040000") == answer
    assert bench.call("40 01 00A4040000") == "006D00"


@pytest.mark.parametrize(("off", "found"), [(0.004, False), (0.006, True)])
def test_q33_half_open_until_the_field_was_off_long_enough(
    bench: Bench, off: float, found: bool
) -> None:
    bench.present()
    bench.arm("Q33")
    bench.call(LIST)
    assert bench.call(LIST) == "00"
    assert bench.call(LIST) == "00"
    bench.call("32 01 00", off)
    bench.call("32 01 01", 0.01)
    assert (bench.call(LIST) != "00") is found


def test_q33_a_card_that_was_deselected_is_not_half_open(bench: Bench) -> None:
    bench.present()
    bench.arm("Q33")
    first = bench.call(LIST)
    bench.call("44 01")
    assert bench.call(LIST) == first


def test_q35_no_field(bench: Bench) -> None:
    bench.present()
    bench.arm("Q35")
    assert bench.call("02") == "32010607"
    assert bench.call(LIST) == bench.call(LIST) == "00"
    bench.chip.faults.disarm("Q35")
    assert bench.call(LIST) != "00"


def test_q37_get_response_and_wrong_le(bench: Bench) -> None:
    probe = bench.present()
    bench.call(LIST)
    bench.arm("Q37")
    assert bench.call(FOUR) == "006104"
    assert bench.call("40 01 00C0000004") == "00000102039000"
    bench.arm("Q37", kind="6C")
    assert bench.call("40 01 80CA000400") == "006C04"
    assert bench.call("40 01 80CA000404") == "00000102039000"
    assert len(probe.commands) == 2


def test_q38_an_unasked_response(bench: Bench) -> None:
    bench.sent.clear()
    bench.arm("Q38")
    assert bytes(bench.sent) == bytes.fromhex("0000FF03FDD54B00E000")


# Type B


def test_q28_a_type_b_card_is_found_by_reqb_only(bench: Bench) -> None:
    bench.present(uid=bytes.fromhex("0A0B0C0D"))
    bench.arm("Q28")
    assert bench.call(LIST) == "00"
    atqb = "50 0A0B0C0D 00000000 00 81 71"
    assert bench.call("4A 01 03 00") == ("01 01" + atqb + "01 01").replace(" ", "")
    assert bench.call(FOUR) == "00000102039000"
    assert bench.ask(bench.frame("4A 01 03")) == ACK + bytes.fromhex("0000FF01FF7F8100")


class Line:
    """nfcpy's transport over a part in virtual time."""

    TYPE = "TTY"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._at = 0

    @property
    def port(self) -> str:
        return "virtual"

    def write(self, frame: bytes) -> None:
        self._bench.sent.clear()
        self._bench.part.receive(bytes(frame))

    def read(self, timeout: int) -> bytearray:
        bench = self._bench
        end = bench.time.now + timeout / 1000
        while not bench.sent and bench.time.now < end:
            bench.time.advance(0.001)
        if not bench.sent:
            raise OSError(110, "timeout")
        size = 6 if bytes(bench.sent[:6]) == ACK else len(bench.sent)
        frame = bytearray(bench.sent[:size])
        del bench.sent[:size]
        return frame


def test_q28_nfcpy_undoes_attrib_and_selects_the_card_itself(bench: Bench) -> None:
    chipset = nfc.clf.pn532.Chipset(Line(bench), logger=nfc.clf.pn532.log)
    device = nfc.clf.pn532.Device(chipset, logger=nfc.clf.pn532.log)
    bench.present(uid=bytes.fromhex("0A0B0C0D"))
    bench.arm("Q28")
    target = device.sense_ttb(nfc.clf.RemoteTarget("106B"))
    assert target.sensb_res == bytes.fromhex("50 0A0B0C0D 00000000 008171")
    attrib = b"\x1d" + target.sensb_res[1:5] + bytes.fromhex("00080100")
    assert device.send_cmd_recv_rsp(target, attrib, 0.1) == b"\x00"
    block = bytes.fromhex("0280CA0002")
    assert device.send_cmd_recv_rsp(target, block, 0.1) == bytes.fromhex("0200019000")


def test_every_id_of_the_catalogue_is_known_or_refused(bench: Bench) -> None:
    faults = bench.chip.faults
    catalogue = {f"Q{n:02}" for n in [*range(1, 18), *range(20, 39)]}
    assert set(faults.known) | set(faults.elsewhere) == catalogue
    for fault, reason in (("Q12", "I²C"), ("Q15", "SPI"), ("Q36", "firmware")):
        with pytest.raises(ValueError, match=reason):
            faults.arm(fault)


def test_mifare_answers_no_apdu(bench: Bench) -> None:
    bench.chip.field_present(cards.make("mifare"))
    bench.call(LIST)
    assert bench.call(FOUR) == "01"
