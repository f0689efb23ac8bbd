"""Type B cards on the PN532: found now and then, with a DID or without, there or gone."""

from fakes import run
from pn532_script import ACK, CMD, NOBODY, OK, POLL, POLL_B, make
from validator.nfc.reader import CardLost

ATQB = "50 A1A2A3A4 00000000 00 81 C1"  # ISO 14443-4, CID supported
NO_DEP = "50 A1A2A3A4 00000000 00 80 71"
NO_DID = "50 A1A2A3A4 00000000 00 81 C0"
SELECT = bytes.fromhex("00A4040000")
EXCHANGE = CMD("4001" + SELECT.hex())
FIELD_OFF = (CMD("320100"), OK("33"))
DESELECT = (CMD("4401"), OK("4500"))


def card(atqb, attrib):
    return OK("4B 01 01" + atqb + attrib)


def found(*steps, **options):
    """A reader that found a type B card in its first poll."""
    first = options.pop("card", card(ATQB, "01 00"))
    reader, script, serial = make(
        (POLL, NOBODY), (POLL_B, first), *steps, type_b_every=1, **options
    )
    return reader, script, serial


def test_type_b_card_is_found():
    reader, script, _ = found((EXCHANGE, OK("4100 9000")))
    target = run(reader.poll())
    assert (target.kind, target.uid, target.count) == ("B", bytes.fromhex("A1A2A3A4"), 1)
    assert target.apdu and target.ats == bytes.fromhex(ATQB)
    assert run(reader.transceive(SELECT)) == b"\x90\x00"
    assert not script.steps


def test_type_b_card_without_iso_dep_takes_no_apdu():
    reader, _, _ = found(card=card(NO_DEP, "00"))
    assert not run(reader.poll()).apdu


def test_every_nth_poll_looks_for_type_b():
    steps = [(POLL, NOBODY)] * 3 + [(POLL, NOBODY), (POLL_B, OK("4B00"))]
    reader, script, _ = make(*(steps * 2), type_b_every=4)
    for _ in range(8):
        assert run(reader.poll()) is None
    assert not script.steps
    reader, script, _ = make(*[(POLL, NOBODY)] * 20, type_b_every=0)
    for _ in range(20):
        assert run(reader.poll()) is None


def test_type_b_is_on_unless_told_otherwise():
    reader, script, _ = make(*([(POLL, NOBODY)] * 4 + [(POLL_B, OK("4B00"))]))
    for _ in range(4):
        run(reader.poll())
    assert not script.steps


def test_q28_card_that_knows_no_did_is_deselected_and_listed_again():
    reader, script, _ = found(
        DESELECT,
        (POLL_B, card(NO_DID, "01 00")),
        (EXCHANGE, OK("4100 9000")),
        card=card(NO_DID, "01 01"),
    )
    assert run(reader.poll()).kind == "B"
    assert run(reader.transceive(SELECT)) == b"\x90\x00"
    assert not script.steps


def test_q28_card_that_gets_a_did_every_time_is_taken_as_it_is():
    reader, script, _ = found(
        DESELECT, (POLL_B, card(NO_DID, "01 01")), card=card(NO_DID, "01 01")
    )
    assert run(reader.poll()).kind == "B"
    assert not script.steps


def test_q28_card_that_knows_a_did_costs_nothing():
    reader, script, _ = found((EXCHANGE, OK("4100 9000")), card=card(ATQB, "01 01"))
    assert run(reader.poll()).kind == "B"
    assert run(reader.transceive(SELECT)) == b"\x90\x00"
    assert not script.steps


def test_q28_card_that_stumbles_over_its_did_is_reset_once():
    again = (FIELD_OFF, (POLL_B, card(ATQB, "01 01")))
    for last, answer in ((OK("4100 9000"), b"\x90\x00"), (OK("4101"), None)):
        steps = ((EXCHANGE, OK("4101")),) + again + ((EXCHANGE, last),)
        reader, script, _ = found(*steps, card=card(ATQB, "01 01"))
        run(reader.poll())
        try:
            assert run(reader.transceive(SELECT)) == answer
        except CardLost:
            assert answer is None
        assert not script.steps


def test_q10_type_b_poll_that_is_never_answered():
    reader, script, _ = found((ACK, None), (POLL, NOBODY), card=[(1000, ACK)])
    assert run(reader.poll()) is None
    reader._type_b_every = 0
    assert run(reader.poll()) is None
    assert not script.steps


def test_malformed_type_b_answers_are_no_card():
    for text in ("4B01", "4B0101", "4B 01 01 50 A1A2A3A4", "4B 01 01" + "51" + ATQB[2:] + "00"):
        reader, script, _ = found(FIELD_OFF, (POLL, NOBODY), card=OK(text))
        assert run(reader.poll()) is None, text
        # Whoever sent that is reset before anybody is asked again (Q33).
        reader._type_b_every = 0
        assert run(reader.poll()) is None
        assert not script.steps, text


def test_q21_type_b_card_that_stays_is_there():
    reader, script, _ = found(
        DESELECT,
        (POLL_B, OK("4B00")),
        FIELD_OFF,
        (POLL_B, card("50 B1B2B3B4 00000000 00 81 C1", "01 00")),
        FIELD_OFF,
        (POLL_B, OK("4B00")),
        FIELD_OFF,
        (POLL_B, OK("4B00")),
    )
    run(reader.poll())
    run(reader.deselect())
    # It sleeps after DESELECT, and has another PUPI after the field reset.
    assert run(reader.present())
    reader._half_open = False
    reader._listed = 0
    script.steps.pop(0)
    assert not run(reader.present())
    assert not script.steps


def test_q26_forgotten_type_b_card_is_listed_again_as_one():
    reader, script, _ = found(
        (EXCHANGE, OK("4127")),
        FIELD_OFF,
        (POLL_B, card(ATQB, "01 00")),
        (EXCHANGE, OK("4101")),
    )
    run(reader.poll())
    try:
        run(reader.transceive(SELECT))
        raise AssertionError("not lost")
    except CardLost as e:
        assert e.reason == "timeout"
    assert not script.steps
