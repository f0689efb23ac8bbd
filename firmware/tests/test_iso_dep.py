"""ISO-DEP in software against a card that keeps the block rules by the letter."""

from fakes import FakeClock, raises, run
from iso_dep_card import BlockCard, BlockLink
from validator.nfc.iso_dep import IsoDep, parse_ats
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead, ReaderError

FWT_US = 303 * 128 + 3625  # FWI 7, as in the ATS below
ATS = bytes.fromhex("0578807002")


def pattern(n):
    return bytes((i * 7 + i // 256) & 0xFF for i in range(n))


def reply(apdu, n=40):
    """What a test's application answers: what it got, and `n` bytes more."""
    return bytes((len(apdu) & 0xFF, sum(apdu) & 0xFF)) + pattern(n)


def setup(app=reply, faults=(), limits=None, **card):
    """(IsoDep with an active card, card, link). Faults count from the first block on."""
    clock = FakeClock()
    card = BlockCard(app, **card)
    link = BlockLink(card, clock)
    dep = IsoDep(link, clock, **(limits or {}))
    run(dep.activate())
    link.n = 0
    link.faults = dict(faults)
    link.sent.clear()
    link.waits.clear()
    return dep, card, link


def exchange(dep, apdu):
    return run(dep.exchange(apdu))


def fails(kind, dep, apdu=b"\x00\xa4\x04\x00"):
    error = raises(kind, exchange, dep, apdu)
    assert not dep.active
    assert raises(CardLost, exchange, dep, apdu).reason == "not_listed"
    return error


# ATS.


def test_q29_ats_of_every_shape():
    for text, expected in (
        ("01", (32, 4, 0, 0, 0)),
        ("0205", (64, 4, 0, 0, 0)),
        ("0578807002", (256, 7, 0, 0x80, 2)),
        ("03281E", (256, 1, 14, 0, 0)),
        ("031880", (256, 4, 0, 0x80, 0)),
        ("024F", None),
        ("03480F", (256, 4, 0, 0, 0x0F)),
        ("0320FF", (16, 4, 0, 0, 0)),  # reserved FWI and SFGI: the defaults
        ("020C", (256, 4, 0, 0, 0)),  # FSCI 12, 4096 bytes: what we use of it
        ("14 78 80 82 02 20 63 CB A3 A0 92 43 22 01 02 03 04 05 06 07", (256, 8, 2, 0x80, 2)),
        ("", None),
        ("00", None),
        ("0678807002", None),
        ("0478807002", None),
        ("0378", None),
    ):
        ats = bytes.fromhex(text.replace(" ", ""))
        if expected is None:
            raises(ValueError, parse_ats, ats)
        else:
            assert parse_ats(ats) == expected, text


def test_q29_longest_ats():
    ats = bytes((254, 0x78, 0x80, 0x70, 0x02)) + bytes(249)
    clock = FakeClock()
    dep = IsoDep(BlockLink(BlockCard(reply, ats=ats), clock), clock)
    assert run(dep.activate()) == ats
    assert exchange(dep, b"abc") == reply(b"abc")


def test_rats_is_repeated_once():
    clock = FakeClock()
    link = BlockLink(BlockCard(reply), clock, {0: "lost_out"})
    dep = IsoDep(link, clock)
    assert run(dep.activate()) == ATS
    assert link.sent == [b"\xe0\x80", b"\xe0\x80"]
    assert link.waits == [5287, 5287]


def test_no_ats_and_bad_ats():
    clock = FakeClock()
    dep = IsoDep(BlockLink(BlockCard(reply), clock, {0: "lost_out", 1: "lost_out"}), clock)
    error = raises(CardLost, run, dep.activate())
    assert error.reason == "timeout" and not dep.active
    dep = IsoDep(BlockLink(BlockCard(reply, ats=b"\x09\x78"), clock), clock)
    assert raises(CardProtocolError, run, dep.activate()).reason == "ats" and not dep.active


def test_frame_waiting_time_is_the_cards():
    dep, _, link = setup()
    exchange(dep, b"\x00")
    assert link.waits == [FWT_US]


def test_start_up_guard_time_is_kept():
    # SFGI 5: 331 us * 32 = 10.6 ms.
    dep, _, link = setup(ats=bytes.fromhex("0578807502"))
    began = link.clock.ticks_ms()
    exchange(dep, b"\x00")
    assert link.clock.ticks_ms() - began >= 11
    began = link.clock.ticks_ms()
    exchange(dep, b"\x00")
    assert link.clock.ticks_ms() - began < 3


def test_pps():
    dep, _, link = setup()
    assert run(dep.pps(1, 2))
    assert link.sent == [b"\xd0\x11\x06"]
    assert exchange(dep, b"ab") == reply(b"ab")
    dep, _, link = setup(faults={0: "lost_in"})
    raises(CardLost, run, dep.pps(0, 0))
    assert not dep.active


# Exchange.


def test_block_numbers_alternate():
    dep, card, link = setup()
    for apdu in (b"one", b"two", b"three"):
        assert exchange(dep, apdu) == reply(apdu)
    assert [f[0] for f in link.sent] == [0x02, 0x03, 0x02]
    assert card.apdus == [b"one", b"two", b"three"]


def test_q23_command_chaining_at_every_length():
    for fsci, fsc in ((0, 16), (2, 32), (8, 256)):
        for n in (1, fsc - 4, fsc - 3, fsc - 2, 2 * (fsc - 3), 2 * (fsc - 3) + 1, 261):
            dep, card, _ = setup(ats=bytes((2, fsci)))
            apdu = pattern(n)
            assert exchange(dep, apdu) == reply(apdu)
            assert card.apdus == [apdu]
            assert card.longest <= fsc


def test_q23_answer_chaining_at_every_length():
    for n in (0, 2, 251, 252, 253, 254, 255, 256, 257, 506, 507, 4096, 4352):
        answer = pattern(n)
        dep, _, link = setup(app=lambda apdu: answer)
        assert exchange(dep, b"\x00\xb2") == answer, n
        # Every R(ACK) toggles.
        numbers = [f[0] & 1 for f in link.sent]
        assert numbers == [i & 1 for i in range(len(numbers))]


def test_q23_small_frames_and_64_kb():
    answer = pattern(65538)
    dep, _, _ = setup(app=lambda apdu: answer, limits={"max_answer": 65538})
    assert exchange(dep, b"\x00") == answer
    dep, _, _ = setup(app=lambda apdu: answer[:300], fsd=16)
    assert exchange(dep, b"\x00") == answer[:300]


def test_q23_answer_beyond_the_limit():
    dep, _, _ = setup(app=lambda apdu: bytes(4353))
    assert fails(CardProtocolError, dep).reason == "overflow"


def test_q23_chain_that_does_not_grow():
    # An I-block that says "more" and holds nothing, for ever.
    dep, card, link = setup()
    card.frame = lambda data: bytes((0x12 | (data[0] & 1),))
    assert fails(CardProtocolError, dep).reason == "rf_protocol"
    assert len(link.sent) < 5


def test_q23_r_block_bit_is_not_taken_for_more():
    # PCB 0x22 is no I-block: bit 6 is 0 in one.
    dep, _, link = setup(faults={0: b"\x22\x90\x00"})
    assert exchange(dep, b"abc") == reply(b"abc")
    assert link.sent[1] == b"\xb2"


# Waiting time extension.


def test_q24_one_extension():
    dep, card, link = setup(wtx=(5,))
    assert exchange(dep, b"abc") == reply(b"abc")
    assert link.sent[1] == b"\xf2\x05"
    assert link.waits == [FWT_US, 5 * FWT_US]
    # For one block only.
    card.wtx = ()
    exchange(dep, b"abc")
    assert link.waits[2] == FWT_US


def test_q24_twenty_in_a_row_but_not_more():
    dep, _, _ = setup(wtx=(1,) * 20)
    assert exchange(dep, b"abc") == reply(b"abc")
    assert dep.stats["wtx"] == 20
    dep, _, link = setup(wtx=(1,) * 21)
    assert fails(CardProtocolError, dep).reason == "wtx"
    assert len(link.sent) == 21


def test_q24_factors():
    dep, _, link = setup(wtx=(59,))
    assert exchange(dep, b"abc") == reply(b"abc")
    assert link.waits[1] <= 1500000  # what is left of the exchange's time
    for illegal in (0, 60, 63):
        dep, _, _ = setup(wtx=(illegal,))
        assert fails(CardProtocolError, dep).reason == "wtx"


def test_q24_power_level_bits_are_not_the_factor():
    dep, card, link = setup()
    link.faults = {0: b"\xf2\x42"}
    card.waits = [2]
    frame = card.frame
    card.frame = lambda data: frame(data) if data[0] != 0x02 else None
    raises(ReaderError, exchange, dep, b"abc")
    assert link.sent[1] == b"\xf2\x02"


def test_q24_inside_a_chain():
    answer = pattern(600)
    dep, card, _ = setup(app=lambda apdu: answer)
    card.wtx_in_chain = (2, 1)
    assert exchange(dep, b"abc") == answer
    assert dep.stats["wtx"] == 4


def test_q24_in_answer_to_r_nak():
    for n in range(4):
        for kind in ("lost_in", "lost_out", "damaged_in"):
            dep, card, _ = setup(wtx=(1, 1), faults={n: kind})
            assert exchange(dep, b"abc") == reply(b"abc"), (n, kind)
            assert card.apdus == [b"abc"]


def test_q24_endless_ends_in_time():
    dep, _, link = setup()
    began = link.clock.ticks_ms()

    def always(data):
        link.clock.advance_us(90000)
        return b"\xf2\x01"

    link.card.frame = always
    assert fails(CardLost, dep).reason == "timeout"
    assert link.clock.ticks_ms() - began < 1700


# Recovery.


def test_q25_silence():
    dep, _, link = setup()
    link.card.frame = lambda data: None
    error = fails(CardLost, dep)
    assert error.reason == "timeout"
    assert [f[0] for f in link.sent] == [0x02, 0xB2, 0xB2, 0xB2]


def test_q25_damage_for_ever():
    dep, _, link = setup(faults={n: "damaged_in" for n in range(99)})
    assert fails(CardLost, dep).reason == "rf_crc"
    assert len(link.sent) == 4


def test_q25_damage_that_is_no_noise_is_answered_at_once():
    dep, _, link = setup(app=lambda apdu: b"\x90\x00", faults={0: "damaged_in"})
    began = link.clock.now_us
    assert exchange(dep, b"abc") == b"\x90\x00"
    assert link.clock.now_us - began < 2000
    assert dep.stats["noise"] == 0 and dep.stats["errors"] == 1


def test_q25_i_block_is_sent_three_times_at_most():
    # R(ACK) of the other number after each R(NAK): "I have not seen it" (rule 6).
    dep, _, link = setup()
    link.card.frame = lambda data: b"\xa3" if data[0] & 0xF0 == 0xB0 else None
    assert fails(CardProtocolError, dep).reason == "repeats"
    assert [f[0] for f in link.sent] == [0x02, 0xB2, 0x02, 0xB2, 0x02, 0xB2]
    assert dep.stats["repeats"] == 2


def test_q25_wrong_block_number_and_duplicate():
    dep, card, link = setup(faults={0: b"\x03\x90\x00"})
    assert exchange(dep, b"abc") == reply(b"abc")
    assert link.sent[1] == b"\xb2" and card.apdus == [b"abc"]
    dep, card, link = setup(faults={0: "twice_in"})
    assert exchange(dep, b"abc") == reply(b"abc")
    assert exchange(dep, b"defg") == reply(b"defg")
    assert card.apdus == [b"abc", b"defg"]


def test_q25_nonsense_blocks():
    for block in (b"", b"\x00", b"\x0a\x00\x90\x00", b"\xb2", b"\xa2", b"\xc2", b"\xf2", b"\xff"):
        dep, card, _ = setup(faults={0: block})
        assert exchange(dep, b"abc") == reply(b"abc"), block
        dep, card, link = setup(faults={n: block for n in range(9)})
        assert fails(CardProtocolError, dep).reason == "rf_protocol"
        assert len(link.sent) == 4


def test_q25_r_ack_again_in_a_chain_of_the_card():
    answer = pattern(600)
    dep, _, link = setup(app=lambda apdu: answer, faults={n: "lost_in" for n in (1, 2, 3)})
    assert exchange(dep, b"abc") == answer
    assert [f[0] for f in link.sent] == [0x02, 0xA3, 0xA3, 0xA3, 0xA3, 0xA2]
    dep, _, link = setup(app=lambda apdu: answer, faults={n: "lost_in" for n in range(1, 5)})
    assert fails(CardLost, dep).reason == "timeout"


def test_stray_r_ack_does_not_repeat_a_block():
    # The card's first R(ACK) comes once more behind the second block, which the card has.
    dep, card, link = setup(ats=b"\x02\x00", faults={0: "twice_in"})
    apdu = pattern(30)
    assert exchange(dep, apdu) == reply(apdu)
    assert card.apdus == [apdu]


def every_single_fault(kind, careful=False):
    """One fault of that kind at every exchange of a command and an answer of four blocks each."""
    apdu = pattern(45)
    ends = []
    n = 0
    while True:
        dep, card, link = setup(ats=b"\x02\x00", fsd=16, faults={n: kind}, careful=careful)
        try:
            assert exchange(dep, apdu) == reply(apdu), (kind, n)
            ends.append("right")
            # The numbers are in step afterwards.
            assert exchange(dep, b"next") == reply(b"next"), (kind, n)
            assert card.apdus == [apdu, b"next"]
        except ReaderError:
            ends.append("error")
            assert not dep.active
        assert len(card.apdus) <= 2 and card.apdus[:1] in ([], [apdu]), (kind, n)
        if link.n <= n:
            return ends
        n += 1


def test_every_single_fault_is_repaired():
    for kind in ("lost_out", "lost_in", "damaged_in", "twice_in", "noise"):
        ends = every_single_fault(kind)
        assert len(ends) > 8 and "error" not in ends, (kind, ends)


def test_every_frame_heard_twice_by_the_card():
    ends = every_single_fault("twice_out", careful=True)
    assert len(ends) > 8 and ends.count("right") > 8, ends


def test_every_pair_of_losses():
    apdu = pattern(30)
    for a in range(8):
        for b in range(a + 1, 12):
            for one in ("lost_out", "lost_in", "damaged_in"):
                for two in ("lost_out", "lost_in", "noise"):
                    faults = {a: one, b: two}
                    dep, card, _ = setup(ats=b"\x02\x00", fsd=16, faults=faults)
                    assert exchange(dep, apdu) == reply(apdu), faults
                    assert card.apdus == [apdu]


# Noise.


def test_q30_stubs_are_no_answer():
    dep, card, link = setup(faults={0: "noise"})
    assert exchange(dep, b"abc") == reply(b"abc")
    assert link.sent == [b"\x02abc"]  # nothing was sent on top
    assert link.waits == [FWT_US, FWT_US]  # the waiting time began anew
    assert dep.stats["noise"] == 1 and card.apdus == [b"abc"]


def test_q30_noise_without_end():
    dep, _, link = setup(faults={n: "noise" for n in range(99)})
    link.card.frame = lambda data: b"noise"
    assert fails(CardLost, dep).reason == "rf_crc"
    assert dep.stats["noise"] == 4 * 16


def test_q30_noise_before_the_ats():
    clock = FakeClock()
    link = BlockLink(BlockCard(reply), clock, {0: "noise"})
    dep = IsoDep(link, clock)
    assert run(dep.activate()) == ATS
    assert link.sent == [b"\xe0\x80"]


# The rest.


def test_presence_has_no_effect():
    dep, card, link = setup()
    assert run(dep.present())
    assert exchange(dep, b"abc") == reply(b"abc")
    assert run(dep.present())
    assert link.sent == [b"\xb2", b"\x02abc", b"\xb3"]
    assert exchange(dep, b"defg") == reply(b"defg")
    assert card.apdus == [b"abc", b"defg"]


def test_absence():
    dep, _, link = setup()
    link.card.frame = lambda data: None
    began = link.clock.ticks_ms()
    assert not run(dep.present())
    assert len(link.sent) == 2 and link.clock.ticks_ms() - began <= 200


def test_q33_deselect():
    dep, card, link = setup()
    assert run(dep.deselect()) and not dep.active and not card.active
    assert link.sent == [b"\xc2"]
    dep, card, link = setup(faults={0: "lost_out"})
    assert run(dep.deselect())
    dep, card, link = setup(faults={0: "lost_out", 1: "lost_out"})
    assert not run(dep.deselect())
    assert len(link.sent) == 2


def test_block_numbers_begin_anew_with_each_activation():
    dep, _, link = setup()
    assert exchange(dep, b"abc") == reply(b"abc")
    assert run(dep.deselect())
    assert run(dep.activate()) == ATS
    assert exchange(dep, b"defg") == reply(b"defg")
    assert link.sent[-1] == b"\x02defg"


def test_a_dead_chip_is_not_a_lost_card():
    dep, _, link = setup()

    async def dead(frame, timeout_us):
        raise ReaderDead("no_answer")

    link.exchange = dead
    raises(ReaderDead, exchange, dep, b"abc")
    assert not dep.active


def test_a_cancelled_exchange_leaves_no_active_card():
    dep, _, link = setup()

    class Cancelled(BaseException):
        pass

    async def cancelled(frame, timeout_us):
        raise Cancelled

    link.exchange = cancelled
    raises(Cancelled, exchange, dep, b"abc")
    assert not dep.active
