"""nfcpy's PN532 driver, which nobody here wrote, talks to the simulated chip over a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nfc.clf
import nfc.clf.pn532
import nfc.clf.transport
import nfc.tag
import pytest

from faretap.sim import cards
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.pty_line import PtyLine


class Transport(nfc.clf.transport.TTY):  # type: ignore[misc]
    """nfcpy's own serial transport. A terminal drops what was written but not read when its port
    is closed, so each write waits until the chip has it; a UART's FIFO does the same."""

    def __init__(self, line: PtyLine) -> None:
        self._line = line
        self._total = line.taken
        super().__init__(line.path)

    def write(self, frame: bytes) -> None:
        super().write(frame)
        self._total += len(frame)
        self._line.wait_taken(self._total)


class Frontend:
    """What nfcpy's tags need of a contactless frontend."""

    def __init__(self, device: Any, target: Any) -> None:
        self.device = device
        self.target = target
        self.max_send_data_size = device.get_max_send_data_size(target)
        self.max_recv_data_size = device.get_max_recv_data_size(target)

    def exchange(self, data: bytes, timeout: float) -> Any:
        return self.device.send_cmd_recv_rsp(self.target, data, timeout)

    def sense(self, *targets: Any, **options: Any) -> Any:
        return self.device.sense_tta(targets[0])


@pytest.fixture
def line() -> Iterator[PtyLine]:
    line = PtyLine(Pn532(time_scale=0.1))
    yield line
    line.close()


@pytest.fixture
def device(line: PtyLine) -> Any:
    return nfc.clf.pn532.init(Transport(line))


def sense(device: Any) -> Any:
    return device.sense_tta(nfc.clf.RemoteTarget("106A"))


def chip(line: PtyLine) -> Pn532:
    assert isinstance(line.part, Pn532)
    return line.part


def test_init_wakes_identifies_and_raises_the_rate(line: PtyLine, device: Any) -> None:
    assert device.chipset_name == "PN532v1.6"
    assert chip(line).baud == 921600
    assert device.chipset.transport.baudrate == 921600


def test_close_puts_the_rate_back_and_the_chip_to_sleep(line: PtyLine, device: Any) -> None:
    device.close()
    line.run(lambda: None)
    assert chip(line).baud == 115200
    assert chip(line).asleep


def test_a_second_init_after_close_wakes_the_chip_again(line: PtyLine, device: Any) -> None:
    device.close()
    again = nfc.clf.pn532.init(Transport(line))
    assert again.chipset.get_general_status()[0] == 0


def test_diagnose_with_the_longest_frame(device: Any) -> None:
    assert device.chipset.diagnose("line") is True
    assert device.chipset.diagnose("rom") is True
    assert device.chipset.diagnose("ram") is True


def test_no_card_gives_no_target(device: Any) -> None:
    assert sense(device) is None


def test_sense_finds_the_card(line: PtyLine, device: Any) -> None:
    card = cards.make("tunion", uid=bytes.fromhex("04112233445566"))
    line.run(lambda: chip(line).field_present(card))
    target = sense(device)
    assert target.sdd_res == card.uid
    assert target.sens_res == bytes.fromhex("4400")
    assert target.sel_res == b"\x20"


def test_a_card_without_iso_dep_is_a_type_2_candidate(line: PtyLine, device: Any) -> None:
    line.run(lambda: chip(line).field_present(cards.make("mifare")))
    assert sense(device).sel_res == b"\x08"


def test_apdus_through_nfcpys_own_iso_dep(line: PtyLine, device: Any) -> None:
    card = cards.make("tunion", balance=1234)
    line.run(lambda: chip(line).field_present(card))
    target = sense(device)
    tag = nfc.tag.activate(Frontend(device, target), target)
    assert tag.type == "Type4Tag"
    aid = bytes.fromhex("A000000632010105")
    assert tag.send_apdu(0x00, 0xA4, 0x04, 0x00, aid, 256)[:2] == b"\x6f\x31"
    assert tag.send_apdu(0x80, 0x5C, 0x00, 0x02, None, 4) == (1234).to_bytes(4, "big")


def test_long_answers_are_chained_to_nfcpy(line: PtyLine, device: Any) -> None:
    card = cards.make("quickpass-debit", ca_index=0xF2)
    line.run(lambda: chip(line).field_present(card))
    target = sense(device)
    tag = nfc.tag.activate(Frontend(device, target), target)
    tag.send_apdu(0x00, 0xA4, 0x04, 0x00, bytes.fromhex("A000000333010101"), 256)
    record = tag.send_apdu(0x00, 0xB2, 0x02, 0x14, None, 256)
    assert len(record) == 254
    assert record[:5] == bytes.fromhex("7081FB9081")


def test_in_data_exchange_does_iso_dep_in_the_chip(line: PtyLine, device: Any) -> None:
    line.run(lambda: chip(line).field_present(cards.make("tunion")))
    device.chipset.set_parameters(0x14)  # automatic RATS
    listed = device.chipset.in_list_passive_target(1, 0, b"")
    assert listed.endswith(bytes.fromhex("0578807002"))
    select = bytes.fromhex("00A4040008A00000063201010500")
    data, more = device.chipset.in_data_exchange(select, 1.0)
    assert data.endswith(b"\x90\x00") and more is False


def test_a_card_pulled_away_times_out(line: PtyLine, device: Any) -> None:
    line.run(lambda: chip(line).field_present(cards.make("tunion"), lose_at_apdu=2))
    target = sense(device)
    tag = nfc.tag.activate(Frontend(device, target), target)
    aid = bytes.fromhex("A000000632010105")
    tag.send_apdu(0x00, 0xA4, 0x04, 0x00, aid, 256)
    with pytest.raises(nfc.tag.tt4.Type4TagCommandError):
        tag.send_apdu(0x80, 0x5C, 0x00, 0x02, None, 4)
    assert sense(device) is None


def test_an_endless_poll_sees_a_card_that_comes_during_it(line: PtyLine, device: Any) -> None:
    device.chipset.rf_configuration(0x05, b"\x01\x00\xff")

    def come() -> None:
        chip(line).field_present(cards.make("empty"))

    line.run(lambda: chip(line).call_later(0.05, come))
    assert sense(device) is not None
    assert chip(line).field.targets
