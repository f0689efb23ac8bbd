"""The MFRC522 driver and cards: polling, field, loss, presence, end of a session."""

from fakes import FakeClock, raises, run
from iso_dep_card import BlockCard
from mfrc522_fake import FakeCard, FakeMfrc522, Frame
from test_mfrc522 import UID, activated, bench, echo
from validator.nfc.mfrc522 import Mfrc522Reader
from validator.nfc.poller import Poller
from validator.nfc.reader import CardLost, CardProtocolError, ReaderError

OTHER = bytes.fromhex("0A0B0C0D")


def field(chip):
    return chip.reg[0x14] & 3 == 3


def with_cards(*cards):
    clock = FakeClock()
    chip = FakeMfrc522(clock, cards)
    reader = Mfrc522Reader(chip, chip.cs, clock)
    run(reader.open())
    return reader, chip


def iso(uid=UID, **options):
    return FakeCard(uid, blocks=BlockCard(echo, **options))


def test_empty_poll_is_short_and_asks_twice():
    reader, chip = with_cards()
    for _ in range(20):
        began = chip.clock.now_us
        chip.air.clear()
        assert run(reader.poll()) is None
        assert chip.clock.now_us - began < 30000
        assert chip.air == [b"\x52", b"\x52"]  # in one field, for phones in express mode


def test_polls_of_the_poller():
    reader, chip = with_cards()
    poller = Poller(reader, chip.clock)
    card = iso()

    def lay_down(clock):
        if clock.now_us > 1000000 and not chip.cards:
            chip.cards.append(card)

    chip.clock.watchers.append(lay_down)
    target = run(poller.next())
    assert target.uid == UID and poller.counters["polls"] > 10
    assert run(poller.card(target).transceive(b"ab")) == b"ab\x90\x00"
    chip.clock.watchers.clear()
    chip.cards.clear()
    assert run(poller.finish(target))


def test_field_is_on_for_five_milliseconds_before_the_first_command():
    reader, chip = with_cards()
    for _ in range(3):
        run(reader.poll())
        run(reader.field(False))
        chip.air_at.clear()
        run(reader.poll())
        at, on = chip.switched[-1]
        assert on and chip.air_at[0] - at >= 5000
        before, off = chip.switched[-2]
        assert not off and at - before >= 5100  # and it was off for a reset (Q33)


def test_activation_and_exchange():
    reader, chip, card = activated()
    for n in range(5):
        assert run(reader.transceive(bytes((n,)))) == bytes((n, 0x90, 0x00))
    assert len(card.blocks.apdus) == 5


def test_a_card_that_takes_no_apdu():
    reader, chip = with_cards(FakeCard(UID, sak=0x08))
    target = run(reader.poll())
    assert target.sak == 0x08 and not target.apdu and target.ats == b""
    assert raises(CardProtocolError, run, reader.transceive(b"ab")).reason == "not_iso_dep"
    run(reader.deselect())
    assert chip.cards[0].halted
    assert run(reader.present())
    chip.cards.clear()
    assert not run(reader.present())


def test_exchange_without_a_card():
    reader, _ = with_cards()
    assert raises(CardLost, run, reader.transceive(b"ab")).reason == "not_listed"


def test_q20_a_card_that_leaves():
    reader, chip, card = activated()
    chip.cards.clear()
    assert raises(CardLost, run, reader.transceive(b"ab")).reason == "timeout"
    assert raises(CardLost, run, reader.transceive(b"ab")).reason == "not_listed"
    run(reader.deselect())
    assert not run(reader.present())
    chip.cards.append(iso(OTHER))
    assert run(reader.poll()).uid == OTHER


def test_q21_a_card_that_stays_is_there_and_can_be_tapped_again():
    reader, chip, card = activated()
    run(reader.transceive(b"ab"))
    assert run(reader.present())  # by R(NAK)
    assert run(reader.transceive(b"cd")) == b"cd\x90\x00"
    run(reader.deselect())
    resets = card.resets
    for _ in range(5):
        assert run(reader.present())
        assert card.halted and card.state == "idle"  # asleep again
    assert card.resets == resets  # woken by WUPA, the field stayed
    assert run(reader.poll()).uid == UID
    assert run(reader.transceive(b"ab")) == b"ab\x90\x00"


def test_q21_another_card_is_not_the_same():
    reader, chip, card = activated()
    run(reader.deselect())
    chip.cards[0] = iso(OTHER)
    assert not run(reader.present())


def test_q22_two_cards():
    reader, chip = with_cards(iso(), iso(OTHER))
    target = run(reader.poll())
    assert target.count == 2
    run(reader.deselect())
    assert run(reader.present())
    gone = [c for c in chip.cards if c.uid == target.uid]
    chip.cards.remove(gone[0])
    assert not run(reader.present())


def test_q24_endless_extension_ends():
    reader, chip, card = activated(wtx=(1,) * 99)
    assert raises(CardProtocolError, run, reader.transceive(b"ab")).reason == "wtx"
    run(reader.deselect())
    card.blocks.wtx = ()
    assert run(reader.poll()).uid == UID
    assert run(reader.transceive(b"ab")) == b"ab\x90\x00"


def test_q25_silence_ends_and_the_next_tap_works():
    reader, chip, card = activated()
    frame = card.blocks.frame
    card.blocks.frame = lambda data: None
    raises(CardLost, run, reader.transceive(b"ab"))
    run(reader.deselect())
    card.blocks.frame = frame
    assert run(reader.poll()).uid == UID
    assert run(reader.transceive(b"ab")) == b"ab\x90\x00"


def test_q29_random_uid_of_a_phone_that_stays():
    reader, chip = with_cards(iso(b"\x08\x01\x02\x03"))
    run(reader.poll())
    run(reader.deselect())
    chip.cards[0] = iso(b"\x08\x09\x09\x09")
    # Another UID in the same field is another phone; after a reset it may be the same.
    assert not run(reader.present())
    run(reader.field(False))
    assert run(reader.present())


def test_q29_long_ats():
    ats = bytes((60, 0x78, 0x80, 0x70, 0x02)) + bytes(range(55))
    reader, chip = with_cards(iso(ats=ats))
    assert run(reader.poll()).ats == ats
    ats = bytes((254, 0x78, 0x80, 0x70, 0x02)) + bytes(249)
    reader, chip = with_cards(iso(ats=ats))
    assert run(reader.poll()).ats == ats


def test_q30_noise_before_the_answer():
    for noise in (b"\x55", b"\x55\xaa", b"\x01\x02\x03"):
        reader, chip, card = activated()
        card.delay_us = 900
        card.noise = [Frame(noise)]
        chip.air.clear()
        assert run(reader.transceive(b"ab")) == b"ab\x90\x00"
        assert len(chip.air) == 1, noise  # nothing was sent into the card's work
        assert reader.stats["noise"] == 1
    # Less than four bits: the chip leaves it out by itself.
    reader, chip, card = activated()
    card.noise = [Frame(b"\x05", n_bits=3)]
    assert run(reader.transceive(b"ab")) == b"ab\x90\x00"
    assert reader.stats["noise"] == 0


def test_q30_waiting_time_starts_anew_after_noise():
    reader, chip, card = activated()
    card.delay_us = 30000  # of 42 ms: twice that is too late for one waiting time
    card.noise = [Frame(b"\x55")]
    chip.air.clear()
    assert run(reader.transceive(b"ab")) == b"ab\x90\x00"
    assert len(chip.air) == 1


def test_q33_an_error_takes_the_field_away_for_long_enough():
    reader, chip, card = activated()
    resets = card.resets
    card.mute = True
    raises(CardLost, run, reader.transceive(b"ab"))
    assert card.blocks.active  # half-open
    run(reader.deselect())
    assert not field(chip) and card.resets > resets
    off_at = chip.switched[-1][0]
    card.mute = False
    assert run(reader.poll()).uid == UID
    on_at, on = chip.switched[-1]
    assert on and on_at - off_at >= 5100


def test_q33_half_open_without_deselect():
    reader, chip, card = activated()
    card.mute = True
    raises(ReaderError, run, reader.transceive(b"ab"))
    card.mute = False
    assert run(reader.poll()).uid == UID


def test_q33_failed_activation_is_followed_by_a_reset():
    reader, chip, card = bench()
    frame = card.blocks.frame
    card.blocks.frame = lambda data: None if frame(data) else None
    assert run(reader.poll()) is None
    card.blocks.frame = frame
    assert card.blocks.active  # took RATS, was not heard
    assert run(reader.poll()).uid == UID


def test_q33_a_card_left_active_by_nobody_we_know():
    # Mute to WUPA, with no error that would have told us.
    reader, chip, card = bench()
    run(reader.poll())
    reader._half_open = False
    for _ in range(10):
        if run(reader.poll()):
            break
    else:
        raise AssertionError("never reset")


def test_deselect_puts_the_card_to_sleep_and_keeps_the_field():
    reader, chip, card = activated()
    run(reader.deselect())
    assert card.halted and not card.blocks.active and field(chip)
    run(reader.deselect())
    assert field(chip)


def test_deselect_that_is_not_confirmed():
    reader, chip, card = activated()
    card.mute = True
    run(reader.deselect())
    assert not field(chip)


def test_damaged_activation_is_tried_again_in_the_same_poll():
    reader, chip, card = bench()
    heard = card.heard
    calls = []

    def once(data, n_bits):
        calls.append(data)
        return None if len(calls) == 2 else heard(data, n_bits)

    card.heard = once
    began = chip.clock.now_us
    assert run(reader.poll()).uid == UID
    assert chip.clock.now_us - began < 60000


def test_cancelled_exchange_is_half_open():
    reader, chip, card = activated()

    class Cancelled(BaseException):
        pass

    sleep = chip.clock.sleep_ms

    async def cancel(ms):
        raise Cancelled

    chip.clock.sleep_ms = cancel
    raises(Cancelled, run, reader.transceive(b"ab"))
    chip.clock.sleep_ms = sleep
    resets = card.resets
    assert run(reader.poll()).uid == UID
    assert card.resets > resets
