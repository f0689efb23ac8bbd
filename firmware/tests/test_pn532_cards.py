"""The PN532 driver and cards: activation, exchange, chaining, loss, presence."""

from fakes import run
from pn532_script import ACK, CARD, CMD, FOUND, NOBODY, OK, POLL, RSP, activated, frame, make
from validator.nfc.reader import CardLost, CardProtocolError, ReaderDead, random_uid

SELECT = bytes.fromhex("00A4040000")
EXCHANGE = CMD("4001" + SELECT.hex())
FIELD_OFF = (CMD("320100"), OK("33"))
RELEASE = (CMD("5200"), OK("5300"))


def fails(kind, coro):
    try:
        run(coro)
    except kind as e:
        return e
    raise AssertionError("did not raise")


def test_poll_without_a_card():
    reader, script, _ = make((POLL, NOBODY))
    assert run(reader.poll()) is None
    assert not script.steps


def test_poll_finds_an_iso_dep_card():
    reader, _, _ = make((POLL, FOUND))
    target = run(reader.poll())
    assert (target.uid, target.atqa, target.sak) == (bytes((1, 2, 3, 4)), 0x0004, 0x20)
    assert target.ats == bytes.fromhex("0578807002")
    assert target.count == 1 and target.apdu


def test_poll_finds_a_card_that_takes_no_apdu():
    reader, _, _ = make((POLL, OK("4B01 01 0004 08 04 01020304")))
    target = run(reader.poll())
    assert target.sak == 8 and target.ats == b"" and not target.apdu


def test_q22_two_cards_are_counted():
    second = "02 0344 20 07 04112233445566 05 78807002"
    reader, _, _ = make((POLL, OK("4B02" + CARD + second)))
    assert run(reader.poll()).count == 2


def test_q22_collision_in_an_exchange():
    reader, _, _ = activated((EXCHANGE, OK("4106")))
    assert fails(CardProtocolError, reader.transceive(SELECT)).reason == "collision"


def test_q29_seven_byte_uid_long_ats_and_random_uid():
    ats = "14 78 80 82 02 20 63 CB A3 A0 92 43 22 01 02 03 04 05 06 07"
    reader, _, _ = make((POLL, OK("4B01 01 0344 20 07 04112233445566" + ats)))
    target = run(reader.poll())
    assert target.uid == bytes.fromhex("04112233445566")
    assert target.ats == bytes.fromhex(ats.replace(" ", ""))
    assert random_uid(b"\x08abc") and not random_uid(target.uid)


def test_malformed_list_answers_are_no_card():
    for text in (
        "4B01",
        "4B01 01 0004",
        "4B01 01 0004 20 0A 0102",
        "4B01 01 0004 20 05 0102030405",
    ):
        reader, _, _ = make((POLL, OK(text)))
        assert run(reader.poll()) is None, text


def test_exchange():
    reader, script, _ = activated((EXCHANGE, OK("4100 6F00 9000")))
    assert run(reader.transceive(SELECT)) == bytes.fromhex("6F009000")
    assert not script.steps


def test_exchange_without_a_card():
    reader, _, _ = make()
    assert fails(CardLost, reader.transceive(SELECT)).reason == "not_listed"


def test_q27_longest_apdu_in_an_extended_frame():
    apdu = bytes(i & 0xFF for i in range(261))
    reader, script, _ = activated((frame(b"\xd4\x40\x01" + apdu), OK("4100 9000")))
    assert run(reader.transceive(apdu)) == b"\x90\x00"
    assert not script.steps


def test_q27_chaining_to_a_chip_without_extended_frames():
    apdu = bytes(i & 0xFF for i in range(261))
    reader, script, _ = activated(
        (frame(b"\xd4\x40\x41" + apdu[:252]), OK("4100")),
        (frame(b"\xd4\x40\x01" + apdu[252:]), OK("4100 9000")),
        max_data=252,
    )
    assert run(reader.transceive(apdu)) == b"\x90\x00"
    assert not script.steps


def test_q27_more_information_is_fetched():
    for cut in (1, 64, 253, 254, 255, 256, 257):
        answer = bytes(i * 7 & 0xFF for i in range(258))
        reader, script, _ = activated(
            (EXCHANGE, [(1000, ACK), (9000, frame(b"\xd5\x41\x40" + answer[:cut]))]),
            (CMD("4001"), [(1000, ACK), (9000, frame(b"\xd5\x41\x00" + answer[cut:]))]),
        )
        assert run(reader.transceive(SELECT)) == answer, cut
        assert not script.steps


def test_q23_endless_chain_is_cut():
    piece = [(1000, ACK), (1000, frame(b"\xd5\x41\x40" + bytes(262)))]
    reader, _, serial = activated()
    serial.peer = lambda data: piece
    assert fails(CardProtocolError, reader.transceive(SELECT)).reason == "overflow"


STATUS = (
    (0x01, CardLost),
    (0x02, CardLost),
    (0x03, CardLost),
    (0x05, CardLost),
    (0x06, CardProtocolError),
    (0x0A, ReaderDead),
    (0x0B, CardProtocolError),
    (0x0D, ReaderDead),
    (0x13, CardProtocolError),
    (0x29, CardLost),
    (0x2B, CardLost),
    (0x2D, ReaderDead),
    (0x3F, CardProtocolError),
)


def test_q20_q34_status_bytes():
    for status, kind in STATUS:
        reader, _, _ = activated((EXCHANGE, OK("41%02X" % status)))
        e = fails(kind, reader.transceive(SELECT))
        assert type(e) is kind and e.reason, status


def test_q24_endless_waiting_ends():
    reader, script, serial = activated((EXCHANGE, [(1000, ACK)]), (ACK, None))
    before = serial.clock.ticks_ms()
    assert fails(CardLost, reader.transceive(SELECT)).reason == "timeout"
    assert serial.clock.ticks_ms() - before < 2000 and not script.steps


def test_q26_forgotten_target_is_listed_again_before_the_first_apdu():
    reader, script, _ = activated(
        (EXCHANGE, OK("4127")), FIELD_OFF, (POLL, FOUND), (EXCHANGE, OK("4100 9000"))
    )
    assert run(reader.transceive(SELECT)) == b"\x90\x00"
    assert not script.steps


def test_q26_forgotten_target_in_a_transaction_is_a_lost_card():
    reader, script, _ = activated((EXCHANGE, OK("4100 9000")), (EXCHANGE, OK("4127")))
    run(reader.transceive(SELECT))
    assert fails(CardLost, reader.transceive(SELECT)).reason == "not_listed"
    assert not script.steps


def test_q33_field_reset_between_an_error_and_the_next_activation():
    reader, script, serial = activated((EXCHANGE, OK("410B")), FIELD_OFF, (POLL, NOBODY))
    fails(CardProtocolError, reader.transceive(SELECT))
    sent = []
    script_call = serial.peer

    def peer(data):
        sent.append((data, serial.clock.ticks_us()))
        return script_call(data)

    serial.peer = peer
    run(reader.poll())
    off, polled = sent[0], sent[1]
    assert off[0] == CMD("320100") and polled[0] == POLL
    # The field is off when the chip has answered, 2 ms after the command.
    assert polled[1] - off[1] - 2000 >= 5100


def test_q33_deselect_after_an_error_resets_the_field():
    reader, script, _ = activated((EXCHANGE, OK("4101")), RELEASE, FIELD_OFF, (POLL, NOBODY))
    fails(CardLost, reader.transceive(SELECT))
    run(reader.deselect())
    run(reader.poll())
    assert not script.steps


def test_deselect_never_raises():
    reader, _, serial = activated()
    serial.peer = lambda data: None
    run(reader.deselect())


def test_presence_of_an_active_card():
    reader, script, _ = activated((CMD("0006"), OK("0100")), (CMD("0006"), OK("0101")))
    assert run(reader.present())
    assert not run(reader.present())
    assert not script.steps


DESELECT = (CMD("4401"), OK("4500"))


def test_q21_presence_after_deselect_is_a_reselection():
    reader, script, _ = activated(DESELECT, (CMD("5401"), OK("5500")), DESELECT)
    run(reader.deselect())
    assert run(reader.present())
    assert not script.steps


def test_q21_card_that_misses_the_reselection_is_looked_for():
    reader, script, _ = activated(
        DESELECT, (CMD("5401"), OK("5501")), (POLL, NOBODY), FIELD_OFF, (POLL, FOUND)
    )
    run(reader.deselect())
    assert run(reader.present())
    assert not script.steps


def test_q21_another_card_is_another_card():
    other = "01 0004 20 04 05060708 05 78807002"
    reader, script, _ = activated(DESELECT, (CMD("5401"), OK("5501")), (POLL, OK("4B01" + other)))
    run(reader.deselect())
    assert not run(reader.present())
    assert not script.steps


def test_q21_phone_with_a_new_uid_after_the_field_reset_is_still_there():
    def phone(uid):
        return OK("4B01 01 0004 20 04 " + uid + " 05 78807002")

    reader, script, _ = make(
        (POLL, phone("08111111")),
        DESELECT,
        (CMD("5401"), OK("5501")),
        (POLL, NOBODY),
        FIELD_OFF,
        (POLL, phone("08222222")),
    )
    run(reader.poll())
    run(reader.deselect())
    assert run(reader.present())
    assert not script.steps


def test_card_that_left_is_absent():
    reader, script, _ = activated(
        DESELECT, (CMD("5401"), OK("5501")), (POLL, NOBODY), FIELD_OFF, (POLL, NOBODY)
    )
    run(reader.deselect())
    assert not run(reader.present())
    assert not script.steps


def test_exchange_needs_no_new_buffers():
    # The answer itself is the only thing that is made: port and driver keep their buffers.
    reader, _, _ = activated(
        (EXCHANGE, [(1000, ACK), (1000, RSP("4100 6F00 9000"))]), (EXCHANGE, OK("4100 9000"))
    )
    port = reader._port
    kept = (port.tx, port.rx, port._in)
    run(reader.transceive(SELECT))
    run(reader.transceive(SELECT))
    assert kept[0] is port.tx and kept[1] is port.rx and kept[2] is port._in
