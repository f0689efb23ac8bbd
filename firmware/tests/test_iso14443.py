"""Type A activation, bit by bit, over a link without a chip."""

from fakes import raises, run
from mfrc522_fake import FakeCard, crc_a, merged
from validator.nfc.iso14443 import Timeout, TransmissionError, activate, halt, wake


class AirLink:
    """The `link` of iso14443, straight to cards. `damage`: {n: callable(frame) or exception}."""

    def __init__(self, *cards):
        self.cards = cards
        self.collision = 0
        self.sent = []
        self.damage = {}

    def _air(self, data, n_bits):
        n = len(self.sent)
        self.sent.append((bytes(data), n_bits))
        answers = merged([h for h in [c.heard(data, n_bits) for c in self.cards] if h])
        if n in self.damage:
            raise self.damage[n]
        if not answers:
            raise Timeout
        return answers[0][1]

    async def bits(self, frame, last_bits, timeout_us):
        assert 0 < timeout_us <= 2000
        self.collision = 0
        frame = bytes(frame)
        answer = self._air(frame, 8 * len(frame) - (8 - last_bits if last_bits else 0))
        self.collision = answer.collision
        return memoryview(answer.data)

    async def exchange(self, frame, timeout_us):
        frame = bytes(frame) + crc_a(frame)
        answer = self._air(frame, 8 * len(frame))
        assert answer.data[-2:] == crc_a(answer.data[:-2])
        return memoryview(answer.data)[:-2]


UID4 = bytes.fromhex("01020304")
UID7 = bytes.fromhex("04112233445566")
UID10 = bytes.fromhex("04112233445566778899")


def found(*cards):
    return run(activate(AirLink(*cards)))


def test_nobody():
    assert found() is None


def test_uids_of_all_lengths():
    for uid in (UID4, UID7, UID10):
        target = found(FakeCard(uid, sak=0x20, atqa=b"\x44\x03"))
        assert (target.uid, target.sak, target.atqa, target.count) == (uid, 0x20, 0x0344, 1)
        assert not target.apdu  # no ATS yet


def test_frames_of_a_seven_byte_uid():
    link = AirLink(FakeCard(UID7))
    run(activate(link))
    assert link.sent[0] == (b"\x52", 7)
    assert link.sent[1] == (b"\x93\x20", 16)
    select = bytes.fromhex("937088041122BF")
    assert link.sent[2] == (select + crc_a(select), 72)
    assert link.sent[3] == (b"\x95\x20", 16)
    assert len(link.sent) == 5


def test_q22_two_cards_that_differ_in_one_bit():
    for bit in range(32):
        other = bytearray(UID4)
        other[bit // 8] ^= 1 << bit % 8
        cards = [FakeCard(UID4), FakeCard(bytes(other))]
        target = found(*cards)
        assert target.count == 2, bit
        # The one with the 1 at the place of the collision is taken, and is active alone.
        chosen = UID4 if UID4[bit // 8] >> bit % 8 & 1 else bytes(other)
        assert target.uid == chosen
        assert sorted(c.state for c in cards)[0] == "active"


def test_q22_five_cards_and_two_cascade_levels():
    uids = [
        bytes((0x04, a, b, 0x33, 0x44, c, 0x66)) for a in (1, 2) for b in (8, 9) for c in (5, 7)
    ]
    cards = [FakeCard(uid) for uid in uids]
    target = found(*cards)
    assert target.count == 2 and target.uid in uids and target.sak == 0x20
    assert [c.uid for c in cards if c.state == "active"] == [target.uid]


def test_q22_cards_of_different_atqa_are_two():
    target = found(FakeCard(UID4), FakeCard(UID4, atqa=b"\x44\x00"))
    assert target.count == 2


def test_q22_cards_that_cannot_be_told_apart():
    # The card that was chosen falls silent: two of them are reported all the same.
    link = AirLink(FakeCard(UID4), FakeCard(b"\x05\x02\x03\x04"))
    link.damage[2] = Timeout()
    target = run(activate(link))
    assert target.count == 2 and target.sak == 0 and not target.apdu and len(target.uid) == 4


def test_atqa_that_nobody_can_read():
    link = AirLink(FakeCard(UID4))
    link.damage[0] = TransmissionError("rf_parity", 1)
    target = run(activate(link))
    assert target.uid == UID4 and target.atqa == 0


def test_a_card_that_falls_silent_on_the_way():
    for n in (1, 2):
        link = AirLink(FakeCard(UID4))
        link.damage[n] = Timeout()
        raises(Timeout, run, activate(link))


def test_illegal_answers():
    for n, answer in (
        (1, b"\x01\x02\x03\x04\xff"),  # BCC
        (1, b"\x01\x02\x03\x04"),
        (1, b"\x01\x02\x03\x04\x04\x04"),
        (1, b""),
        (2, b"\x20\x20"),
        (2, b""),
    ):
        raises(TransmissionError, run, activate(Answering(n, answer)))
    # The UID goes on without a cascade tag, and has no end.
    raises(TransmissionError, run, activate(Answering(2, b"\x24")))
    card = FakeCard(UID10)
    card.parts.append(card.parts[0])
    raises(TransmissionError, found, card)


class Answering(AirLink):
    """One answer replaced by another that has passed the CRC."""

    def __init__(self, n, answer):
        super().__init__(FakeCard(UID4))
        self.replace = (n, answer)

    async def bits(self, frame, last_bits, timeout_us):
        got = await super().bits(frame, last_bits, timeout_us)
        return self.replace[1] if len(self.sent) - 1 == self.replace[0] else got

    async def exchange(self, frame, timeout_us):
        got = await super().exchange(frame, timeout_us)
        return self.replace[1] if len(self.sent) - 1 == self.replace[0] else got


def test_q21_a_card_asleep_answers_wupa_only():
    card = FakeCard(UID4)
    link = AirLink(card)
    assert run(activate(link)).uid == UID4
    run(halt(link))
    assert card.halted
    assert run(wake(link, halted=False)) is None
    assert run(wake(link)) == 0x0004
