"""The card's side of ISO/IEC 14443-4, block by block; and no bytes from the air break a part."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.cards.iso_dep import Picc
from faretap.sim.chips.faults import Faults
from faretap.sim.chips.mfrc522_faults import KNOWN
from faretap.sim.chips.picc_a import PiccA, crc_a
from faretap.sim.chips.picc_b import PiccB
from faretap.sim.chips.presented import Presented
from faretap.sim.chips.probe_card import Probe
from tests.sim.mfrc522_bench import Bench


def activated(probe: Probe | None = None, rats: str = "E080") -> Picc:
    picc = Picc(probe or Probe())
    assert picc.frame(bytes.fromhex(rats)) == picc.card.ats
    return picc


def ask(picc: Picc, text: str) -> str | None:
    answer = picc.frame(bytes.fromhex(text))
    return None if answer is None else answer.hex().upper()


@pytest.mark.parametrize("rats", ["E08F", "E0", "E08000", "E180"])
def test_illegal_rats_is_not_answered(rats: str) -> None:
    assert ask(Picc(Probe()), rats) is None


def test_rats_only_once() -> None:
    assert ask(activated(), "E080") is None


@pytest.mark.parametrize(
    ("offered", "pps", "answer"),
    [
        (0x33, "D0 11 05", "D0"),  # 212 both ways
        (0x33, "D0 11 0A", "D0"),  # 424 both ways
        (0x77, "D0 11 0F", "D0"),  # 848 both ways
        (0x33, "D0 11 0F", None),  # 848 was not offered
        (0x80, "D0 11 05", None),
        (0xB3, "D0 11 01", None),  # only the same rate both ways
        (0x33, "D0 11 15", None),
        (0x33, "D0 11", None),
        (0x33, "D1 11 05", None),  # another CID
        (0x33, "D0 01", "D0"),
    ],
)
def test_pps(offered: int, pps: str, answer: str | None) -> None:
    picc = activated(Probe(rates=offered))
    assert ask(picc, pps) == answer
    if answer is not None and len(pps) > 5:
        assert picc.next_rates == (int(pps[-1], 16) & 3, int(pps[-1], 16) >> 2)


def test_pps_only_before_the_first_block() -> None:
    picc = activated(Probe(rates=0x33))
    ask(picc, "0280CA0000")
    assert ask(picc, "D0 11 05") is None


def test_frames_longer_than_the_card_takes_are_not_answered() -> None:
    picc = activated(Probe(fsci=2, size=0))  # 32 bytes with CRC
    assert ask(picc, "02" + "00" * 30) is None
    assert ask(picc, "02" + "00" * 29) == "029000"


def test_cid_comes_back_and_another_one_is_not_answered() -> None:
    picc = activated(rats="E083")
    assert ask(picc, "0A03 80CA0001") == "0A03009000"
    assert ask(picc, "0B04 80CA0001") is None
    assert ask(picc, "03 80CA0001") is None
    assert ask(picc, "CA03") == "CA03"


def test_card_without_cid_or_nad_ignores_both() -> None:
    probe = Probe()
    probe.ats = bytes.fromhex("0578807000")
    picc = activated(probe)
    assert ask(picc, "0A00 80CA0001") is None
    assert ask(picc, "0600 80CA0001") is None
    assert ask(picc, "0280CA0001") == "02009000"


def test_rules_11_and_12_and_a_card_that_worked_once() -> None:
    probe = Probe()
    picc = activated(probe)
    assert ask(picc, "B2") == "A3"  # nothing was received yet
    assert ask(picc, "0280CA0001") == "02009000"
    assert ask(picc, "B2") == ask(picc, "A2") == "02009000"
    assert ask(picc, "B3") == "A2"
    assert len(probe.commands) == 1


def test_unsolicited_wtx_response_and_rfu_blocks_are_not_answered() -> None:
    picc = activated()
    for block in ("F201", "F2", "C3", "E2", "A6", "22", "C200", "A200", "80", "40"):
        assert ask(picc, block) is None


def test_deselect_then_only_a_new_activation() -> None:
    picc = activated()
    assert ask(picc, "C2") == "C2"
    assert picc.halted
    assert ask(picc, "0280CA0000") is None
    assert ask(picc, "E080") == picc.card.ats.hex().upper()
    assert ask(picc, "0280CA0000") == "029000"


def test_type_b_states() -> None:
    side = PiccB(Picc(Probe(uid=bytes.fromhex("0A0B0C0D"), fsci=5, fwi=4)))
    atqb = bytes.fromhex("50 0A0B0C0D 00000000 00 51 41")

    def say(text: str) -> bytes | None:
        replies = side.respond(bytes.fromhex(text))
        return replies[0].data if replies else None

    assert say("1D 0A0B0C0D 00 08 01 00") is None
    assert say("05 20 00") is None  # another application family
    assert say("05 00 00") == say("05 10 08") == atqb
    assert say("1D 0A0B0C0E 00 08 01 00") is None
    assert say("50 0A0B0C0D") == b"\x00"
    assert say("05 00 00") is None
    assert say("05 00 08") == atqb
    assert say("1D 0A0B0C0D 00 08 01 02") == b"\x02"
    assert say("0A02 80CA0001") == bytes.fromhex("0A02 00 9000")
    assert say("CA02") == bytes.fromhex("CA02")
    assert say("05 00 00") is None
    assert say("05 00 08") == atqb


CARD_IDS = [n for n in KNOWN if n not in ("Q15", "Q16", "Q34", "Q35", "Q38")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(CARD_IDS), max_size=4),
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=12),
            st.sampled_from([bytes.fromhex(t) for t in ("E080", "0280CA0020", "B2", "F201")]),
        ),
        max_size=25,
    ),
)
def test_no_frame_breaks_a_card_whatever_it_suffers(ids: list[str], frames: list[bytes]) -> None:
    faults = Faults(KNOWN)
    for fault_id in ids:
        faults.arm(fault_id, times=0, chance=0.5)
    side = PiccA(Presented(cards.make("garbage"), faults=faults))
    side.receive(b"\x26", 7)
    for frame in frames:
        for answer in side.receive(frame + crc_a(frame), 8 * len(frame) + 16):
            assert answer.seconds >= 0
            assert set(answer.bits) <= {0, 1}
        side.receive(frame, 8 * len(frame) - 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30))
def test_no_bytes_on_spi_break_the_chip(transactions: list[bytes]) -> None:
    bench = Bench()
    bench.chip.field_present(Probe())
    for mosi in transactions:
        assert len(bench.chip.transfer(mosi)) == len(mosi)
        bench.time.advance(0.002)
    assert len(bench.chip.fifo) <= 64
    bench.chip.set_reset(0)
    bench.chip.set_reset(1)
    bench.time.advance(0.002)
    assert bench.read(0x37) == 0x92
