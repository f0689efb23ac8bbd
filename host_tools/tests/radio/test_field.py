"""Two simulated PN532s and the air between them, byte for byte, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faretap.sim import cards
from faretap.sim.chips.field import Air
from faretap.sim.chips.pn532 import Pn532
from faretap.sim.virtual_time import VirtualTime

ACK = bytes.fromhex("0000FF00FF00")
WAKE = bytes.fromhex("5555") + bytes(14)
ERROR = bytes.fromhex("0000FF01FF7F8100")

HISTORICAL = bytes.fromhex("8073C021")
ATS = bytes.fromhex("0975339203") + HISTORICAL
INIT = (
    bytes.fromhex("8C05040012345620") + bytes(18 + 10) + bytes([0, len(HISTORICAL)]) + HISTORICAL
)
LIST = bytes.fromhex("4A0200")
RELEASE = bytes.fromhex("5200")
GET = b"\x86"
FWT = 4096 / 13.56e6 * 2**9  # FWI 9 of the ATS


def frame(body: bytes) -> bytes:
    size = len(body)
    head = bytes([size & 255, -size & 255])
    if size > 255:
        head = bytes([255, 255, size >> 8, size & 255, -((size >> 8) + (size & 255)) & 255])
    return b"\x00\x00\xff" + head + body + bytes([-sum(body) & 0xFF, 0])


def bodies(wire: bytes) -> list[bytes]:
    """The data frames in `wire`, from the response code on; ACKs are left out."""
    found = []
    while wire:
        at = wire.index(b"\x00\x00\xff")
        wire = wire[at + 3 :]
        if wire[:2] == b"\x00\xff":
            wire = wire[3:]
            continue
        if wire[:2] == b"\xff\xff":
            size, wire = wire[2] << 8 | wire[3], wire[5:]
        else:
            size, wire = wire[0], wire[2:]
        assert sum(wire[: size + 1]) & 0xFF == 0
        found.append(wire[1:size] if wire[0] == 0xD5 else wire[:size])
        wire = wire[size + 2 :]
    return found


class Pair:
    """A reader chip and a card chip before each other, awake, in one virtual time."""

    def __init__(self, time_scale: float = 1.0) -> None:
        self.time = VirtualTime()
        self.reader, self.card = Pn532(time_scale), Pn532(time_scale)
        self._sent = {self.reader: bytearray(), self.card: bytearray()}
        for chip, sent in self._sent.items():
            chip.attach(sent.extend, self.time.call_later)
        self.air = Air(self.reader, self.card)
        for chip in self._sent:
            chip.receive(WAKE + frame(bytes.fromhex("D414010000")))
            self.time.advance(0.1)
        self.ask(self.reader, bytes.fromhex("3205FF0103"))
        self.ask(self.card, bytes.fromhex("1220"))

    def tell(self, chip: Pn532, command: bytes, seconds: float = 0.02) -> list[bytes]:
        """A command, and what came from that chip within `seconds`."""
        self._sent[chip].clear()
        chip.receive(frame(b"\xd4" + command))
        return self.wait(chip, seconds)

    def wait(self, chip: Pn532, seconds: float = 0.02) -> list[bytes]:
        self.time.advance(seconds)
        return bodies(bytes(self._sent[chip]))

    def ask(self, chip: Pn532, command: bytes, seconds: float = 0.02) -> bytes:
        answers = self.tell(chip, command, seconds)
        assert len(answers) == 1, answers
        return answers[0]

    def activate(self) -> None:
        assert self.tell(self.card, INIT) == []
        listed = self.ask(self.reader, LIST)
        assert listed == bytes.fromhex("4B01010004200408123456") + ATS
        assert self.wait(self.card) == [bytes.fromhex("8D08E050")]

    def exchange(self, command: bytes, answer: bytes) -> bytes:
        """Reader's host to card's host and back; what the reader's host gets, status first."""
        got = self.tell(self.card, GET)
        assert got == []
        self.reader.receive(frame(b"\xd4\x40\x01" + command))
        assert self.wait(self.card, 0.1) == [b"\x87\x00" + command]
        self._sent[self.reader].clear()
        assert self.ask(self.card, b"\x8e" + answer, 0.1) == b"\x8f\x00"
        (response,) = self.wait(self.reader, 0.1)
        assert response[0] == 0x41
        return response[1:]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_card_is_listed_while_its_host_offers_it(pair: Pair) -> None:
    assert pair.ask(pair.reader, LIST, 0.1) == bytes.fromhex("4B00")
    pair.activate()
    assert pair.ask(pair.card, b"\x8a") == bytes.fromhex("8B0100")


def test_the_poll_under_way_finds_a_card_that_comes(pair: Pair) -> None:
    pair.ask(pair.reader, bytes.fromhex("3205FF01FF"))  # poll without end
    assert pair.tell(pair.reader, LIST, 1.0) == []
    pair.tell(pair.card, INIT)
    (listed,) = pair.wait(pair.reader)
    assert listed[:2] == bytes.fromhex("4B01")


def test_commands_and_answers_go_through(pair: Pair) -> None:
    pair.activate()
    select = bytes.fromhex("00A404000E325041592E5359532E444446303100")
    assert pair.exchange(select, b"\x6f\x00\x90\x00") == b"\x00\x6f\x00\x90\x00"
    assert pair.exchange(b"\x00\xb2\x01\x0c\x00", b"\x6a\x83") == b"\x00\x6a\x83"


@given(st.integers(1, 261), st.integers(1, 258))
@settings(max_examples=25, deadline=None)
def test_every_length_is_chained_both_ways(up: int, down: int) -> None:
    pair = Pair()
    pair.activate()
    command = bytes(n * 7 & 0xFF for n in range(up))
    answer = bytes(n * 11 + 3 & 0xFF for n in range(down))
    assert pair.exchange(command, answer) == b"\x00" + answer


def test_blocks_are_no_longer_than_both_chips_take() -> None:
    pair = Pair()
    blocks: list[bytes] = []
    pair.activate()
    played = pair.air.presented()
    assert played is not None
    take = played.picc.respond
    played.picc.respond = lambda block: blocks.append(block) or take(block)  # type: ignore
    pair.exchange(bytes(200), bytes(250))
    assert max(map(len, blocks)) == 62  # and two bytes of CRC
    assert [b[0] & 0xF2 for b in blocks[:4]] == [0x12, 0x12, 0x12, 0x02]  # I-blocks, chained


def test_a_slow_host_makes_the_chip_ask_for_time(pair: Pair) -> None:
    pair.activate()
    pair.tell(pair.card, GET)
    pair.reader.receive(frame(bytes.fromhex("D44001") + b"\x00\xa4\x04\x00"))
    assert pair.wait(pair.card) == [b"\x87\x00\x00\xa4\x04\x00"]
    assert pair.wait(pair.reader, 9 * FWT)[-1:] != [b"\x41\x01"]  # no time-out meanwhile
    assert pair.ask(pair.card, b"\x8e\x90\x00") == b"\x8f\x00"
    assert pair.wait(pair.reader)[-1] == b"\x41\x00\x90\x00"


def test_a_card_that_is_taken_away_times_out(pair: Pair) -> None:
    pair.activate()
    pair.tell(pair.card, GET)
    pair.reader.receive(frame(bytes.fromhex("D44001") + b"\x00\xa4\x04\x00"))
    pair.wait(pair.card)
    assert pair.ask(pair.card, RELEASE) == bytes.fromhex("5300")
    assert pair.wait(pair.reader, 1.1 * FWT)[-1] == b"\x41\x01"
    assert pair.ask(pair.card, b"\x8a") == bytes.fromhex("8B0000")
    assert pair.ask(pair.reader, LIST, 0.1) == bytes.fromhex("4B00")


@pytest.mark.parametrize("how", [RELEASE, bytes.fromhex("4400"), bytes.fromhex("320100")])
def test_a_card_that_is_let_go_says_so_once_and_is_deaf(pair: Pair, how: bytes) -> None:
    pair.activate()
    pair.tell(pair.card, GET)
    pair.ask(pair.reader, how)
    assert pair.wait(pair.card) == [bytes.fromhex("8729")]
    assert pair.ask(pair.card, GET) == bytes.fromhex("8729")
    assert pair.ask(pair.card, b"\x8e\x90\x00") == bytes.fromhex("8F29")
    assert pair.ask(pair.card, b"\x8a") == bytes.fromhex("8B0200")
    pair.ask(pair.reader, bytes.fromhex("320101"))
    assert pair.ask(pair.reader, LIST, 0.1) == bytes.fromhex("4B00")
    pair.activate()  # until its host offers it again


def test_a_late_answer_is_not_taken_for_the_next_one(pair: Pair) -> None:
    pair.activate()
    pair.tell(pair.card, GET)
    pair.reader.receive(frame(bytes.fromhex("D44001") + b"\x00\xa4\x04\x00"))
    pair.wait(pair.card)
    pair.reader.receive(ACK)  # the reader's host has had enough
    assert pair.ask(pair.reader, RELEASE)[:2] == bytes.fromhex("5300")
    assert pair.ask(pair.card, b"\x8e\x11\x90\x00") == bytes.fromhex("8F29")
    pair.activate()
    assert pair.exchange(b"\x00\xb0\x00\x00\x00", b"\x22\x90\x00") == b"\x00\x22\x90\x00"


def test_a_deselected_card_can_be_selected_once_it_is_offered_again(pair: Pair) -> None:
    pair.activate()
    pair.tell(pair.card, GET)
    assert pair.ask(pair.reader, bytes.fromhex("4401")) == bytes.fromhex("4500")
    assert pair.ask(pair.reader, bytes.fromhex("5401")) == bytes.fromhex("5501")
    pair.tell(pair.card, INIT)
    assert pair.ask(pair.reader, bytes.fromhex("5401")) == bytes.fromhex("5500")
    assert pair.wait(pair.card)[-1] == bytes.fromhex("8D08E050")
    assert pair.exchange(b"\x00\xb0\x00\x00\x00", b"\x90\x00") == b"\x00\x90\x00"
    pair.ask(pair.reader, bytes.fromhex("4401"))
    pair.tell(pair.card, INIT.replace(bytes.fromhex("123456"), bytes.fromhex("123457")))
    assert pair.ask(pair.reader, bytes.fromhex("5401")) == bytes.fromhex("5501")  # another one


def test_an_aborted_exchange_answers_no_other_command() -> None:
    """At whatever moment the card's answer comes after all."""
    step = 0.0005

    def begun() -> Pair:
        pair = Pair()
        pair.reader.field_present(cards.make("tunion"))
        pair.ask(pair.reader, LIST)
        pair.tell(pair.reader, bytes.fromhex("4001") + b"\x00\xb0\x95\x00\x00", 0)
        return pair

    pair = begun()
    steps = 1
    while not pair.wait(pair.reader, step):
        steps += 1
    for moment in range(steps - 6, steps + 2):
        pair = begun()
        pair.time.advance(0.005)
        pair.reader.receive(ACK)
        pair.time.advance(moment * step - 0.005)
        assert pair.ask(pair.reader, b"\x02") == bytes.fromhex("0332010607"), moment - steps


def test_offers_end_with_abort_reset_sleep_and_power(pair: Pair) -> None:
    ends = (
        lambda: pair.card.receive(ACK),
        lambda: pair.card.reset(),
        lambda: pair.card.power(False),
    )
    for end in ends:
        pair.card.power(True)
        pair.card.receive(WAKE + frame(bytes.fromhex("D414010000")))
        pair.time.advance(0.1)
        pair.ask(pair.card, bytes.fromhex("1220"))
        pair.tell(pair.card, INIT)
        end()
        assert pair.ask(pair.reader, LIST, 0.1) == bytes.fromhex("4B00")


def test_wrong_use_is_refused(pair: Pair) -> None:
    assert pair.ask(pair.card, GET) == bytes.fromhex("8727")
    assert pair.ask(pair.card, b"\x8e\x90\x00") == bytes.fromhex("8F27")
    pair.activate()
    assert pair.ask(pair.card, b"\x8e") == b"\x7f"
    assert pair.ask(pair.card, b"\x8e" + bytes(263)) == b"\x7f"
    too_long = INIT[:-5] + bytes([49]) + bytes(49)
    assert pair.ask(pair.card, too_long) == b"\x7f"
    assert pair.ask(pair.card, INIT[:-1]) == b"\x7f"


def test_without_the_picc_parameter_no_reader_activates_it(pair: Pair) -> None:
    pair.ask(pair.card, bytes.fromhex("1200"))
    assert pair.tell(pair.card, INIT) == []
    assert pair.ask(pair.reader, LIST, 0.1) == bytes.fromhex("4B00")


def test_a_card_on_the_antenna_is_seen_beside_the_played_one(pair: Pair) -> None:
    pair.tell(pair.card, INIT)
    pair.reader.field_present(cards.make("tunion"))
    assert pair.ask(pair.reader, LIST, 0.1)[:2] == bytes.fromhex("4B02")


def test_chips_without_times_of_their_own_do_the_same() -> None:
    pair = Pair(time_scale=0)
    pair.activate()
    assert pair.exchange(bytes(100), bytes(100)) == bytes(101)
